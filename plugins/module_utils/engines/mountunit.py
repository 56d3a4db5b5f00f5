# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's units of type mount (systemd.mount(5)): what is mounted at boot, and in which order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from ..core import files
from . import systemd
from .unitfile import UnitFile

LOCAL = "local-fs.target"
LATER = "multi-user.target"
NOTES = "X-Strata"  # systemd leaves sections whose names begin with X- alone (systemd.unit(5))

JAILS = "/run/strata/chroot"
"""Where the owner and the binds of jails are noted. A bind has no text of its own that could tell, and the tree is its
programs' to write; what is in /run goes when the mounts do."""
TARGETS = (LOCAL, LATER)
_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")


def escape(path: str) -> str:
    """A path as a part of a unit's name, as ``systemd-escape --path`` does it (systemd.unit(5))."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return "-"
    raw = os.fsencode("/".join(parts))
    shown = ["-" if byte == 0x2F else chr(byte) if byte in _SAFE else f"\\x{byte:02x}" for byte in raw]
    if shown[0] == ".":
        shown[0] = "\\x2e"
    return "".join(shown)


def unescape(name: str) -> str:
    """The path of an escaped name."""
    if name == "-":
        return "/"
    raw = re.sub(
        rb"-|\\x([0-9a-f]{2})",
        lambda found: b"/" if found.group() == b"-" else bytes([int(found.group(1), 16)]),
        os.fsencode(name),
    )
    return "/" + os.fsdecode(raw)


def name(path: str) -> str:
    return f"{escape(path)}.mount"


def names() -> list[str]:
    """The mount points that have a unit of the administrator's."""
    try:
        units = os.listdir(systemd.UNITS)
    except OSError:
        return []
    return [unescape(unit[: -len(".mount")]) for unit in units if unit.endswith(".mount")]


def spellable(path: str) -> bool:
    """Whether mount(8) and systemd read a path in a unit as it is meant.

    Both give quotes, backslashes and blanks at the ends meanings of their own.
    """
    return '"' not in path and "\\" not in path and path == path.strip() and len(path.splitlines()) == 1


def enabled(unit: str) -> bool:
    return any(os.path.lexists(f"{systemd.UNITS}/{target}.wants/{unit}") for target in TARGETS)


def text(old: str | None, sets: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """A unit's text with some keys set, everything else as it was."""
    file = UnitFile(old or "# Written by strata.virt.\n")
    for (section, key), values in sets.items():
        file.set(section, key, [value.replace("%", "%%") for value in values])
    return file.text


def said(file: UnitFile, section: str, key: str) -> str:
    return (file.last(section, key) or "").replace("%%", "%")


def mounts_for(paths: Iterable[str]) -> list[str]:
    """Values of RequiresMountsFor=."""
    return [f'"{path}"' for path in paths]


def store(units: Mapping[str, str], *, enable: bool) -> None:
    """Write units, and have them started at boot where that is wanted; what is mounted stays as it is."""
    systemd.need()
    changed = {unit: content for unit, content in units.items() if files.read(f"{systemd.UNITS}/{unit}") != content}
    for unit, content in changed.items():
        files.write(f"{systemd.UNITS}/{unit}", content)
    if enable:
        for unit, content in units.items():
            for target in UnitFile(content).all("Install", "WantedBy"):
                systemd.want(unit, target)
    if changed:
        systemd.refresh(*changed)


def drop(units: Iterable[str]) -> None:
    """Take units away; what they mounted stays mounted."""
    gone = []
    for unit in units:
        systemd.unwant(unit)
        if os.path.lexists(f"{systemd.UNITS}/{unit}"):
            files.remove(f"{systemd.UNITS}/{unit}")
            gone.append(unit)
    if gone:
        systemd.refresh(*gone)
