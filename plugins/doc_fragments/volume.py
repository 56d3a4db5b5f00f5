# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of containers' volumes have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - The volume.
    type: str
    required: true
    aliases: [volume_name]
  state:
    description:
      - V(present) makes it, V(absent) removes it and what is in it. A volume that a container has mounted, running or
        not, is refused, and the containers are named.
    type: str
    choices: [present, absent]
    default: present
  driver:
    description:
      - What keeps the volume, V(local) or a plugin.
    type: str
    default: local
  driver_options:
    description:
      - Options of the driver, such as C(type), C(device) and C(o) of V(local), which are those of C(mount). Others stay
        as they are.
    type: dict
  labels:
    description:
      - Labels to set. Others stay as they are.
    type: dict
  recreate:
    description:
      - Whether it is made anew, empty. V(never) tells of changes in RV(restart_required), V(if_needed) makes it anew
        for them, and V(always) even if nothing changed. A volume that a container has mounted is refused.
      - V(options-changed) is another word for V(if_needed).
    type: str
    choices: [never, if_needed, always, options-changed]
    default: never
  keep:
    description:
      - Whether it stays when a stack that made it no longer declares it and prunes. With V(false), it is removed then,
        and what is in it is lost.
    type: bool
    default: true
"""
