# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be wrong with the networks that engines make, with published ports, and with the network of a workload."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..core.diagnosis import ERROR, NOTE, Check, Facts
from . import network, sockets


def state(link: Facts) -> str:
    """A link in words."""
    return "down" if not link["up"] else "up" if link["carrier"] else "up without carrier"


def unanswered(facts: Facts) -> Iterator[Facts]:
    """Resolvers at the loopback of a host, or of a workload, that nobody is."""
    # Docker's own, 127.0.0.11, listens at another port, to which a rule in the container's namespace leads.
    heard = {row["address"] for row in facts["listening"] if row["port"] == 53 or sockets.loopback(row)}
    for server in facts["nameservers"]:
        own = re.fullmatch(r"[0-9a-f.:]+", server) and sockets.loopback({"address": server})
        if own and not heard & {server, "0.0.0.0", "::"}:
            named = "systemd-resolved" if server in ("127.0.0.53", "127.0.0.54") else "whoever was to listen there"
            yield {"server": server, "named": named}


def _guest_unresolved(facts: Facts) -> Iterator[Facts]:
    guest = facts["guest"]
    if not guest["nameservers"]:
        yield {**guest, "seen": "names no resolver"}
    for row in unanswered(guest):
        yield {**guest, "seen": f"names {row['server']}, where nothing in its network namespace listens"}


def _inactive(facts: Facts, at_boot: bool) -> Iterator[Facts]:
    yield from (one for one in facts["virtual_networks"] if not one["active"] and one["autostart"] is at_boot)


def _unserved(facts: Facts) -> Iterator[Facts]:
    for one in facts["virtual_networks"]:
        if one["active"] and one["served"] and not one["server"]:
            yield {**one, "seen": f"process {one['pid']} is no dnsmasq" if one["pid"] else "there is no such file"}


def _deaf(facts: Facts) -> Iterator[Facts]:
    said = {"nobody": "nothing listens on it", "loopback": "it is listened on at the container's loopback alone"}
    for row in facts["published"]:
        if row["running"] and row["listener"] in said:
            yield {**row, "said": said[row["listener"]]}


def _taken(facts: Facts) -> Iterator[Facts]:
    for row in facts["published"]:
        if row["holder"]:
            yield {**row, "error": row["error"] or "no error noted"}


def _guest_cut_off(facts: Facts) -> Iterator[Facts]:
    links = [link for link in facts["guest"]["links"] if not link["loopback"]]
    if not links:
        yield {**facts["guest"], "seen": "it has no link but lo"}
    for link in links:
        if not (link["up"] and link["carrier"]):
            yield {**facts["guest"], "seen": f"{link['name']} is {state(link)}"}
        elif not link["addresses"] and not link["master"]:
            yield {**facts["guest"], "seen": f"{link['name']} is up and has no address"}


def _guest_no_way(facts: Facts) -> Iterator[Facts]:
    if not facts["guest"]["routes"] and not facts["guest"]["routes6"]:
        yield facts["guest"]


CHECKS = (
    Check(
        "networks of libvirt that start at boot are active",
        ERROR,
        lambda facts: _inactive(facts, True),
        "libvirt's network {name} is not active",
        f"{network.NETWORKS}/{{name}}.xml is there, {network.RUNNING}/{{name}}.xml is not; it is to start at boot",
        "Domains that are on it don't start.",
        "virsh net-start {name}, or strata.virt.libvirt_network with name: {name} and state: started; where it "
        "refuses, an overlapping subnet is the usual reason",
        ("virtual_networks",),
    ),
    Check(
        "all networks of libvirt are active",
        NOTE,
        lambda facts: _inactive(facts, False),
        "libvirt's network {name} is not active, and does not start at boot",
        f"{network.NETWORKS}/{{name}}.xml is there, {network.RUNNING}/{{name}}.xml and autostart/{{name}}.xml are not",
        "Domains that are on it don't start.",
        "virsh net-start {name} && virsh net-autostart {name}, or strata.virt.libvirt_network with name: {name}, "
        "state: started and autostart: true",
        ("virtual_networks",),
    ),
    Check(
        "networks of libvirt have their dnsmasq",
        ERROR,
        _unserved,
        "Nobody hands out addresses and names on libvirt's network {name}",
        f"{network.RUNNING}/{{name}}.pid: {{seen}}",
        "Guests get no lease and no answer of the resolver; those with a lease lose it when it ends.",
        "virsh net-destroy {name} && virsh net-start {name}: guests that run keep their links, and need them plugged "
        "in again (libvirt reconnects them when libvirtd is restarted)",
        ("virtual_networks",),
    ),
    Check(
        "somebody listens behind published ports",
        ERROR,
        _deaf,
        "Port {port} of this host leads to port {inside} of the container {container}, and {said}",
        "sockets of the container's network namespace (/proc/PID/net/{protocol})",
        "The connection is taken by Docker's proxy, and reset.",
        "Publish the port that the program listens on, or have it listen at 0.0.0.0: docker logs {container} says "
        "where it does",
        ("published",),
    ),
    Check(
        "published ports are the engine's",
        ERROR,
        _taken,
        "Port {port} is to be that of the container {container}, and another one has it",
        "there listens ({protocol}) process {holder}; Docker says: {error}",
        "Docker can't publish the port, and the container does not start.",
        "Stop that process or that container, or publish another port (published_ports of "
        "strata.virt.docker_container)",
        ("published",),
    ),
    Check(
        "links of the workload are up",
        ERROR,
        _guest_cut_off,
        "The network of {title} is not connected",
        "in the network namespace of its process {pid}: {seen}",
        "Nothing gets in or out.",
        "Where the link is missing, its option for networks; where it is down or has no address, the network service "
        "in it (networkctl, dhcpcd, ip link set LINK up)",
        ("guest",),
    ),
    Check(
        "the workload has a default route",
        ERROR,
        _guest_no_way,
        "{title} has no default route",
        "ip route in the network namespace of its process {pid}",
        "It reaches its neighbours, and nothing else.",
        "A gateway in its network settings, or DHCP on its network",
        ("guest",),
    ),
    Check(
        "the workload has a resolver",
        ERROR,
        _guest_unresolved,
        "{title} can't look up names",
        f"{network.RESOLVERS}, as it sees it, {{seen}}",
        "What it reaches by address it does not by name. A copy of the host's file that names systemd-resolved is the "
        "usual reason: 127.0.0.53 of the host is not that of a container.",
        "A resolver in its settings: dns_servers of docker_container and podman_container; systemd-resolved in it, or "
        "resolv_conf of nspawn_container; resolv.conf in the tree of LXC",
        ("guest", "guest_nameservers"),
    ),
)
