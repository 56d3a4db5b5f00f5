# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource: what one kind has to say about itself, and the one way to plan.

A kind is a table of Fields, a table of statuses, a bulk read and a handful of verbs. What to change follows from
the tables: no kind decides for itself whether something is to be done.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from .errors import StrataError
from .field import Field, Fields, Role, arguments, decode, encode
from .plan import ABSENT, Change, Effect, Layer, Plan, State

Thing = tuple[str, str]
"""Something that one resource makes and another one needs: its sort, and which, as ``("path", "/srv/disk.qcow2")``."""


class Resource:
    """One declared thing.

    Class attributes:
        kind: The kind's name, as in ``strata.virt.<kind>``.
        fields: The options.
        table: Them again, to be found by their words.
        reached_by: The options that tell where its engine is, with their defaults.
        identity: The option that tells a resource from its siblings.
        sample: A valid identity of nothing in particular, for asking an engine what it has.
        rank: Where it stands in a stack; lower ranks are applied first and removed last.
        states: The values of the option ``state``, each with the status that it leads to; None: whichever it has.
        moves: The verbs that lead from one status to another.
        busy: The statuses in which a workload runs, so that interrupting it is a matter of policy.
        listed: The engine can tell all that there are; else only what is named can be found.
        layered: The engine keeps a stored configuration beside what runs. Storing is then the verb ``configure``;
            bringing it into the running workload is ``update`` (live) or ``restart``. Where there is one layer,
            ``update`` changes it and what it can't change is done by ``recreate``.
    """

    kind: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]
    table: ClassVar[Fields]
    identity: ClassVar[str] = "name"
    sample: ClassVar[str] = "probe"
    rank: ClassVar[int] = 50
    states: ClassVar[Mapping[str, str | None]] = {"present": None, "absent": "absent"}
    moves: ClassVar[Mapping[tuple[str, str], tuple[str, ...]]] = {
        ("stopped", "running"): ("start",),
        ("running", "stopped"): ("stop",),
    }
    busy: ClassVar[frozenset[str]] = frozenset({"running"})
    listed: ClassVar[bool] = True
    layered: ClassVar[bool] = False
    reached_by: ClassVar[Mapping[str, Any]] = {}
    _presets: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **more: Any) -> None:
        """Find out once what every resource of the kind asks its table of Fields for."""
        super().__init_subclass__(**more)
        cls.table = Fields(getattr(cls, "fields", ()))
        cls._presets = {field.name: field.given for field in cls.table if field.given is not None}
        cls.reached_by = {field.name: field.given for field in cls.table if field.role is Role.CONNECT}

    def __init__(
        self, options: Mapping[str, Any], *, owner: str = "", applied: Mapping[str, Any] | None = None
    ) -> None:
        """Validate what was given.

        Args:
            options: The options as a task gives them; None means not given.
            owner: The stack that declares it, ``""`` for a single task.
            applied: The options that the owner applied last, where it keeps a record.

        Raises:
            StrataError: An option is wrong; nothing was read or touched.
        """
        self.options = {**self._presets, **{name: value for name, value in options.items() if value is not None}}
        self.owner = owner
        self.applied = dict(applied or {})
        self.promised: frozenset[Thing] = frozenset()
        try:
            self.spec = decode(self.table, self.options)
            self.check()
        except StrataError as error:
            raise error.at(f"{self.kind}/{self.options.get(self.identity)}") from None

    def former(self) -> Resource:
        """This resource as its owner applied it last; as it is declared, where there is no record of that."""
        try:
            return type(self)({**self.options, **self.applied}, owner=self.owner)
        except StrataError:  # by another version, with other words
            return self

    # What a kind fills in.

    def check(self) -> None:
        """Refuse options that don't go together. No I/O."""

    @classmethod
    def connection(cls, spec: Mapping[str, Any]) -> Hashable:
        """What tells the engines of two resources apart (a URI, a path); resources that share it share one."""
        return tuple(map(spec.get, cls.reached_by))

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Any:
        """Connect to the engine.

        Raises:
            StrataError: The engine is missing, too old or not running.
        """
        raise NotImplementedError

    @classmethod
    def read_many(cls, engine: Any, names: Iterable[str] | None) -> dict[str, State]:
        """Observe the named resources, or all that the engine has, in a fixed number of engine calls.

        Kinds that aren't ``listed`` are always asked for names. Names that don't exist may be missing from the answer.
        """
        raise NotImplementedError

    @classmethod
    def owned(cls, engine: Any, owner: str) -> Iterable[str] | None:
        """The names of all that a stack owns; None where telling them takes no less than reading all that there is."""
        return None

    def provides(self) -> Iterable[Thing]:
        """What others may need of it. No I/O."""
        return ()

    def needs(self) -> Iterable[Thing]:
        """What it can't be without, and others may make. No I/O."""
        return [("path", path) for _option, path in self.files()]

    def files(self) -> Iterable[tuple[str, str]]:
        """The files of the host that it is made of: the option that names each, and its path. No I/O."""
        return ()

    def missing(self) -> list[tuple[str, str]]:
        """Those of its files that are neither there nor made before its turn comes by the same stack."""
        return [
            (option, path)
            for option, path in self.files()
            if ("path", path) not in self.promised and not os.path.exists(path)
        ]

    def observe(self, engine: Any, state: State) -> State:
        """Add the facts that this declaration needs (the ID of an image, say). Most kinds need none."""
        return state

    def settings(self, state: State) -> dict[str, Any]:
        """The canonical values that the declaration leads to, by field name."""
        return dict(self.declared)

    def keeps(self, state: State) -> bool:
        """Whether a layered kind stores something beside what runs, where that is a matter of choice. No I/O.

        Where it doesn't, only what runs is compared, and besides only the options that make the choice (NEXT_BOOT).
        """
        return True

    def prunable(self, state: State) -> bool:
        """Whether a stack that made it and no longer declares it may remove it on its own. No I/O.

        What the stack applied last, as far as its record tells, is in ``applied``.
        """
        return True

    def cost(self, change: Change, state: State) -> Effect:
        """What a change costs what runs, where that depends on the values (up to a maximum live, say). No I/O."""
        return change.effect

    def explain(self, engine: Any, state: State) -> str:
        """What the engine knows of why a resource isn't as it was just made, for the error message."""
        return ""

    def advice(self, plan: Plan) -> list[str]:
        """What is done as declared, and may not be what was meant. No I/O."""
        return []

    def outcome(self, state: State) -> dict[str, Any]:
        """What a single task's result has beside what every kind's has. No I/O."""
        return {}

    @classmethod
    def measure(cls, engine: Any, name: str, state: State) -> dict[str, Any]:
        """What it uses right now, for its ``_info`` door alone: converging doesn't need it, and reading it costs."""
        return {}

    @classmethod
    def reached(cls, engine: Any, name: str, state: State) -> dict[str, Any]:
        """How a guest is found: its ``addresses``, its ``networks``, its ``labels``, where it has some."""
        return {}

    def perform(self, engine: Any, step: str, plan: Plan) -> None:
        """Carry out one step of a plan: the method of that name."""
        getattr(self, step)(engine, plan)

    # What follows from the tables.

    @property
    def name(self) -> str:
        return str(self.spec[self.identity])

    @property
    def entry(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def place(self) -> Hashable:
        """What tells it from everything else on its host, also where another engine has something of that name."""
        return self.kind, self.name, self.connection(self.spec)

    @classmethod
    def key(cls, options: Mapping[str, Any]) -> str:
        """What a record calls a resource: its entry, and how it is reached: names may be the same elsewhere."""
        usual = cls.reached_by.items()
        reached = [f"{name}={options[name]}" for name, given in usual if options.get(name) not in (None, given)]
        return " ".join([f"{cls.kind}/{options.get(cls.identity)}", *reached])

    @property
    def target(self) -> str | None:
        """The status that the option ``state`` asks for."""
        return self.states[self.spec.get("state", next(iter(self.states)))]

    @cached_property
    def declared(self) -> Mapping[str, Any]:
        """The settings that were given, and the defaults of those that only the owner's last run gave."""
        return self.declare()

    def declare(self) -> dict[str, Any]:
        """What ``declared`` has."""
        values: dict[str, Any] = {}
        for field in self.table.of([*self.spec, *self.applied]):
            if field.role is not Role.SETTING:
                continue
            now, last = self.spec.get(field.name), self.applied.get(field.name)
            if field.codec.partial and (now is not None or last is not None):
                # The record has options as they were given: nested, maybe, where the canonical keys are flat.
                dropped = {} if last is None else dict.fromkeys(field.codec.parse(last))
                values[field.name] = {**dropped, **(now or {})}
            elif now is not None:
                same = last is None or last == self.options.get(field.name)
                values[field.name] = now if same else field.renewed(now, last)
            elif last is not None:
                values[field.name] = field.default
        return values

    @classmethod
    def field(cls, name: str) -> Field:
        return cls.table.words[name]

    @classmethod
    def argument_spec(cls) -> dict[str, Any]:
        return arguments(cls.fields)

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        """The options that declare what was observed."""
        values = {
            field.name: state.config[field.name]
            for field in cls.fields
            if field.role is Role.SETTING
            and field.export
            and state.config.get(field.name) not in (None, field.default, {}, ())
        }
        options = {cls.identity: name, **encode(cls.fields, values)}
        for word, status in cls.states.items():
            if status == state.status:
                options["state"] = word
                break
        return options

    def settled(self) -> Resource:
        """The same declaration, one that doesn't ask for an interruption on every run: for verifying."""
        once = {"restart": "if_needed", "recreate": "if_needed"}
        options = {**self.options}
        for policy, word in once.items():
            if options.get(policy) == "always":
                options[policy] = word
        return type(self)(options, owner=self.owner, applied=self.applied)

    def plan(self, state: State) -> Plan:
        """What is to be done. Pure: the same declaration and state make the same plan."""
        if self.target == "absent":
            return self._removal(state)
        want = self.settings(state)
        if not state.exists:
            return self._creation(state, want)
        return self._update(state, want)

    def _removal(self, state: State) -> Plan:
        if not state.exists:
            return Plan(state=state)
        change = Change("state", state.status, "absent", Effect.REMOVE)
        return Plan((change,), steps=("remove",), state=state)

    def _creation(self, state: State, want: Mapping[str, Any]) -> Plan:
        fresh = self.fresh_status
        target = self.target or fresh
        changes = [Change("state", "absent", target, Effect.CREATE)]
        for field in self.table.of(want):
            if not (want[field.name] is None or want[field.name] == field.default):
                changes += field.changes(None, want[field.name], Effect.CREATE, Layer.CONFIG)
        steps = ("create", *self._route(fresh, target))
        return Plan(tuple(changes), (), steps, state, want, target)

    @property
    def fresh_status(self) -> str:
        """The status right after ``create``: stopped where the kind can be, else the only one that it has."""
        statuses = [status for status in self.states.values() if status is not None and status != "absent"]
        return "stopped" if "stopped" in statuses else statuses[0]

    def _update(self, state: State, want: Mapping[str, Any]) -> Plan:
        stored: list[Change] = []
        running: list[Change] = []
        deferred: list[Change] = []
        target = self.target or state.status
        busy = state.status in self.busy
        keeps = self.keeps(state)
        for field in self.table.of(want):
            value, effect = want[field.name], field.effect
            cost = self._stored_cost(effect, busy)
            held = field.changes(state.config.get(field.name), value, cost, Layer.CONFIG)
            for change in held if keeps or effect is Effect.NEXT_BOOT else ():
                differs = change if self.layered else replace(change, effect=self.cost(change, state))
                forbidden = differs.effect is Effect.RECREATE and self.spec.get("recreate") == "never"
                (deferred if forbidden else stored).append(differs)
            if state.live is None or effect in (Effect.NEXT_BOOT, Effect.RECREATE) or target not in self.busy:
                continue
            # What can't be read back from the running workload runs as it was stored.
            now = state.live[field.name] if field.name in state.live else state.config.get(field.name)
            for change in field.changes(now, value, effect, Layer.LIVE):
                behind = replace(change, effect=self.cost(change, state))
                forbidden = behind.effect is Effect.RESTART and self.spec.get("restart", "never") == "never"
                (deferred if forbidden else running).append(behind)
        steps = self._steps(stored, running)
        if "recreate" not in steps:
            steps += self._route(state.status, target)
        forced = self._forced(steps, target)
        if self.layered and forced:
            steps = tuple(step for step in steps if step != "update")  # as in _steps
        steps += tuple(change.field for change in forced)
        moved = [] if target == state.status else [Change("state", state.status, target, Effect.LIVE)]
        return Plan((*stored, *running, *moved, *forced), tuple(deferred), steps, state, want, target)

    def _stored_cost(self, effect: Effect, busy: bool) -> Effect:
        """What storing a value costs: where the engine keeps two layers, nothing until the next boot."""
        if not self.layered or effect is Effect.RECREATE:
            return effect
        return Effect.NEXT_BOOT if busy else Effect.LIVE

    def _steps(self, stored: list[Change], running: list[Change]) -> tuple[str, ...]:
        if any(change.effect is Effect.RECREATE for change in stored):
            return ("recreate",)
        steps = []
        if stored:
            steps.append("configure" if self.layered else "update")
        if self.layered and any(change.effect is Effect.RESTART for change in running):
            steps.append("restart")  # what is stored is what comes up: nothing is left to bring in live
        elif any(change.effect is Effect.LIVE for change in running):
            steps.append("update")
        return tuple(steps)

    def _forced(self, steps: tuple[str, ...], target: str) -> list[Change]:
        """The interruptions that were asked for whether needed or not."""
        for policy, effect in (("recreate", Effect.RECREATE), ("restart", Effect.RESTART)):
            fresh = {"recreate", "restart", "start"} & set(steps)
            if self.spec.get(policy) == "always" and not fresh and target in self.busy:
                return [Change(policy, None, "always", effect)]
        return []

    def _route(self, status: str, target: str) -> tuple[str, ...]:
        if status == target:
            return ()
        try:
            return self.moves[status, target]
        except KeyError:
            raise StrataError(f"can't lead from {status} to {target}", option="state", entry=self.entry) from None

    def restart(self, engine: Any, plan: Plan) -> None:
        self.perform(engine, "stop", plan)
        self.perform(engine, "start", plan)


def read_one(resource: Resource, engine: Any) -> State:
    """The observed state of one resource."""
    found = type(resource).read_many(engine, [resource.name])
    return resource.observe(engine, found.get(resource.name, ABSENT))
