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
  - strata.virt.over_docker
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - Docker Compose 2.24 or newer, as the plugin (docker-compose-plugin) or as the program (docker-compose)
  - The Python library C(docker) on the managed host (python3-docker)
options:
  project_name:
    description:
      - The name of the project.
      - Where it is not given, it is the C(name) of the definition or of the files, else that of the folder
        O(project_src).
    type: str
  state:
    description:
      - V(present) and V(started) create what is missing, and start it, as C(docker compose up) does.
      - V(stopped) creates what is missing, and stops what runs.
      - V(restarted) is V(started), and every container starts anew that the task doesn't start anyway.
      - V(absent) stops and removes every container of the project, also those of services that it no longer has, and
        its networks. Its name is enough for that. Volumes and images stay, unless O(remove_volumes) and
        O(remove_images) say otherwise.
    type: str
    choices: [present, started, stopped, restarted, absent]
    default: present
  project_src:
    description:
      - The folder of the project, where C(compose.yaml) is, and that relative paths are relative to.
      - Where neither it nor O(files) nor O(definition) is given, a project that is there is made from what it was made
        from before.
    type: str
  files:
    description:
      - The files of the project, relative to O(project_src), the later ones on top of those before. Where they are not
        given, those that Compose looks for.
    type: list
    elements: str
  definition:
    description:
      - The project itself, in place of files. Relative paths in it are relative to O(project_src).
    type: dict
  env_files:
    description:
      - Where the variables come from that the files use, relative to O(project_src). Where they are not given, C(.env).
    type: list
    elements: str
  profiles:
    description:
      - The profiles to enable.
    type: list
    elements: str
  services:
    description:
      - The services that the task is about, and with O(dependencies=true) those that they depend on. All that
        O(profiles) enable where it is not given.
    type: list
    elements: str
  dependencies:
    description:
      - Whether the services that O(services) depend on are declared with them.
    type: bool
    default: true
  scale:
    description:
      - How many containers services have, by service, in place of what the files say.
    type: dict
  pull:
    description:
      - V(missing) pulls an image that is not there. V(always) also one of which its registry has another than the host.
        V(never) pulls none. V(policy) does what C(pull_policy) of each service says, which is V(missing) by itself.
      - What a registry has, it is asked in check mode, too.
    type: str
    choices: [always, missing, never, policy]
    default: policy
  build:
    description:
      - V(policy) builds an image that is not there, or what C(pull_policy) of the service says. V(never) builds none.
      - V(always) builds again when the content of the context changed, or how it is built. The image has labels that
        tell what it was built from; a context that is no folder of the host counts as unchanged.
    type: str
    choices: [always, never, policy]
    default: policy
  recreate:
    description:
      - V(auto) makes containers anew whose service or image changed. V(never) leaves them, and C(restart_required)
        names what differs. V(always) makes all anew.
    type: str
    choices: [always, never, auto]
    default: auto
  renew_anon_volumes:
    description:
      - Whether containers that are made anew get new volumes where they had some without a name.
    type: bool
    default: false
  remove_orphans:
    description:
      - Whether containers of services go that the project no longer has.
    type: bool
    default: false
  remove_images:
    description:
      - Which images go with a project that becomes V(absent), if no other container needs them. V(all) that its
        containers were made from, or V(local), those that Compose built and named itself.
    type: str
    choices: [all, local]
  remove_volumes:
    description:
      - Whether the volumes of a project that becomes V(absent) go with it, and what is in them.
    type: bool
    default: false
  timeout:
    description:
      - Seconds that a container has to stop.
    type: int
  wait:
    description:
      - Whether to wait until services run, and are healthy where they have a health check. One that isn't is a change.
    type: bool
    default: false
  wait_timeout:
    description:
      - Seconds to wait at most.
    type: int
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
