# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_nwfilter: what its XML says, what is planned, and what is left alone. The XML is libvirt 11.3's own."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
from ansible_collections.strata.virt.plugins.module_utils.engines import domain_xml
from ansible_collections.strata.virt.plugins.module_utils.kinds import libvirt_nwfilter_fields as words
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_nwfilter import LibvirtNwfilter

FIXTURES = Path(__file__).parents[1] / "fixtures" / "libvirt_nwfilter"
GIVEN = (FIXTURES / "given.xml").read_text()
STORED = (FIXTURES / "stored.xml").read_text()
SSH = {"action": "accept", "direction": "in", "protocol": "tcp", "attributes": {"dstportstart": 22}}


class Libvirt:
    """Knows no owner."""

    @staticmethod
    def owner(root):
        return ""


def state(text: str = STORED, **facts):
    seen = LibvirtNwfilter.state_of(text, Libvirt)
    return replace(seen, facts={**seen.facts, "filters": ["nonexist", "clean-traffic"], **facts})


def nwfilter(name: str = "web", owner: str = "", **options) -> LibvirtNwfilter:
    return LibvirtNwfilter({"name": name, **options}, owner=owner)


def put(resource: LibvirtNwfilter, text: str = "<filter name='web'/>") -> str:
    root = domain_xml.parse(text)
    resource._put(root, resource.settings(ABSENT))
    return ET.tostring(root, encoding="unicode")


def test_what_libvirt_says_is_what_was_given():
    assert not nwfilter(xml=GIVEN).plan(state())
    assert not nwfilter(xml=STORED).plan(state())


def test_an_export_declares_what_is_there():
    exported = LibvirtNwfilter.export("web", state())
    assert exported["rules"][4] == {
        "filterref": "clean-traffic",
        "parameters": {"DHCPSERVER": "10.0.0.1", "IP": ["10.0.0.1", "10.0.0.2"]},
    }
    assert exported["rules"][3] == {"action": "drop", "direction": "inout", "priority": 1000}
    assert not LibvirtNwfilter(exported).plan(state())


def test_what_is_put_is_what_was_given():
    assert not nwfilter(xml=GIVEN).plan(state(put(nwfilter(xml=GIVEN))))
    rule = '<rule action="accept" direction="in" priority="500"><tcp dstportstart="22" /></rule>'
    assert put(nwfilter(rules=[SSH])) == f'<filter name="web">{rule}</filter>'


def test_rules_are_compared_whole_and_in_their_order():
    two = put(nwfilter(rules=[{**SSH, "priority": 1}, {**SSH, "protocol": "udp"}]))
    for rules in (
        [{**SSH, "priority": 1}],
        [SSH, {**SSH, "protocol": "udp"}],
        [{**SSH, "protocol": "udp"}, {**SSH, "priority": 1}],
        [{**SSH, "priority": 1}, {"action": "accept", "direction": "in", "protocol": "udp"}],
        [{**SSH, "priority": 1}, {**SSH, "protocol": "udp", "match": False}],
        [{**SSH, "priority": 1}, {**SSH, "protocol": "udp", "statematch": False}],
    ):
        made = nwfilter(rules=rules).plan(state(two))
        assert (made.steps, {change.effect.value for change in made.changes}) == (("update",), {"live"})
    same = [{**SSH, "priority": 1, "match": True}, {**SSH, "protocol": "udp", "priority": 500, "statematch": True}]
    assert not nwfilter(rules=same).plan(state(two))


# A protocol, an attribute, what is given, and what libvirt says of it.
ATTRIBUTES = [
    ("mac", "protocolid", "0x0806", "arp"),
    ("mac", "protocolid", 2101, "2101"),
    ("mac", "srcmacaddr", "52:54:0:0:0:1", "52:54:00:00:00:01"),
    ("tcp", "srcipmask", "255.255.240.0", "20"),
    ("tcp-ipv6", "srcipmask", "ffff:ffff::", "32"),
    ("tcp", "flags", "ACK,SYN/SYN", "SYN,ACK/SYN"),
    ("tcp", "state", "ESTABLISHED,NEW", "NEW,ESTABLISHED"),
    ("ip", "protocol", 58, "icmpv6"),
    ("arp", "opcode", "reply", "Reply"),
    ("arp", "gratuitous", True, "true"),
    ("udp", "dstportstart", "$PORT[ @2 ]", "$PORT[@2]"),
    ("all", "ipsetflags", "SRC,DST", "src,dst"),
]


