# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_volume, looked at through Podman's own API and the host's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import podman_api
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run
from tests.lab.podman_containers import make_images

IMAGE, USER = "localhost/web:1.0", "strata-user"


@pytest.fixture(scope="module", autouse=True)
def _images():
    with podman_api.service() as at:
        make_images(at, ("web:1.0",))
        yield


def volume(name: str) -> dict | None:
    return podman_api.ask(f"/volumes/{name}/json")


def look(name: str) -> dict | None:
    found = volume(name)
    if found is None:
        return None
    labels = {key: value for key, value in (found["Labels"] or {}).items() if not key.startswith("strata.")}
    options = {key: value for key, value in (found["Options"] or {}).items() if key != "SIZE"}  # Podman's own note
    return {"Driver": found["Driver"], "Options": options, "Labels": labels}


def again(*argv: str):
    """Somebody else makes it anew, by hand."""

    def drift(name: str) -> None:
        podman_api.ask(f"/volumes/{name}", "DELETE")
        run("podman", "volume", "create", *argv, name)

    return drift


def precious(name: str) -> Path:
    return Path(volume(name)["Mountpoint"]) / "precious"


TMPFS = {"type": "tmpfs", "device": "tmpfs", "o": "size=64m"}
OPTIONS = [word for key, value in TMPFS.items() for word in ("--opt", f"{key}={value}")]
ANEW = {"recreate": "if_needed"}


class TestPodmanVolume(Convergence):
    case = Case(
        kind="podman_volume",
        info="podman_volume_info",
        a={"driver_options": TMPFS, "labels": {"tier": "back"}, **ANEW, "keep": False},
        b={"labels": {"tier": "front"}, **ANEW, "keep": False},
        look=look,
        seen_a={"Driver": "local", "Options": TMPFS, "Labels": {"tier": "back"}},
        seen_b={"Driver": "local", "Labels": {"tier": "front"}},
        drifts={
            "removed": lambda name: podman_api.ask(f"/volumes/{name}", "DELETE"),
            "made anew, without options": again("--label", "tier=back"),
            "made anew, with other labels": again(*OPTIONS, "--label", "tier=x"),
        },
        touches=("engines.podman.Podman.create_volume", "engines.podman.Podman.remove_volume"),
        bad=(("labels", "x"), ("recreate", "perhaps"), ("nonsense", "1")),
        bad_names=("", "a/../b", "..", "-x", "x y", "x"),
    )

    def test_what_is_in_it_is_never_lost_unless_it_was_said(self):
        name = self.case.name
        self.apply({"labels": {"tier": "back"}})
        precious(name).write_text("data\n")
        told = self.foretold({"labels": {"tier": "front"}, "driver_options": TMPFS})
        assert (told["changed"], len(told["restart_required"])) == (False, 4)
        assert (precious(name).read_text(), look(name)["Labels"]) == ("data\n", {"tier": "back"})
        assert self.foretold({"labels": {"tier": "front"}, **ANEW})["changed"]
        assert not precious(name).exists()
        precious(name).write_text("data\n")
        run("podman", "create", "--name", USER, "--volume", f"{name}:/data", IMAGE)
        try:
            for spec in ({"state": "absent"}, {"labels": {"x": "y"}, **ANEW}, {"recreate": "always"}):
                for check in (True, False):
                    with pytest.raises(Failed, match=rf"is in use by {USER}.*Remove them first"):
                        self.apply(spec, check=check)
        finally:
            podman_api.remove(USER)
        assert precious(name).read_text() == "data\n"
        self.stack({"labels": {"tier": "front"}})
        assert self.stack(None)["changed"] is False, "a stack keeps what it wasn't told to take away"
        (told,) = call("podman_volume_info", {"name": [name]})["resources"]
        assert told["options"]["labels"] == {"tier": "front"}
