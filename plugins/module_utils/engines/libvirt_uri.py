# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host's libvirtd is spoken to. By itself: a controller needs nothing else of libvirt, for each task anew."""

from __future__ import annotations

DEFAULT = "qemu:///system"
