# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the host after its boot, before any module does; then they find nothing to do, and take it all away."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.reboot.declared import ROWS, stack
from tests.lab.driver import call, run


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.kind)
def test_it_is_there_again(row):
    assert row.says in run(*row.look)


def test_there_is_nothing_to_do():
    done = call("stack", stack(ROWS), check=True)
    assert [(one["kind"], one["changes"]) for one in done["resources"] if one["changed"]] == []
    assert call("stack", stack(ROWS))["changed"] is False


def test_the_stack_still_knows_what_is_its_own():
    gone = call("stack", stack(()))
    assert sorted(one["kind"] for one in gone["resources"]) == sorted(row.kind for row in ROWS)
    left = [row.kind for row in ROWS if row.says in run(*row.look, check=False)]
    assert left == []
    assert [str(path) for path in Path("/etc").rglob("*strata*boot*")] == []
