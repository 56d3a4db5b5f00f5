# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of systemd-networkd that make a link again at boot (systemd.netdev(5), systemd.network(5)).

What is stored of a link is a flat mapping, such as ``{"netdev [Bridge] STP": "no"}``: it is rendered from options,
read back from the files, and compared.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core import command, files
from ..core.errors import StrataError
from ..core.waiting import Shared
from . import cgroupfs
from .unitfile import UnitFile

FOLDER = "/etc/systemd/network"
PREFIX = "60-strata-"
_HEADER = re.compile(r"# Written by strata\.virt for the link (\S+), owner=(\S*)\n")
_SERVICE = f"{cgroupfs.MOUNT}/system.slice/systemd-networkd.service"
_LINKS = "/run/systemd/netif/links"

_SEVERAL = "Address"  # the one key that is assigned many times
_STACKED = {"vlan": "VLAN", "macvlan": "MACVLAN", "ipvlan": "IPVLAN", "vxlan": "VXLAN"}
_PORTS = {"bridge": "Bridge", "bond": "Bond"}


@dataclass
class Stored:
    """What the files say of one link."""

    owner: str
    values: dict[str, str] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)


def running() -> bool:
    """Whether networkd runs: systemd takes a service's cgroup away when it stops."""
    return os.path.isdir(_SERVICE)


def network_file(index: int) -> str | None:
    """The name of the .network file that networkd applies to a link; None where it leaves the link alone."""
    found = re.search(r"^NETWORK_FILE=(.+)$", files.read(f"{_LINKS}/{index}") or "", re.MULTILINE)
    return os.path.basename(found[1]) if found else None


def own_file(name: str) -> str:
    return f"{PREFIX}{name}.network"


def render(name: str, values: Mapping[str, Any], around: Mapping[str, Any]) -> dict[str, str]:
    """The files of a link.

    Args:
        name: Its name.
        values: Its canonical values, those that are declared.
        around: The kinds of its masters (``master``, ``peer.master``) and the .network file of its parent (``parent``).
    """
    kind = values["type"]
    told = {"netdev [NetDev] Name": name, "netdev [NetDev] Kind": kind}
    if values.get("mac"):
        told["netdev [NetDev] MACAddress"] = values["mac"]
    own = values.get("tun" if kind == "tap" else kind) or {}
    told.update({f"netdev [{key}": value for key, value in _own(kind, own, values)})
    told.update(_network("network", name, values, around.get("master")))
    peer = values.get("peer") or {}
    if kind == "veth":
        told["netdev [Peer] Name"] = peer["name"]
        if peer.get("mac"):
            told["netdev [Peer] MACAddress"] = peer["mac"]
        told.update(_network("peer.network", peer["name"], peer, around.get("peer.master")))
    if values.get("parent"):
        told[f"{around['parent']}.d [Network] {_STACKED[kind]}"] = name
    return told


