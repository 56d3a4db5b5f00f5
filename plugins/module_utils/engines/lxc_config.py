# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""LXC's configuration files: read as LXC reads them, patched so that everything else stays as it was.

A file is an ordered list of lines. A key may be repeated; of most keys the last line counts, some are lists. An empty
value takes back what was said so far, of the key and of the keys below it. ``lxc.include`` puts other files in its
place (LXC: src/lxc/parse.c, src/lxc/confile.c; lxc.container.conf(5)).
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..core import files

OWNER = "# strata.virt: owner="
"""The comment that says whose a container is."""

INCLUDE = "lxc.include"
NET = "lxc.net"
_DEEPEST = 10  # files that include each other

# Keys of which every line counts.
_REPEATED = re.compile(
    r"lxc\.(include|cap\.(drop|keep)|mount\.(entry|auto)|environment(\.\w+)?|idmap|group|apparmor\.raw|hook\.[\w-]+"
    r"|cgroup2?\.devices\.(allow|deny)|net\.\d+\.(ipv[46]\.(address|routes?)|veth\.(ipv[46]\.route|vlan\.tagged\.id)))"
)
_INTERFACE = re.compile(r"lxc\.net\.(\d+)\.(.+)")


@functools.cache
def repeated(key: str) -> bool:
    """Whether every line of a key counts, not only the last."""
    return _REPEATED.fullmatch(key) is not None


@dataclass(frozen=True)
class Line:
    """One line as it stands, and what it says; ``key`` is empty where it says nothing."""

    text: str
    key: str = ""
    value: str = ""


def parse_line(text: str) -> Line:
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key.startswith("lxc."):
        return Line(text)  # comments, blank lines, and what LXC doesn't look at
    if len(value) > 1 and value[0] in "'\"" and value[0] == value[-1]:
        value = value[1:-1]
    return Line(text, key, value)


def said(key: str, value: str) -> Line:
    return Line(f"{key} = {value}".rstrip(), key, value)


def includes(path: str) -> list[str]:
    """The files that an ``lxc.include`` of this path stands for."""
    if not os.path.isdir(path):
        return [path]
    names = sorted(name for name in os.listdir(path) if name.endswith(".conf") and not name.startswith("."))
    return [f"{path}/{name}" for name in names]


def expanded(lines: Iterable[Line], depth: int = 0) -> Iterator[Line]:
    """Lines with the included files in the place of ``lxc.include``."""
    for line in lines:
        if line.key == INCLUDE and line.value and depth < _DEEPEST:
            for path in includes(line.value):
                yield from expanded(_included(path), depth + 1)
        elif line.key:
            yield line


