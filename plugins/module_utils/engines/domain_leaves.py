# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a domain's XML says, leaf by leaf: ``{"devices/disk[vda]/driver@cache": "none"}``.

On top of xml_leaves: libvirt adds devices to a domain, numbers them and reorders them, so that an element of a document
is looked for in what libvirt has: by what tells it from its siblings, then by its place among those that are like it.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from . import domain_signs
from .domain_values import same, spelled_out, told
from .domain_xml import child
from .xml_leaves import Leaves, plain

_ESSENTIAL = re.compile(r"@type|(os/type|name|uuid|memory|currentMemory|vcpu|devices/emulator)(@.*)?")
"""What a domain can't be without: it stays when nobody declares it any more."""

_ANY = "*"


@dataclass
class Branch:
    """One element of a document: its leaves, by attribute (``""`` is its text), and what is below it."""

    path: str = ""
    leaves: dict[str, str | None] = field(default_factory=dict)
    below: dict[str, Branch] = field(default_factory=dict)

    def gone(self) -> bool:
        """Whether nothing of it is wanted."""
        own = all(text is None for text in self.leaves.values())
        return own and all(one.gone() for one in self.below.values())


def _tree(leaves: Mapping[str, str | None]) -> Branch:
    top = Branch()
    for path, text in leaves.items():
        where, _at, attribute = path.partition("@")
        branch = top
        for step in filter(None, where.split("/")):
            branch = branch.below.setdefault(step, Branch(f"{branch.path}/{step}" if branch.path else step))
        branch.leaves[attribute] = text
    return top


def _elements(element: ET.Element) -> list[ET.Element]:
    return [one for one in element if isinstance(one.tag, str)]  # comments have none


def _words(parent: ET.Element, element: ET.Element) -> tuple[str, ...]:
    return tuple(quote(one, safe=":.,-_+") if one else _ANY for one in domain_signs.signs(parent.tag, element))


def _steps(parent: ET.Element) -> Iterator[tuple[str, ET.Element]]:
    """The elements below one, each with the step that leads to it and to no other."""
    seen: dict[str, int] = {}
    for element in _elements(parent):
        words = _words(parent, element)
        if words and domain_signs.alone(parent.tag, element.tag) and words[0] != _ANY:
            words = words[:1]
        label = re.sub(r"( ?\*)+$", "", " ".join(words))
        step = quote(element.tag, safe=":{}-_.")
        seen[f"{step}[{label}"] = place = seen.get(f"{step}[{label}", 0) + 1
        inside = " ".join(filter(None, (label, f"#{place}" if place > 1 else "")))
        yield (f"{step}[{inside}]" if inside else step), element


def _parsed(step: str) -> tuple[str, tuple[str, ...]]:
    tag, _bracket, inside = step.partition("[")
    words = tuple(one for one in inside.rstrip("]").split(" ") if one and not one.startswith("#"))
    return unquote(tag), words


def _agree(parent: ET.Element, wanted: tuple[str, ...], element: ET.Element) -> int | None:
    """How much of what tells elements apart is the same, the first of it above all; None: it is another one."""
    had = _words(parent, element)
    firm = domain_signs.firm(parent.tag, element.tag, wanted, had)
    if any(one not in (_ANY, two) for one, two in list(zip(wanted, had))[:firm]):
        return None
    return sum((one == two) << len(had) - place for place, (one, two) in enumerate(zip(wanted, had)))


def _said(element: ET.Element, path: str = "") -> set[tuple[str, str]]:
    """What an element says, wherever in it."""
    said = {(f"{path}@{name}", plain(text)) for name, text in element.attrib.items()}
    said |= {(path, plain(element.text))} if (element.text or "").strip() and element.text else set()
    return said.union(*(_said(one, f"{path}/{one.tag}") for one in _elements(element)))


def _meant(branch: Branch, path: str = "") -> set[tuple[str, str]]:
    """What a branch wants, in the same form."""
    wanted = {(f"{path}@{name}" if name else path, plain(text)) for name, text in branch.leaves.items() if text}
    return wanted.union(*(_meant(one, f"{path}/{_parsed(step)[0]}") for step, one in branch.below.items()))


def _placed(parent: ET.Element, below: Mapping[str, Branch]) -> dict[str, ET.Element]:
    """Which element below one each step leads to, where there is one. The most alike is taken first."""
    steps, free = list(below), _elements(parent)
    parsed = {step: _parsed(step) for step in steps}
    alike = []
    for order, step in enumerate(steps):
        tag, words = parsed[step]
        # Of what nothing tells apart, such as arguments of a command line, the order is what was meant.
        several = domain_signs.signed(parent.tag, tag) and sum(one == tag for one, _words in parsed.values()) > 1
        for place, element in enumerate(free):
            agreed = _agree(parent, words, element) if element.tag == tag else None
            if agreed is not None:
                common = len(_said(element) & _meant(below[step])) if several else 0
                alike.append((-agreed, -common, order, place))
    found: dict[str, ET.Element] = {}
    taken: set[int] = set()
    for _agreed, _common, order, place in sorted(alike):
        if steps[order] not in found and place not in taken:
            found[steps[order]] = free[place]
            taken.add(place)
    return found


