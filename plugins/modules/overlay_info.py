#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: overlay_info
short_description: Overlays of overlayfs, and what they are made of
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which overlays are mounted and which are stored for the next boot, with their layers as the kernel has them.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - a kernel with overlayfs
options:
  name:
    description:
      - The paths of the overlays to tell of, whoever made them; where it is not given, all that M(strata.virt.overlay)
        made. Those of container engines are theirs.
    type: list
    elements: str
seealso:
  - module: strata.virt.overlay
"""

EXAMPLES = r"""
- name: All overlays of this collection
  strata.virt.overlay_info:
  register: overlays
"""

RETURN = r"""
resources:
  description: One entry an overlay. C(options) are the options of M(strata.virt.overlay) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: /srv/merged
      status: mounted
      owner: ""
      options: {path: /srv/merged, lower: [/srv/a], upper: /srv/upper, work: /srv/work, state: mounted}
      running: {lower: [/srv/a], upper: /srv/upper, work: /srv/work, options: [], mounts: 1}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.overlay import Overlay


def main() -> None:
    inform(Overlay)


if __name__ == "__main__":
    main()
