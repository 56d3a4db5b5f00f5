# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_network, looked at through libvirt's own binding, virsh, the host's bridges and the files of dnsmasq."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from pathlib import Path

import libvirt
import pytest

from tests.lab import libvirt_api
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

ENGINE = "engines.libvirt_networks.Networks"
CONNECTED = "strata-test-connected"


def virsh(*words: str, **more) -> str:
    return run("virsh", *words, **more)


def document(name: str, *flags: str) -> ET.Element:
    return ET.fromstring(virsh("net-dumpxml", *flags, name))


def bridge(name: str) -> str:
    return "vt" + hashlib.sha256(name.encode()).hexdigest()[:8]


def alone(name: str) -> dict:
    """A network of its own, without rules of a firewall and without dnsmasq: they take seconds to start."""
    number = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 512
    address = f"198.{18 + number // 256}.{number % 256}.1/24"  # RFC 2544: nobody's
    return {"bridge": bridge(name), "forward": {"mode": "open"}, "ip": {"address": address}, "dns_enabled": False}


def described(root: ET.Element) -> dict:
    forward, mtu, domain, bridged = map(root.find, ("forward", "mtu", "domain", "bridge"))
    return {
        "forward": None if forward is None else forward.get("mode"),
        "stp": None if bridged is None else bridged.get("stp"),
        "mtu": None if mtu is None else mtu.get("size"),
        "domain": None if domain is None else domain.get("name"),
        "portgroups": {
            group.get("name"): [dict(rate.attrib) for rate in group.findall("bandwidth/*")]
            for group in root.findall("portgroup")
        },
    }


def look(name: str) -> dict | None:
    network, seen = libvirt_api.state_of(libvirt_api.connection().listAllNetworks(0), name)
    if network is None:
        return None
    if seen["active"]:
        seen["running"] = described(ET.fromstring(network.XMLDesc(0)))
    return {**described(ET.fromstring(network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE))), **seen}


def edit(name: str, old: str, new: str) -> None:
    text = virsh("net-dumpxml", "--inactive", name)
    assert old in text
    file = Path("/tmp/strata-test-network.xml")
    file.write_text(text.replace(old, new))
    virsh("net-define", str(file))


def slower(name: str) -> None:
    """Somebody changes what runs, and not what is stored."""
    group = "<portgroup name='fast'><bandwidth><inbound average='1'/></bandwidth></portgroup>"
    virsh("net-update", name, "modify", "portgroup", group, "--live")


FAST = {"fast": [{"average": "1000"}]}


