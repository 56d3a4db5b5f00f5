# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports that Docker publishes, and who is at either end of them."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.diagnosis import Facts
from ..engines.hostfiles import Host
from . import sockets

SOCKET = "/run/docker.sock"
_OPEN = "0.0.0.0"
_PROXIES = ("docker-proxy", "dockerd")


def _bindings(document: Facts) -> Iterator[Facts]:
    """Each port of a container that is to be reached at the host, in the words of sockets."""
    for inside, places in (document.get("HostConfig", {}).get("PortBindings") or {}).items():
        number, _slash, protocol = inside.partition("/")
        for place in places or ():
            if place.get("HostPort", "").isdecimal() and place["HostPort"] != "0":
                yield {
                    "container": document["Name"].lstrip("/"),
                    "protocol": protocol or "tcp",
                    "inside": int(number),
                    "port": int(place["HostPort"]),
                    "address": place.get("HostIp") or _OPEN,
                }


def _listener(host: Host, pid: int, row: Facts) -> str:
    """Who waits for what comes in: ``all``, ``loopback`` or ``nobody``."""
    found = [
        socket
        for socket in sockets.listening(host, str(pid))
        if (socket["protocol"], socket["port"]) == (row["protocol"], row["inside"])
    ]
    if not found:
        return "nobody"
    return "loopback" if all(map(sockets.loopback, found)) else "all"


def _holder(host: Host, row: Facts) -> str:
    """Who has the port of the host; nobody, or a proxy of Docker: ''."""
    for socket in sockets.listening(host):
        same = (socket["protocol"], socket["port"]) == (row["protocol"], row["port"])
        if same and (row["address"] in (_OPEN, socket["address"]) or socket["address"] in (_OPEN, "::")):
            name = sockets.holder(host, socket["inode"])
            if not any(proxy in name for proxy in _PROXIES):
                return name
    return ""


def published(host: Host) -> list[Facts]:
    """Each published port; asked only where a daemon is there."""
    if not host.exists(SOCKET):
        return []
    found = []
    for brief in host.get(SOCKET, "/containers/json?all=true").rows:
        document = host.get(SOCKET, f"/containers/{brief['Id']}/json").body
        state = document.get("State", {})
        for row in _bindings(document):
            running = bool(state.get("Running"))
            found.append(
                {
                    **row,
                    "running": running,
                    "error": state.get("Error", ""),
                    "listener": _listener(host, state["Pid"], row) if running else "",
                    "holder": _holder(host, row),
                }
            )
    return found
