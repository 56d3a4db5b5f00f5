# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
import multiprocessing
import os
import signal
import stat
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import files, turns
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError

fork = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def _a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "strata").mkdir()
    monkeypatch.setattr(turns, "folder", lambda: str(tmp_path / "strata"))


def test_only_one_at_a_time(tmp_path: Path):
    def add(*order: str) -> None:
        for _time in range(20):
            with turns.held({word: word for word in order}):
                count = int(files.read(f"{tmp_path}/count") or 0)
                files.write(f"{tmp_path}/count", str(count + 1))

    # Whatever order they come in, no two wait for each other.
    others = [
        fork.Process(target=add, args=("one", "other")),
        fork.Process(target=add, args=("other", "one")),
        threading.Thread(target=add, args=("one", "other")),
        threading.Thread(target=add, args=("other", "one")),
    ]
    for other in others:
        other.start()
    for other in others:
        other.join(timeout=60)
    assert (tmp_path / "count").read_text() == "80"


def test_nobody_waits_for_something_else():
    with turns.held({("cgroup", "a", ()): "cgroup/a"}), turns.held({("cgroup", "b", ()): "cgroup/b"}, seconds=0):
        pass


def test_who_only_looks_waits_for_nobody(tmp_path: Path):
    with turns.held({"one": "cgroup/one"}), turns.held({"one": "cgroup/one"}, check_mode=True, seconds=0):
        pass
    with turns.held({"one": "cgroup/one"}, check_mode=True), turns.held({"one": "cgroup/one"}, seconds=0):
        pass


def test_who_waits_says_for_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STRATA_PROGRESS", str(tmp_path / "line"))
    late = turns.held({"one": "cgroup/one"}, seconds=0.2)
    with turns.held({"one": "cgroup/one"}), pytest.raises(StrataError, match="cgroup/one is being") as error:
        late.__enter__()
    assert "lsof" in str(error.value)
    assert (tmp_path / "line").read_text() == "waiting for another run that changes cgroup/one\n"


def test_what_a_killed_run_held_is_free():
    ready = fork.Event()

    def hold() -> None:
        with turns.held({"one": "cgroup/one"}):
            ready.set()
            signal.pause()

    other = fork.Process(target=hold)
    other.start()
    assert ready.wait(60)
    with pytest.raises(StrataError, match="is being changed"):
        turns.held({"one": "cgroup/one"}, seconds=0).__enter__()
    os.kill(other.pid, signal.SIGKILL)
    other.join(60)
    with turns.held({"one": "cgroup/one"}, seconds=0):
        pass


def test_no_turn_where_there_is_no_place_for_it(tmp_path: Path):
    (tmp_path / "strata" / "turns").mkdir()
    with pytest.raises(StrataError, match=r"could not take turns with other runs at .*/strata/turns"):
        turns.held({"one": "cgroup/one"}).__enter__()


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a session and a home, and where everybody can write."""
    monkeypatch.undo()
    monkeypatch.setattr(turns.os, "geteuid", lambda: 65534)

    def refuse(*_words, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(turns.os, "makedirs", refuse)
    monkeypatch.setattr(turns.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path / "strata-65534"


def test_who_has_neither_a_session_nor_a_home(nobody: Path, monkeypatch: pytest.MonkeyPatch):
    owner = SimpleNamespace(st_uid=65534)
    monkeypatch.setattr(turns.os, "lstat", lambda _path: owner)
    assert [turns.folder(), turns.folder()] == [str(nobody)] * 2
    assert stat.S_IMODE(nobody.stat().st_mode) == 0o700


def test_a_place_that_somebody_else_has_taken_is_not_ours(nobody: Path):
    nobody.mkdir()
    with pytest.raises(StrataError, match="belongs to somebody else"):
        turns.folder()
