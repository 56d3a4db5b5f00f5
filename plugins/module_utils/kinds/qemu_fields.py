# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a virtual machine on QEMU alone is declared by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..core import policy
from ..core.codec import BOOL, INT, LINE, MAC, MEMORY, NAME, PATH, TEXTS, WORDS, Codec, parse_path
from ..core.errors import StrataError
from ..core.field import Field, Role, structure, table
from ..core.plan import Effect
from . import seed_option

_FORWARD = re.compile(r"(tcp|udp):([0-9.]*):(\d+):(\d+)")
_TAG = re.compile(r"[A-Za-z0-9_.-]{1,31}")  # virtio-fs takes 36 bytes, 9p 31
_DIGEST = re.compile(r"[0-9a-f]{16}")

LEAST_MEMORY = 128 * 1024**2  # QEMU's own default


def _check_forwards(rules: Iterable[str]) -> None:
    for rule in rules:
        if not _FORWARD.fullmatch(rule):
            raise ValueError(f"has {rule!r}: write PROTOCOL:HOST_ADDRESS:HOST_PORT:GUEST_PORT")


def _check_tag(tag: str) -> None:
    if not _TAG.fullmatch(tag):
        raise ValueError("is no tag: use up to 31 letters, digits, '_', '.' and '-'")


def _positive(number: int) -> None:
    if number < 1:
        raise ValueError("must be 1 or more")


def _slots(number: int) -> None:
    if not 0 <= number <= 16:
        raise ValueError("must be from 0 to 16")


def drive_key(row: Mapping[str, Any]) -> str:
    return str(row.get("id") or row.get("file"))


_FILE = Codec(lambda value: parse_path(value) if str(value) else "")  # nothing is what an empty cdrom has

DRIVE = (
    Field("id", NAME),
    Field("file", _FILE),
    Field("format", LINE, given="qcow2", choices=("qcow2", "raw")),
    Field("interface", LINE, given="virtio", choices=("virtio", "ide", "scsi")),
    Field("cache", LINE, given="writeback", choices=("none", "writeback", "writethrough", "directsync", "unsafe")),
    Field("media", LINE, default="disk", choices=("disk", "cdrom")),
    Field("readonly", BOOL, default=False),
    Field("discard", LINE, default="ignore", choices=("ignore", "unmap")),
    Field("aio", LINE, default="threads", choices=("threads", "native", "io_uring")),
    Field("serial", NAME),
    Field("boot_index", INT),
)
NETWORK = (
    Field("type", LINE, given="user", choices=("user", "tap", "bridge")),
    Field("forwards", TEXTS, default=(), check=_check_forwards),
    Field("device", NAME),
    Field("mac", MAC),
    Field("model", LINE, default="virtio", choices=("virtio", "e1000", "e1000e", "rtl8139")),
    Field("restrict", BOOL, default=False),
)
SERIAL = (
    Field("type", LINE, given="file", choices=("file", "socket")),
    Field("path", PATH, required=True),
)
FILESYSTEM = (
    Field("tag", LINE, required=True, check=_check_tag),
    Field("path", PATH, required=True),
    Field("type", LINE, given="virtiofs", choices=("virtiofs", "9p")),
    Field("readonly", BOOL, default=False),
    # 9p's "passthrough" would let root of the guest make files of root's on the host, setuid ones included.
    Field("security", LINE, default="mapped-xattr", choices=("mapped-xattr", "mapped-file", "none")),
)
TOPOLOGY = tuple(Field(name, INT, default=1, check=_positive) for name in ("sockets", "cores", "threads"))


def _parse_seed(value: Any) -> str:
    """What stands for a seed: a digest of its image."""
    if isinstance(value, str) and _DIGEST.fullmatch(value):  # as it was noted
        return value
    return seed_option.parse(value)


