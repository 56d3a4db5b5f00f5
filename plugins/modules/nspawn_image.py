#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nspawn_image
short_description: Images of systemd-nspawn, and where they came from
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Keeps an image in C(/var/lib/machines), a tree or a disk, that M(strata.virt.nspawn_container) and C(machinectl) run
    machines from.
  - What it was made from is noted beside it, in C(NAME.strata.json). On btrfs, trees are subvolumes, and copies are
    snapshots.
  - An image that a machine runs from, or leads to, is neither removed, renamed nor replaced.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - systemd 247 or newer
  - machinectl, and importctl from systemd 256 on (package systemd-container)
options:
  name:
    description:
      - The image, a host name of at most 64 letters, digits, V(-) and V(.), so that a machine can have the same.
    type: str
    required: true
  state:
    description:
      - V(present) makes it of its O(source), and holds it to the other options.
      - V(absent) removes it, if this module made it, see O(force_absent).
    type: str
    choices: [present, absent]
    default: present
  source:
    description:
      - What it is made from; one of its options but for O(source.verify) and O(source.checksum). An image that is
        there needs none.
    type: dict
    suboptions:
      rootfs:
        description:
          - A directory of the host. A snapshot of it is taken where both are on one btrfs, else it is copied, and
            nobody may use it meanwhile.
        type: str
      image:
        description:
          - Another image, likewise.
        type: str
      tar:
        description:
          - An archive on the host, compressed by gzip, bzip2, xz or zstd, or not. Nothing in it gets out of the tree;
            device nodes in C(/dev) are left out.
        type: str
      raw:
        description:
          - A disk image on the host.
        type: str
      pull_tar:
        description:
          - The URL of an archive that C(systemd-importd) downloads and verifies.
        type: str
      pull_raw:
        description:
          - The URL of a disk image, likewise.
        type: str
      verify:
        description:
          - How what is pulled is verified. V(signature) wants C(SHA256SUMS) beside it and its signature by a key that
            C(/usr/lib/systemd/import-pubring.gpg) or C(/etc/systemd/import-pubring.gpg) has; V(checksum) the former
            alone. V(signature) where it is not given.
        type: str
        choices: [signature, checksum, "no"]
      checksum:
        description:
          - What O(source.tar) or O(source.raw) must have, as V(sha256:...) or V(sha512:...).
        type: str
  recreate:
    description:
      - Whether an image that was made from something else is made anew, and what machines wrote to it is lost.
      - V(never) leaves it and names C(source) in RV(restart_required). V(always) makes it anew on every run.
    type: str
    choices: [never, if_needed, always]
    default: never
  devices:
    description:
      - Whether an archive may have device nodes outside of C(/dev), and keeps those in it.
    type: bool
    default: false
  renamed_from:
    description:
      - Its former name. Where there is an image of that name and none of O(name), it gets the new one.
    type: str
  read_only:
    description:
      - Whether machines can write to it. One that M(strata.virt.nspawn_container) makes of a read-only image gets a
        clone.
      - A directory is closed by its immutable flag, a subvolume by its own, a disk by its mode. The flag of a directory
        is on its uppermost one alone.
    type: bool
  limit:
    description:
      - How large it may get, such as V(10G), or V(max). For subvolumes of a btrfs with quotas.
    type: str
  archive_path:
    description:
      - Where it is exported to. A tree becomes an archive, compressed as its name says, such as V(/srv/web.tar.zst); a
        disk a copy, such as V(/srv/web.raw).
      - It is written again where the file is gone or another one, and not because of what machines wrote to the image.
    type: str
  force_absent:
    description:
      - Whether V(absent) removes an image, too, that this module didn't make.
    type: bool
    default: false
seealso:
  - module: strata.virt.nspawn_container
  - module: strata.virt.nspawn_image_info
  - module: strata.virt.rootfs
"""

EXAMPLES = r"""
- name: An image that nobody writes to, made of a tree
  strata.virt.nspawn_image:
    name: golden
    source: {rootfs: /srv/trees/base}
    read_only: true

- name: A copy of it to work on, and an archive of that
  strata.virt.nspawn_image:
    name: next
    source: {image: golden}
    archive_path: /srv/next.tar.gz

- name: Take the copy away; the archive stays
  strata.virt.nspawn_image:
    name: next
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: read_only, before: false, after: true, effect: live, layer: config}
restart_required:
  description: C(source) and the option of it that the image wasn't made from, where O(recreate=never).
  returned: always
  type: list
  elements: str
  sample: ["source[rootfs]"]
resource:
  description: What the host has now. C(facts) has C(type) (V(directory), V(subvolume) or V(raw)), C(path), when it was
    C(made), the C(origin) of what it was made from, and the C(machines) whose names lead to it.
  returned: always
  type: dict
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.nspawn_image import NspawnImage


def main() -> None:
    converge(NspawnImage)


if __name__ == "__main__":
    main()
