#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxc_container
short_description: LXC containers, their configuration and what of it changes while they run
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes an LXC container from a template, keeps its configuration file, and starts, stops and freezes it.
  - The configuration is written before the first start. Of an existing one only what is declared changes; comments,
    other keys, their order and C(lxc.include) stay.
  - O(memory), O(cpus) and O(pids_limit) change while the container runs. Everything else takes effect when it is
    started again, see O(restart).
extends_documentation_fragment:
  - strata.virt.limits
  - strata.virt.converges
requirements:
  - LXC 4 or newer on cgroup v2
  - python3-lxc
options:
  name:
    description:
      - The container.
    type: str
    required: true
  state:
    description:
      - V(started) makes it, starts it and waits until it runs; a frozen one is thawed.
      - V(present) makes it and leaves it running or stopped.
      - V(stopped) shuts it down; what doesn't go in O(timeout) is killed.
      - V(frozen) has it running, with all its processes halted.
      - V(absent) shuts it down and removes it with its root file system, where that is a plain folder below its own;
        one that lies anywhere else stays. A container that has snapshots is not removed.
    type: str
    choices: [started, present, stopped, frozen, absent]
    default: started
  template:
    description:
      - What C(lxc-create) makes the container from, a template's name as V(busybox) or V(download), or the path of a
        script.
      - Needed to make a container, and not looked at afterwards.
    type: str
  template_options:
    description:
      - What the template is called with.
    type: list
    elements: str
  networks:
    description:
      - The network interfaces, in order, C(lxc.net.0) first. V([]) leaves the container nothing but a loopback
        interface.
      - An interface that is there already, by its name, by its type and link, or by its place, keeps the keys that
        are not given, such as its hardware address.
      - Where the option is not given for a new container, it has what C(lxc.default_config) says.
    type: list
    elements: dict
    suboptions:
      type:
        description:
          - The kind of interface. V(none) shares the host's network, V(empty) has a loopback interface only.
        type: str
        required: true
        choices: [veth, macvlan, ipvlan, phys, none, empty]
      link:
        description:
          - The host's bridge or interface.
        type: str
      name:
        description:
          - What the interface is called inside.
        type: str
      hwaddr:
        description:
          - Its hardware address.
        type: str
      flags:
        description:
          - V(up) has LXC bring it up.
        type: str
        default: up
  cap_drop:
    description:
      - The capabilities that the container doesn't have, as V(sys_module) or V(CAP_SYS_MODULE), exactly;
        C(lxc.cap.drop).
      - The templates' own lists are replaced by it, also where they are included.
    type: list
    elements: str
  config:
    description:
      - Other keys of the configuration, as in C(lxc.container.conf(5)).
      - Only the keys that are given are managed. A list is for keys that may stand there several times, such as
        C(lxc.mount.entry), and replaces the lines of the container's own file; V(null) takes a key away.
      - A key that a given option owns is refused.
    type: dict
  lxc_path:
    description:
      - Where the containers are.
    type: str
    default: /var/lib/lxc
  restart:
    description:
      - Whether a running container is restarted for a change that it can't take while it runs. V(never) stores the
        change and names it in RV(restart_required). V(always) restarts it on every run.
    type: str
    choices: [never, if_needed, always]
    default: never
  timeout:
    description:
      - How long to wait for it to start or to stop, in seconds or as V(5m).
    type: str
    default: "60"
seealso:
  - module: strata.virt.lxc_info
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: A container with limits and few capabilities
  strata.virt.lxc_container:
    name: myct
    template: busybox
    state: started
    memory: 256M
    cpus: 0.5
    pids_limit: 128
    networks: [{type: veth, link: lxcbr0}]
    cap_drop: [sys_module, mac_admin, mac_override]
    config: {lxc.apparmor.profile: generated}

- name: Take it away
  strata.virt.lxc_container:
    name: myct
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: memory, before: 256M, after: 512M, effect: next_boot, layer: config}
    - {field: memory, before: 256M, after: 512M, effect: live, layer: running}
restart_required:
  description: Options that are stored and that the running container takes only when it is started again.
  returned: always
  type: list
  elements: str
  sample: ["networks[0]"]
resource:
  description: What the host has now. C(running) is what the running container runs with.
  returned: always
  type: dict
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.lxc_container import LxcContainer


def main() -> None:
    converge(LxcContainer)


if __name__ == "__main__":
    main()
