# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's machine protocol over a Unix socket (QEMU: docs/interop/qmp-spec.rst)."""

from __future__ import annotations

import json
import os
import socket
from types import TracebackType
from typing import Any

from ..core.errors import StrataError

LONGEST_PATH = 107  # unix(7): sun_path, with its final NUL


class Monitor:
    """A conversation with a running QEMU.

    Args:
        path: The socket.
        timeout: Seconds to wait for an answer.

    Raises:
        OSError: Nobody listens there.
    """

    def __init__(self, path: str, timeout: float = 60) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        try:
            self._connect(path)
            self._lines = self._socket.makefile("rw", encoding="utf-8")
            self._answer()  # the greeting
            self.execute("qmp_capabilities")
        except BaseException:
            self._socket.close()
            raise

    def _connect(self, path: str) -> None:
        if len(os.fsencode(path)) <= LONGEST_PATH:
            self._socket.connect(path)
            return
        folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
        try:
            self._socket.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
        finally:
            os.close(folder)

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # QEMU speaks to one at a time: the stream over the socket would keep it open.
        self._lines.close()
        self._socket.close()

    def _answer(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise ConnectionResetError("QEMU closed the monitor")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run a command and return its answer; events that come between are passed over.

        Raises:
            StrataError: QEMU refused it.
        """
        self._lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._lines.flush()
        while True:
            answer = self._answer()
            if "error" in answer:
                raise StrataError(f"QEMU refused {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def human(self, line: str) -> str:
        """Run a command of the human monitor, for the few that the machine protocol lacks.

        Raises:
            StrataError: It answered with an error.
        """
        answer: str = self.execute("human-monitor-command", **{"command-line": line})
        if answer.startswith("Error"):
            raise StrataError(f"QEMU refused {line}: {answer.strip()}")
        return answer
