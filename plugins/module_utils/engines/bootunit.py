# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's services that make something again at boot, where nothing keeps it (systemd.service(5))."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from ..core import command, files
from ..core.errors import StrataError
from . import systemd
from .unitfile import UnitFile

RUNTIME = "/run/systemd/system"
"""Where units are that the next boot doesn't know (systemd.unit(5))."""

_WANTS = f"{systemd.UNITS}/multi-user.target.wants"
_HEADER = "# Written by strata.virt.\n"


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


def read(unit: str, folder: str = systemd.UNITS) -> UnitFile | None:
    """A unit of ours, its specifiers taken back; None where there is none."""
    text = files.read(f"{folder}/{unit}")
    return UnitFile(text.replace("%%", "%")) if text is not None and text.startswith(_HEADER) else None


def enabled(unit: str) -> bool:
    return os.path.lexists(f"{_WANTS}/{unit}")


def names(prefix: str) -> list[str]:
    """What stands for the name in the units that are stored for the next boot."""
    try:
        units = os.listdir(systemd.UNITS)
    except OSError:
        return []
    return [
        unit[len(prefix) : -len(".service")] for unit in units if unit.startswith(prefix) and unit.endswith(".service")
    ]


def store(unit: str, text: str) -> None:
    """Have a unit started at every boot; what is there now stays as it is."""
    if write(unit, text):
        systemd.reload()


def write(unit: str, text: str, *, boot: bool = True) -> bool:
    """Write a unit, for every boot or until the next one; whether systemd is to read it.

    Raises:
        StrataError: systemd doesn't run this host, or a unit of that name is somebody else's.
    """
    systemd.need()
    folder, other = (systemd.UNITS, RUNTIME) if boot else (RUNTIME, systemd.UNITS)
    there = files.read(f"{systemd.UNITS}/{unit}")
    if there is not None and not there.startswith(_HEADER):
        raise StrataError(f"{systemd.UNITS}/{unit} was written by somebody else", hint="Remove it, or rename it")
    changed = files.read(f"{folder}/{unit}") != text
    if changed:
        files.write(f"{folder}/{unit}", text)
    if boot and not enabled(unit):  # what `systemctl enable` does, without having systemd read all units each time
        os.makedirs(_WANTS, exist_ok=True)
        os.symlink(f"{systemd.UNITS}/{unit}", f"{_WANTS}/{unit}")
        changed = True
    if not boot:
        files.remove(f"{_WANTS}/{unit}")
    if os.path.lexists(f"{other}/{unit}"):
        files.remove(f"{other}/{unit}")
        changed = True
    return changed


def drop(unit: str) -> None:
    """Take a unit away; what it made stays."""
    there = [folder for folder in (systemd.UNITS, RUNTIME) if read(unit, folder) is not None]
    if not there:
        return
    files.remove(f"{_WANTS}/{unit}")
    for folder in there:
        files.remove(f"{folder}/{unit}")
    systemd.reload()
    # Where it was active, systemd remembers it, but nothing of what it would run when it stops.
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
