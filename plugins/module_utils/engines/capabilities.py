# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capabilities by name, and their sets as the kernel shows them (proc_pid_status(5))."""

from __future__ import annotations

# By their numbers (include/uapi/linux/capability.h).
_WORDS = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
NAMES = tuple(_WORDS.split())
"""All of them, without their CAP_, each at the place of its number."""


def names(mask: str) -> list[str]:
    """The capabilities of a set that is shown in hexadecimal; one that is newer than this list by its number."""
    bits, found = int(mask, 16), []
    for number in range(bits.bit_length()):
        if bits >> number & 1:
            found.append(NAMES[number] if number < len(NAMES) else f"CAP_{number}")
    return found
