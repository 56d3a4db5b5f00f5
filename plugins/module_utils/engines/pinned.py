# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of pinned namespaces: read together, entered, made, and kept by a unit where something has to live in them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..core import command, files
from ..core.errors import StrataError
from . import bootunit, namespaces, systemd, unshare

PROGRAM = "/usr/local/lib/strata/namespaces.py"
"""Where the program is kept that units run, as long as there is one."""

_PREFIX = "strata-namespace-"
_TIMEOUT = 60.0  # seconds
_libc = ctypes.CDLL(None, use_errno=True)
_program = threading.Lock()  # one set may be the last that needs it, and another one the first

Found = TypeVar("Found")


@dataclass
class Seen:
    """What there is of one set.

    Attributes:
        kinds: Those whose namespaces are pinned, and of use.
        noted: What was noted when it was made; None: there is none.
        unit: The words of the unit that makes it at boot; None: there is none.
        enabled: Whether that unit is started at boot.
        live: What it is like inside: ``hostname``, ``loopback``.
        processes: Those that are seen in one of its namespaces, the holder left out, as ``pid (name)``.
        hidden: There are processes of which /proc doesn't tell the namespaces: they may be in any.
    """

    kinds: list[str] = field(default_factory=list)
    noted: dict[str, Any] | None = None
    unit: dict[str, str] | None = None
    enabled: bool = False
    live: dict[str, Any] = field(default_factory=dict)
    processes: list[str] = field(default_factory=list)
    hidden: bool = False


def words(values: Mapping[str, Any]) -> dict[str, str]:
    """Canonical values as words of the command line, which systemd, too, reads as they are: no blanks, no quotes."""
    told = {"kinds": ",".join(values["kinds"])}
    for name in ("uid_map", "gid_map"):
        rows = [f"{row['inside']}:{row['outside']}:{row['count']}" for row in values.get(name) or ()]
        told[name] = ",".join(rows)
    for clock in unshare.CLOCKS:
        told[clock] = str((values.get("time_offsets") or {}).get(clock) or "")
    told["hostname"] = values.get("hostname") or ""
    told["loopback"] = "yes" if values.get("loopback") else ""
    return {word: text for word, text in told.items() if text}


def values(told: Mapping[str, str]) -> dict[str, Any]:
    """The canonical values of some words."""
    kinds = tuple(filter(None, told.get("kinds", "").split(",")))
    found: dict[str, Any] = {"kinds": kinds}
    for name in ("uid_map", "gid_map"):
        lines = [line.split(":") for line in filter(None, told.get(name, "").split(","))]
        found[name] = tuple(dict(zip(("inside", "outside", "count"), map(int, line))) for line in lines)
    if "time" in kinds:
        found["time_offsets"] = {clock: int(told.get(clock, 0)) for clock in unshare.CLOCKS}
    return found


def unit(name: str) -> str:
    return f"{_PREFIX}{name}.service"


def names() -> list[str]:
    """The sets that are there, and those that the next boot makes."""
    try:
        there = os.listdir(unshare.FOLDER)
    except FileNotFoundError:
        there = []
    return sorted({*there, *bootunit.names(_PREFIX)})


def lacking(kinds: Iterable[str]) -> list[str]:
    """The kinds that this kernel doesn't have."""
    return [kind for kind in kinds if not os.path.exists(f"/proc/self/ns/{kind}")]


def read(asked: Iterable[str]) -> dict[str, Seen]:
    """Look at some sets: a few files each, one thread for all that are entered, one walk through /proc."""
    found = {name: _seen(name) for name in asked}
    there = {name: seen for name, seen in found.items() if seen.kinds}
    if any({"uts", "net"} & set(seen.kinds) for seen in there.values()):
        namespaces.aside(lambda: _look_inside(there))
    if there:
        _count(there)
    return found


def _seen(name: str) -> Seen:
    noted = unshare.note(name) if os.path.isdir(unshare.path(name)) else None
    kept = bootunit.read(unit(name))
    line = kept.last("Service", "ExecStart") if kept else None
    told = None if line is None else dict(word.split("=", 1) for word in shlex.split(line) if "=" in word)
    kinds = unshare.right(name, noted) if noted else []
    return Seen(kinds, noted, told, told is not None and bootunit.enabled(unit(name)))


def _look_inside(there: Mapping[str, Seen]) -> None:
    for name, seen in there.items():
        if "uts" in seen.kinds:
            _enter(name, "uts")
            seen.live["hostname"] = os.uname().nodename
        if "net" in seen.kinds:
            _enter(name, "net")
            seen.live["loopback"] = unshare.loopback()


