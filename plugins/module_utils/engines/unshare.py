# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a set of namespaces, and pins each in /run/strata/namespaces (namespaces(7), unshare(1)).

A program of its own, on the standard library alone: it runs beside the module, which has threads, and unshare(2) makes
user, mount and time namespaces for processes that have none; and at boot, where the module isn't. Most of what it costs
is the start of Python, so that it imports little.

    make NAME WORD=VALUE…    makes the set, unless it is there
    remove NAME              takes its pins away

The words are those of ``pinned.words()``.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import sys

TYPE_CHECKING = False  # as typing has it, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

FOLDER = "/run/strata/namespaces"
NOTE = "note"
KINDS = {  # linux/sched.h
    "user": 0x10000000,
    "mnt": 0x00020000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "cgroup": 0x02000000,
    "time": 0x00000080,
}
HELD = frozenset({"pid", "cgroup"})
"""What is of no use without a process: the first one of a pid namespace, one that keeps a cgroup from going."""

_FIXED = ("kinds", "uid_map", "gid_map", "monotonic", "boottime")  # nothing changes these later
CLOCKS = ("monotonic", "boottime")
_BIND, _REC, _PRIVATE, _SLAVE, _SHARED, _DETACH = 0x1000, 0x4000, 0x40000, 0x80000, 0x100000, 2  # linux/mount.h
_PROC_FLAGS = 0x2 | 0x4 | 0x8  # nosuid, nodev, noexec
_GETFLAGS, _SETFLAGS, _UP = 0x8913, 0x8914, 0x1  # linux/sockios.h, linux/if.h
_REASONS = {
    errno.ENOSPC: "a limit of /proc/sys/user is reached, or namespaces are nested too deep",
    errno.EINVAL: "this kernel doesn't have one of them, or refuses the values",
    errno.EPERM: "not permitted",
    errno.ERANGE: "the clock would be out of range",
}

_libc = ctypes.CDLL(None, use_errno=True)


# Pins.


def path(name: str, kind: str = "") -> str:
    return f"{FOLDER}/{name}/{kind}".rstrip("/")


def pin(name: str, kind: str) -> str | None:
    """Which namespace is pinned there, as ``device:inode``; None where it is no file of nsfs, but a mere file."""
    try:
        found = os.stat(path(name, kind))
    except OSError:
        return None
    # All namespaces are files of the one nsfs (fs/nsfs.c), whose device has no other name.
    return f"{found.st_dev}:{found.st_ino}" if found.st_dev == os.stat("/proc/self/ns/mnt").st_dev else None


def note(name: str) -> dict[str, Any]:
    """What is noted of a set: whose it is (``owner``), its ``words``, its pins' ``ids``, its ``holder``."""
    found: dict[str, Any] = {"words": {}, "ids": {}}
    try:
        with open(path(name, NOTE), encoding="utf-8") as file:
            for line in file.read().splitlines():
                word, _equals, text = line.partition("=")
                sort, _dot, kind = word.partition(".")
                if kind:
                    found[sort][kind] = text
                else:
                    found[word] = text
    except (FileNotFoundError, NotADirectoryError):
        pass
    return found


def write_note(name: str, noted: Mapping[str, Any]) -> None:
    place = path(name, NOTE)
    lines = [f"{sort}.{word}={text}\n" for sort in ("words", "ids") for word, text in noted.get(sort, {}).items()]
    lines += [f"{word}={noted[word]}\n" for word in ("owner", "holder") if noted.get(word) is not None]
    with open(f"{place}.new", "w", encoding="utf-8") as file:
        file.writelines(lines)
    os.replace(f"{place}.new", place)


def holds(noted: Mapping[str, Any]) -> bool:
    """Whether the process that keeps a set alive is in it."""
    pid = noted.get("holder")
    if not pid:
        return False
    kinds = [kind for kind in noted["ids"] if kind in HELD]
    with contextlib.suppress(OSError):
        return all(_identity(f"/proc/{pid}/ns/{kind}") == noted["ids"][kind] for kind in kinds)
    return False


def right(name: str, noted: Mapping[str, Any]) -> list[str]:
    """The kinds whose pins are those that were made, and are of use."""
    ids, held = noted["ids"], holds(noted)
    return [kind for kind in ids if pin(name, kind) == ids[kind] and (held or kind not in HELD)]


