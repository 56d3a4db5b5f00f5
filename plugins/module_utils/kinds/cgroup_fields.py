# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of cgroup that live in control files, and how a file's text and a canonical value become each other.

What is read from the kernel and what a unit writes at boot is the same text, so both are read by the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.codec import BOOL, CPU_PERIOD, MAX, TEXT, Codec, parse_name, parse_pids, parse_size, show_size
from ..core.field import Field
from ..core.limits import IDLE, NUMBERS, listed, numbers, parse_amount
from ..core.limits import controls as shared
from ..core.plan import Effect
from ..engines import cgroupfs, iolimits

Texts = Mapping[str, str]
Values = Mapping[str, Any]
Write = tuple[str, str]


@dataclass(frozen=True)
class Knob:
    """Where an option lives.

    Attributes:
        file: The control file; ``hugetlb.*`` for one a size.
        read: The texts of a group's control files to the canonical value; None where they don't say.
        write: The name of the option, the values that there are, and those that there are to be: what to write, in
            which order. The first word of a text may be a device's name.
    """

    file: str
    read: Callable[[Texts], Any]
    write: Callable[[str, Values, Values], Iterable[Write]]

    @property
    def controller(self) -> str:
        return self.file.partition(".")[0]


def _knob(file: str, parse: Callable[[str], Any], show: Callable[[Any], str] = str) -> Knob:
    """A file with one value."""

    def read(texts: Texts) -> Any:
        return parse(texts[file]) if file in texts else None

    return Knob(file, read, lambda option, _had, whole: [(file, show(whole[option]))])


def _number(text: str) -> int | str:
    return text if text == MAX else int(text)


def _flag(file: str) -> Knob:
    return _knob(file, lambda text: text == "1", lambda value: str(int(value)))


def _numbers(file: str) -> Knob:
    return _knob(file, lambda text: listed(numbers(text)))


# cpu


def _cpu_knob(file: str, parse: Callable[[str], Any]) -> Knob:
    return Knob(file, _knob(file, parse).read, _write_cpu)


def _write_cpu(_option: str, had: Values, whole: Values) -> Iterator[Write]:
    """The burst is never more than the quota (kernel/sched/core.c: tg_set_cfs_bandwidth), so it steps aside first."""
    burst = whole.get("cpu_burst")
    if had.get("cpu_burst"):
        yield "cpu.max.burst", "0"
    yield "cpu.max", cgroupfs.write_cpu_max(whole.get("cpus") or MAX, whole.get("cpu_period") or CPU_PERIOD)
    if burst:
        yield "cpu.max.burst", str(burst)


def _read_weight(texts: Texts) -> Any:
    # A group that is idle shows a weight of 0 (kernel/sched/core.c: cpu_weight_read_u64).
    if "1" in (texts.get("cpu.idle"), "0" if texts.get("cpu.weight") != "0" else "1"):
        return IDLE
    return int(texts["cpu.weight"]) if "cpu.weight" in texts else None


def _write_weight(_option: str, had: Values, whole: Values) -> Iterator[Write]:
    if whole["cpu_weight"] == IDLE:
        yield "cpu.idle", "1"
        return
    if had.get("cpu_weight") == IDLE:
        yield "cpu.idle", "0"
    yield "cpu.weight", str(whole["cpu_weight"])


# io


def _read_io(texts: Texts) -> Any:
    files = [texts.get(file) for file in ("io.max", "io.weight", "io.latency")]
    return None if files == [None] * 3 else iolimits.rows(*(text or "" for text in files))


def _write_io(_option: str, had: Values, whole: Values) -> Iterable[Write]:
    return iolimits.writes(had.get("io") or (), whole["io"])


def _read_io_weight(texts: Texts) -> Any:
    text = texts.get("io.weight", "")
    return iolimits.default_weight(text) if "default" in text else None


# What has keys: pages of a size, kinds of a scarce thing, devices of RDMA. A key without a limit is None.


def _said(value: int | None) -> str:
    return MAX if value is None else str(value)


def _pages(name: Any) -> str:
    """A page size as the kernel names its files (mm/hugetlb_cgroup.c: mem_fmt): 64KB, 2MB, 1GB."""
    size = parse_size(name)
    if not isinstance(size, int) or size == 0 or size & (size - 1):
        raise ValueError(f"{name!r} is no page size: write one such as 2M or 1G")
    return f"{show_size(size)}B"


