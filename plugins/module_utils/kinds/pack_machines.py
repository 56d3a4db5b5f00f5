# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task is packed with that declares kinds of the family ``machines`` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .registry import FAMILIES, find

if TYPE_CHECKING:  # never run, but read by Ansible, which packs what it sees imported
    from . import (  # noqa: F401
        chroot,
        cloud_init_seed,
        libvirt_domain,
        libvirt_network,
        libvirt_nwfilter,
        libvirt_pool,
        libvirt_secret,
        libvirt_volume,
        lxc_container,
        lxc_snapshot,
        nspawn_container,
        nspawn_image,
        overlay,
        qemu_image,
        qemu_vm,
        rootfs,
    )

__all__ = ["KINDS", "find"]

KINDS = FAMILIES["machines"]
