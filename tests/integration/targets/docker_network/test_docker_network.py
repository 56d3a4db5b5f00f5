# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_network, looked at through Docker's own API and the kernel's links."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.lab import docker_api
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, Killed, call, run

IMAGE = "strata-net:1"
TOUCHES = tuple(
    f"engines.docker.Docker.{verb}" for verb in ("create_network", "remove_network", "connect", "disconnect")
)
PREVIOUS = ".strata-previous"


@pytest.fixture(scope="module", autouse=True)
def _image(tmp_path_factory):
    """An image of busybox alone, without building."""
    tree = tmp_path_factory.mktemp("tree")
    (tree / "bin").mkdir()
    shutil.copy(shutil.which("busybox"), tree / "bin/busybox")
    archive = shutil.make_archive(str(tmp_path_factory.mktemp("tar") / "tree"), "tar", tree)
    run("docker", "import", archive, IMAGE)


def look(name: str) -> dict | None:
    found = docker_api.network(name)
    if found is None:
        return None
    labels = {key: value for key, value in found["Labels"].items() if not key.startswith("strata.")}
    keys = ("Driver", "Internal", "EnableIPv6", "Attachable", "Options")
    return {**{key: found[key] for key in keys}, "Labels": labels, "IPAM": found["IPAM"]["Config"]}


def subnet(name: str) -> str:
    """One for each name that the tests use: two networks can't share one."""
    return f"172.30.{sum(name.encode()) % 200}.0/24"


def leftovers() -> list[str]:
    return docker_api.names("networks", PREVIOUS)


def again(*argv: str):
    """Somebody else makes it anew, by hand."""

    def drift(name: str) -> None:
        docker_api.ask(f"/networks/{name}", "DELETE")
        run("docker", "network", "create", *argv, name)

    return drift


@pytest.fixture
def container():
    made = []

    def start(name: str, *argv: str, run_it: bool = True) -> str:
        verb = ["run", "--detach"] if run_it else ["create"]
        run("docker", *verb, "--name", name, "--stop-signal", "KILL", *argv, IMAGE, "/bin/busybox", "sleep", "9999")
        made.append(name)
        return name

    yield start
    for name in made:
        docker_api.remove(name)


def place(container: str, network: str) -> dict:
    return docker_api.container(container)["NetworkSettings"]["Networks"].get(network)


