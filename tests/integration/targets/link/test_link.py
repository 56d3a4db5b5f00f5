# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""link, looked at through ip-link(8) and ip-address(8)."""

from __future__ import annotations

import importlib
import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import UTILS, Failed, call, run

NETNS = "strata-test-net"
NETWORK = Path("/etc/systemd/network")
NETWORKD = "/usr/lib/systemd/systemd-networkd"


def ip(*argv: str, netns: str | None = None) -> list[dict]:
    where = ["-n", netns] if netns else []
    done = subprocess.run(["ip", *where, "-json", "-details", *argv], capture_output=True, text=True, check=False)
    return [one for one in json.loads(done.stdout or "[]") if one] if done.returncode == 0 else []


def link(name: str, netns: str | None = None) -> dict | None:
    found = ip("address", "show", "dev", name, netns=netns)
    return found[0] if found else None


def look(name: str, netns: str | None = None) -> dict | None:
    found = link(name, netns)
    if found is None:
        return None
    data = found.get("linkinfo", {}).get("info_data", {})
    addresses = [(one["local"], one["prefixlen"]) for one in found["addr_info"] if one["scope"] != "link"]
    return {
        "kind": found.get("linkinfo", {}).get("info_kind"),
        "mtu": found["mtu"],
        "up": "UP" in found["flags"],
        "master": found.get("master"),
        "addresses": sorted(f"{address}/{length}" for address, length in addresses),
        "stp": data.get("stp_state"),
        "delay": data.get("forward_delay"),
        "alias": (found.get("ifalias") or "").replace(name, "NAME"),
    }


def other(name: str) -> str:
    """The peer of a pair: 15 bytes at most, and no other name's."""
    return f"p{name[-9:]}-peer"


def set_(*argv: str):
    return lambda name: run("ip", "link", "set", "dev", name, *argv)


def add(address: str):
    return lambda name: run("ip", "address", "add", address, "dev", name)


def again(name: str) -> None:
    """The same name, another type."""
    subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)
    run("ip", "link", "add", name, "type", "veth", "peer", "name", other(name))


@pytest.fixture
def netns():
    subprocess.run(["ip", "netns", "del", NETNS], capture_output=True, check=False)
    run("ip", "netns", "add", NETNS)
    yield NETNS
    run("ip", "netns", "del", NETNS)


# systemd-networkd, alone in a network and a mount namespace, with a folder of files instead of the host's. Where /sys
# can't be written it doesn't wait for udev.
ALONE = """
set -e
mount --bind "$1" /etc/systemd/network
mount -t tmpfs none /run
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chown -R systemd-network:systemd-network /run/systemd/netif
mount -t sysfs -o ro none /sys
ip link set lo up
SYSTEMD_LOG_TARGET=console "$2" >"$1/log" 2>&1 &
for second in $(seq 60); do
    sleep 0.5
    if ip address show dev "$3" 2>/dev/null | grep -q "$4"; then break; fi
done
sleep 0.5
kill $!
ip -json -details address
"""


def test_networkd_makes_links_from_the_files(tmp_path, monkeypatch):
    files = importlib.import_module(f"{UTILS}.engines.networkd")
    kind = importlib.import_module(f"{UTILS}.kinds.link").Link
    monkeypatch.setattr(files, "FOLDER", str(tmp_path))
    monkeypatch.setattr(files, "running", lambda: False)
    around = {"master": "bridge", "parent": files.own_file("pair1")}
    declared = [
        {"name": "bridge1", "type": "bridge", "mtu": 1400, "addresses": ["10.95.0.1/24"], "bridge": {"stp": True}},
        {"name": "pair0", "type": "veth", "mac": "02:00:00:00:95:01", "master": "bridge1", "peer": {"name": "far"}},
        {"name": "pair1", "type": "veth", "peer": {"name": "end", "addresses": ["fd00:95::1/64", "10.96.0.1/24"]}},
        {"name": "vx", "type": "vxlan", "vxlan": {"id": 7, "remote": "192.0.2.9", "port": 4789}, "up": False},
        {
            "name": "on-it",
            "type": "macvlan",
            "parent": "pair1",
            "macvlan": {"mode": "bridge"},
            "addresses": ["10.97.0.1/24"],
        },
    ]
    tmp_path.chmod(0o755)
    for one in declared:
        files.store(one["name"], files.render(one["name"], kind(one).declared, around), "site")
    argv = ["unshare", "--net", "--mount", "sh", "-c", ALONE, "sh", str(tmp_path), NETWORKD, "on-it", "10.97.0.1"]
    links = {one["ifname"]: one for one in json.loads(run(*argv)) if one}
    assert "Unknown" not in (tmp_path / "log").read_text()
    addresses = {
        name: sorted(found["local"] for found in one["addr_info"] if found["scope"] == "global")
        for name, one in links.items()
    }
    assert addresses == {
        **{name: [] for name in ("lo", "pair0", "far", "pair1", "vx")},
        "bridge1": ["10.95.0.1"],
        "end": ["10.96.0.1", "fd00:95::1"],
        "on-it": ["10.97.0.1"],
    }
    assert (links["bridge1"]["mtu"], links["bridge1"]["linkinfo"]["info_data"]["stp_state"]) == (1400, 1)
    assert (links["pair0"]["address"], links["pair0"]["master"]) == ("02:00:00:00:95:01", "bridge1")
    assert links["vx"]["linkinfo"]["info_data"]["port"] == 4789
    assert "UP" not in links["vx"]["flags"]
    assert (links["on-it"]["link"], links["on-it"]["linkinfo"]["info_data"]["mode"]) == ("pair1", "bridge")


