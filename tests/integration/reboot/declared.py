# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared to be there after every boot, and how the host itself shows that it is."""

from __future__ import annotations

from dataclasses import dataclass

OWNER = "strata-boot"
TOP = "/srv/strata-boot"
GROUP = "/sys/fs/cgroup/strata.slice/strata.service/strata-boot"


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
        "netns",
        {
            "name": "strata-boot",
            "links": [
                {
                    "name": "inside",
                    "type": "veth",
                    "peer": {"name": "strata-peer", "netns": None, "master": "strata-boot"},
                    "addresses": ["198.51.100.2/24"],
                }
            ],
            "routes": [{"to": "default", "via": "198.51.100.1"}],
            "persistent": True,
        },
        ("ip", "netns", "exec", "strata-boot", "ping", "-c", "1", "-W", "5", "198.51.100.1"),
        "1 received",
    ),
    Row(
        "namespace",
        {"name": "strata-boot", "kinds": ["uts", "ipc", "mnt", "pid"], "hostname": "booted", "persistent": True},
        ("nsenter", "--uts=/run/strata/namespaces/strata-boot/uts", "hostname"),
        "booted",
    ),
    Row(
        "cgroup",
        {"name": "strata-boot", "memory": "64M", "cpus": 0.5, "persistent": True},
        ("grep", ".", *(f"{GROUP}/{file}" for file in ("cpu.max", "memory.max"))),
        f"{GROUP}/cpu.max:50000 100000\n{GROUP}/memory.max:67108864",
    ),
    Row(
        "systemd_resources",
        {"unit": "strataboot.slice", "memory": "64M", "pids_limit": 99},
        ("systemctl", "show", "--property=MemoryMax,TasksMax", "strataboot.slice"),
        "MemoryMax=67108864\nTasksMax=99",
    ),
    Row(
        "hugepages",
        {"size": "2M", "pages": 7, "mount": "/run/strata-boot-huge", "persistent": True},
        ("findmnt", "--noheadings", "--output=OPTIONS", "--mountpoint=/run/strata-boot-huge"),
        "pagesize=2M",
    ),
    Row(
        "apparmor_profile",
        {"name": "strata-boot", "mode": "enforce", "content": "profile strata-boot {\n  /etc/hostname r,\n}\n"},
        ("grep", "strata-boot", "/sys/kernel/security/apparmor/profiles"),
        "strata-boot (enforce)",
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
        "nspawn_image",
        {"name": "strata-boot-image", "source": {"rootfs": f"{TOP}/machine"}, "read_only": True},
        ("machinectl", "show-image", "--property=ReadOnly", "strata-boot-image"),
        "ReadOnly=yes",
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
    Row(
        "lxc_container",
        {
            "name": "strata-boot",
            "source": {"rootfs": f"{TOP}/system"},
            "autostart": True,
            "memory": "64M",
            "networks": [{"type": "empty"}],
            "apparmor_profile": "unconfined",
            "config": {"lxc.init.cmd": "/bin/busybox sleep infinity", "lxc.signal.halt": "SIGKILL"},
        },
        ("lxc-cgroup", "-n", "strata-boot", "memory.max"),
        "67108864",
    ),
    Row(
        "qemu_vm",
        # Nothing runs in it that would heed the power button: the reboot doesn't wait for it for long.
        {"name": "strata-boot", "memory": "64M", "autostart": True, "force": True, "timeout": "5s"},
        ("systemctl", "show", "--property=ActiveState,UnitFileState", "strata-qemu-strata-boot.service"),
        "ActiveState=active\nUnitFileState=enabled",
    ),
)


def stack(rows: tuple[Row, ...]) -> dict:
    """The stack's options."""
    return {"name": OWNER, "prune": True, "resources": [{row.kind: row.options} for row in rows]}
