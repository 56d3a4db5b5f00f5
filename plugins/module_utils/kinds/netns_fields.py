# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes, rules and kernel parameters of a network namespace, as options."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.codec import INT, TEXT, Codec, parse_int, parse_map
from ..core.errors import StrataError
from ..core.field import Field, table
from ..engines import routes as words
from .link_fields import IFNAME

_PARAMETER = re.compile(r"net[./][A-Za-z0-9_./@-]+")


def _parse_network(value: Any) -> str:
    text = str(value)
    if text in ("default", "0.0.0.0/0"):
        return "default"
    try:
        return str(ipaddress.ip_network(text, strict=True))
    except ValueError:
        raise ValueError(
            "is no network: write one such as 10.0.0.0/8 (without bits beyond the /), or default"
        ) from None


def _parse_address(value: Any) -> str:
    try:
        return str(ipaddress.ip_address(str(value)))
    except ValueError:
        raise ValueError("is no address") from None


def _parse_table(value: Any) -> str:
    text = str(value)
    if text in words.TABLES:
        return text
    if not text.isdigit() or not 0 < int(text) < 2**32:
        raise ValueError(f"is no table: write a number, or one of {', '.join(sorted(words.TABLES))}")
    return words.table_name(int(text))


def _parse_mark(value: Any) -> int:
    try:
        return int(str(value), 0)
    except ValueError:
        raise ValueError("is no mark: write a number such as 1 or 0x1") from None


def parse_sysctls(values: Mapping[Any, Any]) -> dict[str, str | None]:
    """Parameters below net, spelled with dots; white space in a value is one blank, where the kernel shows a tab."""
    parsed = {}
    for key, value in parse_map(values).items():
        if not _PARAMETER.fullmatch(key) or ".." in key.replace("/", "."):
            raise ValueError(f"{key!r} is no parameter of a network namespace: those begin with net.")
        dotted = key if key.startswith("net.") else key.translate(str.maketrans("./", "/."))
        parsed[dotted] = None if value is None else " ".join(value.split())
    return parsed


NETWORK = Codec(_parse_network)
ADDRESS = Codec(_parse_address)
TABLE = Codec(_parse_table)
SYSCTLS = Codec(parse_sysctls, "dict", dict, partial=True)

_ROUTE = (
    Field("to", NETWORK, required=True),
    Field("via", ADDRESS, default=""),
    Field("dev", IFNAME, default=""),
    Field("metric", INT),
    Field("table", TABLE, default="main"),
    Field("type", TEXT, default="unicast", choices=tuple(words.TYPES)),
)
_RULE = (
    Field("priority", Codec(parse_int, "int"), required=True),
    Field("from", NETWORK, default=""),
    Field("to", NETWORK, default=""),
    Field("fwmark", Codec(_parse_mark, show=hex), default=0),
    Field("iif", IFNAME, default=""),
    Field("oif", IFNAME, default=""),
    Field("table", TABLE, default="main"),
)


def route_key(row: Mapping[str, Any]) -> str:
    """What the kernel tells routes apart by: where they lead, their table and their metric."""
    usual = words.METRIC6 if words.is_six(row) else 0
    metric = row.get("metric", usual)
    key = str(row["to"])
    key += "" if row.get("table", "main") == "main" else f" table {row['table']}"
    return key if metric == usual else f"{key} metric {metric}"


def rule_key(row: Mapping[str, Any]) -> str:
    return f"{row['priority']} inet6" if words.is_six(row) else str(row["priority"])


def _route(entry: Mapping[str, Any]) -> dict[str, Any]:
    row = {key: value for key, value in entry.items() if value is not None}
    if row.get("to") == "default" and ":" in str(row.get("via", "")):
        row["to"] = "::/0"
    kind = row.setdefault("type", "unicast")
    row.setdefault("table", "main")
    row.setdefault("metric", words.METRIC6 if words.is_six(row) else 0)
    if kind == "unicast" and not row.get("via") and not row.get("dev"):
        raise StrataError("a route leads through a gateway (via) or a link (dev)", option="to", value=row.get("to"))
    if kind != "unicast" and (row.get("via") or row.get("dev")):
        raise StrataError(
            f"a route of type {kind} leads nowhere: leave via and dev out", option="to", value=row.get("to")
        )
    return row


def _rule(entry: Mapping[str, Any]) -> dict[str, Any]:
    row = {key: value for key, value in entry.items() if value is not None}
    return {"from": "", "to": "", "fwmark": 0, "iif": "", "oif": "", "table": "main", **row}


def _completed(codec: Codec, complete: Any) -> Codec:
    """A codec of rows that are whole: what isn't given is what the kernel takes for it."""
    return replace(codec, parse=lambda entries: codec.parse([complete(entry) for entry in entries]))


def _or_empty(field: Field) -> Field:
    """The same option, which may be empty: that is how it is observed where it isn't there."""
    codec = field.codec
    return replace(field, codec=replace(codec, parse=lambda value: value if value == "" else codec.parse(value)))


ROUTES = _completed(table(*(_or_empty(field) for field in _ROUTE), key=route_key), _route)
RULES = _completed(table(*(_or_empty(field) for field in _RULE), key=rule_key), _rule)
