# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's own API (docs.docker.com/reference/api/engine/), spoken plainly: tests look and meddle through it.

Under emulation its command line takes a second a call, nearly all of it to start.
"""

from __future__ import annotations

import http.client
import json
import socket
import urllib.parse
from collections.abc import Iterable
from typing import Any

SOCKET = "/run/docker.sock"


class _Daemon(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


def ask(path: str, method: str = "GET", **body: Any) -> Any:
    """What the daemon answers; None where there is no such thing, or nothing to say.

    Raises:
        AssertionError: It refuses.
    """
    said = _said(path, method, json.dumps(body).encode(), "application/json")
    return json.loads(said) if said else None


def _said(path: str, method: str, body: bytes, sort: str) -> bytes:
    connection = _Daemon("docker")
    connection.request(method, path, body, {"Content-Type": sort})
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    if answer.status == 404 and method == "GET":
        return b""
    assert answer.status < 400, f"{method} {path}: {said.decode()}"
    return said


def make_image(name: str, tree: bytes, changes: Iterable[str]) -> None:
    """An image of one tar and the instructions of a Dockerfile: a build takes a container for each of them."""
    repository, _colon, tag = name.rpartition(":")
    asked = [("fromSrc", "-"), ("repo", repository), ("tag", tag), *(("changes", change) for change in changes)]
    said = _said(f"/images/create?{urllib.parse.urlencode(asked)}", "POST", tree, "application/x-tar")
    assert b'"error"' not in said, said.decode()


def container(name: str) -> Any:
    return ask(f"/containers/{name}/json")


def network(name: str) -> Any:
    return ask(f"/networks/{name}")


def volume(name: str) -> Any:
    return ask(f"/volumes/{name}")


def names(sort: str, part: str) -> list[str]:
    """The containers or networks whose name has a part, running or not."""
    found = ask({"containers": "/containers/json?all=1", "networks": "/networks"}[sort])
    every = [name.lstrip("/") for one in found for name in one.get("Names") or [one.get("Name") or ""]]
    return sorted(name for name in every if part in name)


def remove(name: str) -> None:
    """A container, whatever it does; none of that name is fine."""
    if container(name) is not None:
        ask(f"/containers/{name}?force=1", "DELETE")
