# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""link, read and planned from what a real kernel (6.18) said. The engine is a folder of its answers."""

from __future__ import annotations

import copy
import errno
import json
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, Effect
from ansible_collections.strata.virt.plugins.module_utils.engines import link_values, networkd
from ansible_collections.strata.virt.plugins.module_utils.engines.links import Snapshot, View, World
from ansible_collections.strata.virt.plugins.module_utils.engines.netlink import Refused
from ansible_collections.strata.virt.plugins.module_utils.kinds.link import OWNED, Link

ANSWERS = Path(__file__).parents[1] / "fixtures" / "link"
NAMESPACES = {"": "host", "blue": "blue"}


def answer(name: str) -> Snapshot:
    told = json.loads((ANSWERS / f"{name}.json").read_text())
    return Snapshot(**{**told, "places": {int(number): place for number, place in told["places"].items()}})


class Kernel:
    """Answers like the real one, and notes what it is told."""

    def __init__(self, netns: str = "") -> None:
        self.netns = netns
        self.told: list[tuple] = []
        self.snapshots = {netns: answer(file) for netns, file in NAMESPACES.items()}
        self.latest = View(self)

    def look(self, routed: bool = False) -> View:
        self.latest = View(self, routed)
        return self.latest

    def snapshot(self, netns, routed=False):
        return copy.deepcopy(self.snapshots.get(netns))

    def places(self, netns):
        return self.snapshots[netns].places

    def ports(self, netns, master):
        return []

    def __getattr__(self, verb):
        return lambda *args: self.told.append((verb, *args))


@pytest.fixture(autouse=True)
def _without_networkd(monkeypatch):
    """Whatever host this runs on."""
    monkeypatch.setattr(networkd, "running", lambda: False)
    monkeypatch.setattr(networkd, "stored", dict)


def state_of(resource: Link, kernel: Kernel | None = None):
    kernel = kernel or Kernel(resource.netns)
    return resource.observe(kernel, resource.read_many(kernel, [resource.name]).get(resource.name, ABSENT))


def plan_of(**options):
    resource = Link(options)
    return resource.plan(state_of(resource))


def fields(plan) -> list[str]:
    return [change.name for change in plan.changes]


@pytest.mark.parametrize(
    "declared",
    [
        {"name": "br0", "type": "bridge", "addresses": ["10.90.0.1/24"], "bridge": {"stp": True, "forward_delay": 4}},
        {"name": "pair0", "type": "veth", "mtu": 1400, "addresses": ["fd00:91::1/64", "10.91.0.1/24"]},
        {"name": "pair0", "peer": {"name": "pair1", "addresses": []}, "master": ""},
        {"name": "mv0", "type": "macvlan", "parent": "pair0", "macvlan": {"mode": "bridge"}, "up": False},
        {
            "name": "vx0",
            "type": "vxlan",
            "parent": "pair0",
            "up": False,
            "vxlan": {"id": 7, "remote": "192.0.2.9", "local": "192.0.2.2"},
        },
        {"name": "tap0", "type": "tap", "master": "br0", "tun": {"owner": "65534"}, "up": False},
        {"name": "veth-blue", "type": "veth", "master": "br0", "peer": {"name": "veth0", "netns": "blue"}},
        {"name": "veth0", "netns": "blue", "type": "veth", "peer": {"name": "veth-blue", "netns": None}},
    ],
)
def test_what_ip_made_is_what_is_declared(declared):
    assert fields(plan_of(**declared)) == []


@pytest.mark.parametrize("netns", ["", "blue"])
def test_every_export_changes_nothing(netns):
    kernel = Kernel(netns)
    for name, state in Link.read_many(kernel, None).items():
        options = {**Link.export(name, state), **({"netns": netns} if netns else {})}
        assert fields(plan_of(**options)) == [], name


@pytest.mark.parametrize(
    ("options", "changed", "effect"),
    [
        ({"name": "br0", "mtu": 9000}, "mtu", Effect.LIVE),
        ({"name": "br0", "up": False}, "up", Effect.LIVE),
        ({"name": "br0", "addresses": ["10.90.0.1/16"]}, "addresses", Effect.LIVE),
        ({"name": "br0", "bridge": {"vlan_filtering": True}}, "bridge[vlan_filtering]", Effect.LIVE),
        ({"name": "pair0", "master": "br0"}, "master", Effect.LIVE),
        ({"name": "pair0", "peer": {"name": "pair1", "up": False}}, "peer[up]", Effect.LIVE),
        ({"name": "pair0", "peer": {"name": "other"}}, "peer[name]", Effect.RECREATE),
        ({"name": "pair0", "peer": {"name": "pair1", "netns": "blue"}}, "peer[netns]", Effect.RECREATE),
        ({"name": "mv0", "up": False, "macvlan": {"mode": "private"}}, "macvlan[mode]", Effect.LIVE),
        ({"name": "mv0", "up": False, "macvlan": {"mode": "passthru"}}, "macvlan[mode]", Effect.RECREATE),
        ({"name": "mv0", "up": False, "parent": "br0"}, "parent", Effect.RECREATE),
        ({"name": "vx0", "up": False, "vxlan": {"id": 8}}, "vxlan[id]", Effect.RECREATE),
        ({"name": "tap0", "up": False, "tun": {"owner": "0"}}, "tun[owner]", Effect.RECREATE),
        ({"name": "tap0", "up": False, "type": "tun"}, "type", Effect.RECREATE),
    ],
)
def test_the_cheapest_effect_that_does_it(options, changed, effect):
    plan = plan_of(**options)
    assert [(change.name, change.effect) for change in plan.changes] == [(changed, effect)]
    assert plan.steps == (("recreate",) if effect is Effect.RECREATE else ("update",))
    never = plan_of(**options, recreate="never")
    assert never.restart_required == ([changed] if effect is Effect.RECREATE else [])


