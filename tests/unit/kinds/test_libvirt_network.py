# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_network: what its XML says, what is planned, and what is left alone. The XML is libvirt 9.0's own."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
from ansible_collections.strata.virt.plugins.module_utils.engines import domain_xml, libvirt_objects
from ansible_collections.strata.virt.plugins.module_utils.engines.libvirt_networks import Networks
from ansible_collections.strata.virt.plugins.module_utils.engines.libvirt_objects import Thing
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_domain import LibvirtDomain
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_network import LibvirtNetwork

FIXTURES = Path(__file__).parents[1] / "fixtures" / "libvirt_network"
STORED = (FIXTURES / "stored.xml").read_text()
RUNNING = (FIXTURES / "running.xml").read_text()
EMPTY = "<network><name>lab0</name></network>"


def state(stored: str | None = STORED, running: str | None = RUNNING, owner: str | None = "", **facts):
    seen = LibvirtNetwork.state_of(Thing("lab0", stored, running, False), owner)
    return replace(seen, facts={**seen.facts, **facts})


def network(**options) -> LibvirtNetwork:
    return LibvirtNetwork({"name": "lab0", **options})


def plan(seen, **options):
    return network(**options).plan(seen)


def shown(made):
    return {(change.name, change.layer.value, change.effect.value) for change in made.changes}


def put(text: str, **options) -> ET.Element:
    """A document with options stored in it."""
    resource, root = network(**options), domain_xml.parse(text)
    resource._put(root, resource.settings(state(text, None)))
    return root


DECLARED = {
    "forward": {"mode": "nat"},
    "bridge": "virbr10",
    "domain": "lab.example",
    "ip": {
        "address": "10.20.0.1/24",
        "dhcp": {
            "ranges": [["10.20.0.100", "10.20.0.200"]],
            "hosts": [{"mac": "52-54-00-00-00-10", "name": "lab1", "ip": "10.20.0.10"}],
        },
    },
    "dns_hosts": [{"ip": "10.20.0.5", "names": ["gw"]}],
    "dns_txt": [{"name": "a", "value": "b"}],
    "portgroups": [{"name": "fast", "inbound": {"average": 1000}}],
    "dnsmasq_options": ["cname=x,gw"],
}


def test_what_libvirt_says_is_what_was_declared():
    assert not plan(state(), **DECLARED)


def test_an_export_declares_what_is_there():
    exported = LibvirtNetwork.export("lab0", state())
    assert exported["ip"]["dhcp"]["hosts"] == [{"mac": "52:54:00:00:00:10", "name": "lab1", "ip": "10.20.0.10"}]
    assert not LibvirtNetwork(exported).plan(state())


PORT = "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f"

# Each option, with two values of it.
OPTIONS = {
    "forward": ({"mode": "route", "dev": "eth0"}, {"mode": "nat", "nat_addresses": "192.0.2.1-192.0.2.9"}),
    "title": ("Lab", "The lab"),
    "description": ("one", "one\ntwo"),
    "guest_ipv6": (True, False),
    "trust_guest_rx_filters": (True, False),
    "mac_table": ("libvirt", "kernel"),
    "isolated_ports": (True, False),
    "virtualport_parameters": ({"profileid": "a"}, {"profileid": "b", "interfaceid": PORT}),
    "domain_register": (True, False),
    "dns_forward_plain_names": (False, True),
    "bridge": ("virbr11", "virbr12"),
    "stp": (False, True),
    "delay": (2, 4),
    "zone": ("public", "internal"),
    "mac": ("52:54:00:00:00:01", "52:54:00:00:00:02"),
    "mtu": (1400, 9000),
    "virtualport": ("openvswitch", "802.1Qbg"),
    "vlans": ([42], [7, 42]),
    "inbound": ({"average": 10}, {"average": 20, "peak": 30, "burst": 40}),
    "outbound": ({"average": 10}, {"average": 20}),
    "domain": ("a.example", "b.example"),
    "domain_local_only": (True, False),
    "ip": (
        {"address": "192.0.2.1/24", "dhcp": {"ranges": [["192.0.2.5", "192.0.2.9"]]}},
        {
            "address": "192.0.2.2/25",
            "local_ptr": True,
            "tftp_root": "/srv/tftp",
            "bootp_file": "pxe.0",
            "bootp_server": "192.0.2.3",
            "dhcp": {"hosts": [{"name": "a", "ip": "192.0.2.5", "lease": "2h"}]},
        },
    ),
    "ip6": (
        {"address": "2001:db8::1/64", "dhcp": {"hosts": [{"name": "a", "ip": "2001:db8::5"}]}},
        {"address": "2001:db8::2/64", "dhcp": {"ranges": [["2001:db8::10", "2001:db8::20"]]}},
    ),
    "routes": (
        [{"to": "198.51.100.0/24", "gateway": "192.0.2.9"}],
        [{"to": "198.51.100.0/24", "gateway": "192.0.2.8", "metric": 2}],
    ),
    "dns_enabled": (False, True),
    "dns_forwarders": ([{"address": "192.0.2.53"}], [{"domain": "corp.example", "address": "192.0.2.54"}]),
    "dns_hosts": ([{"ip": "192.0.2.7", "names": ["a"]}], [{"ip": "192.0.2.7", "names": ["b", "a"]}]),
    "dns_txt": ([{"name": "a", "value": "1"}], [{"name": "a", "value": "2"}]),
    "dns_srv": (
        [{"service": "ldap", "protocol": "tcp"}],
        [{"service": "ldap", "protocol": "tcp", "domain": "x", "target": "y", "port": 1, "priority": 2, "weight": 3}],
    ),
    "portgroups": (
        [{"name": "p", "default": True, "vlans": [3], "inbound": {"average": 1}, "outbound": {"peak": 2}}],
        [
            {"name": "p", "default": False, "vlans": [3, 4], "trust_guest_rx_filters": True},
            {"name": "q", "virtualport": "openvswitch", "virtualport_parameters": {"interfaceid": PORT}},
        ],
    ),
    "dnsmasq_options": (["a=1"], ["b=2", "a=1"]),
}


