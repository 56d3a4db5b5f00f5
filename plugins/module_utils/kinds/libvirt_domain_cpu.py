# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain's processors and its memory are made of, and where they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..core.codec import BOOL, INT, LINE, MAP, TEXT, Codec, parse_size, show_size
from ..core.errors import StrataError
from ..core.field import Field, Fields, decode, structure, table
from ..core.limits import NUMBERS, numbers
from ..core.plan import Change, Effect, State
from ..engines.domain_places import Cpu, Elements, HugePages, IoThreads, Named, Topology
from ..engines.domain_xml import Flag, Leaf
from ..engines.xml_places import Group, Sole, on_off, yes
from .libvirt_domain_fields import GUEST_MEMORY, at_least_one, not_negative, word

TOPOLOGY = Fields(
    Field(level, INT, given=1, check=at_least_one) for level in ("sockets", "dies", "clusters", "cores", "threads")
)
_FLAT = {level.name: 1 for level in TOPOLOGY}


def _parse_policies(value: Any) -> dict[str, Any]:
    policies = dict(MAP.parse(value))
    known = ("force", "require", "optional", "disable", "forbid")
    for name, policy in policies.items():
        if policy not in known:
            raise ValueError(f"has {policy!r} for {name}: write one of {', '.join(known)}")
    return dict(sorted(policies.items()))


CPU = (
    Field(
        "mode",
        TEXT,
        Leaf("", "mode"),
        default="custom",
        choices=("custom", "host-model", "host-passthrough", "maximum"),
    ),
    Field("model", LINE, Leaf("model"), default="qemu64"),
    Field(
        "topology",
        Codec(lambda value: {**_FLAT, **decode(TOPOLOGY, value)}, "dict", dict, row=TOPOLOGY, single=True),
        Topology(),
        default={},
    ),
    Field("features", Codec(_parse_policies, "dict", dict), Named("feature", "name", "policy"), default={}),
    Field("migratable", BOOL, Leaf("", "migratable", yes, on_off)),
)


def _parse_pins(value: Any) -> dict[int, str]:
    try:
        return {int(str(number)): NUMBERS.parse(cpus) for number, cpus in sorted(dict(value).items())}
    except ValueError as error:
        raise ValueError(f"is no mapping of numbers to cpus, such as {{0: '2-3'}}: {error}") from None


def _show_pins(pins: Mapping[int, str]) -> dict[str, str]:
    return {str(number): cpus for number, cpus in pins.items()}


_PINS = Codec(_parse_pins, "dict", _show_pins)


def _shares(number: int) -> None:
    if not 2 <= number <= 262_144:  # formatdomain, CPU Tuning
        raise ValueError("must be from 2 to 262144")


def _period(number: int) -> None:
    if not 1_000 <= number <= 1_000_000:  # formatdomain, CPU Tuning
        raise ValueError("must be from 1000 to 1000000 microseconds")


def _quota(number: int) -> None:
    if number != -1 and number < 1_000:  # formatdomain, CPU Tuning
        raise ValueError("must be 1000 microseconds or more, or -1 for no limit")


def _number(name: str, check: Callable[[Any], None]) -> Field:
    return Field(name, INT, Leaf(name, read=int, absent=0), default=0, check=check)


CPU_TUNE = (
    Field("vcpu_pins", _PINS, Named("vcpupin", "vcpu", "cpuset", int), default={}),
    Field("emulator_pin", NUMBERS, Sole("emulatorpin", "cpuset", NUMBERS.parse, absent=""), default=""),
    Field("iothread_pins", _PINS, Named("iothreadpin", "iothread", "cpuset", int), default={}),
    _number("shares", _shares),
    *(
        _number(f"{whose}{what}", check)
        for whose in ("", "global_", "emulator_", "iothread_")
        for what, check in (("period", _period), ("quota", _quota))
    ),
)

SCHEDULER = {"shares": "cpu_shares", "period": "vcpu_period", "quota": "vcpu_quota"}
"""What libvirt's API calls those whose name there isn't that of their element."""


def _parse_pages(value: Any) -> int | str:
    return "default" if str(value) == "default" else parse_size(value)


