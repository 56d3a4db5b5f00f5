#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_compose
short_description: Bring a project of Compose on Podman to what its files say
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Has Docker Compose, which speaks to Podman's service as to Docker, render a project, holds each service against the
    labels of its containers, and has Compose bring about what differs. Where nothing does, Compose is only asked for
    the project.
  - Check mode tells service by service what would change. It builds, pulls and creates nothing.
  - A container that was stopped, paused or removed, another number of them, another image behind a tag, and a network
    or volume that is missing are seen and put right.
extends_documentation_fragment:
  - strata.virt.compose
  - strata.virt.over_podman
  - strata.virt.converges
requirements:
  - Docker Compose 2.24 or newer, as the plugin (docker-compose-plugin) or as the program (docker-compose); neither
    Docker nor its daemon
  - The Python library C(docker) on the managed host (python3-docker)
seealso:
  - module: strata.virt.podman_compose_info
  - module: strata.virt.podman_container
  - module: strata.virt.podman_image
"""

EXAMPLES = r"""
- name: A project that is declared in the task
  strata.virt.podman_compose:
    project_name: till
    definition:
      services:
        till:
          image: "localhost/myweb:1.0"
          ports: ["127.0.0.1:9010:8080"]
          deploy: {resources: {limits: {cpus: "0.5", memory: 128m}}}
          read_only: true
          cap_drop: [ALL]
          security_opt: ["no-new-privileges:true"]
          tmpfs: [/tmp]
          restart: unless-stopped

- name: Nothing of it is left, not even its data
  strata.virt.podman_compose:
    project_name: till
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
    - {field: "config[till.environment.LEVEL]", before: info, after: debug, effect: recreate, layer: config}
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
      Name: till-till-1
      Service: till
      Image: "localhost/myweb:1.0"
      State: running
      Status: Up 2 seconds
      Health: ""
      Labels: {com.docker.compose.project: till}
images:
  description: The images that the containers were made from.
  returned: always
  type: list
  elements: str
  sample: ["localhost/myweb:1.0"]
resource:
  description: What there is of the project.
  returned: always
  type: dict
  sample:
    name: till
    status: running
    owner: ""
    options:
      project_name: till
      definition: {name: till, services: {till: {image: "localhost/myweb:1.0"}}}
      state: present
    running: null
    facts:
      services: {till: [{name: till-till-1, image: "localhost/myweb:1.0", state: running, status: Up 2 seconds}]}
      networks: [till_default]
      volumes: []
      files: [/var/lib/strata/compose/podman-0@-/till.json]
      folder: /var/lib/strata/compose/podman-0@-
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_compose import PodmanComposeProject


def main() -> None:
    converge(PodmanComposeProject)


if __name__ == "__main__":
    main()
