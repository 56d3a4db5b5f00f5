# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reaching into a container of Podman."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import IO, Any

from ..core.errors import StrataError
from .container_files import BLOCK, Inside, Ran, talked, told_of
from .podman import Podman, refusal


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
