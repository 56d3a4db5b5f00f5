# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of containers' networks have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - The network.
    type: str
    required: true
    aliases: [network_name]
  state:
    description:
      - V(present) makes and repairs it, V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
  driver_options:
    description:
      - Options of the driver, such as C(parent) of V(macvlan), the link that it sits on. Others stay as they are.
    type: dict
  enable_ipv6:
    description:
      - Whether containers get IPv6 addresses.
    type: bool
  internal:
    description:
      - Whether the network leads nowhere else.
    type: bool
  labels:
    description:
      - Labels to set. Others stay as they are.
    type: dict
  appends:
    description:
      - Whether containers that O(connected) doesn't name may stay on it.
    type: bool
    default: false
    aliases: [incremental]
  force:
    description:
      - With O(state=absent), containers are taken off first. Without it, a network that has any is refused.
      - With O(state=present), the same as O(recreate=always).
    type: bool
    default: false
  recreate:
    description:
      - Whether it is made anew. V(if_needed) does so for changes, V(never) tells of them in RV(restart_required), and
        V(always) makes it anew even if nothing changed.
    type: str
    choices: [never, if_needed, always]
    default: if_needed
"""
