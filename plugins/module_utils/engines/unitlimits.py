# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits of a unit: systemd's words for them (systemd.resource-control(5)), and the kernel's files."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..core.codec import CPU_PERIOD, MAX, parse_cpus, parse_memory, parse_pids
from . import cgroupfs, systemd


@dataclass(frozen=True)
class Limit:
    """A limit: the directive of the unit, the property that systemd tells of it, and the kernel's file."""

    directive: str
    prop: str
    file: str
    write: Callable[[Any], str]
    parse: Callable[[str], Any]
    parse_prop: Callable[[str], Any]
    parse_file: Callable[[str], Any]


def _unlimited(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: MAX if text in ("", MAX, systemd.INFINITY) else parse(text)


def _or_infinity(value: Any) -> str:
    return systemd.INFINITY if value == MAX else str(value)


_SPANS = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


def span(text: str) -> int:
    """Microseconds of a time as systemd writes it, ``1min 1.500000s``; a bare number is seconds (systemd.time(7))."""
    parts = re.findall(r"([\d.]+)(us|ms|s|min|h|d)?(?![\w.])", text)
    return round(sum(float(number) * _SPANS[unit or "s"] for number, unit in parts))


def _quota(text: str) -> int:
    """Cpu time per second, to a quota per period."""
    return span(text) * CPU_PERIOD // 1_000_000


def _percent(text: str) -> int:
    return round(float(text.rstrip("%")) * CPU_PERIOD / 100)


def _write_cpus(quota: int | str) -> str:
    if isinstance(quota, str):
        return ""  # CPUQuota= knows no word for "no limit": an empty value resets it.
    whole, hundredths = divmod(quota // 10, 100)
    return f"{whole}.{hundredths:02d}%" if hundredths else f"{whole}%"


def exact_cpus(value: Any) -> int | str:
    """As ``parse_cpus``, floored to what CPUQuota= can say: hundredths of a percent."""
    quota = parse_cpus(value)
    return quota if isinstance(quota, str) else quota - quota % 10


_memory, _pids = _unlimited(parse_memory), _unlimited(parse_pids)

MEMORY = Limit("MemoryMax", "MemoryMax", "memory.max", _or_infinity, _memory, _memory, _memory)
CPUS = Limit(
    "CPUQuota",
    "CPUQuotaPerSecUSec",
    "cpu.max",
    _write_cpus,
    _unlimited(_percent),
    _unlimited(_quota),
    cgroupfs.read_cpu_max,
)
PIDS = Limit("TasksMax", "TasksMax", "pids.max", _or_infinity, _pids, _pids, _pids)
