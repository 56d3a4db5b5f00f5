# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes and rules of rtnetlink (linux/rtnetlink.h, linux/fib_rules.h) to canonical rows, and back."""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from . import netlink
from .netlink import Netlink, Refused

TYPES = {"unicast": 1, "blackhole": 6, "unreachable": 7, "prohibit": 8}
TABLES = {"default": 253, "main": 254, "local": 255}
METRIC6 = 1024
"""The metric of an IPv6 route that nobody gave one (linux/ipv6_route.h: IP6_RT_PRIO_USER)."""

_INET, _INET6 = 2, 10
_KERNEL, _RA, _STATIC, _REDIRECT = 2, 9, 4, 1  # who made it: RTPROT_
_CLONED = 0x200  # RTM_F_CLONED
_UNIVERSE, _LINK = 0, 253  # RT_SCOPE_
_TO_TABLE = 1  # FR_ACT_TO_TBL
_BUILT_IN = (0, 32766, 32767)  # the priorities of the rules that every namespace has (ip-rule(8))

Raw = Mapping[str, Any]


def table_name(number: int) -> str:
    return next((name for name, known in TABLES.items() if known == number), str(number))


def _table_number(name: str) -> int:
    return TABLES.get(name) or int(name)


def _table(number: int) -> dict[str, int]:
    # The field in the header has 8 bits; 0 (RT_TABLE_UNSPEC) sends the kernel to the attribute.
    return {"table": number if number < 256 else 0}


def is_six(row: Mapping[str, Any]) -> bool:
    return any(":" in str(row.get(key) or "") for key in ("to", "via", "from"))


def _network(address: Any, length: int, six: bool) -> str:
    if length == 0:
        return "::/0" if six else "default"
    return str(ipaddress.ip_network(f"{address}/{length}", strict=False))


def route(raw: Raw, name: Callable[[int], str | None]) -> dict[str, Any] | None:
    """One route as a row; None for those that the kernel or a router made."""
    table = raw.get("RTA_TABLE") or raw["table"]
    words = {number: word for word, number in TYPES.items()}
    foreign = raw["proto"] in (_KERNEL, _RA, _REDIRECT) or raw["flags"] & _CLONED
    if foreign or raw["type"] not in words or raw["family"] not in (_INET, _INET6) or table == TABLES["local"]:
        return None
    six = raw["family"] == _INET6
    dev = name(raw["RTA_OIF"]) if raw.get("RTA_OIF") else ""
    return {
        "to": _network(raw.get("RTA_DST"), raw["dst_len"], six),
        "via": str(raw.get("RTA_GATEWAY") or ""),
        "dev": "" if raw["type"] != TYPES["unicast"] else dev or "",
        "metric": int(raw.get("RTA_PRIORITY") or 0),
        "table": table_name(table),
        "type": words[raw["type"]],
    }


def rule(raw: Raw) -> dict[str, Any] | None:
    """One rule as a row; None for those that every namespace has, and for what is no look into a table."""
    priority = int(raw.get("FRA_PRIORITY") or 0)
    built_in = raw.get("FRA_PROTOCOL") == _KERNEL or priority in _BUILT_IN
    if built_in or raw["action"] != _TO_TABLE or raw["family"] not in (_INET, _INET6):
        return None
    six = raw["family"] == _INET6
    return {
        "priority": priority,
        "from": _network(raw["FRA_SRC"], raw["src_len"], six) if raw.get("FRA_SRC") else "",
        "to": _network(raw["FRA_DST"], raw["dst_len"], six) if raw.get("FRA_DST") else "",
        "fwmark": int(raw.get("FRA_FWMARK") or 0),
        "iif": raw.get("FRA_IIFNAME") or raw.get("FRA_IFNAME") or "",
        "oif": raw.get("FRA_OIFNAME") or "",
        "table": table_name(raw.get("FRA_TABLE") or raw["table"]),
    }


def _prefix(text: str) -> tuple[str | None, int]:
    if not text or text in ("default", "::/0"):
        return None, 0
    network = ipaddress.ip_network(text)
    return str(network.network_address), network.prefixlen


def set_route(socket: Netlink, row: Mapping[str, Any], index: Callable[[str], int]) -> None:
    """Make a route, or put it in the place of the one to the same network with the same metric."""
    fields, attributes = _route(row, index)
    socket.tell(netlink.NEWROUTE, attributes, netlink.CREATE | netlink.REPLACE, **fields)


def drop_route(socket: Netlink, row: Mapping[str, Any], index: Callable[[str], int]) -> None:
    """Remove a route; one that went with its link or its address is fine."""
    fields, attributes = _route({**row, "dev": "", "via": ""}, index)
    try:
        socket.tell(netlink.DELROUTE, attributes, **{**fields, "scope": 255, "proto": 0})  # RT_SCOPE_NOWHERE: any
    except Refused as refused:
        if refused.errno != errno.ESRCH:
            raise


def _route(row: Mapping[str, Any], index: Callable[[str], int]) -> tuple[dict[str, Any], dict[str, Any]]:
    destination, length = _prefix(row["to"])
    table = _table_number(row.get("table") or "main")
    kind = row.get("type") or "unicast"
    direct = kind == "unicast" and not row.get("via")
    fields = {
        "family": _INET6 if is_six(row) else _INET,
        "dst_len": length,
        "proto": _STATIC,
        "type": TYPES[kind],
        "scope": _LINK if direct and not is_six(row) else _UNIVERSE,
        **_table(table),
    }
    attributes = {
        "RTA_DST": destination,
        "RTA_GATEWAY": row.get("via") or None,
        "RTA_OIF": index(row["dev"]) if row.get("dev") else None,
        "RTA_PRIORITY": row.get("metric") or None,
        "RTA_TABLE": table,
    }
    return fields, attributes


def set_rule(socket: Netlink, row: Mapping[str, Any]) -> None:
    fields, attributes = _rule(row)
    socket.tell(netlink.NEWRULE, attributes, netlink.CREATE | netlink.EXCL, **fields)


def drop_rule(socket: Netlink, row: Mapping[str, Any]) -> None:
    """Remove a rule; one that isn't there is fine."""
    fields, attributes = _rule(row)
    try:
        socket.tell(netlink.DELRULE, attributes, **fields)
    except Refused as refused:
        if refused.errno != errno.ENOENT:
            raise


def _rule(row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    source, source_length = _prefix(row.get("from") or "")
    destination, length = _prefix(row.get("to") or "")
    table = _table_number(row.get("table") or "main")
    fields = {
        "family": _INET6 if is_six(row) else _INET,
        "src_len": source_length,
        "dst_len": length,
        "action": _TO_TABLE,
        **_table(table),
    }
    attributes = {
        "FRA_PRIORITY": row["priority"],
        "FRA_SRC": source,
        "FRA_DST": destination,
        "FRA_FWMARK": row.get("fwmark") or None,
        "FRA_IIFNAME": row.get("iif") or None,
        "FRA_OIFNAME": row.get("oif") or None,
        "FRA_TABLE": table,
    }
    return fields, attributes
