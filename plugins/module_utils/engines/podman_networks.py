# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks in Podman's words and in Docker's: pure translation, both ways."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]
Body = dict[str, Any]


def network(found: Document) -> Body:
    """A network."""
    driver = (found.get("ipam_options") or {}).get("driver")
    pools = [
        {"Subnet": one["subnet"], "Gateway": one.get("gateway") or "", "IPRange": _range(one.get("lease_range") or {})}
        for one in found.get("subnets") or ()
    ]
    return {
        "Name": found["name"],
        "Id": found["id"],
        "Driver": found["driver"],
        "Internal": bool(found.get("internal")),
        "EnableIPv6": bool(found.get("ipv6_enabled")),
        "Options": found.get("options") or {},
        "Labels": found.get("labels") or {},
        "IPAM": {"Driver": "default" if driver in (None, "", "host-local") else driver, "Config": pools},
        "Dns": bool(found.get("dns_enabled")),
    }


def _range(leases: Document) -> str:
    """The subnet whose hosts are given out; empty where there is no limit, or none of that form."""
    first, last = leases.get("start_ip"), leases.get("end_ip")
    if not first or not last:
        return ""
    # From the first host on, as --ip-range is kept (podman: pkg/domain, network create).
    start, end = int(ipaddress.ip_address(first)) - 1, int(ipaddress.ip_address(last))
    size = end - start + 1
    aligned = size & (size - 1) == 0 and start % size == 0
    return (
        str(ipaddress.ip_network((start, ipaddress.ip_address(first).max_prefixlen - size.bit_length() + 1)))
        if aligned
        else ""
    )


def request(body: Document) -> Body:
    """The body of ``POST /libpod/networks/create``, from that of ``POST /networks/create``."""
    ipam = body.get("IPAM") or {}
    made: Body = {
        "name": body["Name"],
        "driver": body.get("Driver") or "bridge",
        "internal": bool(body.get("Internal") or body.get("ConfigOnly")),
        "ipv6_enabled": bool(body.get("EnableIPv6")),
        "dns_enabled": body.get("Dns", True),
        "labels": body.get("Labels") or {},
        "options": body.get("Options") or {},
        "subnets": [_subnet(one) for one in ipam.get("Config") or ()],
    }
    driver = ipam.get("Driver") or "default"
    return {**made, **({"ipam_options": {"driver": driver}} if driver != "default" else {})}


def _subnet(entry: Document) -> Body:
    made = {"subnet": entry["Subnet"], **({"gateway": entry["Gateway"]} if entry.get("Gateway") else {})}
    if entry.get("IPRange"):
        leases = ipaddress.ip_network(entry["IPRange"])
        made["lease_range"] = {"start_ip": str(leases[1]), "end_ip": str(leases[-1])}
    return made
