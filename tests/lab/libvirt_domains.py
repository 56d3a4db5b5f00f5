# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains of libvirt, looked at through virsh."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from .driver import run

IMAGES = Path("/var/lib/libvirt/images")
DISK, OTHER = IMAGES / "strata-test.qcow2", IMAGES / "strata-test-data.raw"
SEEDS = Path("/var/lib/strata/libvirt/seeds")
LOG = Path("/var/log/libvirt/qemu/strata-test-console.log")
HOST = "engines.libvirt.Host"
VERBS = (
    "define",
    "undefine",
    "set_autostart",
    "start",
    "start_paused",
    "destroy",
    "set_memory",
    "set_vcpus",
    "attach",
    "detach",
    "note",
    "pin",
    "set_iothreads",
    "set_iotune",
    "change",
)
TOUCHES = (*(f"{HOST}.{verb}" for verb in VERBS), "core.files.write", "core.files.remove")


def virsh(*words: str, **more) -> str:
    return run("virsh", *words, **more)


def document(name: str, *flags: str) -> ET.Element:
    return ET.fromstring(virsh("dumpxml", *flags, name))


def described(root: ET.Element) -> dict:
    disks = [disk for disk in root.findall("devices/disk") if disk.get("device") == "disk"]
    disks = [disk for disk in disks if not disk.find("source").get("file").startswith(str(SEEDS))]
    return {
        "memory": [root.findtext("currentMemory"), root.findtext("memory")],
        "vcpus": [root.find("vcpu").get("current"), root.findtext("vcpu")],
        "disks": [[disk.find("source").get("file"), dict(disk.find("driver").attrib)] for disk in disks],
        "targets": [dict(disk.find("target").attrib) for disk in disks],
        "networks": [
            [card.find("source").get("network"), card.find("model").get("type"), card.find("mac").get("address")]
            for card in root.findall("devices/interface")
        ],
        "cmdline": root.findtext("os/cmdline"),
        "log": [log.get("file") for log in root.findall("devices/serial/log")],
        "cpu": dict(root.find("cpu").attrib),
        "features": {one.get("name"): one.get("policy") for one in root.findall("cpu/feature")},
        "iothreads": root.findtext("iothreads"),
        "pins": [dict(pin.attrib) for pin in root.findall("cputune/*")],
        "channels": [one.find("target").get("name") for one in root.findall("devices/channel")],
        "title": root.findtext("title"),
    }


def told(seed: str) -> str:
    """What the first user data line of a seed names."""
    at = re.search(rb'"hostname": "([^"]*)"', Path(seed).read_bytes())
    return at.group(1).decode()


def look(name: str) -> dict | None:
    if name not in virsh("list", "--all", "--name").split():
        return None
    info = virsh("dominfo", name)
    autostart = "enable" in next(line for line in info.splitlines() if line.startswith("Autostart"))
    seeds = [told(str(file)) for file in sorted(SEEDS.glob(f"{name}.*.iso"))]
    return {
        **described(document(name, "--inactive")),
        "seeds": seeds,
        "autostart": autostart,
        "state": virsh("domstate", name),
    }


def edit(name: str, old: str, new: str) -> None:
    text = virsh("dumpxml", "--inactive", name)
    assert old in text
    file = Path("/tmp/strata-test.xml")
    file.write_text(text.replace(old, new))
    virsh("define", str(file))
