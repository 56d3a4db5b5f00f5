# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit is held to: in systemd's words (systemd.resource-control(5)) and in the kernel's files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core import limits
from ..core.codec import CPU_PERIOD, MAX, parse_int
from . import cgroupfs, iolimits, systemd, unitlimits
from .unitlimits import Limit, span

DROP_IN = "50-strata-resources.conf"
"""The file of a unit that says what it is held to, and whose that is."""

Assigned = Mapping[str, Sequence[str]]
"""The values of directives, all of them, in order."""
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Control:
    """Where an option lives.

    Attributes:
        directives: The unit's own words.
        props: What ``systemctl show`` calls them, where a value can be had from it.
        files: The kernel's.
        read: From the words to the value; None where they are reset, ValueError where only systemd knows (``50%``).
        read_shown: From the properties.
        read_files: From the texts of the kernel's files; None where it has none.
        write: From the value to the words.
    """

    directives: tuple[str, ...]
    props: tuple[str, ...]
    files: tuple[str, ...]
    read: Callable[[Assigned], Any]
    read_shown: Callable[[Mapping[str, str]], Any]
    read_files: Callable[[Mapping[str, str]], Any]
    write: Callable[[Any], dict[str, list[str]]]


def _last(assigned: Assigned, directive: str) -> str:
    return (list(assigned.get(directive, ())) or [""])[-1]


def _single(limit: Limit) -> Control:
    """A directive with one value."""
    return Control(
        (limit.directive,),
        (limit.prop,),
        (limit.file,),
        lambda assigned: limit.parse(_last(assigned, limit.directive)),
        lambda shown: limit.parse_prop(shown[limit.prop]) if limit.prop in shown else None,
        lambda texts: limit.parse_file(texts[limit.file]) if limit.file in texts else None,
        lambda value: {limit.directive: [limit.write(value)]},
    )


