# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain tells cloud-init: a seed of its own, named by what is in it, in a drive of its own."""

from __future__ import annotations

import hashlib
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core import files
from ..core.codec import LINE, Codec
from ..core.errors import StrataError
from ..core.field import Field, arguments, decode
from ..core.plan import Effect
from ..engines import iso, nocloud
from ..engines.domain_devices import DISK_FILE
from ..engines.domain_xml import child

FOLDER = "/var/lib/strata/libvirt/seeds"

SEED = (
    Field("user_data", Codec(nocloud.parse_data, "raw"), required=True),
    Field("vendor_data", Codec(nocloud.parse_data, "raw")),
    Field("meta_data", Codec(dict, "dict")),
    Field("network_config", Codec(nocloud.parse_network, "dict")),
    Field("instance_id", LINE),
)


def image(value: Mapping[str, Any]) -> bytes:
    """The seed that a declaration makes: the same to the byte each time."""
    return iso.build(nocloud.LABEL, nocloud.contents(decode(SEED, value)))


def _parse(value: Any) -> str:
    """What stands for a seed: a digest of its image."""
    if nocloud.INSTANCE in (value.get("meta_data") or {}):
        raise StrataError("is the option instance_id", option="meta_data", value=nocloud.INSTANCE)
    if not value.get("user_data"):
        raise StrataError("is needed: it is what the machine is told", option="user_data")
    return hashlib.sha256(image(value)).hexdigest()[:16]


def path(name: str, digest: str) -> str:
    """Another content is another file: so a domain that runs keeps the one that it was started with."""
    return f"{FOLDER}/{name}.{digest}.iso"


def ours(file: str) -> bool:
    """Whether a disk is one of these."""
    return file.startswith(f"{FOLDER}/")


@dataclass(frozen=True)
class Drive:
    """The drive that a domain's seed is in."""

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
        if value is None:
            if disk is not None:
                devices.remove(disk)
            return
        if disk is None:
            # Every machine type has a place for SATA, or makes one. The last one, and the last name, leave the names
            # of other disks what they are without it.
            disk = ET.SubElement(devices, "disk", {"type": "file", "device": "cdrom"})
            ET.SubElement(disk, "driver", {"name": "qemu", "type": "raw"})
            ET.SubElement(disk, "target", {"dev": "sdz", "bus": "sata"})
            ET.SubElement(disk, "readonly")
            ET.SubElement(disk, "address", {"type": "drive", "controller": "0", "bus": "0", "target": "0", "unit": "5"})
        DISK_FILE.put(disk, path(str(root.findtext("name")), value))


class _Seed(Field):
    """An option with entries that is compared as one: by the digest of what they make."""

    def argument(self) -> dict[str, Any]:
        return {**super().argument(), "options": arguments(SEED)}


FIELD = _Seed("cloud_init", Codec(_parse, "dict"), Drive(), Effect.RESTART, export=False)


def whole(name: str, digest: str | None) -> bool:
    """Whether a seed is there as it was made."""
    if digest is None:
        return False
    try:
        with open(path(name, digest), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()[:16] == digest
    except OSError:
        return False


def write(name: str, value: Mapping[str, Any]) -> None:
    """Make the seed that is declared, unless it is there."""
    data = image(value)
    digest = hashlib.sha256(data).hexdigest()[:16]
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
