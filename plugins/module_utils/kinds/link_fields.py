# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be said of a link, wherever it is declared: the options, and what doesn't go together."""

from __future__ import annotations

import grp
import ipaddress
import pwd
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..core.codec import BOOL, INT, MAC, TEXT, Codec, parse_int, parse_line
from ..core.errors import StrataError
from ..core.field import Field, structure, table
from ..core.plan import Change, Effect, Layer
from ..engines import link_values as words

TYPES = ("bridge", "veth", "macvlan", "ipvlan", "vlan", "vxlan", "bond", "tun", "tap", "dummy")
NAME_BYTES = 15  # linux/if.h: IFNAMSIZ, without the NUL at its end

_WITH_PARENT = ("vlan", "macvlan", "ipvlan")
_GROUPS = ("bridge", "vlan", "macvlan", "ipvlan", "bond", "vxlan", "tun")


def parse_name(value: Any) -> str:
    """A name as net/core/dev.c takes it (dev_valid_name), and as ip(8) does not take it for an option."""
    text = str(value)
    if not text:
        raise ValueError("must not be empty")
    if len(text.encode()) > NAME_BYTES:
        raise ValueError(f"is longer than the {NAME_BYTES} bytes that the kernel has for a link's name")
    if text in (".", "..") or text.startswith("-") or any(one in "/:%" or one.isspace() or one < " " for one in text):
        raise ValueError("is no name of a link: it must not hold '/', ':', '%' or white space, nor begin with '-'")
    return text


def _parse_master(value: Any) -> str:
    return parse_name(value) if str(value) else ""


def parse_addresses(values: Any) -> tuple[str, ...]:
    """Addresses with the length of their networks' prefix, which is all of it where none is given."""
    texts = []
    for value in values:
        try:
            texts.append(ipaddress.ip_interface(str(value)).with_prefixlen)
        except ValueError:
            raise ValueError(f"{value!r} is no address: write one such as 10.0.0.1/24 or fd00::1/64") from None
    twice = sorted({text for text in texts if texts.count(text) > 1})
    if twice:
        raise ValueError(f"gives {', '.join(twice)} twice")
    return tuple(sorted(texts))


def _parse_address(value: Any) -> str:
    try:
        return str(ipaddress.ip_address(str(value)))
    except ValueError:
        raise ValueError("is no address") from None


def _parse_delay(value: Any) -> int:
    """Hundredths of a second, the unit of the kernel's interface (USER_HZ)."""
    try:
        return round(float(value) * 100)
    except ValueError:
        raise ValueError("is no number of seconds") from None


def _numbered(value: Any, find: Any, what: str) -> int:
    text = parse_line(value)
    if text.isdigit():
        return int(text)
    try:
        return int(find(text))
    except KeyError:
        raise ValueError(f"is no {what} of this host") from None


def _named(number: int, find: Any) -> str:
    try:
        return str(find(number)[0])
    except KeyError:
        return str(number)


def _within(least: int, most: int) -> Any:
    def check(value: Any) -> None:
        if not least <= value <= most:
            raise ValueError(f"must be from {least} to {most}")

    return check


IFNAME = Codec(parse_name)
MASTER = Codec(_parse_master)
ADDRESSES = Codec(parse_addresses, "list", list, "str")
_ADDRESS = Codec(_parse_address)
_DELAY = Codec(_parse_delay, "float", lambda value: value / 100)
_USER = Codec(
    lambda value: _numbered(value, lambda text: pwd.getpwnam(text).pw_uid, "user"),
    "str",
    lambda n: _named(n, pwd.getpwuid),
)
_GROUP = Codec(
    lambda value: _numbered(value, lambda text: grp.getgrnam(text).gr_gid, "group"),
    "str",
    lambda n: _named(n, grp.getgrgid),
)

_COMMON = (
    Field("mtu", INT, effect=Effect.LIVE, check=_within(68, 2**31 - 1)),  # linux/if_ether.h: ETH_MIN_MTU
    Field("mac", MAC, effect=Effect.LIVE, export=False),
    Field("master", MASTER, effect=Effect.LIVE, default=""),
    Field("up", BOOL, effect=Effect.LIVE, default=True, given=True),
    Field("addresses", ADDRESSES, effect=Effect.LIVE, default=()),
)


def _settled(entry: Mapping[str, Any], **settled: Any) -> dict[str, Any]:
    """An entry with what it says where it doesn't say otherwise: a link is of use when it is up."""
    return {"up": True, **settled, **{key: value for key, value in entry.items() if value is not None}}


def _placed(codec: Codec) -> Codec:
    return replace(codec, parse=lambda entry: codec.parse(_settled(entry, netns="")))


FIELDS = (
    Field("type", TEXT, choices=TYPES),
    *_COMMON,
    Field("parent", IFNAME),
    Field(
        "bridge",
        structure(
            Field("vlan_filtering", BOOL, default=False),
            Field("stp", BOOL, default=False),
            Field("forward_delay", _DELAY, default=1500),
        ),
        effect=Effect.LIVE,
    ),
    Field("vlan", structure(Field("id", INT, required=True, check=_within(1, 4094)))),
    Field("macvlan", structure(Field("mode", TEXT, choices=words.MACVLAN_MODES, default="vepa")), effect=Effect.LIVE),
    Field("ipvlan", structure(Field("mode", TEXT, choices=words.IPVLAN_MODES, default="l3")), effect=Effect.LIVE),
    Field(
        "vxlan",
        structure(
            Field("id", INT, required=True, check=_within(0, 2**24 - 1)),
            Field("local", _ADDRESS, default=""),
            Field("remote", _ADDRESS, default=""),
            Field("group", _ADDRESS, default=""),
            Field("port", INT, default=4789, check=_within(1, 65535)),  # RFC 7348; the kernel's own is from before it
        ),
    ),
    Field(
        "bond",
        structure(
            Field("mode", TEXT, choices=words.BOND_MODES, default="balance-rr"),
            Field("miimon", Codec(parse_int, "int"), default=0, check=_within(0, 2**31 - 1)),
        ),
        effect=Effect.LIVE,
    ),
    Field("tun", structure(Field("owner", _USER), Field("group", _GROUP))),
    Field(
        "peer",
        _placed(
            structure(
                Field("name", IFNAME, required=True),
                Field("netns", Codec(parse_line), default=""),
                *_COMMON,
            )
        ),
        effect=Effect.LIVE,
    ),
)
"""The settings of a link."""


