# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures: which of them a profile has, what they say, and what they say of what could not be seen."""

from __future__ import annotations

from ansible_collections.strata.virt.plugins.module_utils.core import audit, hardening

ENGINES = ("docker",)
LOOSE = audit.Measure("pids", "pids_limit", "It is limited.", lambda facts: (facts["n"] < 9, "n."), ("n",), ENGINES)
OUT = audit.Measure("out", "mounts", "Nothing leads out.", lambda _facts: (True, "Nothing."), (), ENGINES, "It would.")


def test_a_profile_has_its_measures_and_those_before_it():
    facts = {"engine": "docker", "n": 3}
    assert [row["check"] for row in audit.held((LOOSE, OUT), hardening.BASELINE, facts)] == ["out"]
    assert [row["check"] for row in audit.held((LOOSE, OUT), hardening.RESTRICTED, facts)] == ["pids", "out"]
    assert audit.held((LOOSE, OUT), hardening.RESTRICTED, {**facts, "engine": "lxc"}) == []


def test_a_row_says_what_was_found_and_why_it_matters():
    (row, other) = audit.held((LOOSE, OUT), hardening.RESTRICTED, {"engine": "docker", "n": 10})
    assert row == {
        "check": "pids",
        "profile": "restricted",
        "met": False,
        "what": "It is limited.",
        "found": "n.",
        "why": "Otherwise it may take all of the host's process IDs.",
    }
    assert (other["met"], other["why"]) == (True, "It would.")


def test_what_could_not_be_seen_is_neither():
    (row,) = audit.held((LOOSE,), hardening.RESTRICTED, {"engine": "docker", "n": None})
    assert (row["met"], row["found"]) == (None, "Its n could not be read.")
