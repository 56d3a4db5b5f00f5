# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be wrong with a host's own network."""

from __future__ import annotations

import fnmatch
import ipaddress
import itertools
import re
from collections.abc import Iterator

from ..core.diagnosis import ERROR, NOTE, WARNING, Check, Facts, Topic
from . import network, network_guests
from .network_guests import state, unanswered

# Engines make these before anything is on them, and take care of them themselves.
_ENGINES_OWN = re.compile(
    r"docker\d+|docker_gwbridge|br-[0-9a-f]{12}|virbr\d+|lxcbr\d+|lxdbr\d+|incusbr\d+|podman\d+|cni-.*"
)

Net = ipaddress.IPv4Network


def _bridges(facts: Facts) -> list[Facts]:
    return [link for link in facts["links"] if link["type"] == "bridge"]


def _ports(facts: Facts, bridge: Facts) -> list[Facts]:
    return [link for link in facts["links"] if link["master"] == bridge["name"]]


def _ways_out(routes: list[Facts]) -> list[str]:
    """The links of default routes that hold for everybody, the best first."""
    main = [route for route in routes if route["table"] == "main"]
    return [route["link"] for route in sorted(main, key=lambda route: int(route["metric"]))]


def _uplinks(facts: Facts) -> list[str]:
    return _ways_out(facts["routes"]) + _ways_out(facts["routes6"])


def _nets(link: Facts) -> list[Net]:
    """The IPv4 subnets of a link."""
    found = (ipaddress.ip_interface(text).network for text in link["addresses"])
    return [net for net in found if isinstance(net, Net) and net.prefixlen < 32 and not net.is_loopback]


def _routed(facts: Facts) -> list[Facts]:
    """The bridges for whose guests this host is the way out."""
    uplinks = _uplinks(facts)
    return [bridge for bridge in _bridges(facts) if _nets(bridge) and bridge["name"] not in uplinks]


def _not_forwarding(facts: Facts) -> Iterator[Facts]:
    for bridge in _routed(facts):
        name = bridge["name"]
        row = {"bridge": name, "address": bridge["addresses"][0]}
        if facts["forwarding"] == 0:
            yield {**row, "key": "net.ipv4.ip_forward"}
        elif facts["forwarding_of"].get(name) == 0:
            yield {**row, "key": f"net.ipv4.conf.{name}.forwarding"}


def _lets_through(chain: Facts, bridge: Facts) -> bool:
    named = any(fnmatch.fnmatchcase(bridge["name"], link) for link in chain["links"])
    sources = [ipaddress.ip_network(text, strict=False) for text in chain["sources"]]
    nets = _nets(bridge)
    return bool(chain["all"] or named or (nets and all(any(net.overlaps(one) for one in sources) for net in nets)))


def _swallowed(facts: Facts, bridges: list[Facts]) -> Iterator[Facts]:
    for chain, bridge in itertools.product(facts["dropping"], bridges):
        if not _lets_through(chain, bridge):
            docker = "DOCKER-USER" if chain["chain"] == "FORWARD" else chain["chain"]
            yield {**chain, "bridge": bridge["name"], "place": docker, "known": ", ".join(chain["links"]) or "none"}


def _filtered(facts: Facts) -> Iterator[Facts]:
    if facts["bridge_nf"]:
        chains = [chain for chain in facts["dropping"] if not chain["table"].startswith("inet")]
        yield from _swallowed({"dropping": chains}, [one for one in _bridges(facts) if len(_ports(facts, one)) > 1])


def _down(facts: Facts) -> Iterator[Facts]:
    for bridge in _bridges(facts):
        ports = _ports(facts, bridge)
        if not bridge["up"] and (ports or bridge["addresses"]):
            yield {"bridge": bridge["name"], "number": len(ports)}


def _dead(facts: Facts) -> Iterator[Facts]:
    for bridge in _bridges(facts):
        ports = _ports(facts, bridge)
        if bridge["up"] and ports and not bridge["carrier"]:
            states = ", ".join(f"{port['name']} is {state(port)}" for port in ports)
            yield {"bridge": bridge["name"], "states": states}


def _empty(facts: Facts) -> Iterator[Facts]:
    for bridge in _bridges(facts):
        if not _ports(facts, bridge) and not _ENGINES_OWN.fullmatch(bridge["name"]):
            yield {"bridge": bridge["name"]}


def _no_default(facts: Facts) -> Iterator[Facts]:
    if not _uplinks(facts):
        up = [
            f"{link['name']} ({', '.join(link['addresses']) or 'no address'})" for link in facts["links"] if link["up"]
        ]
        yield {"up": ", ".join(up) or "none"}


