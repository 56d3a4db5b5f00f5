# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container sees of files."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  volumes:
    description:
      - What to mount, as C(/host/path:/path[:ro]), C(volume:/path) or C(/path) for a volume without a name.
    type: list
    elements: str
  volume_driver:
    description:
      - The driver of volumes that the engine makes for O(volumes).
    type: str
  volumes_from:
    description:
      - Containers whose mounts it has, too, as C(container[:ro]).
    type: list
    elements: str
  tmpfs:
    description:
      - Where to mount empty file systems in memory, as C(/path[:options]).
    type: list
    elements: str
  storage_opts:
    description:
      - Options of the storage driver, such as V(size).
    type: dict
  read_only:
    description:
      - Whether the root file system is read-only.
    type: bool
"""