def _identity(place: str) -> str:
    found = os.stat(place)
    return f"{found.st_dev}:{found.st_ino}"


def clear(name: str) -> None:
    """Take the pins of a set away, its holder, and its note. A namespace goes with the last process that is in it."""
    noted = note(name)
    if holds(noted):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(noted["holder"]), signal.SIGKILL)
    for kind in KINDS:
        place = path(name, kind)
        while _libc.umount2(os.fsencode(place), _DETACH) == 0:
            pass
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place)
    for file in (f"{NOTE}.new", NOTE):  # the note last: it says whose it is
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path(name, file))
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path(name))


# Making.


def _called(what: str, done: int) -> None:
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"could not {what}: {_REASONS.get(code, os.strerror(code))}")


def _mount(source: str, target: str, flags: int, kind: str = "none") -> None:
    done = _libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), None)
    _called(f"mount {target}", done)


def _share() -> None:
    """Let pins be seen, and freed, in mount namespaces that are there already, as ip-netns(8) has it."""
    os.makedirs(FOLDER, mode=0o755, exist_ok=True)
    handle = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            _mount("", FOLDER, _SHARED)
        except OSError as error:
            if error.errno != errno.EINVAL:  # it is a mount point
                raise
            _mount(FOLDER, FOLDER, _BIND | _REC)
            _mount("", FOLDER, _SHARED)
    finally:
        os.close(handle)


