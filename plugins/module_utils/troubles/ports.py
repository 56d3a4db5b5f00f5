# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports that Docker publishes, and who is at either end of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..core.diagnosis import Facts
from ..engines.hostfiles import Host
from . import sockets

SOCKET = "/run/docker.sock"
_OPEN = "0.0.0.0"
_PROXIES = ("docker-proxy", "dockerd", "rootlesskit")
_REFUSED = re.compile(r"port is already allocated|address already in use")


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


def _at(listening: list[Facts], row: Facts) -> list[str]:
    """The sockets, by inode, that wait where a port is published."""
    return [
        socket["inode"]
        for socket in listening
        if (socket["protocol"], socket["port"]) == (row["protocol"], row["port"])
        and (row["address"] in (_OPEN, socket["address"]) or socket["address"] in (_OPEN, "::"))
    ]


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
    listening = sockets.listening(host) if rows else []
    places = [_at(listening, row) for _state, row in rows]
    names = sockets.holders(host, {inode for place in places for inode in place})
    return [_ends(host, state, row, place, names) for (state, row), place in zip(rows, places)], None


def _ends(host: Host, state: Facts, row: Facts, place: list[str], names: dict[str, str]) -> Facts:
    """Who is at either end of a port; Docker's own proxy is nobody."""
    running = bool(state["Running"])
    held = [names.get(inode, "that is not to be seen from here") for inode in place]
    strangers = [name for name in held if not any(proxy in name for proxy in _PROXIES)]
    if not strangers and not running and _REFUSED.search(state["Error"]):
        strangers = held or ["that has left meanwhile"]
    return {
        **row,
        "running": running,
        "error": state["Error"],
        "listener": _listener(host, state["Pid"], row) if running else "",
        "holder": strangers[0] if strangers else "",
    }
