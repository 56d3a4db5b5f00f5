# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in systemd's own syntax (systemd.syntax(7)): units, drop-ins, .nspawn.

Only what is set changes; comments, order, repeated keys and unknown sections stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class _Entry:
    """Some lines of the file: a header, an assignment with its continuation lines, or something that says nothing."""

    text: str
    section: str
    key: str = ""
    value: str = ""


def _logical_lines(text: str) -> Iterator[str]:
    """Lines, each with the ones that continue it; comments in between belong to it, too."""
    gathered = ""
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        comment = bare.startswith(("#", ";"))
        gathered += line
        if (gathered != line and comment) or (bare.endswith("\\") and not comment):
            continue
        yield gathered
        gathered = ""
    if gathered:
        yield gathered


def _joined(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if not line.startswith(("#", ";"))]
    return " ".join(line[:-1].strip() if line.endswith("\\") else line for line in lines).strip()


class UnitFile:
    """The content of one file."""

    def __init__(self, text: str = "") -> None:
        self._entries: list[_Entry] = []
        section = ""
        for lines in _logical_lines(text):
            said = _joined(lines)
            if said.startswith("[") and said.endswith("]"):
                section = said[1:-1]
                self._entries.append(_Entry(lines, section))
            else:
                key, equals, value = said.partition("=")
                self._entries.append(_Entry(lines, section, key.strip() if equals else "", value.strip()))

    @property
    def text(self) -> str:
        return "".join(entry.text for entry in self._entries)

    def assigned(self) -> list[tuple[str, str]]:
        """The sections and keys that are assigned, in order, each once."""
        return list(dict.fromkeys((entry.section, entry.key) for entry in self._entries if entry.key))

    def all(self, section: str, key: str) -> list[str]:
        """Every value assigned to a key, in order."""
        return [entry.value for entry in self._entries if (entry.section, entry.key) == (section, key)]

    def last(self, section: str, key: str) -> str | None:
        """The value that counts for a key that takes one: the last. None where it is not assigned, or reset."""
        values = self.all(section, key)
        return values[-1] or None if values else None

    def set(self, section: str, key: str, values: Sequence[str]) -> None:
        """Assign exactly these values, in the place of those that there were; none at all takes the key away."""
        if self.all(section, key) == list(values):
            return
        fresh = [_Entry(f"{key}={value}\n", section, key, value) for value in values]
        mine = [place for place, entry in enumerate(self._entries) if (entry.section, entry.key) == (section, key)]
        place = mine[0] if mine else self._end(section)
        self._entries = [entry for index, entry in enumerate(self._entries) if index not in mine]
        self._entries[place:place] = fresh

    def _end(self, section: str) -> int:
        """Where a section's next assignment goes; the section is made at the end of the file where there is none."""
        if self._entries and not self._entries[-1].text.endswith("\n"):
            last = self._entries[-1]
            self._entries[-1] = _Entry(last.text + "\n", last.section, last.key, last.value)
        said = [i for i, entry in enumerate(self._entries) if entry.section == section and entry.text.strip()]
        if said:
            return said[-1] + 1
        blank = "\n" if self._entries and self._entries[-1].text.strip() else ""
        self._entries.append(_Entry(f"{blank}[{section}]\n", section))
        return len(self._entries)