@pytest.mark.parametrize(("protocol", "name", "given", "said"), ATTRIBUTES)
def test_attributes_are_spelled_as_libvirt_does(protocol, name, given, said):
    assert words.attribute(protocol, name, given) == said
    assert words.attribute(protocol, name, said) == said


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"action": "drop"}, r"rules\.direction: is needed for a rule"),
        ({"parameters": {"IP": "1"}, **SSH}, r"rules\.parameters: go with filterref"),
        ({"filterref": "x", "action": "drop"}, r"rules\.action: is of a rule"),
        ({**SSH, "attributes": {"vlanid": 1}}, r"rules\.attributes: has no vlanid: tcp has comment, connlimit-above"),
        ({**SSH, "attributes": {"dstportstart": "ssh"}}, r"dstportstart is no number"),
        ({**SSH, "attributes": {"srcipaddr": "192.0.2"}}, r"srcipaddr is no address"),
        ({**SSH, "attributes": {"srcmacaddr": "52-54"}}, r"srcmacaddr is no MAC address"),
        ({**SSH, "attributes": {"flags": "SYN"}}, r"flags must be MASK/FLAGS"),
        ({**SSH, "attributes": {"state": "OLD"}}, r"state must be some of NEW"),
        ({**SSH, "priority": 2000}, r"rules\.priority: must be from -1000"),
        ({"action": "drop", "direction": "in", "attributes": {"comment": "x"}}, r"rules\.protocol: is needed"),
    ],
)
def test_what_makes_no_sense_is_refused(rule, message):
    with pytest.raises(StrataError, match=message):
        nwfilter(rules=[rule])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<filter", "xml: is no XML"),
        ("<network/>", "xml: is a <network>, and not a <filter>"),
        ("<filter name='other'/>", "xml: is of 'other'"),
    ],
)
def test_xml_of_something_else_is_refused(text, message):
    with pytest.raises(StrataError, match=message):
        nwfilter(xml=text)


def test_what_an_option_says_wins_over_xml():
    given = nwfilter(xml="<filter name='web' chain='ipv4'><rule action='drop' direction='in'/></filter>", rules=[SSH])
    assert (given.spec["chain"], given.spec["rules"][0]["protocol"]) == ("ipv4", "tcp")


def test_xml_with_the_uuid_of_another_one_is_refused():
    other = "<filter name='web'><uuid>00000000-0000-4000-8000-000000000000</uuid></filter>"
    with pytest.raises(
        StrataError, match=r"xml: has a <uuid> of its own, and what is there has 29cf53da.*Leave it out"
    ):
        nwfilter(xml=other).plan(state())


def test_libvirts_own_are_left_alone():
    clean = state(STORED.replace("'web'", "'clean-traffic'"), users={}, parts_of=[])
    for options in ({"rules": []}, {"state": "absent"}):
        with pytest.raises(StrataError, match="name: comes with libvirt"):
            nwfilter("clean-traffic", **options).plan(clean)
    assert not nwfilter("clean-traffic").plan(clean)


def test_one_that_is_used_stays():
    gone = nwfilter(state="absent")
    with pytest.raises(StrataError, match=r"is in use by vm1, vm2\. Take it from their cards"):
        gone.plan(state(users={"vm2": None, "vm1": ""}, parts_of=[]))
    with pytest.raises(StrataError, match=r"is a part of all\. Take it from them"):
        gone.plan(state(users={}, parts_of=["all"]))
    assert nwfilter(state="absent", owner="shop").plan(state(users={"vm1": "shop"}, parts_of=[])).steps == ("remove",)


def test_parts_have_to_be_there_or_made_before():
    whole = nwfilter(rules=[{"filterref": "ssh"}])
    with pytest.raises(StrataError, match=r"rules\.filterref: is no filter of libvirt's \(got 'ssh'\)"):
        whole.plan(state())
    whole.promised = frozenset(whole.needs())
    assert whole.plan(state()).steps == ("update",)
    assert set(nwfilter("ssh").provides()) == set(whole.needs())