def test_link_local_addresses_are_nobodys_business():
    assert fields(plan_of(name="pair1", addresses=[])) == []
    kept = state_of(Link({"name": "pair1"})).config["link_locals"]
    assert len(kept) == 1
    assert fields(plan_of(name="pair1", addresses=list(kept))) == []
    assert fields(plan_of(name="pair1", addresses=["fe80::9/64"])) == ["addresses"]


def test_an_alias_tells_the_owner():
    states = Link.read_many(Kernel(), ["br0", "pair0", "pair1"])
    assert {name: state.owner for name, state in states.items()} == {"br0": "web", "pair0": None, "pair1": None}
    inside = Link.read_many(Kernel("blue"), None)
    assert {name: state.owner for name, state in inside.items()} == dict.fromkeys(("lo", "veth0", "theirs"))


def test_what_is_made_has_what_was_given():
    kernel = Kernel()
    resource = Link({"name": "vx1", "type": "vxlan", "vxlan": {"id": 9, "remote": "192.0.2.1"}}, owner="site")
    resource.create(kernel, resource.plan(state_of(resource, kernel)))
    (_create, netns, name, values), (_configure, *_link, alias, _had), *_more = kernel.told
    assert (netns, name, values["vxlan"]) == ("", "vx1", {"id": 9, "remote": "192.0.2.1", "port": 4789})
    assert alias == {"alias": f"{OWNED}site"}


def test_what_is_made_anew_keeps_what_it_had():
    kernel = Kernel()
    resource = Link({"name": "vx0", "up": False, "vxlan": {"id": 8}})
    resource.recreate(kernel, resource.plan(state_of(resource, kernel)))
    (made,) = [values for verb, *_link, values in kernel.told if verb == "create"]
    assert made["vxlan"] == {"id": 8, "remote": "192.0.2.9", "local": "192.0.2.2", "port": 4789}
    assert (made["type"], made["parent"]) == ("vxlan", "pair0")


def test_a_dropped_option_goes_back_to_its_default():
    applied = {"name": "br0", "type": "bridge", "mtu": 1400, "bridge": {"stp": True}, "addresses": ["10.90.0.1/24"]}
    resource = Link({"name": "br0", "type": "bridge", "bridge": {"forward_delay": 4}}, applied=applied, owner="web")
    want = resource.plan(state_of(resource)).want
    assert (want["mtu"], want["addresses"]) == (1500, ())
    assert want["bridge"] == {"forward_delay": 400, "stp": False}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "sixteen-bytes-ab"}, "15 bytes"),
        ({"name": "a/b"}, "is no name"),
        ({"name": "a b"}, "is no name"),
        ({"name": "-a"}, "is no name"),
        ({"addresses": ["10.0.0.1/24", "10.0.0.1/24"]}, "gives 10.0.0.1/24 twice"),
        ({"addresses": ["10.0.0.1/33"]}, "is no address"),
        ({"type": "bridge", "master": "x"}, "a port of its own"),
        ({"type": "bridge", "vlan": {"id": 5}}, "vlan: belongs to links of type vlan"),
        ({"type": "bridge", "parent": "eth0"}, "parent: belongs to"),
        ({"type": "vlan", "vlan": {"id": 4095}, "parent": "eth0"}, "from 1 to 4094"),
        ({"type": "vxlan", "vxlan": {"id": 1, "group": "192.0.2.1"}, "parent": "eth0"}, "no multicast"),
        ({"type": "vxlan", "vxlan": {"id": 1, "group": "239.1.1.1"}}, "parent: is needed"),
        ({"type": "veth", "peer": {"name": "x"}}, "the link itself"),
        ({"mtu": 1}, "mtu: must be"),
        ({"type": "tap", "tun": {"owner": "nobody-at-all"}}, "no user of this host"),
        ({"type": "veth", "peer": {"name": "y", "netns": "blue"}, "persistent": True}, "persistent: is for links"),
        ({"netns": "blue", "type": "bridge", "persistent": True}, "persistent: is for links"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(StrataError, match=message):
        Link({"name": "x", **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "type: is required"),
        ({"type": "vlan", "vlan": {"id": 5}}, "parent: is required"),
        ({"type": "vxlan"}, "vxlan: is required"),
        ({"type": "veth"}, "peer: is required"),
        ({"type": "bridge", "master": "none"}, "master: is no link there"),
        ({"type": "vlan", "vlan": {"id": 5}, "parent": "none"}, "parent: is no link there"),
        ({"type": "bridge", "netns": "none"}, "netns: is no network namespace there"),
        ({"type": "veth", "peer": {"name": "y", "netns": "none"}}, "peer.netns: is no network namespace there"),
        ({"type": "bridge", "persistent": True}, "systemd-networkd, which does not run"),
    ],
)
def test_what_cannot_be_made_is_told_by_the_plan(options, message):
    with pytest.raises(StrataError, match=message):
        plan_of(name="x", **options)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("bridge", {"vlan_filtering": True, "stp": False, "forward_delay": 400}),
        ("vlan", {"id": 5}),
        ("macvlan", {"mode": "private"}),
        ("ipvlan", {"mode": "l3s"}),
        ("bond", {"mode": "802.3ad", "miimon": 100}),
        ("vxlan", {"id": 7, "port": 4789, "local": "192.0.2.1", "group": "239.1.1.1"}),
        ("vxlan", {"id": 7, "port": 8472, "local": "fd00::1", "remote": "fd00::2"}),
    ],
)
def test_what_is_sent_is_what_is_read(kind, values):
    message = {"index": 1, "flags": 0, "IFLA_LINKINFO": link_values.information(kind, values)}
    assert link_values.observed(message, [])[kind] == values


