#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_swarm
short_description: A Docker daemon's place in a swarm
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Begins a swarm, joins one, changes the settings of one, and leaves it.
  - What only counts at the beginning is not compared afterwards. To change it, leave the swarm first.
extends_documentation_fragment:
  - strata.virt.over_docker
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  name:
    description:
      - The swarm. A daemon is in one at most, and every one is called so.
    type: str
    choices: [default]
    default: default
  state:
    description:
      - V(present) begins a swarm, or joins that of O(remote_addrs), where the daemon is in none. V(absent) leaves it.
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - Leaves it even as a manager. The last manager ends the swarm, and all that runs in it.
    type: bool
    default: false
  join_tokens:
    description:
      - Whether the result has the tokens for joining. Who has them can join, so that C(no_log) is due.
    type: bool
    default: false
  advertise_addr:
    description:
      - The address or the interface that other nodes reach it by. Needed where there are several.
    type: str
  listen_addr:
    description:
      - Where it listens for other managers.
    type: str
    default: 0.0.0.0:2377
  data_path_addr:
    description:
      - The address or the interface for the traffic of containers, where that is another one.
    type: str
  data_path_port:
    description:
      - The port for the traffic of containers. 4789 where the daemon has its way.
    type: int
  default_addr_pool:
    description:
      - Subnets that networks of the swarm are taken from, as V(10.10.0.0/16).
    type: list
    elements: str
  subnet_size:
    description:
      - How large the networks are that are taken from O(default_addr_pool), as a prefix length.
    type: int
  remote_addrs:
    description:
      - Managers of the swarm to join.
    type: list
    elements: str
  join_token:
    description:
      - The token of that swarm, for a worker or a manager.
    type: str
  task_history_retention_limit:
    description:
      - How many tasks that ended are remembered, for each that runs.
    type: int
  snapshot_interval:
    description:
      - Entries of the log between two snapshots.
    type: int
  keep_old_snapshots:
    description:
      - How many snapshots are kept beyond the current one.
    type: int
  log_entries_for_slow_followers:
    description:
      - Entries of the log to keep for managers that are behind after a snapshot.
    type: int
  dispatcher_heartbeat_period:
    description:
      - How often nodes report, as V(5s).
    type: str
  node_cert_expiry:
    description:
      - How long certificates of nodes are valid, as V(2160h).
    type: str
  autolock_managers:
    description:
      - Whether a manager that is started again needs a key. C(docker swarm unlock-key) has it.
    type: bool
  labels:
    description:
      - Labels to set. Others stay as they are.
    type: dict
seealso:
  - module: strata.virt.docker_swarm_info
  - module: strata.virt.docker_node
  - module: strata.virt.docker_service
"""

EXAMPLES = r"""
- name: Begin a swarm
  strata.virt.docker_swarm: {advertise_addr: 127.0.0.1, labels: {site: lab}}

- name: Leave it, which ends it
  strata.virt.docker_swarm: {state: absent, force: true}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: state, before: absent, after: present, effect: create, layer: config}
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: default
    status: present
    owner: ""
    options: {name: default, labels: {site: lab}, state: present}
    running: null
    facts:
      state: active
      node: 4f5g...
      address: 127.0.0.1
      manager: true
      managers: ["127.0.0.1:2377"]
      swarm: 9x2k...
      nodes: 1
join_tokens:
  description: The tokens for joining, with O(join_tokens=true) on a manager.
  returned: with join_tokens
  type: dict
  contains:
    worker:
      description: The token of a worker.
      type: str
      returned: always
    manager:
      description: The token of a manager.
      type: str
      returned: always
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_swarm import DockerSwarmMember


def main() -> None:
    converge(DockerSwarmMember)


if __name__ == "__main__":
    main()