def _parse_hugetlb(values: Mapping[Any, Any]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for key, value in values.items():
        name = _pages(key)
        page = int(parse_size(name))
        limit = MAX if value is None else parse_amount(value)
        parsed[name] = None if isinstance(limit, str) else limit - limit % page
    return parsed


def _show_hugetlb(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name[:-1]: MAX if value is None else show_size(value) for name, value in values.items()}


def _read_hugetlb(texts: Texts) -> Any:
    files = (file.split(".") for file in texts if file.startswith("hugetlb."))
    sizes = [words[1] for words in files if len(words) == 3 and words[2] == "max"]
    found = {size: texts[f"hugetlb.{size}.max"] for size in sizes}
    return {name: _number(text) for name, text in found.items()} or None


def _write_hugetlb(_option: str, _had: Values, whole: Values) -> Iterator[Write]:
    for name, value in whole["hugetlb"].items():
        yield f"hugetlb.{name}.max", _said(value)


def _count(value: Any) -> int | None:
    limit = MAX if value is None else 0 if str(value) == "0" else parse_pids(value)
    return None if isinstance(limit, str) else limit


def _parse_misc(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {parse_name(key): _count(value) for key, value in values.items()}


def _read_misc(texts: Texts) -> Any:
    if "misc.max" not in texts:
        return None
    return {name: _number(text) for name, text in (line.split() for line in texts["misc.max"].splitlines())}


def _write_misc(_option: str, _had: Values, whole: Values) -> Iterator[Write]:
    for name, value in whole["misc"].items():
        yield "misc.max", f"{name} {_said(value)}"


_RDMA = ("hca_handle", "hca_object")


def _parse_rdma(values: Mapping[Any, Any]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for device, limits in values.items():
        if limits is not None and not isinstance(limits, Mapping):
            raise ValueError("is a mapping for each device: write {mlx5_0: {hca_handle: 2}}")
        for key in _RDMA if limits is None else limits:
            if key not in _RDMA:
                raise ValueError(f"knows no {key!r}: limits are {' and '.join(_RDMA)}")
            parsed[f"{parse_name(device)}.{key}"] = _count(None if limits is None else limits[key])
    return parsed


def _show_rdma(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        device, _dot, key = name.rpartition(".")
        nested.setdefault(device, {})[key] = value
    return nested


def _read_rdma(texts: Texts) -> Any:
    if "rdma.max" not in texts:
        return None
    lines = iolimits.keyed(texts["rdma.max"])
    return {f"{device}.{key}": _number(value) for device, values in lines for key, value in values.items()}


def _write_rdma(_option: str, _had: Values, whole: Values) -> Iterator[Write]:
    for device, limits in _show_rdma(whole["rdma"]).items():
        yield "rdma.max", " ".join([device, *(f"{key}={_said(value)}" for key, value in limits.items())])


FIELDS = (
    *shared(
        {
            "cpus": _cpu_knob("cpu.max", cgroupfs.read_cpu_max),
            "cpu_period": _cpu_knob("cpu.max", cgroupfs.read_cpu_period),
            "cpu_burst": _cpu_knob("cpu.max.burst", int),
            "cpu_weight": Knob("cpu.weight", _read_weight, _write_weight),
            "memory": _knob("memory.max", _number),
            "memory_high": _knob("memory.high", _number),
            "memory_low": _knob("memory.low", _number),
            "memory_min": _knob("memory.min", _number),
            "memory_swap": _knob("memory.swap.max", _number),
            "pids_limit": _knob("pids.max", _number),
            "io_weight": Knob("io.weight", _read_io_weight, lambda o, _h, w: [("io.weight", f"default {w[o]}")]),
            "io": Knob("io.max", _read_io, _write_io),
            "cpuset_cpus": _numbers("cpuset.cpus"),
            "cpuset_mems": _numbers("cpuset.mems"),
        }
    ),
    Field("cpuset_exclusive", NUMBERS, _numbers("cpuset.cpus.exclusive"), Effect.LIVE, default=""),
    Field(
        "cpuset_partition",
        TEXT,
        _knob("cpuset.cpus.partition", str),
        Effect.LIVE,
        default="member",
        choices=("member", "root", "isolated"),
    ),
    Field("oom_group", BOOL, _flag("memory.oom.group"), Effect.LIVE, default=False),
    Field(
        "hugetlb",
        Codec(_parse_hugetlb, "dict", _show_hugetlb, partial=True),
        Knob("hugetlb.*", _read_hugetlb, _write_hugetlb),
        Effect.LIVE,
        default={},
    ),
    Field(
        "misc",
        Codec(_parse_misc, "dict", dict, partial=True),
        Knob("misc.max", _read_misc, _write_misc),
        Effect.LIVE,
        default={},
    ),
    Field(
        "rdma",
        Codec(_parse_rdma, "dict", _show_rdma, partial=True),
        Knob("rdma.max", _read_rdma, _write_rdma),
        Effect.LIVE,
        default={},
    ),
    Field("frozen", BOOL, _flag("cgroup.freeze"), Effect.LIVE, default=False),
)
FILES = frozenset({*(field.at.file for field in FIELDS), "cpu.idle", "io.latency"})

_KEYED = ("hugetlb", "misc", "rdma")
_NO_CONTROLLER = "cgroup"
"""The part of a control file's name that says: every group has it."""


def read(texts: Texts) -> dict[str, Any]:
    """The values that control files say, by option; what is not limited by key is left out."""
    found = {field.name: field.at.read(texts) for field in FIELDS}
    for name in _KEYED:
        if found[name] is not None:
            found[name] = {key: value for key, value in found[name].items() if value != MAX}
    return {name: value for name, value in found.items() if value is not None}


def writes(names: Iterable[str], had: Values, whole: Values) -> list[Write]:
    """What to write for some options, each once, in the order of the table."""
    wanted = set(names)
    found = [write for field in FIELDS if field.name in wanted for write in field.at.write(field.name, had, whole)]
    return list(dict.fromkeys(found))


def controllers(names: Iterable[str]) -> set[str]:
    """The controllers that some options need."""
    wanted = set(names)
    return {field.at.controller for field in FIELDS if field.name in wanted} - {_NO_CONTROLLER}


def merged(values: Values, wanted: Values) -> dict[str, Any]:
    """What a group has after ``wanted`` was brought into it; of what has keys, those that aren't given stay."""
    whole = {**values, **wanted}
    for name in _KEYED:
        if name in wanted:
            both = {**(values.get(name) or {}), **wanted[name]}
            whole[name] = {key: value for key, value in both.items() if value is not None}
    if wanted.get("io"):
        whole["io"] = iolimits.merged(values.get("io"), wanted["io"])
    return whole


def given(values: Values) -> dict[str, Any]:
    """Those of the values that a new group doesn't have by itself."""
    places = {field.name: field for field in FIELDS}
    if values.get("io"):
        # As they are spelled where they were declared: what was read back has all keys.
        values = {**values, "io": iolimits.limiting(values["io"])}
    return {name: value for name, value in values.items() if name in places and value != places[name].default}
