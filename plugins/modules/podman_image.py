#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_image
short_description: Images of Podman, root's or a plain user's
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Builds an image, loads it from an archive or pulls it, gives it further tags, pushes it, saves it, and removes it.
  - A build is repeated when what is in its context changes, or an option that has a say in the result. Digests of
    both
    are labels of the image. What C(.containerignore), or C(.dockerignore) where there is none, leaves out doesn't
    count, and neither do times and owners of files.
  - A name without a registry is that of an image that was built or loaded here, C(localhost/) to Podman. Where a
    short
    name is pulled from, C(registries.conf) says.
extends_documentation_fragment:
  - strata.virt.image
  - strata.virt.over_podman
  - strata.virt.converges
requirements:
  - skopeo on the managed host for O(push) and for O(force_source) of what is pulled
options:
  source:
    description:
      - Where it comes from. V(local) only expects it to be there. Where it is not given, it is V(build) with
        O(build),
        V(load) with O(load_path), else V(pull).
    type: str
    choices: [build, load, pull, local]
  build:
    description:
      - How it is built.
    type: dict
    suboptions:
      path:
        description: The folder on the managed host that is the context. That user's Podman gets a copy of it.
        type: str
        required: true
      dockerfile:
        description:
          - The file that says how to build, relative to O(build.path). C(Containerfile), or C(Dockerfile) where
            there is
            none, if it is not given.
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
        description: The network of C(RUN), V(none), V(host) or a network's name. One of its own where it is not given.
        type: str
      platform:
        description:
          - The platforms to build for, as V(linux/arm64). With several the name is that of a list of images, one
            a platform, as C(podman build --platform ... --manifest) makes it. It is built anew where the list has
            others, or one of its images is gone.
          - Several don't go together with O(build.cache_from), O(build.cache_to) and O(archive_path).
          - A C(RUN) for another processor takes what lets the kernel run it (binfmt_misc), as C(qemu-user-static) does.
        type: list
        elements: str
      shm_size:
        description: The size of C(/dev/shm) while building, as V(128M).
        type: str
      cache_from:
        description:
          - Repositories, without a tag, whose layers may be taken, as O(build.cache_to) left them there.
        type: list
        elements: str
      cache_to:
        description:
          - Repositories, without a tag, that the layers of each step are pushed to.
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
      format:
        description: The form of the image. V(docker) where it is not given; only that one can have a C(HEALTHCHECK).
        type: str
        choices: [docker, oci]
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
  load_path:
    description:
      - An archive on the managed host, as C(docker save) and C(podman save) write it. The image is loaded again
        where the archive has
        another one.
    type: str
  force_absent:
    description:
      - Takes its last name away even if containers were made from it; the image stays without a name until they are
        gone.
    type: bool
    default: false
  push:
    description:
      - Pushes O(repository), or O(name) where there is none, unless the registry has it; of a list, all of its images.
        The credentials are those of C(podman login) of that user.
    type: bool
    default: false
  tls_verify:
    description:
      - Whether registries have to prove who they are. What C(registries.conf) says of them where it is not given.
    type: bool
seealso:
  - module: strata.virt.podman_image_info
  - module: strata.virt.podman_container
"""

EXAMPLES = r"""
- name: Build it, with a further tag and an archive of it
  strata.virt.podman_image:
    name: mysite
    tag: "1.0"
    build: {path: /srv/myweb, labels: {tier: front}}
    repository: [mysite:stable]
    archive_path: /srv/mysite.tar

- name: Build an image for each of two processors, under one name
  strata.virt.podman_image:
    name: mydata
    tag: "1.0"
    build: {path: /srv/mydata, platform: [linux/amd64, linux/arm64]}

- name: Load it from the archive for a plain user, under another name
  strata.virt.podman_image: {name: "restored:1.0", load_path: /srv/mysite.tar, user_scope: deploy}
  become: true

- name: Take one name away; the image stays, because it has others
  strata.virt.podman_image: {name: "restored:1.0", user_scope: deploy, state: absent}
  become: true
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
    facts:
      id: 6b1c...
      size: 1948672
      tags: ["localhost/myweb:1.0"]
      digests: ["localhost/myweb@sha256:8f2e..."]
      containers: []
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_image import PodmanImage


def main() -> None:
    converge(PodmanImage)


if __name__ == "__main__":
    main()