FIELDS = (
    policy.name(),
    policy.state("running", "stopped", "present", "absent"),
    policy.restart(),
    policy.timeout(120),
    Field("force", BOOL, role=Role.POLICY, given=False),
    Field("folder", PATH, role=Role.CONNECT),
    Field("machine", NAME, effect=Effect.RESTART, default="q35"),
    Field("firmware", LINE, effect=Effect.RESTART, default="bios", choices=("bios", "uefi", "secure")),
    Field("accel", LINE, effect=Effect.RESTART, default="auto", choices=("auto", "kvm", "tcg")),
    Field("cpu", LINE, effect=Effect.RESTART, default="auto"),
    Field("smp", INT, effect=Effect.RESTART, default=1, check=_positive),
    Field("topology", structure(*TOPOLOGY), effect=Effect.RESTART),
    Field("memory", MEMORY, effect=Effect.RESTART, default=LEAST_MEMORY),
    Field("balloon", MEMORY, effect=Effect.LIVE),
    Field("kernel", PATH, effect=Effect.RESTART),
    Field("initrd", PATH, effect=Effect.RESTART),
    Field("cmdline", LINE, effect=Effect.RESTART),
    Field("drives", table(*DRIVE, key=drive_key), effect=Effect.RESTART, default=()),
    Field("networks", table(*NETWORK), effect=Effect.RESTART, default=()),
    Field("filesystems", table(*FILESYSTEM, key=lambda row: str(row["tag"])), effect=Effect.RESTART, default=()),
    Field("hotplug_ports", INT, effect=Effect.RESTART, default=0, check=_slots),
    Field("serial", structure(*SERIAL), effect=Effect.RESTART),
    Field("tpm", BOOL, effect=Effect.RESTART, default=False),
    seed_option.SeedField("cloud_init", Codec(_parse_seed, "dict"), effect=Effect.RESTART, export=False),
    Field("arguments", TEXTS, effect=Effect.RESTART, default=()),
    Field("autostart", BOOL, effect=Effect.NEXT_BOOT, default=False),
    Field("snapshots", WORDS, effect=Effect.LIVE, default=(), export=False),
    Field("start_from", NAME, role=Role.POLICY),
)


def check(spec: Mapping[str, Any]) -> None:
    """Refuse what doesn't go together, in a declaration that isn't of something absent."""
    for option in ("initrd", "cmdline"):
        if option in spec and "kernel" not in spec:
            raise StrataError("needs kernel", option=option, value=spec[option])
    for row in spec.get("drives", ()):
        _check_drive(row)
    for row in spec.get("networks", ()):
        _check_network(row)
    shape = spec.get("topology")
    if shape:
        product = shape.get("sockets", 1) * shape.get("cores", 1) * shape.get("threads", 1)
        if product != spec.get("smp", 1):
            raise StrataError(f"makes {product} cpus, and smp says {spec.get('smp', 1)}", option="topology")
    for option in ("memory", "balloon"):
        if isinstance(spec.get(option), str):
            raise StrataError("is no size", option=option, value=spec[option])
    if "memory" in spec and spec.get("balloon", 0) > spec["memory"]:
        raise StrataError("is more than memory", option="balloon", value=spec["balloon"])
    if spec.get("firmware") == "secure" and not spec.get("machine", "q35").endswith("q35"):
        raise StrataError("needs the machine q35", option="firmware", value="secure")


def _check_drive(row: Mapping[str, Any]) -> None:
    name = drive_key(row)
    if row.get("media") == "cdrom":
        if row["interface"] == "virtio":
            raise StrataError("a cdrom is of ide or scsi", option="drives.interface", value=name)
        if "id" not in row:
            raise StrataError("a cdrom needs one: its medium comes and goes", option="drives.id", value=name)
    elif not row.get("file"):
        raise StrataError("is needed for all but a cdrom", option="drives.file", value=name)
    if row.get("aio") == "native" and row["cache"] not in ("none", "directsync"):
        raise StrataError("native needs cache: none or directsync", option="drives.aio", value=name)


def _check_network(row: Mapping[str, Any]) -> None:
    if (row["type"] == "user") == ("device" in row):
        words = "is of tap and bridge" if row["type"] == "user" else f"is needed for {row['type']}"
        raise StrataError(words, option="networks.device", value=row.get("device"))
    for option in ("forwards", "restrict"):
        if row.get(option) and row["type"] != "user":
            raise StrataError("is of user networks", option=f"networks.{option}", value=row[option])
