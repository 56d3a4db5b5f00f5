#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: guests_info
short_description: The guests of a host, of every engine, and how they are reached
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Lists machines of systemd-nspawn, containers of LXC, Docker and Podman and virtual machines of libvirt, running or
    not, with what an inventory needs to know of each. One task, with one bulk read for each engine.
  - P(strata.virt.guests#inventory) makes an inventory of it.
extends_documentation_fragment:
  - strata.virt.informs
options:
  engines:
    description:
      - The engines to ask. All where it is not given.
      - One that the host doesn't have, or that doesn't answer, is named in RV(unread).
    type: list
    elements: str
    choices: [nspawn, lxc, docker, podman, libvirt]
seealso:
  - plugin: strata.virt.guests
    plugin_type: inventory
  - plugin: strata.virt.guest
    plugin_type: connection
"""

EXAMPLES = r"""
- name: All guests of the host
  strata.virt.guests_info:
  register: host

- name: Its containers alone
  strata.virt.guests_info:
    engines: [lxc, docker]
"""

RETURN = r"""
guests:
  description: The guests, engine by engine, by name.
  returned: always
  type: list
  elements: dict
  sample:
    - engine: docker
      guest: web
      state: running
      owner: demo
      addresses: [172.17.0.2]
      networks: [bridge]
      labels: {tier: front}
unread:
  description: The engines that could not be asked, and why.
  returned: always
  type: dict
  sample: {libvirt: libvirt does not answer}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.doors import list_guests
from ansible_collections.strata.virt.plugins.module_utils.kinds.pack_guests import GUESTS, find


def main() -> None:
    list_guests(find, GUESTS)


if __name__ == "__main__":
    main()
