# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""netns, looked at through ip-netns(8), ip-route(8) and the namespace's own /proc/sys."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

FOLDER = Path("/run/netns")
BRIDGE = "strata-test-br"
WANTS = "multi-user.target.wants"


def ip(name: str, *argv: str) -> list[dict]:
    text = subprocess.run(
        ["ip", "-n", name, "-json", "-details", *argv], capture_output=True, text=True, check=False
    ).stdout
    return [one for one in json.loads(text or "[]") if one]


def named() -> set[str]:
    return {one["name"] for one in json.loads(run("ip", "-json", "netns", "list") or "[]")}


def outer(name: str) -> str:
    """The host's end of a namespace's pair: 15 bytes at most."""
    return f"o{name[-10:]}-out"


def inside(*argv: str):
    return lambda name: run("ip", "-n", name, *argv)


def parameter(name: str, key: str) -> str:
    return run("ip", "netns", "exec", name, "cat", f"/proc/sys/{key}")


def master(link: str) -> str | None:
    found = json.loads(run("ip", "-json", "link", "show", link, check=False) or "[]")
    return found[0].get("master") if found else None


def look(name: str) -> dict | None:
    links = {one["ifname"]: one for one in ip(name, "address")}
    if not links:  # ip-netns(8) lists whatever file there is
        return None
    routes = [
        f"{one['dst']} {one.get('gateway', '')} {one.get('table', 'main')} {one.get('metric', 0)} {one.get('type', '')}"
        for one in ip(name, "route", "show", "table", "all")
        if one.get("protocol") != "kernel"
    ]
    rules = [
        f"{one['priority']} {one.get('src')} {one['table']}"
        for one in ip(name, "rule")
        if one["priority"] not in (0, 32766, 32767)
    ]
    return {
        "links": {
            link: (
                "UP" in found["flags"],
                found["mtu"],
                sorted(one["local"] for one in found["addr_info"] if one["scope"] == "global"),
            )
            for link, found in links.items()
            if link != "lo"
        },
        "lo": "UP" in links["lo"]["flags"],
        "routes": sorted(routes),
        "rules": rules,
        "forward": parameter(name, "net/ipv4/ip_forward"),
        "ports": parameter(name, "net/ipv4/ip_local_port_range").split(),
        "master": master(outer(name)),
    }


def pair(name: str, **more: object) -> dict:
    return {"name": "veth0", "type": "veth", "peer": {"name": outer(name), "netns": None, "master": BRIDGE}, **more}


def until_gone(link: str, name: str) -> None:
    """The kernel takes a namespace down in its own time: the other end of a pair in it is there until then."""
    end = time.monotonic() + 10
    while any(one["ifname"] == link for one in ip(name, "link")):
        assert time.monotonic() < end, "the other end of a pair stays"
        time.sleep(0.1)


def stale(name: str) -> None:
    """What is left when a host loses its mounts, but not its files."""
    run("ip", "netns", "del", name)
    (FOLDER / name).touch()


