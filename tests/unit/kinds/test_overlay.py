# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""overlay: what is mounted, what is stored, and what is planned. The table of mounts is a host's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, Layer
from ansible_collections.strata.virt.plugins.module_utils.engines import mounts, overlayfs, systemd
from ansible_collections.strata.virt.plugins.module_utils.kinds import overlay
from ansible_collections.strata.virt.plugins.module_utils.kinds.overlay import Overlay

FIXTURES = Path(__file__).parents[1] / "fixtures" / "overlay"
TOP = "/srv/strata-test/t"
KNOWN = {"metacopy": "off", "index": "off", "nfs_export": "off", "verity": "off", "redirect_dir": "follow"}
KNOWN["follows"] = "yes"
LAYERS = {"lower": ["/srv/a", "/srv/b"], "upper": "/srv/upper", "work": "/srv/work"}


class Recorded(mounts.Host):
    def read(self):
        self.table = mounts.Table(mounts.parse((FIXTURES / "mountinfo").read_text()))
        return self.table


@pytest.fixture(autouse=True)
def units(tmp_path, monkeypatch):
    """systemd's folder, empty; the kernel's own defaults."""
    monkeypatch.setattr(systemd, "UNITS", str(tmp_path / "units"))
    monkeypatch.setattr(overlay, "_NOTES", str(tmp_path / "notes"))
    monkeypatch.setattr(overlayfs, "defaults", lambda: KNOWN)
    (tmp_path / "units" / "local-fs.target.wants").mkdir(parents=True)
    return tmp_path / "units"


@pytest.fixture
def host():
    names = [f"{TOP}/{name}" for name in ("merged", "odd names", "volatile", "twice", "theirs", "covered", "gone")]
    found = Overlay.read_many(Recorded(), names)
    return {name.rpartition("/")[2]: state for name, state in found.items()}


def known(state, **facts):
    given = {"missing": [], "real": {}, "mount_of": {}, "taken": {}, "defaults": KNOWN, "unit": None}
    return replace(state, facts={**given, **state.facts, **facts})


def plan(seen, facts=None, name="merged", **options):
    return Overlay({"path": f"{TOP}/{name}", **options}).plan(known(seen, **(facts or {})))


def stored(units, *, enabled=True, **options):
    """The unit as it is written for a declaration, and the state that is read from it."""
    resource = Overlay({"path": "/srv/merged", "persistent": True, **options}, owner="web")
    made = resource.plan(known(ABSENT))
    text = resource._text(made, None)
    (units / "srv-merged.mount").write_text(text)
    if enabled:
        (units / "local-fs.target.wants" / "srv-merged.mount").symlink_to(units / "srv-merged.mount")
    return text, Overlay.read_many(Recorded(), ["/srv/merged"])["/srv/merged"]


def test_what_is_mounted_is_read(host):
    merged = host["merged"]
    assert (merged.status, merged.owner) == ("mounted", "web")
    assert merged.live["lower"] == (f"{TOP}/a", f"{TOP}/b")
    assert merged.live["options"] == ("metacopy=on", "nosuid", "redirect_dir=on")
    odd = host["odd names"].live
    assert odd["lower"] == (f"{TOP}/c:d", f"{TOP}/e f,g", f"{TOP}/h\\i")
    assert (odd["upper"], odd["work"]) == (f"{TOP}/u:p", f"{TOP}/w,k")
    assert host["volatile"].live["options"] == ("redirect_dir=nofollow", "userxattr", "volatile")
    assert (host["theirs"].status, host["theirs"].owner) == ("mounted", None)
    assert not host["gone"].exists


def test_only_ours_are_listed():
    assert sorted(Overlay.read_many(Recorded(), None)) == [
        f"{TOP}/{name}" for name in ("merged", "odd names", "twice", "volatile")
    ]


def test_the_same_declaration_changes_nothing(host):
    layers = {"lower": [f"{TOP}/a", f"{TOP}/b/"], "upper": f"{TOP}/up", "work": f"{TOP}/wk"}
    assert not plan(host["merged"], options=["nosuid", "metacopy"], **layers)
    assert not plan(host["merged"], persistent=False, **layers)
    assert not plan(host["merged"])
    for name in ("merged", "odd names", "volatile", "theirs"):
        exported = Overlay.export(f"{TOP}/{name}", host[name])
        assert not Overlay(exported).plan(known(host[name]))


