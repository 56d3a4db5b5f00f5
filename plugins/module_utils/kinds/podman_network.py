# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of Podman, root's or a plain user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.codec import BOOL
from ..core.errors import StrataError
from ..core.field import Field
from ..engines import podman_words
from ..engines.podman import Podman
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
