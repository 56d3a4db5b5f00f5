# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks in Docker's words and in canonical values: pure translation, both ways."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core.codec import INT, MAC, NAME, WORDS, Codec
from ..core.field import Field, table
from .docker_values import LINKS

Document = Mapping[str, Any]
Body = dict[str, Any]
Row = Mapping[str, Any]

MODES = ("host", "none")
"""Networks by name only: a container that has one of them has no other one."""

_FIXED = {"ipv4_address": "IPv4Address", "ipv6_address": "IPv6Address"}

# What users write.


def parse_subnet(value: Any) -> str:
    """``172.30.0.0/24`` or ``fd00::/64``, as short as it can be written; empty for none."""
    if value == "":
        return ""
    try:
        return str(ipaddress.ip_network(str(value).strip(), strict=True))
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_interface(str(value).strip()).network
    except ValueError:
        raise ValueError("is no subnet: write 172.30.0.0/24 or fd00:db8::/64") from None
    raise ValueError(f"is an address within its subnet: write {meant}")


def parse_address(value: Any) -> str:
    """``172.30.0.1`` or ``fd00::1``, as short as it can be written; empty for none."""
    try:
        return "" if value == "" else str(ipaddress.ip_address(str(value).strip()))
    except ValueError:
        raise ValueError("is no address: write 172.30.0.1 or fd00:db8::1") from None


def _parse_spare(value: Mapping[Any, Any]) -> dict[str, str]:
    return {str(key): parse_address(item) for key, item in value.items()}


def _parse_options(value: Mapping[Any, Any]) -> dict[str, str | None]:
    """Docker's options are text; a YAML boolean means the words that the drivers read."""
    words = {True: "true", False: "false", None: None}
    return {
        str(key): words[item] if item is None or isinstance(item, bool) else str(item) for key, item in value.items()
    }


def parse_mode(value: Any) -> str:
    """What a container is connected to; the daemon's default is its bridge."""
    text = str(value).strip()
    return "bridge" if text in ("", "default") else text


ADDRESS = Codec(parse_address)
MODE = Codec(parse_mode)
OPTIONS = Codec(_parse_options, "dict", dict, partial=True)
POOLS = table(
    Field("subnet", Codec(parse_subnet), "Subnet", required=True),
    Field("gateway", ADDRESS, "Gateway", default=""),
    Field("iprange", Codec(parse_subnet), "IPRange", default=""),
    Field("aux_addresses", Codec(_parse_spare, "dict", dict), "AuxiliaryAddresses", default={}),
    key=lambda row: str(row["subnet"]),
)
PLACES = table(
    Field("name", NAME, required=True),
    *(Field(name, ADDRESS, default="") for name in _FIXED),
    Field("aliases", WORDS, default=()),
    Field("links", LINKS, default=()),
    Field("mac_address", MAC),  # where nobody chose one, the engine does: no default to go back to
    Field("driver_opts", replace(OPTIONS, partial=False), default={}),
    Field("gw_priority", INT, default=0),
    key=lambda row: str(row["name"]),
)
"""The networks of a container."""

_SETTINGS = {"links": "Links", "driver_opts": "DriverOpts", "gw_priority": "GwPriority"}


def check_places(rows: Iterable[Row]) -> None:
    for row in rows:
        if row["name"] in MODES:
            raise ValueError(f"has {row['name']!r}, which is no network that a container can be connected to")


def check_pools(rows: Iterable[Row]) -> None:
    """Refuse subnets that overlap, and addresses outside of their subnet."""
    seen: list[str] = []
    for row in rows:
        subnet = row["subnet"]
        if not subnet:
            raise ValueError("has an entry without a subnet")
        inside = {"gateway": row.get("gateway"), **(row.get("aux_addresses") or {})}
        for what, address in inside.items():
            if address and not holds(subnet, address):
                raise ValueError(f"has {what} {address}, which is not in {subnet}")
        if row.get("iprange") and not _within(row["iprange"], subnet):
            raise ValueError(f"has iprange {row['iprange']}, which is not in {subnet}")
        for other in seen:
            if overlap(subnet, other):
                raise ValueError(f"has {other} and {subnet}, which overlap")
        seen.append(subnet)


