# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libosinfo's database knows of operating systems: which devices they have drivers for, and what they need.

The database is a file for each system (osinfo-db, in the form of its own schema), which is read as it is: its library
is there on few hosts, its programs take a tenth of a second a call, and a stack asks for each system once.
"""

from __future__ import annotations

import difflib
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache

from ..core.errors import StrataError

FOLDERS = ("/etc/osinfo", "/usr/local/share/osinfo", "/usr/share/osinfo")
"""Where it is, what comes first wins (osinfo-db-path)."""

_SHORT = re.compile(rb"<short-id>\s*([^<\s]+)\s*</short-id>")
_ID = re.compile(rb"<os\s+id=[\"']([^\"']+)[\"']")
_PCI = "http://pcisig.com/pci"

# What a system has a driver for, by the devices of the database that stand for it.
_DEVICES: dict[str, tuple[str, ...]] = {
    "virtio_disk": (f"{_PCI}/1af4/1001", f"{_PCI}/1af4/1042"),
    "virtio_scsi": (f"{_PCI}/1af4/1004", f"{_PCI}/1af4/1048"),
    "virtio_net": (f"{_PCI}/1af4/1000", f"{_PCI}/1af4/1041"),
    "virtio_rng": (f"{_PCI}/1af4/1005", f"{_PCI}/1af4/1044"),
    "virtio_video": (f"{_PCI}/1af4/1050",),
    "e1000e": (f"{_PCI}/8086/10d3",),
    "e1000": (f"{_PCI}/8086/100e",),
    "rtl8139": (f"{_PCI}/10ec/8139",),
    "q35": ("http://qemu.org/chipset/x86/q35",),
    "usb_tablet": ("http://usb.org/usb/80ee/0021",),
}


@dataclass(frozen=True)
class System:
    """An operating system.

    Attributes:
        id: What it is called for good, a URI.
        short_id: What people call it.
        name: Its name.
        family: ``linux``, ``winnt``, ``freebsd``, …
        has: What it has drivers for.
        minimum: What it needs on x86: ``ram`` in bytes, ``n-cpus``.
        recommended: What it should have.
        bios: Whether it starts from a BIOS on x86.
    """

    id: str
    short_id: str
    name: str = ""
    family: str = ""
    has: tuple[str, ...] = ()
    minimum: Mapping[str, int] = field(default_factory=dict)
    recommended: Mapping[str, int] = field(default_factory=dict)
    bios: bool = True

    @property
    def windows(self) -> bool:
        return self.family.startswith("win")

    def facts(self) -> dict[str, object]:
        """All of it, printable."""
        return asdict(self)


def system(word: str, likely: str | None = None) -> System:
    """The system of a short or a full ID.

    Args:
        word: The ID.
        likely: The full ID of the system that it may be, which saves looking through all.

    Raises:
        StrataError: There is no such, or no database.
    """
    if likely is not None and word in (likely, *_shorts(likely)) and _file(likely):
        return _described(likely)
    everything = _all()
    if not everything:
        raise StrataError(
            "needs libosinfo's database of systems, which this host has not",
            option="os_variant",
            value=word,
            hint="Install osinfo-db (Debian, Ubuntu, Fedora and RHEL call it so)",
        )
    found = next((one for one, (_path, shorts) in everything.items() if word in (one, *shorts)), None)
    if found is None:
        known = [short for _path, shorts in everything.values() for short in shorts]
        near = difflib.get_close_matches(word, known, 5, 0.6)
        others = f"Near to it are: {', '.join(near)}" if near else "See what there is: osinfo-query os"
        raise StrataError("is no system that osinfo-db knows", option="os_variant", value=word, hint=others)
    return _described(found)


def word(identity: str) -> str:
    """The short ID of a full one, as far as there is a database that knows it."""
    return next(iter(_shorts(identity)), identity)


def _read(path: str) -> tuple[str, tuple[str, ...]] | None:
    """The full ID and the short ones that a file says, which is looked through much faster than parsed."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    identity, shorts = _ID.search(data), tuple(one.decode() for one in _SHORT.findall(data))
    return (identity[1].decode(), shorts) if identity and shorts else None


@cache
def _all() -> dict[str, tuple[str, tuple[str, ...]]]:
    """The file and the short IDs of each system, by its full ID."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for folder in FOLDERS:
        for above, _folders, names in os.walk(f"{folder}/os"):
            for path in (os.path.join(above, name) for name in sorted(names) if name.endswith(".xml")):
                told = _read(path)
                if told is not None:
                    found.setdefault(told[0], (path, told[1]))
    return found


@cache
def _file(identity: str) -> tuple[str, tuple[str, ...]] | None:
    """The file and the short IDs of one system: where its ID says that it is, or else wherever."""
    vendor, _slash, rest = identity.partition("//")[2].partition("/")
    if re.fullmatch(r"[\w.-]+", vendor) and re.fullmatch(r"[\w./-]+", rest):
        for folder in FOLDERS:
            path = f"{folder}/os/{vendor}/{rest.replace('/', '-')}.xml"
            told = _read(path)
            if told is not None and told[0] == identity:
                return path, told[1]
    return _all().get(identity)


def _shorts(identity: str) -> tuple[str, ...]:
    told = _file(identity)
    return () if told is None else told[1]


@cache
def _root(identity: str) -> ET.Element | None:
    told = _file(identity)
    return None if told is None else ET.parse(told[0]).getroot().find("os")


def _described(identity: str) -> System:
    root = _root(identity)
    if root is None:
        raise LookupError(identity)
    devices = _devices(identity, ())
    resources = {kind: _resources(identity, kind, ()) for kind in ("minimum", "recommended")}
    bios = [one for one in root.iterfind("firmware[@type='bios']") if one.get("arch") in ("x86_64", "all")]
    return System(
        identity,
        root.findtext("short-id") or identity,
        root.findtext("name") or "",
        root.findtext("family") or "",
        tuple(what for what, ids in _DEVICES.items() if devices & set(ids)),
        resources["minimum"],
        resources["recommended"],
        not any(one.get("supported") == "false" for one in bios),
    )


def _before(identity: str) -> list[str]:
    """The systems that one takes after."""
    root = _root(identity)
    if root is None:
        return []
    return [one.get("id", "") for tag in ("derives-from", "clones") for one in root.findall(tag)]


def _devices(identity: str, met: tuple[str, ...]) -> set[str]:
    """The devices that a system, or one that it takes after, has drivers for of its own."""
    root = _root(identity)
    if root is None or identity in met:
        return set()
    devices = set().union(*(_devices(one, (*met, identity)) for one in _before(identity)))
    for one in root.iterfind("devices/device"):
        if one.get("supported") == "false":
            devices.discard(one.get("id", ""))
        else:
            devices.add(one.get("id", ""))
    return devices


def _resources(identity: str, kind: str, met: tuple[str, ...]) -> dict[str, int]:
    root = _root(identity)
    if root is None or identity in met:
        return {}
    for arch in ("x86_64", "all"):
        found = root.find(f"resources[@arch='{arch}']/{kind}")
        if found is not None:
            return {one.tag: int(one.text or 0) for one in found if (one.text or "").strip().isdigit()}
    inherited = (_resources(one, kind, (*met, identity)) for one in _before(identity))
    return next((one for one in inherited if one), {})
