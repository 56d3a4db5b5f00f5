# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that QEMU is started with (qemu-system-x86_64(1))."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..engines import firmware, qemu
from .qemu_fields import LEAST_MEMORY, drive_key

_PLAIN = {"file", "format", "interface", "cache"}
_DISKS = {"virtio": "virtio-blk-pci", "ide": "ide-hd", "scsi": "scsi-hd"}
_CDROMS = {"ide": "ide-cd", "scsi": "scsi-cd"}
_CARDS = {"virtio": "virtio-net-pci"}  # others are called as they are


def escaped(value: str) -> str:
    """A value within a word of several."""
    return value.replace(",", ",,")


def joined(options: Mapping[str, Any]) -> str:
    """``name=value`` with commas; what is None is left out."""
    return ",".join(f"{name}={escaped(str(value))}" for name, value in options.items() if value is not None)


def mark(row: Mapping[str, Any]) -> str:
    """What a drive is called within QEMU."""
    return str(row.get("id") or hashlib.sha256(drive_key(row).encode()).hexdigest()[:8])


def is_cdrom(row: Mapping[str, Any]) -> bool:
    return row.get("media") == "cdrom"


def backend(row: Mapping[str, Any]) -> str:
    """A drive's file, as ``-drive`` and the monitor's ``drive_add`` take it."""
    empty = not row.get("file")
    options = {
        "if": "none",
        "id": f"drive-{mark(row)}",
        "media": "cdrom" if is_cdrom(row) else None,
        "file": row.get("file") or None,
        "format": None if empty else row["format"],
        "cache": None if empty else row["cache"],
        "readonly": "on" if row.get("readonly") and not empty else None,
        "discard": row.get("discard"),
        "aio": None if empty else row.get("aio"),
    }
    return joined(options)


