# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of docker_container: what it is connected to, and under which names and ports."""

from __future__ import annotations

from ..core.codec import BOOL, MAC, MAP, TEXTS, WORDS
from ..core.field import Field
from ..core.plan import Effect
from ..engines import docker_config as at
from ..engines import docker_networks, docker_values

NETWORKS = (
    Field("network_mode", docker_networks.MODE, at.NETWORK_MODE, default="bridge"),  # before networks, which go by it
    Field(
        "networks",
        docker_networks.PLACES,
        at.NETWORKS,
        Effect.LIVE,
        default=({"name": "bridge"},),
        check=docker_networks.check_places,
    ),
    Field("mac_address", MAC, at.MAC_ADDRESS, export=False),
    Field("published_ports", docker_values.PORTS, at.PUBLISHED, default=(), aliases=("ports",)),
    Field("exposed_ports", docker_values.EXPOSED, at.EXPOSED, default=(), aliases=("exposed", "expose")),
    Field("publish_all_ports", BOOL, at.PUBLISH_ALL, default=False),
    Field("links", docker_values.LINKS, at.LINK, default=()),
    Field("dns_servers", TEXTS, at.DNS, default=()),
    Field("dns_search_domains", TEXTS, at.DNS_SEARCH, default=()),
    Field("dns_opts", WORDS, at.DNS_OPTIONS, default=()),
    Field("etc_hosts", MAP, at.ETC_HOSTS, default={}),
)
