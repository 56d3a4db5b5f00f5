# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""namespace, planned from what the engine saw; the engine itself is held against a real kernel by its target."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
from ansible_collections.strata.virt.plugins.module_utils.engines import bootunit, pinned, systemd, unshare
from ansible_collections.strata.virt.plugins.module_utils.engines.pinned import Seen
from ansible_collections.strata.virt.plugins.module_utils.kinds.namespace import Namespace

MAP = [{"inside": 0, "outside": 100000, "count": 65536}]
WORDS = {
    "kinds": "net,uts,user,time,mnt",
    "uid_map": "0:100000:65536",
    "gid_map": "0:100000:65536",
    "boottime": "86400",
    "hostname": "isolated",
    "loopback": "yes",
}
SPEC = {
    "kinds": ["mnt", "net", "uts", "user", "time"],
    "hostname": "isolated",
    "uid_map": MAP,
    "gid_map": MAP,
    "time_offsets": {"boottime": 86400},
}
IDS = {kind: f"4:402653218{number}" for number, kind in enumerate(WORDS["kinds"].split(","))}
HELD_WORDS = {"kinds": "net,pid", "loopback": "yes", "owner": "site"}


def seen(**more) -> Seen:
    there = Seen(
        list(IDS),
        {"owner": "", "words": WORDS, "ids": IDS},
        live={"hostname": "isolated", "loopback": True},
    )
    return Seen(**{**vars(there), **more})


def held(**more) -> Seen:
    noted = {"owner": "site", "words": HELD_WORDS, "ids": {"net": "4:7", "pid": "4:8"}, "holder": "42"}
    return Seen(**{**vars(Seen(["net", "pid"], noted, live={"loopback": True})), **more})


@pytest.fixture(autouse=True)
def _a_whole_host(monkeypatch):
    """Whatever kernel and init this runs on."""
    monkeypatch.setattr(pinned, "lacking", lambda kinds: [])
    monkeypatch.setattr(systemd, "booted", lambda: True)
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", "", "", "")))


def plan_of(monkeypatch, options, there=None, **more):
    monkeypatch.setattr(pinned, "read", lambda names: {name: there or Seen() for name in names})
    resource = Namespace({"name": "x", **options}, **more)
    return resource.plan(resource.observe(None, resource.read_many(None, ["x"]).get("x", ABSENT)))


def told(plan) -> list[tuple]:
    return [(change.name, change.after, change.effect.value) for change in plan.changes]


def test_what_was_made_is_what_is_declared(monkeypatch):
    assert told(plan_of(monkeypatch, SPEC, seen())) == []


def test_an_export_changes_nothing(monkeypatch):
    monkeypatch.setattr(pinned, "read", lambda names: {"x": seen()})
    (state,) = Namespace.read_many(None, ["x"]).values()
    options = Namespace.export("x", state)
    assert told(plan_of(monkeypatch, options, seen())) == []
    assert state.facts["namespaces"]["net"] == 4026532180


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"hostname": "other"}, [("hostname", "other", "live")]),
        ({"loopback": False}, [("loopback", False, "live")]),
        ({"kinds": ["net", "uts"], "uid_map": [], "gid_map": [], "time_offsets": None}, None),
        ({"uid_map": [{"inside": 0, "outside": 0, "count": 1}]}, None),
        ({"time_offsets": {"boottime": 1}}, [("time_offsets[boottime]", 1, "recreate")]),
        ({"time_offsets": {"monotonic": 0}}, []),
    ],
)
def test_the_cheapest_effect_that_does_it(monkeypatch, options, changes):
    plan = plan_of(monkeypatch, {**SPEC, **options}, seen())
    assert changes is None or told(plan) == changes
    effects = {change.effect.value for change in plan.changes}
    assert plan.steps == (("recreate",) if "recreate" in effects else ("update",) if effects else ())
    assert changes is not None or "recreate" in effects
    never = plan_of(monkeypatch, {**SPEC, **options, "recreate": "never"}, seen())
    assert bool(never.restart_required) == ("recreate" in effects)


