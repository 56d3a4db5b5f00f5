# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the values of a libvirt storage pool live in its XML (formatstorage), on top of the places of domain_xml."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass

FS = "http://libvirt.org/schemas/storagepool/fs/1.0"


@dataclass(frozen=True)
class Hosts:
    """Servers, each with its port where that isn't the usual one: ``san.example.com:3261``, ``[2001:db8::1]:3261``."""

    def get(self, root: ET.Element) -> tuple[str, ...]:
        return tuple(sorted(map(_said, root.findall("host"))))

    def put(self, root: ET.Element, value: Iterable[str] | None) -> None:
        missing = list(value or ())
        for element in root.findall("host"):
            if _said(element) in missing:
                missing.remove(_said(element))
            else:
                root.remove(element)
        for text in missing:
            name, colon, port = text.rpartition(":")
            if not port.isdigit() or (":" in name and not name.startswith("[")):
                name, colon = text, ""
            given = {"name": name.strip("[]"), **({"port": port} if colon else {})}
            ET.SubElement(root, "host", given)


def _said(element: ET.Element) -> str:
    name, port = element.get("name", ""), element.get("port")
    if port is None:
        return name
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


@dataclass(frozen=True)
class MountOptions:
    """Options of mount(8), beside those that libvirt gives itself."""

    def get(self, root: ET.Element) -> tuple[str, ...]:
        return tuple(sorted(one.get("name", "") for one in root.findall(f"{{{FS}}}mount_opts/{{{FS}}}option")))

    def put(self, root: ET.Element, value: Iterable[str] | None) -> None:
        ET.register_namespace("fs", FS)
        for element in root.findall(f"{{{FS}}}mount_opts"):
            root.remove(element)
        options = tuple(value or ())
        if options:
            above = ET.SubElement(root, f"{{{FS}}}mount_opts")
            for name in options:
                ET.SubElement(above, f"{{{FS}}}option", {"name": name})
