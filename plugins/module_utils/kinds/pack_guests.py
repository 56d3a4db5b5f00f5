# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task is packed with that asks after guests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .registry import GUESTS, find

if TYPE_CHECKING:  # read by Ansible
    from . import docker_container, libvirt_domain, lxc_container, nspawn_container, podman_container  # noqa: F401

__all__ = ["GUESTS", "find"]