class TestBridge(Convergence):
    case = Case(
        kind="link",
        info="link_info",
        a={
            "type": "bridge",
            "mtu": 1400,
            "addresses": ["10.91.0.1/24", "10.91.0.2/24", "fd00:91::1/64"],
            "bridge": {"stp": True, "forward_delay": 4},
        },
        b={"type": "bridge", "addresses": ["10.91.0.2/24"], "bridge": {"forward_delay": 2.5}, "up": False},
        look=look,
        seen_a={
            "kind": "bridge",
            "mtu": 1400,
            "up": True,
            "addresses": ["10.91.0.1/24", "10.91.0.2/24", "fd00:91::1/64"],
            "stp": 1,
            "delay": 400,
        },
        seen_b={"kind": "bridge", "up": False, "addresses": ["10.91.0.2/24"], "delay": 250},
        drifts={
            "another mtu": set_("mtu", "1300"),
            "down": set_("down"),
            "no spanning tree": set_("type", "bridge", "stp_state", "0"),
            "another address": add("10.91.0.9/24"),
            "no first address": lambda name: run("ip", "address", "del", "10.91.0.1/24", "dev", name),
            "another prefix": add("10.91.0.1/16"),
            "another type": again,
            "removed": lambda name: run("ip", "link", "del", name),
        },
        touches=("engines.netlink.Netlink.tell",),
        same_process=lambda name: link(name)["ifindex"],
        bad=(
            ("mtu", 12),
            ("mac", "zz"),
            ("addresses", ["10.0.0.300/24"]),
            ("addresses", ["10.0.0.1/24", "10.0.0.1/24"]),
            ("master", "strata-test"),
            ("vlan", {"id": 5}),
            ("nonsense", "1"),
        ),
    )

    def test_a_name_is_fifteen_bytes(self):
        for name in ("sixteen-bytes-ab", "ünfzehn-bytes-a"):
            with pytest.raises(Failed, match="15 bytes"):
                self.apply(self.case.a, name)
        self.made -= {"sixteen-bytes-ab", "ünfzehn-bytes-a"}

    def test_somebody_elses_alias_stays(self):
        run("ip", "link", "add", self.case.name, "type", "bridge")
        run("ip", "link", "set", self.case.name, "alias", "uplink of rack 4")
        self.stack(self.case.a)
        self.sees({**self.case.seen_a, "alias": "uplink of rack 4"})
        self.stack(None)
        assert look(self.case.name) is not None, "what was there before was pruned"

    def test_link_local_addresses_stay(self):
        self.apply({"type": "bridge", "addresses": []})
        run("ip", "address", "add", "fe80::91/64", "dev", self.case.name)
        self.unchanged({"type": "bridge", "addresses": []})
        self.unchanged({"type": "bridge", "addresses": ["fe80::91/64"]})

    def test_recreation_is_a_matter_of_policy(self):
        again(self.case.name)
        kept = self.apply({"type": "bridge", "recreate": "never"})
        assert "type" in kept["restart_required"]
        assert look(self.case.name)["kind"] == "veth"
        assert {one["effect"] for one in self.foretold({"type": "bridge"})["changes"]} >= {"recreate"}
        assert look(self.case.name)["kind"] == "bridge"
        before = link(self.case.name)["ifindex"]
        assert self.foretold({"type": "bridge", "recreate": "always"})["changed"]
        assert link(self.case.name)["ifindex"] != before

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
    def test_what_is_sent_is_what_is_read(self, kind, values):
        """Also of the types that this kernel may not have: pyroute2 knows each attribute."""
        netlink = importlib.import_module(f"{UTILS}.engines.netlink")
        words = importlib.import_module(f"{UTILS}.engines.link_values")
        message = netlink._class(netlink.NEWLINK)()
        message["attrs"] = netlink._listed({"IFLA_IFNAME": "x", "IFLA_LINKINFO": words.information(kind, values)})
        message.encode()
        read = netlink._class(netlink.NEWLINK)(message.data)
        read.decode()
        assert words.observed(netlink._plain(read), [])[kind] == values

    def test_a_missing_master_and_a_missing_type_are_told(self):
        with pytest.raises(Failed, match="master: is no link there"):
            self.apply({**self.case.a, "master": "strata-none"}, check=True)
        with pytest.raises(Failed, match="type: is required"):
            self.apply({"mtu": 1400}, check=True)

    @pytest.mark.machine  # systemd-networkd, which provisioning enables
    def test_persistent_links_are_in_files_of_networkd(self):
        spec = {**self.case.a, "persistent": True}
        self.foretold(spec)
        self.unchanged(spec)
        file = NETWORK / f"60-strata-{self.case.name}.netdev"
        assert "ForwardDelaySec=4000ms" in file.read_text()
        file.write_text(file.read_text().replace("STP=yes", "STP=no"))
        told = self.foretold(spec)["changes"]
        assert [(one["field"], one["after"]) for one in told] == [("stored[netdev [Bridge] STP]", "yes")]
        run("ip", "link", "del", self.case.name)
        run("systemctl", "restart", "systemd-networkd")
        end = time.monotonic() + 30
        while time.monotonic() < end and (look(self.case.name) or {}).get("addresses") != self.case.seen_a["addresses"]:
            time.sleep(0.5)
        self.sees(self.case.seen_a)
        assert self.foretold({"persistent": False})["changed"]
        assert not list(NETWORK.glob(f"60-strata-{self.case.name}.*"))
        self.apply(spec)
        self.apply({"state": "absent"})
        assert not list(NETWORK.glob(f"60-strata-{self.case.name}.*"))

    def test_many_in_one_stack(self):
        names = [f"{self.case.name}{number}" for number in range(25)]
        spec = {"type": "bridge", "addresses": ["10.91.0.1/24"]}
        self.together(spec, names)
        again = self.together(spec, reversed(names))
        assert [one for one in again["resources"] if one["changed"]] == []


