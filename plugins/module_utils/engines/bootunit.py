# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's services that make something again at boot, where nothing keeps it (systemd.service(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from ..core import command, files
from ..core.errors import StrataError
from . import systemd
from .unitfile import UnitFile

RUNTIME = "/run/systemd/system"
"""Where units are that the next boot doesn't know (systemd.unit(5))."""

BOOT = ("multi-user.target",)
"""What pulls in a unit at boot (bootup(7))."""

_HEADER = "# Written by strata.virt.\n"
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


def render(assignments: Iterable[tuple[str, str, Sequence[str]]]) -> str:
    """The text of a unit, from sections, keys and values. The values are taken literally: no specifiers."""
    file = UnitFile(_HEADER)
    for section, key, values in assignments:
        file.set(section, key, [value.replace("%", "%%") for value in values])
    return file.text


def quoted(argv: Sequence[str]) -> str:
    """A command line as systemd splits it into these words again (systemd.service(5), "Command lines")."""
    return " ".join(_quoted(word) for word in argv)


def _quoted(word: str) -> str:
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return word if word and not any(one in word for one in " \t'\";") else f'"{word}"'


def words(line: str) -> list[str]:
    """The words of a command line that ``quoted`` made."""
    return [re.sub(r"\\(.)", r"\1", (one or other).replace("$$", "$")) for one, other in _WORD.findall(line)]


def read(unit: str, folder: str | None = None) -> UnitFile | None:
    """A unit of ours, its specifiers taken back; None where there is none. Without a folder: one of every boot."""
    text = files.read(f"{folder or systemd.UNITS}/{unit}")
    return UnitFile(text.replace("%%", "%")) if text is not None and text.startswith(_HEADER) else None


def enabled(unit: str, wanted_by: Iterable[str] = BOOT) -> bool:
    return all(systemd.wanted(unit, by) for by in wanted_by)


def names(prefix: str) -> list[str]:
    """What stands for the name in the units that are stored for the next boot."""
    try:
        units = os.listdir(systemd.UNITS)
    except OSError:
        return []
    return [
        unit[len(prefix) : -len(".service")] for unit in units if unit.startswith(prefix) and unit.endswith(".service")
    ]


def store(unit: str, text: str, wanted_by: Iterable[str] = BOOT) -> None:
    """Have a unit started at every boot; what is there now stays as it is."""
    if write(unit, text, wanted_by):
        systemd.refresh(unit)


def write(unit: str, text: str, wanted_by: Iterable[str] = BOOT) -> bool:
    """Write a unit, for every boot or, where nothing wants it, until the next one; whether systemd is to read it.

    Raises:
        StrataError: systemd doesn't run this host, or a unit of that name is somebody else's.
    """
    systemd.need()
    wanted_by = tuple(wanted_by)
    folder, other = (systemd.UNITS, RUNTIME) if wanted_by else (RUNTIME, systemd.UNITS)
    there = files.read(f"{systemd.UNITS}/{unit}")
    if there is not None and not there.startswith(_HEADER):
        raise StrataError(f"{systemd.UNITS}/{unit} was written by somebody else", hint="Remove it, or rename it")
    changed = files.read(f"{folder}/{unit}") != text
    if changed:
        files.write(f"{folder}/{unit}", text)
    for by in wanted_by:
        changed = systemd.want(unit, by) or changed
    if not wanted_by:
        systemd.unwant(unit)
    if os.path.lexists(f"{other}/{unit}"):
        files.remove(f"{other}/{unit}")
        changed = True
    return changed


def drop(unit: str) -> None:
    """Take a unit away; what it made stays."""
    there = [folder for folder in (systemd.UNITS, RUNTIME) if read(unit, folder) is not None]
    if not there:
        return
    systemd.unwant(unit)
    for folder in there:
        files.remove(f"{folder}/{unit}")
    state = systemd.refresh(unit)[unit]
    if state != "inactive":
        # systemd remembers it, but nothing of what it would run when it stops.
        command.run(["systemctl", "stop", "--", unit], check=False)
        systemd.reset_failed(unit)


def restart(unit: str, timeout: float) -> None:
    """Have a unit make what it makes, whether it did before or not.

    Raises:
        StrataError: It failed; the message has its last words.
    """
    try:
        command.run(["systemctl", "restart", "--", unit], timeout=timeout)
    except StrataError as error:
        raise StrataError(_last_words(unit) or error.message) from None


def _last_words(unit: str) -> str:
    argv = ["journalctl", f"_SYSTEMD_UNIT={unit}", "_TRANSPORT=stdout", "--output=cat", "--lines=1", "--no-pager"]
    return command.run(argv, check=False).stdout.strip()
