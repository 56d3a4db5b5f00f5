# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of Podman, root's or a plain user's."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from ..core.codec import BOOL
from ..core.errors import StrataError
from ..core.field import Field
from ..engines import podman_words
from ..engines.podman import Document, Podman
from .network import Network, network_fields
from .podman_fields import PODMAN


class PodmanNetwork(Network):
    kind = "podman_network"
    own = (podman_words.USUAL_NETWORK,)
    whose = "Podman's"
    fields = network_fields(PODMAN, more=(Field("dns_enabled", BOOL, "Dns", default=True),))

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Podman:
        return Podman(spec.get("user_scope"), spec.get("podman_host"))

    def check(self) -> None:
        super().check()
        for row in self.spec.get("ipam_config", ()):
            if row.get("aux_addresses"):
                raise StrataError(
                    "Podman reserves no addresses", option="ipam_config.aux_addresses", hint="Leave them out of iprange"
                )

    def _endpoint(self, container: Document) -> dict[str, Any]:
        """With the addresses that it has, where the network still has them: who chose them, isn't told."""
        rows = self.spec.get("ipam_config")
        subnets = None if rows is None else [ipaddress.ip_network(row["subnet"]) for row in rows if row.get("subnet")]
        place = (container.get("NetworkSettings") or {}).get("Networks", {}).get(self.name) or {}
        had = {"IPv4Address": place.get("IPAddress"), "IPv6Address": place.get("GlobalIPv6Address")}
        fixed = {key: text for key, text in had.items() if text and _fits(text, subnets)}
        return {**super()._endpoint(container), **({"IPAMConfig": fixed} if fixed else {})}


def _fits(address: str, subnets: list[Any] | None) -> bool:
    return subnets is None or any(ipaddress.ip_address(address) in subnet for subnet in subnets)