def test_a_name_that_is_dropped_is_the_hosts_again(monkeypatch):
    plan = plan_of(monkeypatch, {"kinds": SPEC["kinds"]}, seen(), applied={"hostname": "isolated"}, owner="site")
    assert told(plan) == [("hostname", "host", "live")]


def test_a_set_that_is_not_whole_is_made_anew(monkeypatch):
    for there in (
        seen(kinds=["uts", "user", "time", "mnt"], live={"hostname": "isolated"}),
        Seen([], {"words": {}, "ids": {}}),
    ):
        assert plan_of(monkeypatch, SPEC, there).steps == ("recreate",)


def test_what_is_in_use_is_left_alone(monkeypatch):
    used = seen(processes=["7 (nginx)", *(f"{pid} (sh)" for pid in range(8, 20))])
    for options in ({"state": "absent"}, {**SPEC, "kinds": [*SPEC["kinds"], "ipc"]}, {**SPEC, "recreate": "always"}):
        with pytest.raises(StrataError, match=r"in use by 7 \(nginx\), 8 \(sh\).* and 8 more. End them"):
            plan_of(monkeypatch, options, used)
    assert plan_of(monkeypatch, {**SPEC, "hostname": "other"}, used).steps == ("update",)


def test_what_proc_does_not_tell_is_not_taken_for_nobody(monkeypatch):
    (state,) = (Namespace._state("x", seen(hidden=True)),)
    assert (state.facts["processes"], state.facts["users"]) == (None, [])
    with pytest.raises(StrataError, match="doesn't tell whether a process is in it"):
        plan_of(monkeypatch, {"state": "absent"}, held(hidden=True))
    assert plan_of(monkeypatch, {"state": "absent"}, seen(hidden=True)).steps == ("remove",)  # none would be killed


def test_what_the_next_boot_makes_is_compared_apart(monkeypatch):
    spec = {**SPEC, "persistent": True}
    fresh = plan_of(monkeypatch, spec, seen())
    assert dict(told_pairs(fresh)) == {"persistent": True, **{f"stored[{word}]": text for word, text in WORDS.items()}}
    assert fresh.steps == ("update",)
    assert told(plan_of(monkeypatch, spec, seen(unit={**WORDS, "owner": ""}, enabled=True))) == []
    edited = plan_of(monkeypatch, spec, seen(unit={**WORDS, "hostname": "edited", "monotonic": "5"}, enabled=True))
    assert told_pairs(edited) == [("stored[hostname]", "isolated"), ("stored[monotonic]", None)]
    silent = plan_of(monkeypatch, {"persistent": True}, seen(unit={**WORDS, "hostname": "theirs"}, enabled=True))
    assert told(silent) == []
    off = plan_of(monkeypatch, {**SPEC, "persistent": False}, seen(unit=WORDS, enabled=True))
    assert ("persistent", False) in told_pairs(off)


def test_a_unit_says_nothing_of_the_loopback_where_there_is_no_network(monkeypatch):
    plan = plan_of(monkeypatch, {"kinds": ["uts"], "hostname": "isolated", "persistent": True})
    assert plan.want["stored"] == {"kinds": "uts", "hostname": "isolated"}


def told_pairs(plan) -> list[tuple]:
    return [(change.name, change.after) for change in plan.changes]


