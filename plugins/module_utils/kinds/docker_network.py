# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of a Docker daemon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.codec import BOOL, LINE, TEXT
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..engines.docker import DEFAULT, Docker
from ..engines.docker_networks import OPTIONS
from .network import Network, network_fields


class DockerNetwork(Network):
    kind = "docker_network"
    own = ("bridge", "host", "none")
    whose = "the daemon's"
    fields = network_fields(
        (Field("docker_host", LINE, role=Role.CONNECT, given=DEFAULT, aliases=("docker_url",)),),
        ipam=(Field("ipam_driver_options", OPTIONS, "IPAM.Options", default={}),),
        more=(
            Field("attachable", BOOL, "Attachable", default=False),
            Field("ingress", BOOL, "Ingress", default=False),
            Field("scope", TEXT, "Scope", choices=("local", "global", "swarm"), export=False),
        ),
    )

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Docker:
        return Docker(spec.get("docker_host") or DEFAULT)

    def refuse(self, engine: Docker) -> None:
        if self.spec["driver"] == "overlay" and not engine.in_swarm():
            raise StrataError(
                "needs a swarm, and this daemon is in none",
                option="driver",
                value="overlay",
                hint="Run docker swarm init there, or docker swarm join",
            )
