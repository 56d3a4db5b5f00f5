# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_container where something goes wrong, or somebody else is at it, and how much it asks where nothing does."""

from __future__ import annotations

import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import podman_api
from tests.lab.convergence import Case, Harness
from tests.lab.counting import Counting
from tests.lab.driver import Failed, run
from tests.lab.podman_containers import leftovers, look

IDLE = {"state": "present"}
ALONE = {"image": "localhost/web:1.0", "network_mode": "none"}
SLOW = {"test": ["CMD", "/bin/busybox", "cat", "/nowhere"], "interval": "1s", "retries": 60}


class TestFaults(Harness):
    case = Case("podman_container", {}, {}, look, {}, {}, "podman_container_info")

    @property
    def name(self) -> str:
        return self.case.name

    def test_the_service_is_killed_while_one_is_replaced(self, tmp_path):
        """The containers go on without it: the old one is told of by what is left, and the next run puts it right."""
        self.apply(ALONE)
        old = podman_api.container(self.name)["Id"]
        place = f"unix://{tmp_path}/podman.sock"
        service = os.spawnlp(os.P_NOWAIT, "podman", "podman", "system", "service", "--time=0", place)
        while not (tmp_path / "podman.sock").exists():
            time.sleep(0.1)
        with ThreadPoolExecutor() as pool:
            applying = pool.submit(self.apply, {**ALONE, "healthcheck": SLOW, "podman_host": place})
            while (found := podman_api.container(self.name)) is None or found["Id"] == old or not found["State"]["Pid"]:
                assert not applying.done(), applying.result()
                time.sleep(0.2)
            os.kill(service, signal.SIGKILL)
            os.waitpid(service, 0)
            with pytest.raises(Failed, match="Podman"):
                applying.result()
        podman_api.remove(self.name)  # somebody had enough of the new one
        self.foretold(ALONE)
        assert podman_api.container(self.name)["Id"] == old
        self.sees({"Running": True})
        assert leftovers() == []

    def test_taken_names_and_ports(self, tmp_path):
        spec = {**ALONE, **IDLE}
        self.apply(spec)
        with Counting(tmp_path / "door", podman_api.SOCKET) as door:
            assert self.apply({**spec, "podman_host": door.url})["changed"] is False
        assert len(door.asked) == 3, door.asked
        old, other = podman_api.container(self.name)["Id"], f"{self.name}.strata-next"
        run("podman", "create", "--network=none", "--name", other, "localhost/web:1.0")
        try:
            with pytest.raises(Failed, match="is already in use"):
                self.apply({**spec, "hostname": "inner"})
            assert podman_api.container(self.name)["Id"] == old
            assert podman_api.container(other) is not None
        finally:
            podman_api.remove(other)
        port = {"image": "localhost/web:1.0", "published_ports": ["127.0.0.1:8093:8080"]}
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", 8093))
            taken.listen()
            with pytest.raises(Failed, match=r"address already in use.*ss -ltnup"):
                self.apply(port, name=f"{self.name}2")

    def test_two_runs_at_the_same_time(self):
        """Each has its turn, and only the first finds anything to do."""
        for spec in ({**ALONE, **IDLE}, {**ALONE, "hostname": "inner", **IDLE}):
            with ThreadPoolExecutor() as pool:
                runs = [pool.submit(self.apply, spec) for _turn in range(2)]
            assert sorted(one.result()["changed"] for one in runs) == [False] * (len(runs) - 1) + [True]
            self.unchanged(spec)
            assert leftovers() == []