def holds(subnet: str, address: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(subnet)


def _within(inner: str, outer: str) -> bool:
    one, other = ipaddress.ip_network(inner), ipaddress.ip_network(outer)
    # Of one version, they are of one type: mypy doesn't know.
    return one.version == other.version and other.supernet_of(one)  # type: ignore[arg-type]


def overlap(one: str, other: str) -> bool:
    return ipaddress.ip_network(one).overlaps(ipaddress.ip_network(other))


def version(subnet: str) -> int:
    """Of IP: 4 or 6."""
    return ipaddress.ip_network(subnet).version


def first_host(subnet: str) -> str:
    """The address that the daemon gives to a gateway that nobody chose."""
    return str(ipaddress.ip_network(subnet)[1])


# What Docker says.


def _canonical(parse: Callable[[Any], str], value: Any) -> str:
    try:
        return parse(value or "")
    except ValueError:  # a subnet that an older daemon took with the bits of a host in it
        return str(ipaddress.ip_network(str(value), strict=False))


def pools(document: Document) -> tuple[Row, ...]:
    """The subnets of a network, as ``ipam_config`` has them."""
    rows = []
    for entry in (document.get("IPAM") or {}).get("Config") or ():
        rows.append(
            {
                "subnet": _canonical(parse_subnet, entry.get("Subnet")),
                # Some versions of the daemon say 172.18.0.1/16.
                "gateway": _canonical(parse_address, (entry.get("Gateway") or "").partition("/")[0]),
                "iprange": _canonical(parse_subnet, entry.get("IPRange")),
                "aux_addresses": _parse_spare(entry.get("AuxiliaryAddresses") or {}),
            }
        )
    return tuple(sorted(rows, key=lambda row: str(row["subnet"])))


def pool_entries(rows: Iterable[Row]) -> list[Body]:
    """The subnets of a network, as ``POST /networks/create`` wants them."""
    return [{leaf.at: row[leaf.name] for leaf in POOLS.row if row.get(leaf.name)} for row in rows]


def at(document: Document, path: str) -> Any:
    """A value of a document by its dotted path."""
    here: Any = document
    for part in path.split("."):
        here = (here or {}).get(part)
    return here


def put(body: Body, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for part in parents:
        body = body.setdefault(part, {})
    body[last] = value


_KEPT = ("Name", "Driver", "Scope", "Internal", "Attachable", "Ingress", "EnableIPv6", "Options", "Labels", "Dns")


def body_of(document: Document) -> Body:
    """The body of ``POST /networks/create`` that makes the same network again."""
    body = {key: document[key] for key in _KEPT if document.get(key) not in (None, "")}
    ipam = document.get("IPAM") or {}
    body["IPAM"] = {
        "Driver": ipam.get("Driver") or "default",
        "Options": ipam.get("Options") or {},
        "Config": pool_entries(pools(document)),
    }
    return body


# Containers on a network.


def on(network: Document, containers: Iterable[Document]) -> list[Document]:
    """Those of the containers that are on a network, running or not."""

    def is_on(container: Document) -> bool:
        places = (container.get("NetworkSettings") or {}).get("Networks") or {}
        # One that never ran knows its networks by name only.
        return any(
            place.get("NetworkID") == network["Id"] or (not place.get("NetworkID") and name == network["Name"])
            for name, place in places.items()
        )

    return [container for container in containers if is_on(container)]


def endpoint(container: Document, network: str) -> Body:
    """What was set for a container on a network, from ``inspect``: without what the engine chose."""
    place = ((container.get("NetworkSettings") or {}).get("Networks") or {}).get(network) or {}
    aliases = [alias for alias in place.get("Aliases") or () if alias != container["Id"][:12]]
    settings = {key: place.get(key) for key in ("IPAMConfig", *_SETTINGS.values())}
    return {key: value for key, value in {**settings, "Aliases": aliases}.items() if value}


def places(container: Document) -> tuple[Row, ...]:
    """The networks of a container, as ``networks`` has them."""
    rows = []
    for name in sorted((container.get("NetworkSettings") or {}).get("Networks") or {}):
        if name not in MODES:
            settings = endpoint(container, name)
            fixed = settings.get("IPAMConfig") or {}
            row: dict[str, Any] = {"name": name, "aliases": tuple(sorted(settings.get("Aliases") or ()))}
            row.update({leaf: parse_address(fixed.get(key) or "") for leaf, key in _FIXED.items()})
            row.update({leaf: settings.get(key) for leaf, key in _SETTINGS.items()})
            row["links"] = LINKS.parse(row["links"])
            row["mac_address"] = mac_of(container, name)
            rows.append({key: value for key, value in row.items() if value})
    return tuple(rows)


def mac_of(container: Document, network: str) -> str:
    """The address that it has there; whether somebody chose it, the engine doesn't tell."""
    place = ((container.get("NetworkSettings") or {}).get("Networks") or {}).get(network) or {}
    return str(place.get("MacAddress") or "")


def placed(row: Row, settings: Document) -> Body:
    """What to set for a container on a network: what was set before, and on top what is declared."""
    body = dict(settings)
    if "aliases" in row:
        body["Aliases"] = list(row["aliases"])
    fixed = {**(body.get("IPAMConfig") or {}), **{key: row[leaf] for leaf, key in _FIXED.items() if leaf in row}}
    body["IPAMConfig"] = {key: value for key, value in fixed.items() if value}
    for leaf, key in {**_SETTINGS, "mac_address": "MacAddress"}.items():
        if leaf in row:
            body[key] = list(row[leaf]) if leaf == "links" else row[leaf]
    return body


def write_places(body: Body, rows: Iterable[Row]) -> None:
    """Bring the networks of a container into the body of ``POST /containers/create``."""
    before = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    wanted = {row["name"]: placed(row, before.get(row["name"], {})) for row in rows}
    body["NetworkingConfig"] = {"EndpointsConfig": wanted}
    if body["HostConfig"].get("NetworkMode") not in wanted:
        body["HostConfig"]["NetworkMode"] = next(iter(wanted), "none")


def shares(mode: str | None) -> bool:
    """Whether a container has no networks of its own, so that it can't be connected to any.

    No network has a colon in its name, and all else that it may be connected by has one, as ``container:web``.
    """
    return mode in MODES or ":" in str(mode)


def mode_of(container: Document) -> str:
    """How it was told to be on a network, in one word: by the name of a network, not by its ID."""
    mode = parse_mode(container["HostConfig"].get("NetworkMode") or "")
    found = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return str(next((name for name, place in found.items() if place.get("NetworkID") == mode), mode))


def carry_places(container: Document, body: Body) -> None:
    """Bring the networks that a container has into the body that makes the same one again."""
    mode = body["HostConfig"].get("NetworkMode")
    if shares(mode):
        return
    found = (container.get("NetworkSettings") or {}).get("Networks") or {}
    mode = mode_of(container)
    # It may have been taken off the network that it started with.
    body["HostConfig"]["NetworkMode"] = mode if mode in found else next(iter(sorted(found)), "none")
    body["NetworkingConfig"] = {"EndpointsConfig": {name: endpoint(container, name) for name in found}}


def take_mac(body: Body) -> None:
    """Have the address of a container be that on its first network: the API from 1.44 knows no other."""
    mac = body.pop("MacAddress", None)
    mode = body["HostConfig"].get("NetworkMode") or "bridge"
    if mac and not shares(mode):
        endpoints = body.setdefault("NetworkingConfig", {}).setdefault("EndpointsConfig", {})
        endpoints.setdefault("bridge" if mode == "default" else mode, {})["MacAddress"] = mac


def take_further(body: Body) -> dict[str, Body]:
    """Take out of the body all networks but the first: the API before 1.44 knows one only."""
    endpoints = dict((body.pop("NetworkingConfig", None) or {}).get("EndpointsConfig") or {})
    mode = body["HostConfig"].get("NetworkMode") or "default"
    first = "bridge" if mode == "default" else mode
    settings = endpoints.pop(first, {})
    if settings:
        body["NetworkingConfig"] = {"EndpointsConfig": {first: settings}}
    return endpoints


# Fixed addresses that a new subnet has no place for.


def strangers(settings: Document, subnets: Iterable[str]) -> list[str]:
    """The fixed addresses of a container that are in none of the subnets."""
    fixed = settings.get("IPAMConfig") or {}
    addresses = [fixed[key] for key in _FIXED.values() if fixed.get(key)]
    known = list(subnets)
    return [address for address in addresses if not any(holds(subnet, address) for subnet in known)]


def fitted(settings: Document, subnets: Iterable[str]) -> Body:
    """What was set for a container, without the fixed addresses that are in none of the subnets."""
    gone = strangers(settings, subnets)
    fixed = {key: value for key, value in (settings.get("IPAMConfig") or {}).items() if value not in gone}
    return {**{key: value for key, value in settings.items() if key != "IPAMConfig"}, "IPAMConfig": fixed}
