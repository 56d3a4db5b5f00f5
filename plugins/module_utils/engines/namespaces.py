# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named network namespaces, as ip-netns(8) keeps them: files of nsfs, mounted in /run/netns."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from ..core import files
from ..core.errors import StrataError
from .netlink import Netlink

FOLDER = "/run/netns"
_NSFS_MAGIC = 0x6E736673  # linux/magic.h
_CLONE_NEWNET = 0x40000000  # linux/sched.h
_MS_BIND, _MS_REC, _MS_SHARED, _MNT_DETACH = 0x1000, 0x4000, 0x100000, 2  # linux/mount.h

_libc = ctypes.CDLL(None, use_errno=True)
_one_at_a_time = threading.Lock()

Found = TypeVar("Found")


def path(name: str) -> str:
    return f"{FOLDER}/{name}"


def exists(name: str) -> bool:
    """Whether a namespace is mounted there: a file of that name alone is what a killed program left."""
    return files.file_system(path(name)) == _NSFS_MAGIC


def names() -> list[str]:
    try:
        return sorted(name for name in os.listdir(FOLDER) if exists(name))
    except FileNotFoundError:
        return []


def identity(name: str) -> str:
    """What tells a namespace from every other one that there is (namespaces(7)); no name does."""
    found = os.stat(path(name))
    return f"{found.st_dev}:{found.st_ino}"


@contextlib.contextmanager
def handle(name: str) -> Iterator[int]:
    """An open file of a namespace; ``""`` is the one that the caller is in. Never makes one.

    Raises:
        StrataError: There is none of that name.
    """
    if name and not exists(name):
        raise StrataError(
            f"there is no network namespace {name!r}", hint=f"Declare it: strata.virt.netns: {{name: {name}}}"
        )
    opened = os.open(path(name) if name else "/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield opened
    finally:
        os.close(opened)


def _called(what: str, done: int) -> None:
    if done != 0:
        raise StrataError(f"could not {what}: {os.strerror(ctypes.get_errno())}")


def aside(work: Callable[[], Found]) -> Found:
    """Do it in a thread that ends with it.

    unshare(2) moves the calling thread only: neither the module nor any other resource notices.
    """
    results: list[Found] = []
    errors: list[BaseException] = []

    def go() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def inside(name: str, work: Callable[[], Found]) -> Found:
    """Do something in a namespace; ``""`` is the one that the caller is in.

    The calling thread goes there and comes back (setns(2) moves no other): a thread for each would cost as much as
    what most do there.
    """
    if not name:
        return work()
    with handle("") as home, handle(name) as opened:
        _called(f"enter the network namespace {name}", _libc.setns(opened, _CLONE_NEWNET))
        try:
            return work()
        finally:
            _called("come back from a network namespace", _libc.setns(home, _CLONE_NEWNET))


def connect(name: str) -> Netlink:
    """A socket in a namespace."""
    return Netlink((lambda opened: inside(name, opened)) if name else None)


def create(name: str, prepare: Callable[[Netlink], None]) -> None:
    """Make a namespace, prepare it, and only then give it its name.

    Raises:
        StrataError: The kernel refused.
    """
    _share()

    def made() -> None:
        _called("make a network namespace", _libc.unshare(_CLONE_NEWNET))
        with Netlink() as netlink:
            prepare(netlink)
        place = path(name)
        os.close(os.open(place, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
        source = f"/proc/self/task/{threading.get_native_id()}/ns/net"
        _mount(source, place, _MS_BIND)

    aside(made)


def _mount(source: str, target: str, flags: int) -> None:
    done = _libc.mount(os.fsencode(source), os.fsencode(target), b"none", ctypes.c_ulong(flags), None)
    _called(f"mount {target}", done)


def _share() -> None:
    """Let namespaces that are named after a mount namespace was made be seen and freed there, too (ip-netns(8))."""
    with _one_at_a_time:
        try:
            os.makedirs(FOLDER, mode=0o755, exist_ok=True)
        except OSError as error:
            raise StrataError(f"could not make {FOLDER}: {error.strerror}") from None
        if _libc.mount(b"", os.fsencode(FOLDER), b"none", ctypes.c_ulong(_MS_SHARED | _MS_REC), None) == 0:
            return
        # It is no mount point; the table of mounts would name those, too, that others hide.
        _mount(FOLDER, FOLDER, _MS_BIND | _MS_REC)
        _mount("", FOLDER, _MS_SHARED | _MS_REC)


def remove(name: str) -> None:
    """Take a name away; the namespace goes with the last thing that uses it."""
    place = path(name)
    while exists(name):  # mounted over and over, maybe
        _called(f"unmount {place}", _libc.umount2(os.fsencode(place), _MNT_DETACH))
    try:
        os.unlink(place)
    except FileNotFoundError:
        pass
    except OSError as error:
        reason = "something else is mounted there" if error.errno == errno.EBUSY else error.strerror
        raise StrataError(f"could not remove {place}: {reason}") from None


def _read(keys: list[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for key in keys:
        try:
            text = files.read(_parameter(key))
        except OSError:
            text = None
        found[key] = None if text is None else " ".join(text.split())
    return found


def sysctls(name: str, keys: list[str]) -> dict[str, str | None]:
    """Kernel parameters of a namespace: those below net are its own. None: it has no such parameter."""
    return inside(name, lambda: _read(keys))


def usual_sysctls(keys: list[str]) -> dict[str, str | None]:
    """Kernel parameters as a new namespace has them: one without a name, which is gone when this returns."""

    def read() -> dict[str, str | None]:
        _called("make a network namespace", _libc.unshare(_CLONE_NEWNET))
        return _read(keys)

    return aside(read)


def set_sysctl(name: str, key: str, value: str) -> None:
    def write() -> None:
        try:
            with open(_parameter(key), "w", encoding="ascii") as file:
                file.write(value)
        except OSError as error:
            raise StrataError(f"could not set {key} to {value!r}: {error.strerror}") from None

    inside(name, write)


def _parameter(key: str) -> str:
    # sysctl(8): dots separate, and a slash stands for a dot within a name such as eth0.5
    return "/proc/sys/" + key.translate(str.maketrans("./", "/."))
