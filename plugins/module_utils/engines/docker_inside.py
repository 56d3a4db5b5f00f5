# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reaching into a container of Docker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, Any

from ..core.errors import StrataError
from .container_files import BLOCK, Inside, Ran, talked, told_of
from .docker import Docker


class DockerInside(Inside, Docker):
    """One daemon, asked to reach into containers."""

    def look(self, container: str, path: str) -> Mapping[str, Any] | None:
        def ask(client: Any) -> Any:
            url = client._url("/containers/{0}/archive", container)
            answer = client.head(url, params={"path": path}, timeout=client.timeout)
            if answer.status_code == 404:
                return None
            client._raise_for_status(answer)
            return told_of(answer.headers["X-Docker-Container-Path-Stat"])

        found: Mapping[str, Any] | None = self._do(ask)
        if found is None and self.inspect(container) is None:
            raise StrataError("there is no such container", option="container", value=container)
        return found

    def archive(self, container: str, path: str) -> Iterable[bytes]:
        blocks: Iterable[bytes] = self._do(lambda client: client.get_archive(container, path, chunk_size=BLOCK))[0]
        return blocks

    def unpack(self, container: str, folder: str, archive: IO[bytes]) -> None:
        def send(client: Any) -> None:
            url = client._url("/containers/{0}/archive", container)
            params = {"path": folder, "noOverwriteDirNonDir": "true"}
            client._raise_for_status(client._put(url, params=params, data=archive, timeout=None))

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
            out, err = talked(answer.raw._fp.fp, stdin, tty)
            answer.close()
            return Ran(made, client.exec_inspect(made)["ExitCode"], out, err)

        done: Ran = self._do(run)
        return done
