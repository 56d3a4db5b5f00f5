# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""chroot: what is mounted in a jail, what its units say, and what is planned. The table of mounts is a host's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, Layer, State
from ansible_collections.strata.virt.plugins.module_utils.engines import mounts, mountunit, systemd
from ansible_collections.strata.virt.plugins.module_utils.engines.unitfile import UnitFile
from ansible_collections.strata.virt.plugins.module_utils.kinds import chroot
from ansible_collections.strata.virt.plugins.module_utils.kinds.chroot import Chroot
from ansible_collections.strata.virt.plugins.module_utils.kinds.chroot_mounts import (
    WORDS,
    assign,
    bind,
    items,
    look,
    sorted_words,
)
from ansible_collections.strata.virt.plugins.module_utils.kinds.chroot_units import stored, unit_text

FIXTURES = Path(__file__).parents[1] / "fixtures" / "chroot"
TOP = "/srv/strata-test"
JAIL = f"{TOP}/jail"
DATA = {"source": f"{TOP}/data", "path": "/data", "read_only": True}
FILE = {"source": f"{TOP}/file", "path": "/etc/file", "read_only": False}
FACTS = {"units": [], "binds": [], "points": {}, "others": {}, "root": [], "missing": [], "real": {}}
LIVE = {"mounts": ("proc", "sys"), "binds": (DATA,), "extra": ()}
MOUNTED = State("mounted", {**LIVE, "persistent": False}, LIVE, FACTS, "")


@pytest.fixture(autouse=True)
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd, "UNITS", str(tmp_path / "units"))
    monkeypatch.setattr(mountunit, "JAILS", str(tmp_path / "notes"))


@pytest.fixture
def table():
    return mounts.Table(mounts.parse((FIXTURES / "mountinfo").read_text()))


def see(table, tree, *rows, **points):
    """What is at the places of all words and some binds, where no link leads elsewhere."""
    wanted = items(WORDS, rows)
    places = {item: points.get(item.word, tree + item.place) for item in wanted}
    return {seen.item.word or seen.item.place: seen for seen in assign(table, tree, places)}


def plan(seen, facts=None, **options):
    return Chroot({"path": JAIL, **options}).plan(replace(seen, facts={**FACTS, **seen.facts, **(facts or {})}))


def test_words_have_an_order_of_their_own():
    assert sorted_words(word for word in ("resolv_conf", "devpts", "proc", "dev")) == (
        "proc",
        "dev",
        "devpts",
        "resolv_conf",
    )
    assert [item.word for item in items(["tmp", "sys"], [DATA])] == ["sys", "tmp", ""]


def test_what_is_mounted_is_found(table):
    seen = see(table, JAIL, DATA)
    right = {name for name, one in seen.items() if one.right}
    assert right == {"proc", "sys", "dev", "devpts", "resolv_conf", "/data"}
    assert seen["/data"].read_only is True
    assert seen["tmp"].mount is None


def test_drift_is_seen(table):
    seen = see(table, f"{TOP}/drifted", DATA, FILE)
    assert (seen["proc"].mount, seen["proc"].other.type) == (None, "tmpfs")
    assert [mount.type for mount in seen["sys"].extra] == ["tmpfs"]
    assert seen["/data"].mount is not None
    assert (seen["/data"].right, seen["/data"].read_only) == (False, False)
    assert seen["/etc/file"].mount is None  # what it shows was replaced
    assert [mount.root for mount in seen["/etc/file"].extra] == ["/file//deleted"]


def test_a_mount_is_that_words_whose_place_it_is(table):
    tree = f"{TOP}/linked"
    seen = see(table, tree, tmp=f"{tree}/run", shm=f"{tree}/run")
    assert seen["run"].right
    assert (seen["tmp"].mount, seen["shm"].mount) == (None, None)
    assert seen["tmp"].other.point == f"{tree}/run"


def test_the_trees_own_mount_is_nobodys(table):
    assert see(table, TOP, tmp=TOP)["tmp"].mount is None


def test_what_comes_from_a_read_only_file_system_is_right_either_way():
    lines = [
        "1 0 8:1 / / rw - ext4 /dev/sda rw",
        "2 1 8:2 / /media ro - iso9660 /dev/sr0 ro",
        "3 1 8:2 /x /j/m ro - iso9660 /dev/sr0 ro",
    ]
    table = mounts.Table(mounts.parse("\n".join(lines)))
    for read_only in (True, False):
        item = bind({"source": "/media/x", "path": "/m", "read_only": read_only})
        assert look(table, item, "/j/m", lambda path: path).right


def test_the_same_declaration_changes_nothing():
    assert not plan(MOUNTED, mounts=["sys", "proc", "proc"], binds=[DATA])
    assert not plan(MOUNTED, binds=[{"source": DATA["source"], "path": "/data/"}])  # read_only isn't managed
    assert not plan(MOUNTED)
    assert not Chroot(Chroot.export(JAIL, MOUNTED)).plan(MOUNTED)


def test_what_is_declared_is_mounted_live():
    made = plan(MOUNTED, mounts=["proc", "tmp"], binds=[])
    assert (made.steps, made.restart_required) == (("update",), [])
    assert [(change.name, change.layer) for change in made.changes] == [
        ("mounts", Layer.LIVE),
        ("binds[/data]", Layer.LIVE),
    ]
    assert plan(ABSENT, mounts=["proc"]).steps == ("create", "start")
    assert plan(MOUNTED, state="unmounted").steps == ("stop",)
    assert plan(MOUNTED, state="absent").steps == ("remove",)
    assert not plan(ABSENT, state="unmounted")


