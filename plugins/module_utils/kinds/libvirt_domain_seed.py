# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain tells cloud-init: a seed of its own, named by what is in it, on a disk of its own."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core import files
from ..core.codec import Codec
from ..core.plan import Effect
from ..engines.domain_devices import DISK_FILE
from ..engines.domain_xml import child
from .seed_option import SeedField, image, parse
from .seed_option import digest as digest_of

FOLDER = "/var/lib/strata/libvirt/seeds"
# Not a CD-ROM: kernels for clouds may have no driver of SATA (Debian 12, CirrOS), and one that has may load it after
# cloud-init has looked for its data (its generator runs first). That of virtio disks is there before the root is.
BUS = "virtio"


def path(name: str, digest: str) -> str:
    """Another content is another file: so a domain that runs keeps the one that it was started with."""
    return f"{FOLDER}/{name}.{digest}.iso"


def ours(file: str) -> bool:
    """Whether a disk is one of these."""
    return file.startswith(f"{FOLDER}/")


def _bus(disk: ET.Element) -> str | None:
    target = disk.find("target")
    return None if target is None else target.get("bus")


@dataclass(frozen=True)
class Drive:
    """The disk that a domain's seed is, which nobody writes to."""

    def _find(self, root: ET.Element) -> tuple[ET.Element | None, str]:
        for disk in root.iterfind("devices/disk"):
            file = DISK_FILE.get(disk) or ""
            if ours(file):
                return disk, file
        return None, ""

    def get(self, root: ET.Element) -> str | None:
        _disk, file = self._find(root)
        return file.removesuffix(".iso").rpartition(".")[2] or None

    def put(self, root: ET.Element, value: str | None) -> None:
        disk, _file = self._find(root)
        devices = child(root, "devices")
        if disk is not None and (value is None or (value != self.get(root) and _bus(disk) != BUS)):
            devices.remove(disk)  # what is on another bus moves with the next seed: the guest restarts for that anyway
            disk = None
        if value is None:
            return
        if disk is None:
            # The last name: those of other disks are what they are without it.
            disk = ET.SubElement(devices, "disk", {"type": "file", "device": "disk"})
            ET.SubElement(disk, "driver", {"name": "qemu", "type": "raw"})
            ET.SubElement(disk, "target", {"dev": "vdz", "bus": BUS})
            ET.SubElement(disk, "readonly")
        DISK_FILE.put(disk, path(str(root.findtext("name")), value))


FIELD = SeedField("cloud_init", Codec(parse, "dict"), Drive(), Effect.RESTART, export=False)


def whole(name: str, digest: str | None) -> bool:
    """Whether a seed is there as it was made."""
    if digest is None:
        return False
    try:
        with open(path(name, digest), "rb") as file:
            return digest_of(file.read()) == digest
    except OSError:
        return False


def write(name: str, value: Mapping[str, Any]) -> None:
    """Make the seed that is declared, unless it is there."""
    data = image(value)
    digest = digest_of(data)
    if not whole(name, digest):
        # libvirt hands it to whoever runs the guest when that starts; it may have what isn't for everybody's eyes.
        files.write(path(name, digest), data, 0o600)


def stale(name: str, used: Iterable[str | None]) -> list[str]:
    """The seeds of a domain but those that are used, by their digests."""
    kept = {path(name, digest) for digest in used if digest is not None}
    own = re.compile(rf"{re.escape(name)}\.[0-9a-f]{{16}}\.iso")
    try:
        found = [f"{FOLDER}/{file}" for file in sorted(os.listdir(FOLDER)) if own.fullmatch(file)]
    except FileNotFoundError:
        return []
    return [file for file in found if file not in kept]


def remove(name: str, used: Iterable[str | None]) -> None:
    """Take away the seeds of a domain but those that are used."""
    for file in stale(name, used):
        files.remove(file)
