# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups of cgroup v2, by their files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core import limits, policy
from ..core.codec import MAX, Codec, parse_name
from ..core.errors import StrataError
from ..core.plan import Layer, Plan, State
from ..core.resource import Resource
from ..engines import anchor, cgroupfs


@dataclass(frozen=True)
class ControlFile:
    """A control file, and how its text and the canonical value become each other."""

    name: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str

    @property
    def controller(self) -> str:
        return self.name.partition(".")[0]


def _number(text: str) -> int | str:
    return text if text == MAX else int(text)


def _parse_group(value: Any) -> str:
    """A group's path below the delegated group: names, joined by slashes."""
    parts = str(value).split("/")
    if anchor.HOLDER in parts[:1]:
        raise ValueError("is taken by the process that holds the delegated group")
    for part in parts:
        if part.partition(".")[0] in ("cgroup", "cpu", "cpuset", "memory", "io", "pids", "hugetlb", "misc", "rdma"):
            raise ValueError("would clash with the kernel's own control files")
    return "/".join(parse_name(part) for part in parts)


class Cgroup(Resource):
    kind = "cgroup"
    rank = 10
    fields = (
        policy.name(Codec(_parse_group)),
        policy.state("present", "absent"),
        limits.cpus(ControlFile("cpu.max", cgroupfs.read_cpu_max, cgroupfs.write_cpu_max)),
        limits.memory(ControlFile("memory.max", _number)),
        limits.pids_limit(ControlFile("pids.max", _number)),
    )
    states = {"present": "present", "absent": "absent"}

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> str:
        if not cgroupfs.is_cgroup2(cgroupfs.MOUNT):
            raise StrataError(
                f"this host has no cgroup v2 at {cgroupfs.MOUNT}",
                hint="Boot it with systemd.unified_cgroup_hierarchy=1, or with a distribution of 2021 or newer",
            )
        return anchor.GROUP

    @classmethod
    def read_many(cls, engine: str, names: Iterable[str] | None) -> dict[str, State]:
        if names is None:
            below = cgroupfs.walk(engine) if os.path.isdir(engine) else iter(())
            paths = (path[len(engine) + 1 :] for path in below)
            names = [path for path in paths if path.split("/")[0] != anchor.HOLDER]
        return {name: cls._read(f"{engine}/{name}") for name in names}

    @classmethod
    def _read(cls, path: str) -> State:
        if not os.path.isdir(path):
            return State()
        config = {}
        for field in cls.fields:
            text = cgroupfs.read(path, field.at.name) if field.at else None
            if text is not None:
                config[field.name] = field.at.read(text)
        events = cgroupfs.read(path, "cgroup.events") or ""
        facts = {"path": path, "populated": "populated 1" in events}
        return State("present", config, facts=facts, owner=cgroupfs.owner(path))

    def observe(self, engine: str, state: State) -> State:
        top = engine if os.path.isdir(engine) else cgroupfs.MOUNT
        return replace(state, facts={**state.facts, "controllers": sorted(cgroupfs.controllers(top))})

    def settings(self, state: State) -> dict[str, Any]:
        values = super().settings(state)
        for name in values:
            controller = self.field(name).at.controller
            if controller not in state.facts["controllers"]:
                raise StrataError(
                    f"needs the cgroup controller {controller}, which this kernel doesn't have enabled",
                    option=name,
                    value=self.options.get(name),
                    hint=f"Boot without cgroup_disable={controller}; on some boards: with cgroup_enable={controller}",
                    entry=self.entry,
                )
        return values

    def plan(self, state: State) -> Plan:
        if self.target == "absent" and state.facts.get("populated"):
            raise StrataError(
                "still holds processes, and they are not killed by themselves",
                hint=f"Stop them, or move them away; cgroup.procs below {state.facts['path']} lists them",
                entry=self.entry,
            )
        return super().plan(state)

    def create(self, engine: str, plan: Plan) -> None:
        anchor.ready()
        group = engine
        wanted = {self.field(name).at.controller for name in plan.want}
        *above, last = self.name.split("/")
        for part in above:
            cgroupfs.enable(group, wanted)
            group = f"{group}/{part}"
            self._make(group)
        cgroupfs.enable(group, wanted)
        self._make(f"{group}/{last}")
        self._write(f"{group}/{last}", plan.want)

    def _make(self, group: str) -> None:
        if not os.path.isdir(group):
            cgroupfs.make(group)
            cgroupfs.set_owner(group, self.owner)

    def update(self, engine: str, plan: Plan) -> None:
        values = plan.of(Layer.CONFIG)
        group = engine
        for part in self.name.split("/"):
            cgroupfs.enable(group, {self.field(name).at.controller for name in values})
            group = f"{group}/{part}"
        self._write(group, values)

    def _write(self, group: str, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            file = self.field(name).at
            cgroupfs.write(group, file.name, file.write(value))

    def remove(self, engine: str, plan: Plan) -> None:
        cgroupfs.remove(f"{engine}/{self.name}")
