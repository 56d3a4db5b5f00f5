# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task is packed with that declares kinds of the family ``docker`` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .registry import FAMILIES, find

if TYPE_CHECKING:  # never run, but read by Ansible, which packs what it sees imported
    from . import (  # noqa: F401
        docker_compose,
        docker_config,
        docker_container,
        docker_image,
        docker_login,
        docker_network,
        docker_node,
        docker_prune,
        docker_secret,
        docker_service,
        docker_swarm,
        docker_volume,
    )

__all__ = ["KINDS", "find"]

KINDS = FAMILIES["docker"]
