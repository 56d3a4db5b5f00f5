# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interfaces of an lxc_container: rows of options, and LXC's keys ``lxc.net.INDEX.…`` (lxc.container.conf(5))."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.codec import LINE, MAC, Codec, parse_int
from ..core.errors import StrataError
from ..core.field import Field
from ..engines.lxc_config import NET, Config

WORDS = ("auto", "dev")
"""Gateways that LXC works out: the bridge's own address, or the interface itself."""

Found = Mapping[str, Sequence[str]]
Row = dict[str, Any]


def _parse_addresses(values: Any) -> tuple[str, ...]:
    found = set()
    for value in values:
        text = str(value).split()[0] if str(value).split() else ""
        if "/" not in text:
            raise ValueError(f"{value!r} has no prefix: write an address such as 10.0.3.20/24")
        found.add(str(ipaddress.ip_interface(text)))
    return tuple(sorted(found))


def _parse_gateway(version: int) -> Codec:
    def parse(value: Any) -> str:
        text = str(value)
        if text in ("", *WORDS):
            return text
        address = ipaddress.ip_address(text)
        if address.version != version:
            raise ValueError(f"is no address of IPv{version}")
        return str(address)

    return Codec(parse)


def _number(least: int, most: int) -> Codec:
    def parse(value: Any) -> int:
        number = parse_int(value)
        if not least <= number <= most:
            raise ValueError(f"must be from {least} to {most}")
        return number

    return Codec(parse, "int")


INTERFACE = (
    Field("type", LINE, "type", required=True, choices=("veth", "macvlan", "ipvlan", "vlan", "phys", "none", "empty")),
    Field("link", LINE, "link", default=""),
    Field("name", LINE, "name", default=""),
    Field("hwaddr", MAC, "hwaddr", default=""),
    Field("flags", LINE, "flags", default="", given="up"),
    Field("mtu", _number(68, 65535), "mtu", default=0),
    Field("addresses", Codec(_parse_addresses, "list", list, "str"), default=()),
    Field("gateway", _parse_gateway(4), "ipv4.gateway", default=""),
    Field("gateway6", _parse_gateway(6), "ipv6.gateway", default=""),
    Field("vlan_id", _number(1, 4094), "vlan.id", default=0),
    Field("mode", LINE, "{type}.mode", default=""),
    Field("host_name", LINE, "veth.pair", default=""),
)
FILLED = frozenset({"name", "hwaddr", "veth.pair"})
"""Keys that LXC fills in while a container runs, where nobody gave them."""

_NEEDED = {"macvlan": ("link",), "ipvlan": ("link",), "phys": ("link",), "vlan": ("link", "vlan_id")}
_MODES = {
    "veth": ("bridge", "router"),
    "macvlan": ("private", "vepa", "bridge", "passthru"),
    "ipvlan": ("l2", "l3", "l3s"),
}
_ONLY = {"vlan_id": ("vlan",), "mode": tuple(_MODES), "host_name": ("veth",)}


def check(rows: Sequence[Row]) -> None:
    """Refuse what doesn't go together.

    Raises:
        StrataError: It names the option.
    """
    for place, row in enumerate(rows):
        kind, option = row["type"], f"networks[{place}]"
        for needed in _NEEDED.get(kind, ()):
            if not row.get(needed):
                raise StrataError(f"an interface of type {kind} needs {needed}", option=option)
        for leaf, kinds in _ONLY.items():
            if row.get(leaf) and kind not in kinds:
                raise StrataError(f"{leaf} goes with type {', '.join(kinds)}, not with {kind}", option=option)
        if row.get("mode") and row["mode"] not in _MODES[kind]:
            raise StrataError(f"mode is one of {', '.join(_MODES[kind])}", option=option, value=row["mode"])


def _key(leaf: Field, kind: str) -> str:
    return str(leaf.at).format(type=kind)


def row(found: Found) -> Row:
    """An interface's keys that are options, as canonical values; what is left empty is left out."""
    kind = str(found.get("type", [""])[-1])
    values: Row = {}
    for leaf in INTERFACE:
        said = found.get(_key(leaf, kind), ())
        if leaf.name == "addresses":
            said = [*found.get("ipv4.address", ()), *found.get("ipv6.address", ())]
            if said:
                values[leaf.name] = as_it_stands(leaf.codec.parse, tuple(said))
        elif said and said[-1]:
            values[leaf.name] = as_it_stands(leaf.codec.parse, said[-1])
    return values


def as_it_stands(parse: Callable[[Any], Any], text: Any) -> Any:
    """The canonical value; what is none is compared and told as somebody wrote it."""
    try:
        return parse(text)
    except ValueError:
        return text


def keys(values: Row) -> dict[str, list[str]]:
    """LXC's keys of a row, those that are to go with no value."""
    said: dict[str, list[str]] = {}
    for leaf in INTERFACE:
        if leaf.name not in values:
            continue
        value = values[leaf.name]
        if leaf.name == "addresses":
            for version in (4, 6):
                said[f"ipv{version}.address"] = [one for one in value if ipaddress.ip_interface(one).version == version]
        else:
            said[_key(leaf, values["type"])] = [str(value)] if value else []
    return said


def read(config: Config) -> tuple[Row, ...]:
    """The interfaces of a configuration."""
    return tuple(row(found) for found in config.interfaces())


def put(config: Config, rows: Sequence[Row]) -> None:
    config.put_interfaces([keys(one) for one in rows])


def blank(values: Mapping[str, Any]) -> Row:
    """A row that takes back what another one, as a task gives it, says."""
    return {leaf.name: leaf.default for leaf in INTERFACE if values.get(leaf.name) is not None}


def running(config: Config, ask: Any) -> Config:
    """The interfaces that a container was started with, as a configuration.

    Args:
        config: What is stored.
        ask: Answers the running value of a key; of a list, one a line.
    """
    stored = dict(zip(config.indexes(), config.interfaces()))
    count = len((ask(NET) or "").split())
    lines = []
    for index in sorted({*stored, *range(count)}):
        kind = ask(f"{NET}.{index}.type")
        if not kind:
            continue
        names = {_key(leaf, kind) for leaf in INTERFACE if leaf.at} | {"ipv4.address", "ipv6.address"}
        for name in sorted(names - (FILLED - stored.get(index, {}).keys())):
            if "." in name and not name.startswith(("ipv", kind)):
                continue  # of another type
            lines += [f"{NET}.{index}.{name} = {text}" for text in (ask(f"{NET}.{index}.{name}") or "").split("\n")]
    return Config("\n".join(lines))
