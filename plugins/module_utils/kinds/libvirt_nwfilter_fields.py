# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules of a libvirt network filter are written as, and how libvirt says them again."""

from __future__ import annotations

import ipaddress
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.codec import BOOL, INT, LINE, TEXT, Codec
from ..core.errors import StrataError
from ..core.field import Field, Fields, decode

Row = Mapping[str, Any]
Reader = Callable[[str], str]
"""An attribute's value as libvirt says it; ValueError for what can't be one."""

ACTIONS = ("drop", "reject", "accept", "return", "continue")
DIRECTIONS = ("in", "out", "inout")
PRIORITY = 500  # formatnwfilter: what a rule has that doesn't say

_ETHER = {0x0800: "ipv4", 0x0806: "arp", 0x8035: "rarp", 0x8100: "vlan", 0x86DD: "ipv6"}
_IP = {
    1: "icmp",
    2: "igmp",
    6: "tcp",
    17: "udp",
    50: "esp",
    51: "ah",
    58: "icmpv6",
    132: "sctp",
    136: "udplite",
}
_OPCODES = dict(
    enumerate(
        (
            "Request",
            "Reply",
            "Request_Reverse",
            "Reply_Reverse",
            "DRARP_Request",
            "DRARP_Reply",
            "DRARP_Error",
            "InARP_Request",
            "ARP_NAK",
        ),
        start=1,
    )
)


def _number(text: str) -> str:
    try:
        return str(int(text, 16 if text.lower().startswith("0x") else 10))
    except ValueError:
        raise ValueError("is no number: write it as 22 or 0x16") from None


def _one_of(names: Mapping[int, str]) -> Reader:
    """A number or its name, which is what libvirt says."""
    by_name = {name.lower(): name for name in names.values()}

    def parse(text: str) -> str:
        if text.lower() in by_name:
            return by_name[text.lower()]
        number = _number(text)
        return names.get(int(number), number)

    return parse


def _mac(text: str) -> str:
    if not re.fullmatch(r"([0-9A-Fa-f]{1,2}:){5}[0-9A-Fa-f]{1,2}", text):
        raise ValueError("is no MAC address: write six pairs such as 52:54:00:12:34:56")
    return ":".join(f"{int(pair, 16):02x}" for pair in text.split(":"))


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("is no address: write 192.0.2.1 or 2001:db8::1") from None


def _mask(text: str) -> str:
    if text.isdigit():
        return str(int(text))
    try:
        return str(bin(int(ipaddress.ip_address(text))).count("1"))
    except ValueError:
        raise ValueError("is no mask: write 24 or 255.255.255.0") from None


def _truth(text: str) -> str:
    words = {"yes": "true", "true": "true", "1": "true", "no": "false", "false": "false", "0": "false"}
    if text.lower() not in words:
        raise ValueError("is neither true nor false")
    return words[text.lower()]


def _words(allowed: str, apart: str = ",") -> Reader:
    """Some of these words, in the order of libvirt."""
    order = allowed.split()

    def parse(text: str) -> str:
        given = {word.strip().upper() for word in text.split(apart)}
        if not given <= set(order):
            raise ValueError(f"must be some of {', '.join(order)}")
        return apart.join(word for word in order if word in given)

    return parse


def _flags(text: str) -> str:
    mask, slash, flags = text.partition("/")
    if not slash:
        raise ValueError("must be MASK/FLAGS, as SYN,ACK/SYN")
    one = _words("FIN SYN RST PSH ACK URG ALL NONE")
    return f"{one(mask)}/{one(flags)}"


