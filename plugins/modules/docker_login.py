#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_login
short_description: Registries that a user of Docker is logged in to
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Logs the user who runs the module in to a registry, and out of it, as C(docker login) and C(docker logout) do.
  - New credentials are shown to the registry before they are kept, in check mode, too. Where they are refused, those
    that are there stay.
extends_documentation_fragment:
  - strata.virt.login
  - strata.virt.over_docker
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  registry_url:
    description:
      - The registry, by host and port. A scheme, and a path of C(/v1) or C(/v2), may be there.
    type: str
    default: https://index.docker.io/v1/
    aliases: [registry, url]
  config_path:
    description:
      - The file that credentials are kept in. Where it names a credential helper, that one is asked and told.
    type: str
    default: ~/.docker/config.json
    aliases: [dockercfg_path]
seealso:
  - module: strata.virt.docker_login_info
  - module: strata.virt.docker_image
"""

EXAMPLES = r"""
- name: Log in to a registry
  strata.virt.docker_login:
    registry_url: 127.0.0.1:5019
    username: deploy
    password: "correct horse"

- name: Log out
  strata.virt.docker_login: {registry_url: "127.0.0.1:5019", state: absent}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value. Passwords are not shown.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: state, before: absent, after: present, effect: create, layer: config}
restart_required:
  description: Always empty, because logging in interrupts nothing.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: registry.example.org:5000
    status: present
    owner: ""
    options: {registry_url: "registry.example.org:5000", username: deploy, state: present}
    running: null
    facts: {path: /home/deploy/.docker/config.json, helper: null}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_login import DockerLogin


def main() -> None:
    converge(DockerLogin)


if __name__ == "__main__":
    main()
