#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_quadlet_info
short_description: Quadlets of Podman, whoever wrote them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which quadlets a user has, what they say, and how their services are.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - Podman 5.0 or newer and systemd on the managed host
options:
  name:
    description:
      - The quadlets to tell of, by the names of their files, as V(web.container). All where it is not given.
    type: list
    elements: str
  user_scope:
    description:
      - Whose quadlets they are. Not given, those of the user who runs the module. For another user, root is needed.
    type: str
seealso:
  - module: strata.virt.podman_quadlet
"""

EXAMPLES = r"""
- name: All of a plain user
  strata.virt.podman_quadlet_info: {user_scope: deploy}
  become: true
  register: quadlets
"""

RETURN = r"""
resources:
  description: One entry a quadlet. C(options) are the options of M(strata.virt.podman_quadlet) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: web.container
      status: running
      owner: ""
      options: {name: web, sort: container, settings: {Container: {Image: "localhost/myweb:1.0"}}, state: started}
      running: {outdated: false}
      facts:
        path: /etc/containers/systemd/users/1001/web.container
        service: web.service
        active: active
        sub: running
        result: success
        pid: 2711
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_quadlet import PodmanQuadlet


def main() -> None:
    inform(PodmanQuadlet)


if __name__ == "__main__":
    main()
