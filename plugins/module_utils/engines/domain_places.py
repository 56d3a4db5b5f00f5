# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a domain's processors and memory live in its XML, on top of the places of domain_xml."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.field import Field
from .domain_xml import Leaf, child, mark, marked
from .xml_places import Group, Row, entry, patch

_UNITS = {"b": 1, "bytes": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}  # libvirt prints no others


class Whole(Group):
    """A group that is put exactly: what isn't given goes back to what libvirt has without it."""

    def put(self, root: ET.Element, value: Row | None) -> None:
        super().put(root, {**{field.name: field.default for field in self.row}, **value} if value else None)


@dataclass(frozen=True)
class Named:
    """Elements of one tag as a mapping of one of their attributes to another one."""

    tag: str
    key: str
    value: str
    read: Callable[[str], Any] = str

    def get(self, root: ET.Element) -> dict[Any, str] | None:
        pairs = {self.read(one.get(self.key, "")): one.get(self.value, "") for one in root.findall(self.tag)}
        return dict(sorted(pairs.items())) or None

    def put(self, root: ET.Element, value: Mapping[Any, str] | None) -> None:
        wanted = {str(key): text for key, text in (value or {}).items()}
        for element in root.findall(self.tag):
            text = wanted.pop(element.get(self.key, ""), None)
            if text is None:
                root.remove(element)
            else:
                element.set(self.value, text)
        for key, text in wanted.items():
            ET.SubElement(root, self.tag, {self.key: key, self.value: text})


_LEVELS = ("sockets", "dies", "clusters", "cores", "threads")


@dataclass(frozen=True)
class Topology:
    """How the processors are laid out. Levels that are not written are 1."""

    def get(self, cpu: ET.Element) -> dict[str, int] | None:
        element = cpu.find("topology")
        return None if element is None else {level: int(element.get(level, "1")) for level in _LEVELS}

    def put(self, cpu: ET.Element, value: Mapping[str, int] | None) -> None:
        for element in cpu.findall("topology") if not value else ():
            cpu.remove(element)
        if value:
            element = child(cpu, "topology")
            for level in _LEVELS:
                # libvirt before 10.1 knows no clusters, and before 6.1 no dies.
                if value[level] != 1 or level not in ("dies", "clusters") or level in element.attrib:
                    element.set(level, str(value[level]))


_MODEL = ("mode", "model", "features")


@dataclass(frozen=True)
class Cpu:
    """The processor that the guest sees.

    A running domain tells what its model has become on this host, and not what was asked for. That is noted in
    the metadata, which goes with what is stored into what is started.
    """

    row: tuple[Field, ...]

    def get(self, root: ET.Element) -> dict[str, Any] | None:
        element = root.find("cpu")
        return None if element is None else entry(self.row, element)

    def put(self, root: ET.Element, value: Row | None) -> None:
        cpu = child(root, "cpu")
        was = cpu.get("mode")
        if value is None or value.get("mode", was) != was:
            for element in cpu.findall("model") + cpu.findall("feature"):
                cpu.remove(element)
            for attribute in ("match", "check", "mode", "migratable"):
                cpu.attrib.pop(attribute, None)
        if value is not None:
            patch(self.row, cpu, value)
            if value.get("mode") == "custom" and cpu.find("model") is None:
                cpu.attrib.pop("mode", None)  # libvirt chooses a model then
            self.note(root)
            return
        for element in cpu.findall("topology"):
            cpu.remove(element)
        if not len(cpu):
            root.remove(cpu)
        note = mark(root)
        if note is not None:
            note.attrib.pop("cpu", None)

    def note(self, root: ET.Element) -> None:
        """Note what was asked for."""
        told = self.get(root) or {}
        marked(root).set("cpu", json.dumps({name: told[name] for name in _MODEL if name in told}, sort_keys=True))

    def running(self, root: ET.Element, stored: Row | None) -> dict[str, Any] | None:
        """What a running domain was started with.

        Args:
            root: What runs.
            stored: What is stored, which it runs with where it doesn't tell otherwise.
        """
        told = self.get(root)
        if told is None or told.get("mode") not in (None, "custom"):
            return told
        note = mark(root)
        noted = None if note is None else note.get("cpu")
        asked = dict(stored or {}) if noted is None else json.loads(noted)
        laid_out = {"topology": told["topology"]} if "topology" in told else {}
        return {**{name: asked[name] for name in _MODEL if name in asked}, **laid_out}


@dataclass(frozen=True)
class IoThreads:
    """How many threads there are for disks, numbered from 1."""

    def get(self, root: ET.Element) -> int:
        return int(root.findtext("iothreads") or 0)

    def put(self, root: ET.Element, value: int | None) -> None:
        Leaf("iothreads").put(root, value or None)
        for ids in root.findall("iothreadids"):
            for one in list(ids):
                if int(one.get("id", "0")) > (value or 0):
                    ids.remove(one)
            if not len(ids):
                root.remove(ids)


@dataclass(frozen=True)
class HugePages:
    """The size of the pages that memory is made of, in bytes; ``default`` is the host's."""

    def get(self, backing: ET.Element) -> int | str | None:
        element = backing.find("hugepages")
        if element is None:
            return None
        page = element.find("page")
        return "default" if page is None else int(page.get("size", "0")) * _UNITS[page.get("unit", "KiB")]

    def put(self, backing: ET.Element, value: int | str | None) -> None:
        for element in backing.findall("hugepages"):
            backing.remove(element)
        if value:
            element = ET.SubElement(backing, "hugepages")
            if isinstance(value, int):
                ET.SubElement(element, "page", {"size": str(value // 1024), "unit": "KiB"})


@dataclass(frozen=True)
class Elements:
    """A table of elements of one tag, told apart by one of their attributes.

    Attributes:
        path: What they are in; empty: the element itself.
        tag: Their tag.
        row: The Fields of an entry.
        key: The attribute, which is a Field of the same name.
    """

    path: str
    tag: str
    row: tuple[Field, ...]
    key: str

    def get(self, root: ET.Element) -> tuple[dict[str, Any], ...]:
        found = [entry(self.row, one) for one in root.findall("/".join(filter(None, (self.path, self.tag))))]
        return tuple(sorted(found, key=lambda row: str(row[self.key])))

    def put(self, root: ET.Element, rows: Iterable[Row] | None) -> None:
        wanted = {str(row[self.key]): row for row in rows or ()}
        parent = root
        for step in filter(None, self.path.split("/")):
            parent = child(parent, step)
        there = {str(one.get(self.key)): one for one in parent.findall(self.tag)}
        for key, element in there.items():
            if key not in wanted:
                parent.remove(element)
        for key, row in wanted.items():
            patch(self.row, there[key] if key in there else ET.SubElement(parent, self.tag), row)
        if parent is not root and not len(parent):
            Leaf(self.path).put(root, None)
