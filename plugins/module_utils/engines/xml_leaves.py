# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a document of libvirt's says, leaf by leaf: ``{"ip[192.0.2.1]/dhcp/bootp@file": "pxe.0"}``.

What is given as XML is compared with what libvirt has by these: what libvirt fills in, and how it spells what it was
told, doesn't matter then.
"""

from __future__ import annotations

import ipaddress
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

KEYS: Mapping[str, tuple[str, ...]] = {
    "device": ("path",),
    "forwarder": ("domain", "addr"),
    "host": ("mac", "id", "name", "ip"),
    "interface": ("dev",),
    "ip": ("address",),
    "option": ("value", "name"),
    "portgroup": ("name",),
    "range": ("start",),
    "route": ("address",),
    "tag": ("id",),
    "txt": ("name",),
}
"""What tells elements of one name from each other, for those of which there may be many: the first that is there."""

UNITS = {
    "": 1,
    "b": 1,
    "bytes": 1,
    **{unit + ib: 1024 ** (power + 1) for power, unit in enumerate("kmgtpe") for ib in ("", "ib")},
    **{f"{unit}b": 1000 ** (power + 1) for power, unit in enumerate("kmgtpe")},
}
"""formatstorage: ``KB`` is 1000 bytes, ``K`` and ``KiB`` are 1024."""


def _step(element: ET.Element) -> str:
    tag = quote(element.tag, safe=":{}-_.")
    named = [value for value in map(element.get, KEYS.get(element.tag.rpartition("}")[2], ())) if value]
    return f"{tag}[{quote(plain(named[0]), safe=':.,-_ ')}]" if named else tag


def _children(element: ET.Element) -> Iterator[ET.Element]:
    return (one for one in element if isinstance(one.tag, str))  # comments have none


def _walk(element: ET.Element, path: str, every: bool) -> Iterator[tuple[str, str]]:
    text = (element.text or "").strip()
    if path and (every or text or not (element.attrib or len(element))):
        yield path, text
    for name, value in element.attrib.items():
        yield f"{path}@{name}", value
    for one in _children(element):
        yield from _walk(one, f"{path}/{_step(one)}" if path else _step(one), every)


def plain(text: str) -> str:
    """One spelling of what libvirt takes several for."""
    text = text.strip()
    word = text.lower()
    if word in ("yes", "on", "true"):
        return "yes"
    if word in ("no", "off", "false"):
        return "no"
    if re.fullmatch(r"0x[0-9a-f]+|\d+", word):
        return str(int(word, 16 if word.startswith("0x") else 10))
    if re.fullmatch(r"([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}", word):
        return word
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        return text


def spelled_out(root: ET.Element) -> None:
    """Have sizes in bytes, and networks with a prefix, as libvirt says them or takes them as well."""
    for element in root.iter():
        netmask = element.get("netmask")
        if netmask and element.get("address"):
            element.set("prefix", str(ipaddress.ip_network(f"0.0.0.0/{netmask}").prefixlen))
            del element.attrib["netmask"]
        unit = str(element.get("unit", "")).lower()
        number = (element.text or "").strip()
        if element.tag in ("capacity", "allocation") and unit in UNITS and number.isdigit():
            element.text = str(int(number) * UNITS[unit])
            element.attrib.pop("unit", None)


@dataclass(frozen=True)
class Leaves:
    """All leaves of a document.

    Attributes:
        told: Patterns of leaves that libvirt tells of a thing, and that nobody declares.
        silent: What libvirt doesn't say again, because it is the same as saying nothing.
    """

    told: str = "(?!)"
    silent: Mapping[str, str] = field(default_factory=dict)

    def get(self, root: ET.Element) -> dict[str, str]:
        return dict(_walk(root, "", True))

    def given(self, root: ET.Element) -> dict[str, str]:
        """The leaves that a document declares."""
        return {path: text for path, text in _walk(root, "", False) if not re.fullmatch(self.told, path)}

    def seen(self, root: ET.Element, wanted: Mapping[str, str | None]) -> dict[str, str]:
        """What a document has of some leaves."""
        found = self.get(root)
        return {path: found[path] for path in wanted if path in found}

    def settled(self, wanted: Mapping[str, str | None], found: Mapping[str, str]) -> dict[str, str | None]:
        """What is wanted, in the spelling that libvirt has for it, and without what libvirt doesn't say."""
        settled: dict[str, str | None] = {}
        for path, text in wanted.items():
            if text is not None and path in found and plain(found[path]) == plain(text):
                settled[path] = found[path]
            elif text is None or path in found or plain(self.silent.get(path, "\0")) != plain(text):
                settled[path] = text
        return settled

    def put(self, root: ET.Element, values: Mapping[str, str | None]) -> None:
        """Set leaves; None takes one away, and an element with its last one."""
        known: dict[str, ET.Element] = {}  # by where they are: what tells them apart is set and taken away here, too
        for path, text in values.items():
            where, _at, attribute = path.partition("@")
            chain = [root]
            for depth, step in enumerate(filter(None, where.split("/")), start=1):
                place = "/".join(where.split("/")[:depth])
                if place not in known:
                    found = next((one for one in _children(chain[-1]) if _step(one) == step), None)
                    if found is None and text is None:
                        break
                    known[place] = ET.SubElement(chain[-1], _tag(step)) if found is None else found
                chain.append(known[place])
            else:
                _set(chain, attribute, text)


def _tag(step: str) -> str:
    return re.sub(r"%([0-9A-F]{2})", lambda hexed: chr(int(hexed[1], 16)), re.sub(r"\[.*", "", step))


def _set(chain: list[ET.Element], attribute: str, text: str | None) -> None:
    element = chain[-1]
    if text is not None:
        if attribute:
            element.set(attribute, text)
        else:
            element.text = text
        return
    if attribute:
        element.attrib.pop(attribute, None)
    else:
        element.text = None
    for above, below in zip(chain[-2::-1], chain[::-1]):
        if below.attrib or len(below) or (below.text or "").strip() or below not in list(above):
            break
        above.remove(below)
