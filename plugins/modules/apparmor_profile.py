#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: apparmor_profile
short_description: AppArmor profiles, loaded now and at boot
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Keeps a file in C(/etc/apparmor.d), and what the kernel has loaded from it, in one mode.
  - A profile is compiled before anything is touched. What does not parse is told with its line, also in check mode.
  - What is loaded is compared by the kernel's own hashes, so that a policy that somebody else loaded under the same
    name is seen, whatever the file says.
  - A changed profile replaces the loaded one. Processes under it go on, under the new rules.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - a kernel with AppArmor
  - apparmor_parser (package apparmor)
options:
  name:
    description:
      - The name of the file in C(/etc/apparmor.d). The profiles in it have names of their own, which the parser
        tells. All of them, and those within others, are loaded and unloaded together.
    type: str
    required: true
  state:
    description:
      - V(loaded) has it in the kernel, now and at boot.
      - V(disabled) takes it out of the kernel, and keeps it out at boot by a link in C(/etc/apparmor.d/disable), as
        C(aa-disable) does. The file stays.
      - V(absent) takes it out and removes the file, where this collection made it. The file of a package is refused.
        Processes under the profile go on without it.
    type: str
    choices: [loaded, disabled, absent]
    default: loaded
  content:
    description:
      - The whole text of the file. Where neither it nor O(src) is given, the file stays as it is, and must be there.
      - A profile that is loaded already, and from elsewhere, is refused.
    type: str
  src:
    description:
      - A file on the managed host that has the text.
    type: str
  mode:
    description:
      - V(enforce) refuses what the profile doesn't allow. V(complain) notes it in the log only, by a link in
        C(/etc/apparmor.d/force-complain), which the parser heeds now and at boot. It is the mode of all profiles in
        the file.
      - V(enforce) is refused for a text with the flag C(complain).
    type: str
    choices: [enforce, complain]
seealso:
  - module: strata.virt.apparmor_profile_info
  - module: strata.virt.seccomp_profile
  - module: strata.virt.docker_container
  - module: strata.virt.lxc_container
"""

EXAMPLES = r"""
- name: A worker that reads its data and writes its results
  strata.virt.apparmor_profile:
    name: worker
    mode: enforce
    content: |
      abi <abi/3.0>,
      include <tunables/global>

      profile worker /usr/local/bin/worker {
        include <abstractions/base>

        /usr/local/bin/worker mr,
        /srv/data/** r,
        owner /srv/results/** rw,
      }

- name: Only watch what lsb_release would be refused, with the profile of the distribution
  strata.virt.apparmor_profile:
    name: lsb_release
    mode: complain

- name: Take the worker's away
  strata.virt.apparmor_profile:
    name: worker
    state: absent
"""

RETURN = r"""
changes:
  description:
    - What is different now, or would be, one entry a value. C(text) is the file by its lines, C(loaded_from) whether
      what is loaded comes from it, C(enabled) whether it is loaded at boot.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: mode, before: complain, after: enforce, effect: live, layer: running}
restart_required:
  description: Always empty. Profiles are replaced under the processes that they confine.
  returned: always
  type: list
  elements: str
  sample: []
resource:
  description: What the host has now. C(running) is what the kernel has loaded.
  returned: always
  type: dict
  sample:
    name: worker
    status: loaded
    owner: ""
    options: {name: worker, state: loaded, content: "profile worker /usr/local/bin/worker {\n}\n"}
    running: {mode: enforce, loaded_from: this file}
    facts: {noted: true, profiles: [worker]}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.apparmor_profile import ApparmorProfile


def main() -> None:
    converge(ApparmorProfile)


if __name__ == "__main__":
    main()