def test_no_option_lacks_a_case():
    at = {field.name for field in LibvirtNetwork.fields if field.at}
    assert {name for name in at if not name.startswith(("dhcp", "forward_"))} == {*OPTIONS, "xml"}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("text", [EMPTY, STORED], ids=["empty", "full"])
def test_what_is_put_is_read_back(option, text):
    for value in OPTIONS[option]:
        root = put(text, **{option: value})
        again = ET.tostring(root, encoding="unicode")
        assert not plan(state(again, None), **{option: value}, state="present")
        text = again


@pytest.mark.parametrize("option", sorted(set(OPTIONS) - {"bridge", "mac"}))
def test_what_a_stack_no_longer_declares_is_gone_without_a_trace(option):
    first, _second = OPTIONS[option]
    with_it = ET.tostring(put(EMPTY, **{option: first}), encoding="unicode")
    resource = LibvirtNetwork({"name": "lab0", "state": "present"}, owner="s", applied={option: first})
    root = domain_xml.parse(with_it)
    resource._put(root, resource.plan(state(with_it, None)).want)
    empty = {element.tag for element in root if not element.attrib and not len(element) and not element.text}
    assert not empty, "libvirt refuses elements that say nothing"
    assert not resource.plan(state(ET.tostring(root, encoding="unicode"), None))


def test_what_nobody_declared_survives():
    text = STORED.replace("</network>", "<portgroup name='theirs'/><ip address='198.51.100.1' prefix='24'/></network>")
    text = text.replace("<bridge ", "<bridge macTableManager='libvirt' ")
    root = put(text, domain="new.example", ip6={"address": "2001:db8::1/64"})
    theirs = ET.fromstring(text)
    for element in theirs:
        if element.tag != "domain":
            same = [ET.tostring(one).strip() for one in root.findall(element.tag)]
            assert ET.tostring(element).strip() in same, element.tag
    assert root.find("domain").get("name") == "new.example"


def test_another_mode_takes_the_settings_of_nat_away():
    root = put(RUNNING, forward={"mode": "open"})
    assert (root.find("forward").get("mode"), root.find("forward/nat")) == ("open", None)
    assert put(RUNNING, forward={"mode": "isolated"}).find("forward") is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"mode": "bridge", "interfaces": ["eth0"]}, {"mode": "private", "interfaces": ["eth2", "eth1"]}),
        ({"mode": "hostdev", "pf": "eth0", "managed": True}, {"mode": "hostdev", "pf": "eth1", "driver": "vfio"}),
        ({"mode": "hostdev", "addresses": ["0000:03:10.1"]}, {"addresses": ["0000:03:10.1", "0001:03:1F.7"]}),
    ],
)
def test_ways_out_that_need_interfaces_of_the_host(first, second):
    text = EMPTY
    for value in (first, second):
        text = ET.tostring(put(text, forward=value), encoding="unicode")
        assert not plan(state(text, None), forward=value, state="present")
        exported = LibvirtNetwork.export("lab0", state(text, None))
        assert {**value, **exported["forward"]} == exported["forward"] or "1f.7" in str(exported)
        assert not LibvirtNetwork(exported).plan(state(text, None))


