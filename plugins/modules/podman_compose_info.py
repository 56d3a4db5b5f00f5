#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_compose_info
short_description: Projects of Compose on Podman, whoever made them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which projects a Podman has, from the labels of their containers and networks, and the options that declare
    them. Docker Compose itself needn't be installed.
extends_documentation_fragment:
  - strata.virt.over_podman
  - strata.virt.informs
requirements:
  - The Python library C(docker) on the managed host (python3-docker)
options:
  name:
    description:
      - The projects to tell of; all where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.podman_compose
"""

EXAMPLES = r"""
- name: All projects of root
  strata.virt.podman_compose_info:
  register: projects
"""

RETURN = r"""
resources:
  description: One entry a project. C(options) are the options of M(strata.virt.podman_compose) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: shop
      status: running
      owner: null
      options: {project_name: shop, project_src: /srv/shop, files: [/srv/shop/compose.yaml], state: present}
      running: null
      facts:
        services: {web: [{name: shop-web-1, image: "web:1.0", state: running, status: Up 3 hours (healthy)}]}
        networks: [shop_default]
        volumes: [shop_data]
        files: [/srv/shop/compose.yaml]
        folder: /srv/shop
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_compose import PodmanComposeProject


def main() -> None:
    inform(PodmanComposeProject)


if __name__ == "__main__":
    main()
