#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nspawn_image_info
short_description: Images of systemd-nspawn, and what is known of them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells of the trees and disks in C(/var/lib/machines), whoever made them. Symbolic links are none; they are told of
    with the image that they lead to.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - systemd 247 or newer
  - machinectl (package systemd-container)
options:
  name:
    description:
      - The images to tell of; all where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.nspawn_image
"""

EXAMPLES = r"""
- name: Where every image came from, and who runs from it
  strata.virt.nspawn_image_info:
  register: images
"""

RETURN = r"""
resources:
  description: One entry an image. C(options) are the options of M(strata.virt.nspawn_image) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: golden
      status: present
      owner: ""
      options: {name: golden, source: {rootfs: /srv/trees/base}, read_only: true, state: present}
      running: null
      facts: {path: /var/lib/machines/golden, type: directory, made: "2026-05-04T09:12:33Z", machines: [web],
        leftovers: []}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.nspawn_image import NspawnImage


def main() -> None:
    inform(NspawnImage)


if __name__ == "__main__":
    main()
