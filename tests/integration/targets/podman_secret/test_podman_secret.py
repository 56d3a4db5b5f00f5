# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_secret, looked at through Podman's own API."""

from __future__ import annotations

import pytest

from tests.lab import podman_api
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed


@pytest.fixture(scope="session", autouse=True)
def _service():
    with podman_api.service():
        yield


def look(name: str) -> dict | None:
    found = podman_api.ask(f"/secrets/{name}/json?showsecret=true")
    if found is None:
        return None
    labels = {key: value for key, value in found["Spec"]["Labels"].items() if not key.startswith("strata.")}
    return {"Data": found["SecretData"], "Driver": found["Spec"]["Driver"]["Name"], "Labels": labels}


def changed_by_hand(name: str) -> None:
    podman_api.ask(f"/secrets/{name}", "DELETE")
    podman_api.keep_secret(name, b"by hand")


class TestPodmanSecret(Convergence):
    case = Case(
        kind="podman_secret",
        info="podman_secret_info",
        a={"data": "correct horse", "labels": {"tier": "back"}},
        b={"data": "battery staple\n", "labels": {"tier": "front"}},
        look=look,
        seen_a={"Data": "correct horse", "Driver": "file", "Labels": {"tier": "back"}},
        seen_b={"Data": "battery staple\n", "Driver": "file", "Labels": {"tier": "front"}},
        drifts={
            "forgotten": lambda name: podman_api.ask(f"/secrets/{name}", "DELETE"),
            "changed by hand": changed_by_hand,
        },
        touches=("engines.podman_secrets.PodmanSecrets.keep_secret",),
        bad=(("data", ""), ("driver", "no\nsuch"), ("path", "relative"), ("nonsense", "1")),
    )

    def test_of_a_file_and_never_shown(self, tmp_path):
        file = tmp_path / "token"
        file.write_text("from a file\n")
        spec = {"path": str(file)}
        assert "from a file" not in str(self.foretold(spec))
        assert look(self.case.name)["Data"] == "from a file\n"
        self.unchanged(spec)
        file.write_text("another\n")
        assert [change["field"] for change in self.foretold(spec)["changes"]] == ["data"]
        assert look(self.case.name)["Data"] == "another\n"
        file.write_bytes(b"\xff\x00")
        with pytest.raises(Failed, match="path: is no text"):
            self.apply(spec)
        assert look(self.case.name)["Data"] == "another\n"
