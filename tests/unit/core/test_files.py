# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import files
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError


def test_of_two_who_write_a_file_anew_none_is_lost(tmp_path: Path):
    def add() -> None:
        for _time in range(20):
            with files.turn(str(tmp_path)):
                count = int(files.read(f"{tmp_path}/count") or 0)
                files.write(f"{tmp_path}/count", str(count + 1))

    fork = multiprocessing.get_context("fork")
    others = [
        fork.Process(target=add),
        fork.Process(target=add),
        threading.Thread(target=add),
        threading.Thread(target=add),
    ]
    for other in others:
        other.start()
    for other in others:
        other.join(timeout=60)
    assert (tmp_path / "count").read_text() == "80"
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


def test_a_folder_that_somebody_else_keeps_is_told_of(tmp_path: Path):
    with files.turn(str(tmp_path)), pytest.raises(StrataError, match=r"was held by somebody else for 0 s"):
        files.turn(str(tmp_path), seconds=0).__enter__()
    with files.turn(str(tmp_path), seconds=0):
        pass


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(StrataError, match=r"could not hold .*: No such file"), files.turn(str(tmp_path / "none")):
        pass
