# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman's own API (docs.podman.io, "Reference"), spoken plainly: tests look and meddle through it.

One service stays for all tests, at the socket that systemd would listen at: under emulation, each start takes seconds.
"""

from __future__ import annotations

import http.client
import json
import os
import pwd
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

SOCKET = "/run/podman/podman.sock"


class _Service(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("podman")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def ask(path: str, method: str = "GET", at: str = SOCKET, **body: Any) -> Any:
    """What it answers; None where there is no such thing, or nothing to say.

    Raises:
        AssertionError: It refuses.
    """
    said = _said(path, method, json.dumps(body).encode(), "application/json", at)
    return json.loads(said) if said[:1] in (b"{", b"[") else None


def _said(path: str, method: str, body: bytes, sort: str, at: str) -> bytes:
    connection = _Service(at)
    connection.request(method, f"/v5.0.0/libpod{path}", body, {"Content-Type": sort})
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    if answer.status == 404 and method == "GET":
        return b""
    assert answer.status < 400, f"{method} {path}: {said.decode()}"
    return said


@contextmanager
def service(user: str = "root") -> Iterator[str]:
    """A service of a user's Podman, at its usual place."""
    entry = pwd.getpwnam(user)
    path = SOCKET if user == "root" else f"/run/user/{entry.pw_uid}/podman/podman.sock"
    if _listens(path):
        yield path
        return
    env = {"HOME": entry.pw_dir, "PATH": os.environ["PATH"]}
    if user != "root":
        env["XDG_RUNTIME_DIR"] = f"/run/user/{entry.pw_uid}"
        env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path=/run/user/{entry.pw_uid}/bus"
    made = ["install", "-d", "-o", user, os.path.dirname(path)]
    subprocess.run(made, check=True)
    process = subprocess.Popen(
        ["podman", "system", "service", "--time=0", f"unix://{path}"],
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
        stderr=subprocess.DEVNULL,
        env=env,
        cwd="/",
    )
    try:
        end = time.monotonic() + 60
        while not _listens(path):
            assert time.monotonic() < end, "no service"
            time.sleep(0.2)
        yield path
    finally:
        process.terminate()
        process.wait()


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(path)
        except OSError:
            return False
    return True


def make_image(name: str, tree: bytes, changes: Iterable[str], at: str = SOCKET) -> None:
    """An image of one tar and the instructions of a Dockerfile."""
    asked = [("reference", name), *(("changes", change) for change in changes)]
    _said(f"/images/import?{urllib.parse.urlencode(asked)}", "POST", tree, "application/x-tar", at)


def keep_secret(name: str, data: bytes, at: str = SOCKET) -> None:
    _said(f"/secrets/create?name={name}", "POST", data, "application/octet-stream", at)


def container(name: str, at: str = SOCKET) -> Any:
    return ask(f"/containers/{name}/json", at=at)


def names(part: str, at: str = SOCKET) -> list[str]:
    """The containers whose name has a part, running or not."""
    return sorted(one["Names"][0] for one in ask("/containers/json?all=true", at=at) if part in one["Names"][0])


def remove(name: str, at: str = SOCKET) -> None:
    """A container, whatever it does; none of that name is fine."""
    if container(name, at) is not None:
        ask(f"/containers/{name}?force=true&timeout=0", "DELETE", at)
