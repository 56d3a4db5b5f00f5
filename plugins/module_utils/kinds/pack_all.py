# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task is packed with that declares kinds of several families, or asks after all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .registry import KINDS, find

if TYPE_CHECKING:  # read by Ansible
    from . import pack_docker, pack_kernel, pack_machines, pack_podman  # noqa: F401

__all__ = ["KINDS", "find"]
