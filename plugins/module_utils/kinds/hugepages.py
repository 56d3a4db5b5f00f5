# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Huge pages of one size: what the kernel has set aside, beside what a unit sets aside again at boot."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import files, policy
from ..core.codec import BOOL, Codec, parse_int, parse_path, parse_size, show_size
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Layer, Plan, State
from ..core.resource import Resource, Thing
from ..engines import hugepages, mounts, systemd
from . import hugepages_unit

_SOURCE = "strata:"  # the source of a hugetlbfs is free text, and tells ours from others
_NOTES = "/run/strata/hugepages"
_AT_BOOT = "Stop what uses memory and run this again, or have the kernel set them aside at boot, before anybody else"


def _parse_name(value: Any) -> str:
    size = parse_size(value)
    if isinstance(size, str) or size == 0:
        raise ValueError("is the size of a page, such as 2M or 1G")
    return str(show_size(size))


def _parse_count(value: Any) -> int:
    count = parse_int(value)
    if count < 0:
        raise ValueError("must be 0 or more")
    return count


def _parse_nodes(value: Mapping[Any, Any]) -> dict[str, int]:
    return {str(_parse_count(node)): _parse_count(count) for node, count in value.items()}


def _parse_mount(value: Any) -> str:
    return parse_path(value) if value else ""


_COUNT = Codec(_parse_count, "int")
_NODES = Codec(_parse_nodes, "dict", dict, partial=True)
_WORDS = Codec(hugepages.options, "list", list, "str")