def _uneven(facts: Facts) -> Iterator[Facts]:
    for bridge in _bridges(facts):
        for port in _ports(facts, bridge):
            if port["mtu"] != bridge["mtu"]:
                yield {"bridge": bridge["name"], "mtu": bridge["mtu"], "port": port["name"], "other": port["mtu"]}


def _too_large(facts: Facts) -> Iterator[Facts]:
    """Bridges whose guests send more at once than the way out takes."""
    links = {link["name"]: link for link in facts["links"]}
    for uplink in _uplinks(facts)[:1]:
        for bridge in _routed(facts):
            if uplink in links and bridge["mtu"] > links[uplink]["mtu"]:
                yield {"bridge": bridge["name"], "mtu": bridge["mtu"], "uplink": uplink, "other": links[uplink]["mtu"]}


def _overlapping(facts: Facts) -> Iterator[Facts]:
    places = [(link["name"], net, "address") for link in facts["links"] for net in _nets(link)]
    bridges = {link["name"] for link in facts["links"]}
    for one in facts.get("virtual_networks", ()):
        if not (one["active"] or one["bridge"] in bridges):
            nets = [ipaddress.ip_interface(text).network for text in one["subnets"]]
            places += [(f"libvirt's network {one['name']}", net, "definition") for net in nets if isinstance(net, Net)]
    for (one, net, by), (other, second, second_by) in itertools.combinations(places, 2):
        if one != other and net.overlaps(second):
            yield {"one": one, "net": net, "other": other, "second": second, "by": by, "second_by": second_by}


def _twice(facts: Facts) -> Iterator[Facts]:
    where: dict[str, list[str]] = {}
    for link in facts["links"]:
        for text in link["addresses"]:
            where.setdefault(text.partition("/")[0], []).append(link["name"])
    for address, names in where.items():
        if len(set(names)) > 1:
            yield {"address": address, "names": " and ".join(names), "last": names[-1]}


def _strict(facts: Facts) -> Iterator[Facts]:
    """Links by which answers may come that the route back doesn't leave by (ip-sysctl.rst, rp_filter)."""
    best = _ways_out(facts["routes"])[:1]
    for route in facts["routes"]:
        name = route["link"]
        mode = max(facts["rp_filter"].get("all", 0), facts["rp_filter"].get(name, 0))
        by_rule = route["table"] != "main" and route["table"] in facts["rules"]
        if mode == 1 and best and name not in best and not by_rule:
            yield {"link": name, "best": best[0], "table": route["table"]}


