# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be known of a virtual machine of libvirt, and of what it stands on."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import Any

from ..core import survey
from ..core.diagnosis import UNREAD, Facts
from ..core.errors import StrataError
from ..engines import qcow2
from ..engines.hostfiles import Host, kilobytes
from ..host import engines, kvm, memory
from . import denials, network, qemu_log, walk
from .network import NO_ROOT

_URI = "qemu:///system"
_DEFINED = "/etc/libvirt/qemu"
_LOG = "/var/log/libvirt/qemu"
_LEASES = "/var/lib/libvirt/dnsmasq"
_DAEMONS = ("libvirtd", "virtqemud", "virtnetworkd")
_QEMU_USERS = ("libvirt-qemu", "qemu")  # Debian, Fedora (libvirt: qemu.conf, user)
_CHAIN_MAX = 30
_KIB = 1024
_UNITS = {"b": 1, "bytes": 1, "KiB": _KIB, "k": _KIB, "M": _KIB**2, "MiB": _KIB**2, "G": _KIB**3, "GiB": _KIB**3}
_LIBVIRT = survey.Subject(
    lambda host: {"libvirt": engines.look(host, engines.ENGINES["libvirt"])}, engines.SUBJECT.needs
)
_NAME = re.compile(r"[^/\s-][^/\s]*")


def size(element: ET.Element | None, text: str | None) -> int:
    """Bytes of an amount with a unit, KiB where none is said (libvirt: formatdomain)."""
    return int(text or 0) * _UNITS.get("KiB" if element is None else element.get("unit", "KiB"), _KIB)


def chain(host: Host, path: str) -> list[Facts]:
    """A disk and the files below it, as their own headers say."""
    found: list[Facts] = []
    while path.startswith("/") and len(found) < _CHAIN_MAX:
        row: Facts = {"path": path, "there": host.exists(path), "error": ""}
        found.append(row)
        if not row["there"] or not os.path.isfile(host.root + path):
            break
        try:
            image = qcow2.read(host.root + path)
        except StrataError as error:
            row["error"] = str(error)
            break
        if image is None or not image.backing:
            break
        below = image.backing.removeprefix("file:")
        path = below[len(host.root) :] if below.startswith(f"{host.root}/") else below
    return found


def _disks(host: Host, xml: ET.Element) -> Iterator[Facts]:
    for disk in xml.findall("devices/disk"):
        source, target = disk.find("source"), disk.find("target")
        path = "" if source is None else source.get("file") or source.get("dev") or ""
        files = chain(host, path) if path else []
        yield {
            "device": disk.get("device", "disk"),
            "target": "" if target is None else target.get("dev", ""),
            "bus": "" if target is None else target.get("bus", ""),
            "path": path,
            "files": files,
            "steps": walk.steps(host, path) if path else [],
        }


def _interfaces(host: Host, xml: ET.Element) -> Iterator[Facts]:
    for nic in xml.findall("devices/interface"):
        source, mac, model, tap = (nic.find(name) for name in ("source", "mac", "model", "target"))
        name = "" if tap is None else tap.get("dev", "")
        yield {
            "type": nic.get("type", ""),
            "network": "" if source is None else source.get("network", ""),
            "bridge": "" if source is None else source.get("bridge", ""),
            "mac": "" if mac is None else mac.get("address", "").lower(),
            "model": "" if model is None else model.get("type", ""),
            "tap": name,
            "plugged": host.points_at(f"/sys/class/net/{name}/master") if name else None,
        }


def domain(host: Host, text: str) -> Facts | None:
    """What a domain's XML says, and what is there of it."""
    try:
        xml = ET.fromstring(text)
    except ET.ParseError:
        return None
    amount, vcpus, loader = xml.find("memory"), xml.find("vcpu"), xml.find("os/loader")
    pages = xml.find("memoryBacking/hugepages")
    page = None if pages is None else pages.find("page")
    kind = xml.find("os/type")
    firmware = "" if loader is None else loader.text or ""
    return {
        "type": xml.get("type", ""),
        "uuid": xml.findtext("uuid") or "",
        "machine": "" if kind is None else kind.get("machine", ""),
        "memory": size(amount, None if amount is None else amount.text),
        "vcpus": int("1" if vcpus is None else vcpus.text or 1),
        "hugepages": None if pages is None else 2 * 1024**2 if page is None else size(page, page.get("size")),
        "firmware": firmware,
        "firmware_there": host.exists(firmware) if firmware else None,
        "disks": list(_disks(host, xml)),
        "interfaces": list(_interfaces(host, xml)),
    }


def leases(host: Host, networks: list[Facts], now: float) -> list[str]:
    """The MAC addresses that hold a lease of a network of libvirt."""
    found: list[str] = []
    for one in networks:
        try:
            rows = json.loads(host.text(f"{_LEASES}/{one['bridge']}.status") or "[]")
        except ValueError:
            continue
        found += [row["mac-address"].lower() for row in rows if row.get("expiry-time", now + 1) > now]
    return found