def test_layers_change_by_mounting_anew_when_that_is_allowed(host):
    other = {"lower": [f"{TOP}/b"]}
    waits = plan(host["merged"], **other)
    assert (waits.steps, waits.restart_required) == ((), ["lower"])
    made = plan(host["merged"], restart="if_needed", **other)
    assert made.steps == ("restart",)
    assert [(change.name, change.layer) for change in made.changes] == [("lower", Layer.LIVE)]
    assert plan(host["merged"], restart="always").steps == ("restart",)


def test_one_mounted_on_another_is_one_too_many(host):
    made = plan(host["twice"], name="twice", restart="if_needed", lower=[f"{TOP}/b", f"{TOP}/a"])
    assert [(change.name, change.before, change.after) for change in made.changes] == [("mounts", 2, 1)]


def test_an_undeclared_option_stays_and_a_stacks_dropped_one_goes(host):
    assert not plan(host["merged"], lower=[f"{TOP}/a", f"{TOP}/b"])
    entry = Overlay({"path": f"{TOP}/merged", "restart": "if_needed"}, applied={"options": ["metacopy"]})
    assert [change.name for change in entry.plan(known(host["merged"])).changes] == ["options"]


def test_what_else_is_mounted_there_is_not_replaced(host):
    for state in ("mounted", "unmounted", "absent"):
        with pytest.raises(StrataError, match="something else is mounted there: tmpfs from strata-test"):
            plan(host["covered"], name="covered", state=state)
    facts = {"covered": ["tmpfs from x"]}
    assert not plan(ABSENT, facts, state="absent")


def test_who_uses_it_is_named(host):
    facts = {"users": ["process 7 (sh)"]}
    for options in ({"state": "absent"}, {"state": "unmounted"}, {"restart": "always"}):
        with pytest.raises(StrataError, match=r"in use by process 7 \(sh\)"):
            plan(host["merged"], facts, **options)
    assert not plan(host["merged"], facts)


def test_unmounted_without_a_unit_leaves_nothing(host):
    assert plan(host["merged"], state="unmounted").steps == ("stop",)
    assert not plan(ABSENT, state="unmounted")


@pytest.mark.parametrize(
    ("options", "facts", "words"),
    [
        ({"lower": ["/srv/a"]}, {}, "lower: two layers or more"),
        ({"lower": ["/srv/a"], "upper": "/srv/u"}, {}, "work: goes with the other"),
        ({"lower": ["/srv/a"], "work": "/srv/w"}, {}, "upper: goes with the other"),
        ({}, {}, "lower: must be given"),
        (LAYERS, {"missing": [("lower", "/srv/b")]}, r"lower: is not there \(got '/srv/b'\)"),
        (LAYERS, {"mount_of": {"/srv/upper": 1, "/srv/work": 2}}, "work: is not on the same mounted file system"),
        (LAYERS, {"taken": {"/srv/work": "/srv/m"}}, "work: is in use by the overlay at /srv/m"),
        ({**LAYERS, "lower": ["/srv/upper/x"]}, {}, "upper: is the same as /srv/upper/x, or one lies in the other"),
        ({**LAYERS, "lower": ["/srv/upper"]}, {}, "upper: is the same as"),
        ({**LAYERS, "work": "/srv/upper/work"}, {}, "work: is the same as"),
        (LAYERS, {"real": {"/srv/upper": "/srv/a/x"}}, "upper: is the same as /srv/a"),
        (LAYERS, {"real": {f"{TOP}/merged": "/else"}}, "leads through a symbolic link; it is /else"),
        ({**LAYERS, "lower": [f"/srv/{'x' * 250}{n}" for n in range(20)]}, {}, "lower: is too long"),
        ({**LAYERS, "lower": ['/srv/"'], "persistent": True}, {}, "persistent: can't be written in a mount unit"),
        ({**LAYERS, "options": ["volatile"], "persistent": True}, {}, "persistent: doesn't go with .* volatile"),
        ({**LAYERS, "persistent": True}, {"unit_type": "nfs"}, "persistent: the unit .*merged.mount mounts something"),
    ],
)
def test_what_does_not_go_together_is_refused(options, facts, words):
    with pytest.raises(StrataError, match=words):
        plan(ABSENT, facts, **options)


