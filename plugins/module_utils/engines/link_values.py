# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes of rtnetlink's links (linux/if_link.h) to canonical values, and back."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UP = 0x1  # linux/if.h: IFF_UP
_PERMANENT = 0x80  # linux/if_addr.h: IFA_F_PERMANENT
_FOR_EVER = 0xFFFFFFFF

Raw = Mapping[str, Any]


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Attribute:
    """One leaf of a type's own options, and how the kernel's value and the canonical one become each other."""

    leaf: str
    name: str
    read: Callable[[Any], Any] = _same
    write: Callable[[Any], Any] = int


def _words(*words: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """An enumeration that begins with 0."""
    return (lambda number: words[number] if number < len(words) else str(number)), words.index


BOND_MODES = ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb")
IPVLAN_MODES = ("l2", "l3", "l3s")
MACVLAN_MODES = ("private", "vepa", "bridge", "passthru")

ATTRIBUTES: Mapping[str, tuple[Attribute, ...]] = {
    "bridge": (
        Attribute("vlan_filtering", "IFLA_BR_VLAN_FILTERING", bool),
        Attribute("stp", "IFLA_BR_STP_STATE", bool),
        Attribute("forward_delay", "IFLA_BR_FORWARD_DELAY"),
    ),
    "vlan": (Attribute("id", "IFLA_VLAN_ID"),),
    "macvlan": (Attribute("mode", "IFLA_MACVLAN_MODE", str, str),),  # pyroute2 has the words
    "ipvlan": (Attribute("mode", "IFLA_IPVLAN_MODE", *_words(*IPVLAN_MODES)),),
    "bond": (
        Attribute("mode", "IFLA_BOND_MODE", *_words(*BOND_MODES)),
        Attribute("miimon", "IFLA_BOND_MIIMON"),
    ),
    "vxlan": (
        Attribute("id", "IFLA_VXLAN_ID"),
        Attribute("port", "IFLA_VXLAN_PORT"),
        # remote and group are one attribute, which the address tells apart: see observed and information
    ),
    "tun": (
        Attribute("owner", "IFLA_TUN_OWNER"),
        Attribute("group", "IFLA_TUN_GROUP"),
    ),
}
_TUN_TYPES = {1: "tun", 2: "tap"}  # linux/if_tun.h: IFF_TUN, IFF_TAP

MODULES = {"vlan": "8021q", "bond": "bonding", "tap": "tun"}
"""The kernel modules of those types that aren't named like them."""


def kind_of(raw: Raw) -> str | None:
    """The type of a link, None for what a driver of hardware made."""
    told = raw.get("IFLA_LINKINFO") or {}
    kind = told.get("IFLA_INFO_KIND")
    if kind == "tun":
        return _TUN_TYPES.get((told.get("IFLA_INFO_DATA") or {}).get("IFLA_TUN_TYPE", 1))
    return None if kind is None else str(kind)


def group_of(kind: str | None) -> str | None:
    """The option that holds a type's own settings."""
    return "tun" if kind == "tap" else kind


def observed(raw: Raw, addresses: Sequence[Raw]) -> dict[str, Any]:
    """What one message says of a link, and those of its addresses; names given as numbers are left to the caller."""
    kind = kind_of(raw)
    stay = sorted(text_of(address) for address in addresses if _flags(address) & _PERMANENT)
    values: dict[str, Any] = {
        "type": kind,
        "mtu": raw.get("IFLA_MTU"),
        "mac": (raw.get("IFLA_ADDRESS") or "").lower() or None,
        "up": bool(raw["flags"] & UP),
        "addresses": tuple(text for text in stay if not link_local(text)),
        "link_locals": tuple(text for text in stay if link_local(text)),
    }
    group = group_of(kind) or ""
    if group in ATTRIBUTES:
        data = (raw.get("IFLA_LINKINFO") or {}).get("IFLA_INFO_DATA") or {}
        values[group] = {
            one.leaf: one.read(data[one.name])
            for one in ATTRIBUTES[group]
            if data.get(one.name) not in (None, _FOR_EVER)
        }
        if group == "vxlan":
            values[group].update(_tunnel(data))
    return values


def _tunnel(data: Raw) -> dict[str, str]:
    ends = {}
    far = data.get("IFLA_VXLAN_GROUP") or data.get("IFLA_VXLAN_GROUP6")
    near = data.get("IFLA_VXLAN_LOCAL") or data.get("IFLA_VXLAN_LOCAL6")
    if far:
        ends["group" if ipaddress.ip_address(far).is_multicast else "remote"] = str(far)
    if near:
        ends["local"] = str(near)
    return ends


def information(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The attribute that says what a link is, from the values of its type's own option."""
    own = {
        one.name: one.write(values[one.leaf])
        for one in ATTRIBUTES.get(group_of(kind) or "", ())
        if values.get(one.leaf) is not None
    }
    if kind == "vxlan":
        for leaf, name in (("local", "LOCAL"), ("remote", "GROUP"), ("group", "GROUP")):
            if values.get(leaf):
                six = ipaddress.ip_address(values[leaf]).version == 6
                own[f"IFLA_VXLAN_{name}{6 if six else ''}"] = values[leaf]
    return {"IFLA_INFO_KIND": kind, "IFLA_INFO_DATA": own or None}


def _flags(address: Raw) -> int:
    return int(address.get("IFA_FLAGS") or address.get("flags") or 0)


def text_of(address: Raw) -> str:
    """An address as ``10.0.0.1/24``: IFA_LOCAL is its own where it has a peer, too (ip-address(8))."""
    return f"{address.get('IFA_LOCAL') or address.get('IFA_ADDRESS')}/{address['prefixlen']}"


def link_local(text: str) -> bool:
    """fe80::/10, which the kernel gives every link by itself (RFC 4291)."""
    address = ipaddress.ip_interface(text)
    return address.version == 6 and address.is_link_local


def message_of(text: str, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields and the attributes of a message about an address."""
    address = ipaddress.ip_interface(text)
    six = address.version == 6
    local = str(address.ip)
    attributes = {"IFA_LOCAL": local, "IFA_ADDRESS": local}
    if not six and address.network.prefixlen < 31:
        attributes["IFA_BROADCAST"] = str(address.network.broadcast_address)
    return {"family": 10 if six else 2, "prefixlen": address.network.prefixlen, "index": index}, attributes