_NUMBER, _MAC, _ADDRESS, _MASK = _number, _mac, _address, _mask
_L2 = {"srcmacaddr": _MAC, "srcmacmask": _MAC, "dstmacaddr": _MAC, "dstmacmask": _MAC}
_L3 = {"srcipaddr": _ADDRESS, "srcipmask": _MASK, "dstipaddr": _ADDRESS, "dstipmask": _MASK}
_RANGES = {"srcipfrom": _ADDRESS, "srcipto": _ADDRESS, "dstipfrom": _ADDRESS, "dstipto": _ADDRESS}
_PORTS = dict.fromkeys(("srcportstart", "srcportend", "dstportstart", "dstportend"), _NUMBER)
_STATE: dict[str, Reader] = {
    "state": _words("NEW ESTABLISHED RELATED INVALID NONE"),
    "dscp": _NUMBER,
    "connlimit-above": _NUMBER,
    "ipset": str,
    "ipsetflags": str.lower,
}
_COMMENT: dict[str, Reader] = {"comment": str}
_ARP: dict[str, Reader] = {
    "hwtype": _NUMBER,
    "protocoltype": _NUMBER,
    "opcode": _one_of(_OPCODES),
    "arpsrcmacaddr": _MAC,
    "arpdstmacaddr": _MAC,
    "arpsrcipaddr": _ADDRESS,
    "arpsrcipmask": _MASK,
    "arpdstipaddr": _ADDRESS,
    "arpdstipmask": _MASK,
    "gratuitous": _truth,
}
_STP: dict[str, Reader] = {
    **dict.fromkeys(("type", "flags"), _NUMBER),
    **dict.fromkeys(("root-address", "root-address-mask", "sender-address", "sender-address-mask"), _MAC),
    **{
        f"{word}{end}": _NUMBER
        for word in ("root-priority", "root-cost", "sender-priority", "port", "age", "max-age", "hello-time")
        for end in ("", "-hi")
    },
    **dict.fromkeys(("forward-delay", "forward-delay-hi"), _NUMBER),
}
_PACKET: dict[str, Reader] = {"srcmacaddr": _MAC, **_L3, **_RANGES, **_STATE, **_COMMENT}
_ICMP = {"type": _NUMBER, "code": _NUMBER}
_TCP: dict[str, Reader] = {**_PORTS, "flags": _flags}
_OVER_IP: Mapping[str, Mapping[str, Reader]] = {
    "tcp": _TCP,
    "udp": _PORTS,
    "sctp": _PORTS,
    "udplite": {},
    "esp": {},
    "ah": {},
    "all": {},
}

PROTOCOLS: Mapping[str, Mapping[str, Reader]] = {
    "mac": {**_L2, "protocolid": _one_of(_ETHER), **_COMMENT},
    "vlan": {**_L2, "vlanid": _NUMBER, "encap-protocol": _one_of(_ETHER), **_COMMENT},
    "stp": {"srcmacaddr": _MAC, "srcmacmask": _MAC, **_STP, **_COMMENT},
    "arp": {**_L2, **_ARP, **_COMMENT},
    "rarp": {**_L2, **_ARP, **_COMMENT},
    "ip": {**_L2, **_L3, **_PORTS, "protocol": _one_of(_IP), "dscp": _NUMBER, **_COMMENT},
    "ipv6": {
        **_L2,
        **_L3,
        **_PORTS,
        **_ICMP,
        "protocol": _one_of(_IP),
        "typeend": _NUMBER,
        "codeend": _NUMBER,
        **_COMMENT,
    },
    **{name: {**_PACKET, **more} for name, more in _OVER_IP.items()},
    **{f"{name}-ipv6": {**_PACKET, **more} for name, more in _OVER_IP.items()},
    "icmp": {**_PACKET, **_ICMP},
    "icmpv6": {**_PACKET, **_ICMP},
    "igmp": _PACKET,
}
"""What each protocol has attributes for, and how they are read (formatnwfilter, nwfilter.rng)."""

_VARIABLE = re.compile(r"\$\s*(\w+(?:\[\s*@?\d+\s*\])?)\s*")


def attribute(protocol: str, name: str, value: Any) -> str:
    """An attribute's value as libvirt says it.

    Raises:
        ValueError: The protocol has no such attribute, or not that value.
    """
    known = PROTOCOLS[protocol]
    if name not in known:
        raise ValueError(f"has no {name}: {protocol} has {', '.join(sorted(known))}")
    text = str(value).strip()
    variable = _VARIABLE.fullmatch(text)
    if variable:
        return "$" + re.sub(r"\s", "", variable[1])
    try:
        return known[name](text)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(one) for one in (value if isinstance(value, (list, tuple)) else [value]))


_PARAMETERS = Codec(
    lambda given: {str(name): _texts(value) for name, value in sorted(given.items())} or None,
    "dict",
    lambda given: {name: list(values) if len(values) > 1 else values[0] for name, values in given.items()},
)
_ATTRIBUTES = Codec(lambda given: {str(name): value for name, value in given.items()}, "dict")


def check_priority(number: int) -> None:
    if not -1000 <= number <= 1000:
        raise ValueError("must be from -1000 to 1000")