@pytest.mark.parametrize("words", [["fast"], ["index=maybe"], ["volatile=on"], ["lowerdir=/x"], ["uuid=on"]])
def test_options_are_words_that_are_known(words):
    with pytest.raises(StrataError, match="options: "):
        Overlay({"path": "/srv/m", "options": words})


def test_the_unit_says_all_and_reads_back(units):
    text, state = stored(units, options=["metacopy", "nodev"], **LAYERS)
    assert text == (FIXTURES / "srv-merged.mount").read_text()
    assert (state.status, state.owner, state.live) == ("unmounted", "web", None)
    assert state.config["lower"] == ("/srv/a", "/srv/b")
    assert state.config["persistent"] is True
    assert not Overlay(Overlay.export("/srv/merged", state)).plan(known(state))


def test_stored_and_mounted_are_told_apart(units, host):
    _text, state = stored(units, **LAYERS)
    live = {**state.config, "lower": ("/srv/b",), "mounts": 1}
    mounted = replace(state, status="mounted", live=live)
    made = plan(mounted, name="merged", **LAYERS)
    assert (made.steps, made.restart_required) == ((), ["lower"])
    assert plan(mounted, restart="if_needed", **LAYERS).steps == ("restart",)
    other = {**LAYERS, "lower": ["/srv/c"]}
    made = plan(mounted, **other)
    assert (made.steps, made.restart_required) == (("configure",), ["lower"])
    assert plan(mounted, restart="if_needed", **other).steps == ("configure", "restart")
    assert plan(mounted, persistent=False).steps == ("configure",)


def test_a_unit_that_mounts_something_else_is_somebody_elses(units):
    (units / "srv-merged.mount").write_text("[Mount]\nWhat=server:/x\nWhere=/srv/merged\nType=nfs\n")
    state = Overlay.read_many(Recorded(), ["/srv/merged"])["/srv/merged"]
    assert not state.exists
    assert not Overlay({"path": "/srv/merged", "state": "absent"}).plan(known(state))
    with pytest.raises(StrataError, match=r"persistent: the unit srv-merged\.mount mounts something else there"):
        Overlay({"path": "/srv/merged", "persistent": True, **LAYERS}).plan(known(state))


def test_what_is_kept_over_boots_needs_systemd(monkeypatch):
    monkeypatch.setattr(systemd, "booted", lambda: False)
    with pytest.raises(StrataError, match="persistent: this host was not booted with systemd"):
        Overlay({"path": "/srv/merged", "persistent": True, **LAYERS}).observe(Recorded(), ABSENT)


def test_a_unit_that_is_not_enabled_is_not_persistent(units):
    _text, state = stored(units, enabled=False, **LAYERS)
    assert state.config["persistent"] is False
    assert plan(state, persistent=True, state="unmounted").steps == ("configure",)


def test_a_unit_of_an_unmounted_one_is_mounted_as_it_is(units):
    _text, state = stored(units, **LAYERS)
    made = Overlay({"path": "/srv/merged"}).plan(known(state))
    assert made.steps == ("start",)
    assert Overlay._values(made)["upper"] == "/srv/upper"


def test_a_run_that_was_killed_while_unmounted_left_what_it_was_about_to_mount(units, tmp_path):
    text, _state = stored(units, **LAYERS)
    (units / "srv-merged.mount").unlink()
    (units / "local-fs.target.wants" / "srv-merged.mount").unlink()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "srv-merged.mount").write_text(text)
    state = Overlay.read_many(Recorded(), ["/srv/merged"])["/srv/merged"]
    assert (state.status, state.config["persistent"], state.owner) == ("unmounted", False, "web")
    assert Overlay({"path": "/srv/merged"}).plan(known(state)).steps == ("start",)


def test_a_path_is_provided_and_layers_are_needed():
    entry = Overlay({"path": "/srv/merged", **LAYERS})
    assert list(entry.provides()) == [("path", "/srv/merged")]
    assert list(entry.needs()) == [("path", "/srv/a"), ("path", "/srv/b")]
