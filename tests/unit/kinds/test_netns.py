# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""netns, read and planned from what a real kernel (6.18) said. The engine is a folder of its answers."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
from ansible_collections.strata.virt.plugins.module_utils.engines import bootunit, systemd
from ansible_collections.strata.virt.plugins.module_utils.engines.links import Snapshot, View
from ansible_collections.strata.virt.plugins.module_utils.engines.unitfile import UnitFile
from ansible_collections.strata.virt.plugins.module_utils.kinds import netns_unit
from ansible_collections.strata.virt.plugins.module_utils.kinds.netns import Netns

ANSWERS = Path(__file__).parents[1] / "fixtures" / "netns"
VETH = {
    "name": "veth0",
    "type": "veth",
    "peer": {"name": "veth-blue", "netns": None, "master": "br0"},
    "addresses": ["10.90.0.2/24"],
}
ROUTES = [
    {"to": "default", "via": "10.90.0.1"},
    {"to": "10.96.0.0/16", "type": "blackhole"},
    {"to": "10.97.0.0/16", "via": "10.90.0.9", "table": 1000, "metric": 5},
    {"to": "fd01::/64", "dev": "veth0"},
]
RULES = [{"priority": 100, "from": "10.90.0.0/24", "table": 1000, "fwmark": "0x3"}]


def answer(name: str) -> Snapshot:
    told = json.loads((ANSWERS / f"{name}.json").read_text())
    return Snapshot(**{**told, "places": {int(number): place for number, place in told["places"].items()}})


class Kernel:
    """Answers like the real one, where ip_forward is 1, and 0 in a new namespace."""

    def __init__(self) -> None:
        self.snapshots = {"": answer("host"), "blue": answer("blue")}
        self.latest = View(self)

    def look(self, routed: bool = False) -> View:
        self.latest = View(self, routed)
        return self.latest

    def snapshot(self, netns, routed=False):
        return copy.deepcopy(self.snapshots.get(netns))

    def places(self, netns):
        return self.snapshots[netns].places

    def names(self):
        return ["blue"]

    def stale(self, netns):
        return netns == "stale"

    def sysctls(self, netns, keys):
        return {key: "1" if key == "net.ipv4.ip_forward" else None for key in keys}

    def usual_sysctls(self, keys):
        return {key: "0" if key == "net.ipv4.ip_forward" else None for key in keys}


@pytest.fixture(autouse=True)
def _a_host_of_systemd(monkeypatch):
    """Whatever host this runs on."""
    monkeypatch.setattr(systemd, "booted", lambda: True)
    monkeypatch.setattr(netns_unit, "read", lambda name: None)


def plan_of(options, **more):
    resource = Netns({"name": "blue", **options}, **more)
    kernel = Kernel()
    state = resource.read_many(kernel, [resource.name]).get(resource.name, ABSENT)
    return resource.plan(resource.observe(kernel, state))


def fields(plan) -> list[str]:
    return [change.name for change in plan.changes]


def test_what_was_made_is_what_is_declared():
    spec = {"links": [VETH], "routes": ROUTES, "rules": RULES, "sysctls": {"net.ipv4.ip_forward": 1}}
    assert fields(plan_of(spec)) == []


def test_an_export_changes_nothing():
    (state,) = Netns.read_many(Kernel(), None).values()
    options = Netns.export("blue", state)
    assert [row["name"] for row in options["links"]] == ["veth0"]
    assert fields(plan_of(options)) == []


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"links": []}, ["links[veth0]"]),
        ({"links": [VETH, {"name": "x", "type": "bridge"}]}, ["links[x]"]),
        ({"links": [{**VETH, "mtu": 9000}]}, ["links[veth0]"]),
        ({"links": [{**VETH, "addresses": []}]}, ["links[veth0]"]),
        ({"links": [{**VETH, "peer": {"name": "veth-blue", "master": ""}}]}, ["links[veth0]"]),
        ({"links": [VETH, {"name": "theirs", "up": False}]}, []),
        ({"links": [VETH, {"name": "theirs"}]}, ["links[theirs]"]),
        ({"routes": ROUTES[1:]}, ["routes[default]"]),
        ({"routes": [{"to": "default", "via": "10.90.0.5"}, *ROUTES[1:]]}, ["routes[default]"]),
        ({"routes": [*ROUTES, {"to": "default", "via": "fd00::1"}]}, ["routes[::/0]"]),
        ({"rules": []}, ["rules[100]"]),
        ({"rules": [{**RULES[0], "fwmark": "0x4"}]}, ["rules[100]"]),
        ({"sysctls": {"net.ipv4.ip_forward": 0}}, ["sysctls[net.ipv4.ip_forward]"]),
        ({"loopback": False}, ["loopback"]),
        ({}, []),
    ],
)
def test_what_differs_is_told_entry_by_entry(options, changed):
    plan = plan_of(options)
    assert fields(plan) == changed
    assert plan.steps == (("update",) if changed else ())


