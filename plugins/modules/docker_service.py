#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_service
short_description: Services of a Docker swarm
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a service, changes it while it goes on, task by task, waits until its tasks run, and removes it.
  - Options that M(strata.virt.docker_container) has, too, have the same names.
extends_documentation_fragment:
  - strata.virt.docker_healthcheck
  - strata.virt.docker_mounts
  - strata.virt.over_docker
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  name:
    description:
      - The service.
    type: str
    required: true
  state:
    description:
      - V(present) makes it and waits until its tasks run, V(absent) removes it and its tasks.
    type: str
    choices: [present, absent]
    default: present
  wait:
    description:
      - Whether a run waits until all tasks are as declared and run. What failing tasks say is then the error.
    type: bool
    default: true
  timeout:
    description:
      - How long, as V(120) or V(2m).
    type: str
    default: "120"
  recreate:
    description:
      - Whether a service whose O(mode) changes may be made anew. V(never) tells of it in RV(restart_required).
    type: str
    choices: [never, if_needed, always]
    default: if_needed
  mode:
    description:
      - V(replicated) runs O(replicas) tasks, V(global) one on each node. V(replicated) where nobody says otherwise.
    type: str
    choices: [replicated, global]
  replicas:
    description:
      - How many tasks run. 1 where nobody says otherwise.
    type: int
  image:
    description:
      - What its tasks are made from. Needed for a new service. Every node has to have it, or get it from its
        registry.
    type: str
  entrypoint:
    description:
      - What is run, in place of the image's own entry point. C(command) of C(docker_swarm_service).
    type: list
    elements: str
  command:
    description:
      - The arguments, in place of the image's own command. A string is taken apart as a shell would.
    type: raw
  env:
    description:
      - All variables. Values that look like numbers or truths have to be quoted.
    type: dict
  labels:
    description:
      - Labels of the service to set. Others stay as they are.
    type: dict
  container_labels:
    description:
      - Labels of its containers to set. Others stay as they are.
    type: dict
  hostname:
    description:
      - The name that its containers have for themselves.
    type: str
  working_dir:
    description:
      - Where its program starts.
    type: str
  user:
    description:
      - Whom it runs as, as V(1000:1000).
    type: str
  groups:
    description:
      - Further groups.
    type: list
    elements: str
  tty:
    description:
      - Whether it gets a terminal.
    type: bool
  read_only:
    description:
      - Whether the root file system is read-only.
    type: bool
  init:
    description:
      - Whether a small init reaps processes in it.
    type: bool
  stop_signal:
    description:
      - The signal that stops it.
    type: str
  stop_timeout:
    description:
      - How long after that signal it is killed, as V(10s).
    type: str
  capabilities:
    description:
      - Capabilities to add.
    type: list
    elements: str
  cap_drop:
    description:
      - Capabilities to take away; V(ALL) for all.
    type: list
    elements: str
  sysctls:
    description:
      - All kernel parameters of its namespaces that are set.
    type: dict
  etc_hosts:
    description:
      - All further names in C(/etc/hosts), with their addresses.
    type: dict
  dns_servers:
    description:
      - All name servers.
    type: list
    elements: str
  dns_search_domains:
    description:
      - All search domains.
    type: list
    elements: str
  dns_opts:
    description:
      - All options of the resolver.
    type: list
    elements: str
  secrets:
    description:
      - All secrets that are files in it.
    type: list
    elements: dict
    suboptions: &files
      name:
        description: Which one.
        type: str
        required: true
      target:
        description: The file. A secret's is in C(/run/secrets) unless it is a whole path. The name by itself.
        type: str
      uid:
        description: Whose file it is, as a number. 0 where nobody says otherwise.
        type: str
      gid:
        description: Its group, as a number. 0 where nobody says otherwise.
        type: str
      mode:
        description: Its permissions, in quotes. V('0444') where nobody says otherwise.
        type: str
  configs:
    description:
      - All configs that are files in it.
    type: list
    elements: dict
    suboptions: *files
  memory:
    description:
      - The most that one task may use, as V(512m); V(max) for no limit.
    type: str
  cpus:
    description:
      - The most processors that one task may use, as V(1.5); V(max) for no limit.
    type: str
  pids_limit:
    description:
      - The most processes that one task may have; V(max) for no limit.
    type: str
  reserved_memory:
    description:
      - The memory that has to be free on a node before it gets a task.
    type: str
  reserved_cpus:
    description:
      - The processors that have to be free on a node before it gets a task; V(max) for none.
    type: str
  restart_policy:
    description:
      - What becomes of tasks that end. What isn't given is not compared.
    type: dict
    suboptions:
      condition:
        description: After which end a new one is started. V(any) where nobody says otherwise.
        type: str
        choices: [none, on-failure, any]
      delay:
        description: How long after, as V(5s).
        type: str
      max_attempts:
        description: How often, 0 for always.
        type: int
      window:
        description: How long a task has to last to count as started, as V(30s).
        type: str
  constraints:
    description:
      - All conditions for nodes, as V(node.labels.disk==ssd).
    type: list
    elements: str
  spread:
    description:
      - Over which values tasks are spread evenly, as V(node.labels.rack).
    type: list
    elements: str
  replicas_per_node:
    description:
      - The most tasks on one node, 0 for no limit.
    type: int
  networks:
    description:
      - All networks of its tasks. They have to be attachable to services, as those of the driver C(overlay) are.
    type: list
    elements: dict
    suboptions:
      name:
        description: Which one.
        type: str
        required: true
      aliases:
        description: Further names there.
        type: list
        elements: str
  published_ports:
    description:
      - All ports that are reached from outside.
    type: list
    elements: dict
    suboptions:
      target:
        description: The port in the container.
        type: int
        required: true
      published:
        description: The port of the nodes. One that the swarm chooses where it is not given.
        type: int
      protocol:
        description: V(tcp) where nobody says otherwise.
        type: str
        choices: [tcp, udp, sctp]
      mode:
        description: V(ingress) for every node of the swarm, V(host) for the nodes that tasks run on.
        type: str
        choices: [ingress, host]
  endpoint_mode:
    description:
      - Whether the service has an address of its own, or its name leads to those of the tasks.
    type: str
    choices: [vip, dnsrr]
  update_config:
    description:
      - How a change comes to the tasks. What isn't given is not compared.
    type: dict
    suboptions: &rollout
      parallelism:
        description: How many tasks at a time, 0 for all. 1 where nobody says otherwise.
        type: int
      delay:
        description: The time between two lots, as V(10s).
        type: str
      failure_action:
        description: What is done when one fails. V(pause) where nobody says otherwise.
        type: str
        choices: [pause, continue, rollback]
      monitor:
        description: How long a new task is watched for failing, as V(5s).
        type: str
      max_failure_ratio:
        description: Which part of the tasks may fail, from 0 to 1.
        type: float
      order:
        description: Whether the old task is stopped before the new one starts. It is where nobody says otherwise.
        type: str
        choices: [stop-first, start-first]
  rollback_config:
    description:
      - How a change is taken back. What isn't given is not compared.
    type: dict
    suboptions: *rollout
  log_driver:
    description:
      - The driver of its logs. That of the node's daemon where nobody says otherwise.
    type: str
  log_options:
    description:
      - Options of that driver. Others stay as they are.
    type: dict
seealso:
  - module: strata.virt.docker_service_info
  - module: strata.virt.docker_swarm
  - module: strata.virt.docker_secret
  - module: strata.virt.docker_network
"""

EXAMPLES = r"""
- name: A service of one task, with a secret
  strata.virt.docker_service:
    name: web
    image: "web:1.0"
    replicas: 1
    memory: 64m
    cpus: 0.5
    read_only: true
    cap_drop: [ALL]
    secrets: [{name: token, mode: "0400"}]
    stop_timeout: 1s
    update_config: {order: start-first, failure_action: rollback}

- name: Take it away
  strata.virt.docker_service: {name: web, state: absent}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: replicas, before: 1, after: 3, effect: live, layer: config}
restart_required:
  description: What only a new service can have, where O(recreate=never) forbids one.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: web
    status: present
    owner: ""
    options: {name: web, image: "web:1.0", memory: 64M, cpus: 0.5, read_only: true, cap_drop: [ALL], state: present}
    running: null
    facts: {id: 7m1c..., version: 20, running: 1, ports: {}}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_service import DockerService


def main() -> None:
    converge(DockerService)


if __name__ == "__main__":
    main()
