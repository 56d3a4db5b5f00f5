# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declares what is to be there after every boot. Then the host is rebooted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.reboot.declared import ROWS, TOP, stack
from tests.lab.driver import call, run


@pytest.fixture(scope="module", autouse=True)
def _declared():
    for folder in ("a", "b", "upper", "work", "jail/bin", "machine/bin", "machine/usr/lib"):
        Path(TOP, folder).mkdir(parents=True)
    for folder in ("bin", "dev", "proc", "sys"):
        Path(TOP, "system", folder).mkdir(parents=True)
    for layer in ("a", "b"):
        Path(TOP, layer, f"from-{layer}").touch()
    Path(TOP, "upper/written").touch()
    for tree in ("jail", "machine", "system"):
        shutil.copy("/usr/bin/busybox", f"{TOP}/{tree}/bin/busybox")
    Path(TOP, "machine/usr/lib/os-release").write_text("ID=tiny\n")
    call("stack", stack(ROWS))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.kind)
def test_it_is_there_now(row):
    assert row.says in run(*row.look)