def look_pair(name: str) -> dict | None:
    seen, peer = look(name), look(other(name))
    if seen is None:
        return None
    seen.pop("alias")
    return {**seen, **{f"peer_{key}": value for key, value in (peer or {}).items()}}


class TestPair(Convergence):
    """Both ends of a veth pair."""

    case = Case(
        kind="link",
        info="link_info",
        name="strata-pair",
        a={"type": "veth", "mac": "02:00:00:00:91:01", "addresses": ["10.92.0.1/24"]},
        b={"type": "veth", "mac": "02:00:00:00:91:02", "mtu": 1400, "addresses": []},
        own=lambda name: {"peer": {"name": other(name), "addresses": ["10.93.0.1/24"], "mtu": 1450}},
        look=look_pair,
        seen_a={
            "kind": "veth",
            "addresses": ["10.92.0.1/24"],
            "peer_addresses": ["10.93.0.1/24"],
            "peer_mtu": 1450,
            "peer_up": True,
        },
        seen_b={"kind": "veth", "addresses": [], "mtu": 1400, "peer_addresses": ["10.93.0.1/24"], "peer_mtu": 1450},
        drifts={
            "another mac": set_("address", "02:00:00:00:91:09"),
            "its peer is down": lambda name: run("ip", "link", "set", other(name), "down"),
            "its peer has another address": lambda name: add("10.93.0.9/24")(other(name)),
            "its peer has another name": lambda name: run(
                "ip", "link", "set", other(name), "down", "name", f"{name[-6:]}-x"
            ),
            "its peer was removed": lambda name: run("ip", "link", "del", other(name)),
        },
        touches=("engines.netlink.Netlink.tell",),
        bad=(("peer", {"name": "a/b"}), ("bridge", {"stp": True}), ("parent", "lo")),
    )

    def test_a_peer_in_a_namespace(self, netns):
        spec = {"peer": {"name": "inside", "netns": netns, "addresses": ["10.93.0.1/24"]}}
        self.foretold({**self.case.a, **spec})
        assert look("inside", netns)["addresses"] == ["10.93.0.1/24"]
        self.unchanged({**self.case.a, **spec})
        run("ip", "-n", netns, "link", "set", "inside", "down")
        assert [one["field"] for one in self.foretold({**self.case.a, **spec})["changes"]] == ["peer[up]"]
        back = self.foretold({**self.case.a, "peer": {"name": other(self.case.name)}})
        assert {one["effect"] for one in back["changes"]} == {"recreate"}
        assert look("inside", netns) is None
        assert look(other(self.case.name)) is not None

    def test_a_whole_room_in_any_order(self, netns):
        """What others need is made first, also among links."""
        name = self.case.name
        bridge, inner, tap = f"{name}b", f"{name}i", f"{name}t"
        resources = [
            {
                "link": {
                    "name": "on-it",
                    "netns": netns,
                    "type": "macvlan",
                    "parent": inner,
                    "macvlan": {"mode": "bridge"},
                }
            },
            {"link": {"name": inner, "netns": netns, "type": "veth", "peer": {"name": f"{name}o", "master": bridge}}},
            {"link": {"name": tap, "type": "tap", "master": bridge, "tun": {"owner": "nobody"}}},
            {"link": {"name": bridge, "type": "bridge"}},
        ]
        self.made |= {bridge, tap}
        assert call("stack", {"name": self.owner, "resources": resources})["changed"]
        assert look(f"{name}o")["master"] == look(tap)["master"] == bridge
        assert look("on-it", netns)["kind"] == "macvlan"
        assert ip("tuntap", "show") != []
        assert call("stack", {"name": self.owner, "resources": resources[::-1]})["changed"] is False

    @pytest.mark.parametrize("mtu", [1500, 1400, 9000])
    def test_a_bridge_keeps_its_mtu_whatever_its_ports_have(self, mtu):
        name = self.case.name
        bridge = {"link": {"name": f"{name}b", "type": "bridge", "mtu": mtu}}
        ports = [
            {"link": {"name": f"{name}{number}", "type": "tap", "mtu": 1450 + number, "master": f"{name}b"}}
            for number in (1, 2)
        ]
        self.made |= {f"{name}b", f"{name}1", f"{name}2"}
        call("stack", {"name": self.owner, "resources": [bridge, *ports]})
        assert look(f"{name}b")["mtu"] == mtu
        assert call("stack", {"name": self.owner, "resources": [bridge, *ports]})["changed"] is False

    def test_what_only_a_new_link_can_take(self):
        base = {"type": "vxlan", "vxlan": {"id": 7, "remote": "192.0.2.1"}, "mtu": 1400}
        spec = {**base, "peer": None}
        name = f"{self.case.name}x"
        self.made.add(name)
        call("link", {"name": name, **spec})
        assert ip("link", "show", name)[0]["linkinfo"]["info_data"]["port"] == 4789
        call("link", {"name": name, "addresses": ["10.94.0.1/24"]})
        done = call("link", {"name": name, "vxlan": {"id": 8}})
        assert [(one["field"], one["effect"]) for one in done["changes"]] == [("vxlan[id]", "recreate")]
        data = ip("link", "show", name)[0]["linkinfo"]["info_data"]
        assert (data["id"], data["remote"]) == (8, "192.0.2.1")
        assert look(name)["addresses"] == ["10.94.0.1/24"]


