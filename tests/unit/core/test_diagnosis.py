# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts held against a table of checks."""

from __future__ import annotations

from ansible_collections.strata.virt.plugins.module_utils.core.diagnosis import ERROR, NOTE, UNREAD, Check, diagnose

TEXTS = ("{name} is cold", "thermometer: {degrees}", "It freezes.", "heat {name}")


def cold(name: str, severity: str, *needs: str) -> Check:
    return Check(name, severity, lambda facts: [row for row in facts["rooms"] if row["degrees"] < 10], *TEXTS, needs)


def test_the_worst_comes_first_with_the_values_of_its_row():
    facts = {"rooms": [{"name": "the {hall}", "degrees": 5}, {"name": "the study", "degrees": 20}]}
    told = diagnose([cold("draughts", NOTE), cold("frost", ERROR)], facts)
    assert [finding["check"] for finding in told["findings"]] == ["frost", "draughts"]
    assert told["findings"][0] == {
        "check": "frost",
        "severity": "error",
        "what": "the {hall} is cold",
        "evidence": "thermometer: 5",
        "why": "It freezes.",
        "remedy": "heat the {hall}",
    }
    assert told["passed"] == []


def test_what_could_not_be_read_passes_nothing():
    facts = {"rooms": None, UNREAD: {"rooms": "the door is locked"}}
    told = diagnose([cold("frost", ERROR, "rooms")], facts)
    assert told == {"findings": [], "passed": [], "unchecked": {"frost": "the door is locked"}}


def test_what_is_read_and_fine_passes():
    assert diagnose([cold("frost", ERROR, "rooms")], {"rooms": []})["passed"] == ["frost"]
