# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_image: a build that runs a program for another processor, as one of two."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.lab import foreign, podman_api
from tests.lab.contexts import context
from tests.lab.driver import Failed, call, run

FOLDER = Path("/var/tmp/strata-podman-foreign")
NAME = "strata-foreign:1"


@pytest.fixture
def path():
    with podman_api.service():
        yield context(FOLDER, "x\n", *foreign.RECIPE)
    shutil.rmtree(FOLDER)


@pytest.mark.machine  # what the kernel runs programs with is the machine's
def test_a_step_for_another_processor(path, tmp_path):
    foreign.program(FOLDER)
    build = {"path": path, "platform": [foreign.PLATFORM], "network": "none"}
    spec = {"name": NAME, "build": build}
    try:
        with pytest.raises(Failed, match=rf"(?i)Building {NAME} failed: .*exec format error.*qemu-user-static"):
            call("podman_image", spec)
        assert podman_api.ask(f"/images/localhost/{NAME}/json") is None
        both = {**spec, "build": {**build, "platform": ["linux/amd64", foreign.PLATFORM]}}
        with foreign.emulated(tmp_path):
            assert call("podman_image", both)["changed"]
            assert call("podman_image", both)["changed"] is False
        made = run("podman", "create", f"--platform={foreign.PLATFORM}", f"localhost/{NAME}", "/program").strip()
        run("podman", "cp", f"{made}:/made", str(tmp_path / "made"))
        run("podman", "rm", made)
        assert (tmp_path / "made").read_text() == foreign.MADE
        listed = podman_api.ask(f"/manifests/{NAME}/json")["manifests"]
        assert {one["platform"]["architecture"] for one in listed} == {"amd64", "arm64"}
    finally:
        call("podman_image", {"name": NAME, "state": "absent"})
    assert podman_api.ask(f"/images/localhost/{NAME}/json") is None