class TestNetns(Convergence):
    case = Case(
        kind="netns",
        info="netns_info",
        a={
            "routes": [
                {"to": "default", "via": "10.94.0.1"},
                {"to": "10.96.0.0/16", "type": "blackhole"},
                {"to": "10.97.0.0/16", "via": "10.94.0.9", "metric": 5, "table": 100},
            ],
            "rules": [{"priority": 100, "from": "10.94.0.0/16", "table": 100}],
            "sysctls": {"net.ipv4.ip_forward": 1, "net.ipv4.ip_local_port_range": "20000 30000"},
        },
        b={
            "routes": [{"to": "10.98.0.0/16", "dev": "veth0"}],
            "sysctls": {"net.ipv4.ip_local_port_range": "20000\t40000"},
            "loopback": False,
        },
        own=lambda name: {"links": [pair(name, addresses=["10.94.0.2/16"], mtu=1400)]},
        look=look,
        seen_a={
            "links": {"veth0": (True, 1400, ["10.94.0.2"])},
            "lo": True,
            "routes": [
                "10.96.0.0/16  main 0 blackhole",
                "10.97.0.0/16 10.94.0.9 100 5 unicast",
                "default 10.94.0.1 main 0 unicast",
            ],
            "rules": ["100 10.94.0.0 100"],
            "forward": "1",
            "ports": ["20000", "30000"],
            "master": BRIDGE,
        },
        seen_b={
            "links": {"veth0": (True, 1400, ["10.94.0.2"])},
            "lo": False,
            "routes": ["10.98.0.0/16  main 0 unicast"],
            "ports": ["20000", "40000"],
        },
        drifts={
            "removed": lambda name: run("ip", "netns", "del", name),
            "a stale file": stale,
            "no link": inside("link", "del", "veth0"),
            "its peer is no port": lambda name: run("ip", "link", "set", outer(name), "nomaster"),
            "down, so that its routes are gone": inside("link", "set", "veth0", "down"),
            "another address": inside("address", "add", "10.94.0.7/16", "dev", "veth0"),
            "no way out": inside("route", "del", "default"),
            "another way out": inside("route", "replace", "default", "via", "10.94.0.5"),
            "another route": inside("route", "add", "10.99.0.0/16", "dev", "veth0"),
            "another rule": inside("rule", "add", "priority", "7", "from", "10.1.0.0/16", "table", "9"),
            "no rule": inside("rule", "del", "priority", "100"),
            "no loopback": inside("link", "set", "lo", "down"),
            "another parameter": lambda name: run(
                "ip", "netns", "exec", name, "sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward"
            ),
        },
        touches=("engines.netlink.Netlink.tell", "engines.namespaces.create", "engines.namespaces.set_sysctl"),
        same_process=lambda name: os.stat(FOLDER / name).st_ino,
        bad=(
            ("routes", [{"to": "10.0.0.1/8", "via": "10.94.0.1"}]),
            ("routes", [{"to": "default"}]),
            ("rules", [{"priority": "first"}]),
            ("sysctls", {"kernel.hostname": "x"}),
            ("links", [{"name": "a/b"}]),
            ("links", [{"name": "a", "type": "bridge", "master": "a"}]),
            ("links", [{"name": "a", "type": "bridge", "addresses": ["10.0.0.1/8", "10.0.0.1/8"]}]),
            ("nonsense", "1"),
        ),
    )

    @pytest.fixture(autouse=True)
    def _bridge(self):
        subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], capture_output=True, check=False)
        run("ip", "link", "set", BRIDGE, "up")
        yield
        run("ip", "link", "del", BRIDGE)

    def test_packets_reach_the_host(self):
        """The kernel of the host answers a connection from inside: refused, which takes a way there and a way back."""
        run("ip", "address", "add", "10.94.0.1/16", "dev", BRIDGE)
        self.apply({})
        code = "import socket; print(socket.socket().connect_ex(('10.94.0.1', 9)))"
        assert run("ip", "netns", "exec", self.case.name, "python3", "-c", code) == str(errno.ECONNREFUSED)

    def test_the_modules_own_namespace_is_undisturbed(self):
        before = os.readlink("/proc/self/ns/net")
        self.together(self.case.a, self.names(8))
        assert os.readlink("/proc/self/ns/net") == before
        assert len({os.stat(FOLDER / name).st_ino for name in self.names(8)}) == 8

    def test_mounts_are_shared_as_ip_netns_does(self):
        self.apply({})
        mounts = {line.split()[4]: line for line in Path("/proc/self/mountinfo").read_text().splitlines()}
        assert "shared:" in mounts["/run/netns"]
        assert " nsfs " in mounts[f"/run/netns/{self.case.name}"]

    def test_what_others_made_inside_stays(self):
        self.apply(self.case.a)
        run("ip", "-n", self.case.name, "link", "add", "theirs", "type", "bridge")
        self.unchanged(self.case.a)
        call("link", {"name": "ours", "netns": self.case.name, "type": "bridge"})
        self.unchanged(self.case.a)
        assert self.foretold({"links": []})["changed"]
        assert sorted(look(self.case.name)["links"]) == ["ours", "theirs"]

    def test_a_namespace_that_somebody_uses_loses_its_name_only(self):
        self.apply(self.case.a)
        process = subprocess.Popen(["ip", "netns", "exec", self.case.name, "sleep", "60"])
        try:
            time.sleep(0.3)
            self.apply({"state": "absent"})
            assert process.poll() is None
            assert master(outer(self.case.name)) is None
            self.foretold(self.case.a)
        finally:
            process.kill()
            process.wait()

    def test_a_stale_file_goes(self):
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / self.case.name).touch()
        assert self.foretold({"state": "absent"})["changed"]
        assert not (FOLDER / self.case.name).exists()

    def test_what_only_a_new_link_can_take(self):
        row = {"name": "x", "type": "vxlan", "vxlan": {"id": 7, "remote": "192.0.2.1"}}
        port = {"name": "inner", "type": "bridge"}
        call("netns", {"name": self.case.name, "links": [{**row, "master": "inner"}, port]})
        done = call("netns", {"name": self.case.name, "links": [{**row, "vxlan": {"id": 8}}, port]})
        assert [one["field"] for one in done["changes"]] == ["links[x]"]
        data = ip(self.case.name, "link", "show", "x")[0]
        assert (data["linkinfo"]["info_data"]["id"], data["master"]) == (8, "inner")

    def test_links_may_be_tied_to_each_other_in_any_order(self):
        name = self.case.name
        links = [
            {"name": "above", "type": "macvlan", "parent": "far"},
            {"name": "near", "type": "veth", "peer": {"name": "far", "netns": name}},
            {"name": "port", "type": "veth", "peer": {"name": "other", "netns": name, "master": "within"}},
            {"name": "within", "type": "bridge"},
        ]
        assert call("netns", {"name": name, "links": links})["changed"]
        seen = {one["ifname"]: one for one in ip(name, "link", "show")}
        assert (seen["above"]["link"], seen["other"]["master"]) == ("far", "within")
        assert call("netns", {"name": name, "links": links[::-1]})["changed"] is False

    def test_a_missing_master_is_told_before_anything_is_touched(self):
        with pytest.raises(Failed, match=r"links\[v\].peer.master: is no link there"):
            call(
                "netns",
                {
                    "name": self.case.name,
                    "links": [{"name": "v", "type": "veth", "peer": {"name": "w", "master": "none"}}],
                },
            )
        assert look(self.case.name) is None

    def test_a_gateway_out_of_reach_is_told(self):
        with pytest.raises(Failed, match=r"routes\[default\]: the kernel refuses it"):
            call("netns", {"name": self.case.name, "routes": [{"to": "default", "via": "10.1.1.1"}]})

    @pytest.mark.machine  # modules of the kernel
    def test_it_is_made_again_at_boot(self):
        """What systemd starts is what was declared, whatever has become of it meanwhile."""
        name, beside = self.case.name, f"{self.case.name}-2"
        self.made.add(beside)
        links = [
            pair(name, addresses=["10.94.0.2/16"], mtu=1400),
            {"name": "br", "type": "bridge", "bridge": {"stp": True, "vlan_filtering": True, "forward_delay": 4}},
            {"name": "tag", "type": "vlan", "parent": "br", "vlan": {"id": 5}, "addresses": ["fd00:5::1/64"]},
            {"name": "up-there", "type": "macvlan", "parent": BRIDGE, "macvlan": {"mode": "private"}},
            {"name": "tap", "type": "tap", "master": "br", "tun": {"owner": "nobody"}, "up": False},
            {"name": "bond", "type": "bond", "bond": {"mode": "active-backup", "miimon": 100}},
            {"name": "vx", "type": "vxlan", "vxlan": {"id": 7, "remote": "192.0.2.9"}},
            {"name": "far", "type": "veth", "peer": {"name": "near", "netns": beside}},
        ]
        spec = {**self.case.a, "links": links, "persistent": True}
        unit, wants = (Path("/etc/systemd/system", place, f"strata-netns-{name}.service") for place in ("", WANTS))
        call("netns", {"name": beside})
        call("netns", {"name": name, **spec})
        before = look(name)
        run("ip", "netns", "del", name)
        until_gone("near", beside)
        run("systemctl", "start", unit.name)
        assert look(name) == before
        assert call("netns", {"name": name, **spec}, check=True)["changes"] == []
        unit.write_text(unit.read_text().replace(" 10.94.0.2/16 ", " 10.94.0.3/16 "))
        wants.unlink()
        told = call("netns", {"name": name, **spec})["changes"]
        assert [one["field"] for one in told] == ["persistent", "stored"]
        assert " 10.94.0.2/16 " in unit.read_text()
        assert wants.is_symlink()
        run("ip", "netns", "del", name)
        assert call("netns", {"name": name, "state": "absent"})["changed"]
        assert not unit.exists()
        assert not wants.is_symlink()

    def test_a_whole_topology_in_any_order(self):
        """Bridge, namespaces and links in them, made and read in one task."""
        bridge, names = "strata-topo", [f"strata-topo{number}" for number in range(25)]
        entries = [{"link": {"name": bridge, "type": "bridge", "addresses": ["10.95.0.1/16"]}}]
        for number, name in enumerate(names):
            ours = {"name": "eth0", "type": "veth", "addresses": [f"10.95.1.{number + 1}/16"]}
            peer = {"name": outer(name), "master": bridge}
            entries.append({"netns": {"name": name, "links": [{**ours, "peer": peer}]}})
        entries.append({"link": {"name": "more", "netns": names[0], "type": "bridge"}})
        try:
            assert call("stack", {"name": self.owner, "resources": entries[::-1], "prune": True})["changed"]
            assert named() >= set(names)
            assert {master(outer(name)) for name in names} == {bridge}
            assert call("stack", {"name": self.owner, "resources": entries, "prune": True})["changed"] is False
        finally:
            call("stack", {"name": self.owner, "resources": [], "prune": True})
        assert named().isdisjoint(names)
        assert master(bridge) is None