def test_the_first_interface_is_the_one_that_libvirt_says_alone():
    text = (
        "<network><name>lab0</name><forward mode='bridge' dev='eth0'><interface dev='eth0'/><interface dev='eth1'/>"
        "</forward></network>"
    )
    for names, first in ((["eth1", "eth2"], "eth1"), (["eth9", "eth0"], "eth0")):
        forward = put(text, forward={"mode": "bridge", "interfaces": names}).find("forward")
        assert (forward.get("dev"), forward[0].get("dev")) == (first, first)
    forward = put(EMPTY, forward={"mode": "bridge", "dev": "eth2", "interfaces": ["eth1", "eth2"]}).find("forward")
    assert [one.get("dev") for one in forward] == ["eth2", "eth1"]


def test_interfaces_are_changed_while_it_runs():
    text = ET.tostring(put(EMPTY, forward={"mode": "bridge", "interfaces": ["eth0"]}), encoding="unicode")
    made = plan(state(text, text), forward={"mode": "bridge", "interfaces": ["eth0", "eth1"]})
    assert made.steps == ("configure", "update")
    assert shown(made) == {
        ("forward_interfaces[eth1]", "config", "next_boot"),
        ("forward_interfaces[eth1]", "running", "live"),
    }


def test_what_stands_beside_a_tag_or_a_name_stays():
    text = (
        "<network><name>lab0</name><vlan trunk='yes'><tag id='7' nativeMode='untagged'/><tag id='9'/></vlan></network>"
    )
    root = put(text, vlans=[7, 8])
    assert [dict(tag.attrib) for tag in root.findall("vlan/tag")] == [
        {"id": "7", "nativeMode": "untagged"},
        {"id": "8"},
    ]


def test_tables_are_changed_while_it_runs_and_the_rest_waits():
    made = plan(state(), ip={"dhcp": {"hosts": []}}, dns_txt=[], mtu=1400)
    assert made.steps == ("configure", "update")
    assert {one for one in shown(made) if one[1] == "running"} == {
        ("dhcp_hosts[52:54:00:00:00:10]", "running", "live"),
        ("dns_txt[a]", "running", "live"),
    }
    assert made.restart_required == ["mtu"]
    assert "restart" in plan(state(guests={}), mtu=1400, restart="if_needed").steps


def test_dhcp_waits_for_the_address_that_it_needs():
    bare = "<network><name>lab0</name><bridge name='virbr10'/></network>"
    made = plan(state(bare, bare), ip={"address": "192.0.2.1/24", "dhcp": {"ranges": [["192.0.2.5", "192.0.2.9"]]}})
    assert made.restart_required == ["dhcp_ranges", "ip[address]"]
    assert made.steps == ("configure",)


class Running(Networks):
    """Keeps what it is told, and answers with two documents."""

    def __init__(self, stored: str, running: str, version: int = 9_000_000) -> None:
        self.documents = stored, running
        self.version = version
        self.told: list[tuple] = []

    def keeps_metadata(self) -> bool:
        return self.version >= 9_008_000

    def stored(self, name):
        return self.documents[0]

    def described(self, names):
        return [Thing("lab0", *self.documents, False)]

    def update(self, name, command, section, xml, parent=-1):
        self.told.append((command, section, ET.canonicalize(xml), parent))


def test_each_entry_is_changed_by_commands_of_its_own():
    host = {"mac": "52:54:00:00:00:10", "ip": "10.20.0.11"}
    options = {
        "ip": {"dhcp": {"ranges": [["10.20.0.50", "10.20.0.60"]], "hosts": [host]}},
        "dns_hosts": [],
        "portgroups": [{"name": "fast", "inbound": {"average": 5}}],
    }
    running = RUNNING.replace("<ip address", "<ip family='ipv6' address='2001:db8::1' prefix='64'/><ip address", 1)
    engine = Running(ET.tostring(put(STORED, **options), encoding="unicode"), running)
    resource = network(**options)
    resource.update(engine, resource.plan(state(STORED, running)))
    assert engine.told == [
        ("DELETE", "IP_DHCP_RANGE", '<range end="10.20.0.200" start="10.20.0.100"></range>', 1),
        ("ADD_LAST", "IP_DHCP_RANGE", '<range end="10.20.0.60" start="10.20.0.50"></range>', 1),
        ("DELETE", "IP_DHCP_HOST", _host("10.20.0.10"), 1),
        ("ADD_LAST", "IP_DHCP_HOST", _host("10.20.0.11"), 1),
        ("DELETE", "DNS_HOST", engine.told[4][2], -1),
        ("MODIFY", "PORTGROUP", engine.told[5][2], -1),
    ]
    assert ("10.20.0.5" in engine.told[4][2], 'average="5"' in engine.told[5][2]) == (True, True)