def disk(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the guest sees of a drive, as ``-device`` and the monitor's ``device_add`` take it."""
    return {
        "driver": (_CDROMS if is_cdrom(row) else _DISKS)[row["interface"]],
        "id": f"disk-{mark(row)}",
        "drive": f"drive-{mark(row)}",
        "bus": "scsi0.0" if row["interface"] == "scsi" else None,
        "serial": row.get("serial"),
        "bootindex": row.get("boot_index"),
    }


def own_mac(name: str, place: int) -> str:
    """An address that is the same each time, and another one for each card of each VM; QEMU gives all VMs the same."""
    digest = hashlib.sha256(f"{name}/{place}".encode()).hexdigest()
    return f"52:54:00:{digest[:2]}:{digest[2:4]}:{digest[4:6]}"


def netdev(place: int, network: Mapping[str, Any]) -> str:
    parts = [network["type"], f"id=net{place}"]
    if network["type"] == "tap":
        parts += [f"ifname={network['device']}", "script=no", "downscript=no"]
    if network["type"] == "bridge":
        parts += [f"br={network['device']}"]
    if network.get("restrict"):
        parts += ["restrict=on"]
    return ",".join([*parts, *(f"hostfwd={forward(rule)}" for rule in network.get("forwards") or ())])


def forward(rule: str) -> str:
    """A forward as ``hostfwd=`` and the monitor's ``hostfwd_add`` take it."""
    protocol, address, port, inside = rule.split(":")
    return f"{protocol}:{address}:{port}-:{inside}"


def card(place: int, network: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the guest sees of a network."""
    model = network.get("model", "virtio")
    own = None if network["type"] == "user" else own_mac(name, place)
    return {
        "driver": _CARDS.get(model, model),
        "netdev": f"net{place}",
        "mac": network.get("mac", own),
        "romfile": "",
    }


def _device(options: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in options.items() if name != "driver"}
    return f"{options['driver']},{joined(rest)}"


def shared(values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The folders that a program of their own serves, which sees the guest's memory."""
    return [row for row in values.get("filesystems") or () if row["type"] == "virtiofs"]


@dataclass(frozen=True)
class Line:
    """A VM's command line.

    Attributes:
        values: Its canonical options.
        machine: Where its files are.
    """

    values: Mapping[str, Any]
    machine: qemu.Machine

    def words(self) -> list[str]:
        """The arguments. Pure but for the choice of the accelerator and its threads, and of a firmware."""
        values = self.values
        argv = ["-nodefaults", *self._machine(), *self._processor()]
        argv += ["-display", "none", "-device", "virtio-rng-pci"]
        for option, flag in (("kernel", "-kernel"), ("initrd", "-initrd"), ("cmdline", "-append")):
            if values.get(option):
                argv += [flag, values[option]]
        argv += self._drives()
        for place, network in enumerate(values.get("networks") or ()):
            argv += ["-netdev", netdev(place, network), "-device", _device(card(place, network, self.machine.name))]
        argv += self._filesystems()
        if values.get("serial"):
            path = escaped(values["serial"]["path"])
            socket = values["serial"]["type"] == "socket"
            argv += ["-serial", f"unix:{path},server=on,wait=off" if socket else f"file:{values['serial']['path']}"]
        if values.get("balloon"):
            argv += ["-device", "virtio-balloon-pci"]
        if values.get("tpm"):
            argv += [
                "-chardev",
                joined_socket("tpm", self.machine.tpm_socket),
                "-tpmdev",
                "emulator,id=tpm0,chardev=tpm",
            ]
            argv += ["-device", "tpm-crb,tpmdev=tpm0"]
        for port in range(1, values.get("hotplug_ports", 0) + 1):
            argv += ["-device", f"pcie-root-port,id=port{port},chassis={port}"]
        return [*argv, *(values.get("arguments") or ())]

    def _machine(self) -> Iterator[str]:
        values = self.values
        options = {"memory-backend": "memory" if shared(values) else None}
        secure = values.get("firmware") == "secure"
        options["smm"] = "on" if secure else None
        sort = values.get("machine", "q35")
        yield from ("-machine", ",".join(filter(None, [sort, joined(options)])))
        if options["memory-backend"]:
            size = values.get("memory", LEAST_MEMORY)
            yield from ("-object", f"memory-backend-memfd,{joined({'id': 'memory', 'size': size, 'share': 'on'})}")
        if values.get("firmware", "bios") != "bios":
            code = firmware.find(secure).code
            if secure:
                yield from ("-global", "driver=cfi.pflash01,property=secure,value=on")
            yield from ("-drive", joined({"if": "pflash", "format": "raw", "readonly": "on", "file": code}))
            yield from (
                "-drive",
                joined({"if": "pflash", "format": "raw", "file": self.machine.nvram(values["firmware"])}),
            )

    def _processor(self) -> Iterator[str]:
        values = self.values
        accel = values.get("accel", "auto")
        accel = qemu.accelerator() if accel == "auto" else accel
        # With plain `max`, kernels from 6.12 on panic under TCG of QEMU before 8, whose cmpxchg16b is broken.
        accel, cpu = ("kvm", "host") if accel == "kvm" else (qemu.emulation(), "max,-cx16")
        declared = values.get("cpu", "auto")
        yield from ("-accel", accel, "-cpu", cpu if declared == "auto" else declared)
        shape = {name: count for name, count in (values.get("topology") or {}).items() if count is not None}
        yield from ("-smp", ",".join(filter(None, [str(values.get("smp", 1)), joined(shape)])))
        yield from ("-m", f"{int(values.get('memory', LEAST_MEMORY)) // 1024}k")

    def _drives(self) -> Iterator[str]:
        drives = self.values.get("drives") or ()
        if any(drive["interface"] == "scsi" for drive in drives):
            yield from ("-device", "virtio-scsi-pci,id=scsi0")
        for drive in drives:
            if drive["interface"] == "virtio" and set(drive) <= _PLAIN:
                path = escaped(drive["file"])
                yield from ("-drive", f"file={path},format={drive['format']},if=virtio,cache={drive['cache']}")
            else:
                yield from ("-drive", backend(drive), "-device", _device(disk(drive)))
        if self.values.get("cloud_init"):
            file = self.machine.seed(self.values["cloud_init"])
            yield from ("-drive", joined({"file": file, "format": "raw", "if": "virtio", "readonly": "on"}))

    def _filesystems(self) -> Iterator[str]:
        for place, row in enumerate(self.values.get("filesystems") or ()):
            if row["type"] == "9p":
                options = {
                    "path": row["path"],
                    "mount_tag": row["tag"],
                    "security_model": row.get("security", "mapped-xattr"),
                    "readonly": "on" if row.get("readonly") else None,
                    "id": f"fs{place}",
                }
                yield from ("-virtfs", f"local,{joined(options)}")
            else:
                yield from ("-chardev", joined_socket(f"fs{place}", self.machine.share_socket(row["tag"])))
                yield from ("-device", f"vhost-user-fs-pci,chardev=fs{place},tag={row['tag']}")


def joined_socket(name: str, path: str) -> str:
    return f"socket,{joined({'id': name, 'path': path})}"
