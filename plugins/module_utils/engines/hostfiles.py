# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says of itself in files, device nodes and sockets. Nothing is changed, nothing is an error.

All of it is read below a root folder. What isn't there, or isn't for this user, is None or empty. Every text is fit for
JSON: bytes that are no UTF-8 come escaped.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import http.client
import json
import os
import shutil
import socket
from typing import Any, NamedTuple

from ..core import command
from ..core.errors import StrataError
from . import inside

_PROGRAM_TIMEOUT = 20  # seconds; what prints a version is done in one
_SOCKET_TIMEOUT = 60  # seconds; a daemon that systemd starts for its socket takes a while

DENIED = os.strerror(errno.EACCES)
"""The error of an answer that this user may not have."""


class Answer(NamedTuple):
    """What a device or a daemon said, or the error that came instead."""

    body: dict[str, Any]
    error: str | None = None
    rows: tuple[dict[str, Any], ...] = ()  # where it answers with a list


def _escaped(data: bytes) -> str:
    return data.decode(errors="backslashreplace")


class Host:
    """The host, or a folder that looks like one.

    Args:
        root: What goes before each path.
    """

    def __init__(self, root: str = "") -> None:
        self.root = root

    def exists(self, path: str) -> bool:
        return os.path.lexists(self.root + path)

    def text(self, path: str) -> str | None:
        """A file's text, unpacked where its name ends in .gz."""
        try:
            with open(self.root + path, "rb") as file:
                data = file.read()
            return _escaped(gzip.decompress(data) if path.endswith(".gz") else data)
        except (OSError, EOFError):
            return None

    def text_within(self, tree: str, path: str) -> str | None:
        """The text of a plain file in a tree that somebody else controls, whose links lead nowhere outside of it."""
        try:
            with inside.tree(self.root + tree) as top:
                return _escaped(inside.content(top, path))
        except (OSError, StrataError):
            return None

    def bytes_within(self, tree: str, path: str, most: int) -> bytes:
        """What is in such a file, as far as it goes; nothing where it is none."""
        try:
            with inside.tree(self.root + tree) as top:
                return inside.content(top, path, most)
        except (OSError, StrataError):
            return b""

    def nodes_within(self, tree: str, path: str) -> dict[str, os.stat_result]:
        """What is in a folder of such a tree; nothing where it is no folder."""
        try:
            with inside.tree(self.root + tree) as top:
                return inside.nodes(top, path)
        except (OSError, StrataError):
            return {}

    def line(self, path: str) -> str | None:
        """The same without what surrounds it: most of the kernel's files are one line."""
        text = self.text(path)
        return None if text is None else text.strip()

    def number(self, path: str) -> int | None:
        return number(self.line(path))

    def names(self, folder: str) -> list[str]:
        """What is in a folder: numbers in their order, then names in theirs."""
        try:
            found = [_escaped(os.fsencode(name)) for name in os.listdir(self.root + folder)]
        except OSError:
            return []
        return sorted(found, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))

    def points_at(self, path: str) -> str | None:
        """The last part of what a symbolic link leads to: how sysfs names a device's driver."""
        try:
            return _escaped(os.path.basename(os.fsencode(os.readlink(self.root + path))))
        except OSError:
            return None

    def attribute(self, path: str, name: str) -> str | None:
        """An extended attribute."""
        try:
            return _escaped(os.getxattr(self.root + path, name))
        except OSError:
            return None

    def raw_attribute(self, path: str, name: str) -> bytes:
        """An extended attribute that is no text; nothing where it has none."""
        try:
            return os.getxattr(self.root + path, name)
        except OSError:
            return b""

    def status(self, path: str) -> os.stat_result | None:
        """Owner, mode and kind of a place; of a symbolic link itself."""
        try:
            return os.lstat(self.root + path)
        except OSError:
            return None

    def target(self, path: str) -> str | None:
        """What a symbolic link says, whole."""
        try:
            return os.readlink(self.root + path)
        except OSError:
            return None

    def ask_device(self, path: str, request: int) -> Answer:
        """What a device node answers to an ioctl that only asks, as ``{"value": …}``."""
        try:
            handle = os.open(self.root + path, os.O_RDWR | os.O_CLOEXEC)
            try:
                return Answer({"value": fcntl.ioctl(handle, request)})
            finally:
                os.close(handle)
        except OSError as error:
            return Answer({}, error.strerror)

    def program(self, *names: str) -> str | None:
        """The path of the first of some programs that is installed; one with a path is looked for there."""
        folders = command.environment()["PATH"].split(":")
        path = ":".join(self.root + folder for folder in folders if folder.startswith("/"))
        found = (shutil.which(self.root + name if name.startswith("/") else name, path=path) for name in names)
        return next((program[len(self.root) :] for program in found if program), None)

    def said(self, program: str, *arguments: str) -> str:
        """What a program prints; nothing where it fails."""
        try:
            return command.run([self.root + program, *arguments], timeout=_PROGRAM_TIMEOUT).stdout
        except (StrataError, OSError):
            return ""

    def get(self, path: str, url: str | None) -> Answer:
        """What a daemon answers to an HTTP request over its socket; without a URL, whether it takes the connection."""
        connection = _Connection(self.root + path)
        try:
            connection.connect()
            if url is None:
                return Answer({})
            connection.request("GET", url)
            response = connection.getresponse()
            body = response.read()
            if response.status != http.client.OK:
                return Answer({}, f"it answers GET {url} with {response.status} {response.reason}")
            document = json.loads(_escaped(body))
            rows = tuple(document) if isinstance(document, list) else ()
            return Answer(document if isinstance(document, dict) else {}, rows=rows)
        except OSError as error:  # TimeoutError has no number
            return Answer({}, error.strerror or f"no answer within {_SOCKET_TIMEOUT} seconds")
        except (http.client.HTTPException, ValueError) as error:
            return Answer({}, f"it does not speak HTTP there: {type(error).__name__}")
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SOCKET_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SOCKET_TIMEOUT)
        self.sock.connect(self._path)


def number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None


def expand(text: str | None) -> list[int]:
    """The numbers of a list as the kernel writes it, 0-3,8 (Documentation/core-api/cpu_hotplug.rst)."""
    found: list[int] = []
    for part in (text or "").split(","):
        first, _dash, last = part.strip().partition("-")
        start, end = number(first), number(last or first)
        if start is not None and end is not None:
            found.extend(range(start, end + 1))
    return found


def kilobytes(text: str | None, name: str) -> int | None:
    """A line ``name: 123 kB``, as meminfo and its likes have them, in bytes."""
    for line in (text or "").splitlines():
        before, _colon, after = line.partition(":")
        if before.split()[-1:] == [name]:
            size = number(after.split()[0] if after.split() else None)
            return None if size is None else size * 1024
    return None