def _included(path: str) -> tuple[Line, ...]:
    """The lines of a file; every container includes the same few, so that each is read once while it stays as it is."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return _parsed(path, found.st_ino, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=256)
def _parsed(path: str, *_version: int) -> tuple[Line, ...]:
    return tuple(parse_line(one) for one in (files.read(path) or "").splitlines())


def effective(lines: Iterable[Line]) -> dict[str, list[str]]:
    """What counts in the end: the values of each key, in order."""
    values: dict[str, list[str]] = {}
    for line in lines:
        if line.value:
            values.setdefault(line.key, []).append(line.value)
            continue
        for key in [key for key in values if key == line.key or key.startswith(f"{line.key}.")]:
            del values[key]
    return values


class Config:
    """One configuration file."""

    def __init__(self, text: str) -> None:
        self.lines = [parse_line(line) for line in text.splitlines()]
        self._known: tuple[list[Line], dict[str, list[str]], dict[str, list[str]]] = ([], {}, {})

    @property
    def text(self) -> str:
        return "".join(f"{line.text}\n" for line in self.lines)

    def values(self) -> dict[str, list[str]]:
        """What counts, with what is included."""
        return self._counting()[1]

    def _counting(self) -> tuple[list[Line], dict[str, list[str]], dict[str, list[str]]]:
        """The lines, what counts of them with what is included, and without: asked for once an option, found once."""
        if self._known[0] != self.lines:
            own = effective(line for line in self.lines if line.key)
            self._known = list(self.lines), effective(expanded(self.lines)), own
        return self._known

    def own(self) -> dict[str, list[str]]:
        """What the file itself says."""
        return self._counting()[2]

    def get(self, key: str) -> str | None:
        """The value that counts; of a list, the lines that the file itself has, one a line."""
        if repeated(key):
            found = self.own().get(key)
            return "\n".join(found) if found else None
        found = self.values().get(key)
        return found[-1] if found else None

    def settings(self) -> dict[str, str]:
        """``get`` of every key."""
        own = {key: "\n".join(lines) for key, lines in self.own().items() if repeated(key)}
        return {**{key: lines[-1] for key, lines in self.values().items() if not repeated(key)}, **own}

    def comment(self, prefix: str) -> str | None:
        """What follows a prefix in the first comment that begins with it."""
        for line in self.lines:
            if line.text.startswith(prefix):
                return line.text[len(prefix) :].strip()
        return None

    def set_comment(self, prefix: str, value: str, *, instead_of: Sequence[str] = ()) -> None:
        """Have one comment begin with a prefix, in the first line."""
        gone = (prefix, *instead_of)
        self.lines = [line for line in self.lines if not line.text.startswith(gone)]
        self.lines.insert(0, Line(f"{prefix}{value}"))

    # Patching.

    def _replace(self, key: str, values: Sequence[str]) -> None:
        """Put values where the last line of the key is, or at the end, and no other line of the key."""
        places = [place for place, line in enumerate(self.lines) if line.key == key]
        at = places[-1] - (len(places) - 1) if places else len(self.lines)
        self.lines = [line for line in self.lines if line.key != key]
        self.lines[at:at] = [said(key, value) for value in values]

    def put_first(self, key: str, value: str) -> None:
        """Put a line behind the last one of its key, or where there is none, before all that says anything."""
        places = [place + 1 for place, line in enumerate(self.lines) if line.key == key]
        first = next((place for place, line in enumerate(self.lines) if line.key), len(self.lines))
        self.lines.insert(places[-1] if places else first, said(key, value))

    def put(self, key: str, value: str | None) -> None:
        """Have a value count, or none; of a list, the lines that the file itself has, one a line."""
        if repeated(key):
            self._replace(key, value.split("\n") if value else [])
            return
        self._replace(key, [] if value is None else [value])
        if self.get(key) != value:  # an included file says otherwise, and later
            self._replace(key, [])
            self.lines.append(said(key, value or ""))

    def put_words(self, key: str, words: Sequence[str]) -> None:
        """Have exactly these words count, over all lines of a list of words and over what is included."""
        lines = self.lines
        self._replace(key, [])
        if self.words(key) == set(words):  # by what is included alone
            return
        rest, self.lines = self.lines, lines
        self._replace(key, [" ".join(words)] if words else [])
        if self.words(key) != set(words):
            self.lines = [*rest, said(key, ""), *([said(key, " ".join(words))] if words else [])]

    def words(self, key: str) -> set[str]:
        """The words of all lines of a key that count."""
        return {word for value in self.values().get(key, []) for word in value.split()}

    # Network interfaces: lxc.net.INDEX.KEY.

    def interfaces(self) -> list[dict[str, list[str]]]:
        """The interfaces that count, in order, each with the values of its keys."""
        return [found for _index, found in _interfaces(self.values())]

    def indexes(self) -> list[int]:
        return [index for index, _found in _interfaces(self.values())]

    def put_interfaces(self, wanted: Sequence[Mapping[str, Sequence[str]]]) -> None:
        """Have exactly these interfaces, in this order.

        An interface that is there already, by its name, by its type and link, or else by its place, keeps the keys
        that are not given. Keys that are given without a value are taken away.
        """
        had = _interfaces(self.values())
        kept: list[dict[str, list[str]]] = []
        for found in _matched([found for _index, found in had], wanted):
            kept.append(dict(found))
        for entry, row in zip(kept, wanted):
            for key, values in row.items():
                entry.pop(key, None)
                if values:
                    entry[key] = list(values)
        first = next((place for place, line in enumerate(self.lines) if _of_net(line.key)), len(self.lines))
        self.lines = [line for line in self.lines if not _of_net(line.key)]
        ours = [
            said(f"{NET}.{index}.{key}", value)
            for index, entry in enumerate(kept)
            for key, values in sorted(entry.items(), key=lambda item: item[0] != "type")  # the type comes first
            for value in values
        ]
        rest = list(self.lines)
        self.lines[first:first] = ours
        if [found for _index, found in _interfaces(self.values())] != kept:  # an included file has some, too
            self.lines = [*rest, said(NET, ""), *ours]


def _of_net(key: str) -> bool:
    return key == NET or _INTERFACE.fullmatch(key) is not None


def _interfaces(values: Mapping[str, list[str]]) -> list[tuple[int, dict[str, list[str]]]]:
    found: dict[int, dict[str, list[str]]] = {}
    for key, lines in values.items():
        match = _INTERFACE.fullmatch(key)
        if match:
            found.setdefault(int(match[1]), {})[match[2]] = list(lines)
    return sorted(found.items())


def _matched(
    had: Sequence[Mapping[str, list[str]]], wanted: Sequence[Mapping[str, Sequence[str]]]
) -> list[Mapping[str, list[str]]]:
    """For each wanted interface the one that it was so far, empty where it is new."""
    found: dict[int, int] = {}
    for keys in (("name",), ("type", "link"), ("link",), ()):
        for place, row in enumerate(wanted):
            if place in found or any(not row.get(key) for key in keys):
                continue
            for other, entry in enumerate(had):
                same = all(entry.get(key, [""])[-1] == row[key][-1] for key in keys) if keys else other == place
                if same and other not in found.values():
                    found[place] = other
                    break
    return [had[found[place]] if place in found else {} for place in range(len(wanted))]
