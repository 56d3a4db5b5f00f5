# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""troubleshoot: which topic is read, with which options, and what is told of it."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.strata.virt.plugins.module_utils.acts import troubleshoot
from ansible_collections.strata.virt.plugins.module_utils.core.diagnosis import UNREAD
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.field import decode


def tell(**options):
    return troubleshoot.tell(decode(troubleshoot.FIELDS, options), True)


def test_a_topic_is_read_with_its_options_and_nothing_is_changed(monkeypatch):
    given: dict = {}

    def read(_host, options):
        given.update(options)
        return {"heat": 1, UNREAD: {"vm": "none"}}

    topic = dataclasses.replace(troubleshoot.TOPICS["vm"], read=read, checks=())
    monkeypatch.setitem(troubleshoot.TOPICS, "vm", topic)
    told = tell(topic="vm", vm="vm1")
    assert told == {"changed": False, "findings": [], "passed": [], "unchecked": {}, "seen": {"heat": 1}}
    assert given["vm"] == "vm1"
    assert given["now"] - given["since"] == 3600


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"topic": "network", "vm": "vm1"}, "vm: is no option of the topic network. It is one of vm"),
        ({"topic": "vm", "workload": "x"}, "It is one of network and permissions"),
        ({"topic": "permissions", "path": "srv"}, "path: is no absolute path"),
    ],
)
def test_options_that_are_wrong(options, error):
    with pytest.raises(StrataError, match=error):
        tell(**options)


def test_names_of_checks_are_told_apart():
    for topic in troubleshoot.TOPICS.values():
        names = [check.name for check in topic.checks]
        assert len(names) == len(set(names))
