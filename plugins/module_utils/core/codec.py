# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How values are read, normalised and printed.

A codec turns what a user or an engine says into one canonical value, so that two spellings of the
same thing compare equal, and prints it back in a form that it reads again: ``parse(show(x)) == x``.
``parse`` raises ValueError with a reason that a user understands.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

MAX = "max"
"""No limit, as the files of cgroup v2 spell it (Documentation/admin-guide/cgroup-v2.rst)."""

CPU_PERIOD = 100_000
"""The kernel's default period of cpu.max, in microseconds."""

_CPU_QUOTA_LEAST = 1_000  # kernel/sched/core.c: min_cfs_quota_period, 1 ms


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Codec:
    """One type of value.

    Attributes:
        type: The Ansible type of the option.
        parse: Anything a user or an engine says, to the canonical value.
        show: The canonical value, printable.
        elements: The Ansible type of a list's elements.
        partial: A mapping of which only the given keys are managed; a key's value None takes it away.
        row: For tables and structures, the Fields of a row.
        single: A structure: one row, not a list of them.
        key: For tables, the natural key of a canonical row; None: its place in the list.
    """

    parse: Callable[[Any], Any]
    type: str = "str"
    show: Callable[[Any], Any] = _same
    elements: str | None = None
    partial: bool = False
    row: tuple[Any, ...] = ()
    single: bool = False
    key: Callable[[Mapping[str, Any]], str] | None = None


_UNITS = {unit: 1024**power for power, unit in enumerate("bkmgtpe")}


def parse_size(value: Any) -> int | str:
    """Bytes from ``512m``, ``1G``, ``1GiB``, ``1.5g``, a number, or ``max``; units are powers of 1024."""
    text = str(value).strip().lower()
    if text == MAX:
        return MAX
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([bkmgtpe]?)(?:i?b)?", text)
    if found is None:
        raise ValueError("is no size: write a number with a unit of b, k, m, g, t or p, such as 512M or 1G, or max")
    return int(Decimal(found.group(1)) * _UNITS[found.group(2) or "b"])


def parse_memory(value: Any) -> int | str:
    """Bytes floored to a page, as the kernel stores memory limits (mm/page_counter.c)."""
    size = parse_size(value)
    if isinstance(size, str):
        return size
    if size < mmap.PAGESIZE:
        raise ValueError(f"is less than one page ({mmap.PAGESIZE} bytes)")
    return size - size % mmap.PAGESIZE


def show_size(size: int | str) -> str:
    """The largest unit that keeps the value exact."""
    if isinstance(size, str):
        return size
    for unit in "PTGMK":
        step = _UNITS[unit.lower()]
        if size >= step and size % step == 0:
            return f"{size // step}{unit}"
    return str(size)


def parse_cpus(value: Any) -> int | str:
    """The cpu.max quota, in microseconds per period of 100 ms, from a number of cpus or ``max``."""
    if str(value).strip().lower() == MAX:
        return MAX
    try:
        quota = int(Decimal(str(value)) * CPU_PERIOD)
    except (InvalidOperation, OverflowError, ValueError):
        raise ValueError("is no number of cpus: write a number such as 2 or 0.5, or max") from None
    if quota < _CPU_QUOTA_LEAST:
        raise ValueError("must be at least 0.01 cpus")
    return quota


def show_cpus(quota: int | str) -> float | str:
    return quota if isinstance(quota, str) else quota / CPU_PERIOD


def parse_pids(value: Any) -> int | str:
    """A number of processes and threads from 1 up, or ``max``."""
    if str(value).strip().lower() == MAX:
        return MAX
    number = parse_int(value)
    if number < 1:
        raise ValueError("must be 1 or more, or max")
    return number


def parse_int(value: Any) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ValueError("is no whole number") from None


def parse_bool(value: Any) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    try:
        return words[str(value).lower()]
    except KeyError:
        raise ValueError("is neither true nor false") from None


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def parse_name(value: Any) -> str:
    """A name that is safe in file names, unit names and on every engine's command line."""
    text = str(value)
    if not text:
        raise ValueError("must not be empty")
    if not _NAME.fullmatch(text) or ".." in text or len(text) > 200:
        raise ValueError(
            "is no valid name: use letters, digits, '_', '.' and '-', begin with a letter or digit, without '..' or '/'"
        )
    return text


def parse_path(value: Any) -> str:
    """An absolute path without ``..``, without doubled or trailing slashes."""
    text = str(value)
    if not text.startswith("/"):
        raise ValueError("must be an absolute path")
    if "\0" in text or "\n" in text or ".." in text.split("/"):
        raise ValueError("must not hold '..', NUL or a newline")
    return re.sub(r"/+", "/", text).rstrip("/") or "/"


def parse_line(value: Any) -> str:
    """One line of text: configuration files of engines are read by the line."""
    text = str(value)
    if "\n" in text or "\0" in text:
        raise ValueError("must be a single line")
    return text


def parse_seconds(value: Any) -> int:
    """Seconds from a number or from ``30s``, ``5m``, ``1h30m``."""
    text = str(value).strip().lower()
    if re.fullmatch(r"\d+", text):
        return int(text)
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if parts is None or not text:
        raise ValueError("is no duration: write seconds, or 30s, 5m, 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    return hours * 3600 + minutes * 60 + seconds


_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def parse_mac(value: Any) -> str:
    text = str(value).lower().replace("-", ":")
    if not _MAC.fullmatch(text):
        raise ValueError("is no MAC address: write six pairs such as 52:54:00:12:34:56")
    return text


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(parse_line(value) for value in _items(values))


def parse_map(value: Mapping[Any, Any]) -> dict[str, Any]:
    """Text to text; None stands for a key that is to go."""
    return {str(key): None if item is None else str(item) for key, item in dict(value).items()}


TEXT = Codec(str)
LINE = Codec(parse_line)
NAME = Codec(parse_name)
PATH = Codec(parse_path)
INT = Codec(parse_int, "int")
BOOL = Codec(parse_bool, "bool")
SIZE = Codec(parse_size, show=show_size)
MEMORY = Codec(parse_memory, show=show_size)
CPUS = Codec(parse_cpus, show=show_cpus)
PIDS = Codec(parse_pids)
SECONDS = Codec(parse_seconds)
MAC = Codec(parse_mac)
TEXTS = Codec(_texts, "list", list, "str")
"""An ordered list of lines."""
WORDS = Codec(lambda values: tuple(sorted(set(_texts(values)))), "list", list, "str")
"""A set of lines: order and repetition carry no meaning."""
MAP = Codec(parse_map, "dict", dict)
"""A mapping that is enforced whole."""
SETTINGS = Codec(parse_map, "dict", dict, partial=True)
"""A mapping of which only the given keys are managed."""
