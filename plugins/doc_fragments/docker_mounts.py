# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted in containers, in the long form."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  mounts:
    description:
      - What to mount, in the long form. Within an entry, what isn't given is not compared.
    type: list
    elements: dict
    suboptions:
      target:
        description:
          - The path within the container.
        type: str
        required: true
      source:
        description:
          - The path of the host, the volume or the image. A volume without it has no name.
        type: str
      type:
        description:
          - What it is. V(image) needs Docker 28, V(cluster) a swarm, V(npipe) Windows.
        type: str
        choices: [bind, npipe, tmpfs, volume, cluster, image]
        default: volume
      read_only:
        description:
          - Whether it is read-only.
        type: bool
      consistency:
        description:
          - How closely both sides have to agree. Linux has no use for it.
        type: str
        choices: [cached, consistent, default, delegated]
      propagation:
        description:
          - Which mounts below it are passed on, for V(bind).
        type: str
        choices: [private, rprivate, shared, rshared, slave, rslave]
      create_mountpoint:
        description:
          - Whether a missing path of the host is made, for V(bind). From Docker 23 on.
        type: bool
      non_recursive:
        description:
          - Whether mounts below it are left out, for V(bind).
        type: bool
      read_only_non_recursive:
        description:
          - Whether mounts below it stay writable, for V(bind). From Docker 25 on.
        type: bool
      read_only_force_recursive:
        description:
          - Whether it is an error if mounts below it can't be made read-only, for V(bind). From Docker 25 on.
        type: bool
      no_copy:
        description:
          - Whether a new volume stays empty, instead of getting what the image has there.
        type: bool
      labels:
        description:
          - Labels of a new volume.
        type: dict
      volume_driver:
        description:
          - The driver of a new volume.
        type: str
      volume_options:
        description:
          - Options of that driver.
        type: dict
      subpath:
        description:
          - The path within the V(volume) or V(image). From Docker 26 on.
        type: str
      tmpfs_size:
        description:
          - The most that a V(tmpfs) holds.
        type: str
      tmpfs_mode:
        description:
          - The mode of a V(tmpfs), in octal digits and quotes.
        type: str
      tmpfs_options:
        description:
          - Further mount options of a V(tmpfs), one an entry; null for one without a value. From Docker 27 on.
        type: list
        elements: dict
"""
