# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared: the same options for every module that knows them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench import Bench

IMAGE, POOL = "bench", "bench-volumes"


def containers(bench: Bench, count: int) -> list[dict]:
    return [
        {
            "name": f"bench-{number:03}",
            "docker_host": bench.docker,
            "image": IMAGE,
            "command": ["/bin/sleep", "infinity"],
            "env": {"NUMBER": str(number), "STAGE": "bench"},
            "labels": {"number": str(number), "tier": "web"},
            "user": "1000:1000",
            "memory": "64M",
            "restart_policy": "unless-stopped",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opts": ["no-new-privileges"],
            "state": "present",
        }
        for number in range(count)
    ]


def domains(bench: Bench, count: int) -> list[dict]:
    disks = [Path(f"/var/lib/libvirt/images/bench-{number:03}.qcow2") for number in range(count)]
    for disk in disks:
        disk.parent.mkdir(parents=True, exist_ok=True)
        disk.touch()
    return [
        {
            "name": disk.stem,
            "uri": bench.libvirt,
            "memory": "512M",
            "vcpus": 2,
            "disks": [{"file": str(disk), "cache": "none", "io": "native"}],
            "networks": [{"bridge": "br0"}],
            "autostart": False,
            "state": "shutdown",
        }
        for disk in disks
    ]


def networks(bench: Bench, count: int) -> list[dict]:
    return [
        {
            "name": f"bench-{number:03}",
            "uri": bench.libvirt,
            "forward": {"mode": "nat"},
            "bridge": f"vbench{number}",
            "domain": "bench.example",
            "ip": {
                "address": f"10.{number}.0.1/24",
                "dhcp": {
                    "ranges": [[f"10.{number}.0.100", f"10.{number}.0.200"]],
                    "hosts": [{"mac": "52:54:00:00:00:10", "name": "db", "ip": f"10.{number}.0.10"}],
                },
            },
            "autostart": False,
            "state": "inactive",
        }
        for number in range(count)
    ]


def pools(bench: Bench, count: int) -> list[dict]:
    common = {"uri": bench.libvirt, "type": "dir", "mode": "0711", "autostart": False, "state": "inactive"}
    names = [f"bench-{number:03}" for number in range(count)]
    return [{"name": name, "path": f"{bench.folder}/pools/{name}", **common} for name in names]


def volumes(bench: Bench, count: int) -> list[dict]:
    bench.target("pool", bench.libvirt, POOL, str(bench.folder / "volumes"))
    common = {"pool": POOL, "uri": bench.libvirt, "capacity": "1G", "format": "qcow2"}
    return [{"name": f"bench-{number:03}.qcow2", **common} for number in range(count)]


def lxcs(bench: Bench, count: int) -> list[dict]:
    tree = bench.folder / "tree"
    (tree / "usr").mkdir(parents=True, exist_ok=True)
    limits = {"memory": "64M", "cpus": 0.5, "pids_limit": 64}
    return [
        {"name": f"bench-{number:03}", "source": {"rootfs": str(tree)}, **limits, "state": "stopped"}
        for number in range(count)
    ]
