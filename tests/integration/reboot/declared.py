# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared to be there after every boot, and how the host itself shows that it is."""

from __future__ import annotations

from dataclasses import dataclass

OWNER = "strata-boot"
TOP = "/srv/strata-boot"


@dataclass(frozen=True)
class Row:
    """One resource of the stack.

    Attributes:
        kind: The kind.
        options: Its options.
        look: A program of the host that shows it.
        says: What that prints, among other things.
    """

    kind: str
    options: dict
    look: tuple[str, ...]
    says: str


ROWS = (
    Row(
        "link",
        {"name": "strata-boot", "type": "bridge", "addresses": ["198.51.100.1/24"], "persistent": True},
        ("ip", "-brief", "address", "show", "dev", "strata-boot"),
        "198.51.100.1/24",
    ),
    Row(
        "overlay",
        {
            "path": f"{TOP}/merged",
            "lower": [f"{TOP}/a", f"{TOP}/b"],
            "upper": f"{TOP}/upper",
            "work": f"{TOP}/work",
            "persistent": True,
        },
        ("ls", f"{TOP}/merged"),
        "from-a\nfrom-b\nwritten",
    ),
    Row(
        "chroot",
        {"path": f"{TOP}/jail", "mounts": ["proc", "dev"], "persistent": True},
        ("chroot", f"{TOP}/jail", "/bin/busybox", "grep", "^Name", "/proc/self/status"),
        "Name:\tbusybox",
    ),
    Row(
        "nspawn_container",
        {
            "name": "strata-boot",
            "image": f"{TOP}/machine",
            "boot": False,
            "enabled": True,
            "memory": "64M",
            "settings": {"Exec": {"Parameters": "/bin/busybox sleep infinity"}},
        },
        ("systemctl", "show", "--property=ActiveState,MemoryMax", "systemd-nspawn@strata-boot.service"),
        "MemoryMax=67108864\nActiveState=active",
    ),
)


def stack(rows: tuple[Row, ...]) -> dict:
    """The stack's options."""
    return {"name": OWNER, "prune": True, "resources": [{row.kind: row.options} for row in rows]}
