# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task is packed with that declares kinds of the family ``kernel`` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .registry import FAMILIES, find

if TYPE_CHECKING:  # never run, but read by Ansible, which packs what it sees imported
    from . import (  # noqa: F401
        apparmor_profile,
        cgroup,
        hugepages,
        link,
        namespace,
        netns,
        pci_passthrough,
        seccomp_profile,
        systemd_resources,
    )

__all__ = ["KINDS", "find"]

KINDS = FAMILIES["kernel"]
