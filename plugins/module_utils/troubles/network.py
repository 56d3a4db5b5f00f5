# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be known of a host's network: links, routes, resolvers, chains, virtual networks, published ports."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from ..core.diagnosis import UNREAD, Facts
from ..engines.hostfiles import Host
from . import firewall, ports, sockets, workloads

_IPV4 = "/proc/sys/net/ipv4"
NETWORKS = "/etc/libvirt/qemu/networks"
RUNNING = "/run/libvirt/network"
RESOLVERS = "/etc/resolv.conf"

NO_IP = "there is no program ip, or it printed no JSON: install the package iproute2 (Debian), iproute (Fedora)"
NO_ROOT = "only root can see it: use become"


def said(host: Host, *argv: str) -> list[Facts] | None:
    """What a program printed as a list of JSON; None where it did not."""
    try:
        rows = json.loads(host.said(*argv))
    except ValueError:
        return None
    return [row for row in rows if row]  # ip prints {} for what a filter left out


def _name(row: Facts) -> str:
    return str(row["name"])


def link(row: Facts) -> Facts:
    """A link of ``ip --json --details address`` in our words."""
    flags = row.get("flags", ())
    return {
        "name": row["ifname"],
        "type": row.get("linkinfo", {}).get("info_kind", ""),
        "up": "UP" in flags,
        "carrier": "LOWER_UP" in flags and "NO-CARRIER" not in flags,
        "loopback": "LOOPBACK" in flags,
        "mtu": row["mtu"],
        "master": row.get("master", ""),
        "addresses": [
            f"{address['local']}/{address['prefixlen']}"
            for address in row.get("addr_info", ())
            if "local" in address and address.get("scope") != "link"
        ],
    }


def default(row: Facts) -> Facts:
    """A default route in our words."""
    hops = row.get("nexthops") or [row]
    return {
        "link": hops[0].get("dev", ""),
        "gateway": hops[0].get("gateway", ""),
        "metric": row.get("metric", 0),
        "table": str(row.get("table", "main")),
    }


def _defaults(rows: list[Facts]) -> list[Facts]:
    return [default(row) for row in rows if row.get("dst") == "default" and row.get("type", "unicast") == "unicast"]


def read_links(host: Host, *before: str) -> Facts:
    """Links and default routes; ``before`` is what enters another namespace."""
    facts: Facts = {}
    argv = [*before, "ip", "--json"]
    links = said(host, *argv, "--details", "address", "show")
    routes = [said(host, *argv, family, "route", "show", "table", "all") for family in ("-4", "-6")]
    facts["links"] = None if links is None else sorted((link(row) for row in links if "ifname" in row), key=_name)
    facts["routes"] = None if None in routes else _defaults(routes[0] or [])
    facts["routes6"] = None if None in routes else _defaults(routes[1] or [])
    return facts


def _rules(host: Host) -> list[str] | None:
    """The tables that addresses of this host are sent to by a rule of their own."""
    rules = said(host, "ip", "--json", "-4", "rule", "show")
    return None if rules is None else [str(rule["table"]) for rule in rules if rule.get("src", "all") != "all"]


def nameservers(text: str) -> list[str]:
    """resolv.conf(5)."""
    return re.findall(r"^\s*nameserver\s+(\S+)", text, re.MULTILINE)


def virtual_network(host: Host, file: str) -> Facts | None:
    """A network of libvirt by its files, which say the same whether a daemon answers or not."""
    try:
        xml = ET.fromstring(host.text(f"{NETWORKS}/{file}") or "")
    except ET.ParseError:
        return None
    name = xml.findtext("name") or file[: -len(".xml")]
    forward, bridge, dns = xml.find("forward"), xml.find("bridge"), xml.find("dns")
    ips = xml.findall("ip")
    resolves = dns is None or dns.get("enable") != "no"
    leases = any(ip.find("dhcp") is not None for ip in ips)
    pid = host.number(f"{RUNNING}/{name}.pid")
    return {
        "name": name,
        "bridge": "" if bridge is None else bridge.get("name", ""),
        "forward": "" if forward is None else forward.get("mode", "nat"),
        "subnets": [
            f"{ip.get('address')}/{ip.get('prefix') or ip.get('netmask') or 24}"
            for ip in ips
            if ip.get("family", "ipv4") == "ipv4" and ip.get("address")
        ],
        "leases": leases,
        "active": host.exists(f"{RUNNING}/{name}.xml"),
        "autostart": host.exists(f"{NETWORKS}/autostart/{name}.xml"),
        "served": bool(ips) and (leases or resolves),
        "server": pid is not None and host.line(f"/proc/{pid}/comm") == "dnsmasq",
        "pid": pid,
    }


def virtual_networks(host: Host) -> list[Facts]:
    files = [name for name in host.names(NETWORKS) if name.endswith(".xml")]
    return [network for network in (virtual_network(host, name) for name in files) if network]


def guest(host: Host, workload: str | None) -> Facts | None:
    """The same of the network namespace of a workload."""
    if workload is None:
        return None
    found = workloads.find(host, workload)
    seen = read_links(host, "nsenter", f"--net=/proc/{found['pid']}/ns/net")
    resolvers = host.text_within(f"/proc/{found['pid']}/root/.", RESOLVERS)
    return {
        **found,
        **seen,
        "nameservers": None if resolvers is None else nameservers(resolvers),
        "listening": sockets.listening(host, str(found["pid"])),
    }


def read(host: Host, options: Mapping[str, Any]) -> Facts:
    facts = read_links(host)
    facts["rules"] = _rules(host)
    rows, silent = ports.published(host) if options["root"] else ([], NO_ROOT)
    unread = {name: NO_IP for name in ("links", "routes", "rules") if facts[name] is None}
    names = host.names(f"{_IPV4}/conf")
    facts.update(
        forwarding=host.number(f"{_IPV4}/ip_forward"),
        forwarding_of={name: host.number(f"{_IPV4}/conf/{name}/forwarding") for name in names},
        rp_filter={name: host.number(f"{_IPV4}/conf/{name}/rp_filter") or 0 for name in names},
        bridge_nf=host.number("/proc/sys/net/bridge/bridge-nf-call-iptables") or 0,
        nameservers=nameservers(host.text(RESOLVERS) or ""),
        listening=sockets.listening(host),
        virtual_networks=virtual_networks(host),
        dropping=firewall.dropping(host) if options["root"] else None,
        published=rows,
        guest=guest(host, options.get("workload")),
    )
    if facts["dropping"] is None:
        unread["dropping"] = (
            "neither nft nor iptables-save told the rules: install the package nftables" if options["root"] else NO_ROOT
        )
    if silent is not None:
        unread["published"] = silent
    if not options["root"]:
        unread["virtual_networks"] = NO_ROOT
    if facts["guest"] is None:
        unread.update(dict.fromkeys(("guest", "guest_nameservers"), "no workload was named"))
    elif facts["guest"]["links"] is None or facts["guest"]["routes"] is None:
        unread["guest"] = f"nsenter into the network of {facts['guest']['title']} failed: as root, with util-linux"
    if facts["guest"] is not None and facts["guest"]["nameservers"] is None:
        unread["guest_nameservers"] = f"{facts['guest']['title']} has no {RESOLVERS} that this user may read"
    return {**facts, UNREAD: unread}