CHECKS = (
    Check(
        "host forwards for its bridges",
        ERROR,
        _not_forwarding,
        "This host does not forward what comes from {bridge}",
        "{key} is 0, and {bridge} has {address}, the gateway of its guests",
        "Guests reach this host and each other, and nothing else.",
        "sysctl -w {key}=1, and the same line in /etc/sysctl.d; the role strata.virt.host does both (host_sysctls)",
        ("links", "routes"),
    ),
    Check(
        "firewall lets bridges through",
        ERROR,
        lambda facts: _swallowed(facts, _routed(facts)),
        "The chain {chain} of the table {table} drops what comes from {bridge}",
        "its policy is drop, and of links it accepts: {known}",
        "Docker sets this policy for the whole host where it has to turn forwarding on by itself; an accept in another "
        "table does not help, since each table has its say. Guests of LXC, libvirt and nspawn lose their way out.",
        "iptables -I {place} -i {bridge} -j ACCEPT and iptables -I {place} -o {bridge} -m conntrack --ctstate "
        "RELATED,ESTABLISHED -j ACCEPT (a chain of nftables: the same with nft insert rule); made again at boot. To "
        "have Docker leave the policy alone, set net.ipv4.ip_forward=1 in /etc/sysctl.d, which comes before dockerd",
        ("links", "routes", "dropping"),
    ),
    Check(
        "frames within a bridge stay out of iptables",
        WARNING,
        _filtered,
        "Frames between two ports of {bridge} are held against the chain {chain} of {table}, which drops them",
        "net.bridge.bridge-nf-call-iptables is 1, the chain's policy is drop, and of links it accepts: {known}",
        "Guests of the same bridge can't reach each other, though no router is between them. Docker and Kubernetes "
        "load br_netfilter for bridges of their own; it holds for all.",
        "iptables -I {place} -i {bridge} -o {bridge} -j ACCEPT; or sysctl -w net.bridge.bridge-nf-call-iptables=0 "
        "where neither Docker's isolation of networks nor Kubernetes needs it",
        ("links", "dropping"),
    ),
    Check(
        "bridges are up",
        ERROR,
        _down,
        "The bridge {bridge} is down",
        "ip link: no flag UP; it has {number} ports",
        "Nothing passes it, whatever its ports say.",
        "ip link set {bridge} up, or strata.virt.link with name: {bridge} and up: true",
        ("links",),
    ),
    Check(
        "bridges have carrier",
        WARNING,
        _dead,
        "No port of the bridge {bridge} is alive",
        "ip link: NO-CARRIER; {states}",
        "The bridge has no carrier, so that its address is not used and what waits for it to be online waits.",
        "Set the ports up (ip link set PORT up), start the guests behind them, or plug in the cable",
        ("links",),
    ),
    Check(
        "bridges have ports",
        NOTE,
        _empty,
        "The bridge {bridge} has no ports",
        "ip link: no link has master {bridge}",
        "A bridge without ports leads nowhere; a guest or an uplink that should be on it is not.",
        "strata.virt.link with master: {bridge} for the uplink; of guests, their option for the bridge "
        "(network_bridge of nspawn_container, networks of lxc_container and libvirt_domain)",
        ("links",),
    ),
    Check(
        "there is a default route",
        ERROR,
        _no_default,
        "There is no default route",
        "ip route show table all: no default in main, neither of IPv4 nor of IPv6; up are: {up}",
        "Only neighbours can be reached.",
        "ip route add default via GATEWAY dev LINK, and the same in the network configuration; with DHCP, see why no "
        "lease came: networkctl status, journalctl -u systemd-networkd",
        ("links", "routes"),
    ),
    Check(
        "there is a resolver",
        ERROR,
        lambda facts: [] if facts["nameservers"] else [{}],
        "No resolver is set",
        "/etc/resolv.conf is missing, or has no line nameserver",
        "Names are asked of 127.0.0.1, where mostly nobody listens: what is reached by address is not by name.",
        "Write nameserver ADDRESS into /etc/resolv.conf; where it is a link to /run/systemd/resolve, "
        "systemctl enable --now systemd-resolved",
    ),
    Check(
        "the local resolver answers",
        ERROR,
        unanswered,
        "The resolver {server} is nobody",
        "/etc/resolv.conf names it, and no socket of this network namespace waits at {server} port 53 (/proc/net/udp)",
        "Each look-up runs into its timeout. A container that got a copy of the host's file has no such resolver "
        "either.",
        "systemctl enable --now {named}, or name a resolver that can be reached",
    ),
    Check(
        "ports have the MTU of their bridge",
        WARNING,
        _uneven,
        "{port} has another MTU than its bridge",
        "ip link: {bridge} {mtu}, {port} {other}",
        "A bridge drops what is too large for a port without a word: small packets pass, and downloads hang.",
        "ip link set {port} mtu {mtu}, or strata.virt.link with name: {port} and mtu: {mtu}; inside of the guest, too",
        ("links",),
    ),
    Check(
        "the way out takes what bridges send",
        WARNING,
        _too_large,
        "Guests of {bridge} send larger packets than the way out takes",
        "ip link: {bridge} {mtu}, {uplink}, which has the default route, {other}",
        "Each connection has to find that out by ICMP, which many firewalls drop: then it hangs after the first data.",
        "strata.virt.link with name: {bridge} and mtu: {other} (mtu of libvirt_network, "
        "com.docker.network.driver.mtu of docker_network), and in the guests",
        ("links", "routes"),
    ),
    Check(
        "subnets are apart",
        ERROR,
        _overlapping,
        "{one} and {other} have overlapping subnets",
        "{one}: {net} by {by}; {other}: {second} by {second_by}",
        "The kernel sends what is for one to the other; libvirt and Docker refuse to start such a network.",
        "Give one of them a subnet of its own: addresses of strata.virt.link, ips of libvirt_network, ipam_config of "
        "docker_network",
        ("links",),
    ),
    Check(
        "no address is there twice",
        ERROR,
        _twice,
        "{address} is an address of {names}",
        "ip address",
        "Both answer for it, and what comes back goes to whichever was first.",
        "ip address del {address} dev {last}, and take it out of the configuration of one of them",
        ("links",),
    ),
    Check(
        "answers may come in where they do",
        WARNING,
        _strict,
        "What comes in by {link} is dropped where the answer would leave by {best}",
        "rp_filter of {link} is 1 (strict), it has a default route in the table {table}, and the best one is that of "
        "{best}",
        "With two ways out, answers come by one and leave by the other; the strict filter drops them silently "
        "(sysctl net.ipv4.conf.{link}.log_martians=1 shows them).",
        "sysctl -w net.ipv4.conf.{link}.rp_filter=2, or a rule from its address to a table of its own "
        "(ip rule add from ADDRESS lookup TABLE; routes and rules of strata.virt.netns)",
        ("links", "routes", "rules"),
    ),
)

TOPIC = Topic(network.read, CHECKS + network_guests.CHECKS, ("workload",))
