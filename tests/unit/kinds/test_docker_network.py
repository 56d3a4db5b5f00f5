# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_network, read and planned from documents as a daemon (26.1) says them, on one that keeps what it is told."""

from __future__ import annotations

import copy
import ipaddress
import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, Effect
from ansible_collections.strata.virt.plugins.module_utils.engines import docker_networks as words
from ansible_collections.strata.virt.plugins.module_utils.engines.docker import OWNER
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_network import DockerNetwork
from ansible_collections.strata.virt.plugins.module_utils.kinds.network import CHOSEN_BY, ENDPOINTS, NETWORK, PREVIOUS

SUBNET = "172.30.0.0/24"


class Killed(BaseException):
    """The run ends here: nothing catches it."""


class Daemon:
    """Keeps networks and who is on them, as the real one does."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.nets: dict[str, dict] = {}
        self.places: dict[str, dict[str, dict]] = {}
        self.owners: dict[str, str] = {}
        self.told: list[tuple] = []
        self.die_at = 0
        self.refuse = ""
        self.swarm = False

    def _touch(self, *what: str) -> None:
        self.told.append(what)
        if self.die_at and len(self.told) == self.die_at:
            self.die_at = 0
            raise Killed

    def net(self, name: str) -> dict:
        return next(one for one in self.nets.values() if name in (one["Name"], one["Id"]))

    def put(self, name: str, subnet: str | None = SUBNET, **more) -> dict:
        """A network that somebody made by hand."""
        config = [{"Subnet": subnet}] if subnet else []
        return self._keep({"Name": name, "IPAM": {"Driver": "default", "Options": {}, "Config": config}, **more})

    def _keep(self, body: dict) -> dict:
        identity = f"{next(self.numbers):064x}"
        made = {
            "Name": body["Name"],
            "Id": identity,
            "Created": "2026-11-25T21:36:24.123456789Z",
            "Scope": "local",
            "Driver": body.get("Driver", "bridge"),
            "EnableIPv6": body.get("EnableIPv6", False),
            "IPAM": {"Driver": "default", "Options": None, "Config": [], **copy.deepcopy(body.get("IPAM") or {})},
            "Internal": body.get("Internal", False),
            "Attachable": body.get("Attachable", False),
            "Ingress": False,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": body.get("ConfigOnly", False),
            "Containers": {},
            "Options": body.get("Options") or {},
            "Labels": body.get("Labels") or {},
        }
        if not made["IPAM"]["Config"] and not made["ConfigOnly"]:
            made["IPAM"]["Config"] = [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]
        self.nets[identity] = made
        return made

    def join(self, container: str, network: str, owner: str = "", **endpoint) -> None:
        self.owners[container] = owner
        places = self.places.setdefault(container, {})
        places[network] = {"NetworkID": self.net(network)["Id"], **endpoint}

    # What the engine asks.

    def networks(self):
        return list(self.nets.values())

    def containers(self):
        return [
            {
                "Id": f"{name}-id",
                "Names": [f"/{name}"],
                "Labels": {OWNER: self.owners.get(name, "")},
                "NetworkSettings": {"Networks": places},
            }
            for name, places in self.places.items()
        ]

    def inspect(self, container):
        name = container[:-3] if container.endswith("-id") else container
        if name not in self.places:
            return None
        return {"Id": f"{name}-id", "Name": f"/{name}", "NetworkSettings": {"Networks": self.places[name]}}

    def in_swarm(self):
        return self.swarm

    def create_network(self, body):
        self._touch("create", body["Name"])
        if self.refuse and body.get("Driver") == self.refuse:
            raise StrataError("Docker refused: invalid option")
        return self._keep(json.loads(json.dumps(body)))["Id"]

    def remove_network(self, network):
        self._touch("remove", self.net(network)["Name"])
        identity = self.net(network)["Id"]
        assert not any(place["NetworkID"] == identity for one in self.places.values() for place in one.values())
        del self.nets[identity]

    def connect(self, network, container, endpoint):
        self._touch("connect", container)
        one = self.net(network)
        self.places[container][one["Name"]] = {"NetworkID": one["Id"], **endpoint}

    def disconnect(self, network, container):
        self._touch("disconnect", container)
        self.places[container].pop(self.net(network)["Name"])


def declared(owner: str = "", applied: dict | None = None, **options) -> DockerNetwork:
    return DockerNetwork({"name": "front", **options}, owner=owner, applied=applied)


def observed(daemon: Daemon, resource: DockerNetwork):
    return resource.observe(daemon, resource.read_many(daemon, [resource.name]).get(resource.name, ABSENT))


def plan_of(daemon: Daemon, **options):
    resource = declared(**options)
    return resource.plan(observed(daemon, resource))


def run(daemon: Daemon, resource: DockerNetwork):
    """Plan and apply; what is left to do afterwards is nothing."""
    plan = resource.plan(observed(daemon, resource))
    for step in plan.steps:
        resource.perform(daemon, step, plan)
    resource = resource.settled()
    assert not resource.plan(observed(daemon, resource))
    return plan


def fields(plan) -> list[str]:
    return [change.name for change in plan.changes]


# Subnets.


@pytest.mark.parametrize(
    ("said", "same"),
    [
        ("172.30.0.0/24", "172.30.0.0/24"),
        (" 172.30.0.0/255.255.255.0", "172.30.0.0/24"),
        ("FD00:0db8:0000::/64", "fd00:db8::/64"),
    ],
)
def test_spellings_of_a_subnet(said, same):
    assert words.parse_subnet(said) == same


@given(st.ip_addresses(), st.integers(0, 128))
def test_a_canonical_subnet_stays_as_it_is(address, length):
    said = f"{address}/{min(length, address.max_prefixlen)}"
    subnet = str(ipaddress.ip_network(said, strict=False))
    assert words.parse_subnet(subnet) == subnet
    assert words.holds(subnet, str(address))
    if said != subnet:
        with pytest.raises(ValueError, match=f"is an address within its subnet: write {re.escape(subnet)}$"):
            words.parse_subnet(said)


@pytest.mark.parametrize(
    ("pools", "why"),
    [
        ([{"subnet": "172.30.0.5/24"}], "write 172.30.0.0/24"),
        ([{"subnet": "here"}], "is no subnet"),
        ([{"subnet": ""}], "without a subnet"),
        ([{"subnet": SUBNET, "gateway": "172.31.0.1"}], "gateway 172.31.0.1, which is not in 172.30.0.0/24"),
        ([{"subnet": SUBNET, "gateway": "gw"}], "is no address"),
        ([{"subnet": SUBNET, "iprange": "fd00::/64"}], "iprange fd00::/64, which is not in"),
        ([{"subnet": SUBNET, "iprange": "172.30.0.0/16"}], "which is not in 172.30.0.0/24"),
        ([{"subnet": SUBNET, "aux_addresses": {"router": "172.30.1.1"}}], "router 172.30.1.1, which is not in"),
        ([{"subnet": "172.30.0.0/16"}, {"subnet": SUBNET}], "which overlap"),
        ([{"subnet": SUBNET}, {"subnet": SUBNET}], "twice"),
    ],
)
def test_subnets_that_can_not_be_are_refused(pools, why):
    with pytest.raises(StrataError, match="ipam_config") as refused:
        declared(ipam_config=pools)
    assert why in str(refused.value)


@pytest.mark.parametrize("name", ["", "a/b", "..", "-x", f"front{PREVIOUS}"])
def test_bad_names_are_refused(name):
    with pytest.raises(StrataError, match="name"):
        DockerNetwork({"name": name})


def test_options_of_drivers_are_text():
    assert words.OPTIONS.parse({"mtu": 1400, "icc": False, "x": True, "gone": None}) == {
        "mtu": "1400",
        "icc": "false",
        "x": "true",
        "gone": None,
    }


# Reading.


def test_subnets_are_read_as_they_would_be_declared():
    entries = [
        {"Subnet": "FD00:0DB8::/64", "Gateway": "fd00:db8:0::1"},
        {
            "Subnet": "172.18.0.7/16",
            "Gateway": "172.18.0.1/16",
            "IPRange": "",
            "AuxiliaryAddresses": {"r": "172.18.0.9"},
        },
    ]
    assert words.pools({"IPAM": {"Config": entries}}) == (
        {"subnet": "172.18.0.0/16", "gateway": "172.18.0.1", "iprange": "", "aux_addresses": {"r": "172.18.0.9"}},
        {"subnet": "fd00:db8::/64", "gateway": "fd00:db8::1", "iprange": "", "aux_addresses": {}},
    )
    assert words.pools({"IPAM": {"Config": None}}) == words.pools({}) == ()


def test_who_is_on_it_is_read_also_of_those_that_never_ran():
    daemon = Daemon()
    daemon.put("front", Labels={OWNER: "site", "tier": "web"})
    daemon.join("ran", "front", owner="site")
    daemon.join("idle", "front")
    daemon.places["idle"]["front"]["NetworkID"] = ""
    daemon.places["other"] = {"front": {"NetworkID": "one of the same name that is gone"}}
    state = DockerNetwork.read_many(daemon, ["front"])["front"]
    assert state.config["connected"] == ("idle", "ran")
    assert state.facts["containers"] == {"idle": "", "ran": "site"}
    assert (state.owner, state.config["labels"]) == ("site", {"tier": "web"})


def test_all_of_them_are_those_that_somebody_made():
    daemon = Daemon()
    for name, driver in (("bridge", "bridge"), ("host", "host"), ("none", "null"), ("front", "bridge")):
        daemon.put(name, Driver=driver)
    daemon.put("held", None, ConfigOnly=True)
    assert set(DockerNetwork.read_many(daemon, None)) == {"front"}
    assert set(DockerNetwork.read_many(daemon, ["bridge", "gone"])) == {"bridge"}


# Planning.


def test_made_and_unchanged_after():
    daemon = Daemon()
    pool = {"subnet": SUBNET, "gateway": "172.30.0.254", "iprange": "172.30.0.128/25"}
    pool["aux_addresses"] = {"router": "172.30.0.253"}
    run(daemon, declared(owner="site", internal=True, labels={"tier": "db"}, ipam_config=[pool]))
    made = daemon.net("front")
    assert made["IPAM"]["Config"] == [
        {
            "Subnet": SUBNET,
            "Gateway": "172.30.0.254",
            "IPRange": "172.30.0.128/25",
            "AuxiliaryAddresses": {"router": "172.30.0.253"},
        }
    ]
    assert (made["Internal"], made["Driver"]) == (True, "bridge")
    assert made["Labels"] == {OWNER: "site", CHOSEN_BY: "task", "tier": "db"}


def test_what_was_made_by_hand_is_as_declared():
    daemon = Daemon()
    daemon.put("front", "fd00:db8::/64", EnableIPv6=True)
    assert not plan_of(daemon, enable_ipv6=True, ipam_config=[{"subnet": "FD00:0db8:0::/64"}])
    assert not plan_of(daemon)


def test_subnets_of_the_daemons_choice_are_no_drift_and_are_kept():
    daemon = Daemon()
    run(daemon, declared())
    assert not plan_of(daemon, ipam_config=[])
    run(daemon, declared(internal=True))
    assert daemon.net("front")["IPAM"]["Config"] == [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]
    assert not plan_of(daemon, ipam_config=[])


def test_a_subnet_that_a_task_chose_goes_with_an_empty_list():
    daemon = Daemon()
    run(daemon, declared(ipam_config=[{"subnet": SUBNET}]))
    assert not plan_of(daemon)
    run(daemon, declared(ipam_config=[]))
    assert daemon.net("front")["IPAM"]["Config"][0]["Subnet"] == "172.18.0.0/16"


def test_a_subnet_of_the_other_family_that_the_daemon_adds_is_no_drift():
    daemon = Daemon()
    daemon.put("front", "fd00:db8::/64", EnableIPv6=True)
    daemon.net("front")["IPAM"]["Config"].append({"Subnet": "172.19.0.0/16", "Gateway": "172.19.0.1"})
    assert not plan_of(daemon, enable_ipv6=True, ipam_config=[{"subnet": "fd00:db8::/64"}])
    assert fields(plan_of(daemon, ipam_config=[{"subnet": "172.20.0.0/16"}])) == [
        "ipam_config[172.19.0.0/16]",
        "ipam_config[172.20.0.0/16]",
    ]


def test_a_gateway_that_a_stack_declared_before_goes_back_to_the_daemons():
    daemon = Daemon()
    pool = {"subnet": SUBNET}
    last = {"name": "front", "ipam_config": [{**pool, "gateway": "172.30.0.254"}]}
    run(daemon, declared(owner="site", ipam_config=last["ipam_config"]))
    run_after = declared(owner="site", applied=last, ipam_config=[pool])
    plan = run_after.plan(observed(daemon, run_after))
    assert (fields(plan), plan.steps) == ([f"ipam_config[{SUBNET}]"], ("recreate",))


def test_recreate_as_the_policy_says():
    daemon = Daemon()
    daemon.put("front")
    assert plan_of(daemon, internal=True, recreate="never").restart_required == ["internal"]
    plan = plan_of(daemon, internal=True)
    assert ([change.effect for change in plan.changes], plan.steps) == ([Effect.RECREATE], ("recreate",))
    for forced in ({"recreate": "always"}, {"force": True}):
        assert plan_of(daemon, **forced).steps == ("recreate",)


@pytest.mark.parametrize("taken", ["172.30.0.0/16", "172.30.0.128/25", "172.30.0.0/24"])
def test_an_overlap_is_refused_with_the_name_of_the_other_one(taken):
    daemon = Daemon()
    daemon.put("theirs", taken)
    with pytest.raises(StrataError, match=f"ipam_config: overlaps with {taken} of the network theirs"):
        plan_of(daemon, ipam_config=[{"subnet": SUBNET}])
    assert daemon.told == []


def test_an_overlap_with_another_family_or_of_the_same_stack_is_none():
    daemon = Daemon()
    daemon.put("six", "fd00:db8::/64")
    daemon.put("old", SUBNET, Labels={OWNER: "site"})
    resource = declared(owner="site", ipam_config=[{"subnet": SUBNET}])
    assert resource.plan(observed(daemon, resource)).steps == ("create",)


def test_overlay_needs_a_swarm():
    daemon = Daemon()
    with pytest.raises(StrataError, match=r"driver: needs a swarm.*docker swarm init"):
        plan_of(daemon, driver="overlay")
    daemon.swarm = True
    assert plan_of(daemon, driver="overlay").steps == ("create",)


@pytest.mark.parametrize(("name", "why"), [("bridge", "daemon's own"), ("held", "configuration only")])
def test_what_is_not_ours_to_change(name, why):
    daemon = Daemon()
    daemon.put(name, ConfigOnly=name == "held")
    for options in ({"internal": True}, {"state": "absent", "force": True}):
        resource = DockerNetwork({"name": name, **options})
        with pytest.raises(StrataError, match=why):
            resource.plan(observed(daemon, resource))


# Containers on it.


def test_connected_containers_change_live():
    daemon = Daemon()
    daemon.put("front")
    daemon.join("one", "front")
    daemon.places["two"] = {}
    assert not plan_of(daemon, connected=["one"])
    plan = run(daemon, declared(connected=["two-id"], appends=True))
    assert ([change.effect for change in plan.changes], plan.steps) == ([Effect.LIVE], ("update",))
    assert daemon.told == [("connect", "two")]
    run(daemon, declared(connected=[]))
    assert daemon.places == {"one": {}, "two": {}}
    with pytest.raises(StrataError, match=r"connected: is not on this host.*networks"):
        plan_of(daemon, connected=["three"])


def test_one_in_use_is_refused_unless_forced():
    daemon = Daemon()
    daemon.put("front")
    daemon.join("web", "front")
    with pytest.raises(StrataError, match=r"is in use by web.*force: true"):
        plan_of(daemon, state="absent")
    run(daemon, declared(state="absent", force=True))
    assert (daemon.nets, daemon.places) == ({}, {"web": {}})


def test_containers_of_the_same_stack_go_first_and_are_looked_at_again():
    daemon = Daemon()
    daemon.put("front", Labels={OWNER: "site"})
    daemon.join("web", "front", owner="site")
    resource = declared(owner="site", state="absent")
    plan = resource.plan(observed(daemon, resource))
    with pytest.raises(StrataError, match="is in use by web"):
        resource.remove(daemon, plan)
    assert daemon.told == []


# Made anew.


def busy() -> Daemon:
    daemon = Daemon()
    daemon.put("front", Labels={OWNER: "site", "theirs": "1"}, Options={"com.docker.network.driver.mtu": "1400"})
    daemon.join("web", "front", IPAMConfig={"IPv4Address": "172.30.0.77"}, Aliases=["www", "web-id"])
    daemon.join("idle", "front", Aliases=["lazy"], IPAMConfig=None)
    daemon.places["idle"]["front"]["NetworkID"] = ""
    return daemon


def settings(daemon: Daemon) -> dict:
    return {
        name: {key: place.get(key) for key in ("IPAMConfig", "Aliases")}
        for name, place in ((name, places["front"]) for name, places in daemon.places.items())
    }


# The alias that is the short ID is the daemon's own: it adds that of the container itself.
ALL_BACK = {
    "web": {"IPAMConfig": {"IPv4Address": "172.30.0.77"}, "Aliases": ["www"]},
    "idle": {"IPAMConfig": {}, "Aliases": ["lazy"]},
}


def test_containers_come_along_and_what_is_not_named_is_carried_over():
    daemon = busy()
    run(daemon, declared(internal=True))
    front = daemon.net("front")
    assert (front["Internal"], front["Options"]) == (True, {"com.docker.network.driver.mtu": "1400"})
    assert (front["Labels"][OWNER], front["Labels"]["theirs"]) == ("site", "1")
    assert front["IPAM"]["Config"][0]["Subnet"] == SUBNET
    assert settings(daemon) == ALL_BACK
    assert list(daemon.nets) == [front["Id"]], "the journal is gone"


def test_a_fixed_address_that_the_new_subnet_lacks_is_told():
    daemon = busy()
    plan = run(daemon, declared(ipam_config=[{"subnet": "172.31.0.0/24"}]))
    told = next(change for change in plan.changes if change.field == "fixed_address")
    assert (told.name, told.before, told.after) == ("fixed_address[web]", "172.30.0.77", None)
    assert settings(daemon)["web"] == {"IPAMConfig": {}, "Aliases": ["www"]}


def test_the_way_back():
    daemon = busy()
    before = words.body_of(daemon.net("front"))
    daemon.refuse = "macvlan"
    resource = declared(driver="macvlan")
    plan = resource.plan(observed(daemon, resource))
    with pytest.raises(StrataError, match="the old one is back with its containers: Docker refused: invalid option"):
        resource.recreate(daemon, plan)
    assert words.body_of(daemon.net("front")) == before
    assert settings(daemon) == ALL_BACK
    assert len(daemon.nets) == 1


# Journal made, two containers off, network gone, network made, two containers on, journal gone.
TOUCHES = 8


@pytest.mark.parametrize("die_at", range(1, TOUCHES + 1))
def test_killed_anywhere_the_next_run_finishes(die_at):
    daemon = busy()
    resource = declared(internal=True)
    plan = resource.plan(observed(daemon, resource))
    daemon.die_at = die_at
    with pytest.raises(Killed):
        resource.recreate(daemon, plan)
    again = run(daemon, declared(internal=True))
    assert ("leftovers" in fields(again)) is (die_at > 1)
    assert daemon.net("front")["Internal"] is True
    assert daemon.net("front")["Labels"][OWNER] == "site"
    assert settings(daemon) == ALL_BACK
    assert len(daemon.nets) == 1


def test_a_whole_run_touches_the_daemon_as_often_as_it_is_killed():
    daemon = busy()
    run(daemon, declared(internal=True))
    assert len(daemon.told) == TOUCHES


@pytest.mark.parametrize("die_at", range(2, TOUCHES + 1))
def test_killed_and_then_to_be_absent_nothing_is_left(die_at):
    daemon = busy()
    resource = declared(internal=True)
    plan = resource.plan(observed(daemon, resource))
    daemon.die_at = die_at
    with pytest.raises(Killed):
        resource.recreate(daemon, plan)
    run(daemon, declared(state="absent", force=True))
    assert daemon.nets == {}


def test_a_journal_is_told_from_a_namesake():
    daemon = Daemon()
    daemon.put("front")
    daemon.put(f"front{PREVIOUS}", "172.31.0.0/24")
    assert not plan_of(daemon)
    daemon.put(f"back{PREVIOUS}", None, ConfigOnly=True, Labels={ENDPOINTS: "{}", NETWORK: json.dumps({"Labels": {}})})
    assert DockerNetwork.read_many(daemon, None)["back"].status == "absent"


def test_an_export_declares_what_is_there():
    daemon = busy()
    state = DockerNetwork.read_many(daemon, ["front"])["front"]
    options = DockerNetwork.export("front", state)
    assert options["ipam_config"][0]["subnet"] == SUBNET
    assert not plan_of(daemon, **options)
