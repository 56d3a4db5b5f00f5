# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reaching into a container of Podman."""

from __future__ import annotations

import json
import os
import posixpath
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import IO, Any

from ..core import files
from ..core.errors import StrataError
from . import idmaps, inside
from .container_files import BLOCK, File, Inside, Ran, talked, told_of
from .podman import Podman, refusal


def _seen(pid: int, path: str) -> tuple[int, int] | None:
    """Whose a file is for a process of a container, by the kernel's word, which no link leads out (openat2(2))."""
    try:
        top = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = inside.owner(top, path)
    finally:
        os.close(top)
    if found is None:
        return None
    users, groups = (files.read(f"/proc/{pid}/{one}_map") or "" for one in ("uid", "gid"))
    return idmaps.inner(users, found[0]), idmaps.inner(groups, found[1])


class PodmanInside(Inside, Podman):
    """One user's Podman, asked to reach into containers."""

    def look(self, container: str, path: str) -> Mapping[str, Any] | None:
        answer = self._exchange("HEAD", f"/containers/{container}/archive", {"path": path})
        said = answer.read()
        header = answer.headers.get("X-Docker-Container-Path-Stat")
        if header and answer.status < 400:
            return told_of(header)
        if self.inspect(container) is None:
            raise StrataError("there is no such container", option="container", value=container)
        if answer.status != 404:
            raise refusal(said)
        return None

    def file(self, container: str, path: str) -> File | None:
        """As any engine's, but whose it is: in archives of Podman (5.4) all is root's."""
        found = super().file(container, path)
        if found is None or found.sort == "directory":
            return found
        state = (self.inspect(container) or {}).get("State") or {}
        owner = _seen(state["Pid"], path) if state.get("Pid") else self._exported(container, path)
        if owner is None:
            raise StrataError(f"whose {path} is can't be told", hint="Run again: the container stopped or changed")
        return replace(found, owner=owner[0], group=owner[1])

    def _exported(self, container: str, path: str) -> tuple[int, int] | None:
        """Whose a file of a container is that doesn't run, from all that is in it."""
        name = "/"
        for part in path.strip("/").split("/")[:-1]:
            name = self.followed(container, posixpath.join(name, part))
        wanted = posixpath.join(name, posixpath.basename(path)).lstrip("/")
        answer = self._exchange("GET", f"/containers/{container}/export", timeout=None)
        if answer.status >= 400:
            raise refusal(answer.read())
        with tarfile.open(fileobj=answer, mode="r|") as archive:
            return next(((one.uid, one.gid) for one in archive if one.name.lstrip("./") == wanted), None)

    def archive(self, container: str, path: str) -> Iterable[bytes]:
        answer = self._exchange("GET", f"/containers/{container}/archive", {"path": path}, timeout=None)
        if answer.status >= 400:
            raise refusal(answer.read())
        return iter(lambda: answer.read(BLOCK), b"")

    def unpack(self, container: str, folder: str, archive: IO[bytes]) -> None:
        # Else all would be of the user whom the container runs as.
        query = {"path": folder, "copyUIDGID": False, "noOverwriteDirNonDir": True}
        self._said("PUT", f"/containers/{container}/archive", query, archive, timeout=None)

    def execute(self, container: str, body: Mapping[str, Any], stdin: bytes | None) -> Ran:
        """Run a program in a container.

        Args:
            container: The container, which must run.
            body: That of ``POST /containers/ID/exec``, with ``Detach`` for one that isn't waited for.
            stdin: What it reads.

        Raises:
            StrataError: Podman refuses.
        """
        detach, tty = bool(body.get("Detach")), bool(body.get("Tty"))
        asked = {key: value for key, value in body.items() if key != "Detach"}
        made = str(self._make(f"/containers/{container}/exec", asked)["Id"])
        if detach:
            self._do(f"/exec/{made}/start", body={"Detach": True, "Tty": tty}, missing=False)
            return Ran(made, None, b"", b"")
        begin = {"Detach": False, "Tty": tty}
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
        answer = self._exchange("POST", f"/exec/{made}/start", body=begin, timeout=None, headers=headers)
        if answer.status >= 400:
            raise refusal(answer.read())
        out, err = talked(answer.fp, stdin, tty)
        answer.close()
        status = json.loads(self._said("GET", f"/exec/{made}/json") or b"{}")["ExitCode"]
        return Ran(made, int(status), out, err)