# A canonical entry has every leaf, None for what goes without saying: so entries are compared whole.
RULE = (
    Field("filterref", LINE),
    Field("parameters", _PARAMETERS),
    Field("action", TEXT, choices=ACTIONS),
    Field("direction", TEXT, choices=DIRECTIONS),
    Field("priority", INT, check=check_priority),
    Field("statematch", BOOL),
    Field("protocol", TEXT, choices=tuple(PROTOCOLS)),
    Field("match", BOOL),
    Field("attributes", _ATTRIBUTES),
)
_NOTHING: dict[str, Any] = {field.name: None for field in RULE}
_SILENT = {"priority": PRIORITY, "statematch": True, "match": True, "attributes": {}}


def _whole(given: Mapping[str, Any]) -> dict[str, Any]:
    row = {**_NOTHING, **decode(RULE, given)}
    return {name: None if value == _SILENT.get(name, "") else value for name, value in row.items()}


def _rule(given: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical entry of one that was given.

    Raises:
        StrataError: Its options don't go together.
    """
    kept = _whole(given)
    if kept["filterref"] is not None:
        wrong = [name for name in _NOTHING if name not in ("filterref", "parameters") and kept[name] is not None]
        if wrong:
            raise StrataError("is of a rule, and not of a reference to a filter", option=wrong[0], value=kept[wrong[0]])
        return kept
    for name in ("action", "direction"):
        if kept[name] is None:
            raise StrataError("is needed for a rule", option=name, hint="Or name another filter with filterref")
    if kept["parameters"] is not None:
        raise StrataError("go with filterref", option="parameters")
    if kept["attributes"]:
        if kept["protocol"] is None:
            raise StrataError("is needed for attributes", option="protocol")
        try:
            kept["attributes"] = {
                name: attribute(kept["protocol"], name, value) for name, value in sorted(kept["attributes"].items())
            }
        except ValueError as error:
            raise StrataError(str(error), option="attributes", value=kept["attributes"]) from None
    return kept


RULES = Codec(lambda rows: tuple(_rule(row) for row in rows), "list", list, "dict", row=Fields(RULE))


@dataclass(frozen=True)
class Rules:
    """The rules and references of a filter, in their order."""

    def elements(self, root: ET.Element) -> list[ET.Element]:
        return [one for one in root if one.tag in ("rule", "filterref")]

    def get(self, root: ET.Element) -> tuple[dict[str, Any], ...]:
        return tuple(_whole(_read(one)) for one in self.elements(root))

    def put(self, root: ET.Element, rows: Iterable[Row] | None) -> None:
        for one in self.elements(root):
            root.remove(one)
        root.extend(_written(row) for row in rows or ())


def _said(protocol: str, name: str, value: str) -> str:
    try:
        return attribute(protocol, name, value)
    except ValueError:  # of a later libvirt
        return value


def _read(element: ET.Element) -> dict[str, Any]:
    """The entry that an element says, as it would be given."""
    if element.tag == "filterref":
        parameters: dict[str, list[str]] = {}
        for one in element.findall("parameter"):
            parameters.setdefault(one.get("name", ""), []).append(one.get("value", ""))
        return {"filterref": element.get("filter"), "parameters": parameters or None}
    row: dict[str, Any] = {name: element.get(name) for name in ("action", "direction", "priority")}
    row["statematch"] = str(element.get("statematch", "true")).lower() not in ("false", "0")
    packet = next((one for one in element if one.tag in PROTOCOLS), None)
    if packet is not None:
        said = dict(packet.attrib)
        row.update(protocol=packet.tag, match=said.pop("match", "yes") != "no")
        row["attributes"] = {name: _said(packet.tag, name, value) for name, value in sorted(said.items())}
    return row


def _written(row: Row) -> ET.Element:
    if row["filterref"] is not None:
        element = ET.Element("filterref", {"filter": row["filterref"]})
        for name, values in (row["parameters"] or {}).items():
            for value in values:
                ET.SubElement(element, "parameter", {"name": name, "value": value})
        return element
    element = ET.Element("rule", {"action": row["action"], "direction": row["direction"]})
    element.set("priority", str(PRIORITY if row["priority"] is None else row["priority"]))
    if row["statematch"] is False:
        element.set("statematch", "false")
    if row["protocol"] is not None:
        negated = {"match": "no"} if row["match"] is False else {}
        ET.SubElement(element, row["protocol"], {**negated, **(row["attributes"] or {})})
    return element
