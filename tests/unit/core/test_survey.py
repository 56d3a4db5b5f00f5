# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Needs are held against facts, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.virt.plugins.module_utils.core.survey import Need, Subject, Why, lacks, survey

SMALL = Why(lambda facts: facts["size"] < 10, "{size} is too small", "Have more than {size}")
ODD = Why(lambda facts: facts["size"] % 2 == 1, "{size} is odd", "Add one")


@pytest.mark.parametrize(("size", "reason"), [(3, "3 is too small"), (11, "11 is odd"), (12, None)])
def test_the_first_reason_that_holds_is_told(size, reason):
    subject = Subject(dict, (Need("size", (SMALL, ODD)),))
    assert [lack["reason"] for lack in lacks(subject, {"size": size})] == ([reason] if reason else [])


@given(st.lists(st.integers(0, 20)))
def test_a_need_is_asked_of_each_row(sizes):
    need = Need("{size}", (SMALL,), each=lambda facts: [{"size": size} for size in facts["sizes"]])
    found = lacks(Subject(dict, (need,)), {"sizes": sizes})
    assert [lack["what"] for lack in found] == [str(size) for size in sizes if size < 10]


@given(st.text())
def test_what_was_read_is_no_template(text):
    need = Need("it", (Why(lambda _facts: True, "it says {said}", "Ask {said}"),))
    (lack,) = lacks(Subject(dict, (need,)), {"said": text})
    assert lack == {"what": "it", "reason": f"it says {text}", "remedy": f"Ask {text}"}


def test_each_no_is_told_among_the_facts_and_in_the_list():
    subjects = {
        "small": Subject(lambda host: {"size": host}, (Need("size", (SMALL,)),)),
        "plain": Subject(lambda host: {"is": host}),
    }
    assert survey(subjects, 3) == {
        "host": {"small": {"size": 3, "why_not": {"size": "3 is too small"}}, "plain": {"is": 3, "why_not": {}}},
        "lacks": [{"subject": "small", "what": "size", "reason": "3 is too small", "remedy": "Have more than 3"}],
    }
