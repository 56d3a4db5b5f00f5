#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_secret_info
short_description: Secrets of Podman, whoever made them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which secrets there are, their drivers and labels, but not what is kept.
extends_documentation_fragment:
  - strata.virt.over_podman
  - strata.virt.informs
options:
  name:
    description:
      - The secrets to tell of. All where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.podman_secret
"""

EXAMPLES = r"""
- name: All secrets
  strata.virt.podman_secret_info:
  register: secrets
"""

RETURN = r"""
resources:
  description: One entry a secret. C(options) are the options of M(strata.virt.podman_secret) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: token
      status: present
      owner: ""
      options: {name: token, driver: file, labels: {tier: back}, state: present}
      running: null
      facts: {id: 6a3f2b1c..., created: "2026-01-02T03:04:05Z", updated: "2026-01-02T03:04:05Z"}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_secret import PodmanSecret


def main() -> None:
    inform(PodmanSecret)


if __name__ == "__main__":
    main()