def _enter(name: str, kind: str) -> None:
    """Move the calling thread into a namespace of a set."""
    handle = os.open(unshare.path(name, kind), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(handle, unshare.KINDS[kind]) != 0:
            reason = os.strerror(ctypes.get_errno())
            raise StrataError(f"could not enter {unshare.path(name, kind)}: {reason}")
    finally:
        os.close(handle)


def inside(name: str, kind: str, work: Callable[[], Found]) -> Found:
    """Do something in a namespace of a set, of a kind that threads can enter: net, uts, ipc, cgroup."""

    def entered() -> Found:
        _enter(name, kind)
        return work()

    return namespaces.aside(entered)


def _count(there: Mapping[str, Seen]) -> None:
    """Find the processes that are in the sets, by their main threads."""
    owners: dict[str, Seen] = {}
    for seen in there.values():
        for kind in seen.kinds:
            # Kinds are known by the note alone.
            owners[f"{kind}:[{seen.noted['ids'][kind].partition(':')[2]}]"] = seen  # type: ignore[index]
    kinds = sorted({link.partition(":")[0] for link in owners})
    hidden = False
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            links = {os.readlink(f"/proc/{pid}/ns/{kind}") for kind in kinds}
        except OSError as error:
            # One that ended has none; /proc/PID of one that may not be looked at is there.
            hidden = hidden or (isinstance(error, PermissionError) and os.path.exists(f"/proc/{pid}"))
            continue
        for seen in {id(owners[link]): owners[link] for link in links if link in owners}.values():
            if pid != (seen.noted or {}).get("holder"):
                comm = (files.read(f"/proc/{pid}/comm") or "?").strip()
                seen.processes.append(f"{pid} ({comm})")
    for seen in there.values():
        seen.hidden = hidden


# Changing.


def set_hostname(name: str, text: str) -> None:
    inside(name, "uts", lambda: socket.sethostname(text))


def set_loopback(name: str, up: bool) -> None:
    inside(name, "net", lambda: unshare.set_loopback(up))


def _source() -> str:
    """The program that makes sets, from wherever this module was loaded."""
    # Whatever imports a module has a loader, and both Python's and Ansible's keep the source.
    text = unshare.__loader__.get_source(unshare.__name__)  # type: ignore[union-attr]
    if not text:
        raise StrataError("this collection lacks the source of the program that makes namespaces")
    return str(text)


def _argv(words: Mapping[str, str]) -> list[str]:
    return [f"{word}={text}" for word, text in words.items()]


def make(name: str, words: Mapping[str, str]) -> None:
    """Make a set that nothing has to live in.

    Raises:
        StrataError: The kernel refused; nothing is left.
    """
    done = command.run(
        [sys.executable, "-IS", "-", "make", name, *_argv(words)], stdin=_source(), timeout=_TIMEOUT, check=False
    )
    if done.returncode != 0:
        raise StrataError(done.stderr.strip() or command.failure(done))


def remove(name: str) -> None:
    """Take a set away: its unit, its holder, its pins."""
    stop(name)
    keep(name, None)
    unshare.clear(name)


def stop(name: str) -> None:
    """Stop a unit, which takes the set away that it made; one that there isn't is fine."""
    there = any(os.path.exists(f"{folder}/{unit(name)}") for folder in (systemd.UNITS, bootunit.RUNTIME))
    if there and systemd.booted():
        systemd.stop(unit(name), _TIMEOUT)


def start(name: str) -> None:
    """Have a set's unit make it, anew where it is not as it is to be."""
    bootunit.restart(unit(name), _TIMEOUT)


def keep(name: str, words: Mapping[str, str] | None, *, boot: bool = True) -> None:
    """Have a unit that makes a set with these words, at boot or only now; None: no unit."""
    if words is None:
        bootunit.drop(unit(name))
        return
    source = _source()
    with _program:
        if files.read(PROGRAM) != source:
            files.write(PROGRAM, source, 0o755)
        changed = bootunit.write(unit(name), _text(name, words), bootunit.BOOT if boot else ())
    if changed:
        systemd.refresh(unit(name))


def _text(name: str, words: Mapping[str, str]) -> str:
    run = [sys.executable, "-IS", PROGRAM]
    held = unshare.HELD & set(words["kinds"].split(","))
    lines = [
        ("Unit", "Description", [f"The namespaces {name}: {words['kinds'].replace(',', ' ')}"]),
        # What stays is the one process that holds the set; where nothing has to, the pins are what is active.
        ("Service", "Type", ["forking" if held else "oneshot"]),
        ("Service", "RemainAfterExit", [] if held else ["yes"]),
        ("Service", "ExecStart", [bootunit.quoted([*run, "make", name, *_argv(words)])]),
        ("Service", "ExecStopPost", [bootunit.quoted([*run, "remove", name])]),
        # To the first process of a pid namespace, no other signal means anything (pid_namespaces(7)).
        ("Service", "KillSignal", ["SIGKILL"]),
        ("Install", "WantedBy", ["multi-user.target"]),
    ]
    return bootunit.render(lines)


def forget_program() -> None:
    """Take the program away that units run, after the last of them."""
    folders = [folder for folder in (systemd.UNITS, bootunit.RUNTIME) if os.path.isdir(folder)]
    with _program:
        if any(entry.startswith(_PREFIX) for folder in folders for entry in os.listdir(folder)):
            return
        files.remove(PROGRAM)
        with contextlib.suppress(OSError):  # it isn't there, or holds something else
            os.rmdir(os.path.dirname(PROGRAM))
