# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_image: a build that runs a program for another processor, by each of the daemon's builders."""

from __future__ import annotations

import shutil

import pytest

from tests.lab import foreign
from tests.lab.contexts import context
from tests.lab.docker_images import CONTEXTS, inspect
from tests.lab.driver import Failed, call, run

NAME = "strata-foreign:1"


@pytest.fixture
def path():
    folder = CONTEXTS / "foreign"
    yield context(folder, "x\n", *foreign.RECIPE)
    shutil.rmtree(folder)


@pytest.mark.machine  # what the kernel runs programs with is the machine's
@pytest.mark.parametrize("builder", ["buildkit", "classic"])
def test_a_step_for_another_processor(builder, path, tmp_path):
    foreign.program(CONTEXTS / "foreign")
    build = {"path": path, "platform": [foreign.PLATFORM], "network": "none", "builder": builder}
    spec = {"name": NAME, "build": build}
    try:
        with pytest.raises(Failed, match=rf"(?i)Building {NAME} failed: .*exec format error.*qemu-user-static"):
            call("docker_image", spec)
        assert inspect(NAME) is None
        with foreign.emulated(tmp_path):
            assert call("docker_image", spec)["changed"]
            assert call("docker_image", spec)["changed"] is False
        assert inspect(NAME)["Architecture"] == "arm64"
        made = run("docker", "create", NAME, "/program").strip()
        run("docker", "cp", f"{made}:/made", str(tmp_path / "made"))
        run("docker", "rm", made)
        assert (tmp_path / "made").read_text() == foreign.MADE
    finally:
        call("docker_image", {"name": NAME, "state": "absent"})
    assert inspect(NAME) is None