def test_a_dropped_parameter_goes_back_to_that_of_a_new_namespace():
    applied = {"name": "blue", "sysctls": {"net.ipv4.ip_forward": 1, "net.ipv4.conf.gone.forwarding": 1}}
    plan = plan_of({}, applied=applied)
    assert {change.name: change.after for change in plan.changes} == {"sysctls[net.ipv4.ip_forward]": "0"}


def test_a_stale_file_is_no_namespace():
    assert plan_of({"name": "stale"}).steps == ("create",)
    assert fields(plan_of({"name": "stale", "state": "absent"})) == ["stale"]
    assert not plan_of({"name": "none", "state": "absent"})


def test_what_it_needs_and_what_it_makes():
    resource = Netns({"name": "blue", "links": [VETH]})
    assert ("link", "/br0") in list(resource.needs())
    assert {("netns", "blue"), ("link", "/veth-blue"), ("link", "blue/veth0")} == set(resource.provides())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "../x"}, "name"),
        ({"links": [{"name": "lo"}]}, r"links\[lo\].name"),
        ({"links": [VETH, VETH]}, "names veth0 twice"),
        ({"links": [{"name": "a", "type": "bridge", "master": "a"}]}, r"links\[a\].master"),
        ({"routes": [{"to": "10.0.0.1/8", "via": "10.0.0.1"}]}, "routes.to: is no network"),
        ({"routes": [{"to": "default"}]}, "leads through a gateway"),
        ({"routes": [{"to": "default", "type": "blackhole", "dev": "x"}]}, "leads nowhere"),
        ({"routes": [*ROUTES, {"to": "0.0.0.0/0", "dev": "veth0"}]}, "names default twice"),
        ({"rules": [{"priority": 1, "table": "other"}]}, "is no table"),
        ({"sysctls": {"kernel.hostname": "x"}}, "is no parameter of a network namespace"),
        ({"sysctls": {"net/../kernel": "x"}}, "is no parameter"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(StrataError, match=message):
        Netns({"name": "blue", **options})


def test_a_missing_namespace_is_told_by_the_plan():
    with pytest.raises(StrataError, match=r"links\[x\].peer.netns: is no network namespace there"):
        plan_of({"links": [{"name": "x", "type": "veth", "peer": {"name": "y", "netns": "none"}}]})
    assert plan_of({"links": [{"name": "x", "type": "veth", "peer": {"name": "y", "netns": "blue"}}]})


def test_a_missing_master_is_told_by_the_plan():
    with pytest.raises(StrataError, match=r"links\[veth0\].peer.master: is no link there"):
        plan_of({"links": [{**VETH, "peer": {"name": "veth-blue", "master": "none"}}]})


WHOLE = {
    "links": [
        {**VETH, "mtu": 1400},
        {"name": "br", "type": "bridge", "mtu": 1500, "bridge": {"stp": True, "forward_delay": 4}},
        {"name": "port", "type": "tap", "tun": {"owner": "0"}, "master": "br", "up": False},
        {"name": "tag", "type": "vlan", "parent": "br", "vlan": {"id": 5}, "addresses": ["fd00:5::1/64"]},
        {"name": "mv", "type": "macvlan", "parent": "eth0", "macvlan": {"mode": "bridge"}},
        {"name": "vx", "type": "vxlan", "vxlan": {"id": 7, "remote": "192.0.2.9"}, "parent": "br"},
        {"name": "far", "type": "veth", "peer": {"name": "x", "netns": "router"}},
    ],
    "routes": [*ROUTES, {"to": "default", "via": "fd00:5::9"}],
    "rules": RULES,
    "sysctls": {"net.ipv4.ip_local_port_range": "20000 30000", "net.ipv4.conf.tag.forwarding": 1},
    "persistent": True,
}
COMMANDS = """
ip netns add blue
ip -n blue link set dev lo alias "strata.virt netns owner=web" up
ip netns exec blue sysctl -q -w "net.ipv4.ip_local_port_range=20000 30000"
ip -n blue link add name br mtu 1501 type bridge stp_state 1 forward_delay 400
ip -n blue link set dev br alias "strata.virt netns link"
ip -n blue link set dev br mtu 1500 up
ip -n blue link add name far type veth peer name x netns router
ip -n blue link set dev far alias "strata.virt netns link"
ip -n blue link set dev far up
ip -n router link set dev x up
ip link add link eth0 name mv netns blue type macvlan mode bridge
ip -n blue link set dev mv alias "strata.virt netns link"
ip -n blue link set dev mv up
ip -n blue link add name veth0 type veth peer name veth-blue netns 1
ip -n blue link set dev veth0 alias "strata.virt netns link"
ip -n blue link set dev veth0 mtu 1400 up
ip -n blue address add 10.90.0.2/24 broadcast + dev veth0
ip link set dev veth-blue master br0 up
ip -n blue tuntap add dev port mode tap user 0
ip -n blue link set dev port alias "strata.virt netns link"
ip -n blue link set dev port master br
ip -n blue link add link br name tag type vlan id 5
ip -n blue link set dev tag alias "strata.virt netns link"
ip -n blue link set dev tag up
ip -n blue address add fd00:5::1/64 dev tag
ip -n blue link add name vx type vxlan dstport 4789 id 7 remote 192.0.2.9 dev br
ip -n blue link set dev vx alias "strata.virt netns link"
ip -n blue link set dev vx up
ip netns exec blue sysctl -q -w net.ipv4.conf.tag.forwarding=1
ip -n blue route add blackhole 10.96.0.0/16 table main protocol static
ip -n blue -6 route add fd01::/64 dev veth0 metric 1024 table main protocol static
ip -n blue route add 10.97.0.0/16 via 10.90.0.9 metric 5 table 1000 protocol static
ip -n blue -6 route add ::/0 via fd00:5::9 metric 1024 table main protocol static
ip -n blue route add default via 10.90.0.1 table main protocol static
ip -n blue rule add priority 100 from 10.90.0.0/24 fwmark 0x3 table 1000
"""


def test_the_next_boot_makes_what_is_declared(monkeypatch):
    resource = Netns({"name": "blue", **WHOLE}, owner="web")
    plan = resource.plan(replace(ABSENT, facts={"booted": True}))
    assert list(plan.want["stored"]) == COMMANDS.strip().splitlines()
    stored: dict[str, str] = {}
    monkeypatch.setattr(bootunit, "store", stored.__setitem__)
    resource._keep(plan)
    unit = UnitFile(stored["strata-netns-blue.service"])
    assert unit.all("Unit", "After") == [
        "network-pre.target",
        "strata-netns-router.service",
        "sys-subsystem-net-devices-br0.device",
        "sys-subsystem-net-devices-eth0.device",
    ]
    assert unit.all("Service", "ExecStart") == COMMANDS.strip().splitlines()


# What nobody declares is made again as it is.
@pytest.mark.parametrize("spec", [{"links": [VETH], "routes": ROUTES, "persistent": True}, {"persistent": True}])
def test_what_the_next_boot_makes_is_compared_apart(monkeypatch, spec):
    fresh = plan_of(spec)
    assert (fields(fresh), fresh.steps) == (["persistent", "stored"], ("update",))
    assert "ip -n blue link add name veth0 type veth peer name veth-blue netns 1" in fresh.want["stored"]
    kept = netns_unit.Kept("", fresh.want["stored"])
    monkeypatch.setattr(netns_unit, "read", lambda name: kept)
    assert fields(plan_of(spec)) == []
    assert fields(plan_of({**spec, "persistent": False})) == ["persistent", "stored"]
    monkeypatch.setattr(netns_unit, "read", lambda name: netns_unit.Kept("", kept.commands[:-1]))
    assert fields(plan_of(spec)) == ["stored"]


def test_a_unit_that_is_left_is_taken_away(monkeypatch):
    monkeypatch.setattr(netns_unit, "read", lambda name: netns_unit.Kept("web", ()))
    assert Netns.read_many(Kernel(), ["none"])["none"].owner == "web"
    plan = plan_of({"name": "none", "state": "absent"})
    assert (fields(plan), plan.steps) == (["unit"], ("remove",))


def test_what_is_persistent_needs_systemd_and_types(monkeypatch):
    with pytest.raises(StrataError, match=r"links: one type: is required"):
        plan_of({"links": [{"name": "theirs"}], "persistent": True})
    monkeypatch.setattr(systemd, "booted", lambda: False)
    with pytest.raises(StrataError, match="persistent: needs a unit of systemd, which does not run this host"):
        plan_of({"persistent": True})
