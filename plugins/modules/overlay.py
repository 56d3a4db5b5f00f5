#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: overlay
short_description: Overlays of overlayfs, now and at boot
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Mounts directories over each other as one, and keeps that so.
  - What is mounted is compared with what is declared by the kernel's own table of mounts, whoever mounted it.
  - The kernel can't change the layers of what is mounted. See O(restart) for what happens when the declaration changes.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - a kernel with overlayfs
  - systemd, for O(persistent)
options:
  path:
    description:
      - Where the merged directory is, an absolute path without symbolic links. It is made where it is missing.
      - A path at which something else is mounted is refused.
    type: str
    required: true
  state:
    description:
      - V(mounted) mounts it.
      - V(unmounted) unmounts it, and leaves what O(persistent) has stored for the next boot.
      - V(absent) unmounts it and takes its unit away, and those of the directories made for it that are empty.
      - It is never unmounted while it is in use. The error names the processes, and the mounts within.
    type: str
    choices: [mounted, unmounted, absent]
    default: mounted
  lower:
    description:
      - The directories to read from, the uppermost first. They must be there. Without O(upper), two or more.
    type: list
    elements: str
  upper:
    description:
      - The directory that takes what is written. Without one, the overlay is read-only.
      - It is made where it is missing, with the owner and the mode of the uppermost of O(lower).
    type: str
  work:
    description:
      - An empty directory on the same mounted file system as O(upper), for the kernel's own use; given with it, always.
        It is made where it is missing.
    type: str
  options:
    description:
      - Options of overlayfs, V(metacopy), V(redirect_dir), V(index), V(nfs_export), V(verity), each alone for V(on) or
        as V(index=off), and V(userxattr), V(volatile), V(default_permissions); and of the mount, V(ro), V(nosuid),
        V(nodev), V(noexec), V(noatime).
      - An empty list takes away what others gave. What the kernel has by its own defaults isn't shown and not compared.
    type: list
    elements: str
  persistent:
    description:
      - Whether it is mounted at boot, by a systemd unit in C(/etc/systemd/system) that carries the escaped path as its
        name and waits for the file systems of all layers.
    type: bool
  restart:
    description:
      - Whether it is unmounted and mounted anew for a change, as every change of layers and options needs it. V(never)
        stores the change where there is a unit and names it in RV(restart_required). V(always) does it on every run.
    type: str
    choices: [never, if_needed, always]
    default: never
seealso:
  - module: strata.virt.overlay_info
  - module: strata.virt.chroot
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: Two trees as one, what is written kept apart, now and at boot
  strata.virt.overlay:
    path: /srv/merged
    lower: [/srv/a, /srv/b]
    upper: /srv/upper
    work: /srv/work
    persistent: true

- name: Read-only, and mounted anew when the list changes
  strata.virt.overlay:
    path: /srv/view
    lower: [/srv/a, /srv/b]
    options: [nosuid, nodev]
    restart: if_needed

- name: Take it away; what was written stays in the upper directory
  strata.virt.overlay:
    path: /srv/merged
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: lower, before: [/srv/a], after: [/srv/a, /srv/b], effect: restart, layer: running}
restart_required:
  description: Options that are declared otherwise than mounted, and that nothing was unmounted for.
  returned: always
  type: list
  elements: str
  sample: [lower]
resource:
  description: What the host has now. C(running) is what is mounted.
  returned: always
  type: dict
  sample:
    name: /srv/merged
    status: mounted
    owner: ""
    options: {path: /srv/merged, lower: [/srv/a], upper: /srv/upper, work: /srv/work, state: mounted}
    running: {lower: [/srv/a], upper: /srv/upper, work: /srv/work, options: [], mounts: 1}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.overlay import Overlay


def main() -> None:
    converge(Overlay)


if __name__ == "__main__":
    main()
