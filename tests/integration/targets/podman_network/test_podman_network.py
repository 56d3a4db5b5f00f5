# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_network, looked at through Podman's own API, and inside of containers that are on one while it changes."""

from __future__ import annotations

import json

import pytest

from tests.lab import podman_api
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run
from tests.lab.podman_containers import make_images

IMAGE, USER = "localhost/web:1.0", "strata-user"
TOUCHES = tuple(
    f"engines.podman.Podman.{verb}" for verb in ("create_network", "remove_network", "connect", "disconnect")
)


@pytest.fixture(scope="module", autouse=True)
def _images():
    with podman_api.service() as at:
        make_images(at, ("web:1.0",))
        yield


def look(name: str) -> dict | None:
    found = podman_api.ask(f"/networks/{name}/json")
    if found is None:
        return None
    keys = {"driver": "", "internal": False, "ipv6_enabled": False, "dns_enabled": False, "options": {}}
    labels = {key: value for key, value in (found.get("labels") or {}).items() if not key.startswith("strata.")}
    return {**{key: found.get(key) or empty for key, empty in keys.items()}, "labels": labels}


def subnet(name: str) -> str:
    """One for each name that the tests use: two networks can't share one."""
    return f"10.92.{sum(name.encode()) % 200}.0/24"


def again(*argv: str):
    """Somebody else makes it anew, by hand."""

    def drift(name: str) -> None:
        podman_api.ask(f"/networks/{name}", "DELETE")
        run("podman", "network", "create", *argv, name)

    return drift


class TestPodmanNetwork(Convergence):
    case = Case(
        kind="podman_network",
        info="podman_network_info",
        a={"internal": True, "labels": {"tier": "back"}, "driver_options": {"mtu": 1400}},
        b={"internal": False, "labels": {"tier": "front"}, "dns_enabled": False},
        look=look,
        own=lambda name: {"ipam_config": [{"subnet": subnet(name)}]},
        seen_a={"driver": "bridge", "internal": True, "labels": {"tier": "back"}, "options": {"mtu": "1400"}},
        seen_b={"driver": "bridge", "internal": False, "labels": {"tier": "front"}, "dns_enabled": False},
        drifts={
            "removed": lambda name: podman_api.ask(f"/networks/{name}", "DELETE"),
            "made anew, leading out": lambda name: again("--subnet", subnet(name), "--label", "tier=back")(name),
            "made anew, with another subnet": again("--internal"),
        },
        touches=TOUCHES,
        bad=(
            ("ipam_config", [{"subnet": "10.92.0.5/24"}]),
            ("ipam_config", [{"subnet": "10.92.0.0/24", "gateway": "10.93.0.1"}]),
            ("ipam_config", [{"subnet": "10.92.0.0/24", "aux_addresses": {"router": "10.92.0.9"}}]),
            ("nonsense", "1"),
        ),
        bad_names=("", "a/../b", "..", "-x", "x y"),
    )

    def test_it_is_what_podman_makes_by_hand(self):
        name = self.case.name
        pool = {"subnet": "10.92.201.0/24", "gateway": "10.92.201.254", "iprange": "10.92.201.128/25"}
        example = {"ipam_config": [pool], "internal": True, "labels": {"tier": "database"}}
        assert self.foretold(example)["changed"]
        keep = ("subnets", "internal", "dns_enabled", "ipv6_enabled", "ipam_options")
        ours = {key: podman_api.ask(f"/networks/{name}/json").get(key) for key in keep}
        by_hand = "--internal --subnet 10.92.201.0/24 --gateway 10.92.201.254 --ip-range 10.92.201.128/25"
        again(*by_hand.split(), "--label", "tier=database")(name)
        assert {key: podman_api.ask(f"/networks/{name}/json").get(key) for key in keep} == ours
        self.unchanged(example)

    def test_one_with_containers_that_do_not_run_on_it_is_changed_and_not_taken_away(self):
        name = self.case.name
        self.apply(self.case.a)
        run("podman", "create", "--name", USER, "--network", f"{name}:alias=db", IMAGE)
        try:
            assert self.foretold(self.case.b)["changed"]
            self.sees(self.case.seen_b)
            (place,) = podman_api.container(USER)["NetworkSettings"]["Networks"].items()
            assert (place[0], "db" in place[1]["Aliases"]) == (name, True)
            with pytest.raises(Failed, match=f"{USER}"):
                self.apply({"state": "absent"})
        finally:
            podman_api.remove(USER)

    def test_what_runs_on_it_goes_on_while_it_changes(self):
        name = self.case.name
        self.apply(self.case.a)
        run("podman", "run", "--detach", "--name", USER, "--network", f"{name}:ip={subnet(name)[:-4]}7", IMAGE)
        try:
            before = podman_api.container(USER)["State"]["Pid"]
            assert self.foretold(self.case.b)["changed"]
            after = podman_api.container(USER)
            assert after["State"]["Pid"] == before
            assert after["NetworkSettings"]["Networks"][name]["IPAddress"] == f"{subnet(name)[:-4]}7"
            links = json.loads(run("nsenter", f"--target={before}", "--net", "ip", "-json", "address", "show", "up"))
            inside = {one["local"] for link in links for one in link["addr_info"]}
            assert f"{subnet(name)[:-4]}7" in inside
            (told,) = call("podman_network_info", {"name": [name]})["resources"]
            assert told["options"]["labels"] == {"tier": "front"}
        finally:
            podman_api.remove(USER)