def every(netns: str | None = None) -> list[dict]:
    """A link of each type, tied to each other, none before what it needs."""
    links: list[dict] = [
        {"name": "ev-vlan", "type": "vlan", "parent": "ev-dummy", "vlan": {"id": 5}, "addresses": ["10.98.5.1/24"]},
        {"name": "ev-macvlan", "type": "macvlan", "parent": "ev-dummy", "macvlan": {"mode": "bridge"}},
        {"name": "ev-ipvlan", "type": "ipvlan", "parent": "ev-dummy2", "ipvlan": {"mode": "l2"}},
        {"name": "ev-vxlan", "type": "vxlan", "vxlan": {"id": 7, "local": "192.0.2.1", "remote": "192.0.2.9"}},
        {"name": "ev-port", "type": "dummy", "master": "ev-bond"},
        {"name": "ev-tap", "type": "tap", "master": "ev-bridge", "tun": {"owner": "nobody"}},
        {"name": "ev-veth", "type": "veth", "peer": {"name": "ev-peer", "netns": netns, "master": "ev-bridge"}},
        # A port has its bond's address, so that is where one is declared.
        {
            "name": "ev-bond",
            "type": "bond",
            "mac": "02:00:00:00:98:01",
            "bond": {"mode": "active-backup", "miimon": 100},
        },
        {"name": "ev-tun", "type": "tun", "addresses": ["10.98.0.1/24", "fd00:98::1/64"]},
        {"name": "ev-bridge", "type": "bridge", "bridge": {"vlan_filtering": True, "stp": True, "forward_delay": 4}},
        {"name": "ev-dummy", "type": "dummy", "mtu": 9000, "addresses": ["10.98.1.1/24"]},
        {"name": "ev-dummy2", "type": "dummy"},
    ]
    return [{"link": {**link, "netns": netns} if netns else link} for link in links]


