# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's network cards."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  networks:
    description:
      - Its cards on libvirt's networks, on bridges and devices of the host, and on QEMU's own network. Other cards are
        left alone.
    type: list
    elements: dict
    suboptions:
      network:
        description: A network of libvirt's. It must be active when the domain starts.
        type: str
      bridge:
        description: A bridge of the host.
        type: str
      direct:
        description: A device of the host, on which the card is a macvtap.
        type: str
      user:
        description: QEMU's own network, through which the guest reaches others and nobody reaches it.
        type: bool
      direct_mode:
        description: How cards on the same O(networks[].direct) reach each other.
        type: str
        choices: [bridge, vepa, private, passthrough]
      portgroup:
        description: A group of O(networks[].network).
        type: str
      model:
        description: The card. A new one is V(virtio).
        type: str
      mac:
        description:
          - Its address, which tells it from the others. Where it is not given, a card that is there keeps its own, and
            a new one gets an address made from the host, the domain's name, the source and the place among the cards of
            that source.
        type: str
      vhost:
        description: Whether the host's kernel moves its packets (vhost-net), or QEMU.
        type: bool
      queues:
        description: How many queues it has, at most as many as vcpus.
        type: int
      mtu:
        description: The largest packet.
        type: int
      link:
        description: Whether its cable is in.
        type: str
        choices: [up, down]
      filter:
        description: A filter of libvirt's that its packets go through.
        type: str
      boot_order:
        description: When it is tried, from 1.
        type: int
      bandwidth:
        description: The most that goes through it. Changes while it runs.
        type: dict
        suboptions:
          inbound:
            description: What the guest receives.
            type: dict
            suboptions:
              average:
                description: KiB a second.
                type: int
              peak:
                description: KiB a second, for a moment.
                type: int
              burst:
                description: KiB that may go at O(networks[].bandwidth.inbound.peak).
                type: int
          outbound:
            description: What it sends.
            type: dict
            suboptions:
              average:
                description: KiB a second.
                type: int
              peak:
                description: KiB a second, for a moment.
                type: int
              burst:
                description: KiB that may go at O(networks[].bandwidth.outbound.peak).
                type: int
"""