def test_a_unit_that_is_left_is_taken_away(monkeypatch):
    left = Seen(unit={**WORDS, "owner": "site"})
    monkeypatch.setattr(pinned, "read", lambda names: {"x": left})
    assert Namespace.read_many(None, ["x"])["x"].owner == "site"
    assert plan_of(monkeypatch, {"state": "absent"}, left).steps == ("remove",)
    assert plan_of(monkeypatch, SPEC, left).steps == ("create",)
    assert not plan_of(monkeypatch, {"state": "absent"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "../x"}, "name: "),
        ({"kinds": ["disk"]}, "knows no 'disk'"),
        ({"kinds": []}, "one kind or more"),
        ({"kinds": ["net"], "hostname": "x"}, "hostname: belongs to a set with a namespace of kind uts"),
        ({"kinds": ["net"], "uid_map": MAP}, "uid_map: belongs to a set with a namespace of kind user"),
        ({"kinds": ["net"], "time_offsets": {"boottime": 1}}, "time_offsets: belongs"),
        ({"hostname": "a b"}, "is no host name"),
        ({"hostname": "x" * 65}, "64 bytes"),
        (
            {"uid_map": [*MAP, {"inside": 1000, "outside": 500000, "count": 9}]},
            "uid_map: the lines '0 100000 65536' and '1000 500000 9' overlap inside",
        ),
        (
            {"gid_map": [{"inside": 70000, "outside": 165535, "count": 9}, *MAP]},
            "gid_map: the lines '0 100000 65536' and '70000 165535 9' overlap outside",
        ),
        ({"uid_map": [*MAP, *MAP]}, "overlap inside"),
        ({"uid_map": [{"inside": 0, "outside": 4294967290, "count": 6}]}, "beyond the last id, 4294967294, outside"),
        ({"uid_map": [{"inside": 0, "outside": 0, "count": 0}]}, "uid_map.count: must be 1 or more"),
        ({"uid_map": [{"inside": n, "outside": n, "count": 1} for n in range(341)]}, "the kernel takes 340"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(StrataError, match=message):
        Namespace({"name": "x", **options})


def test_neighbouring_lines_do_not_overlap():
    rows = [*MAP, {"inside": 65536, "outside": 165536, "count": 1}, {"inside": 70000, "outside": 0, "count": 100000}]
    assert len(Namespace({"name": "x", "uid_map": rows[::-1]}).spec["uid_map"]) == 3


@pytest.mark.parametrize("options", [{"kinds": ["pid"]}, {"kinds": ["net"], "persistent": True}])
def test_what_needs_systemd_is_told_without_it(monkeypatch, options):
    monkeypatch.setattr(systemd, "booted", lambda: False)
    with pytest.raises(StrataError, match="by a unit of systemd, which does not run this host"):
        plan_of(monkeypatch, options)


def test_a_kernel_without_a_kind_is_told(monkeypatch):
    monkeypatch.setattr(pinned, "lacking", lambda kinds: ["time"])
    with pytest.raises(StrataError, match="kinds: this kernel has no namespaces of kind time"):
        plan_of(monkeypatch, {"kinds": ["net", "time"]})


def test_no_kinds_are_made_up(monkeypatch):
    with pytest.raises(StrataError, match="kinds: is required"):
        plan_of(monkeypatch, {"hostname": "x"})


class Host:
    """Notes what a kind has done to the host."""

    def __init__(self, monkeypatch, fails: int = 0) -> None:
        self.done: list[tuple] = []
        self.fails = fails
        for verb in ("make", "keep", "start", "remove", "set_hostname", "set_loopback"):
            monkeypatch.setattr(pinned, verb, lambda *args, verb=verb, **more: self.do(verb, *args, *more.values()))

    def do(self, verb, *args):
        self.done.append((verb, *args))
        if verb == "make" and self.fails:
            self.fails -= 1
            raise StrataError("no")


def test_what_is_made_has_what_was_given(monkeypatch):
    host = Host(monkeypatch)
    resource = Namespace({"name": "x", **SPEC}, owner="site")
    resource.create(None, plan_of(monkeypatch, SPEC))
    assert host.done == [("make", "x", {**WORDS, "owner": "site"})]


def test_what_has_to_live_is_held_by_a_unit(monkeypatch):
    host = Host(monkeypatch)
    resource = Namespace({"name": "x", "kinds": ["net", "pid"]})
    resource.create(None, plan_of(monkeypatch, {"kinds": ["net", "pid"]}))
    assert [one[0] for one in host.done] == ["keep", "start"]
    assert host.done[0][-1] is False, "the next boot would make it"


def test_what_is_made_anew_keeps_what_nobody_declares(monkeypatch):
    host = Host(monkeypatch)
    options = {"kinds": ["net", "uts", "user"]}
    resource = Namespace({"name": "x", **options})
    resource.recreate(None, plan_of(monkeypatch, options, seen()))
    kept = {word: WORDS[word] for word in ("uid_map", "gid_map", "hostname", "loopback")}
    assert host.done == [("remove", "x"), ("make", "x", {"kinds": "net,uts,user", **kept, "owner": ""})]


def test_there_is_a_way_back(monkeypatch):
    host = Host(monkeypatch, fails=1)
    options = {**SPEC, "kinds": [*SPEC["kinds"], "ipc"]}
    resource = Namespace({"name": "x", **options})
    with pytest.raises(StrataError, match="could not be made anew, so one as before is there: no"):
        resource.recreate(None, plan_of(monkeypatch, options, seen()))
    assert host.done[-1] == ("make", "x", {**WORDS, "owner": ""})


@pytest.mark.parametrize(("words", "kind"), [(WORDS, "oneshot"), (HELD_WORDS, "forking")])
def test_a_unit_says_what_is_read_from_it(monkeypatch, tmp_path, words, kind):
    (tmp_path / pinned.unit("x")).write_text(pinned._text("x", words))
    unit = bootunit.read(pinned.unit("x"), str(tmp_path))
    assert unit.last("Service", "Type") == kind
    monkeypatch.setattr(bootunit, "enabled", lambda name: True)
    monkeypatch.setattr(bootunit, "read", lambda name: unit)
    assert pinned._seen("x").unit == words


def test_words_are_read_as_they_were_written():
    values = Namespace({"name": "x", **SPEC, "time_offsets": {"boottime": 86400, "monotonic": 0}}).spec
    words = pinned.words(values)
    assert words == WORDS
    back = pinned.values(words)
    assert {key: values[key] for key in back} == back


def test_a_set_is_told_by_its_namespaces_not_by_files(monkeypatch, tmp_path):
    monkeypatch.setattr(unshare, "FOLDER", str(tmp_path))
    (tmp_path / "x").mkdir()
    for kind in IDS:
        (tmp_path / "x" / kind).touch()
    unshare.write_note("x", {"owner": "", "words": WORDS, "ids": IDS})
    assert pinned.read(["x", "none"]) == {
        "x": Seen([], {"owner": "", "words": WORDS, "ids": IDS}),
        "none": Seen(),
    }


def test_command_lines_are_split_again():
    argv = ["/bin/x", "a b", "50%", "$HOME", 'q"', "\\n", ""]
    assert bootunit.quoted(argv) == '/bin/x "a b" 50% $$HOME "q\\"" \\\\n ""'
    assert bootunit.words(bootunit.quoted(argv)) == argv
    text = bootunit.render([("Service", "ExecStart", ["/bin/x 50%"])])
    assert "ExecStart=/bin/x 50%%" in text


@pytest.mark.parametrize(("helps", "tried"), [(3, [None, 1, 3]), (9, [None, 1, 3])])
def test_mount_namespaces_are_tried_on_each_cpu(monkeypatch, tmp_path, helps, tried):
    """A fake of Linux 6.18, within another mount namespace: where it works is up to where that was made."""
    seen_cpus = []

    def make(name, told, cpu):
        seen_cpus.append(cpu)
        if cpu != helps:
            raise unshare._Refused(errno.EINVAL, "could not mount it")

    monkeypatch.setattr(unshare, "FOLDER", str(tmp_path))
    monkeypatch.setattr(unshare, "_share", lambda: None)
    monkeypatch.setattr(unshare, "_make", make)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 3})
    if helps == 3:
        unshare.make("x", {"kinds": "mnt"})
    else:
        with pytest.raises(OSError, match="could not mount it"):
            unshare.make("x", {"kinds": "mnt"})
    assert seen_cpus == tried
