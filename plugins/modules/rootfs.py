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
  - Makes a root file system from packages, an archive, an OCI image or the host's busybox, as a directory, a btrfs
    subvolume, a tar archive, or a disk image with one ext4 file system.
  - What it was made from is noted beside it, in C(PATH.strata.json). Where the declaration changes, or the archive or
    image that it names, a new one is built beside the old one and put in its place in one step. Changes inside a
    finished tree are its own business.
  - Nothing is replaced or removed that somebody uses, and whoever uses it is named.
  - With O(type=debootstrap) it needs no root; mmdebstrap then makes the tree in a user namespace.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - mmdebstrap, for O(type=debootstrap)
  - dnf, for O(type=dnf)
  - GNU tar, for O(type=tarball) and O(format=tar), and the program that the archive is compressed with
  - skopeo and umoci, for O(type=oci)
  - a static busybox, for O(type=busybox)
  - mke2fs, for disks, and qemu-img, for O(format=qcow2)
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
      - What it is made from.
      - V(debootstrap) is packages of Debian and its relatives, by mmdebstrap; it needs O(suite).
      - V(dnf) is packages of Fedora and its relatives; it needs O(releasever), O(repositories) and O(packages).
      - V(tarball) is an archive, packed by gzip, bzip2, xz, zstd or not at all; it needs O(source).
      - V(oci) is an image in a registry or in an OCI layout; it needs O(source).
      - V(busybox) is the host's own busybox and its applets.
    type: str
    choices: [debootstrap, dnf, tarball, oci, busybox]
    default: debootstrap
  format:
    description:
      - What is made. V(ext4) is a raw disk image without partitions, V(qcow2) the same in QEMU's format.
    type: str
    choices: [directory, subvolume, tar, ext4, qcow2]
    default: directory
  size:
    description:
      - The size of the disk, such as V(8G), with O(format=ext4) and O(format=qcow2).
    type: str
  suite:
    description:
      - The release, such as V(trixie).
    type: str
  mirror:
    description:
      - Where its packages are, as a URL or as a line of sources.list. Without it, where mmdebstrap gets them for this
        release.
    type: str
  variant:
    description:
      - Which packages besides those named, see mmdebstrap(1). A new one is V(minbase) where it is not given.
    type: str
  components:
    description:
      - The parts of the archive. A new one has V(main) where it is not given.
    type: list
    elements: str
  keyring:
    description:
      - The file with the keys that the archive is signed with. Without it, those that the host's apt trusts.
    type: str
  packages:
    description:
      - The packages, with O(type=debootstrap) those besides the O(variant)'s own.
    type: list
    elements: str
  overlay:
    description:
      - A folder whose files are laid over the tree before its packages are configured. A change of its content is a
        change of the declaration.
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
  releasever:
    description:
      - The release of Fedora or its relatives, such as V(42).
    type: str
  repositories:
    description:
      - Where packages are. No others count, neither those of the host nor those that a package brings.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Its name.
        type: str
        required: true
      baseurl:
        description:
          - Its URL. C($releasever) and C($basearch) stand for what they do in dnf.
        type: str
        required: true
      gpgcheck:
        description:
          - Whether its packages have to be signed. They have to be where it is not given.
        type: bool
      gpgkey:
        description:
          - The URL of the key that they are signed with; V(file:///etc/pki/...) is one on the host.
        type: str
  source:
    description:
      - With O(type=tarball) the archive, as a path on the host or a URL of http or https.
      - With O(type=oci) the image, as skopeo names it. V(docker://registry.example.com/debian:trixie) is one in a
        registry, pinned by V(@sha256:...) at its end, V(oci:/srv/layout:trixie) one in an OCI layout on the host.
      - An archive or a layout on the host whose content changes is a change of the declaration. What is elsewhere is
        looked at only when it is fetched.
    type: str
  checksum:
    description:
      - V(sha256:...) or V(sha512:...) of the archive, or V(sha256:...) of the image's manifest, its digest. Anything
        else is refused. What was used is noted as this option, too.
    type: str
  devices:
    description:
      - Whether an archive or an image may have device nodes. Where it may not, those in C(/dev) are left out, which
        whoever runs the tree fills itself, and one that is elsewhere is an error. They may not where it is not given.
    type: bool
  setuid:
    description:
      - Whether programs of an archive or an image keep their set-user-ID and set-group-ID bits and their file
        capabilities. They do where it is not given.
    type: bool
  max_size:
    description:
      - The most content that an archive may have, unpacked, such as V(2G). It is given up as soon as it has more.
    type: str
  validate_certs:
    description:
      - Whether a server has to prove who it is. V(false) lets a registry speak plain HTTP, too. It has to where it is
        not given.
    type: bool
  authfile:
    description:
      - The file with the registry's password, as C(skopeo login --authfile) writes it.
    type: str
seealso:
  - module: strata.virt.rootfs_info
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

- name: Fedora, from a Debian host
  strata.virt.rootfs:
    path: /var/lib/machines/fedora
    type: dnf
    releasever: "42"
    packages: [systemd, dnf5, fedora-release]
    repositories:
      - name: fedora
        baseurl: https://mirror.example.com/fedora/releases/$releasever/Everything/$basearch/os/
        gpgkey: file:///usr/share/distribution-gpg-keys/fedora/RPM-GPG-KEY-fedora-42-primary

- name: An archive that is checked before it is unpacked
  strata.virt.rootfs:
    path: /var/lib/machines/alpine
    type: tarball
    source: https://mirror.example.com/alpine/alpine-minirootfs-3.22.0-x86_64.tar.gz
    checksum: sha256:18879884e35b0718f017a50ff85b5e6568279e97233fc42822229585feb2fa4d
    max_size: 64M

- name: An image of a registry, whatever its tag is moved to
  strata.virt.rootfs:
    path: /var/lib/machines/web
    type: oci
    source: docker://registry.example.com/web@sha256:18879884e35b0718f017a50ff85b5e6568279e97233fc42822229585feb2fa4d
    setuid: false

- name: The smallest tree that runs
  strata.virt.rootfs:
    path: /srv/trees/busybox
    type: busybox

- name: Take it away
  strata.virt.rootfs:
    path: /srv/trees/busybox
    state: absent
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
      systemd], state: present}
    running: null
    facts: {made: "2026-03-01T10:15:00Z", looked_at: null, leftovers: [], missing: []}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.rootfs import Rootfs


def main() -> None:
    converge(Rootfs)


if __name__ == "__main__":
    main()
