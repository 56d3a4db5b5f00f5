# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups of cgroup v2: what the kernel has, beside what a unit makes again at boot."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import policy
from ..core.codec import BOOL, PATH, WORDS, Codec, parse_int, parse_name
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Layer, Plan, State
from ..core.resource import Resource, Thing
from ..engines import anchor, cgroupfs, cgroupstat, cgroupunit, iolimits, processes
from . import cgroup_checks, cgroup_fields
from .cgroup_fields import FIELDS

_CONTROLLERS = ("cgroup", "cpu", "cpuset", "memory", "io", "pids", "hugetlb", "misc", "rdma", "irq")
_READ = (*cgroup_fields.FILES, "cgroup.events")
_SELECTORS = ("pids", "units", "users")
_ROUNDS = 20  # processes fork while they are moved; what is moved forks within the group


def _parse_group(value: Any) -> str:
    """A group's path below the delegated group: names, joined by slashes."""
    parts = str(value).split("/")
    if anchor.HOLDER in parts[:1]:
        raise ValueError("is taken by the process that holds the delegated group")
    for part in parts:
        if part.partition(".")[0] in _CONTROLLERS:
            raise ValueError("would clash with the kernel's own control files")
    return "/".join(parse_name(part) for part in parts)


def _parse_pids(values: Any) -> tuple[int, ...]:
    pids = {parse_int(value) for value in values}
    if any(pid < 2 for pid in pids):
        raise ValueError("must be 2 or more: 1 is the system itself")
    return tuple(sorted(pids))


