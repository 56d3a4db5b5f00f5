#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_image
short_description: Images of a Docker daemon
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Builds an image, loads it from an archive or pulls it, gives it further tags, pushes it, saves it, and removes it.
  - A build is repeated when what is in its context changes, or an option that has a say in the result. Digests of both
    are labels of the image. What C(.dockerignore) leaves out doesn't count, and neither do times and owners of files.
  - It builds with BuildKit where the plugin buildx of Docker's command line is installed, else with the older builder;
    both are part of the daemon.
extends_documentation_fragment:
  - strata.virt.image
  - strata.virt.over_docker
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
  - Docker's plugin buildx 0.10 or newer on the managed host for what only BuildKit has (docker-buildx-plugin from
    Docker, docker-buildx of Debian)
options:
  source:
    description:
      - Where it comes from. V(local) only expects it to be there. Where it is not given, it is V(build) with O(build),
        V(load) with O(load_path), else V(pull).
    type: str
    choices: [build, load, pull, local]
  build:
    description:
      - How it is built.
    type: dict
    suboptions:
      path:
        description: The folder on the managed host that is the context.
        type: str
        required: true
      dockerfile:
        description: The Dockerfile, relative to O(build.path). C(Dockerfile) where it is not given.
        type: str
      args:
        description: Values of C(ARG). They can be read in the image's history, so that secrets have no place here.
        type: dict
      target:
        description: The stage to build.
        type: str
      labels:
        description: Labels of the image.
        type: dict
      network:
        description:
          - The network of C(RUN). With BuildKit V(default), V(none) or V(host), else also one of the daemon's by name.
        type: str
      platform:
        description:
          - The platforms to build for, as V(linux/arm64). Several of them take BuildKit and a daemon whose images
            containerd stores.
        type: list
        elements: str
      shm_size:
        description: The size of C(/dev/shm) while building, as V(128M).
        type: str
      builder:
        description:
          - V(buildkit), or V(classic), the older builder. V(auto), as it is where it is not given, is what
            C(docker build) does - BuildKit where buildx is installed, else the older one. What only one of them has
            decides by itself - O(build.secrets), O(build.ssh), O(build.cache_to), O(build.outputs) and several of
            O(build.platform) for BuildKit, a network of the daemon's in O(build.network) for the older one.
        type: str
        choices: [auto, buildkit, classic]
      secrets:
        description:
          - What C(RUN --mount=type=secret) may read. Neither the image nor its history has it.
          - Another content alone doesn't build again.
        type: list
        elements: dict
        suboptions:
          id:
            description: Its name, and that of the file below C(/run/secrets).
            type: str
            required: true
          type:
            description: Whether it is in a file of the managed host, in the environment of the module, or given here.
            type: str
            choices: [file, env, value]
            required: true
          src:
            description: The file, with O(build.secrets[].type=file).
            type: str
          env:
            description: The variable, with O(build.secrets[].type=env).
            type: str
          value:
            description: The secret itself, with O(build.secrets[].type=value).
            type: str
      ssh:
        description:
          - What C(RUN --mount=type=ssh) may log in with, as C(docker build --ssh) takes it - V(default) for the agent
            of the user that runs the module, V(default=/root/.ssh/id_ed25519) for a key on the managed host.
        type: list
        elements: str
      cache_from:
        description:
          - Images whose layers may be taken from the cache. BuildKit takes them from what V(type=inline) of
            O(build.cache_to) left there, and other places, too, in the words of C(docker build --cache-from).
        type: list
        elements: str
      cache_to:
        description:
          - Where BuildKit leaves what O(build.cache_from) can take, in the words of C(docker build --cache-to).
            V(type=inline) is in the image itself; the others take a daemon whose images containerd stores.
        type: list
        elements: str
      outputs:
        description:
          - Where else BuildKit puts what it built. Written with each build, and again where it isn't there any more or
            is another image's. Files of a folder that are changed or removed later aren't seen.
        type: list
        elements: dict
        suboptions:
          type:
            description:
              - V(local) and V(tar) for the files of the image, in a folder or in an archive, V(oci) for the image
                itself, which takes a daemon whose images containerd stores.
            type: str
            choices: [local, tar, oci]
            required: true
          dest:
            description: The folder or the archive on the managed host.
            type: str
            required: true
      etc_hosts:
        description: Further names and addresses in C(/etc/hosts) while building.
        type: dict
      nocache:
        description: Whether every step is run, once there is something to build.
        type: bool
      pull:
        description: Whether the images that it is built upon are pulled, once there is something to build.
        type: bool
  load_path:
    description:
      - An archive on the managed host, as C(docker save) writes it. The image is loaded again where the archive has
        another one.
    type: str
  force_absent:
    description:
      - Removes it from under stopped containers.
    type: bool
    default: false
  push:
    description:
      - Pushes O(repository), or O(name) where there is none, unless the registry has it. The credentials are those of
        C(docker login) of the user that runs the module.
    type: bool
    default: false
seealso:
  - module: strata.virt.docker_image_info
  - module: strata.virt.docker_container
"""

EXAMPLES = r"""
- name: Build it, with a further tag and an archive of it
  strata.virt.docker_image:
    name: myweb
    tag: "1.0"
    build: {path: /srv/myweb, labels: {tier: front}}
    repository: [myweb:stable]
    archive_path: /srv/myweb.tar

- name: Load it from the archive, under another name
  strata.virt.docker_image: {name: "restored:1.0", load_path: /srv/myweb.tar}

- name: Take one name away; the image stays, because it has others
  strata.virt.docker_image: {name: "restored:1.0", state: absent}
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
    name: myweb:1.0
    status: present
    owner: ""
    options: {name: "myweb:1.0", state: present}
    running: null
    facts: {id: "sha256:6b1c...", size: 1948672, tags: ["myweb:1.0"], digests: [], containers: []}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_image import DockerImage


def main() -> None:
    converge(DockerImage)


if __name__ == "__main__":
    main()
