# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_quadlet, looked at through systemd, the files themselves and Podman's own API."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import podman_api
from tests.lab.accounts import account
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run
from tests.lab.podman_containers import make_images

FOLDER = Path("/etc/containers/systemd")
USER = "strata-quad"
SLEEPS = {"image": "localhost/web:1.0", "network_mode": "none", "stop_timeout": 1}


@pytest.fixture(scope="session", autouse=True)
def _images():
    with podman_api.service() as at:
        make_images(at, ("web:1.0",))
        yield


def shown(unit: str, *properties: str) -> list[str]:
    said = run("systemctl", "show", *(f"--property={one}" for one in properties), unit)
    found = dict(line.split("=", 1) for line in said.splitlines())
    return [found[one] for one in properties]


def look(name: str) -> dict | None:
    """What its file says, its own name apart, and whether its service runs."""
    file = FOLDER / f"{name}.container"
    if not file.exists():
        return None
    lines = [line for line in file.read_text().splitlines() if "=" in line and "Owner" not in line]
    return {
        "File": [line.replace(name, "NAME") for line in lines],
        "Runs": shown(f"{name}.service", "ActiveState") == ["active"],  # one that was killed has failed
    }


def edited(name: str) -> None:
    file = FOLDER / f"{name}.container"
    file.write_text(file.read_text().replace("[Container]\n", "[Container]\nEnvironment=BY=hand\n"))


A = {"container": {**SLEEPS, "memory": "64M", "env": {"A": "b c"}}}
B = {"container": {**SLEEPS, "memory": "96M"}, "settings": {"Service": {"Restart": "always"}}}