def _own(kind: str, own: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if kind == "bridge":
        for leaf, key in (("vlan_filtering", "VLANFiltering"), ("stp", "STP")):
            if leaf in own:
                yield f"Bridge] {key}", "yes" if own[leaf] else "no"
        if "forward_delay" in own:
            yield "Bridge] ForwardDelaySec", f"{own['forward_delay'] * 10}ms"
    elif kind == "vlan":
        yield "VLAN] Id", str(own["id"])
    elif kind == "macvlan" and own:
        yield "MACVLAN] Mode", own["mode"]
    elif kind == "ipvlan" and own:
        yield "IPVLAN] Mode", own["mode"].upper()
    elif kind == "bond":
        if "mode" in own:
            yield "Bond] Mode", own["mode"]
        if "miimon" in own:
            yield "Bond] MIIMonitorSec", f"{own['miimon']}ms"
    elif kind == "vxlan":
        for leaf, key in (
            ("id", "VNI"),
            ("local", "Local"),
            ("remote", "Remote"),
            ("group", "Group"),
            ("port", "DestinationPort"),
        ):
            if leaf in own:
                yield f"VXLAN] {key}", str(own[leaf])
        if not values.get("parent"):
            yield "VXLAN] Independent", "yes"
    elif kind in ("tun", "tap"):
        for leaf, key in (("owner", "User"), ("group", "Group")):
            if leaf in own:
                yield f"{kind.capitalize()}] {key}", str(own[leaf])


def _network(file: str, name: str, values: Mapping[str, Any], master_kind: str | None) -> dict[str, str]:
    told = {
        f"{file} [Match] Name": name,
        f"{file} [Link] RequiredForOnline": "no",  # a bridge without ports is never online, and boot would wait for it
        f"{file} [Network] ConfigureWithoutCarrier": "yes",
    }
    if values.get("mtu"):  # not in [NetDev]: a bridge would give it up for its ports' (net/bridge/br_if.c)
        told[f"{file} [Link] MTUBytes"] = str(values["mtu"])
    if values.get("up") is False:
        told[f"{file} [Link] ActivationPolicy"] = "down"
    if values.get("addresses"):
        told[f"{file} [Network] {_SEVERAL}"] = " ".join(values["addresses"])
    if values.get("master"):
        told[f"{file} [Network] {_PORTS[master_kind or 'bridge']}"] = values["master"]
    return told


def stored() -> dict[str, Stored]:
    """What the files say, by link."""
    found: dict[str, Stored] = {}
    patterns = (f"{PREFIX}*.netdev", f"{PREFIX}*.network", f"*.network.d/{PREFIX}*.conf")
    for path in sorted(path for pattern in patterns for path in glob.glob(f"{FOLDER}/{pattern}")):
        text = files.read(path) or ""
        header = _HEADER.match(text)
        if header is None:
            continue  # somebody else's
        one = found.setdefault(header[1], Stored(header[2]))
        one.paths.append(path)
        one.values.update(parse(_role(header[1], path), text))
    return found


def _role(name: str, path: str) -> str:
    """What a file is for: ``netdev``, ``network``, ``peer.network``, or the folder that a drop-in is in."""
    folder, base = os.path.split(path)
    return os.path.basename(folder) if base.endswith(".conf") else base[len(f"{PREFIX}{name}.") :]


def _path(name: str, role: str) -> str:
    return f"{FOLDER}/{role}/{PREFIX}{name}.conf" if role.endswith(".d") else f"{FOLDER}/{PREFIX}{name}.{role}"


def parse(role: str, text: str) -> dict[str, str]:
    """One file's assignments."""
    unit = UnitFile(text)
    return {f"{role} [{section}] {key}": " ".join(unit.all(section, key)) for section, key in unit.assigned()}


def texts(name: str, values: Mapping[str, str], owner: str) -> dict[str, str]:
    """The content of a link's files, by path."""
    units: dict[str, UnitFile] = {}
    for told, value in values.items():
        role, section, key = re.fullmatch(r"(\S+) \[(\w+)\] (\w+)", told).groups()  # type: ignore[union-attr]
        unit = units.setdefault(role, UnitFile(f"# Written by strata.virt for the link {name}, owner={owner}\n"))
        unit.set(section, key, value.split() if key == _SEVERAL else [value])
    return {_path(name, role): unit.text for role, unit in units.items()}


def store(name: str, values: Mapping[str, str], owner: str) -> None:
    """Have the files say this and no more, and networkd read them.

    Raises:
        StrataError: A file of that name is somebody else's.
    """
    wanted = texts(name, values, owner)
    for path in wanted:
        there = files.read(path)
        if there is not None and not _HEADER.match(there):
            raise StrataError(f"{path} was written by somebody else", hint="Remove it, or leave persistent out")
    old = stored().get(name)
    for path, text in wanted.items():
        if files.read(path) != text:
            files.write(path, text)
    for path in old.paths if old else ():
        if path not in wanted:
            _drop(path)
    if running():
        _reload()


def forget(name: str) -> None:
    """Remove the files of a link."""
    old = stored().get(name)
    for path in old.paths if old else ():
        _drop(path)
    if old and running():
        _reload()


def _drop(path: str) -> None:
    files.remove(path)
    if os.path.dirname(path) != FOLDER:
        with contextlib.suppress(OSError):  # it holds something else
            os.rmdir(os.path.dirname(path))


_reload = Shared(lambda: command.run(["networkctl", "reload"]))