MEMORY_BACKING = (
    Field("hugepages", Codec(_parse_pages, show=show_size), HugePages(), default=0),
    word("source", "source", "type", "anonymous", "file", "memfd", default="anonymous"),
    word("access", "access", "mode", "private", "shared", default="private"),
    word("allocation", "allocation", "mode", "ondemand", "immediate", default="ondemand"),
    Field("locked", BOOL, Flag("locked"), default=False),
    Field("nosharepages", BOOL, Flag("nosharepages"), default=False),
    Field("discard", BOOL, Flag("discard"), default=False),
)
NUMA_CELL = (
    Field("id", INT, Leaf("", "id", int), required=True),
    Field("cpus", NUMBERS, Leaf("", "cpus", NUMBERS.parse), required=True),
    Field(
        "memory",
        GUEST_MEMORY,
        Leaf("", "memory", lambda kib: int(kib) * 1024, lambda size: str(size // 1024)),
        required=True,
    ),
    word("memory_access", "", "memAccess", "private", "shared", default="private"),
)
NUMA_TUNE = (
    word("mode", "", "mode", "strict", "preferred", "interleave", "restrictive", default="strict"),
    Field("nodeset", NUMBERS, Leaf("", "nodeset", NUMBERS.parse), required=True),
)
FIELDS = (
    Field("cpu", structure(*CPU), Cpu(CPU), Effect.RESTART),
    Field(
        "numa_cells",
        table(*NUMA_CELL, key=lambda row: str(row["id"])),
        Elements("cpu/numa", "cell", NUMA_CELL, "id"),
        Effect.RESTART,
        default=(),
    ),
    Field("numa_tune", structure(*NUMA_TUNE), Group("numatune/memory", NUMA_TUNE), Effect.RESTART),
    Field("memory_backing", structure(*MEMORY_BACKING), Group("memoryBacking", MEMORY_BACKING), Effect.RESTART),
    Field("iothreads", INT, IoThreads(), Effect.LIVE, default=0, check=not_negative),
    Field("cpu_tune", structure(*CPU_TUNE), Group("cputune", CPU_TUNE), Effect.LIVE),
)


def check(spec: Mapping[str, Any]) -> None:
    """Refuse what doesn't go together.

    Raises:
        StrataError: It names the option and the value.
    """
    cpu = spec.get("cpu", {})
    if "model" in cpu and cpu.get("mode", "custom") != "custom":
        raise StrataError(f"is chosen by mode: {cpu['mode']}", option="cpu.model", value=cpu["model"])
    if "topology" in cpu:
        total = 1
        for count in cpu["topology"].values():
            total *= count
        most = spec.get("vcpus_max", spec.get("vcpus"))
        if most is not None and total != most:
            raise StrataError(
                f"is made of {total} vcpus, and there are {most} at most", option="cpu.topology", value=cpu["topology"]
            )
    cells = spec.get("numa_cells", ())
    memory, most = sum(cell["memory"] for cell in cells), spec.get("memory_max", spec.get("memory"))
    if cells and most is not None and memory != most:
        raise StrataError(
            f"adds up to {show_size(memory)}, and its memory is {show_size(most)}",
            option="numa_cells.memory",
            value=[show_size(cell["memory"]) for cell in cells],
        )
    iothreads = spec.get("iothreads")
    for number in spec.get("cpu_tune", {}).get("iothread_pins", {}):
        if iothreads is not None and not 1 <= number <= iothreads:
            raise StrataError(f"there are {iothreads}, numbered from 1", option="cpu_tune.iothread_pins", value=number)


def check_pins(spec: Mapping[str, Any], state: State) -> None:
    """Refuse pins of vcpus that it doesn't have, and to cpus that the host doesn't have."""
    tune, online = spec.get("cpu_tune", {}), state.facts.get("cpus")
    most = spec.get("vcpus_max", spec.get("vcpus", state.config.get("vcpus_max", 1)))
    for number in tune.get("vcpu_pins", {}):
        if number >= most:
            raise StrataError(f"there are {most} vcpus, numbered from 0", option="cpu_tune.vcpu_pins", value=number)
    lists = [("emulator_pin", tune.get("emulator_pin", ""))]
    lists += [(name, cpus) for name in ("vcpu_pins", "iothread_pins") for cpus in tune.get(name, {}).values()]
    for name, cpus in lists:
        if online is not None and not numbers(cpus) <= set(online):
            raise StrataError(
                f"the host's cpus are {NUMBERS.parse(','.join(map(str, online)))}",
                option=f"cpu_tune.{name}",
                value=cpus,
            )


def cost(change: Change, state: State) -> Effect:
    """What tuning a running domain costs: there is no call that takes a value away."""
    if change.field == "iothreads":
        return Effect.LIVE
    had, has = change.before, change.after
    pins = str(change.key).endswith("_pins")
    gone = set(had or {}) - set(has or {}) if pins else not has
    return Effect.RESTART if gone else Effect.LIVE


def bring_in(engine: Any, name: str, change: Change, want: Mapping[str, Any]) -> None:
    """Bring one change of these into what runs."""
    if change.field == "iothreads":
        engine.set_iothreads(name, want["iothreads"])
        return
    leaf, value = str(change.key), want["cpu_tune"][str(change.key)]
    if leaf == "vcpu_pins":
        for vcpu, cpus in value.items():
            engine.pin(name, "vcpu", numbers(cpus), vcpu)
    elif leaf == "iothread_pins":
        for thread, cpus in value.items():
            engine.pin(name, "iothread", numbers(cpus), thread)
    elif leaf == "emulator_pin":
        engine.pin(name, "emulator", numbers(value))
    else:
        engine.set_scheduler(name, SCHEDULER.get(leaf, leaf), value)
