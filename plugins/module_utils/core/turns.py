# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time for each resource of a host: another one of this collection that wants to change it waits its turn.

All turns are one file, a byte each: nothing is left lying about, also of who is killed, and a thousand resources take
one descriptor. The locks are those of fcntl(2) that belong to an open file (F_OFD_SETLK, Linux 3.15), so that threads
and what they start can't give them away.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import struct
import tempfile
import time
from collections.abc import Hashable, Iterator, Mapping

from . import command, progress
from .errors import StrataError

FOLDER = "/run/strata"
PATIENCE = 600.0  # seconds
_SPAN = 1 << 62  # an offset is a signed 64-bit number
_PAUSE = 0.05  # seconds


def folder() -> str:
    """Where this user's turns are, made where it wasn't: no two share a file that one of them could hold for ever.

    Raises:
        StrataError: There is no place for it, or somebody else has taken it.
    """
    user = os.geteuid()
    places = [FOLDER] if user == 0 else [f"{command.runtime(user)}/strata", os.path.expanduser("~/.cache/strata")]
    for place in places:
        with contextlib.suppress(OSError):
            os.makedirs(place, 0o755, exist_ok=True)
            return place
    # Who has neither a session nor a home can still write where everybody can.
    place = f"{tempfile.gettempdir()}/strata-{user}"
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(place, 0o700)
        if os.lstat(place).st_uid != user:
            raise PermissionError(errno.EPERM, "belongs to somebody else")
    except OSError as error:
        raise StrataError(f"could not take turns with other runs in {place}: {error.strerror}") from None
    return place


@contextlib.contextmanager
def held(things: Mapping[Hashable, str], check_mode: bool = False, seconds: float = PATIENCE) -> Iterator[None]:
    """Hold things for as long as they are read, changed and looked at again.

    Args:
        things: What tells each from all others, and what it is called.
        check_mode: Nothing will be changed: nobody is waited for, and nobody waits.
        seconds: How long to wait for all of them together.

    Raises:
        StrataError: Another run held one of them all the time, or the file can't be opened.
    """
    if check_mode:
        yield
        return
    names = {_place(thing): name for thing, name in things.items()}
    path = f"{folder()}/turns"
    end = time.monotonic() + seconds
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StrataError(f"could not take turns with other runs at {path}: {error.strerror}") from None
    try:
        for place in sorted(names):  # all runs in one order, so that no two wait for each other
            _wait(handle, place, names[place], end, path)
        yield
    finally:
        os.close(handle)


def _wait(handle: int, place: int, name: str, end: float, path: str) -> None:
    told = False
    while not _taken(handle, place):
        if time.monotonic() >= end:
            raise StrataError(
                f"{name} is being changed by another run, and was waited for all the time",
                hint=f"See which: lsof {path}",
            )
        if not told:
            progress.say(f"waiting for another run that changes {name}")
            told = True
        time.sleep(_PAUSE)


def _taken(handle: int, place: int) -> bool:
    one_byte = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)  # struct flock, with its last padding
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, one_byte)
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES (fcntl(2))
        return False
    return True


def _place(thing: Hashable) -> int:
    return int.from_bytes(hashlib.sha256(repr(thing).encode()).digest()[:8], "big") % _SPAN
