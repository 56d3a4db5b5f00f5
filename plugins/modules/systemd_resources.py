#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_resources
short_description: Limits of slices, services, scopes and users of systemd, now and at boot
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Keeps what a unit of systemd is held to, in a drop-in of its own for every start, and in what runs right now. Both
    are compared and told apart. Nothing is restarted, no process is moved.
  - A unit that isn't there yet gets its drop-in all the same; C(facts.load_state) of the result then says V(not-found).
  - All processes of a user are in the slice C(user-UID.slice).
extends_documentation_fragment:
  - strata.virt.limits
  - strata.virt.controls
  - strata.virt.converges
requirements:
  - systemd
  - cgroup v2
options:
  unit:
    description:
      - A slice, service, scope, socket, mount or swap, with its suffix, such as V(batch.slice) or V(user-1000.slice).
        Slices need no file to be there.
    type: str
    required: true
  state:
    description:
      - V(present) keeps the drop-in and what it says.
      - V(absent) takes the drop-in away, if it is this module's, and has what runs go by what the other files of the
        unit say.
    type: str
    choices: [present, absent]
    default: present
  properties:
    description:
      - Directives of systemd.resource-control(5) that have no option of their own, verbatim. Only those that are
        given are managed. A list assigns one several times, V(null) takes it out of the drop-in.
      - One that is taken out stays in force in what runs until the unit is started anew.
    type: dict
seealso:
  - module: strata.virt.systemd_resources_info
  - module: strata.virt.cgroup
"""

EXAMPLES = r"""
- name: Everything in batch.slice together has 2 GiB, three cpus and 1000 processes
  strata.virt.systemd_resources: {unit: batch.slice, memory: 2G, cpus: 3, pids_limit: 1000}

- name: A service that gives way to others, and may not fill the disk's queue
  strata.virt.systemd_resources:
    unit: cron.service
    cpu_weight: 20
    memory_high: 256M
    memory_swap: 0
    io:
      - {device: /dev/vda, write_bps: 10M}
    properties:
      IPAccounting: true

- name: One user's sessions
  strata.virt.systemd_resources:
    unit: user-1000.slice
    memory: 1G
    cpuset_cpus: "0"

- name: Back to what the unit's own files say
  strata.virt.systemd_resources:
    unit: batch.slice
    state: absent
"""

RETURN = r"""
changes:
  description:
    - What is different now, or would be, one entry a value. C(layer) is V(config) for what counts at the next start,
      and V(running) for what holds now.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: memory, before: max, after: 2G, effect: next_boot, layer: config}
restart_required:
  description: Empty, because systemd takes all of these live.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now. C(running) is null where the unit isn't there.
  returned: always
  type: dict
  sample:
    name: batch.slice
    status: present
    owner: ""
    options: {unit: batch.slice, memory: 2G, cpus: 3.0, pids_limit: 1000, state: present}
    running: {memory: 2G, cpus: 3.0, pids_limit: 1000}
    facts:
      drop_in: /etc/systemd/system/batch.slice.d/50-strata-resources.conf
      load_state: loaded
      active_state: inactive
      group: null
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.systemd_resources import SystemdResources


def main() -> None:
    converge(SystemdResources)


if __name__ == "__main__":
    main()
