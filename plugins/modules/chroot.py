#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: chroot
short_description: Jails of chroot(2), with their mounts kept ready
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Mounts in a directory tree what programs count on that run in it with C(chroot), and keeps that so.
  - Mount points are found as a process sees them whose root is the tree. No link in it leads to anything outside.
  - Mounting is in order, unmounting in reverse order. Nothing is unmounted while it is in use, and nothing is removed.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - Linux 5.12 or newer
  - systemd, for O(persistent)
options:
  path:
    description:
      - The tree, an absolute path without symbolic links, not V(/). It must be there. It is never removed.
    type: str
    required: true
  state:
    description:
      - V(mounted) mounts what O(mounts) and O(binds) name.
      - V(unmounted) unmounts it, and leaves what O(persistent) has stored for the next boot.
      - V(absent) unmounts it and takes its units away. The tree stays, with the mount points that were made in it.
    type: str
    choices: [mounted, unmounted, absent]
    default: mounted
  mounts:
    description:
      - What is mounted, in whatever order it is given, each at its place in the tree. A missing place is made.
      - V(proc), a procfs at C(/proc), and V(sys), a read-only sysfs at C(/sys).
      - V(dev), the host's C(/dev), without what is mounted below it; V(devpts), pseudoterminals of the tree's own at
        C(/dev/pts); V(shm), an empty tmpfs at C(/dev/shm).
      - V(run) and V(tmp), an empty tmpfs each, at C(/run) and C(/tmp).
      - V(resolv_conf), the host's C(/etc/resolv.conf), read-only, over that of the tree, which stays as it is below.
      - An empty list takes all of them away.
    type: list
    elements: str
  binds:
    description:
      - Directories and files of the host that are seen in the tree, too, without what is mounted below them.
      - An empty list takes away those that this module made.
    type: list
    elements: dict
    suboptions:
      source:
        description:
          - The directory or file of the host, an absolute path without symbolic links.
        type: str
        required: true
      path:
        description:
          - Its place in the tree. It is made where it is missing.
        type: str
        required: true
      read_only:
        description:
          - Whether it can't be written through the tree.
        type: bool
  persistent:
    description:
      - Whether it is mounted at boot, by a systemd unit in C(/etc/systemd/system) for each mount.
    type: bool
seealso:
  - module: strata.virt.chroot_info
  - module: strata.virt.rootfs
  - module: strata.virt.overlay
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: A jail that programs feel at home in
  strata.virt.chroot: {path: /srv/jail, state: mounted, mounts: [proc, sys, dev, devpts, resolv_conf]}

- name: With some data to read, and at boot
  strata.virt.chroot:
    path: /srv/jail
    mounts: [proc, dev, devpts, tmp]
    binds:
      - {source: /srv/data, path: /data, read_only: true}
    persistent: true

- name: Unmount everything; the tree stays
  strata.virt.chroot:
    path: /srv/jail
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: mounts, before: [proc], after: [proc, sys], effect: live, layer: running}
restart_required:
  description: Options that take effect only after an interruption that wasn't allowed. Empty for a jail.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now. C(running) is what is mounted.
  returned: always
  type: dict
  sample:
    name: /srv/jail
    status: mounted
    owner: ""
    options: {path: /srv/jail, mounts: [proc, sys], state: mounted}
    running: {mounts: [proc, sys], binds: [], extra: []}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.chroot import Chroot


def main() -> None:
    converge(Chroot)


if __name__ == "__main__":
    main()