class TestDockerNetwork(Convergence):
    case = Case(
        kind="docker_network",
        info="docker_network_info",
        a={"internal": True, "labels": {"tier": "back"}, "driver_options": {"com.docker.network.driver.mtu": 1400}},
        b={"attachable": True, "internal": False, "labels": {"tier": "front"}},
        look=look,
        own=lambda name: {"ipam_config": [{"subnet": subnet(name)}]},
        seen_a={
            "Driver": "bridge",
            "Internal": True,
            "Labels": {"tier": "back"},
            "Options": {"com.docker.network.driver.mtu": "1400"},
        },
        seen_b={"Driver": "bridge", "Internal": False, "Attachable": True, "Labels": {"tier": "front"}},
        drifts={
            "removed": lambda name: docker_api.ask(f"/networks/{name}", "DELETE"),
            "made anew, leading out": lambda name: again("--subnet", subnet(name), "--label", "tier=back")(name),
            "made anew, with another subnet": again("--internal"),
        },
        touches=TOUCHES,
        bad=(
            ("ipam_config", [{"subnet": "172.30.0.5/24"}]),
            ("ipam_config", [{"subnet": "172.30.0.0/24", "gateway": "172.31.0.1"}]),
            ("ipam_config", [{"subnet": "172.30.0.0/24"}, {"subnet": "172.30.0.0/16"}]),
            ("connected", ["strata-nowhere"]),
            ("nonsense", "1"),
        ),
        bad_names=("", "a/../b", "..", "-x", "x y", f"x{PREVIOUS}"),
    )

    @property
    def name(self) -> str:
        return self.case.name

    @property
    def subnet(self) -> list[dict]:
        return [{"subnet": subnet(self.name)}]

    def test_the_example_is_what_docker_makes_by_hand(self):
        example = {
            "ipam_config": [
                {
                    "subnet": "172.30.201.0/24",
                    "gateway": "172.30.201.254",
                    "iprange": "172.30.201.128/25",
                    "aux_addresses": {"router": "172.30.201.253"},
                }
            ],
            "internal": True,
            "labels": {"tier": "database"},
        }
        assert self.foretold(example)["changed"]
        ours = look(self.name)
        by_hand = "--internal --subnet 172.30.201.0/24 --gateway 172.30.201.254 --ip-range 172.30.201.128/25"
        again(*by_hand.split(), "--aux-address", "router=172.30.201.253", "--label", "tier=database")(self.name)
        assert look(self.name) == ours
        self.unchanged(example)

    def test_the_kernel_has_the_bridge_with_its_address(self):
        self.apply({"ipam_config": [{"subnet": "172.30.202.0/24", "gateway": "172.30.202.7"}]})
        bridge = f"br-{docker_api.network(self.name)['Id'][:12]}"
        (link,) = json.loads(run("ip", "-json", "address", "show", "dev", bridge))
        assert "172.30.202.7/24" in [f"{one['local']}/{one['prefixlen']}" for one in link["addr_info"]]

    def test_spellings_of_a_subnet_and_what_the_daemon_adds_are_no_drift(self):
        spec = {"enable_ipv6": True, "ipam_config": [{"subnet": "FD00:0db8:0000::/64"}]}
        assert self.foretold(spec)["changed"]
        self.unchanged(spec)
        assert "fd00:db8::/64" in [one["Subnet"] for one in look(self.name)["IPAM"]]
        self.unchanged({"enable_ipv6": True, "ipam_config": [{"subnet": "fd00:db8::/64"}]})

    def test_a_subnet_of_the_daemons_choice_is_no_drift_and_stays(self):
        undeclared = {"ipam_config": None}
        self.apply(undeclared)
        chosen = look(self.name)["IPAM"]
        for spec in (undeclared, {"ipam_config": []}):
            self.unchanged(spec)
        self.apply({**undeclared, "internal": True})
        assert [one["Subnet"] for one in look(self.name)["IPAM"]] == [one["Subnet"] for one in chosen]
        self.unchanged({"internal": True, "ipam_config": []})
        self.apply({"ipam_config": [{"subnet": "172.30.203.0/24"}]})
        self.sees({"IPAM": [{"Subnet": "172.30.203.0/24"}]})
        assert self.foretold({"ipam_config": []})["changed"]
        self.unchanged({"ipam_config": []})

    def test_a_subnet_that_is_taken_is_named_before_anything_is_touched(self):
        other = f"{self.name}-other"
        self.apply({"ipam_config": [{"subnet": "172.30.204.0/24"}]}, other)
        self.apply({"ipam_config": [{"subnet": "172.30.205.0/24"}]})
        for check in (True, False):
            with pytest.raises(Failed, match=rf"ipam_config: overlaps with 172.30.204.0/24 of the network {other}"):
                self.apply({"ipam_config": [{"subnet": "172.30.204.128/25"}]}, check=check)
        self.sees({"IPAM": [{"Subnet": "172.30.205.0/24"}]})

    def test_containers_come_along_with_addresses_and_aliases(self, container):
        spec = {"ipam_config": self.subnet}
        self.apply(spec)
        base = self.subnet[0]["subnet"].rpartition(".")[0]
        ran = container("strata-web", "--network", self.name, "--ip", f"{base}.77", "--network-alias", "www")
        idle = container("strata-idle", "--network", self.name, "--network-alias", "lazy", run_it=False)
        pid = docker_api.container(ran)["State"]["Pid"]
        assert self.foretold({**spec, "internal": True})["changed"]
        assert docker_api.container(ran)["State"]["Pid"] == pid, "it went on running"
        assert (place(ran, self.name)["IPAddress"], "www" in place(ran, self.name)["Aliases"]) == (f"{base}.77", True)
        assert "lazy" in place(idle, self.name)["Aliases"]
        address = run("docker", "exec", ran, "/bin/busybox", "ip", "-4", "-o", "address")
        assert f"{base}.77/24" in address, "the kernel has it, too"
        run("docker", "start", idle)
        assert place(idle, self.name)["IPAddress"].startswith(base)
        assert leftovers() == []

    def test_a_fixed_address_that_the_new_subnet_lacks_is_told(self, container):
        self.apply({"ipam_config": self.subnet})
        base = self.subnet[0]["subnet"].rpartition(".")[0]
        ran = container("strata-web", "--network", self.name, "--ip", f"{base}.77", "--network-alias", "www")
        changes = self.foretold({"ipam_config": [{"subnet": "172.30.206.0/24"}]})["changes"]
        told = next(one for one in changes if one["field"] == f"fixed_address[{ran}]")
        assert (told["before"], told["after"]) == (f"{base}.77", None)
        assert place(ran, self.name)["IPAddress"].startswith("172.30.206.")
        assert "www" in place(ran, self.name)["Aliases"]

    def test_the_old_one_is_back_if_the_new_one_is_refused(self, container):
        spec = {"ipam_config": self.subnet}
        self.apply(spec)
        ran = container("strata-web", "--network", self.name, "--network-alias", "www")
        with pytest.raises(Failed, match="the old one is back with its containers"):
            self.apply({**spec, "driver": "macvlan", "driver_options": {"macvlan_mode": "nonsense"}})
        self.sees({"Driver": "bridge", "IPAM": [{"Subnet": subnet(self.name)}]})
        assert "www" in place(ran, self.name)["Aliases"]
        assert leftovers() == []
        self.unchanged(spec)

    def test_killed_while_it_is_made_anew_no_container_is_lost(self, container):
        # Config kept, container taken off, network removed, network made, container put on, config removed.
        names = self.names(6)
        self.together({}, names)
        self._forget()
        for touch, name in enumerate(names, start=1):
            container(f"{name}-web", "--network", name, "--network-alias", "www", run_it=touch in (2, 5))
            with pytest.raises(Killed):
                self.apply({"internal": True}, name, touches=TOUCHES, die_at=touch)
        forecast = self.together({"internal": True}, names, check=True)
        done = self.together({"internal": True}, names)
        assert forecast["resources"] == done["resources"]
        for name in names:
            self.sees({"Internal": True}, name)
            assert "www" in place(f"{name}-web", name)["Aliases"]
        assert self.together({"internal": True}, names, check=True)["changed"] is False
        assert leftovers() == []

    def test_killed_and_then_to_be_absent(self):
        names = self.names(2)
        self.together({}, names)
        self._forget()
        for touch, name in zip((1, 2), names):
            with pytest.raises(Killed):
                self.apply({"internal": True}, name, touches=TOUCHES, die_at=touch)
        self.together({"state": "absent"}, names)
        assert ([look(name) for name in names], leftovers()) == ([None, None], [])

    def test_connected_containers(self, container):
        one, two = container("strata-one"), container("strata-two", run_it=False)
        identity = docker_api.container(one)["Id"]
        spec = {"ipam_config": self.subnet, "connected": [identity]}
        assert self.foretold(spec)["changed"]
        assert place(one, self.name) is not None
        self.unchanged({**spec, "connected": [one]})
        assert self.foretold({**spec, "connected": [two]})["changed"]
        assert (place(one, self.name), place(two, self.name) is not None) == (None, True)
        self.apply({**spec, "connected": [one], "appends": True})
        assert None not in (place(one, self.name), place(two, self.name))
        self.unchanged({**spec, "connected": [two], "appends": True})
        self.unchanged({"ipam_config": self.subnet})
        self.apply({**spec, "connected": []})
        assert (place(one, self.name), place(two, self.name)) == (None, None)

    def test_absent_with_containers_on_it(self, container):
        self.apply({"ipam_config": self.subnet})
        container("strata-web", "--network", self.name)
        for check in (True, False):
            with pytest.raises(Failed, match=r"is in use by strata-web.*force: true"):
                self.apply({"state": "absent"}, check=check)
        assert self.foretold({"state": "absent", "force": True})["changed"]
        assert (look(self.name), place("strata-web", self.name)) == (None, None)

    def test_recreate_as_the_policy_says(self):
        self.apply({"ipam_config": self.subnet})
        first = docker_api.network(self.name)["Id"]
        kept = self.apply({"ipam_config": self.subnet, "internal": True, "recreate": "never"})
        assert (kept["changed"], kept["restart_required"]) == (False, ["internal"])
        assert docker_api.network(self.name)["Id"] == first
        for forced in ({"recreate": "always"}, {"force": True}):
            assert self.foretold({"ipam_config": self.subnet, **forced})["changed"]
            assert docker_api.network(self.name)["Id"] != first

    def test_overlay_needs_a_swarm(self):
        with pytest.raises(Failed, match=r"driver: needs a swarm.*docker swarm init"):
            self.apply({"driver": "overlay"})

    def test_macvlan_and_ipvlan(self):
        run("ip", "link", "add", "strata-up", "type", "veth", "peer", "name", "strata-down")
        try:
            for number, driver in enumerate(("macvlan", "ipvlan")):
                spec = {"driver": driver, "driver_options": {"parent": "strata-up"}}
                spec["ipam_config"] = [{"subnet": f"172.30.21{number}.0/24"}]
                self.apply(spec, f"{self.name}-{driver}")
                self.sees({"Driver": driver, "Options": {"parent": "strata-up"}}, f"{self.name}-{driver}")
                assert self.apply(spec, f"{self.name}-{driver}")["changed"] is False
                self.apply({"state": "absent"}, f"{self.name}-{driver}")
        finally:
            run("ip", "link", "delete", "strata-up")

    def test_the_daemons_own_networks_are_left_alone(self):
        with pytest.raises(Failed, match="one of the daemon's own"):
            self.apply({"internal": True}, "bridge")
        with pytest.raises(Failed, match="one of the daemon's own"):
            self.apply({"state": "absent"}, "none")
        self.made -= {"bridge", "none"}
        told = call("docker_network_info", {})["resources"]
        assert not {"bridge", "host", "none"} & {one["name"] for one in told}
        (bridge,) = call("docker_network_info", {"name": ["bridge"]})["resources"]
        assert bridge["options"]["driver"] == "bridge"
