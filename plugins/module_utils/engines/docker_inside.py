# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reaching into a container of Docker: programs in it, and files in it as streams that the daemon reads and writes.

No path of a container is ever opened from the host: the daemon looks each up inside, whatever links are on the way
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
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

from ..core.errors import StrataError
from .docker import Docker

_LONGEST_TEXT = 1 << 16  # bytes of a file that are shown
_BLOCK = 1 << 20
_LINKS = 40  # as many as Linux follows (path_resolution(7))
_GO_LINK = 1 << 27  # io/fs: ModeSymlink


class Ran(NamedTuple):
    """A program that was run.

    Attributes:
        id: What the daemon calls it.
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
    for block in iter(lambda: file.read(_BLOCK), b""):
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


class DockerInside(Docker):
    """One daemon, asked to reach into containers."""

    def look(self, container: str, path: str) -> Mapping[str, Any] | None:
        """What a path of a container is (``name``, ``size``, ``mode`` as Go has it, ``linkTarget``); None: nothing.

        Raises:
            StrataError: There is no such container.
        """

        def ask(client: Any) -> Any:
            url = client._url("/containers/{0}/archive", container)
            answer = client.head(url, params={"path": path}, timeout=client.timeout)
            if answer.status_code == 404:
                return None
            client._raise_for_status(answer)
            return json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))

        found: Mapping[str, Any] | None = self._do(ask)
        if found is None and self.inspect(container) is None:
            raise StrataError("there is no such container", option="container", value=container)
        return found

    def followed(self, container: str, path: str) -> str:
        """The path that a link of a container leads to in the end, by the daemon's word; the path itself otherwise."""
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
        if found["mode"] & (1 << 31):  # io/fs: ModeDir; its archive would be all that is in it
            return File("directory", None, 0, 0, 0)

        def read(client: Any) -> File:
            blocks, _stat = client.get_archive(container, path, chunk_size=_BLOCK)
            with tempfile.TemporaryFile(dir="/var/tmp") as spool:
                for block in blocks:
                    spool.write(block)
                spool.seek(0)
                with tarfile.open(fileobj=spool) as archive:
                    entry = archive.next()
                    if entry is None:
                        raise StrataError(f"Docker hands out nothing of {path}")
                    inside = archive.extractfile(entry) if entry.isreg() else None
                    content = content_of(inside) if inside else link_to(entry.linkname) if entry.issym() else None
                    sort = "file" if entry.isreg() else "link" if entry.issym() else "special"
                    return File(sort, content, entry.mode & 0o7777, entry.uid, entry.gid)

        file: File = self._do(read)
        return file

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

            def send(client: Any) -> None:
                url = client._url("/containers/{0}/archive", container)
                params = {"path": folder, "noOverwriteDirNonDir": "true"}
                client._raise_for_status(client._put(url, params=params, data=spool, timeout=None))

            self._do(send)

    def execute(self, container: str, body: Mapping[str, Any], stdin: bytes | None) -> Ran:
        """Run a program in a container.

        Args:
            container: The container, which must run.
            body: That of ``POST /containers/ID/exec``, with ``Detach`` for one that isn't waited for.
            stdin: What it reads.

        Raises:
            StrataError: The daemon refuses; a program that isn't there is no status, but this.
        """
        detach, tty = bool(body.get("Detach")), bool(body.get("Tty"))

        def run(client: Any) -> Ran:
            url = client._url("/containers/{0}/exec", container)
            asked = {key: value for key, value in body.items() if key != "Detach"}
            made = client._result(client._post_json(url, data=asked), True)["Id"]
            start = client._url("/exec/{0}/start", made)
            if detach:
                client._raise_for_status(client._post_json(start, data={"Detach": True, "Tty": tty}))
                return Ran(made, None, b"", b"")
            headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
            answer = client._post_json(start, headers=headers, data={"Detach": False, "Tty": tty}, stream=True)
            client._raise_for_status(answer)
            out, err = _talked(answer.raw._fp.fp, stdin, tty)
            answer.close()
            return Ran(made, client.exec_inspect(made)["ExitCode"], out, err)

        done: Ran = self._do(run)
        return done


def _talked(reader: Any, stdin: bytes | None, tty: bool) -> tuple[bytes, bytes]:
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
