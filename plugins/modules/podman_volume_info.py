#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_volume_info
short_description: Volumes of Podman, whoever made them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which volumes there are, the containers that have them mounted, running or not, and the options that declare
    them.
extends_documentation_fragment:
  - strata.virt.over_podman
  - strata.virt.informs
options:
  name:
    description:
      - The volumes to tell of. All where it is not given, but for those without a name, which belong to their
        container.
    type: list
    elements: str
seealso:
  - module: strata.virt.podman_volume
"""

EXAMPLES = r"""
- name: All volumes
  strata.virt.podman_volume_info:
  register: volumes
"""

RETURN = r"""
resources:
  description: One entry a volume. C(options) are the options of M(strata.virt.podman_volume) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: pgdata
      status: present
      owner: ""
      options: {name: pgdata, driver: local, labels: {backup: nightly}, state: present}
      running: null
      facts: {containers: {db: ""}, mountpoint: /var/lib/containers/storage/volumes/pgdata/_data}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_volume import PodmanVolume


def main() -> None:
    inform(PodmanVolume)


if __name__ == "__main__":
    main()
