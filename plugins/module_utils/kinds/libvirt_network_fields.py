# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a libvirt network's options are written as."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from ..core.codec import BOOL, INT, LINE, MAC, MAP, PATH, SECONDS, TEXT, TEXTS, WORDS, Codec, parse_line
from ..core.errors import StrataError
from ..core.field import Field, structure, table
from ..engines import network_values
from ..engines.domain_xml import Leaf
from ..engines.network_values import Attributes, Functions, Lease
from ..engines.network_xml import Address, Names, Span, Tags
from ..engines.xml_places import Group, Sole, yes, yes_no

Row = Mapping[str, Any]


def parse_address(value: Any) -> str:
    """``192.0.2.1`` or ``2001:db8::1``, as short as it can be written."""
    try:
        return str(network_values.address(str(value).strip()))
    except ValueError:
        raise ValueError("is no address: write 192.0.2.1 or 2001:db8::1") from None


def _parse_interface(value: Any) -> str:
    """An address within its network, as ``192.0.2.1/24``; libvirt has a netmask in some."""
    text = str(value).strip()
    try:
        if "/" not in text:
            raise ValueError
        return str(network_values.interface(text))
    except ValueError:
        raise ValueError("is no address with its prefix: write 192.0.2.1/24 or 2001:db8::1/64") from None


def _parse_network(value: Any) -> str:
    try:
        return str(ipaddress.ip_network(str(value).strip()))
    except ValueError:
        raise ValueError("is no network: write 198.51.100.0/24 or 2001:db8:1::/48") from None


def _parse_ranges(value: Any) -> tuple[tuple[str, str], ...]:
    pairs = []
    for pair in value:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise ValueError("is no list of ranges: write [[FIRST, LAST], …]")
        start, end = (parse_address(address) for address in pair)
        first, last = network_values.address(start), network_values.address(end)
        if first.version != last.version or int(first) > int(last):
            raise ValueError(f"has a range that ends before it begins: {start} to {end}")
        pairs.append((start, end))
    return tuple(sorted(pairs))


def _parse_span(value: Any) -> str:
    start, dash, end = parse_line(value).partition("-")
    if not (start and dash and end) or "-" in end:
        raise ValueError("is no range: write FIRST-LAST")
    return f"{start.strip()}-{end.strip()}"


def _parse_tags(values: Any) -> tuple[int, ...]:
    try:
        tags = sorted({int(str(value)) for value in values})
    except ValueError:
        raise ValueError("is no list of VLANs: write [42]") from None
    if any(not 0 < tag < 4095 for tag in tags):
        raise ValueError("has a VLAN that is not from 1 to 4094")
    return tuple(tags)


