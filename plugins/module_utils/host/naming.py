# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines call what runs, and whose it is: from what engines leave in files and on command lines.

One engine is asked, and only where its daemon runs already: dockerd, once for all of its containers. What a plain user
wrote, or a guest, is read as plain files alone and is worth no more than a name. What one engine alone needs is
imported where one of its workloads is there: on a host, every import is compiled anew for every task.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..core import hardening
from ..engines import cgroupfs, unshare
from ..engines.hostfiles import Host
from .running import Process, Workload

_SHORT = 12  # digits of an ID, as Docker and Podman show it
_DOCKER = hardening.ENGINE_SOCKETS[0]
_CONTAINERS = "/var/lib/docker/containers"
_LABELS = 1 << 24  # bytes of a database of Podman that are looked at

Name = dict[str, Any]
"""``name``, ``owner``, and ``labels`` where the engine has them."""


def _plain(name: str, owner: str | None = None) -> Name:
    return {"name": name, "owner": owner}


def _words(host: Host, process: Process | None) -> list[str]:
    return [] if process is None else (host.text(f"/proc/{process.pid}/cmdline") or "").split("\0")


def _after(words: Sequence[str], *options: str) -> str | None:
    """The value of an option on a command line, ``--machine=web`` or ``-M web``."""
    for place, word in enumerate(words):
        for option in options:
            if word == option and place + 1 < len(words):
                return words[place + 1]
            if word.startswith(f"{option}="):
                return word[len(option) + 1 :]
    return None


# Docker


def _docker(host: Host, found: list[Workload]) -> dict[str, Name]:
    from ..engines.docker import OWNER

    daemon = host.line("/run/docker.pid") or "0"
    runs = host.line(f"/proc/{daemon}/comm") == "dockerd"
    rows = host.get(_DOCKER, "/containers/json").rows if runs else ()
    told = {row["Id"]: (row["Names"], row.get("Labels") or {}) for row in rows}
    names = {}
    for one in found:
        if one.id in told:
            ways, labels = told[one.id]
            # A name with a second slash is what a linked container calls it.
            own = [way[1:] for way in ways if way.count("/") == 1]
        else:
            own, labels = _kept_by_docker(host, one.id)
        names[one.id] = {**_plain(next(iter(own), one.id[:_SHORT]), labels.get(OWNER)), "labels": labels}
    return names


def _kept_by_docker(host: Host, number: str) -> tuple[list[str], Mapping[str, str]]:
    """What the daemon keeps of a container, for when it is down and the container goes on (live-restore)."""
    try:
        kept = json.loads(host.text(f"{_CONTAINERS}/{number}/config.v2.json") or "{}")
        return [kept["Name"].lstrip("/")], kept["Config"]["Labels"] or {}
    except (ValueError, KeyError, TypeError):
        return [], {}


# Podman: its monitors have the name, its database the labels.

_BUNDLE = re.compile(r"(/.+)/[a-z]+-containers/")  # below the folder of the storage driver (containers-storage.conf(5))


def _podman(host: Host, found: list[Workload]) -> dict[str, Name]:
    from ..engines.docker import OWNER

    kept: dict[str, Mapping[str, Mapping[str, Any]]] = {}
    names = {}
    for one in found:
        words = _words(host, one.helper)
        name, labels = _after(words, "-n", "--name"), None
        place = _BUNDLE.match(_after(words, "-b", "--bundle") or "")
        if one.helper is not None and place is not None:
            root = place[1]
            if root not in kept:
                kept[root] = _database(host, root, one.helper)
            entry = kept[root].get(one.id, {})
            name, labels = entry.get("name", name), entry.get("labels")
        labels = labels or {}
        names[one.id] = {**_plain(name or one.id[:_SHORT], labels.get(OWNER)), "labels": labels}
    return names


def _database(host: Host, root: str, process: Process) -> Mapping[str, Mapping[str, Any]]:
    """The containers in Podman's database (podman 4.8 on), which is read as a file, and opened as a copy of it.

    So nothing is locked or written, whatever a plain user has put there. It counts only as that user's whose process
    names it.
    """
    import sqlite3
    import tempfile

    folder, mine = host.status(root), host.status(f"/proc/{process.pid}")
    if folder is None or mine is None or folder.st_uid != mine.st_uid:
        return {}
    data = host.bytes_within(root, "db.sql", _LABELS)
    if not data:
        return {}
    try:
        # SQLite follows links to their names, and a file that is in memory alone has none.
        with tempfile.NamedTemporaryFile(prefix="strata.") as copy:
            copy.write(data)
            copy.flush()
            with contextlib.closing(sqlite3.connect(f"file:{copy.name}?immutable=1", uri=True)) as base:
                base.execute("PRAGMA trusted_schema=OFF")
                rows = base.execute("SELECT ID, JSON FROM ContainerConfig").fetchall()
        return {number: _container(json.loads(text)) for number, text in rows}
    except (sqlite3.Error, OSError, ValueError, TypeError, AttributeError):
        return {}  # it is just being written, or of another version


def _container(kept: Mapping[str, Any]) -> Mapping[str, Any]:
    labels = kept.get("labels") or {}
    told = {"labels": {str(key): str(value) for key, value in labels.items()}}
    return {**told, "name": str(kept["name"])} if kept.get("name") else told


# LXC: its monitor says where the container is.

_MONITOR = re.compile(r"\[lxc monitor\] (.+) (\S+)")


def _lxc(host: Host, found: list[Workload]) -> dict[str, Name]:
    from ..engines import lxc_config

    names = {}
    for one in found:
        words = _words(host, one.helper)
        told = _MONITOR.match(words[0]) if words else None
        if told is None or not told[1].startswith("/"):
            names[one.id] = _plain(one.id)
            continue
        text = host.text_within(told[1], f"{told[2]}/config")
        names[one.id] = _plain(told[2], lxc_config.Config(text).comment(lxc_config.OWNER) if text else None)
    return names


