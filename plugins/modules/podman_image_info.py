#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_image_info
short_description: Images of Podman, whoever made them
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells which images there are, one entry a tag, with their IDs, digests and sizes, and the containers that were
    made
    from them. Of a list of images, C(platforms) are the IDs of those in it, by platform; none where it isn't on this
    host.
extends_documentation_fragment:
  - strata.virt.over_podman
  - strata.virt.informs
options:
  name:
    description:
      - The images to tell of; V(web) is C(web:latest). All that have a tag where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.podman_image
"""

EXAMPLES = r"""
- name: All images
  strata.virt.podman_image_info:
  register: images
"""

RETURN = r"""
resources:
  description: One entry a tag. C(options) are the options of M(strata.virt.podman_image) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: myweb:1.0
      status: present
      owner: ""
      options: {name: "myweb:1.0", state: present}
      running: null
      facts: {id: 6b1c..., size: 1948672, tags: ["localhost/myweb:1.0"], digests: [], containers: []}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_image import PodmanImage


def main() -> None:
    inform(PodmanImage)


if __name__ == "__main__":
    main()
