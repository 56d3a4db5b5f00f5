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
  - It builds with the builder that is part of the daemon. What only BuildKit has, such as C(RUN --mount=type=secret),
    is not available.
extends_documentation_fragment:
  - strata.virt.image
  - strata.virt.over_docker
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
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
        description: The network of C(RUN).
        type: str
      platform:
        description: The platform to build for, as V(linux/arm64).
        type: str
      cache_from:
        description: Images whose layers may be taken from the cache.
        type: list
        elements: str
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
