# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laying virtual processors out over those of a host: none twice, no core between two guests, one node a guest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.errors import AnsibleFilterError


@dataclass
class _Node:
    """A NUMA node: its cores, each with its threads, that nobody has yet."""

    number: int
    cores: list[list[int]] = field(default_factory=list)

    @property
    def threads(self) -> int:
        return sum(map(len, self.cores))


@dataclass(frozen=True)
class _Guest:
    name: str
    vcpus: int
    iothreads: int
    node: int | None


def _number(guest: Mapping[str, Any], key: str, least: int) -> int:
    value = guest.get(key, least)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise AnsibleFilterError(f"vcpu_pins: {guest.get('name')}: {key} is a number from {least} up, not {value!r}")
    return value


def _guests(wanted: Iterable[Mapping[str, Any]]) -> list[_Guest]:
    guests = []
    for one in wanted:
        if not one.get("name"):
            raise AnsibleFilterError(f"vcpu_pins: a guest has no name: {dict(one)}")
        node = None if one.get("node") is None else _number(one, "node", 0)
        guests.append(_Guest(str(one["name"]), _number(one, "vcpus", 1), _number(one, "iothreads", 0), node))
    names = [guest.name for guest in guests]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AnsibleFilterError(f"vcpu_pins: {', '.join(twice)} is there twice")
    return guests


def _nodes(cpu: Mapping[str, Any], numa: Mapping[str, Any] | None) -> list[_Node]:
    """The nodes with their cores, without cpus that are off."""
    online = set(cpu["online"])
    cores = [[thread for thread in threads if thread in online] for threads in cpu.get("siblings") or ()]
    cores = [threads for threads in cores if threads] or [[thread] for thread in sorted(online)]
    places = {int(name): set(node["cpus"]) for name, node in ((numa or {}).get("nodes") or {}).items()}
    places = places or {0: online}
    nodes = [_Node(number, [core for core in cores if core[0] in cpus]) for number, cpus in sorted(places.items())]
    return [node for node in nodes if node.cores]


def _listed(cpus: Iterable[int]) -> str:
    """As the kernel writes lists of cpus: ``0-1,4``."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and cpu == runs[-1][-1] + 1:
            runs[-1].append(cpu)
        else:
            runs.append([cpu])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def lay(
    wanted: Sequence[Mapping[str, Any]],
    cpu: Mapping[str, Any],
    numa: Mapping[str, Any] | None = None,
    reserved: int = 1,
) -> dict[str, dict[str, Any]]:
    """Where the virtual processors, the emulator and the iothreads of each guest run.

    Args:
        wanted: The guests: ``name``, ``vcpus``, and if they like ``iothreads`` and the ``node`` to be on.
        cpu: ``cpu`` of host_info: what is ``online``, and the ``siblings`` of each core.
        numa: ``numa`` of host_info.
        reserved: Cores of each node that are left to the host, emulators and iothreads.

    Returns:
        By guest, what ``cpu_tune`` of a domain takes, and its ``node``.

    Raises:
        AnsibleFilterError: There are fewer cores than that takes.
    """
    nodes = _nodes(cpu, numa)
    hosts: dict[int, list[int]] = {}
    for node in nodes:
        if len(node.cores) <= reserved:
            raise AnsibleFilterError(
                f"vcpu_pins: node {node.number} has {len(node.cores)} cores, and {reserved} are reserved: none is left"
            )
        hosts[node.number] = [thread for core in node.cores[:reserved] for thread in core]
        node.cores = node.cores[reserved:]
    # The largest first: what is left over fits the small ones.
    placed = {}
    for guest in sorted(_guests(wanted), key=lambda guest: (-guest.vcpus, guest.name)):
        node = _home(guest, nodes)
        threads = _taken(node, guest.vcpus)
        near = _listed(hosts[node.number]) or _listed(threads)
        placed[guest.name] = {
            "node": node.number,
            "vcpu_pins": {number: str(thread) for number, thread in enumerate(threads)},
            "emulator_pin": near,
            "iothread_pins": dict.fromkeys(range(1, guest.iothreads + 1), near),
        }
    return placed


def _home(guest: _Guest, nodes: Sequence[_Node]) -> _Node:
    """The node that has room with the least left over."""
    here = [node for node in nodes if guest.node in (None, node.number)]
    fitting = [node for node in here if node.threads >= guest.vcpus]
    if not fitting:
        room = ", ".join(f"{node.threads} on node {node.number}" for node in here) or "no such node"
        raise AnsibleFilterError(
            f"vcpu_pins: {guest.name} has {guest.vcpus} vcpus, and there is room for {room}: "
            "give it fewer, reserve fewer cores, or take another host"
        )
    return min(fitting, key=lambda node: (node.threads - guest.vcpus, node.number))


def _taken(node: _Node, count: int) -> list[int]:
    """Threads of whole cores: what is left of the last one stays with its guest, so that no two share a core."""
    threads: list[int] = []
    while len(threads) < count:
        threads += node.cores.pop(0)
    return threads[:count]