def qemu_user(passwd: str) -> Facts | None:
    """Whom QEMU runs as by default."""
    rows = [line.split(":") for line in passwd.splitlines()]
    row = next((row for name in _QEMU_USERS for row in rows if row[0] == name), None)
    return None if row is None else {"name": row[0], "uid": int(row[2]), "groups": [int(row[3])]}


def _names(name: str, found: Facts | None) -> list[str]:
    """By what a message of the daemon's can be told to be about a machine."""
    if found is None:
        return [name]
    files = [file["path"] for disk in found["disks"] for file in disk["files"]]
    places = [nic[key] for nic in found["interfaces"] for key in ("network", "bridge")]
    return [f"'{word}'" for word in (name, found["machine"], *files, *places) if word]


def _log(host: Host, name: str, found: Facts | None, since: float) -> str:
    """What was said since a machine that doesn't run was last started, its daemon's and the kernel's words with it."""
    about = ("journalctl", "--quiet", "--no-pager", "--output=cat", f"--since=@{int(since)}")
    daemon = host.said(*about, *(f"--unit={unit}" for unit in _DAEMONS)).splitlines()
    names = _names(name, found)
    mine = [line for line in daemon if any(word in line for word in names)]
    killed = [line for line in host.said(*about, "_TRANSPORT=kernel").splitlines() if "(qemu" in line]
    return "\n".join([last_words(host, name), *mine, *killed])


def last_words(host: Host, name: str) -> str:
    return qemu_log.last_run(host.text(f"{_LOG}/{name}.log") or "")


def machine(host: Host, name: str, options: Mapping[str, Any], networks: list[Facts]) -> Facts:
    if not _NAME.fullmatch(name):
        raise StrataError("is no name of a domain", option="vm", value=name)
    virsh = ("virsh", "--quiet", "--connect", _URI, "--readonly")
    state, _blank, reason = host.said(*virsh, "domstate", "--reason", name).strip().partition(" (")
    found = domain(host, host.said(*virsh, "dumpxml", name) or host.text(f"{_DEFINED}/{name}.xml") or "")
    refused = denials.read(host, options["since"]) if options["root"] else None
    profile = f"libvirt-{found['uuid']}" if found else ""
    running = state in ("running", "paused", "idle", "pmsuspended")
    # Of one that runs, what kept it from running is over.
    log = last_words(host, name) if running else _log(host, name, found, options["since"])
    return {
        "name": name,
        "state": state or "unknown",
        "reason": reason.rstrip(")") or "no reason told",
        "running": running,
        "domain": found,
        "defined": [file[: -len(".xml")] for file in host.names(_DEFINED) if file.endswith(".xml")],
        "errors": list(qemu_log.explained(log)),
        "denied": None if refused is None else [row for row in refused["apparmor"] if row["profile"] == profile],
        "leases": leases(host, networks, options["now"]),
    }


def read(host: Host, options: Mapping[str, Any]) -> Facts:
    surveyed = survey.survey({"kvm": kvm.SUBJECT, "engines": _LIBVIRT}, host)
    networks = network.virtual_networks(host)
    name = options.get("vm")
    facts: Facts = {
        "kvm": surveyed["host"]["kvm"],
        "lacks": surveyed["lacks"],
        "virtual_networks": networks,
        "cpus": len(re.findall(r"^processor\s*:", host.text("/proc/cpuinfo") or "", re.MULTILINE)),
        "available": kilobytes(host.text("/proc/meminfo"), "MemAvailable"),
        "free_pages": {size: pages["free"] for size, pages in memory.read_hugepages(host)["sizes"].items()},
        "qemu_user": qemu_user(host.text("/etc/passwd") or ""),
        "vm": None if name is None else machine(host, name, options, networks),
    }
    return {**facts, UNREAD: _unread(facts["vm"], options["root"])}


def _unread(told: Facts | None, root: bool) -> dict[str, str]:
    """What could not be seen of a machine, and why."""
    if told is None:
        return dict.fromkeys(("vm", "domain", "state", "running", "off"), "no vm was named")
    unread: dict[str, str] = {}
    if told["domain"] is None:
        unread["domain"] = f"there is no definition of {told['name']} to be read"
    if told["state"] == "unknown":
        silent = (
            "virsh does not tell its state: libvirt-clients is missing, libvirt does not answer, or does not know it"
        )
        unread.update(dict.fromkeys(("state", "running", "off"), silent))
        if not root:
            unread["vm"] = NO_ROOT
    elif told["running"]:
        unread["off"] = "the machine runs"
    else:
        unread["running"] = "the machine does not run"
    if not root:
        unread["log"] = NO_ROOT
    elif told["denied"] is None:
        unread["records"] = denials.NO_LOG
    return unread
