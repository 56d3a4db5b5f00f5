#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_login_info
short_description: Registries that a user of Docker is logged in to, and as whom
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which registries the user who runs the module is logged in to, and as whom. Passwords are not told.
extends_documentation_fragment:
  - strata.virt.over_docker
  - strata.virt.informs
options:
  name:
    description:
      - The registries to tell of, by host and port. All where it is not given.
    type: list
    elements: str
  config_path:
    description:
      - The file that credentials are kept in. Where it names a credential helper, that one is asked.
    type: str
    default: ~/.docker/config.json
    aliases: [dockercfg_path]
requirements:
  - The credential helper that the file names, if it names one
seealso:
  - module: strata.virt.docker_login
"""

EXAMPLES = r"""
- name: All registries that root is logged in to
  strata.virt.docker_login_info:
  register: logins
"""

RETURN = r"""
resources:
  description: One entry a registry. C(options) are the options of M(strata.virt.docker_login) that declare it, without
    the password.
  returned: always
  type: list
  elements: dict
  sample:
    - name: registry.example.org:5000
      status: present
      owner: ""
      options: {registry_url: "registry.example.org:5000", username: deploy, state: present}
      running: null
      facts: {path: /home/deploy/.docker/config.json, helper: null}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_login import DockerLogin


def main() -> None:
    inform(DockerLogin)


if __name__ == "__main__":
    main()
