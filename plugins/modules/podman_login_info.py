#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_login_info
short_description: Registries that a user of Podman is logged in to, and as whom
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which registries a user is logged in to, and as whom. Passwords are not told.
extends_documentation_fragment:
  - strata.virt.informs
options:
  name:
    description:
      - The registries to tell of, by host and port. All where it is not given.
    type: list
    elements: str
  user_scope:
    description:
      - Whose Podman it is. Not given, that of the user who runs the module, whom C(become_user) may change.
    type: str
  authfile:
    description:
      - The file that credentials are kept in. Where it names a credential helper, that one is asked.
    type: str
    default: ~/.config/containers/auth.json
    aliases: [config_path]
requirements:
  - Podman on the managed host (podman)
  - The credential helper that the file names, if it names one
seealso:
  - module: strata.virt.podman_login
"""

EXAMPLES = r"""
- name: All registries that a plain user is logged in to
  strata.virt.podman_login_info: {user_scope: deploy}
  register: logins
"""

RETURN = r"""
resources:
  description: One entry a registry. C(options) are the options of M(strata.virt.podman_login) that declare it, without
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
      facts: {path: /home/deploy/.config/containers/auth.json, helper: null}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_login import PodmanLogin


def main() -> None:
    inform(PodmanLogin)


if __name__ == "__main__":
    main()