KINDS = {f"ev-{kind}": kind for kind in ("vlan", "macvlan", "ipvlan", "vxlan", "bond", "veth", "bridge", "dummy")}
KINDS |= {"ev-dummy2": "dummy", "ev-port": "dummy", "ev-peer": "veth", "ev-tap": "tun", "ev-tun": "tun"}

CHANGED = {
    "ev-bridge": {"bridge": {"vlan_filtering": False, "stp": False, "forward_delay": 4}},
    "ev-vlan": {"vlan": {"id": 6}},
    "ev-bond": {"bond": {"mode": "active-backup", "miimon": 50}},
    "ev-ipvlan": {"ipvlan": {"mode": "l3s"}},
    "ev-macvlan": {"macvlan": {"mode": "private"}},
}


@pytest.mark.machine  # modules of the kernel
def test_every_type_on_the_host_and_in_a_namespace(netns):
    owner = "test-every-link"

    def stack(resources: list[dict], **more) -> dict:
        return call("stack", {"name": owner, "prune": True, "resources": resources}, **more)

    try:
        forecast = stack([*every(), *every(netns)], check=True)
        done = stack([*every(), *every(netns)])
        assert [one["changes"] for one in forecast["resources"]] == [one["changes"] for one in done["resources"]]
        assert stack([*every(netns), *every()][::-1])["changed"] is False
        for place in (None, netns):
            seen = {one["ifname"]: one for one in ip("address", netns=place) if one["ifname"].startswith("ev-")}
            assert {name: one["linkinfo"]["info_kind"] for name, one in seen.items()} == KINDS
            data = {name: one["linkinfo"].get("info_data", {}) for name, one in seen.items()}
            bridge = data["ev-bridge"]
            assert (bridge["vlan_filtering"], bridge["stp_state"], bridge["forward_delay"]) == (1, 1, 400)
            assert (data["ev-vlan"]["id"], seen["ev-vlan"]["link"], seen["ev-dummy"]["mtu"]) == (5, "ev-dummy", 9000)
            assert (data["ev-macvlan"]["mode"], data["ev-ipvlan"]["mode"]) == ("bridge", "l2")
            assert (data["ev-vxlan"]["id"], data["ev-vxlan"]["remote"]) == (7, "192.0.2.9")
            assert (data["ev-bond"]["mode"], data["ev-bond"]["miimon"]) == ("active-backup", 100)
            assert (data["ev-tap"]["type"], data["ev-tap"]["user"]) == ("tap", "nobody")
            assert data["ev-tun"]["type"] == "tun"
            assert seen["ev-port"]["address"] == seen["ev-bond"]["address"] == "02:00:00:00:98:01"
            ports = {name: seen[name].get("master") for name in ("ev-port", "ev-tap", "ev-peer")}
            assert ports == {"ev-port": "ev-bond", "ev-tap": "ev-bridge", "ev-peer": "ev-bridge"}
        changed = [
            {"link": {**entry["link"], **CHANGED[entry["link"]["name"]]}} if entry["link"]["name"] in CHANGED else entry
            for entry in every(netns)
        ]
        assert stack([*every(), *changed])["changed"]
        data = {one["ifname"]: one["linkinfo"] for one in ip("link", netns=netns) if one["ifname"] in CHANGED}
        assert (data["ev-bridge"]["info_data"]["stp_state"], data["ev-vlan"]["info_data"]["id"]) == (0, 6)
        assert (data["ev-bond"]["info_data"]["miimon"], data["ev-ipvlan"]["info_data"]["mode"]) == (50, "l3s")
    finally:
        stack([])
    assert not [one for place in (None, netns) for one in ip("link", netns=place) if one["ifname"].startswith("ev-")]