def _pin(name: str, kind: str, source: str) -> None:
    place = path(name, kind)
    os.close(os.open(place, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
    if kind == "mnt":
        # No mount namespace is seen from within itself or an older one, so that its pin can't be where mounts are
        # passed on (fs/namespace.c: copy_tree); a file that is mounted on itself is a mount of its own.
        _mount(place, place, _BIND)
        _mount("", place, _PRIVATE)
    try:
        _mount(source, place, _BIND)
    except OSError as error:
        raise _Refused(*error.args) if kind == "mnt" and error.errno == errno.EINVAL else error from None


def make(name: str, told: Mapping[str, str]) -> None:
    """Make a set, and pin it, unless it is there as it is to be.

    Raises:
        OSError: The kernel refused; nothing is left.
    """
    _share()
    noted = note(name)
    same = all(noted["words"].get(word) == told.get(word) for word in _FIXED)
    if same and set(right(name, noted)) == set(told["kinds"].split(",")):
        return
    cpus = sorted(os.sched_getaffinity(0))
    for cpu in [None, *cpus]:
        clear(name)
        try:
            _make(name, told, cpu)
            return
        except BaseException as error:
            clear(name)
            if not isinstance(error, _Refused) or cpu == cpus[-1]:
                raise


class _Refused(OSError):
    """No mount namespace is pinned in one that has a higher number (fs/namespace.c: mnt_ns_loop).

    In Linux 6.18, each CPU hands out numbers of its own (kernel/nstree.c: ns_tree_gen_id): what is made later may have
    the lower one, but not on the CPU that the higher one is from.
    """


def _make(name: str, told: Mapping[str, str], cpu: int | None) -> None:
    kinds = told["kinds"].split(",")
    os.mkdir(path(name), 0o755)
    begun = {"owner": told.get("owner"), "words": told}
    write_note(name, begun)
    with _unshared(kinds, told, cpu) as (pid, holder):
        for kind in kinds:
            _pin(name, kind, _source(kind, pid, holder))
        ids = {kind: pin(name, kind) for kind in kinds}
        write_note(name, {**begun, "ids": ids, "holder": holder})


def _source(kind: str, pid: int, holder: int | None) -> str:
    if kind == "pid":  # its first process is the only one that is in it
        return f"/proc/{holder}/ns/pid"
    return f"/proc/{pid}/ns/{'time_for_children' if kind == 'time' else kind}"


@contextlib.contextmanager
def _unshared(kinds: list[str], told: Mapping[str, str], cpu: int | None) -> Iterator[tuple[int, int | None]]:
    """A process in new namespaces, and the one that stays; both are gone where what is done meanwhile fails."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _guarded(theirs, lambda: _child(theirs, kinds, told, cpu))
    theirs.close()
    holder = None
    try:
        _hear(ours, "unshared")
        for file in ("uid_map", "gid_map"):
            if told.get(file):
                lines = "".join(line.replace(":", " ") + "\n" for line in told[file].split(","))
                _write(f"/proc/{pid}/{file}", lines)
        for clock in CLOCKS:
            if told.get(clock):
                _write(f"/proc/{pid}/timens_offsets", f"{clock} {told[clock]} 0\n")
        ours.send(b"go")
        told_of = _hear(ours, "ready", *(["holding"] if HELD & set(kinds) else []))
        holder = int(told_of["ready"]) or None
        yield pid, holder
    except BaseException:
        if holder:
            with contextlib.suppress(ProcessLookupError):
                os.kill(holder, signal.SIGKILL)
        raise
    finally:
        ours.close()
        os.waitpid(pid, 0)


def _hear(channel: socket.socket, *words_due: str) -> dict[str, str]:
    """Wait until the processes on the other end have said each of these words, in whatever order."""
    heard: dict[str, str] = {}
    while not set(words_due) <= heard.keys():
        word, _colon, rest = channel.recv(4096).decode().partition(":")
        if word not in words_due:
            raise OSError(0, rest or "a process ended before it was ready")
        heard[word] = rest
    return heard


def _write(file: str, text: str) -> None:
    """In one write, as user_namespaces(7) asks for."""
    handle = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, text.encode())
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror)
        raise OSError(error.errno, f"could not write {os.path.basename(file)}: {reason}") from None
    finally:
        os.close(handle)


def _guarded(channel: socket.socket, work: Callable[[], None]) -> None:
    """Do it in a process that ends with it."""
    try:
        work()
        os._exit(0)
    except OSError as error:
        channel.send(f"failed:{error.strerror or error}".encode())
    finally:
        os._exit(1)


def _child(channel: socket.socket, kinds: list[str], told: Mapping[str, str], cpu: int | None) -> None:
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, usual if cpu is None else {cpu})
    _called(f"make the namespaces {', '.join(kinds)}", _libc.unshare(sum(KINDS[kind] for kind in kinds)))
    os.sched_setaffinity(0, usual)
    channel.send(b"unshared")
    if not channel.recv(16):
        return
    if "hostname" in told:
        socket.sethostname(told["hostname"])
    if told.get("loopback"):
        set_loopback(True)
    if "mnt" in kinds:
        # What the host unmounts is unmounted in it, too, or it would keep it busy; what it mounts stays in it.
        _mount("", "/", _REC | _SLAVE)
    pid = os.fork() if HELD & set(kinds) else None
    if pid == 0:
        _guarded(channel, lambda: _hold(channel, kinds, told))
    channel.send(f"ready:{pid or 0}".encode())
    channel.recv(16)  # until it is pinned


def _hold(channel: socket.socket, kinds: list[str], told: Mapping[str, str]) -> None:
    """The process that stays: sleep(1), which is on every host, and does nothing."""
    program = next((place for place in ("/usr/bin/sleep", "/bin/sleep") if os.access(place, os.X_OK)), None)
    if program is None:
        raise OSError(errno.ENOENT, "sleep is not installed")
    if told.get("gid_map"):
        os.setgroups([])
        os.setgid(_first(told["gid_map"]))
    if told.get("uid_map"):
        os.setuid(_first(told["uid_map"]))
    if {"pid", "mnt"} <= set(kinds):
        _mount("proc", "/proc", _PROC_FLAGS, "proc")
    # What loses its parent becomes a child of the first process. Where that ignores their ends, the kernel itself
    # buries them (wait(2)), and what is ignored is so after execve(2), too.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(null, handle)
    channel.send(b"holding")
    os.execv(program, [program, "infinity"])


def _first(lines: str) -> int:
    return min(int(line.split(":")[0]) for line in lines.split(","))


def loopback() -> bool:
    """Whether lo is up where the calling thread is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking, _GETFLAGS, struct.pack("16sH22x", b"lo", 0))
    return bool(struct.unpack_from("16sH", answer)[1] & _UP)


def set_loopback(up: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, _SETFLAGS, struct.pack("16sH22x", b"lo", _UP if up else 0))


def main() -> None:
    verb, name, *rest = sys.argv[1:]
    try:
        if verb == "make":
            make(name, dict(word.split("=", 1) for word in rest))
        else:
            clear(name)
    except OSError as error:
        sys.exit(error.strerror or str(error))  # pylint: disable=ansible-bad-function  # it is no module


if __name__ == "__main__":
    main()
