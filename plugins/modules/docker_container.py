#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_container
short_description: Containers of a Docker daemon
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a container, keeps it as declared, starts, stops and removes it.
  - Limits of cpu, memory and processes, the restart policy and networks change while it runs. Everything else needs a
    new container, which takes over only once it is made, and has to prove itself before the old one goes. If it
    fails, the old one is back.
  - What a task doesn't name is carried over to the new container, volumes without a name and networks above all.
  - What the image gives counts as not set, so that it follows the image.
  - Tasks for C(community.docker.docker_container) run as they are. What differs is told in the collection's
    C(docs/migrating.md).
extends_documentation_fragment:
  - strata.virt.container
  - strata.virt.over_docker
  - strata.virt.limits
  - strata.virt.docker_container_process
  - strata.virt.docker_healthcheck
  - strata.virt.docker_container_limits
  - strata.virt.docker_container_networks
  - strata.virt.docker_container_storage
  - strata.virt.docker_mounts
  - strata.virt.docker_container_security
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  pull:
    description:
      - V(missing) or V(false) pulls an image that isn't on the host, V(never) doesn't. V(always) or V(true) asks the
        registry whether it has another one under that name.
      - An image that is named by its whole ID is never pulled.
    type: str
    default: missing
notes:
  - A run that was cut short leaves at most containers named C(NAME.strata-next) and C(NAME.strata-previous), which
    the next
    run recognises, tells of and clears up.
seealso:
  - module: strata.virt.docker_container_info
  - module: strata.virt.docker_image
  - module: strata.virt.docker_network
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: A web server that can do nothing else
  strata.virt.docker_container:
    name: web
    image: web:1.0
    hardening: restricted
    capabilities: [NET_BIND_SERVICE]
    tmpfs: [/tmp]
    memory: 512m
    cpus: 1.5
    pids_limit: 256
    published_ports: ["127.0.0.1:8080:8080"]
    volumes: ["/srv/www:/srv/www:ro"]

- name: The same profile, with its own defaults
  strata.virt.docker_container: {name: web, image: web:1.0, hardening: restricted}

- name: One that is up only once it answers
  strata.virt.docker_container:
    name: api
    image: web:1.0
    healthcheck:
      test: [CMD, /bin/busybox, wget, -qO-, "http://127.0.0.1:8080/"]
      interval: 30s
      start_period: 30s
      start_interval: 1s
    restart_policy: unless-stopped
    log_driver: json-file
    log_options: {max-size: 10m, max-file: "3"}
    ulimits: ["nofile:1024:4096"]
    mounts:
      - {type: bind, source: /srv/www, target: /srv/www, read_only: true}
      - {type: tmpfs, target: /scratch, tmpfs_size: 16m, tmpfs_mode: "1777"}
    state: healthy

- name: Take it away
  strata.virt.docker_container:
    name: web
    state: absent

- name: Take it away at once, with its volumes without a name
  strata.virt.docker_container:
    name: api
    state: absent
    force_kill: true
    keep_volumes: false
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: memory, before: 256M, after: 512M, effect: live, layer: config}
restart_required:
  description: Options that only a new container can take, where O(recreate=never) forbids one.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: web
    status: running
    owner: ""
    options: {name: web, image: "web:1.0", memory: 512M, cpus: 1.5, pids_limit: 256, state: started}
    running: null
    facts: {pid: 2809, health: null, exit_code: null}
container:
  description: What C(docker inspect) says of it, and its output as C(Output) where O(detach=false).
  returned: always
  type: dict
  sample: {Id: 1fa3b605c78e, Name: /web, State: {Status: running}}
status:
  description: The status that it left with.
  returned: where O(detach=false)
  type: int
  sample: 0
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_container import DockerContainer


def main() -> None:
    converge(DockerContainer)


if __name__ == "__main__":
    main()
