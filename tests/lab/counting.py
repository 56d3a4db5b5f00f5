# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A socket before an engine's own, which hands everything on and notes what is asked."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path

_REQUEST = re.compile(rb"(?:GET|HEAD|POST|PUT|DELETE) \S+(?= HTTP/1\.[01]\r\n)")


class Counting:
    """For as long as the context lasts.

    Args:
        place: Where it listens.
        engine: The socket that it hands on to.

    Attributes:
        asked: The requests so far, as ``GET /version``.
    """

    def __init__(self, place: Path, engine: str) -> None:
        self.asked: list[str] = []
        self.url = f"unix://{place}"
        self._engine = engine
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(place))
        self._door.listen()

    def __enter__(self) -> Counting:
        threading.Thread(target=self._receive, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._door.close()

    def _receive(self) -> None:
        while True:
            try:
                client, _address = self._door.accept()
            except OSError:  # it was closed
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self._engine)
            for source, target, notes in ((client, engine, True), (engine, client, False)):
                threading.Thread(target=self._hand_on, args=(source, target, notes), daemon=True).start()

    def _hand_on(self, source: socket.socket, target: socket.socket, notes: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if notes:
                    self.asked += [request.decode() for request in _REQUEST.findall(data)]
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # the other end went first
            target.close()