def test_what_is_on_top_goes():
    drifted = replace(MOUNTED, live={**LIVE, "extra": ("tmpfs on /sys",)})
    made = plan(drifted)
    assert [(change.name, change.before) for change in made.changes] == [("extra", ["tmpfs on /sys"])]
    facts = {"points": {"/proc": f"{JAIL}/proc", "/sys": f"{JAIL}/sys"}}
    resource = Chroot({"path": JAIL, "mounts": ["proc", "sys"]})
    assert resource._taken_down(replace(drifted, facts={**FACTS, **facts})) == [f"{JAIL}/sys"]
    less = Chroot({"path": JAIL, "mounts": ["sys"]})
    assert less._taken_down(replace(MOUNTED, facts={**FACTS, **facts})) == [f"{JAIL}/proc"]
    assert resource._taken_down(replace(MOUNTED, facts={**FACTS, **facts})) == []


def test_who_uses_it_is_named():
    with pytest.raises(StrataError, match=r"in use by process 7 \(sh\)"):
        plan(MOUNTED, {"users": ["process 7 (sh)"]}, state="absent")


@pytest.mark.parametrize(
    ("options", "facts", "words"),
    [
        ({"mounts": ["tmp"]}, {"others": {"/tmp": "tmpfs from x"}}, "mounts: something else is mounted at its /tmp"),
        ({"mounts": ["tmp"]}, {"root": ["/tmp"]}, "mounts: /tmp of the tree is a link to the tree itself"),
        ({}, {"missing": [("path", JAIL)]}, "path: is not there"),
        ({}, {"real": {JAIL: "/else"}}, "path: leads through a symbolic link; it is /else"),
        ({"binds": [DATA]}, {"real": {DATA["source"]: "/else"}}, "binds: leads through a symbolic link"),
        ({"persistent": True}, {}, "persistent: there is nothing to keep"),
        ({"persistent": True, "binds": [{**DATA, "path": '/"'}]}, {}, "persistent: can't be written in a mount unit"),
    ],
)
def test_what_can_not_be_is_refused(options, facts, words):
    with pytest.raises(StrataError, match=words):
        plan(ABSENT, facts, **options)
    assert not plan(ABSENT, facts, state="absent")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": "/"}, "path: is the host itself"),
        ({"mounts": ["cgroup"]}, "mounts: knows no 'cgroup'"),
        ({"binds": [{"source": "/srv", "path": "/"}]}, "binds.path: must be a place in the tree"),
        ({"mounts": ["tmp"], "binds": [{"source": "/srv", "path": "/tmp"}]}, "binds: /tmp is taken by tmp"),
    ],
)
def test_bad_options_are_refused_before_anything_is_read(options, words):
    with pytest.raises(StrataError, match=words):
        Chroot({"path": JAIL, **options})


def units(rows=(), words=("proc", "dev", "resolv_conf")):
    texts = {
        mountunit.name(f"/srv/jail{item.place}"): unit_text(None, item, "/srv/jail", f"/srv/jail{item.place}", "web")
        for item in items(words, rows)
    }
    return {name: UnitFile(text) for name, text in texts.items()}


def test_units_say_all_and_read_back():
    made = units([{"source": "/srv/data", "path": "/data", "read_only": True}])
    for name, file in made.items():
        assert file.text == (FIXTURES / name.replace("\\x2e", ".")).read_text()
    said = stored(made)
    assert said["owner"] == "web"
    assert said["config"]["mounts"] == ("proc", "dev", "resolv_conf")
    assert said["config"]["binds"] == ({"source": "/srv/data", "path": "/data", "read_only": True},)
    assert said["config"]["persistent"] is False  # nobody enabled them


def test_a_unit_that_was_changed_by_hand_is_not_what_was_declared():
    made = units()
    made["srv-jail-proc.mount"].set("Mount", "Options", ["defaults"])
    assert stored(made)["config"]["mounts"] == ("dev", "resolv_conf")


def test_stored_and_mounted_are_told_apart():
    config = {"mounts": ("proc",), "binds": (), "persistent": True}
    state = State("mounted", config, LIVE, {**FACTS, "units": ["srv-jail-proc.mount"]}, "")
    assert plan(state, mounts=["proc", "sys"]).steps == ("configure",)
    assert plan(state, mounts=["proc"]).steps == ("update",)
    assert plan(state, mounts=["tmp"]).steps == ("configure", "update")
    assert plan(state, persistent=False).steps == ("configure",)
    booted_without = replace(state, status="unmounted", live=None)
    assert plan(booted_without).steps == ("start",)
    assert plan(booted_without, state="unmounted").steps == ()


def test_the_tree_and_the_sources_are_needed():
    entry = Chroot({"path": JAIL, "binds": [DATA]})
    assert list(entry.needs()) == [("path", JAIL), ("path", DATA["source"])]


def test_a_jail_that_is_there_at_boot_needs_systemd(monkeypatch, tmp_path):
    monkeypatch.setattr(systemd, "booted", lambda: False)
    jail = Chroot({"path": str(tmp_path), "persistent": True, "mounts": ["proc"]})
    with pytest.raises(StrataError, match="persistent: this host was not booted with systemd"):
        jail.observe(chroot.Chroot.open(jail.spec), ABSENT)