def _host(ip: str) -> str:
    return f'<host ip="{ip}" mac="52:54:00:00:00:10" name="lab1"></host>'


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ip": {"address": "192.0.2.1"}}, "ip.address: is no address with its prefix"),
        ({"ip": {"address": "2001:db8::1/64"}}, "ip.address: is no IPv4 address"),
        ({"ip6": {"address": "192.0.2.1/24"}}, "ip6.address: is no IPv6 address"),
        ({"ip": {"address": "192.0.2.1/24", "dhcp": {"ranges": [["198.51.100.1", "198.51.100.2"]]}}}, "is not in 192"),
        ({"ip": {"dhcp": {"ranges": [["192.0.2.9", "192.0.2.5"]]}}}, "ends before it begins"),
        ({"ip": {"dhcp": {"ranges": ["192.0.2.9"]}}}, "is no list of ranges"),
        ({"ip": {"dhcp": {"hosts": [{"mac": "52:54:00:00:00:01"}]}}}, "ip.dhcp.hosts: needs an ip"),
        ({"ip": {"dhcp": {"hosts": [{"ip": "192.0.2.5"}]}}}, "ip.dhcp.hosts: needs an ip, and a mac"),
        ({"forward": {"mode": "bridge"}}, "bridge: is needed with forward.mode bridge"),
        ({"forward": {"mode": "bridge"}, "bridge": "br0", "ip": {"address": "192.0.2.1/24"}}, "ip: can't go with"),
        ({"forward": {"mode": "route", "nat_ports": "1-2"}}, "forward.nat_ports: needs forward.mode nat"),
        ({"forward": {"mode": "nat", "nat_ports": "1"}}, "forward.nat_ports: is no range"),
        ({"forward": {"mode": "hostdev"}}, "forward: needs the functions to hand out"),
        ({"forward": {"mode": "nat", "pf": "eth0"}}, "forward.pf: needs forward.mode hostdev"),
        ({"forward": {"mode": "hostdev", "addresses": ["3:10.1"]}}, "forward.addresses: has 3:10.1, which is no"),
        ({"ip": {"dhcp": {"hosts": [{"name": "a", "ip": "192.0.2.5", "lease": 5}]}}}, "lease: must be 2m or more"),
        ({"mtu": 12}, "mtu: must be from 68"),
        ({"vlans": [5000]}, "vlans: has a VLAN that is not from 1"),
        ({"routes": [{"to": "192.0.2.1/24", "gateway": "192.0.2.1"}]}, "routes.to: is no network"),
        ({"dns_hosts": [{"ip": "192.0.2.1", "names": ["a"]}] * 2}, "dns_hosts: names 192.0.2.1 twice"),
        ({"inbound": {"average": 0}}, "inbound.average: must be 1 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(options, words):
    with pytest.raises(StrataError, match=words):
        network(**options)


def test_domains_that_are_connected_are_not_cut_off():
    used = state(guests={"vm1": "", "vm2": "shop"})
    for options in ({"state": "absent"}, {"state": "inactive"}, {"mtu": 1400, "restart": "if_needed"}):
        with pytest.raises(StrataError, match=r"is in use by vm1, vm2"):
            plan(used, **options)
        assert plan(used, **options, force=True)
    assert plan(used, mtu=1400).restart_required == ["mtu"]
    going = LibvirtNetwork({"name": "lab0", "state": "absent"}, owner="shop")
    with pytest.raises(StrataError, match=r"is in use by vm1,"):
        going.plan(used)
    assert going.plan(state(guests={"vm2": "shop"})).steps == ("remove",)


def test_one_that_is_not_stored_is_stored():
    made = plan(state(None, RUNNING), **DECLARED)
    assert "configure" in made.steps
    assert not [change for change in made.changes if change.layer.value == "running"]


def test_an_old_libvirt_has_the_owner_noted_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(libvirt_objects, "NOTES", str(tmp_path))
    root = ET.fromstring(EMPTY)
    Running("", "").own(root, "shop")
    assert (Running.owner(root), root.find("metadata")) == ("shop", None)
    Running.disown(root)
    assert (Running.owner(root), list(tmp_path.iterdir())) == (None, [])
    root = ET.fromstring(EMPTY)
    Running("", "", 11_003_000).own(root, "shop")
    assert (Running.owner(root), list(tmp_path.iterdir())) == ("shop", [])


def test_what_libvirt_drops_is_not_left_half_made(tmp_path, monkeypatch):
    monkeypatch.setattr(libvirt_objects, "NOTES", str(tmp_path))
    engine = Running(EMPTY, "")
    done = []
    engine.define = lambda xml: done.append("define")
    engine.undefine = lambda name: done.append("undefine")
    resource = network(domain="a.example")
    with pytest.raises(StrataError, match="libvirt dropped domain"):
        resource.create(engine, resource.plan(ABSENT))
    assert done == ["define", "undefine"]


def test_a_domain_of_the_same_stack_waits_for_it():
    domain = LibvirtDomain({"name": "vm1", "memory": "1G", "networks": [{"network": "lab0"}]})
    assert set(network().provides()) & set(domain.needs())