class Hugepages(Resource):
    kind = "hugepages"
    identity = "size"
    sample = "2M"
    rank = 10
    layered = True
    states = {"present": "present", "absent": "absent"}
    busy = frozenset({"present"})
    fields = (
        Field("size", Codec(_parse_name), role=Role.NAME, required=True),
        policy.state("present", "absent"),
        Field("pages", _COUNT, effect=Effect.LIVE, default=0),
        Field("nodes", _NODES, effect=Effect.LIVE, default={}),
        Field("overcommit", _COUNT, effect=Effect.LIVE, default=0),
        Field("mount", Codec(_parse_mount), effect=Effect.LIVE, default=""),
        Field("mount_options", _WORDS, effect=Effect.LIVE, default=()),
        Field("persistent", BOOL, effect=Effect.NEXT_BOOT, default=False),
        Field("spread", role=Role.DERIVED, effect=Effect.NEXT_BOOT),
    )

    # What was declared.

    def check(self) -> None:
        if "pages" in self.spec and "nodes" in self.spec:
            raise StrataError("goes without nodes: the kernel spreads them, or you do", option="pages")
        if "mount_options" in self.spec and not self.spec.get("mount"):
            raise StrataError("goes with mount", option="mount_options")

    def provides(self) -> list[Thing]:
        return [("path", self.spec["mount"])] if self.spec.get("mount") else []

    @property
    def bytes(self) -> int:
        """The size of a page."""
        return int(parse_size(self.name))

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> mounts.Host:
        return mounts.Host()

    # Reading: a dozen small files and a unit's file a size, mountinfo once.

    @classmethod
    def read_many(cls, engine: mounts.Host, names: Iterable[str] | None) -> dict[str, State]:
        engine.read()
        if names is None:
            names = [str(show_size(size)) for size in hugepages.known()]
        return {name: cls._read(engine.table, name) for name in names}

    @classmethod
    def _read(cls, table: mounts.Table, name: str) -> State:
        size = int(parse_size(name))
        pool = hugepages.read(size)
        kept = hugepages_unit.read(name, size)
        mounted = [
            mount for mount in table.mounts if mount.type == hugepages.TYPE and hugepages.page_size(mount) == size
        ]
        ours = [mount for mount in mounted if mount.source.startswith(_SOURCE)]
        facts: dict[str, Any] = {
            "unit": None if kept is None else hugepages_unit.unit(name),
            "mounts": [mount.point for mount in mounted],
            "mounts_made": [mount.point for mount in ours],
            "kernel_parameters": hugepages.parameters(),
            **_told(pool),
            "reserved": pool.reserved,
            "nodes": {node: _told(one) for node, one in pool.nodes.items()},
        }
        if not (kept or pool.kept or pool.overcommit or ours):
            return State(facts=facts)
        live: dict[str, Any] = {
            "pages": pool.kept,
            "nodes": {node: one.kept for node, one in pool.nodes.items()},
            "overcommit": pool.overcommit,
            "mount": ours[-1].point if ours else "",
            "mount_options": hugepages.options_of(ours[-1]) if ours else (),
        }
        if kept is None:
            note = files.read(f"{_NOTES}/{name}")
            config = {**live, "persistent": False}
            config.pop("nodes" if _even(live["nodes"].values()) else "pages")
            return State("present", config, live, facts, note)
        config, owner = kept
        config["spread"] = "by node" if "nodes" in config else "by the kernel"
        config["persistent"] = hugepages_unit.enabled(name)
        return State("present", config, live, facts, owner)

    # Planning.

    def observe(self, engine: mounts.Host, state: State) -> State:
        if not state.facts:  # all that there are were read, and this size isn't among them
            state = self._read(engine.table, self.name)
        facts: dict[str, Any] = dict(state.facts)
        config, live = dict(state.config), dict(state.live or {})
        path = self.declared.get("mount")
        if path:
            top = engine.table.at(path)[-1:]
            theirs = [one for one in top if one.point not in facts["mounts"]]
            facts["covered"] = [f"{one.type} from {one.source}" for one in theirs]
            stale = [point for point in facts["mounts_made"] if point != path]
            if top and not theirs and not stale:
                seen = {"mount": path, "mount_options": hugepages.options_of(top[0])}
                live |= seen
                config |= seen if facts["unit"] is None else {}
            elif stale:
                live["mount"] = stale[0]
        facts["sizes"] = [str(show_size(size)) for size in hugepages.known()]
        facts["memory"] = {node: hugepages.memory(node) for node in ("", *facts["nodes"])}
        if self.declared.get("persistent"):
            systemd.need("persistent")
            facts["sysctls"] = hugepages.in_sysctls() if hugepages.usual_size() == self.bytes else {}
        state = replace(state, config=config, live=live if state.exists else None, facts=facts)
        if self._lowered(state):
            facts["users"] = hugepages.users(self.bytes)
        going = self._unmounted(state)
        if going:
            facts["mount_users"] = {path: mounts.users([path]) for path in going}
        return replace(state, facts=facts)

    def _counts(self) -> dict[str, int]:
        """How many pages there are to be, by node; without a node: of the whole host."""
        if self.target == "absent":
            return {"": 0}
        values = self.declared
        if "pages" in self.spec or ("pages" in values and "nodes" not in self.spec):
            return {"": values["pages"]}
        return {node: count or 0 for node, count in values.get("nodes", {}).items()}

    def _lowered(self, state: State) -> list[str]:
        """The nodes, or the whole host, that are to have fewer pages than are in use."""
        if state.live is None:
            return []
        now = {"": state.live["pages"], **state.live["nodes"]}
        wanted = {node: count for node, count in self._counts().items() if node in now}
        lowered = [node for node, count in wanted.items() if count < min(now[node], _used(state, node))]
        rest = now[""] - sum(max(0, now[node] - count) for node, count in wanted.items())
        # Of those that are promised, nobody knows on which node they will be.
        return lowered or ([""] if rest < min(now[""], _used(state, "")) else [])

    def _unmounted(self, state: State) -> list[str]:
        """What is mounted and is not to be any more, or is to be mounted anew."""
        made: list[str] = list(state.facts["mounts_made"])
        if self.target == "absent" or "mount" not in self.declared:
            return made if self.target == "absent" else []
        path = self.declared["mount"]
        stays = path in state.facts["mounts"] and (
            "mount_options" not in self.declared
            or (state.live or {}).get("mount_options") == self.declared["mount_options"]
        )
        return [point for point in made if point != path or not stays]

    def settings(self, state: State) -> dict[str, Any]:
        values = super().settings(state)
        counts = self._counts()
        for name in ("pages", "nodes"):
            values.pop(name, None)
        if "" in counts:
            values["pages"] = counts[""]
        elif counts:
            values["nodes"] = counts
        if counts and self.keeps(state):
            values["spread"] = "by the kernel" if "" in counts else "by node"
        self._refuse(counts, values, state)
        return values

    def _refuse(self, counts: Mapping[str, int], values: Mapping[str, Any], state: State) -> None:
        facts = state.facts
        if self.name not in facts["sizes"]:
            known = " and ".join(facts["sizes"]) or "none at all"
            raise StrataError(f"this host has no pages of that size: it has {known}", option="size", value=self.name)
        option = "pages" if "" in counts else "nodes"
        for node, count in counts.items():
            whose = f"the node {node}" if node else "this host"
            if node and node not in facts["nodes"]:
                has = ", ".join(facts["nodes"]) or "none"
                raise StrataError(f"this host has no NUMA node {node}: it has {has}", option=option)
            if count * self.bytes > facts["memory"][node]:
                most = facts["memory"][node] // self.bytes
                reason = f"is more than {whose} has memory for: {most} pages of {self.name} at most"
                raise StrataError(reason, option=option, value=count)
        if facts.get("covered"):
            raise StrataError(f"something else is mounted there: {', '.join(facts['covered'])}", option="mount")
        self._refuse_options(state)
        count = counts.get("", sum(counts.values()))
        wrong = [path for path, number in facts.get("sysctls", {}).items() if counts and number != count]
        if values.get("persistent") and wrong:
            raise StrataError(
                f"{wrong[0]} sets vm.nr_hugepages to {facts['sysctls'][wrong[0]]}, too, whenever sysctl reads it",
                option="persistent",
                hint="Take that line out",
            )

    def _refuse_options(self, state: State) -> None:
        path, words = self.spec.get("mount"), self.spec.get("mount_options")
        live = state.live or {}
        theirs = live.get("mount") == path and path not in state.facts["mounts_made"]
        if theirs and words is not None and words != live["mount_options"]:
            has = ", ".join(live["mount_options"]) or "none"
            raise StrataError(
                f"{path} was mounted by somebody else, with {has}",
                option="mount_options",
                hint="Leave them out, or name another place",
            )

    def keeps(self, state: State) -> bool:
        return bool(self.declared.get("persistent", state.facts.get("unit") is not None))

    def plan(self, state: State) -> Plan:
        lowered = self._lowered(state)
        if lowered:
            node = lowered[0]
            whose = f" of the node {node}" if node else ""
            users = ", ".join(state.facts.get("users", ())) or "files in a hugetlbfs"
            raise StrataError(
                f"{_used(state, node)} pages of {self.name}{whose} are in use: {users}",
                option="nodes" if node else "pages" if self.target != "absent" else "state",
                value=self._counts().get(node),
                hint="Pages that are in use are not taken from anybody: stop what has them first",
            )
        for path, users in state.facts.get("mount_users", {}).items():
            if users:
                raise mounts.busy(path, users)
        if self.target != "absent" and not state.exists and not self._something(self.settings(state)):
            return Plan(state=state)
        plan = super().plan(state)
        # What the kernel doesn't give now isn't stored either.
        return replace(plan, steps=tuple(sorted(plan.steps, key=lambda step: step != "update")))

    @staticmethod
    def _something(values: Mapping[str, Any]) -> bool:
        given = {name: value for name, value in values.items() if name != "spread"}
        return any(any(value.values()) if isinstance(value, dict) else value for value in given.values())

    # Doing.

    def _owner(self, plan: Plan) -> str | None:
        return plan.state.owner if plan.state.exists else self.owner

    def create(self, engine: mounts.Host, plan: Plan) -> None:
        files.write(f"{_NOTES}/{self.name}", self.owner)
        self._bring_in(plan.want, plan)
        if plan.want.get("persistent"):
            self._store(plan)

    def update(self, engine: mounts.Host, plan: Plan) -> None:
        self._bring_in(plan.of(Layer.LIVE), plan)

    def configure(self, engine: mounts.Host, plan: Plan) -> None:
        if plan.want.get("persistent", True):
            self._store(plan)
            return
        owner = self._owner(plan)
        if owner is not None:
            files.write(f"{_NOTES}/{self.name}", owner)
        hugepages_unit.drop(self.name)

    def _store(self, plan: Plan) -> None:
        values = {**plan.state.config, **plan.want}
        if plan.want.get("nodes"):
            values["nodes"] = {**(plan.state.config.get("nodes") or {}), **plan.want["nodes"]}
        elif "pages" in plan.want:
            values.pop("nodes", None)
        owner = self._owner(plan)
        source = f"{_SOURCE}{owner or ''}"
        hugepages_unit.store(self.name, hugepages_unit.text(self.name, self.bytes, values, owner, source))

    def _bring_in(self, values: Mapping[str, Any], plan: Plan) -> None:
        live = plan.state.live or {"pages": 0, "nodes": {}, "overcommit": 0}
        asked: list[tuple[str, int, int]] = []
        if "overcommit" in values:
            asked.append((hugepages.overcommit_file(self.bytes), values["overcommit"], live["overcommit"]))
        if "pages" in values:
            asked.append((hugepages.count_file(self.bytes), values["pages"], live["pages"]))
        for node, count in values.get("nodes", {}).items():
            asked.append((hugepages.count_file(self.bytes, node), count, live["nodes"].get(node, 0)))
        self._ask([one for one in asked if one[1] != one[2]])
        if {"mount", "mount_options"} & values.keys():
            self._mount(plan)

    def _ask(self, asked: list[tuple[str, int, int]]) -> None:
        """Have the kernel set pages aside or take them back, all of it or nothing; what is given back goes first."""
        done: list[tuple[str, int]] = []
        for path, count, before in sorted(asked, key=lambda one: one[1] - one[2]):
            done.append((path, before))
            got = hugepages.write(path, count)
            if got != count:
                for again, number in reversed(done):
                    hugepages.write(again, number)
                raise StrataError(
                    f"the kernel gave {got} of {count} pages of {self.name} ({path}): the rest of the memory is in "
                    f"use, or in pieces. There are {before} again, as before",
                    option="nodes" if "/node/" in path else "pages",
                    hint=f"{_AT_BOOT}: hugepagesz={self.name} hugepages={count} among its parameters",
                )

    def _mount(self, plan: Plan) -> None:
        path = plan.want["mount"]
        for point in self._unmounted(plan.state):
            _unmount(point)
        if path and not any(one.type == hugepages.TYPE for one in mounts.table().at(path)[-1:]):
            if not os.path.isdir(path):
                mounts.make_directory(path, self.owner)
            words = ",".join([f"pagesize={self.name}", *plan.want.get("mount_options", ())])
            mounts.mount(f"{_SOURCE}{self._owner(plan) or ''}", path, hugepages.TYPE, 0, words)

    def remove(self, engine: mounts.Host, plan: Plan) -> None:
        """Unmount what was mounted by us, give the pages back, and forget; the note of whose they are goes last."""
        for point in plan.state.facts["mounts_made"]:
            _unmount(point)
        live = plan.state.live or {}
        asked = [(hugepages.count_file(self.bytes), 0, live.get("pages", 0))]
        asked.append((hugepages.overcommit_file(self.bytes), 0, live.get("overcommit", 0)))
        self._ask([one for one in asked if one[2]])
        hugepages_unit.drop(self.name)
        files.remove(f"{_NOTES}/{self.name}")


def _unmount(path: str) -> None:
    mounts.unmount(path)
    if files.owner(path) is not None:
        with contextlib.suppress(OSError):  # somebody put something in it
            os.rmdir(path)


def _told(pool: hugepages.Pool) -> dict[str, int]:
    return {"total": pool.total, "free": pool.free, "surplus": pool.surplus}


def _used(state: State, node: str) -> int:
    told = state.facts["nodes"][node] if node else state.facts
    return int(told["total"] - told["free"] + told.get("reserved", 0))


def _even(counts: Iterable[int]) -> bool:
    """Whether the kernel could have spread pages so by itself."""
    counts = list(counts)
    return not counts or max(counts) - min(counts) <= 1
