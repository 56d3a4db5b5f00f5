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


def published(host: Host) -> tuple[list[Facts], str | None]:
    """Each published port, and the error of a daemon that does not tell; asked only where one is there."""
    if not host.exists(SOCKET):
        return [], None
    answer = host.get(SOCKET, "/containers/json?all=true")
    if answer.error is not None:
        return [], f"Docker does not answer at {SOCKET}: {answer.error}"
    documents = [host.get(SOCKET, f"/containers/{brief['Id']}/json").body for brief in answer.rows]
    # One that went away meanwhile has no name.
    rows = [(document["State"], row) for document in documents if "Name" in document for row in _bindings(document)]
    return [_ends(host, state, row) for state, row in rows], None


def _ends(host: Host, state: Facts, row: Facts) -> Facts:
    running = bool(state["Running"])
    return {
        **row,
        "running": running,
        "error": state["Error"],
        "listener": _listener(host, state["Pid"], row) if running else "",
        "holder": _holder(host, row),
    }