def _or(default: Any, parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """The default where systemd says that nothing was set; CPUWeight= and others show 2^64-1 in old versions."""
    unset = ("", "[not set]", str(2**64 - 1))
    return lambda text: default if text in unset else parse(text)


def _memory(directive: str, file: str, default: int | str) -> Control:
    def parse(text: str) -> int | str:
        return MAX if text in (MAX, systemd.INFINITY) else limits.parse_amount(text)

    limit = Limit(
        directive,
        directive,
        file,
        lambda value: systemd.INFINITY if value == MAX else str(value),
        _or(default, parse),
        _or(default, parse),
        parse,
    )
    return _single(limit)


def _number_list(text: str) -> str:
    return limits.listed(limits.numbers(text.strip().replace(" ", ",")))


def _cpus(directive: str, file: str) -> Control:
    return _single(Limit(directive, directive, file, str, _number_list, _number_list, _number_list))


def _weight_file(texts: Mapping[str, str]) -> Any:
    if texts.get("cpu.idle") == "1":
        return limits.IDLE
    return int(texts["cpu.weight"]) if "cpu.weight" in texts else None


def _weight(text: str) -> int | str:
    return text if text == limits.IDLE else parse_int(text)


_CPU_WEIGHT = Control(
    ("CPUWeight",),
    ("CPUWeight",),
    ("cpu.weight", "cpu.idle"),
    lambda assigned: _or(limits.WEIGHT, _weight)(_last(assigned, "CPUWeight")),
    lambda shown: _or(limits.WEIGHT, _weight)(shown["CPUWeight"]) if "CPUWeight" in shown else None,
    _weight_file,
    lambda value: {"CPUWeight": [str(value)]},
)
_PERIOD = Limit(
    "CPUQuotaPeriodSec",
    "CPUQuotaPeriodUSec",
    "cpu.max",
    lambda usec: f"{usec}us",
    _or(CPU_PERIOD, span),
    lambda text: CPU_PERIOD if text == systemd.INFINITY else span(text),
    cgroupfs.read_cpu_period,
)
_IO_WEIGHT = Limit(
    "IOWeight",
    "IOWeight",
    "io.weight",
    str,
    _or(limits.WEIGHT, parse_int),
    _or(limits.WEIGHT, parse_int),
    iolimits.default_weight,
)

# One directive an option of a device.
_IO = {
    "read_bps": "IOReadBandwidthMax",
    "write_bps": "IOWriteBandwidthMax",
    "read_iops": "IOReadIOPSMax",
    "write_iops": "IOWriteIOPSMax",
    "weight": "IODeviceWeight",
    "latency": "IODeviceLatencyTargetSec",
}
_THOUSANDS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def _amount(text: str) -> int | str:
    """A bandwidth: units are powers of 1000 here (systemd.resource-control(5))."""
    if text == systemd.INFINITY:
        return MAX
    return round(float(text[:-1]) * _THOUSANDS[text[-1]]) if text[-1] in _THOUSANDS else int(text)


def _device_lines(assigned: Assigned, directive: str) -> Iterator[tuple[str, str]]:
    """What counts of a directive that gathers: everything after the last empty value."""
    lines = list(assigned.get(directive, ()))
    while "" in lines:
        del lines[: lines.index("") + 1]
    for line in lines:
        device, _blank, value = line.partition(" ")
        yield iolimits.known(device), value.strip()


def _read_io(assigned: Assigned) -> tuple[dict[str, Any], ...]:
    parse = {"weight": parse_int, "latency": span}
    rows: dict[str, dict[str, Any]] = {}
    for option, directive in _IO.items():
        for device, value in _device_lines(assigned, directive):
            rows.setdefault(device, {"device": device, **iolimits.FREE})[option] = parse.get(option, _amount)(value)
    return tuple(rows[device] for device in sorted(rows))


def _write_io(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """An empty value first, which takes away what other files gave."""
    words: dict[str, list[str]] = {directive: [""] for directive in _IO.values()}
    for row in rows:
        for option, directive in _IO.items():
            value = row.get(option, iolimits.FREE[option])
            if value != iolimits.FREE[option]:
                words[directive].append(f"{row['device']} {value}{'us' if option == 'latency' else ''}")
    return words


def _io_files(texts: Mapping[str, str]) -> Any:
    return iolimits.rows(*(texts.get(file, "") for file in ("io.max", "io.weight", "io.latency")))


_DEVICES = Control(
    tuple(_IO.values()), (), ("io.max", "io.weight", "io.latency"), _read_io, lambda shown: None, _io_files, _write_io
)

CONTROLS: dict[str, Control] = {
    "cpus": _single(unitlimits.CPUS),
    "cpu_period": _single(_PERIOD),
    "cpu_weight": _CPU_WEIGHT,
    "memory": _memory("MemoryMax", "memory.max", MAX),
    "memory_high": _memory("MemoryHigh", "memory.high", MAX),
    "memory_low": _memory("MemoryLow", "memory.low", 0),
    "memory_min": _memory("MemoryMin", "memory.min", 0),
    "memory_swap": _memory("MemorySwapMax", "memory.swap.max", MAX),
    "pids_limit": _single(unitlimits.PIDS),
    "io_weight": _single(_IO_WEIGHT),
    "io": _DEVICES,
    "cpuset_cpus": _cpus("AllowedCPUs", "cpuset.cpus"),
    "cpuset_mems": _cpus("AllowedMemoryNodes", "cpuset.mems"),
}
PROPS = [prop for control in CONTROLS.values() for prop in control.props]
FILES = frozenset(file for control in CONTROLS.values() for file in control.files)


def quota_as_told(shown: Mapping[str, str], text: str) -> bool:
    """Whether cpu.max is what systemd makes of its own properties, which are finer than a period's microseconds."""
    quota = CONTROLS["cpus"].read_shown(shown)
    period = CONTROLS["cpu_period"].read_shown(shown)
    return quota is not None and cgroupfs.write_cpu_max(quota, period or CPU_PERIOD) == text
