#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_login
short_description: Registries that a user of Podman is logged in to
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Logs a user in to a registry, and out of it, as C(podman login) and C(podman logout) do.
  - New credentials are shown to the registry before they are kept, in check mode, too. Where they are refused, those
    that are there stay.
extends_documentation_fragment:
  - strata.virt.login
  - strata.virt.converges
requirements:
  - Podman on the managed host (podman); no Python library
options:
  registry_url:
    description:
      - The registry, by host and port, as V(registry.example.org:5000), or a part of it, as V(quay.io/team).
    type: str
    required: true
    aliases: [registry, url]
  user_scope:
    description:
      - Whose Podman it is. Not given, that of the user who runs the module, whom C(become_user) may change.
      - For another user than oneself, root is needed. That user needs no login session.
    type: str
  authfile:
    description:
      - The file that credentials are kept in. C(~) is the home of the user.
      - The default stays over a reboot, and Podman looks there after the file that C(podman login) writes of itself,
        which is below C(/run).
      - Where it names a credential helper (C(credHelpers)), that one is asked and told.
    type: str
    default: ~/.config/containers/auth.json
    aliases: [config_path]
  tls_verify:
    description:
      - Whether the registry has to have a certificate that is good. Not given, as C(registries.conf) says.
    type: bool
    aliases: [tlsverify]
  cert_dir:
    description:
      - The folder of certificates for the registry. Not given, Podman's own.
    type: str
    aliases: [certdir]
seealso:
  - module: strata.virt.podman_login_info
  - module: strata.virt.podman_image
"""

EXAMPLES = r"""
- name: Log in to a registry without TLS
  strata.virt.podman_login:
    registry_url: 127.0.0.1:5019
    username: deploy
    password: "correct horse"
    tls_verify: false

- name: A plain user, who needs no session
  strata.virt.podman_login:
    registry_url: 127.0.0.1:5019
    user_scope: deploy
    username: deploy
    password: "correct horse"
    tls_verify: false

- name: Log out
  strata.virt.podman_login: {registry_url: "127.0.0.1:5019", state: absent}
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
    facts: {path: /home/deploy/.config/containers/auth.json, helper: null}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_login import PodmanLogin


def main() -> None:
    converge(PodmanLogin)


if __name__ == "__main__":
    main()
