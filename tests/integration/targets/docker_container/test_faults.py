# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_container where something goes wrong, or somebody else is at it, and how much it asks where nothing does."""

from __future__ import annotations

import re
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab import docker_api
from tests.lab.convergence import Case, Harness
from tests.lab.counting import Counting
from tests.lab.docker_containers import data, leftovers, look
from tests.lab.driver import Failed, Killed, call, run
from tests.lab.registry import DEPLOY_AND_CI, Registry

BOX = "/bin/busybox"
IDLE = {"state": "present"}
ALONE = {"image": "web:1.0", "network_mode": "none"}
SLOW = {"test": ["CMD", BOX, "cat", "/data/well"], "interval": "1s", "retries": 60}
TOUCHES = tuple(f"engines.docker.Docker.{verb}" for verb in ("create", "stop", "rename"))
REGISTRY = "127.0.0.1:5019"


def started() -> None:
    run("systemctl", "reset-failed", "docker.service", "docker.socket")
    run("systemctl", "start", "docker.service")


class TestFaults(Harness):
    case = Case("docker_container", {}, {}, look, {}, {}, "docker_container_info")

    @property
    def name(self) -> str:
        return self.case.name

    def meanwhile(self, spec: dict, *happens):
        """Apply it, and have something happen once the new one runs, and is to prove itself; what the module said."""
        old = docker_api.container(self.name)["Id"]

        def replaced() -> bool:
            now = docker_api.container(self.name)
            return now is not None and now["Id"] != old and now["State"]["Running"]

        with ThreadPoolExecutor() as pool:
            applying = pool.submit(self.apply, spec)
            end = time.monotonic() + 60
            while not replaced():
                assert time.monotonic() < end, "nothing was replaced"
                assert not applying.done(), applying.result()
                time.sleep(0.05)
            for one in happens:
                one()
            try:
                return applying.result(timeout=120)
            except Failed as failed:
                return failed.result["msg"]

    def test_an_unchanged_one_costs_three_calls(self, tmp_path):
        spec = {**ALONE, "hardening": "restricted", "memory": "64M"}
        self.apply(spec)
        with Counting(tmp_path / "door", docker_api.SOCKET) as door:
            assert self.apply({**spec, "docker_host": door.url})["changed"] is False
        assert len(door.asked) == 3, door.asked

    def test_the_engine_is_restarted_while_one_is_replaced(self):
        self.apply(ALONE)
        said = self.meanwhile({**ALONE, "healthcheck": SLOW}, lambda: run("systemctl", "restart", "docker"))
        # It is told that the new one was killed, or that nobody answers: that depends on the moment.
        assert "so the old one is back and runs" in said or "the Docker daemon does not answer" in said, said
        self.foretold(ALONE)
        self.sees({"Running": True, "Healthcheck": None})
        assert leftovers() == []

    def test_the_engine_is_stopped_while_one_is_replaced(self):
        self.apply(ALONE)
        try:
            said = self.meanwhile(
                {**ALONE, "healthcheck": SLOW}, lambda: run("systemctl", "stop", "docker.socket", "docker.service")
            )
            assert "Docker daemon" in said
            with pytest.raises(Failed, match=r"no Docker daemon answers there.*systemctl start docker"):
                self.apply(ALONE)
        finally:
            started()
        (data(self.name) / "well").touch()
        self.apply(ALONE)
        self.sees({"Running": True})
        assert look(self.name)["Healthcheck"]["Test"] == SLOW["test"], "the new one could prove itself after all"
        assert leftovers() == []

    def test_the_engine_is_upgraded_while_one_is_replaced(self, tmp_path):
        """By a program of another version, as its package does it: a new file, and a restart."""
        newer, unit = tmp_path / "dockerd", Path("/run/systemd/system/docker.service.d/strata-newer.conf")
        program = Path(shutil.which("dockerd") or "").read_bytes()
        version = docker_api.ask("/version")["Version"].encode()
        other = version[:-1] + bytes([version[-1] ^ 1])
        newer.write_bytes(program.replace(version, other))
        newer.chmod(0o755)

        def upgrade() -> None:
            unit.parent.mkdir(parents=True, exist_ok=True)
            started_by = run("systemctl", "show", "--property=ExecStart", "--value", "docker")
            words = re.search(r"argv\[\]=\S+ (.*?) ;", started_by)[1]
            unit.write_text(f"[Service]\nExecStart=\nExecStart={newer} {words}\n")
            run("systemctl", "daemon-reload")
            run("systemctl", "restart", "docker")

        self.apply(ALONE)
        try:
            said = self.meanwhile({**ALONE, "healthcheck": SLOW}, upgrade)
            assert "so the old one is back and runs" in said or "the Docker daemon does not answer" in said, said
            assert docker_api.ask("/version")["Version"] == other.decode()
            self.foretold(ALONE)
            self.sees({"Running": True, "Healthcheck": None})
            self.unchanged(ALONE)
            assert leftovers() == []
        finally:
            unit.unlink(missing_ok=True)
            run("systemctl", "daemon-reload")
            run("systemctl", "restart", "docker")
        assert docker_api.ask("/version")["Version"] == version.decode()
        self.foretold(ALONE)
        self.sees({"Running": True})

    def test_what_replaces_it_was_taken_away_by_somebody(self):
        self.apply(ALONE)
        with pytest.raises(Killed):  # create, stop, rename
            self.apply({**ALONE, "hostname": "inner"}, touches=TOUCHES, die_at=3)
        docker_api.remove(f"{self.name}.strata-next")
        self.foretold(ALONE)
        self.sees({"Running": True})
        assert leftovers() == []

    def test_what_it_needs_to_be_replaced_is_somebody_elses(self):
        self.apply(ALONE)
        old = docker_api.container(self.name)["Id"]
        other = f"{self.name}.strata-next"
        run("docker", "create", "--name", other, "web:1.0")
        try:
            theirs = docker_api.container(other)["Id"]
            with pytest.raises(Failed, match=r"is already in use by container"):
                self.apply({**ALONE, "hostname": "inner"})
            assert docker_api.container(other)["Id"] == theirs
            assert docker_api.container(self.name)["Id"] == old
            self.sees({"Running": True})
        finally:
            docker_api.remove(other)

    def test_a_port_that_another_program_has(self):
        spec = {"image": "web:1.0", "published_ports": ["127.0.0.1:8083:8080"]}
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", 8083))
            taken.listen()
            with pytest.raises(Failed, match=r"address already in use.*ss -ltnup"):
                self.apply(spec)
        self.apply(spec)
        self.sees({"Running": True})
        self.unchanged(spec)

    def test_a_registry_that_refuses(self, tmp_path):
        there = f"{REGISTRY}/team/web:1"
        with Registry(tmp_path, REGISTRY, DEPLOY_AND_CI), pytest.raises(Failed, match="no basic auth credentials"):
            self.apply({"image": there, **IDLE})
        with pytest.raises(Failed, match=r"connection refused"):
            self.apply({"image": there, **IDLE})
        assert look(self.name) is None

    def test_two_runs_at_the_same_time(self):
        """Each has its turn, and only the first finds anything to do."""
        for spec in ({**ALONE, **IDLE}, {**ALONE, "hostname": "inner", **IDLE}):
            with ThreadPoolExecutor() as pool:
                runs = [pool.submit(self.apply, spec) for _turn in range(3)]
            assert sorted(one.result()["changed"] for one in runs) == [False] * (len(runs) - 1) + [True]
            self.unchanged(spec)
            assert leftovers() == []
        assert call("docker_container_info", {"name": [self.name]})["resources"][0]["options"]["hostname"] == "inner"
