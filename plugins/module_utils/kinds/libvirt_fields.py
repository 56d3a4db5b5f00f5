# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain's memory, disks and network cards are written as."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..core.codec import BOOL, LINE, MAC, MAX, PATH, TEXT, Codec, parse_size, show_size
from ..core.field import Field, table
from ..engines import domain_xml
from ..engines.domain_xml import Attached, Flag, Leaf

_MIB = 1024**2


def _parse_memory(value: Any) -> int:
    """Bytes, in whole MiB: libvirt rounds up to them when a domain starts (qemuDomainAlignMemorySizes)."""
    size = parse_size(value)
    if isinstance(size, str):
        raise ValueError(f"of a virtual machine is a size; {MAX} has no meaning")
    if size < _MIB:
        raise ValueError("is less than 1M")
    return -(-size // _MIB) * _MIB


def at_least_one(number: int) -> None:
    if number < 1:
        raise ValueError("must be 1 or more")


def ordered(key: Callable[[Mapping[str, Any]], str], *row: Field) -> Codec:
    """A table whose order is the devices' order, unlike that of ``table`` with a key."""
    return replace(table(*row), key=key)


GUEST_MEMORY = Codec(_parse_memory, show=show_size)


def disk_key(row: Mapping[str, Any]) -> str:
    return str(row["file"])


def network_key(row: Mapping[str, Any]) -> str:
    return str(row.get("mac") or row.get("network") or row.get("bridge"))


DISK = (
    Field("file", PATH, domain_xml.DISK_FILE, required=True),
    Field("bus", TEXT, Leaf("target", "bus"), default="virtio", choices=("virtio", "scsi", "sata", "ide", "usb")),
    Field(
        "cache",
        TEXT,
        Leaf("driver", "cache", absent="default"),
        default="default",
        choices=("default", "none", "writeback", "writethrough", "directsync", "unsafe"),
    ),
    Field("discard", TEXT, Leaf("driver", "discard", absent="ignore"), default="ignore", choices=("ignore", "unmap")),
    Field("io", TEXT, Leaf("driver", "io"), choices=("threads", "native", "io_uring")),
    Field("device", TEXT, Leaf("", "device"), default="disk", choices=("disk", "cdrom")),
    Field("format", TEXT, Leaf("driver", "type"), choices=("qcow2", "raw")),
    Field("read_only", BOOL, Flag("readonly"), default=False),
    Field("target", LINE, Leaf("target", "dev")),
)
NETWORK = (
    Field("network", LINE, Attached("network")),
    Field("bridge", LINE, Attached("bridge")),
    Field("model", TEXT, Leaf("model", "type"), default="virtio"),
    Field("mac", MAC, Leaf("mac", "address", MAC.parse)),
)