def _walk(element: ET.Element, path: str) -> Iterator[tuple[str, str]]:
    text = (element.text or "").strip()
    if path and (text or not (element.attrib or _elements(element))):
        yield path, text
    for name, value in element.attrib.items():
        yield f"{path}@{name}", value
    for step, one in _steps(element):
        yield from _walk(one, f"{path}/{step}" if path else step)


@dataclass(frozen=True)
class DomainLeaves(Leaves):
    """All leaves of a domain's document."""

    def get(self, root: ET.Element) -> dict[str, str]:
        return self.given(root)

    def given(self, root: ET.Element) -> dict[str, str]:
        root = deepcopy(root)
        told(root)
        spelled_out(root)
        return dict(_walk(root, ""))

    def seen(self, root: ET.Element, wanted: Mapping[str, str | None]) -> dict[str, str]:
        """What a document has of some leaves, in the spelling that is wanted where it means the same."""
        root = deepcopy(root)
        spelled_out(root)
        found: dict[str, str] = {}
        _see(root, _tree(wanted), found)
        return found

    def settled(self, wanted: Mapping[str, str | None], found: Mapping[str, str]) -> dict[str, str | None]:
        """What is wanted, without what libvirt doesn't say because it is the same as saying nothing."""
        return {
            path: text
            for path, text in wanted.items()
            if path in found or text is None or not domain_signs.silent(path, text)
        }

    def devices(self, root: ET.Element, wanted: Mapping[str, str | None]) -> dict[str, ET.Element]:
        """The devices that leaves are of, by their paths, as far as they are there."""
        branch, parent = _tree(wanted).below.get("devices"), root.find("devices")
        if branch is None or parent is None:
            return {}
        return {branch.below[step].path: element for step, element in _placed(parent, branch.below).items()}

    def put(self, root: ET.Element, values: Mapping[str, str | None]) -> None:
        """Set the leaves that are otherwise; None takes one away, and a device with its last one."""
        spelled_out(root)
        found = self.seen(root, values)
        missing = {path: text for path, text in values.items() if text is None or found.get(path) != text}
        # What says which element is meant has to be there for what is missing of it to find its place.
        _put(root, _tree(values), missing)


def _see(element: ET.Element, branch: Branch, found: dict[str, str]) -> None:
    for attribute, text in branch.leaves.items():
        path = f"{branch.path}@{attribute}" if attribute else branch.path
        has = element.get(attribute) if attribute else (element.text or "").strip()
        if has is not None:
            found[path] = text if text is not None and same(path, text, has) else has
    for step, one in _placed(element, branch.below).items():
        _see(one, branch.below[step], found)


def _put(element: ET.Element, branch: Branch, missing: Mapping[str, str | None]) -> None:
    for attribute, text in branch.leaves.items():
        path = f"{branch.path}@{attribute}" if attribute else branch.path
        if path not in missing or (text is None and _ESSENTIAL.fullmatch(path)):
            continue
        if attribute and text is None:
            element.attrib.pop(attribute, None)
        elif attribute:
            element.set(attribute, str(text))
        else:
            element.text = text
    placed = _placed(element, branch.below)
    for step, below in branch.below.items():
        one = placed.get(step)
        if below.gone():
            # A device has more to it than was declared, which goes with it.
            if one is not None and (element.tag == "devices" and not _ESSENTIAL.fullmatch(below.path)):
                element.remove(one)
            elif one is not None:
                _put(one, below, missing)
                if not (one.attrib or len(one) or (one.text or "").strip()) and not _ESSENTIAL.fullmatch(below.path):
                    element.remove(one)
            continue
        if one is None:
            one = ET.SubElement(element, _parsed(step)[0])
        _put(one, below, missing)


def _dev(disk: ET.Element) -> str:
    target = disk.find("target")
    return "" if target is None else target.get("dev", "")


def started(running: ET.Element, stored: ET.Element) -> ET.Element:
    """What runs, said as it was stored: without what starting a domain has made of it."""
    running = deepcopy(running)
    for card in running.iterfind("devices/interface"):
        source = card.find("source")
        if source is not None and source.get("network"):
            card.set("type", "network")  # it shows what the network has made of it
    for tag, attributes in (("cpu", ("check", "match", "migratable")), ("cpu/model", ("fallback",))):
        had, has = stored.find(tag), running.find(tag)
        if had is None or has is None:
            continue
        for attribute in attributes:
            has.attrib.pop(attribute, None)
            if had.get(attribute) is not None:
                has.set(attribute, had.get(attribute, ""))
    clock, ticks = stored.find("clock"), running.find("clock")
    if clock is not None and ticks is not None and "basis" in ticks.attrib:
        ticks.attrib.update(clock.attrib)
    drivers = {_dev(one): one.find("driver") for one in stored.iterfind("devices/disk")}
    for disk in running.iterfind("devices/disk"):
        driver = drivers.get(_dev(disk))
        if disk.find("source") is None and driver is not None:  # it is told of an empty drive while that is off alone
            child(disk, "driver").attrib.update(driver.attrib)
    for one in running.iterfind("devices/graphics"):
        if one.get("autoport") == "yes":
            one.set("port", "-1")
    return running