class TestPodmanQuadlet(Convergence):
    """What is written converges as everything does; what runs, which takes seconds a start, has tests of its own."""

    case = Case(
        kind="podman_quadlet",
        info="podman_quadlet_info",
        a={**A, "state": "stopped"},
        b={**B, "state": "stopped"},
        look=look,
        seen_a={
            "File": [
                "Image=localhost/web:1.0",
                'Environment="A=b c"',
                "StopTimeout=1",
                "PodmanArgs=--memory=67108864",
                "Network=none",
                "WantedBy=default.target",
            ],
            "Runs": False,
        },
        seen_b={
            "File": [
                "Image=localhost/web:1.0",
                "StopTimeout=1",
                "PodmanArgs=--memory=100663296",
                "Network=none",
                "Restart=always",
                "WantedBy=default.target",
            ],
            "Runs": False,
        },
        drifts={
            "started": lambda name: run("systemctl", "start", f"{name}.service"),
            "edited": edited,
            "its file gone": lambda name: (FOLDER / f"{name}.container").unlink(),
        },
        touches=tuple(f"engines.quadlet.Quadlets.{verb}" for verb in ("write", "do", "drop")),
        bad=(("container", {"memory": "12X"}), ("pod", {"a b": "c"}), ("nonsense", "1")),
    )

    def test_it_runs_as_it_is_declared_and_is_started_again(self):
        spec = {**A, "restart": "if_needed"}
        self.apply(spec)
        self.unchanged(spec)
        found = podman_api.container("systemd-strata-test")
        assert (found["HostConfig"]["Memory"], "A=b c" in found["Config"]["Env"]) == (64 << 20, True)
        edited("strata-test")
        assert self.foretold(spec)["changed"]
        assert not any("BY=hand" in line for line in podman_api.container("systemd-strata-test")["Config"]["Env"])
        # What runs although its file is gone doesn't run from the one that is written.
        (FOLDER / "strata-test.container").unlink()
        before = shown("strata-test.service", "MainPID")
        assert self.apply({**A, "restart": "if_needed"})["changed"]
        assert shown("strata-test.service", "MainPID") != before

    def test_a_restart_is_only_made_where_it_is_allowed(self):
        self.apply(A)
        before = shown("strata-test.service", "MainPID")
        held = self.apply(B)
        assert held["restart_required"], held
        assert shown("strata-test.service", "MainPID") == before
        again = self.apply(B)
        assert (again["changed"], again["restart_required"]) == (False, ["outdated"])
        assert self.apply({**B, "restart": "if_needed"})["changed"]
        assert podman_api.container("systemd-strata-test")["HostConfig"]["Memory"] == 96 << 20

    def test_what_the_generator_refuses_is_not_written(self):
        for settings, words in (
            ({"Container": {"Nonsense": "1"}}, "refuses it.*Nonsense"),
            ({"Container": {"Image": None}}, "refuses it.*[Ii]mage"),
        ):
            with pytest.raises(Failed, match=words):
                self.apply({"container": SLEEPS, "settings": settings})
        assert look("strata-test") is None

    def test_one_that_is_not_ours_is_refused(self):
        FOLDER.mkdir(parents=True, exist_ok=True)
        file = FOLDER / "strata-test.container"
        file.write_text("[Container]\nImage=localhost/web:1.0\n")
        try:
            with pytest.raises(Failed, match="was written by somebody else"):
                self.apply(self.case.a)
        finally:
            file.unlink()

    def test_the_container_of_somebody_else_is_not_replaced(self):
        mine = {"name": "systemd-strata-test", "image": "localhost/web:1.0", "network_mode": "none", "state": "present"}
        call("podman_container", mine)
        try:
            before = podman_api.container("systemd-strata-test")["Id"]
            for state in ("started", "stopped"):
                with pytest.raises(Failed, match="there is a container systemd-strata-test that"):
                    self.apply({**A, "state": state})
            assert (look("strata-test"), podman_api.container("systemd-strata-test")["Id"]) == (None, before)
        finally:
            call("podman_container", {"name": "systemd-strata-test", "state": "absent"})

    def test_healthy_when_it_returns_and_on_a_network_of_another_quadlet(self):
        self.apply({"network": {"Subnet": "10.89.77.0/24"}}, "strata-test-net")
        check = {"test": ["CMD", "/bin/busybox", "true"], "interval": "1s"}
        spec = {**SLEEPS, "networks": [{"name": "strata-test-net.network"}], "healthcheck": check}
        spec.pop("network_mode")
        try:
            assert self.apply({"container": spec})["changed"]
            self.unchanged({"container": spec})
            found = podman_api.container("systemd-strata-test")
            assert found["State"]["Health"]["Status"] == "healthy"
            assert list(found["NetworkSettings"]["Networks"]) == ["systemd-strata-test-net"]
        finally:
            self.apply({"state": "absent"})
            self.apply({"state": "absent", "sort": "network"}, "strata-test-net")
        assert not (FOLDER / "strata-test-net.network").exists()


@pytest.mark.machine  # the network of a plain user takes the host's routes, and a container of the lab's image has none
def test_of_a_plain_user_who_is_not_logged_in():
    with account(USER) as uid:
        run("systemctl", "start", f"user@{uid}.service")
        with podman_api.service(USER) as at:
            make_images(at, ("web:1.0",))
            spec = {"name": "web", "user_scope": USER, "container": SLEEPS}
            done = call("podman_quadlet", spec)
            assert done["resource"]["facts"]["path"] == f"/etc/containers/systemd/users/{uid}/web.container"
            assert Path(f"/var/lib/systemd/linger/{USER}").exists()
            for check in (True, False):
                assert call("podman_quadlet", spec, check=check)["changes"] == []
            found = podman_api.container("systemd-web", at)
            assert found["State"]["Running"] is True
            assert Path(f"/proc/{found['State']['Pid']}").stat().st_uid >= 1000
            (told,) = call("podman_quadlet_info", {"user_scope": USER})["resources"]
            assert (told["name"], told["status"]) == ("web.container", "running")
            gone = {"name": "web", "user_scope": USER, "state": "absent"}
            assert [call("podman_quadlet", gone)["changed"] for _turn in range(2)] == [True, False]
            assert podman_api.container("systemd-web", at) is None
