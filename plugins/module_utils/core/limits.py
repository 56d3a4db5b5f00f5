# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits that mean the same everywhere, whatever they limit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from .codec import CPU_PERIOD, CPUS, MAX, MEMORY, PATH, PIDS, Codec, parse_int, parse_memory, parse_size, show_size
from .field import Field, table
from .plan import Effect

IDLE = "idle"
DEFAULT = "default"
WEIGHT = 100
"""The kernel's own weight of cpu and io (cgroup-v2.rst, "Weights")."""


LEAST_QUOTA = 1_000
"""The least cpu time in each period, in microseconds (kernel/sched/core.c: min_cfs_quota_period)."""


def memory(at: Any = None, effect: Effect = Effect.LIVE) -> Field:
    """The most memory, in bytes; without swap, as in cgroup v2's memory.max."""
    return Field("memory", MEMORY, at, effect, default=MAX)


def cpus(at: Any = None, effect: Effect = Effect.LIVE) -> Field:
    """The most cpu time per time, in cpus."""
    return Field("cpus", CPUS, at, effect, default=MAX)


def pids_limit(at: Any = None, effect: Effect = Effect.LIVE) -> Field:
    """The most processes and threads."""
    return Field("pids_limit", PIDS, at, effect, default=MAX)


# Values that only control groups and units know.

_SPANS = {"us": 1, "ms": 1_000, "s": 1_000_000}


def parse_span(value: Any) -> int:
    """Microseconds from ``100ms``, ``250us``, ``1s``; a number alone is microseconds."""
    found = re.fullmatch(r"(\d+)(us|ms|s)?", str(value).strip().lower())
    if found is None:
        raise ValueError("is no time: write a number with us, ms or s, such as 20ms")
    return int(found.group(1)) * _SPANS[found.group(2) or "us"]


def show_span(usec: int) -> str:
    for unit, size in (("s", 1_000_000), ("ms", 1_000)):
        if usec and usec % size == 0:
            return f"{usec // size}{unit}"
    return f"{usec}us"


def _parse_period(value: Any) -> int:
    usec = parse_span(value)
    if not 1_000 <= usec <= 1_000_000:  # kernel/sched/core.c: min_cfs_quota_period, max_cfs_quota_period
        raise ValueError("must be from 1ms to 1s")
    return usec


def _parse_weight(value: Any) -> int:
    number = parse_int(value)
    if not 1 <= number <= 10_000:  # linux: CGROUP_WEIGHT_MIN, CGROUP_WEIGHT_MAX
        raise ValueError("must be from 1 to 10000")
    return number


def _weight_or(word: str) -> Codec:
    return Codec(lambda value: word if str(value) == word else _parse_weight(value))


def parse_amount(value: Any) -> int | str:
    """As ``parse_memory``, where nothing at all is an amount, too."""
    return 0 if parse_size(value) == 0 else parse_memory(value)


def _parse_rate(value: Any) -> int | str:
    size = parse_size(value)
    if size == 0:
        raise ValueError("must be 1 or more, or max")
    return size


def numbers(text: str) -> set[int]:
    """The numbers of a list such as ``0-3,8`` (cpuset(7), "List format")."""
    found: set[int] = set()
    for part in filter(None, text.replace(" ", "").split(",")):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or int(last or first) < int(first):
            raise ValueError("is no list of numbers: write one such as 0-3,8")
        if int(last or first) > 65_535:
            raise ValueError(f"holds {last or first}, which no host has")
        found.update(range(int(first), int(last or first) + 1))
    return found


def listed(found: Iterable[int]) -> str:
    """A set of numbers as the shortest list."""
    runs: list[list[int]] = []
    for number in sorted(found):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


AMOUNT = Codec(parse_amount, show=show_size)
SPAN = Codec(parse_span, show=show_span)
RATE = Codec(_parse_rate, show=show_size)
NUMBERS = Codec(lambda value: listed(numbers(str(value))))

IO_ROW = (
    Field("device", PATH, required=True),
    Field("read_bps", RATE, default=MAX),
    Field("write_bps", RATE, default=MAX),
    Field("read_iops", PIDS, default=MAX),
    Field("write_iops", PIDS, default=MAX),
    Field("weight", _weight_or(DEFAULT), default=DEFAULT),
    Field("latency", SPAN, default=0),
)

_CONTROLS = (
    cpus(),
    Field("cpu_period", Codec(_parse_period, show=show_span), default=CPU_PERIOD),
    Field("cpu_burst", SPAN, default=0),
    Field("cpu_weight", _weight_or(IDLE), default=WEIGHT),
    memory(),
    Field("memory_high", MEMORY, default=MAX),
    Field("memory_low", AMOUNT, default=0),
    Field("memory_min", AMOUNT, default=0),
    Field("memory_swap", AMOUNT, default=MAX),
    pids_limit(),
    Field("io_weight", Codec(_parse_weight, "int"), default=WEIGHT),
    Field("io", table(*IO_ROW, key=lambda row: str(row["device"])), default=()),
    Field("cpuset_cpus", NUMBERS, default=""),
    Field("cpuset_mems", NUMBERS, default=""),
)


def controls(at: Mapping[str, Any]) -> tuple[Field, ...]:
    """Everything that a control group can be held to, as far as the kind has a place for it."""
    return tuple(replace(field, at=at[field.name], effect=Effect.LIVE) for field in _CONTROLS if field.name in at)
