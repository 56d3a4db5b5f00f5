# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of ip(8) that make a network namespace again, with what is in it: what rtnetlink is told, in words.

They are for a unit of systemd: nothing else is at hand when a host boots.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from . import link_values, routes

Row = Mapping[str, Any]

_ETHERNET = 1500  # linux/if_ether.h: ETH_DATA_LEN
_OWN = {  # the words of a type's own options (ip-link(8)), where they are others than the options' names
    "bridge": {"vlan_filtering": "vlan_filtering", "stp": "stp_state", "forward_delay": "forward_delay"},
    "vxlan": {"port": "dstport"},
}


def _ip(netns: str, *words: object) -> list[str]:
    at = ["-n", netns] if netns else []
    return ["ip", *at, *(str(word) for word in words)]


def namespace(name: str, alias: str, loopback: bool) -> Iterator[list[str]]:
    yield ["ip", "netns", "add", name]
    yield _ip(name, "link", "set", "dev", "lo", "alias", alias, *(["up"] if loopback else []))


def link(netns: str, row: Row, alias: str, home: str) -> Iterator[list[str]]:
    """One link, and the other end of a pair.

    Args:
        netns: The namespace that it is in.
        row: What it is to be, its type and its name included.
        alias: What it is marked with.
        home: The namespace of its parent.
    """
    name, kind = row["name"], row["type"]
    peer = row.get("peer") or {}
    if kind in ("tun", "tap"):
        yield _ip(netns, "tuntap", "add", "dev", name, "mode", kind, *_tun(row.get("tun") or {}))
    else:
        parent = row.get("parent")
        words: list[object] = ["link", parent] if parent and kind != "vxlan" else []
        words += ["name", name]
        words += ["netns", netns] if home != netns else []
        if kind == "bridge" and row.get("mtu"):
            words += ["mtu", _ETHERNET if row["mtu"] != _ETHERNET else _ETHERNET + 1]  # see links.World.create
        words += ["type", kind, *_own(kind, row)]
        if kind == "veth":
            words += ["peer", "name", peer["name"], *_place(netns, peer.get("netns") or "")]
        yield _ip(home, "link", "add", *words)
    yield _ip(netns, "link", "set", "dev", name, "alias", alias)
    yield from _given(netns, name, row)
    if kind == "veth":
        yield from _given(peer.get("netns") or "", peer["name"], peer)


def _place(netns: str, other: str) -> list[str]:
    if netns == other:
        return []
    return ["netns", other or "1"]  # the first process is on the host


def _tun(own: Row) -> Iterator[object]:
    for leaf, word in (("owner", "user"), ("group", "group")):
        if own.get(leaf) is not None:
            yield from (word, own[leaf])


def _own(kind: str, row: Row) -> Iterator[object]:
    own = row.get(link_values.group_of(kind) or "") or {}
    for leaf, value in own.items():
        if value not in (None, ""):
            yield from (_OWN.get(kind, {}).get(leaf, leaf), int(value) if isinstance(value, bool) else value)
    if kind == "vxlan" and row.get("parent"):
        yield from ("dev", row["parent"])


def _given(netns: str, name: str, values: Row) -> Iterator[list[str]]:
    words: list[object] = []
    for option, word in (("mac", "address"), ("mtu", "mtu"), ("master", "master")):
        if values.get(option):
            words += [word, values[option]]
    if values.get("up", True):
        words.append("up")
    if words:
        yield _ip(netns, "link", "set", "dev", name, *words)
    for text in values.get("addresses") or ():
        network = ipaddress.ip_interface(text).network
        broadcast = ["broadcast", "+"] if network.version == 4 and network.prefixlen < 31 else []
        yield _ip(netns, "address", "add", text, *broadcast, "dev", name)


def route(netns: str, row: Row) -> list[str]:
    words: list[object] = [] if row.get("type", "unicast") == "unicast" else [row["type"]]
    words.append(row["to"])
    for option, word in (("via", "via"), ("dev", "dev"), ("metric", "metric")):
        if row.get(option):
            words += [word, row[option]]
    return _ip(netns, *_six(row), "route", "add", *words, "table", row.get("table") or "main", "protocol", "static")


def rule(netns: str, row: Row) -> list[str]:
    words: list[object] = []
    for option in ("from", "to", "iif", "oif"):
        if row.get(option):
            words += [option, row[option]]
    words += ["fwmark", hex(row["fwmark"])] if row.get("fwmark") else []
    table = row.get("table") or "main"
    return _ip(netns, *_six(row), "rule", "add", "priority", row["priority"], *words, "table", table)


def _six(row: Row) -> list[str]:
    return ["-6"] if routes.is_six(row) else []


def sysctl(netns: str, key: str, value: str) -> list[str]:
    return ["ip", "netns", "exec", netns, "sysctl", "-q", "-w", f"{key}={value}"]


def of_links(keys: Iterable[str], links: Iterable[str]) -> list[str]:
    """The parameters that are there when a link is (``net.ipv4.conf.eth0.…``; sysctl(8): / stands for a dot)."""
    names = {name.replace(".", "/") for name in links}
    return [key for key in keys if names & set(key.split("."))]