def _nspawn(host: Host, found: list[Workload]) -> dict[str, Name]:
    from ..engines import mountunit, nspawn

    names = {}
    for one in found:
        words = _words(host, one.helper)
        unit = re.search(r"/systemd-nspawn@([^/]+)\.service", one.group or "")
        place = _after(words, "--directory", "-D", "--image", "-i", "--template") or ""
        name = _after(words, "--machine", "-M") or (mountunit.unescape(unit[1]) if unit else os.path.basename(place))
        owner = _noted(host, nspawn.drop_in_path(name)) if unit and nspawn.is_name(name) else None
        names[one.id] = _plain(name or one.id, owner)
    return names


def _noted(host: Host, path: str) -> str | None:
    """The owner in the notes of a unit's file."""
    from ..engines.mountunit import NOTES
    from ..engines.unitfile import UnitFile

    owners = UnitFile(host.text(path) or "").all(NOTES, "Owner")
    return owners[-1] if owners else None


# Virtual machines


def _libvirt(host: Host, found: list[Workload]) -> dict[str, Name]:
    import xml.etree.ElementTree as ET

    from ..engines import domain_xml

    names = {}
    for one in found:
        said = _after(_words(host, one.init), "-name") or ""
        name = said.partition(",debug-threads")[0]
        name = name[len("guest=") :].replace(",,", ",") if name.startswith("guest=") else name
        owner = None
        # The daemon's own record of a machine of the system's (src/conf/domain_conf.c: virDomainObjFormat).
        text = host.text(f"/run/libvirt/qemu/{name}.xml") if name and "/" not in name else None
        with contextlib.suppress(ET.ParseError):
            kept = ET.fromstring(text) if text else None
            if kept is not None and one.init is not None and kept.get("pid") == str(one.init.pid):
                domain = kept.find("domain")
                mark = None if domain is None else domain_xml.mark(domain)
                owner = None if mark is None else mark.get("owner")
        names[one.id] = _plain(name or one.id, owner)
    return names


def _qemu(host: Host, found: list[Workload]) -> dict[str, Name]:
    from ..engines import qemu

    names = {}
    for one in found:
        words = _words(host, one.init)
        name = (_after(words, "-name") or "").partition(",")[0]
        name = name[len("guest=") :] if name.startswith("guest=") else name
        socket = (_after(words, "-qmp") or "").partition(",")[0]
        folder = os.path.dirname(socket[len("unix:") :]) if socket.startswith("unix:/") else ""
        owner = None
        if folder and os.path.basename(folder) == name:
            with contextlib.suppress(ValueError, AttributeError):
                file = os.path.basename(qemu.Machine(folder).declared)
                owner = json.loads(host.text_within(folder, file) or "{}").get("owner") or None
        names[one.id] = _plain(name or one.id, owner)
    return names


# What this collection makes of the kernel's own.


def _chroot(host: Host, found: list[Workload]) -> dict[str, Name]:
    from ..engines import mountunit

    names = {}
    for one in found:
        owner = None
        with contextlib.suppress(ValueError, AttributeError):
            owner = json.loads(host.text(f"{mountunit.JAILS}/{mountunit.escape(one.id)}") or "{}").get("owner")
        names[one.id] = _plain(one.id, owner)
    return names


def _namespace(host: Host, found: list[Workload]) -> dict[str, Name]:
    notes = {one.id: host.text(f"{unshare.FOLDER}/{one.id}/{unshare.NOTE}") or "" for one in found}
    owners = {name: re.search(r"^owner=(.+)$", text, re.MULTILINE) for name, text in notes.items()}
    return {name: _plain(name, owner[1] if owner else None) for name, owner in owners.items()}


def _netns(_host: Host, found: list[Workload]) -> dict[str, Name]:
    return {one.id: _plain(one.id) for one in found}


def _cgroup(host: Host, found: list[Workload]) -> dict[str, Name]:
    from ..engines import anchor

    ours = anchor.GROUP[len(cgroupfs.MOUNT) :] + "/"
    names = {}
    for one in found:
        name = one.id[len(ours) :] if one.id.startswith(ours) else one.id.lstrip("/")
        names[one.id] = _plain(name, cgroupfs.owner(host.root + cgroupfs.MOUNT + one.id))
    return names


def _unit(host: Host, found: list[Workload]) -> dict[str, Name]:
    from ..engines import systemd, unitcontrols

    units = {one.id: os.path.basename(one.id) for one in found}
    return {
        key: _plain(unit, _noted(host, systemd.drop_in_path(unit, unitcontrols.DROP_IN))) for key, unit in units.items()
    }


_ENGINES: Mapping[str, Callable[[Host, list[Workload]], dict[str, Name]]] = {
    "docker": _docker,
    "podman": _podman,
    "lxc": _lxc,
    "nspawn": _nspawn,
    "libvirt": _libvirt,
    "qemu": _qemu,
    "chroot": _chroot,
    "namespace": _namespace,
    "netns": _netns,
    "cgroup": _cgroup,
    "unit": _unit,
}


def named(host: Host, found: Iterable[Workload]) -> list[tuple[Workload, Name]]:
    """Each workload with its name and its owner, engine by engine, by name."""
    by_engine: dict[str, list[Workload]] = {}
    for one in found:
        by_engine.setdefault(one.engine, []).append(one)
    told = []
    for engine, workloads in by_engine.items():
        names = _ENGINES[engine](host, workloads)
        told += sorted(((one, names[one.id]) for one in workloads), key=lambda pair: str(pair[1]["name"]))
    return told
