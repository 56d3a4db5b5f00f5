#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_play_info
short_description: What Podman plays from documents of Kubernetes
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells what M(strata.virt.podman_play) played, what its pods do, and the options that declare it.
  - Documents that hold a Secret aren't told. The options without them leave what is played as it is.
extends_documentation_fragment:
  - strata.virt.over_podman
  - strata.virt.informs
options:
  name:
    description:
      - The plays to tell of. All where it is not given.
    type: list
    elements: str
seealso:
  - module: strata.virt.podman_play
"""

EXAMPLES = r"""
- name: What is played
  strata.virt.podman_play_info:
  register: found
"""

RETURN = r"""
resources:
  description: One entry each. C(options) are the options of M(strata.virt.podman_play) that declare it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: press
      status: running
      owner: ""
      options: {name: press, state: started, definition: [{kind: Pod, metadata: {name: press}}]}
      running: null
      facts: {pods: {press: {id: 448af850..., status: Running, containers: {press-web: running}}}}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import inform
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_play import PodmanPlay


def main() -> None:
    inform(PodmanPlay)


if __name__ == "__main__":
    main()
