# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task is packed with that declares kinds of the family ``podman`` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .registry import FAMILIES, find

if TYPE_CHECKING:  # never run, but read by Ansible, which packs what it sees imported
    from . import (  # noqa: F401
        podman_compose,
        podman_container,
        podman_image,
        podman_login,
        podman_network,
        podman_play,
        podman_pod,
        podman_prune,
        podman_quadlet,
        podman_secret,
        podman_volume,
    )

__all__ = ["KINDS", "find"]

KINDS = FAMILIES["podman"]
