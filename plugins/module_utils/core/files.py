# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way to write a file: whole or not at all, and on the disk when it returns."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import tempfile
import time
from collections.abc import Iterable, Iterator

from .errors import StrataError


def read(path: str) -> str | None:
    """The text of a file, None where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def write(path: str, text: str | bytes, mode: int | None = None, *, owned_by: str | None = None) -> None:
    """Replace a file's content in one step.

    An existing file keeps its owner and, where no mode is given, its mode; a new one gets 0644. Missing folders
    are made. ``owned_by`` is noted on it as ``set_owner`` does, in the same step.

    Raises:
        StrataError: The file system refused (full, read-only, no permission).
    """
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, exist_ok=True)
        old = os.stat(path) if os.path.exists(path) else None
        handle, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", suffix=".strata", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text if isinstance(text, bytes) else text.encode(errors="surrogateescape"))
                if mode is None:
                    mode = 0o644 if old is None else old.st_mode & 0o7777
                os.fchmod(file.fileno(), mode)
                if old is not None and os.geteuid() == 0:
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
                if owned_by is not None:
                    set_owner(temporary, owned_by)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        _sync(folder)
    except OSError as error:
        raise StrataError(f"could not write {path}: {error.strerror}") from None


def stream(path: str, blocks: Iterable[bytes], option: str) -> None:
    """Replace a file by what comes block by block; what was there stays until all of it is written.

    What had come is taken away again where it doesn't go on, be it for want of room.

    Args:
        path: The file.
        blocks: What it is to hold. What goes wrong with them is raised as it is.
        option: The option that named it.

    Raises:
        StrataError: The file system refused (full, read-only, no permission).
    """
    fresh = f"{path}.strata-next"
    try:
        with _refused(path, option):
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            for block in blocks:
                with _refused(path, option):
                    left = memoryview(block)
                    while left:
                        left = left[os.write(handle, left) :]
            with _refused(path, option):
                os.fsync(handle)
        finally:
            os.close(handle)
        with _refused(path, option):
            os.replace(fresh, path)
            _sync(os.path.dirname(path))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise


@contextlib.contextmanager
def _refused(path: str, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StrataError(f"could not be written: {error.strerror}", option=option, value=path) from None


def remove(path: str) -> None:
    """Take a file away; one that isn't there is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    _sync(os.path.dirname(path))


@contextlib.contextmanager
def turn(folder: str, seconds: float = 60.0) -> Iterator[None]:
    """Hold a folder while a file in it is read and written anew: others of this collection, threads as well, wait.

    The lock is on the folder itself (flock(2)), so that nothing is left lying about, also of who is killed.

    Args:
        folder: One that exists.
        seconds: How long to wait. Whoever may read a folder can hold it, for ever maybe.

    Raises:
        StrataError: The folder isn't there, or somebody held it all the time.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StrataError(f"could not hold {folder}: {error.strerror}") from None
    try:
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    hint = f"See who: lsof {folder}"
                    raise StrataError(f"{folder} was held by somebody else for {seconds:g} s", hint=hint) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_system(path: str) -> int | None:
    """The magic number of the file system that a path lies on (statfs(2), linux/magic.h); None where there is none.

    No name tells it: a mount may be missing, or be something else than what its path says.
    """
    buffer = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None).statfs(os.fsencode(path), buffer) != 0:
        return None
    return ctypes.c_long.from_buffer(buffer).value


_OWNER = "user.strata.owner"  # xattr(7): kept with the file, also where it is moved to


def owner(path: str) -> str | None:
    """The owner noted on a file, None where nobody noted one."""
    try:
        return os.getxattr(path, _OWNER).decode()
    except OSError:
        return None


def set_owner(path: str, name: str) -> None:
    """Note the owner of a file. Where the file system can't, it stays nobody's, and no prune ever takes it."""
    with contextlib.suppress(OSError):
        os.setxattr(path, _OWNER, name.encode())
