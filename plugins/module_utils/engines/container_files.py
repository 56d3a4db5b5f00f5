# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reaching into a container of whichever engine has it: programs in it, and files in it as streams.

No path of a container is ever opened from the host: the engine looks each up inside, whatever links are on the way
(docs.docker.com/reference/api/engine/: ContainerArchive, PutContainerArchive).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import posixpath
import stat
import tarfile
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

from ..core.errors import StrataError

_LONGEST_TEXT = 1 << 16  # bytes of a file that are shown
BLOCK = 1 << 20
_LINKS = 40  # as many as Linux follows (path_resolution(7))
_GO_LINK, _GO_DIR = 1 << 27, 1 << 31  # io/fs: ModeSymlink, ModeDir


class Ran(NamedTuple):
    """A program that was run.

    Attributes:
        id: What the engine calls it.
        status: What it left with; None where it wasn't waited for.
        out: What it wrote.
        err: Its errors.
    """

    id: str
    status: int | None
    out: bytes
    err: bytes


@dataclass(frozen=True)
class Content:
    """What is in a file, or where a link leads: equal where the bytes are.

    Attributes:
        digest: Of the bytes.
        size: Their number.
        text: They themselves, where they are a text that can be shown.
    """

    digest: str
    size: int = field(compare=False)
    text: str | None = field(compare=False, default=None)

    def __str__(self) -> str:
        return f"{self.size} bytes, {self.digest}" if self.text is None else self.text


@dataclass(frozen=True)
class File:
    """A file of a container, or of the host that is to become one.

    Attributes:
        sort: ``file``, ``link``, or what else there is.
        content: Its content; None for what has none.
        mode: The bits of its permissions.
        owner: The number of its owner.
        group: The number of its group.
    """

    sort: str
    content: Content | None
    mode: int
    owner: int
    group: int


def content_of(file: IO[bytes]) -> Content:
    """The content of an open file, however big."""
    digest, size, start = hashlib.sha256(), 0, b""
    for block in iter(lambda: file.read(BLOCK), b""):
        digest.update(block)
        size += len(block)
        start = start or block[: _LONGEST_TEXT + 1]
    try:
        text = start.decode() if size <= _LONGEST_TEXT and b"\0" not in start else None
    except UnicodeDecodeError:
        text = None
    return Content(f"sha256:{digest.hexdigest()}", size, text)


def link_to(target: str) -> Content:
    return Content(f"link:{target}", len(target), f"-> {target}")


def told_of(header: str) -> Mapping[str, Any]:
    """What a path of a container is, from the header X-Docker-Container-Path-Stat."""
    found: Mapping[str, Any] = json.loads(base64.b64decode(header))
    return found


class Inside:
    """What reaching into containers comes to, over what one engine has for it."""

    def look(self, container: str, path: str) -> Mapping[str, Any] | None:
        """What a path of a container is (``name``, ``size``, ``mode`` as Go has it, ``linkTarget``); None: nothing.

        Raises:
            StrataError: There is no such container.
        """
        raise NotImplementedError

    def archive(self, container: str, path: str) -> Iterable[bytes]:
        """A path of a container, as a tar."""
        raise NotImplementedError

    def unpack(self, container: str, folder: str, archive: IO[bytes]) -> None:
        """Unpack a tar in a folder of a container."""
        raise NotImplementedError

    def followed(self, container: str, path: str) -> str:
        """The path that a link of a container leads to in the end, by the engine's word; the path itself otherwise."""
        for _time in range(_LINKS):
            found = self.look(container, path)
            if found is None or not found["mode"] & _GO_LINK:
                return path
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), found["linkTarget"]))
        raise StrataError("leads through more links than Linux follows", option="container_path", value=path)

    def file(self, container: str, path: str) -> File | None:
        """A file of a container, its content read as a stream; None where there is none.

        What is neither a file nor a link isn't read.
        """
        found = self.look(container, path)
        if found is None:
            return None
        if found["mode"] & _GO_DIR:  # its archive would be all that is in it
            return File("directory", None, 0, 0, 0)
        with tempfile.TemporaryFile(dir="/var/tmp") as spool:
            for block in self.archive(container, path):
                spool.write(block)
            spool.seek(0)
            with tarfile.open(fileobj=spool) as archive:
                entry = archive.next()
                if entry is None:
                    raise StrataError(f"nothing of {path} is handed out")
                inside = archive.extractfile(entry) if entry.isreg() else None
                content = content_of(inside) if inside else link_to(entry.linkname) if entry.issym() else None
                sort = "file" if entry.isreg() else "link" if entry.issym() else "special"
                return File(sort, content, entry.mode & 0o7777, entry.uid, entry.gid)

    def put(self, container: str, path: str, made_of: File, source: IO[bytes] | None) -> None:
        """Put a file into a container, in place of what has its name; its folder must be there.

        Args:
            container: The container.
            path: The path in it.
            made_of: What it is to be.
            source: Its bytes; None for a link.
        """
        folder, name = posixpath.split(path)
        entry = tarfile.TarInfo(name)
        entry.mode, entry.uid, entry.gid = made_of.mode, made_of.owner, made_of.group
        if made_of.sort == "link" and made_of.content:
            entry.type, entry.linkname = tarfile.SYMTYPE, made_of.content.digest.partition(":")[2]
        with tempfile.TemporaryFile(dir="/var/tmp") as spool:
            if source is not None:
                entry.size = os.fstat(source.fileno()).st_size
                entry.mtime = int(os.fstat(source.fileno()).st_mtime)
            with tarfile.open(fileobj=spool, mode="w", format=tarfile.PAX_FORMAT) as archive:
                archive.addfile(entry, source)
            spool.seek(0)
            self.unpack(container, folder, spool)


def talked(reader: Any, stdin: bytes | None, tty: bool) -> tuple[bytes, bytes]:
    """Give a program what it reads, and take what it writes meanwhile, until it ends.

    The library's own socket is beneath the buffer in which the first words may be already: so the buffer is read.
    """
    line = reader.raw._sock
    line.settimeout(None)

    def give() -> None:
        try:
            line.sendall(stdin or b"")
            line.shutdown(1)  # socket.SHUT_WR: the end of its input
        except OSError:
            pass  # it ended without reading all

    giver = threading.Thread(target=give, daemon=True)
    if stdin is not None:
        giver.start()
    if tty:
        return reader.read(), b""
    said = {1: bytearray(), 2: bytearray()}
    while True:
        head = reader.read(8)  # API: "Stream format" of POST /containers/ID/attach
        if len(head) < 8:
            return bytes(said[1]), bytes(said[2])
        said.get(head[0], said[1]).extend(reader.read(int.from_bytes(head[4:], "big")))


def host_file(path: str, follow: bool) -> File:
    """A file of the host as one of a container, of root; its mode is its own.

    Raises:
        StrataError: It isn't there, or is no file.
    """
    try:
        found = os.stat(path) if follow else os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            return File("link", link_to(os.readlink(path)), 0o777, 0, 0)
        if not stat.S_ISREG(found.st_mode):
            raise StrataError("is no file", option="path", value=path)
        with open(path, "rb") as file:
            return File("file", content_of(file), stat.S_IMODE(found.st_mode), 0, 0)
    except OSError as error:
        raise StrataError(f"can't be read: {error.strerror}", option="path", value=path) from None