class TestLibvirtNetwork(Convergence):
    """What dnsmasq does has a test of its own, and so have domains that are connected."""

    case = Case(
        kind="libvirt_network",
        info="libvirt_network_info",
        a={
            "stp": False,
            "portgroups": [{"name": "fast", "inbound": {"average": 1000}}],
            "autostart": True,
            "restart": "if_needed",
        },
        b={
            "mtu": 1400,
            "portgroups": [{"name": "slow", "default": True, "outbound": {"average": 8, "peak": 16, "burst": 32}}],
            "restart": "if_needed",
        },
        own=alone,
        look=look,
        idle={"state": "inactive"},
        seen_a={"active": True, "autostart": True, "stp": "off", "portgroups": FAST, "forward": "open"},
        seen_b={
            "active": True,
            "mtu": "1400",
            "portgroups": {"slow": [{"average": "8", "peak": "16", "burst": "32"}]},
        },
        drifts={
            "another value, stored": lambda name: edit(name, "stp='off'", "stp='on'"),
            "an entry changed, running": slower,
            "stopped": lambda name: virsh("net-destroy", name),
            "not at boot": lambda name: virsh("net-autostart", "--disable", name),
            "forgotten, and running on": lambda name: virsh("net-undefine", name),
        },
        touches=tuple(
            f"{ENGINE}.{verb}" for verb in ("define", "undefine", "set_autostart", "start", "stop", "update")
        ),
        bad=(
            ("forward", {"mode": "sideways"}),
            ("mtu", 12),
            ("ip", {"address": "192.0.2.1"}),
        ),
        bad_names=("", "a/../b"),
    )

    @property
    def name(self) -> str:
        return self.case.name

    def test_what_dnsmasq_serves_is_changed_while_it_runs(self):
        """The bridge is the same one afterwards: whoever is on it notices nothing."""
        ip = {"address": "198.51.100.1/24", "dhcp": {"ranges": [["198.51.100.100", "198.51.100.200"]]}}
        host = {"mac": "52:54:00:00:00:10", "ip": "198.51.100.10", "name": "one"}
        plain = {"forward": {"mode": "isolated"}, "dns_enabled": True}
        first = {**plain, "ip": {**ip, "dhcp": {**ip["dhcp"], "hosts": [host]}}, "domain": "test.example"}
        self.apply(first)
        index = Path(f"/sys/class/net/{bridge(self.name)}/ifindex").read_text()
        two = {"mac": "52:54:00:00:00:11", "ip": "198.51.100.11", "name": "two"}
        dhcp = {"ranges": [["198.51.100.50", "198.51.100.60"]], "hosts": [{**host, "ip": "198.51.100.12"}, two]}
        second = {
            **plain,
            "ip": {**ip, "dhcp": dhcp},
            "domain": "test.example",
            "dns_hosts": [{"ip": "198.51.100.77", "names": ["db", "db.test.example"]}],
            "dns_txt": [{"name": "motto.test.example", "value": "keep"}],
            "dns_srv": [{"service": "ldap", "protocol": "tcp", "domain": "test.example", "target": "db", "port": 389}],
        }
        done = self.foretold(second)
        live = {change["field"].partition("[")[0] for change in done["changes"] if change["layer"] == "running"}
        assert live == {"dhcp_ranges", "dhcp_hosts", "dns_hosts", "dns_txt", "dns_srv"}
        assert done["restart_required"] == []
        self.unchanged(second)
        for flags in ((), ("--inactive",)):
            root = document(self.name, *flags)
            assert [dict(one.attrib) for one in root.findall("ip/dhcp/range")] == [
                {"start": "198.51.100.50", "end": "198.51.100.60"}
            ]
            assert {one.get("mac"): one.get("ip") for one in root.findall("ip/dhcp/host")} == {
                "52:54:00:00:00:10": "198.51.100.12",
                "52:54:00:00:00:11": "198.51.100.11",
            }
            assert [one.text for one in root.findall("dns/host/hostname")] == ["db", "db.test.example"]
        assert Path(f"/sys/class/net/{bridge(self.name)}/ifindex").read_text() == index
        served = Path(f"/var/lib/libvirt/dnsmasq/{self.name}.hostsfile").read_text()
        assert "52:54:00:00:00:11,198.51.100.11,two" in served
        assert "198.51.100.77" in Path(f"/var/lib/libvirt/dnsmasq/{self.name}.addnhosts").read_text()
        moved = self.apply({**plain, "ip": {"address": "198.51.100.2/24"}})
        assert (moved["changed"], moved["restart_required"]) == (True, ["ip[address]"])
        assert document(self.name).find("ip").get("address") == "198.51.100.1"
        assert document(self.name, "--inactive").find("ip").get("address") == "198.51.100.2"
        self.apply({**plain, "ip": {"address": "198.51.100.2/24"}, "restart": "if_needed"})
        assert document(self.name).find("ip").get("address") == "198.51.100.2"
        assert len(document(self.name).findall("ip/dhcp/host")) == 2, "what is not declared is gone"

    def test_interfaces_of_the_host_are_added_while_it_is_active(self):
        links = [f"{bridge(self.name)}{end}" for end in "abc"]
        for link in links:
            run("ip", "link", "add", link, "type", "bridge")
        bare = {"bridge": None, "ip": None, "dns_enabled": None}
        try:
            self.apply({**bare, "forward": {"mode": "bridge", "interfaces": links[:2]}})
            done = self.foretold({**bare, "forward": {"interfaces": links[1:]}})
            assert done["restart_required"] == []
            for flags in ((), ("--inactive",)):
                found = document(self.name, *flags).findall("forward/interface")
                assert [one.get("dev") for one in found] == links[1:]
        finally:
            self.apply({"state": "absent"})
            for link in links:
                run("ip", "link", "delete", link)

    def test_what_others_put_there_stays(self):
        self.apply({"state": "inactive", "portgroups": [{"name": "fast"}]})
        edit(self.name, "</network>", "<portgroup name='theirs'/><ip address='198.51.100.1' prefix='24'/></network>")
        self.apply({"state": "inactive", "mtu": 1400, "ip6": {"address": "2001:db8::1/64"}})
        root = document(self.name, "--inactive")
        assert [group.get("name") for group in root.findall("portgroup")] == ["fast", "theirs"]
        assert {"198.51.100.1", "2001:db8::1"} < {ip.get("address") for ip in root.findall("ip")}
        assert root.find("mtu").get("size") == "1400"

    def test_domains_that_are_connected_are_not_cut_off(self, tmp_path):
        self.apply({"autostart": False})
        file = tmp_path / "domain.xml"
        file.write_text(
            f"<domain type='qemu'><name>{CONNECTED}</name><memory unit='MiB'>16</memory><os><type>hvm</type></os>"
            f"<devices><interface type='network'><source network='{self.name}'/></interface></devices></domain>"
        )
        virsh("create", "--paused", str(file))
        try:
            for spec in ({"state": "absent"}, {"stp": False, "restart": "if_needed"}):
                with pytest.raises(Failed, match=f"is in use by {CONNECTED}.*force: true"):
                    self.apply(spec)
            assert self.apply({"stp": False})["restart_required"] == ["stp"]
            self.sees({"active": True, "stp": "off"})
            assert look(self.name)["running"]["stp"] == "on"
            self.apply({"state": "absent", "force": True})
            assert look(self.name) is None
        finally:
            virsh("destroy", CONNECTED)

    def test_a_stack_makes_it_before_the_domain_and_takes_it_away_after(self):
        entries = [
            {
                "libvirt_domain": {
                    "name": CONNECTED,
                    "memory": "16M",
                    "networks": [{"network": self.name}],
                    "state": "shutdown",
                }
            },
            {"libvirt_network": {"name": self.name, "bridge": bridge(self.name)}},
        ]
        self.made.add(self.name)
        stack = {"name": self.owner, "prune": True, "resources": entries}
        assert call("stack", stack)["changed"]
        self.sees({"active": True})
        card = ET.fromstring(virsh("dumpxml", CONNECTED)).find("devices/interface/source")
        assert card.get("network") == self.name
        assert call("stack", stack)["changed"] is False
        self.stack(None)
        assert look(self.name) is None
        assert CONNECTED not in virsh("list", "--all", "--name").split()
