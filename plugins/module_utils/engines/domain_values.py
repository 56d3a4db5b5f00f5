# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values in a domain's XML: what several spellings stand for, and what libvirt says of a domain and nobody declares."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from .xml_leaves import UNITS, plain

_SETS = ("cpuset", "nodeset", "cpus", "vcpus", "iothreads", "nodemask")
"""What is a set of numbers, such as ``0-3,^2``."""

_MEMORY = {
    "memory": 1024,
    "currentMemory": 1024,
    "maxMemory": 1024,
    "hard_limit": 1024,
    "soft_limit": 1024,
    "swap_hard_limit": 1024,
    "min_guarantee": 1024,
    "tseg": 1024**2,
    "size": 1024,
    "block": 1024,
    "requested": 1024,
    "current": 1024,
}
"""What is a size, by its element, and what one without a unit counts (formatdomain)."""

_SIZED = {"cell": "memory", "page": "size", "cache": "size"}
"""What has a size in an attribute."""


def numbers(text: str) -> frozenset[int] | None:
    """The numbers of a set; None: it is none."""
    found_all: set[int] = set()
    for part in filter(None, text.replace(" ", "").split(",")):
        found = re.fullmatch(r"(\^?)(\d+)(?:-(\d+))?", part)
        if found is None:
            return None
        span = range(int(found[2]), int(found[3] or found[2]) + 1)
        found_all = found_all - set(span) if found[1] else found_all | set(span)
    return frozenset(found_all)


def _machine(text: str) -> str:
    return {"pc": "pc-i440fx", "q35": "pc-q35"}.get(text, text)


def same(path: str, wanted: str, has: str) -> bool:
    """Whether two texts mean the same at a place."""
    if wanted.strip() == has.strip() or plain(wanted) == plain(has):
        return True
    last = re.split(r"[/@]", path)[-1]
    if last in _SETS:
        return numbers(wanted) is not None and numbers(wanted) == numbers(has)
    if path == "os/type@machine":  # a family stands for the version of it that the domain has
        return re.fullmatch(rf"{re.escape(_machine(wanted))}-[\d.]+", has) is not None
    if re.fullmatch(r"sysinfo.*/entry\[uuid\]", path):
        return wanted.lower() == has.lower()
    return False


def _sized(number: str, unit: str, usual: int) -> tuple[str, str] | None:
    """A size and its unit, in KiB where it is a whole number of them; None: it is no size."""
    by = UNITS.get(unit.lower()) if unit else usual
    if by is None or not number.strip().isdigit():
        return None
    size = int(number) * by
    return (str(size), "b") if size % 1024 else (str(size // 1024), "KiB")


def spelled_out(root: ET.Element) -> None:
    """Have all sizes in KiB, as libvirt says most of them."""
    for element in root.iter():
        tag = element.tag if isinstance(element.tag, str) else ""
        attribute = _SIZED.get(tag)
        if attribute and attribute in element.attrib:
            sized = _sized(element.get(attribute, ""), element.get("unit", ""), 1024)
            if sized is not None:
                element.set(attribute, sized[0])
                element.set("unit", sized[1])
        elif tag in _MEMORY and (element.text or "").strip():
            sized = _sized(element.text or "", element.get("unit", ""), _MEMORY[tag])
            if sized is not None:
                element.text, unit = sized
                element.set("unit", unit)
    _one_each(root.find("cputune"))
    cells = [cell.get("memory", "") for cell in root.iterfind("cpu/numa/cell")]
    memory = root.find("memory")
    if cells and memory is not None and all(one.isdigit() for one in cells):
        # What a domain with nodes has is what these have, and the modules that are plugged in.
        modules = [one.text or "0" for one in root.iterfind("devices/memory/target/size")]
        total = sum(map(int, [*cells, *modules]))
        memory.text = str(total)
        memory.set("unit", "KiB")
        now = root.find("currentMemory")
        if now is not None and (now.text or "").isdigit() and int(now.text or "0") > total:
            now.text = str(total)


def _one_each(tune: ET.Element | None) -> None:
    """Have a scheduler for each thread, as libvirt says it at times."""
    for tag, attribute in (("vcpusched", "vcpus"), ("iothreadsched", "iothreads")):
        for element in [] if tune is None else tune.findall(tag):
            threads = sorted(numbers(element.get(attribute, "")) or ())
            if tune is not None and len(threads) > 1:
                place = list(tune).index(element)
                tune.remove(element)
                for thread in threads:
                    tune.insert(place, ET.Element(tag, {**element.attrib, attribute: str(thread)}))


def told(root: ET.Element) -> None:
    """Take out what libvirt says of a domain, of one that runs above all, and nobody declares."""
    ran = root.attrib.pop("id", None) is not None
    for vcpu in root.findall("vcpu"):
        if vcpu.get("current") == (vcpu.text or "").strip():
            del vcpu.attrib["current"]
    for label in root.findall("seclabel"):
        if label.get("type") == "dynamic":
            for tag in ("label", "imagelabel"):
                for one in label.findall(tag):
                    label.remove(one)
    for parent in list(root.iter()):
        for one in list(parent):
            name = one.get("name", "") if one.tag == "alias" else "ua-"
            if not name.startswith("ua-") or (ran and parent.tag == "disk" and one.tag in ("backingStore", "mirror")):
                parent.remove(one)
    for device in root.iterfind("devices/*"):
        if isinstance(device.tag, str):
            _told_of(device)


def _told_of(device: ET.Element) -> None:
    source, target = device.find("source"), device.find("target")
    if device.tag == "disk" and source is None:
        device.attrib.pop("type", None)  # an empty drive is of none
    if device.get("type") == "pty":
        device.attrib.pop("tty", None)
        for one in device.findall("source"):
            device.remove(one)  # whichever was free
    elif source is not None:
        source.attrib.pop("index", None)
        if device.tag == "channel" and re.match(r"/(var/lib|run)/libvirt/qemu/channel/", source.get("path", "")):
            device.remove(source)  # libvirt chooses it
        if device.tag == "interface" and source.get("network"):
            for name in ("portid", "bridge"):
                source.attrib.pop(name, None)
            if device.get("type") != "network":
                device.set("type", "network")
    if target is None:
        pass
    elif device.tag == "interface" and re.fullmatch(r"(vnet|vif|macvtap|macvlan)\d+", target.get("dev", "")):
        device.remove(target)
    elif device.tag == "console":
        target.attrib.pop("port", None)  # libvirt counts them
    elif device.tag == "channel":
        target.attrib.pop("state", None)
    if device.tag == "graphics":
        if device.get("autoport") == "yes" or device.get("port") == "-1":
            for name in ("port", "tlsPort"):
                device.attrib.pop(name, None)
        if device.get("websocket") == "-1":
            del device.attrib["websocket"]
