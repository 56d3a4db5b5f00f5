# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What documents and their elements say, read when somebody asks for it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.codec import BOOL, INT, LINE
from ansible_collections.strata.virt.plugins.module_utils.core.field import Field
from ansible_collections.strata.virt.plugins.module_utils.engines.domain_xml import Leaf
from ansible_collections.strata.virt.plugins.module_utils.engines.xml_places import (
    Entry,
    Group,
    Said,
    entry,
    places,
    yes,
)


class Unread:
    """A place that nobody may look at."""

    def get(self, _root):
        raise KeyError("was read")


HOST = ET.fromstring("<host name='db' ip='10.0.0.1' slow='no'><lease expiry='60'/></host>")
ROW = (
    Field("name", LINE, Leaf("", "name")),
    Field("ip", LINE, Leaf("", "ip")),
    Field("id", LINE, Leaf("", "id")),
    Field("lease", INT, Leaf("lease", "expiry", int)),
    Field("slow", BOOL, Leaf("", "slow", yes)),
    Field("kept", LINE),  # lives nowhere
)


def test_an_entry_is_what_reading_all_of_it_at_once_gives():
    found = Entry(HOST, places(ROW))
    assert found == entry(ROW, HOST) == {"name": "db", "ip": "10.0.0.1", "lease": 60, "slow": False}
    assert list(found) == ["name", "ip", "lease", "slow"]
    assert len(found) == 4
    assert {**found, "ip": None} == {**entry(ROW, HOST), "ip": None}


def test_an_option_of_which_nothing_is_said_is_not_in_it():
    found = Entry(HOST, places(ROW))
    assert found.get("id") is None
    assert found.get("id", "none") == "none"
    for name in ("id", "kept", "unheard of"):
        assert name not in found
        with pytest.raises(KeyError):
            found[name]


def test_nobody_reads_what_nobody_asks_for():
    found = Entry(HOST, {"name": Leaf("", "name"), "other": Unread()})
    assert found["name"] == "db"
    assert found
    with pytest.raises(KeyError, match="was read"):
        found.get("other")


def test_what_is_nothing_is_for_the_table_to_say():
    class Empty:
        def get(self, _root):
            return ()

    assert dict(Entry(HOST, {"empty": Empty()})) == {}
    assert dict(Entry(HOST, {"empty": Empty()}, (None,))) == {"empty": ()}
    assert not Entry(HOST, {"empty": Empty()})


def test_each_value_is_read_once():
    read = []

    class Counted:
        def get(self, _root):
            read.append(1)

    found = Entry(HOST, {"id": Counted()})
    assert (found.get("id"), found.get("id"), "id" in found, read) == (None, None, False, [1])


def test_a_group_is_that_of_its_element_or_none():
    root = ET.fromstring("<network><a><host name='db'/></a></network>")
    assert Group("a/host", ROW).get(root) == {"name": "db"}
    assert Group("a/none", ROW).get(root) is None


def test_a_document_says_what_is_known_beside_it_first():
    said = Said(HOST, {"name": Leaf("", "name"), "other": Unread()}, {"other": "known"})
    assert (said["name"], said["other"], said.get("none", 1), sorted(said)) == ("db", "known", 1, ["name", "other"])
