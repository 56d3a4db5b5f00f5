#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rootfs
short_description: Root file systems
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a root file system from packages, as a directory, a tar archive, or a disk image with one ext4 file system.
  - What it was made from is noted beside it, in C(PATH.strata.json). Where the declaration changes, a new one is
    built beside
    the old one and put in its place in one step.
  - Needs no root; without it, mmdebstrap makes the tree in a user namespace.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - mmdebstrap
  - mke2fs, for disks
options:
  path:
    description:
      - Where it is to be.
    type: str
    required: true
  state:
    description:
      - V(present) makes it, V(absent) removes it. What this module didn't make is neither replaced nor removed.
    type: str
    choices: [present, absent]
    default: present
  recreate:
    description:
      - Whether a changed declaration makes it anew.
    type: str
    choices: [never, if_needed, always]
    default: if_needed
  type:
    description:
      - What it is made by. V(debootstrap) is Debian and its relatives, by mmdebstrap.
    type: str
    choices: [debootstrap]
    default: debootstrap
  format:
    description:
      - What is made.
    type: str
    choices: [directory, tar, ext4]
    default: directory
  suite:
    description:
      - The release, such as V(trixie).
    type: str
  mirror:
    description:
      - Where its packages are. Without it, where mmdebstrap gets them for this release.
    type: str
  variant:
    description:
      - Which packages besides those named, see mmdebstrap(1).
    type: str
    default: minbase
  components:
    description:
      - The parts of the archive.
    type: list
    elements: str
  packages:
    description:
      - More packages.
    type: list
    elements: str
  size:
    description:
      - The size of the disk, such as V(8G), with O(format=ext4).
    type: str
  overlay:
    description:
      - A folder whose files are laid over the tree before its packages are configured. A change of its content is a
        change of the
        declaration.
    type: str
  run:
    description:
      - Programs to run inside at the end, each a list of words. No shell.
    type: list
    elements: list
  extract:
    description:
      - Files to copy out of it, by where they go on the host, such as the kernel for a VM that boots it directly.
    type: dict
"""

EXAMPLES = r"""
- name: A tree for containers
  strata.virt.rootfs:
    path: /var/lib/machines/deb
    type: debootstrap
    suite: trixie
    variant: minbase
    packages: [systemd, dbus]

- name: A disk that a VM boots, with its kernel beside it
  strata.virt.rootfs:
    path: /srv/vm/root.raw
    format: ext4
    size: 4G
    suite: trixie
    packages: [linux-image-amd64, systemd-sysv, openssh-server]
    run: [[systemctl, enable, systemd-networkd]]
    extract: {/srv/vm/vmlinuz: /vmlinuz, /srv/vm/initrd: /initrd.img}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
restart_required:
  description: Options that take effect only after an interruption that wasn't allowed.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: /var/lib/machines/deb
    status: present
    owner: ""
    options: {path: /var/lib/machines/deb, type: debootstrap, format: directory, suite: trixie, packages: [dbus,
    systemd]}
    running: null
    facts: {}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.rootfs import Rootfs


def main() -> None:
    converge(Rootfs)


if __name__ == "__main__":
    main()
