# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt by its own binding: virsh takes half a second a call under emulation."""

from __future__ import annotations

from functools import cache

import libvirt


@cache
def connection() -> libvirt.virConnect:
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    return libvirt.open("qemu:///system")


def state_of(found: list, name: str):
    """One of a list, and whether it is active, starts at boot and is stored."""
    one = next((one for one in found if one.name() == name), None)
    if one is None:
        return None, {}
    return one, {
        "active": bool(one.isActive()),
        "autostart": bool(one.autostart()),
        "persistent": bool(one.isPersistent()),
    }
