# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container is connected to."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  network_mode:
    description:
      - What it is connected to, in one word. V(bridge) or V(default), the name of a network, V(host), V(none), or
        C(container:NAME) for another container's network.
      - O(networks) says it for single networks, with addresses, and live.
    type: str
  networks:
    description:
      - The networks that it is connected to, and no others. An empty list means none at all, not even the daemon's
        C(bridge).
      - They change while it runs, unless it shares the host's or another container's network, or is to have none.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The network, such as M(strata.virt.docker_network) makes it.
        type: str
        required: true
      ipv4_address:
        description:
          - A fixed address on it.
        type: str
      ipv6_address:
        description:
          - A fixed IPv6 address on it.
        type: str
      aliases:
        description:
          - Further names by which others on the network find it.
        type: list
        elements: str
      links:
        description:
          - Other containers and the names by which this one finds them, as C(container[:name]).
        type: list
        elements: str
      mac_address:
        description:
          - A fixed MAC address on it, which only a new container can take. From Docker 25 on.
        type: str
      driver_opts:
        description:
          - Options of the network's driver for this connection.
        type: dict
      gw_priority:
        description:
          - Of several networks, the one with the highest number has the default route. From Docker 28 on.
        type: int
  networks_cli_compatible:
    description:
      - V(false) leaves networks that aren't named in O(networks) as they are, and connects a new container to the
        daemon's C(bridge), too.
    type: bool
    default: true
  purge_networks:
    description:
      - Whether networks that aren't named in O(networks) are taken off. By default they are, unless
        O(networks_cli_compatible=false).
    type: bool
  mac_address:
    description:
      - A fixed MAC address on the first network. With several, use O(networks[].mac_address).
    type: str
  published_ports:
    description:
      - Ports to publish on the host, as C([address:][port:]container[/protocol]), ports or ranges of them. For a range
        of the host's and one port of the container, the daemon chooses a free one.
    type: list
    elements: str
    aliases: [ports]
  default_host_ip:
    description:
      - The address of the host for ports that are published without one. Empty and not given mean every address.
    type: str
  exposed_ports:
    description:
      - Ports that it tells others of, as C(port[/protocol]) or a range, besides those of the image and the published
        ones.
    type: list
    elements: str
    aliases: [exposed, expose]
  publish_all_ports:
    description:
      - Whether all of these are published, at ports of the engine's choice.
    type: bool
  links:
    description:
      - Other containers on the daemon's C(bridge) and the names by which this one finds them, as C(container[:name]).
    type: list
    elements: str
  dns_servers:
    description:
      - Its DNS servers, in this order.
    type: list
    elements: str
  dns_search_domains:
    description:
      - The domains in which it looks for names, in this order.
    type: list
    elements: str
  dns_opts:
    description:
      - Options of its resolver.
    type: list
    elements: str
  etc_hosts:
    description:
      - Names and their addresses in its C(/etc/hosts). The address V(host-gateway) is that of the host.
    type: dict
"""