class Cgroup(Resource):
    kind = "cgroup"
    rank = 10
    layered = True
    states = {"present": "present", "absent": "absent"}
    moves = {("stored", "present"): ("start",)}
    busy = frozenset({"present"})
    fresh_status = "stored"
    fields = (
        policy.name(Codec(_parse_group)),
        policy.state("present", "absent"),
        Field("parent", PATH, role=Role.CONNECT),
        *FIELDS,
        Field("pids", Codec(_parse_pids, "list", list, "int"), role=Role.POLICY),
        Field("units", WORDS, role=Role.POLICY),
        Field("users", WORDS, role=Role.POLICY),
        Field("processes", WORDS, role=Role.DERIVED, effect=Effect.LIVE, default=()),
        Field("persistent", BOOL, effect=Effect.NEXT_BOOT, default=False),
        Field("kill", BOOL, role=Role.POLICY, given=False),
    )

    # What was declared.

    def check(self) -> None:
        if self.spec.get("parent") and self.spec.get("persistent"):
            raise StrataError(
                "goes with the collection's own delegated group alone: whoever has another one makes it at boot",
                option="persistent",
                hint="Leave persistent out, or parent",
            )

    def provides(self) -> Iterable[Thing]:
        yield "cgroup", f"{self.spec.get('parent', '')}/{self.name}"

    def needs(self) -> Iterable[Thing]:
        parts = self.name.split("/")
        for count in range(1, len(parts)):
            yield "cgroup", f"{self.spec.get('parent', '')}/{'/'.join(parts[:count])}"

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> anchor.Tree:
        if not cgroupfs.is_cgroup2(cgroupfs.MOUNT):
            raise StrataError(
                f"this host has no cgroup v2 at {cgroupfs.MOUNT}",
                hint="Boot it with systemd.unified_cgroup_hierarchy=1, or with a distribution of 2021 or newer",
            )
        parent = spec.get("parent")
        if not parent or parent == anchor.GROUP:
            return anchor.Tree(anchor.GROUP, ours=True)
        cgroup_checks.parent(str(parent))
        return anchor.Tree(str(parent), ours=False)

    # Reading: the files that are there, and a unit's file a name.

    @classmethod
    def read_many(cls, engine: anchor.Tree, names: Iterable[str] | None) -> dict[str, State]:
        cgroup_checks.survey(engine)
        if names is None:
            names = cls._names(engine)
        units = frozenset(cgroupunit.groups()) if engine.ours else frozenset()
        return {name: cls._read(engine, name, units) for name in names}

    @staticmethod
    def _names(engine: anchor.Tree) -> list[str]:
        below = cgroupfs.walk(engine.top) if os.path.isdir(engine.top) else iter(())
        names = {path[len(engine.top) + 1 :] for path in below if engine.ours or cgroupfs.owner(path) is not None}
        names = {name for name in names if name.split("/")[0] != anchor.HOLDER}
        return sorted({*names, *(cgroupunit.groups() if engine.ours else ())})

    @classmethod
    def _read(cls, engine: anchor.Tree, name: str, units: frozenset[str]) -> State:
        path = f"{engine.top}/{name}"
        texts = engine.texts(path, _READ)
        there = "cgroup.events" in texts
        kept = cgroupunit.read(name) if name in units else None
        if not there and kept is None:
            return State()
        live = cgroup_fields.read(texts) if there else None
        owner = cgroupfs.owner(path)
        facts: dict[str, Any] = {"path": path, "populated": "populated 1" in texts.get("cgroup.events", "")}
        facts["unit"] = None if kept is None else cgroupunit.name(name)
        if kept is None:
            config = {**(live or {}), "persistent": False}
        else:
            stored, owned, facts["spelled"] = kept
            config = {**cgroup_fields.read(stored), "persistent": cgroupunit.enabled(name)}
            # After a boot the group has no owner noted: sh can't write one.
            owner = owned if owner is None else owner
        return State("present" if there else "stored", config, live, facts, owner)

    @classmethod
    def measure(cls, engine: anchor.Tree, name: str, state: State) -> dict[str, Any]:
        return cgroupstat.measure(f"{engine.top}/{name}") if state.live is not None else {}

    # Planning.

    def observe(self, engine: anchor.Tree, state: State) -> State:
        facts: dict[str, Any] = dict(state.facts)
        if self.target == "absent":
            return state
        facts["devices"] = self._devices()
        facts |= cgroup_checks.look(engine, self.name, self.declared)
        if not any(self.spec.get(word) for word in _SELECTORS):
            return replace(state, facts=facts)
        path = f"{engine.top}/{self.name}"
        facts["passes_on"] = sorted(cgroup_checks.passed(path))
        titles = {pid: processes.title(pid) for pid in self._selected(path)}
        alive = {pid: title for pid, title in titles.items() if title is not None}
        inside = sorted(title for pid, title in alive.items() if processes.within(pid, path))
        facts["ended"] = sorted(pid for pid, title in titles.items() if title is None)
        config = {**state.config, "processes": tuple(sorted(alive.values()))}
        live = None if state.live is None else {**state.live, "processes": tuple(inside)}
        return replace(state, config=config, live=live, facts=facts)

    def _devices(self) -> dict[str, str]:
        """The whole disks that the devices of ``io`` are on, by the paths that were given."""
        return iolimits.disks(self.spec.get("io", ()))

    def _selected(self, path: str) -> set[int]:
        found = {
            *self.spec.get("pids", ()),
            *processes.of_users(self.spec.get("users", ())),
            *processes.of_units(self.spec.get("units", ()), path),
        }
        processes.spare(found)
        return found

    def settings(self, state: State) -> dict[str, Any]:
        values = super().settings(state)
        if any(self.spec.get(word) for word in _SELECTORS):
            values["processes"] = state.config["processes"]
        now = state.live or {}
        if "io" in values:
            facts = state.facts
            values["io"] = iolimits.declared(values["io"], now.get("io"), facts["devices"], facts["costed"])
        if "cpus" in values or "cpu_period" in values or "cpu_burst" in values:
            values = cgroup_checks.quota(values, {**state.config, **now, **values})
        cgroup_checks.refuse(self.name, values, {**now, **values}, state.facts, self.promised)
        return values

    def keeps(self, state: State) -> bool:
        return bool(self.declared.get("persistent", state.facts.get("unit") is not None))

    def plan(self, state: State) -> Plan:
        if self.target == "absent" and state.facts.get("populated") and not self.spec["kill"]:
            raise StrataError(
                "still holds processes, and they are not killed by themselves",
                hint="Stop them, move them away, or give kill: true; cgroup.procs below "
                f"{state.facts['path']} lists them",
            )
        return super().plan(state)

    # Doing.

    def create(self, engine: anchor.Tree, plan: Plan) -> None:
        if plan.want.get("persistent"):
            anchor.write()
            self._store(plan)

    def configure(self, engine: anchor.Tree, plan: Plan) -> None:
        if plan.want.get("persistent", True):
            anchor.write()
            self._store(plan)
        else:
            cgroupunit.drop(self.name)

    def _store(self, plan: Plan) -> None:
        whole = cgroup_fields.given(cgroup_fields.merged(plan.state.config, plan.want))
        given = {disk: path for path, disk in plan.state.facts["devices"].items()}
        content = cgroupunit.text(
            self.name,
            cgroup_fields.controllers(whole),
            cgroup_fields.writes(whole, {}, whole),
            plan.state.owner if plan.state.exists else self.owner,
            {**plan.state.facts.get("spelled", {}), **given},
        )
        cgroupunit.store(self.name, content)

    def start(self, engine: anchor.Tree, plan: Plan) -> None:
        """Make the group, the groups on the way to it, and all that it is held to."""
        if engine.ours:
            anchor.ready()
        config = {} if plan.state.live is not None else plan.state.config
        whole = cgroup_fields.given(cgroup_fields.merged(config, plan.want))
        group = engine.top
        for part in self.name.split("/"):
            cgroupfs.enable(group, cgroup_fields.controllers(whole))
            group = f"{group}/{part}"
            if not os.path.isdir(group):
                cgroupfs.make(group)
                cgroupfs.set_owner(group, self.owner)
        self._write(group, cgroup_fields.writes(whole, {}, whole))
        self._gather(group)

    def update(self, engine: anchor.Tree, plan: Plan) -> None:
        values = plan.of(Layer.LIVE)
        group = engine.top
        for part in self.name.split("/"):
            cgroupfs.enable(group, cgroup_fields.controllers(values))
            group = f"{group}/{part}"
        had = plan.state.live or {}
        self._write(group, cgroup_fields.writes(values, had, {**had, **plan.want}))
        self._gather(group)

    @staticmethod
    def _write(group: str, writes: Iterable[cgroup_fields.Write]) -> None:
        for file, text in writes:
            if file == "cgroup.freeze":
                cgroupfs.freeze(group, text == "1")
            else:
                cgroupfs.write(group, file, iolimits.for_kernel(text))

    def _gather(self, group: str) -> None:
        """Move in what is selected, until nothing of it is left outside."""
        for _round in range(_ROUNDS if any(self.spec.get(word) for word in _SELECTORS) else 0):
            outside = [pid for pid in sorted(self._selected(group)) if not processes.within(pid, group)]
            moved = [cgroupfs.move(group, pid) for pid in outside]
            if not any(moved):
                return

    def remove(self, engine: anchor.Tree, plan: Plan) -> None:
        """Forget the group and those below it, then take them away; processes only where that was asked for."""
        path = f"{engine.top}/{self.name}"
        if engine.ours:
            for name in cgroupunit.groups():
                if f"{name}/".startswith(f"{self.name}/"):
                    cgroupunit.drop(name)
        if plan.state.facts.get("populated"):
            cgroupfs.kill(path)
        cgroupfs.remove(path)