def _parse_functions(values: Any) -> tuple[str, ...]:
    found = {str(value).lower() for value in values}
    wrong = sorted(one for one in found if not re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", one))
    if wrong:
        raise ValueError(f"has {wrong[0]}, which is no function of a PCI device: write 0000:03:10.1, as lspci -D does")
    return tuple(sorted(found))


def _lease(seconds: int) -> None:
    if 0 < seconds < 120:  # dnsmasq(8): the least is two minutes
        raise ValueError("must be 2m or more, or 0 for a lease that never ends")


def _mtu(number: int) -> None:
    if not 68 <= number <= 65535:
        raise ValueError("must be from 68 to 65535")


def _positive(number: int) -> None:
    if number < 1:
        raise ValueError("must be 1 or more")


def host_key(row: Row) -> str:
    return str(row.get("mac") or row.get("id") or row.get("name") or row.get("ip"))


def srv_key(row: Row) -> str:
    return ".".join(str(row.get(name, "")) for name in ("service", "protocol", "domain", "target"))


def forwarder_key(row: Row) -> str:
    return f"{row.get('domain', '')}/{row.get('address', '')}"


MTU_CHECK = _mtu
ADDRESS = Codec(parse_address)
PCI = Codec(_parse_functions, "list", list, "str")
VLANS = Codec(_parse_tags, "list", list, "int")
_SPAN = Codec(_parse_span)


TRUSTING = Leaf("", "trustGuestRxFilters", yes, yes_no, absent=False)


def flag(path: str, attribute: str) -> Leaf:
    return Leaf(path, attribute, yes, yes_no)


def number(path: str, attribute: str) -> Leaf:
    return Leaf(path, attribute, int, str)


_RATE = tuple(Field(name, INT, number("", name), check=_positive) for name in ("average", "peak", "burst"))
RATE = structure(*_RATE)


def rate(direction: str) -> Group:
    return Group(f"bandwidth/{direction}", _RATE)


MODES = ("isolated", "nat", "route", "open", "bridge", "private", "vepa", "passthrough", "hostdev")
MACVTAP = ("bridge", "private", "vepa", "passthrough")
FORWARD = (
    Field("mode", TEXT, Leaf("", "mode"), default="isolated", choices=MODES),
    Field("dev", LINE, Leaf("", "dev")),
    Field("interfaces", WORDS, default=()),
    Field("pf", LINE, Sole("pf", "dev")),
    Field("addresses", PCI, Functions(), default=()),
    Field("managed", BOOL, Leaf("", "managed", yes, yes_no, absent=False), default=False),
    Field("driver", TEXT, Sole("driver", "name"), choices=("vfio", "kvm")),
    Field("nat_addresses", _SPAN, Span("nat/address")),
    Field("nat_ports", _SPAN, Span("nat/port"), default="1024-65535"),
    Field("nat_ipv6", BOOL, flag("nat", "ipv6"), default=False),
)
HOST = (
    Field("mac", MAC, Leaf("", "mac", MAC.parse)),
    Field("id", LINE, Leaf("", "id")),
    Field("name", LINE, Leaf("", "name")),
    Field("ip", ADDRESS, Leaf("", "ip", parse_address)),
    Field("lease", SECONDS, Lease(), check=_lease),
)
INTERFACE = (Field("dev", LINE, Leaf("", "dev")),)
DHCP = structure(
    Field("ranges", Codec(_parse_ranges, "list", lambda pairs: [list(pair) for pair in pairs], "list"), default=()),
    Field("hosts", table(*HOST, key=host_key), default=()),
)
IP = (
    Field("address", Codec(_parse_interface), Address()),
    Field("local_ptr", BOOL, Leaf("", "localPtr", yes, yes_no, absent=False), default=False),
    Field("tftp_root", PATH, Sole("tftp", "root")),
    Field("bootp_file", LINE, Sole("dhcp/bootp", "file")),
    Field("bootp_server", LINE, Sole("dhcp/bootp", "server")),
    Field("dhcp", DHCP, default={"ranges": (), "hosts": ()}),
)
ROUTE = (
    Field("to", Codec(_parse_network), Address(), required=True),
    Field("gateway", ADDRESS, Leaf("", "gateway", parse_address), required=True),
    Field("metric", INT, number("", "metric"), check=_positive),
)
DNS_HOST = (
    Field("ip", ADDRESS, Leaf("", "ip", parse_address), required=True),
    Field("names", WORDS, Names("hostname"), required=True),
)
DNS_TXT = (
    Field("name", LINE, Leaf("", "name"), required=True),
    Field("value", LINE, Leaf("", "value"), required=True),
)
DNS_SRV = (
    Field("service", LINE, Leaf("", "service"), required=True),
    Field("protocol", LINE, Leaf("", "protocol"), required=True),
    Field("domain", LINE, Leaf("", "domain")),
    Field("target", LINE, Leaf("", "target")),
    Field("port", INT, number("", "port")),
    Field("priority", INT, number("", "priority")),
    Field("weight", INT, number("", "weight")),
)
FORWARDER = (
    Field("domain", LINE, Leaf("", "domain")),
    Field("address", ADDRESS, Leaf("", "addr", parse_address)),
)
PORTGROUP = (
    Field("name", LINE, Leaf("", "name"), required=True),
    Field("default", BOOL, flag("", "default"), default=False),
    Field("trust_guest_rx_filters", BOOL, TRUSTING, default=False),
    Field("virtualport", LINE, Sole("virtualport", "type")),
    Field("virtualport_parameters", MAP, Attributes("virtualport/parameters"), default={}),
    Field("vlans", VLANS, Tags(), default=()),
    Field("inbound", RATE, rate("inbound")),
    Field("outbound", RATE, rate("outbound")),
)
LINES = TEXTS


def check_hosts(option: str, version: int, ip: Row | None) -> None:
    """Refuse DHCP that doesn't fit the address of its network.

    Raises:
        StrataError: It names the option and the value.
    """
    if not ip:
        return
    address = ip.get("address")
    if address is not None and network_values.interface(address).version != version:
        raise StrataError(f"is no IPv{version} address", option=f"{option}.address", value=address)
    dhcp = ip.get("dhcp", {})
    for host in dhcp.get("hosts", ()):
        if not host.get("ip") or not (host.get("mac") or host.get("id") or host.get("name")):
            raise StrataError(
                "needs an ip, and a mac, an id or a name to tell the host by",
                option=f"{option}.dhcp.hosts",
                value=dict(host),
            )
    if address is None:
        return
    network = network_values.interface(address).network
    given = [("ranges", one) for pair in dhcp.get("ranges", ()) for one in pair]
    given += [("hosts", host["ip"]) for host in dhcp.get("hosts", ())]
    for leaf, one in given:
        if network_values.address(one) not in network:
            raise StrataError(f"is not in {network}", option=f"{option}.dhcp.{leaf}", value=one)
