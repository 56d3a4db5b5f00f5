# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent tun and tap devices, which rtnetlink can't make (Documentation/networking/tuntap.rst)."""

from __future__ import annotations

import fcntl
import os
import struct

from ..core.errors import StrataError

_DEVICE = "/dev/net/tun"
_SETIFF, _SETPERSIST, _SETOWNER, _SETGROUP = 0x400454CA, 0x400454CB, 0x400454CC, 0x400454CE  # linux/if_tun.h
_FLAGS = {"tun": 0x0001, "tap": 0x0002}
_NO_PI = 0x1000  # no extra header in front of packets, as ip-tuntap(8) makes them


def create(name: str, kind: str, owner: int | None, group: int | None) -> None:
    """Make one in the namespace of the calling thread.

    Raises:
        StrataError: The kernel has no tun driver, or refuses.
    """
    try:
        device = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise StrataError(
            f"could not open {_DEVICE}: {error.strerror}", hint="Load the kernel module tun (modprobe tun)"
        ) from None
    try:
        fcntl.ioctl(device, _SETIFF, struct.pack("16sH22x", name.encode(), _FLAGS[kind] | _NO_PI))
        if owner is not None:
            fcntl.ioctl(device, _SETOWNER, owner)
        if group is not None:
            fcntl.ioctl(device, _SETGROUP, group)
        fcntl.ioctl(device, _SETPERSIST, 1)
    except OSError as error:
        raise StrataError(f"could not make the {kind} device {name}: {error.strerror}") from None
    finally:
        os.close(device)
