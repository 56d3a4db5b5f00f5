# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain users of the tests' own, who are gone afterwards with all that they run."""

from __future__ import annotations

import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.driver import run


@contextmanager
def account(name: str) -> Iterator[int]:
    """A user with a home and ranges of subordinate IDs, who isn't logged in; their number."""
    run("useradd", "--create-home", name)
    number = pwd.getpwnam(name).pw_uid
    try:
        yield number
    finally:
        # In the other order logind would see them off for some seconds more, and whoever comes by that number, too.
        run("systemctl", "stop", f"user@{number}.service")
        run("loginctl", "disable-linger", name, check=False)
        # What keeps their namespaces, Podman leaves behind on purpose, in whichever session it began.
        run("pkill", "--signal", "KILL", "--uid", str(number), check=False)
        end = time.monotonic() + 30
        while run("pgrep", "--uid", str(number), check=False):
            assert time.monotonic() < end, f"{name} still runs something"
            time.sleep(0.2)
        run("userdel", "--remove", name)
