# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what an engine does in its own time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from .errors import StrataError

Found = TypeVar("Found")


def until(ask: Callable[[], Found], what: str, timeout: float, pause: float = 0.1) -> Found:
    """Ask again and again until the answer is true, and return it.

    Args:
        ask: The question.
        what: What is waited for, as it reads in "waited N seconds for ...".
        timeout: Seconds.
        pause: Seconds before the second question; later ones come more slowly, up to one second apart.

    Raises:
        StrataError: It didn't happen in time.
    """
    end = time.monotonic() + timeout
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise StrataError(f"waited {round(timeout, 1):g} seconds for {what}")
        time.sleep(min(pause, max(0.0, end - time.monotonic())))
        pause = min(1.0, pause * 1.5)


class Shared:
    """Work that is done once for all threads that asked for it before it began.

    Args:
        work: What is done; whoever asks waits until it was begun and ended after that.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._asking = threading.Lock()
        self._working = threading.Lock()
        self._asked = self._done = 0

    def __call__(self) -> None:
        with self._asking:
            self._asked += 1
            mine = self._asked
        with self._working:
            if self._done >= mine:
                return
            with self._asking:
                last = self._asked
            self._work()
            self._done = last
