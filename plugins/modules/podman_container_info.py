#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_container_info
short_description: Containers of Podman, whoever made them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which containers there are, running or not, and the options that declare them.
extends_documentation_fragment:
  - strata.virt.over_podman
  - strata.virt.informs
options:
  name:
    description:
      - The containers to tell of; all where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.podman_container
"""

EXAMPLES = r"""
- name: All of root's containers
  strata.virt.podman_container_info:
  register: containers

- name: Those of a plain user
  strata.virt.podman_container_info:
    user_scope: deploy
  become: true
"""

RETURN = r"""
resources:
  description: One entry a container. C(options) are the options of M(strata.virt.podman_container) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: web
      status: running
      owner: ""
      options: {name: web, image: "localhost/myweb:1.0", memory: 512M, cpus: 1.5, pids_limit: 256, state: started}
      running: null
      facts: {pid: 2809, health: null, exit_code: null}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_container import PodmanContainer


def main() -> None:
    inform(PodmanContainer)


if __name__ == "__main__":
    main()