PERSISTENT = [
    (
        {"type": "bridge", "mtu": 9000, "addresses": ["10.0.0.1/24", "fd00::1/64"], "bridge": {"stp": False}},
        {"netdev [Bridge] STP": "no", "network [Link] MTUBytes": "9000"},
    ),
    ({"type": "vlan", "vlan": {"id": 5}, "parent": "eth0"}, {"10-eth0.network.d [Network] VLAN": "x"}),
    ({"type": "bond", "bond": {"mode": "802.3ad", "miimon": 100}}, {"netdev [Bond] MIIMonitorSec": "100ms"}),
    ({"type": "vxlan", "vxlan": {"id": 7, "remote": "192.0.2.1"}}, {"netdev [VXLAN] Independent": "yes"}),
    ({"type": "tap", "tun": {"owner": "65534"}, "master": "br0"}, {"network [Network] Bridge": "br0"}),
    (
        {"type": "veth", "up": False, "peer": {"name": "y", "master": "bond0", "addresses": ["10.1.0.1/24"]}},
        {"peer.network [Network] Bond": "bond0", "network [Link] ActivationPolicy": "down"},
    ),
]


@pytest.mark.parametrize(("options", "told"), PERSISTENT)
def test_files_say_what_is_declared_and_are_read_back(options, told):
    values = Link({"name": "x", **options}).declared
    around = {"master": "bridge", "peer.master": "bond", "parent": "10-eth0.network"}
    rendered = networkd.render("x", values, around)
    assert told.items() <= rendered.items()
    back: dict[str, str] = {}
    for path, text in networkd.texts("x", rendered, "site").items():
        assert text.startswith("# Written by strata.virt for the link x, owner=site\n")
        back.update(networkd.parse(networkd._role("x", path), text))
    assert back == rendered


def test_stored_and_running_are_told_apart():
    resource = Link({"name": "br0", "type": "bridge", "addresses": ["10.90.0.1/24"], "persistent": True})
    state = state_of(resource)
    state.facts["networkd"] = {"ready": True}
    missing = resource.plan(state)
    assert missing.steps == ("update",)
    assert fields(missing)[0] == "persistent"
    state.config.update(persistent=True, stored=dict(missing.want["stored"]))
    assert not resource.plan(state)
    state.config["stored"]["network [Network] Address"] = "10.90.0.9/24"
    state.config["stored"]["network [Network] DHCP"] = "yes"
    assert {change.name: change.after for change in resource.plan(state).changes} == {
        "stored[network [Network] Address]": "10.90.0.1/24",
        "stored[network [Network] DHCP]": None,
    }


@pytest.mark.parametrize(
    ("kind", "module"), [("vlan", "8021q"), ("bond", "bonding"), ("dummy", "dummy"), ("ipvlan", "ipvlan")]
)
def test_a_kernel_without_the_type_is_told(kind, module):
    """A fake: the kernels of the lab have all of them."""

    class Socket:
        def tell(self, *_message):
            raise Refused(errno.EOPNOTSUPP, "Unknown device type")

    with pytest.raises(StrataError, match=rf"no links of type {kind}. Load the module {module} \(modprobe {module}\)"):
        World._make(Socket(), kind, "x", {"IFLA_LINKINFO": link_values.information(kind, {})})
