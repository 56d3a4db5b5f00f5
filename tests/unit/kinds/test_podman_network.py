# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_network over an engine that keeps what Podman is told, and tells it as Podman does."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
from ansible_collections.strata.virt.plugins.module_utils.engines import podman_networks, podman_spec, podman_words
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_network import PodmanNetwork


class Podman:
    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.kept: dict[str, dict] = {}
        self.on: dict[str, dict] = {"web": {}}
        self.create_network({"Name": "podman", "Dns": False})

    def networks(self):
        return [podman_networks.network(one) for one in self.kept.values()]

    def create_network(self, body):
        made = podman_networks.request(body)
        number = next(self.numbers)
        made["subnets"] = [
            {"gateway": one["subnet"].replace("0/24", "1"), **one}
            for one in made["subnets"] or [{"subnet": f"10.89.{number}.0/24"}]
        ]
        self.kept[made["name"]] = {**made, "id": f"{number}"}
        return f"{number}"

    def remove_network(self, network):
        self.kept = {name: one for name, one in self.kept.items() if network not in (name, one["id"])}

    def containers(self):
        return [podman_words.listed({"Id": name, "Names": [name], "Networks": [*on]}) for name, on in self.on.items()]

    def inspect(self, container):
        places = {name: {"NetworkID": "", "Aliases": aliases} for name, aliases in self.on[container].items()}
        return {"Id": "0" * 64, "Name": f"/{container}", "NetworkSettings": {"Networks": places}}

    def _named(self, network):
        return next(name for name, one in self.kept.items() if network in (name, one["id"]))

    def connect(self, network, container, endpoint):
        self.on[container][self._named(network)] = podman_spec.place(endpoint).get("aliases", [])

    def disconnect(self, network, container):
        self.on[container].pop(self._named(network))


def applied(engine, **options):
    """The plan; what it says is done, and nothing is left then."""
    resource = PodmanNetwork({"name": "front", **options})

    def planned(one):
        return one.plan(one.observe(engine, one.read_many(engine, ["front"]).get("front", ABSENT)))

    plan = planned(resource)
    for step in plan.steps:
        resource.perform(engine, step, plan)
    assert not planned(resource.settled())
    return plan


def test_made_changed_and_taken_away():
    engine = Podman()
    pool = {"subnet": "10.90.1.0/24", "gateway": "10.90.1.254", "iprange": "10.90.1.128/25"}
    applied(engine, ipam_config=[pool], labels={"tier": "front"}, driver_options={"mtu": 1400})
    made = engine.kept["front"]
    leases = {"start_ip": "10.90.1.129", "end_ip": "10.90.1.255"}
    assert made["subnets"] == [{"subnet": "10.90.1.0/24", "gateway": "10.90.1.254", "lease_range": leases}]
    assert (made["dns_enabled"], made["options"], made["labels"]["tier"]) == (True, {"mtu": "1400"}, "front")
    engine.on["web"]["front"] = ["www"]
    plan = applied(engine, internal=True, dns_enabled=False)
    assert plan.steps == ("recreate",)
    again = engine.kept["front"]
    assert (again["internal"], again["dns_enabled"], again["subnets"]) == (True, False, made["subnets"])
    assert engine.on == {"web": {"front": ["www"]}}
    assert sorted(engine.kept) == ["front", "podman"]
    with pytest.raises(StrataError, match="is in use by web"):
        applied(engine, state="absent")
    applied(engine, state="absent", force=True)
    assert sorted(engine.kept) == ["podman"]


def test_its_own_choice_of_a_subnet_is_no_drift():
    engine = Podman()
    applied(engine)
    assert not applied(engine, ipam_config=[])


def test_what_is_podmans_own():
    engine = Podman()
    resource = PodmanNetwork({"name": "podman", "internal": True})
    with pytest.raises(StrataError, match="is one of Podman's own networks"):
        resource.plan(resource.observe(engine, resource.read_many(engine, ["podman"])["podman"]))
    with pytest.raises(StrataError, match="aux_addresses: Podman reserves no addresses"):
        PodmanNetwork({"name": "front", "ipam_config": [{"subnet": "10.0.0.0/24", "aux_addresses": {"a": "10.0.0.9"}}]})
