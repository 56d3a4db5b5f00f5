# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of libvirt_domain take for granted."""

from __future__ import annotations

import pytest

from tests.lab.driver import run
from tests.lab.libvirt_domains import DISK, LOG, OTHER, virsh


@pytest.fixture(scope="module", autouse=True)
def _surroundings():
    run("qemu-img", "create", "-q", "-f", "qcow2", str(DISK), "64M")
    run("qemu-img", "create", "-q", "-f", "raw", str(OTHER), "16M")
    was_active = "default" in virsh("net-list", "--name").split()
    if not was_active:
        virsh("net-start", "default")
    yield
    if not was_active:
        virsh("net-destroy", "default")
    for file in (DISK, OTHER, LOG):
        file.unlink(missing_ok=True)
