#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_host_info
short_description: What a Docker daemon says of itself and of its host
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells what C(docker info) says, and on demand the containers, images, networks and volumes that there are, and how
    much they take, in the daemon's own words.
  - Whether the host can do more than it does is told by M(strata.virt.host_info).
extends_documentation_fragment:
  - strata.virt.over_docker
  - strata.virt.informs
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  containers:
    description:
      - Whether to list containers that run.
    type: bool
    default: false
  containers_all:
    description:
      - Whether to list those that don't run with them.
    type: bool
    default: false
  containers_filters:
    description:
      - Which of them, by the filters of C(docker ps), each with a value or a list of them.
    type: dict
  images:
    description:
      - Whether to list images.
    type: bool
    default: false
  images_filters:
    description:
      - Which of them, by the filters of C(docker images).
    type: dict
  networks:
    description:
      - Whether to list networks.
    type: bool
    default: false
  networks_filters:
    description:
      - Which of them, by the filters of C(docker network ls).
    type: dict
  volumes:
    description:
      - Whether to list volumes.
    type: bool
    default: false
  volumes_filters:
    description:
      - Which of them, by the filters of C(docker volume ls).
    type: dict
  disk_usage:
    description:
      - Whether to tell how much all of it takes. The daemon adds it up, which takes a while on a host with many
        containers.
    type: bool
    default: false
  verbose_output:
    description:
      - Whether lists and O(disk_usage) are whole, instead of the few things that identify each entry.
    type: bool
    default: false
seealso:
  - module: strata.virt.host_info
  - module: strata.virt.docker_container_info
  - module: strata.virt.docker_prune
"""

EXAMPLES = r"""
- name: The daemon, and what runs on it of one project
  strata.virt.docker_host_info:
    containers: true
    containers_filters: {label: com.docker.compose.project=api}
  register: docker

- name: Whether it uses cgroup v2
  ansible.builtin.debug:
    msg: "Docker {{ docker.host_info.ServerVersion }} on cgroup v{{ docker.host_info.CgroupVersion }}"
"""

RETURN = r"""
can_talk_to_docker:
  description: Always V(true). Where no daemon answers, the task fails.
  returned: always
  type: bool
  sample: true
host_info:
  description: What C(docker info --format json) says.
  returned: always
  type: dict
  sample: {ServerVersion: 26.1.5, Driver: overlay2, CgroupVersion: "2", NCPU: 2}
containers:
  description: The containers.
  returned: with O(containers)
  type: list
  elements: dict
  sample:
    - Id: 4c01db0b339c6fc1a1dbc4b0c2dc0ad8e1fbc8b4e0e4a95a2a0f2d7d8d0b4e11
      Image: "myweb:1.0"
      Command: sleep infinity
      Created: 1790000000
      Status: Up 2 seconds
      Ports: []
      Names: [/api-api-1]
images:
  description: The images.
  returned: with O(images)
  type: list
  elements: dict
  sample:
    - {Id: "sha256:6d3e4188a38a", RepoTags: ["myweb:1.0"], Created: 1790000000, Size: 1981342}
networks:
  description: The networks.
  returned: with O(networks)
  type: list
  elements: dict
  sample:
    - {Id: 7e5b91c0, Driver: bridge, Name: api_default, Scope: local}
volumes:
  description: The volumes.
  returned: with O(volumes)
  type: list
  elements: dict
  sample:
    - {Driver: local, Name: pgdata}
disk_usage:
  description: Bytes that all layers of images take, or with O(verbose_output) all that C(docker system df) tells.
  returned: with O(disk_usage)
  type: dict
  sample: {LayersSize: 1981342}
"""

from ansible_collections.strata.virt.plugins.module_utils.acts import docker_host
from ansible_collections.strata.virt.plugins.module_utils.core.doors import act


def main() -> None:
    act(docker_host.FIELDS, docker_host.tell)


if __name__ == "__main__":
    main()
