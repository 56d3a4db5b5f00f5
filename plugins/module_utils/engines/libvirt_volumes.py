# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes as domains name them: by their pool, where libvirt itself looks for the file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Collection
from functools import cached_property
from typing import Any


class NamedVolumes:
    """What a connection knows of the volumes that domains name."""

    api: Any
    connection: Any

    @cached_property
    def by_path(self) -> bool:
        """Whether a domain has to name the files of its volumes.

        Where AppArmor confines QEMU, libvirt's virt-aa-helper writes down which files it may open, and looks none up
        that a pool and a name stand for: such a domain doesn't start (gitlab.com/libvirt/libvirt/-/issues/546, seen
        with libvirt 11.3).
        """
        try:
            return bool(self.connection.getSecurityModel()[0] == "apparmor")
        except self.api.libvirtError:  # a driver that knows of no security
            return False

    def named_volume(self, pool: str, name: str, likely: Collection[str] = ()) -> str | None:
        """The path of a volume, as far as libvirt knows; None where there is none.

        Args:
            pool: The pool.
            name: The volume's name in it.
            likely: Paths that were there before: one that the pool's folder and the name make is taken for it, which
                saves calls.
        """
        try:
            if likely and f"{self._folder(pool)}/{name}" in likely:
                return f"{self._folder(pool)}/{name}"
            return str(self.connection.storagePoolLookupByName(pool).storageVolLookupByName(name).path())
        except self.api.libvirtError:
            return None

    @cached_property
    def _folders(self) -> dict[str, str | None]:
        return {}

    def _folder(self, pool: str) -> str | None:
        """Where a pool's volumes are; asked once."""
        if pool not in self._folders:
            root = ET.fromstring(self.connection.storagePoolLookupByName(pool).XMLDesc(0))
            self._folders[pool] = root.findtext("target/path")
        return self._folders[pool]