def row() -> Codec:
    """A codec for a list of links, each with its name and its settings."""
    named = table(Field("name", IFNAME, required=True), *FIELDS, key=lambda entry: str(entry["name"]))
    return replace(named, parse=lambda entries: named.parse([_settled(entry) for entry in entries]))


def differences(row: Mapping[str, Any], seen: Mapping[str, Any]) -> Iterator[Change]:
    """What tells a row from what is observed of it."""
    for field in FIELDS:
        if field.name in row:
            yield from field.changes(seen.get(field.name), row[field.name], field.effect, Layer.CONFIG)


def portable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A printed row without what the kernel makes up for each link, and without what says nothing."""
    kept = {key: portable(value) if isinstance(value, dict) else value for key, value in row.items() if key != "mac"}
    return {key: value for key, value in kept.items() if value not in ("", [], {}, None)}


def dear(field: str, leaf: str | None, after: Any) -> bool:
    """Whether a change is one that no link can take: it has to be made anew."""
    if field == "peer":
        return leaf in ("name", "netns")
    if field == "bond":
        return leaf == "mode"
    if field == "macvlan":
        return bool(after == "passthru")
    return field in ("type", "parent", "vlan", "vxlan", "tun")


def check(name: str, spec: Mapping[str, Any]) -> None:
    """Refuse what doesn't go together.

    Raises:
        StrataError: It names the option.
    """
    kind = spec.get("type")
    if spec.get("master") == name:
        raise StrataError("is the link itself: it can't be a port of its own", option="master", value=name)
    if spec.get("parent") == name:
        raise StrataError("is the link itself", option="parent", value=name)
    peer = spec.get("peer") or {}
    if peer.get("name") == name and not peer.get("netns"):
        raise StrataError("has the name of the link itself", option="peer.name", value=name)
    for group in (*_GROUPS, "peer"):
        fits = "veth" if group == "peer" else group
        if spec.get(group) and kind is not None and words.group_of(kind) != fits:
            raise StrataError(f"belongs to links of type {fits}, and this one is of type {kind}", option=group)
    if spec.get("parent") and kind not in (None, *_WITH_PARENT, "vxlan"):
        raise StrataError(f"belongs to links of type {', '.join(_WITH_PARENT)} or vxlan", option="parent")
    ends = spec.get("vxlan") or {}
    if ends.get("remote") and ends.get("group"):
        raise StrataError("a vxlan has one remote end or one multicast group, not both", option="vxlan.group")
    if ends.get("group") and not ipaddress.ip_address(ends["group"]).is_multicast:
        raise StrataError("is no multicast address", option="vxlan.group", value=ends["group"], hint="Use remote")
    if ends.get("group") and not spec.get("parent"):
        raise StrataError("is needed for a vxlan with a multicast group", option="parent")


def complete(values: Mapping[str, Any]) -> dict[str, Any]:
    """What it takes to make a link.

    Raises:
        StrataError: An option is missing.
    """
    kind = values.get("type")
    if kind is None:
        raise StrataError("is required to make a link that isn't there", option="type")
    for needed in _needed(kind):
        if not values.get(needed):
            raise StrataError(f"is required for a link of type {kind}", option=needed)
    if kind == "vxlan":
        return {**values, "vxlan": {**defaults("vxlan"), **values["vxlan"]}}
    return dict(values)


def lacking(option: str, name: str) -> StrataError:
    """What an option names is neither there nor made before its turn comes."""
    what = "network namespace" if option.endswith("netns") else "link"
    return StrataError(f"is no {what} there", option=option, value=name, hint="Declare it first")


def _needed(kind: str | None) -> Iterable[str]:
    if kind in _WITH_PARENT:
        yield "parent"
    if kind in ("vlan", "vxlan"):
        yield kind
    if kind == "veth":
        yield "peer"


def mtu(kind: str | None) -> int | None:
    """The mtu of a link that nobody gave one; None where it comes from its parent."""
    return None if kind in (*_WITH_PARENT, "vxlan", None) else 1500


def wanted(values: dict[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    """Declared values as they are observed: what has no default stays, and so do the kernel's own addresses."""
    want = dict(values)
    if "mtu" in want and want["mtu"] is None:
        want["mtu"] = mtu(want.get("type") or seen.get("type"))
    want = {key: value for key, value in want.items() if value is not None or key not in ("mac", "mtu", "type", "peer")}
    kept = seen.get("link_locals", ())
    if want.get("addresses"):
        want["addresses"] = tuple(text for text in want["addresses"] if text not in kept)
    peer = want.get("peer")
    if peer:
        want["peer"] = wanted(peer, seen.get("peer") or {})
    return want


def defaults(group: str) -> dict[str, Any]:
    """The values of a type's own option that nobody gave."""
    field = next(one for one in FIELDS if one.name == group)
    return {leaf.name: leaf.default for leaf in field.codec.row if leaf.default not in (None, "")}
