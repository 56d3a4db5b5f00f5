# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""netns, read and planned from what a real kernel (6.18) said. The engine is a folder of its answers."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
from ansible_collections.strata.virt.plugins.module_utils.engines.links import Snapshot, View
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
