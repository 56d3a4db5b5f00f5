# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of LXC containers: planning, and the folders that they are; the container is a folder, too."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import State
from ansible_collections.strata.virt.plugins.module_utils.engines import lxc, lxc_snaps
from ansible_collections.strata.virt.plugins.module_utils.engines.lxc_config import Config
from ansible_collections.strata.virt.plugins.module_utils.kinds.lxc_snapshot import LxcSnapshot

EXAMPLE = {"container": "web1", "name": "before-upgrade", "lxc_path": "/var/lib/lxc"}


def facts(**more) -> dict:
    return {"container": True, "ours": [], "leftovers": [], "running": False, **more}


def there(**more) -> State:
    restored = more.pop("restored", None)
    known = facts(identity="1a", **more)
    return State("present", {"comment": "", "restored": restored}, None, known, "")


def wanted(**more) -> LxcSnapshot:
    return LxcSnapshot({**EXAMPLE, **more})


# Planning.


def test_one_that_is_there_is_not_made_anew():
    assert wanted().plan(State(facts=facts())).steps == ("create",)
    assert not wanted().plan(there())


def test_the_oldest_of_ours_go():
    old = ["mon", "tue", "wed"]
    assert wanted(keep=3).plan(State(facts=facts(ours=old))).steps == ("create", "trim")
    plan = wanted(keep=2).plan(there(ours=["mon", "before-upgrade", "tue", "wed"]))
    assert plan.steps == ("trim",)
    assert plan.changes[0].before == ["mon", "tue"]
    assert not wanted(keep=2).plan(there(ours=["before-upgrade", "wed"]))


def test_restoring_is_done_once_for_each_request():
    assert wanted(state="restored").plan(there()).steps == ("update",)
    assert not wanted(state="restored").plan(there(restored="1a"))
    assert wanted(state="restored", restore_id="x").plan(there(restored="1a")).steps == ("update",)
    assert not wanted(state="restored", restore_id="x").plan(there(restored="1a x"))
    assert not wanted().plan(there(restored="other"))


def test_a_running_container_is_stopped_only_where_that_is_allowed():
    with pytest.raises(StrataError, match="restart: if_needed"):
        wanted(state="restored").plan(there(running=True))
    assert wanted(state="restored", restart="if_needed").plan(there(running=True)).steps == ("update",)


def test_what_a_killed_run_had_stopped_is_started():
    assert wanted(state="restored").plan(there(restored="1a", start=True)).steps == ("start",)


def test_what_a_killed_run_has_left_is_cleared():
    assert wanted().plan(there(leftovers=["x"])).steps == ("clear",)
    assert wanted(state="absent").plan(State(facts=facts(leftovers=["x"]))).steps == ("clear",)


@pytest.mark.parametrize(
    ("more", "state", "words"),
    [
        ({}, State(facts=facts(container=False)), "no such container"),
        ({"state": "restored"}, State(facts=facts()), "no such snapshot"),
    ],
)
def test_what_is_missing_is_named(more, state, words):
    with pytest.raises(StrataError, match=words):
        wanted(**more).plan(state)


def test_a_container_of_the_same_stack_is_promised():
    snapshot = wanted()
    snapshot.promised = frozenset({("lxc", "/var/lib/lxc/web1")})
    assert snapshot.plan(State(facts={"container": False, "running": False})).steps == ("create",)


def test_one_is_kept_at_least():
    with pytest.raises(StrataError, match="keep"):
        wanted(keep=0)


# Folders.


class Stopped:
    """As much of the engine as a container needs that doesn't run."""

    def __init__(self, path) -> None:
        self.path = path

    def folder(self, name):
        return f"{self.path}/{name}"

    def active(self, names):
        return []

    def read_config(self, name):
        return self.config_at(self.folder(name))

    def config_at(self, folder, name="config"):
        return lxc.Lxc.config_at(folder, name)

    def write_config(self, name, config):
        with open(f"{self.folder(name)}/config", "w") as file:
            file.write(config.text)


@pytest.fixture
def engine(tmp_path):
    root = tmp_path / "c" / "rootfs"
    root.mkdir(parents=True)
    (root / "data").write_text("old")
    (root / "out").symlink_to("/etc")
    os.mkfifo(root / "pipe")
    text = f"lxc.uts.name = c\nlxc.rootfs.path = dir:{root}\n"
    (tmp_path / "c" / "config").write_text(text)
    return Stopped(tmp_path)


def test_made_listed_restored_and_removed(engine, tmp_path):
    root = tmp_path / "c" / "rootfs"
    lxc_snaps.make(engine, "c", "one", "before\tit", "web")
    lxc_snaps.make(engine, "c", "two", "", "web")
    place = tmp_path / "c" / "snaps" / "one"
    assert Config((place / "config").read_text()).get("lxc.rootfs.path") == f"dir:{place}/rootfs"
    assert (place / "rootfs" / "out").is_symlink()
    one, two = lxc_snaps.listed(engine.folder("c"))
    assert (one["name"], one["comment"], one["owner"], two["name"]) == ("one", "before\tit", "web", "two")
    (root / "data").write_text("new")
    (root / "more").write_text("")
    lxc_snaps.restore(engine, "c", "one", "request")
    assert sorted(os.listdir(root)) == ["data", "out", "pipe"]
    assert (root / "data").read_text() == "old"
    assert (place / "rootfs" / "data").read_text() == "old"
    assert lxc_snaps.noted(engine.folder("c")) == {"request": "request"}
    assert engine.read_config("c").get("lxc.rootfs.path") == f"dir:{root}"
    lxc_snaps.remove(engine, "c", "one")
    lxc_snaps.remove(engine, "c", "two")
    assert sorted(os.listdir(tmp_path / "c")) == ["config", "rootfs", "strata-restored.json"]


def test_those_of_lxc_are_listed_by_their_time(engine, tmp_path):
    place = tmp_path / "c" / "snaps" / "snap0"
    place.mkdir(parents=True)
    (place / "ts").write_text("2026:01:02 03:04:05\n")
    lxc_snaps.make(engine, "c", "later", "", "")
    os.utime(place / "ts", (1, 1))
    theirs, ours = lxc_snaps.listed(engine.folder("c"))
    assert (theirs["name"], theirs["created"], theirs["owner"]) == ("snap0", "2026:01:02 03:04:05", None)
    assert ours["owner"] == ""


def test_a_root_that_is_no_directory_is_refused(engine, tmp_path):
    (tmp_path / "c" / "config").write_text("lxc.rootfs.path = overlay:/a:/b\n")
    with pytest.raises(StrataError, match="no plain directory"):
        lxc_snaps.make(engine, "c", "one", "", "")
    assert sorted(os.listdir(tmp_path / "c")) == ["config", "rootfs"]


def test_half_of_one_is_cleared(engine, tmp_path):
    (tmp_path / "c" / lxc_snaps.WORK / "snapshot").mkdir(parents=True)
    assert lxc_snaps.half_made(engine.folder("c"))
    lxc_snaps.make(engine, "c", "one", "", "")
    assert lxc_snaps.half_made(engine.folder("c")) == []
