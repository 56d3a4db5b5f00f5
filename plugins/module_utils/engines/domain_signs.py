# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells the elements of a domain's XML from their siblings of the same name."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass

from .domain_devices import PciAddress, UsbIds
from .xml_leaves import plain


@dataclass(frozen=True)
class Sign:
    """What tells elements of one name apart.

    Attributes:
        places: ``path@attribute``, ``@attribute``, or the path of a text.
        firm: How many of them have to be the same; the others are preferred to be.
        alone: The first one is enough, where it is there.
    """

    places: tuple[str, ...]
    firm: int = 1
    alone: bool = False


SIGNS: Mapping[str, Sign] = {
    # Of the hypervisor and its threads.
    "cpu/feature": Sign(("@name",)),
    "firmware/feature": Sign(("@name",)),
    "numa/cell": Sign(("@id",)),
    "distances/sibling": Sign(("@id",)),
    "interconnects/latency": Sign(("@initiator", "@target", "@type", "@cache"), 4),
    "interconnects/bandwidth": Sign(("@initiator", "@target", "@type", "@cache"), 4),
    "vcpupin": Sign(("@vcpu",)),
    "iothreadpin": Sign(("@iothread",)),
    "iothreadids/iothread": Sign(("@id",)),
    "vcpus/vcpu": Sign(("@id",)),
    "vcpusched": Sign(("@vcpus",)),
    "iothreadsched": Sign(("@iothreads",)),
    "cachetune": Sign(("@vcpus",)),
    "cachetune/cache": Sign(("@id", "@level", "@type"), 3),
    "monitor": Sign(("@vcpus",)),
    "memorytune": Sign(("@vcpus",)),
    "memorytune/node": Sign(("@id",)),
    "memnode": Sign(("@cellid",)),
    "blkiotune/device": Sign(("path",)),
    "timer": Sign(("@name",)),
    "entry": Sign(("@name",)),
    "sysinfo": Sign(("@type",)),
    "seclabel": Sign(("@model",)),
    "keywrap/cipher": Sign(("@name",)),
    # Devices.
    "devices/disk": Sign(("target@dev",)),
    "devices/interface": Sign(("mac@address", "@type", "source"), 3, alone=True),
    "devices/controller": Sign(("@type", "@index", "@model"), 2),
    "devices/hostdev": Sign(("@type", "source"), 2),
    "devices/channel": Sign(("target@name", "@type"), 2, alone=True),
    "devices/serial": Sign(("target@port",)),
    "devices/parallel": Sign(("target@port",)),
    "devices/console": Sign(("target@type",)),
    "devices/graphics": Sign(("@type",)),
    "devices/input": Sign(("@type", "@bus"), 2),
    "devices/sound": Sign(("@model",)),
    "devices/audio": Sign(("@id",)),
    "devices/video": Sign(("model@type",), 0),
    "devices/rng": Sign(("@model", "backend@model"), 0),
    "devices/tpm": Sign(("@model",), 0),
    "devices/watchdog": Sign(("@model",), 0),
    "devices/memballoon": Sign(("@model",), 0),
    "devices/vsock": Sign(("@model",), 0),
    "devices/iommu": Sign(("@model",), 0),
    "devices/panic": Sign(("@model",)),
    "devices/shmem": Sign(("@name",)),
    "devices/filesystem": Sign(("target@dir",)),
    "devices/redirdev": Sign(("@bus", "@type"), 2),
    "devices/memory": Sign(("@model", "target/node"), 2),
    "devices/smartcard": Sign(("@mode",)),
    "devices/hub": Sign(("@type",)),
    "devices/lease": Sign(("key",)),
    # Within devices.
    "graphics/channel": Sign(("@name",)),
    "graphics/listen": Sign(("@type",)),
    "interface/ip": Sign(("@address",)),
    "interface/route": Sign(("@address",)),
    "filterref/parameter": Sign(("@name",)),
    "vlan/tag": Sign(("@id",)),
}
"""By parent and name, or by name; what isn't here is told apart by its place."""

_ITCO = "itco"

_NO_IDENTITY = ("type", "managed", "index", "startupPolicy", "guestReset", "writeFiltering", "mode")
"""What is said of a source, and not which one it is."""

_SILENT: tuple[tuple[str, str], ...] = (
    (r".*/driver@cache", "default"),
    (r".*/driver@error_policy", "default"),
    (r"devices/graphics.*@autoport", "no"),
    (r"devices/disk.*@device", "disk"),
    (r"devices/hostdev.*@managed", "no"),
    (r".*/discard@?", ""),
    (r"devices/disk.*/iotune/.*", "0"),
)
"""What libvirt doesn't say again: where, and what."""


def _sign(above: str, tag: str) -> Sign | None:
    return SIGNS.get(f"{above}/{tag}") or SIGNS.get(tag)


def _source(element: ET.Element) -> str:
    """What a card or a device of the host is attached to, in a few words."""
    source = element.find("source")
    if source is None:
        return ""
    for name in ("network", "bridge", "dev", "path", "name"):
        if source.get(name):
            return str(source.get(name))
    known = PciAddress().get(element) or UsbIds().get(element)
    if known:
        return known
    words: list[str] = []
    for one in sorted(source.iter(), key=lambda one: str(one.tag)):
        if one.tag in ("address", "vendor", "product", "adapter", "host") or one is source:
            attributes = {name: text for name, text in one.attrib.items() if name not in _NO_IDENTITY}
            words += [plain(attributes[name]) for name in sorted(attributes)]
    return ".".join(words)


def signed(above: str, tag: str) -> bool:
    """Whether anything tells elements of a name apart but their place."""
    return _sign(above, tag) is not None


def signs(above: str, element: ET.Element) -> tuple[str, ...]:
    """What tells an element from its siblings of the same name; empty where something isn't said."""
    sign = _sign(above, element.tag)
    if sign is None:
        return ()
    return tuple(_value(element, place) for place in sign.places)


def _value(element: ET.Element, place: str) -> str:
    if place == "source":
        return _source(element)
    path, at, attribute = place.partition("@")
    found = element.find(path or ".")
    text = "" if found is None else found.get(attribute, "") if at else found.text or ""
    return plain(text)


def alone(above: str, tag: str) -> bool:
    """Whether the first of them is enough."""
    sign = _sign(above, tag)
    return sign is not None and sign.alone


def firm(above: str, tag: str, wanted: tuple[str, ...], had: tuple[str, ...]) -> int:
    """How many of them have to be the same."""
    sign = _sign(above, tag)
    if sign is None:
        return 0
    if tag == "controller" and wanted[:1] == ("pci",):
        return 3  # a bridge doesn't become another one
    if tag == "watchdog" and _ITCO in had:
        return 1  # that of the machine itself
    return sign.firm


def silent(path: str, text: str) -> bool:
    """Whether libvirt doesn't say a leaf, because it is the same as saying nothing."""
    return any(re.fullmatch(where, path) and text == what for where, what in _SILENT)
