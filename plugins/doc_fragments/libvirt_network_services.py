# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a network of libvirt gives its guests: addresses, routes and names."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  ip:
    description:
      - The host's address on the bridge, and what dnsmasq hands out there. Further C(<ip>) of the same version are left
        alone.
    type: dict
    suboptions: &address
      address:
        description: With its prefix, as V(192.0.2.1/24) or V(2001:db8::1/64). Changing it takes a restart.
        type: str
      local_ptr:
        description: Questions about the names of its addresses are never passed on.
        type: bool
      tftp_root:
        description: A directory of the host that is served by TFTP.
        type: str
      bootp_file:
        description: What clients are told to boot.
        type: str
      bootp_server:
        description: Where they find it. The host itself where it is not given.
        type: str
      dhcp:
        description: Changed while the network is active, one entry at a time.
        type: dict
        suboptions:
          ranges:
            description: The addresses that are handed out, as pairs of the first and the last.
            type: list
            elements: list
          hosts:
            description: Hosts that always get the same address.
            type: list
            elements: dict
            suboptions:
              mac:
                description: The host, by its card.
                type: str
              id:
                description: The host, by the identifier that it sends (DUID).
                type: str
              name:
                description: Its name, for DNS. Tells the host where there is neither a mac nor an id.
                type: str
              ip:
                description: The address that it gets.
                type: str
              lease:
                description: How long it keeps it, as V(2h), or V(0) for good.
                type: str
  ip6:
    description:
      - The same for version 6.
    type: dict
    suboptions: *address
  routes:
    description:
      - Routes of the host to what lies behind a guest.
    type: list
    elements: dict
    suboptions:
      to:
        description: The network, as V(198.51.100.0/24).
        type: str
        required: true
      gateway:
        description: The guest.
        type: str
        required: true
      metric:
        description: The lower one wins.
        type: int
  dns_enabled:
    description:
      - Whether dnsmasq answers questions.
    type: bool
  dns_forward_plain_names:
    description:
      - Whether it passes on questions about names without a dot.
    type: bool
  dns_forwarders:
    description:
      - Who is asked what dnsmasq doesn't know. The host's own resolvers where there are none.
    type: list
    elements: dict
    suboptions:
      domain:
        description: Only about this one.
        type: str
      address:
        description: Who is asked.
        type: str
  dns_hosts:
    description:
      - Names with an address.
    type: list
    elements: dict
    suboptions:
      ip:
        description: The address; tells the entry from the others.
        type: str
        required: true
      names:
        description: Its names.
        type: list
        elements: str
        required: true
  dns_txt:
    description:
      - TXT records.
    type: list
    elements: dict
    suboptions:
      name:
        description: Of the record.
        type: str
        required: true
      value:
        description: What it says.
        type: str
        required: true
  dns_srv:
    description:
      - SRV records.
    type: list
    elements: dict
    suboptions:
      service:
        description: As V(ldap).
        type: str
        required: true
      protocol:
        description: As V(tcp).
        type: str
        required: true
      domain:
        description: Whose service it is. O(domain) of the network where it is not given.
        type: str
      target:
        description: The host that has it.
        type: str
      port:
        description: Where it listens.
        type: int
      priority:
        description: The lower one is asked first.
        type: int
      weight:
        description: Among those of one priority.
        type: int
"""
