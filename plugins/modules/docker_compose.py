#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_compose
short_description: Bring a project of Docker Compose to what its files say
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Has Docker Compose render a project, holds each service against the labels of its containers, and has Compose bring
    about what differs. Where nothing does, Compose is only asked for the project.
  - Check mode tells service by service what would change. It builds, pulls and creates nothing.
  - A container that was stopped, paused or removed, another number of them, another image behind a tag, and a network
    or volume that is missing are seen and put right.
extends_documentation_fragment:
  - strata.virt.compose
  - strata.virt.over_docker
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - Docker Compose 2.24 or newer, as the plugin (docker-compose-plugin) or as the program (docker-compose)
  - The Python library C(docker) on the managed host (python3-docker)
seealso:
  - module: strata.virt.docker_compose_info
  - module: strata.virt.docker_container
  - module: strata.virt.docker_image
"""

EXAMPLES = r"""
- name: A project that is declared in the task
  strata.virt.docker_compose:
    project_name: api
    definition:
      services:
        api:
          image: "web:1.0"
          ports: ["127.0.0.1:9000:8080"]
          deploy: {resources: {limits: {cpus: "1.5", memory: 1g}}}
          read_only: true
          cap_drop: [ALL]
          security_opt: ["no-new-privileges:true"]
          tmpfs: [/tmp]
          restart: unless-stopped

- name: A project of files, two of the workers, and no service that its files no longer have
  strata.virt.docker_compose:
    project_src: /srv/shop
    scale: {worker: 2}
    remove_orphans: true
    wait: true

- name: Nothing of it is left, not even its data
  strata.virt.docker_compose:
    project_name: shop
    state: absent
    remove_volumes: true
"""

RETURN = r"""
changes:
  description: What changed, or would. C(config) is a service's own definition, C(containers) how many of them there are
    and what they do.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: "config[api.environment.LEVEL]", before: info, after: debug, effect: recreate, layer: config}
    - {field: "containers[worker]", before: "1 running", after: "2 running", effect: live, layer: config}
restart_required:
  description: What O(recreate=never) leaves as it is.
  returned: always
  type: list
  elements: str
containers:
  description: The containers, in the words of C(docker compose ps --format json).
  returned: always
  type: list
  elements: dict
  sample:
    - ID: 4c01db0b339c6fc1a1dbc4b0c2dc0ad8e1fbc8b4e0e4a95a2a0f2d7d8d0b4e11
      Name: api-api-1
      Service: api
      Image: "web:1.0"
      State: running
      Status: Up 2 seconds
      Health: ""
      Labels: {com.docker.compose.project: api}
images:
  description: The images that the containers were made from.
  returned: always
  type: list
  elements: str
  sample: ["web:1.0"]
resource:
  description: What there is of the project.
  returned: always
  type: dict
  sample:
    name: api
    status: running
    owner: ""
    options: {project_name: api, definition: {name: api, services: {api: {image: "web:1.0"}}}, state: present}
    running: null
    facts:
      services: {api: [{name: api-api-1, image: "web:1.0", state: running, status: Up 2 seconds}]}
      networks: [api_default]
      volumes: []
      files: [/var/lib/strata/compose/-/api.json]
      folder: /var/lib/strata/compose/-
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_compose import DockerCompose


def main() -> None:
    converge(DockerCompose)


if __name__ == "__main__":
    main()
