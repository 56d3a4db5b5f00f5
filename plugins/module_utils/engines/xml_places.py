# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places in libvirt's XML that its documents have in common, on top of those of domain_xml."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..core.field import Field
from .domain_xml import Leaf, child, find

Row = Mapping[str, Any]


def yes(text: str) -> bool:
    return text in ("yes", "on")


def yes_no(value: bool) -> str:
    return "yes" if value else "no"


def on_off(value: bool) -> str:
    return "on" if value else "off"


class Said(Mapping[str, Any]):
    """What a document says, by option. Most of it nobody asks for: each value is read when somebody does.

    Args:
        root: The document, which nobody changes.
        places: Where each option lives in it.
        beside: What is known otherwise, and counts in its stead.
    """

    def __init__(self, root: ET.Element, places: Mapping[str, Any], beside: Mapping[str, Any]) -> None:
        self._root = root
        self._places = places
        self._known = dict(beside)

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._places[name].get(self._root)
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._places

    def get(self, key: str, default: Any = None) -> Any:
        """Not Mapping's, which would take an error in reading for a name that isn't there."""
        if key not in self._known:
            place = self._places.get(key)
            if place is None:
                return default
            self._known[key] = place.get(self._root)
        return self._known[key]

    def __iter__(self) -> Iterator[str]:
        yield from {**self._places, **self._known}

    def __len__(self) -> int:
        return len(self._places.keys() | self._known.keys())


class Entry(Mapping[str, Any]):
    """What an element says, by option, read when somebody asks for it; an option of which it says nothing isn't there.

    Args:
        element: The element, which nobody changes.
        places: Where each option lives in it.
        nothing: The values that say nothing.
    """

    def __init__(
        self, element: ET.Element, places: Mapping[str, Any], nothing: tuple[Any, ...] = (None, {}, ())
    ) -> None:
        self._element = element
        self._places = places
        self._nothing = nothing
        self._read: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """Not Mapping's, which would take an error in reading for an option that isn't there."""
        if key not in self._read:
            place = self._places.get(key)
            value = None if place is None else place.get(self._element)
            self._read[key] = None if value in self._nothing else value
        found = self._read[key]
        return default if found is None else found

    def __getitem__(self, key: str) -> Any:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __contains__(self, key: object) -> bool:
        return self.get(str(key)) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._places if name in self)

    def __len__(self) -> int:
        return sum(1 for _name in self)

    def __bool__(self) -> bool:
        return any(True for _name in self)


def places(row: Iterable[Field]) -> dict[str, Any]:
    """Where the options of a row live."""
    return {field.name: field.at for field in row if field.at}


def entry(row: Iterable[Field], element: ET.Element) -> dict[str, Any]:
    """The same, all of it asked for now, as a mapping of the caller's own."""
    values = {field.name: field.at.get(element) for field in row if field.at}
    return {name: value for name, value in values.items() if value not in (None, {}, ())}


def patch(row: Iterable[Field], element: ET.Element, values: Row) -> None:
    for field in row:
        if field.at and field.name in values and field.at.get(element) != values[field.name]:
            field.at.put(element, values[field.name])


class Sole(Leaf):
    """An attribute whose element goes with its last one: libvirt refuses it empty."""

    def put(self, root: ET.Element, value: Any) -> None:
        super().put(root, value)
        element = root.find(self.path)
        if element is not None and not element.attrib and not len(element):
            above = root.find(self.path.rpartition("/")[0] or ".")
            if above is not None:
                above.remove(element)


class OfRow:
    """What is described by a row of Fields, each with its place within an element."""

    row: tuple[Field, ...]

    @cached_property
    def _places(self) -> dict[str, Any]:
        return places(self.row)

    def entry(self, element: ET.Element) -> Row:
        return Entry(element, self._places)


@dataclass(frozen=True)
class Group(OfRow):
    """Several values of one element; without the element, None."""

    path: str
    row: tuple[Field, ...]

    def get(self, root: ET.Element) -> Row | None:
        element = find(root, self.path)
        return None if element is None else self.entry(element)

    def put(self, root: ET.Element, value: Row | None) -> None:
        """None, or nothing, takes the element away."""
        above, _slash, tag = self.path.rpartition("/")
        parent = root
        for step in filter(None, above.split("/")):
            parent = child(parent, step)
        if value:
            patch(self.row, child(parent, tag), value)
            return
        for element in parent.findall(tag):
            parent.remove(element)
        if above and parent is not root and not len(parent) and not parent.attrib:
            root.remove(parent)
