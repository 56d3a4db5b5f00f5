# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of LXC containers, where LXC keeps them: made, counted, restored once for each request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core import policy
from ..core.codec import INT, LINE, NAME, PATH, TEXT
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Plan, State
from ..core.resource import Resource, Thing
from ..engines import lxc_boot, lxc_snaps
from ..engines.lxc import DEFAULT_PATH, Lxc

RESTORED = "restored"


@dataclass(frozen=True)
class Snapshots:
    """Those of one container."""

    lxc: Lxc
    container: str

    @property
    def folder(self) -> str:
        return self.lxc.folder(self.container)


def _check_keep(value: int) -> None:
    if value < 1:
        raise ValueError("must be 1 or more: the one that is declared stays")


class LxcSnapshot(Resource):
    kind = "lxc_snapshot"
    rank = 65
    listed = False
    states = {"present": "present", RESTORED: "present", "absent": "absent"}
    busy = frozenset({"present"})
    fields = (
        policy.name(),
        policy.state("present", RESTORED, "absent"),
        Field("container", NAME, role=Role.CONNECT, required=True),
        Field("lxc_path", PATH, role=Role.CONNECT, given=DEFAULT_PATH),
        Field("comment", LINE, effect=Effect.LIVE, default=""),
        Field("keep", INT, role=Role.POLICY, check=_check_keep),
        Field("restore_id", LINE, role=Role.POLICY, given=""),
        Field("restart", TEXT, role=Role.POLICY, given="never", choices=("never", "if_needed")),
        policy.timeout(120),
        Field("restored", LINE, role=Role.DERIVED, effect=Effect.LIVE),
    )

    @property
    def _container(self) -> str:
        return str(self.spec.get("container", ""))

    @property
    def _restores(self) -> bool:
        return self.spec.get("state") == RESTORED

    def needs(self) -> list[Thing]:
        return [("lxc", f"{self.spec['lxc_path']}/{self._container}")]

    def prunable(self, state: State) -> bool:
        return False  # it holds data: ``keep`` and ``absent`` take snapshots away, and nothing else does

    # Reading.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Snapshots:
        return Snapshots(Lxc(spec.get("lxc_path") or DEFAULT_PATH), str(spec.get("container") or ""))

    @classmethod
    def read_many(cls, engine: Snapshots, names: Iterable[str] | None) -> dict[str, State]:
        there = engine.lxc.read_config(engine.container) is not None if engine.container else False
        found = lxc_snaps.listed(engine.folder) if there else []
        ours = [one["name"] for one in found if one["owner"] is not None]
        known = {"container": there, "ours": ours, "leftovers": lxc_snaps.half_made(engine.folder) if there else []}
        known |= {key: value for key, value in lxc_snaps.noted(engine.folder).items() if there}
        states = {one["name"]: cls._read(one, known) for one in found}
        if names is None:
            return states
        return {name: states.get(name, State(facts=known)) for name in names}

    @staticmethod
    def _read(one: Mapping[str, Any], known: Mapping[str, Any]) -> State:
        facts = {**known, "created": one["created"], "identity": one["identity"]}
        config = {"comment": one["comment"], "restored": known.get("request")}
        return State("present", config, None, facts, one["owner"])

    def observe(self, engine: Snapshots, state: State) -> State:
        running = state.facts.get("container") and bool(engine.lxc.active([self._container]))
        return replace(state, facts={**state.facts, "running": bool(running)})

    # Planning.

    def settings(self, state: State) -> dict[str, Any]:
        values = super().settings(state)
        if self._restores and state.exists:
            values["restored"] = f"{state.facts['identity']} {self.spec['restore_id']}".strip()
        return values

    def plan(self, state: State) -> Plan:
        if self.target == "absent":
            return self._cleared(super().plan(state))
        if not state.facts.get("container") and self.needs()[0] not in self.promised:
            raise StrataError("there is no such container", option="container", value=self._container)
        if self._restores and not state.exists:
            hint = f"{self._container} has {', '.join(state.facts.get('ours', ())) or 'none'}"
            raise StrataError("there is no such snapshot", option="state", value=RESTORED, hint=hint)
        plan = super().plan(state)
        if any(change.field == "restored" for change in plan.changes):
            if state.facts["running"] and self.spec["restart"] == "never":
                hint = "Give restart: if_needed, and it is stopped and started again; or stop it before"
                raise StrataError(f"{self._container} runs, and is restored while it stands still", hint=hint)
        elif state.facts.get("start") and not state.facts["running"]:  # a run that had stopped it was killed
            change = Change("container", "stopped", "started", Effect.LIVE)
            plan = replace(plan, changes=(*plan.changes, change), steps=(*plan.steps, "start"))
        return self._cleared(self._trimmed(plan))

    def _trimmed(self, plan: Plan) -> Plan:
        """The oldest of those that this collection made go, beyond those that are kept."""
        others = [name for name in plan.state.facts["ours"] if name != self.name] if "ours" in plan.state.facts else []
        gone = others[: max(0, len(others) + 1 - self.spec["keep"])] if "keep" in self.spec else []
        if not gone:
            return plan
        change = Change("keep", gone, None, Effect.REMOVE)
        return replace(plan, changes=(*plan.changes, change), steps=(*plan.steps, "trim"))

    @staticmethod
    def _cleared(plan: Plan) -> Plan:
        leftovers = plan.state.facts.get("leftovers")
        if not leftovers or plan.steps:
            return plan  # whatever it does, it clears them away
        change = Change("leftovers", leftovers, None, Effect.LIVE)
        return replace(plan, changes=(*plan.changes, change), steps=("clear",))

    # Doing.

    def create(self, engine: Snapshots, plan: Plan) -> None:
        lxc_snaps.make(engine.lxc, engine.container, self.name, plan.want.get("comment", ""), self.owner)

    def update(self, engine: Snapshots, plan: Plan) -> None:
        changed = {change.field for change in plan.changes}
        if "comment" in changed:
            lxc_snaps.set_comment(f"{engine.folder}/{lxc_snaps.SNAPS}/{self.name}", plan.want["comment"])
        if "restored" not in changed:
            return
        runs = plan.state.facts["running"]
        if runs:
            lxc_snaps.note(engine.lxc, engine.container, {"start": True})
            engine.lxc.set_frozen(engine.container, False)
            engine.lxc.stop(engine.container, self.spec["timeout"])
        lxc_snaps.restore(engine.lxc, engine.container, self.name, plan.want["restored"])
        if runs or plan.state.facts.get("start"):
            self.start(engine, plan)

    def start(self, engine: Snapshots, plan: Plan) -> None:
        lxc, name = engine.lxc, engine.container
        lxc_boot.start(lxc, name, lxc.read_config(name), self.spec["timeout"])
        lxc_snaps.note(lxc, name, {"start": None})

    def trim(self, engine: Snapshots, plan: Plan) -> None:
        for change in plan.changes:
            for name in change.before if change.field == "keep" else ():
                lxc_snaps.remove(engine.lxc, engine.container, name)

    def clear(self, engine: Snapshots, plan: Plan) -> None:
        lxc_snaps.clear(engine.lxc, engine.container)

    def remove(self, engine: Snapshots, plan: Plan) -> None:
        lxc_snaps.remove(engine.lxc, engine.container, self.name)
