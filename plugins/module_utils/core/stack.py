# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many resources to one result: validated first, read in bulk, applied by rank and in parallel, owned and pruned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from . import record
from .converge import carry_out, describe, verify
from .entries import Entry, Kinds, read_entries
from .errors import Errors, StrataError
from .plan import ABSENT, Plan, State
from .resource import Resource, Thing


@dataclass(eq=False)  # one of its kind, whatever it holds
class Item:
    """One resource on its way through a stack."""

    resource: Resource
    engine: Any = None
    plan: Plan = field(default_factory=Plan)
    error: StrataError | None = None
    pruned: bool = False
    state: State = ABSENT
    after: list[Item] = field(default_factory=list)

    @cached_property
    def key(self) -> str:
        """What the record calls it."""
        return self.resource.key(self.resource.options)

    @cached_property
    def kept(self) -> dict[str, Any]:
        """Its options as the record has them."""
        return record.options(self.resource)

    def as_result(self) -> dict[str, Any]:
        shown = {"kind": self.resource.kind, "name": self.resource.name, **describe(self.resource, self.plan)}
        if self.pruned:
            shown["pruned"] = True
        if self.error is not None:
            shown["error"] = str(self.error)
        return shown


def _reach(resource: Resource) -> Hashable:
    """What is read together: a kind, on one engine."""
    return type(resource), resource.connection(resource.spec)


class Stack:
    """A host's declared resources.

    Args:
        name: The owner of what it creates.
        entries: ``{kind: options}``, one kind an entry.
        kinds: Finds a kind by its name; None where there is none.
        known: The names of all kinds, for the error message.
        prune: Whether what this stack made and no longer declares is removed.
        parallel: How many resources of a rank are applied at a time.

    Raises:
        Errors: Entries are wrong; all of them are named and nothing was read.
    """

    def __init__(
        self,
        name: str,
        entries: Sequence[Mapping[str, Any]],
        kinds: Kinds,
        known: Iterable[str],
        *,
        prune: bool = False,
        parallel: int = 4,
    ) -> None:
        self.name = name
        self.kinds = kinds
        self.known = sorted(known)
        self.prune = prune
        self.parallel = parallel
        kept = record.load(name)
        self.record, self.lost = kept or {}, kept is None
        self.stored = self.record
        self.unreached: set[str] = set()
        self.engines: dict[Hashable, Any] = {}
        self.found: dict[Hashable, dict[str, State]] = {}
        self.items = self._validated(entries)
        self._tie()

    # Validation.

    def _validated(self, entries: Sequence[Mapping[str, Any]]) -> list[Item]:
        items: list[Item] = []
        errors: list[StrataError] = []
        seen: set[Hashable] = set()
        for place, entry in enumerate(read_entries(entries, self.kinds, self.known)):
            try:
                item = Item(self._resource(entry))
                if item.resource.place in seen:
                    raise StrataError("is declared twice", hint="Merge the two entries", entry=item.resource.entry)
                seen.add(item.resource.place)
                items.append(item)
            except StrataError as error:
                error.entry = f"resources[{place}] {error.entry or ''}".strip()
                errors.append(error)
        if errors:
            raise Errors(errors)
        return items

    def _resource(self, entry: Entry | StrataError) -> Resource:
        if isinstance(entry, StrataError):
            raise entry
        _word, kind, given = entry
        # An entry is a whole declaration: what it gave last time and gives no more goes back to its default.
        return kind(given, owner=self.name, applied=self.record.get(kind.key(given)))

    def _tie(self) -> None:
        """Let each resource know what those before it make of what it needs."""
        makers = {
            thing: item for item in self.items if item.resource.target != "absent" for thing in item.resource.provides()
        }
        for item in self.items:
            needed = [thing for thing in item.resource.needs() if thing in makers]
            needed = [thing for thing in needed if makers[thing].resource.rank <= item.resource.rank]
            needed = [thing for thing in needed if makers[thing] is not item]
            item.resource.promised = frozenset(needed)
            item.after = [makers[thing] for thing in needed]

    @staticmethod
    def _tie_removals(removals: Sequence[Item]) -> None:
        """Let what goes wait for those that it was declared to hold."""
        users: dict[Thing, list[Item]] = defaultdict(list)
        for item in removals:
            for thing in item.resource.former().needs():
                users[thing].append(item)
        for item in removals:
            item.after = [
                user for thing in item.resource.former().provides() for user in users[thing] if user is not item
            ]

    # Reading and planning.

    def read(self) -> None:
        """Open the engines, read each kind in bulk, and plan every resource."""
        for group in self._groups():
            try:
                self._observe(group)
            except StrataError as error:
                for item in group:
                    item.error = error.about(item.resource.entry)
        if self.prune:
            self.items += self._orphans()

    def _groups(self) -> list[list[Item]]:
        """The items that are read together."""
        groups: dict[Hashable, list[Item]] = defaultdict(list)
        for item in self.items:
            if item.error is None:
                groups[_reach(item.resource)].append(item)
        return list(groups.values())

    def _engine(self, resource: Resource) -> Any:
        key = (type(resource).open, resource.connection(resource.spec))
        if key not in self.engines:
            self.engines[key] = type(resource).open(resource.spec)
        return self.engines[key]

    def _asked(self, sample: Resource, engine: Any, declared: Iterable[str]) -> list[str] | None:
        """Whom to read: with ``prune`` everything that may be this stack's, too."""
        if not self.prune:
            return list(declared)
        owned = type(sample).owned(engine, self.name) if sample.listed else record.names(self.record, type(sample))
        return None if owned is None else sorted({*declared, *owned})

    def _observe(self, group: list[Item]) -> None:
        sample = group[0].resource
        engine = self._engine(sample)
        names = self._asked(sample, engine, [item.resource.name for item in group])
        found = self.found[_reach(sample)] = type(sample).read_many(engine, names)
        for item in group:
            item.engine = engine
            try:
                item.plan = self._plan(item.resource, engine, found.get(item.resource.name, ABSENT))
            except StrataError as error:
                item.error = error.at(item.resource.entry)

    def _plan(self, resource: Resource, engine: Any, state: State) -> Plan:
        if state.owner not in (None, "", self.name):
            raise StrataError(f"belongs to the stack {state.owner!r}", hint="Remove it there first")
        return resource.plan(resource.observe(engine, state))

    def _orphans(self) -> list[Item]:
        """What this stack made and no longer declares."""
        declared = {item.resource.place for item in self.items}
        orphans = []
        for probe in self._probes():
            kind, engine = type(probe), self._engine(probe)
            if _reach(probe) not in self.found:
                self.found[_reach(probe)] = kind.read_many(engine, self._asked(probe, engine, ()))
            reach = probe.connection(probe.spec)
            for name, state in self.found[_reach(probe)].items():
                if state.exists and state.owner == self.name and (kind.kind, name, reach) not in declared:
                    options = {**probe.options, kind.identity: name, "state": "absent"}
                    gone = kind(options, owner=self.name, applied=self.record.get(kind.key(options)))
                    if gone.prunable(state):
                        orphans.append(Item(gone, engine, pruned=True, state=state))
        # By what the kind makes of a name, too.
        orphans = [item for item in orphans if item.resource.place not in declared]
        for item in orphans:
            try:
                item.plan = item.resource.plan(item.state)
            except StrataError as error:
                item.error = error.at(item.resource.entry)
        return orphans

    def _probes(self) -> list[Resource]:
        """One resource for each engine that may hold something of this stack's."""
        items = [(item.resource.kind, item.resource.options) for item in self.items]
        items += [(entry.partition("/")[0], options) for entry, options in self.record.items()]
        if self.lost:  # or never was: what the engines themselves have noted still counts
            items += [(word, {}) for word in self.known]
        probes: dict[Hashable, Resource] = {}
        seen: set[Hashable] = set()
        for word, options in items:
            kind = self.kinds(word)
            if kind is None:
                continue
            reach = {name: options[name] for name in kind.reached_by if options.get(name) is not None}
            if (kind, str(reach)) in seen:
                continue
            seen.add((kind, str(reach)))
            probe = kind({kind.identity: kind.sample, "state": "absent", **reach})
            try:
                self._engine(probe)
            except StrataError:  # it is an error where it is declared; else what it may hold is looked for another time
                self.unreached.add(word)
                continue
            probes.setdefault(_reach(probe), probe)
        return list(probes.values())

    # Applying.

    def apply(self) -> None:
        """Carry out the plans: what goes first, in reverse order, then the rest, rank by rank."""
        self._write_ahead()
        removals = [item for item in self.items if item.resource.target == "absent"]
        self._tie_removals(removals)
        for rank in sorted({item.resource.rank for item in removals}, reverse=True):
            self._apply_rank([item for item in removals if item.resource.rank == rank])
        others = [item for item in self.items if item.resource.target != "absent"]
        for rank in sorted({item.resource.rank for item in others}):
            self._apply_rank([item for item in others if item.resource.rank == rank])
        self._verify()
        self._settle()

    def _apply_rank(self, items: list[Item]) -> None:
        """One rank, those first that others of it need."""
        due = [item for item in items if item.plan and item.error is None]
        while due:
            waiting = set(due)
            ready = [item for item in due if waiting.isdisjoint(item.after)]
            ready = ready or due  # each needs another one: the engine has the word that says what is wrong
            self._apply_together(ready)
            waiting.difference_update(ready)
            due = [item for item in due if item in waiting]

    def _apply_together(self, due: list[Item]) -> None:
        if len(due) == 1 or self.parallel == 1:
            for item in due:
                self._carry_out(item)
        else:
            with ThreadPoolExecutor(max_workers=self.parallel) as pool:
                list(pool.map(self._carry_out, due))

    @staticmethod
    def _carry_out(item: Item) -> None:
        try:
            for maker in item.after:
                if maker.error is not None:
                    raise StrataError(f"waits for {maker.resource.entry}, which failed", entry=item.resource.entry)
            carry_out(item.resource, item.engine, item.plan)
        except StrataError as error:
            item.error = error

    def _verify(self) -> None:
        """Read again in bulk and plan again: what changed must now be as declared."""
        for group in self._groups():
            due = [item for item in group if item.plan]
            if not due:
                continue
            kind = type(due[0].resource)
            found = kind.read_many(due[0].engine, [item.resource.name for item in due])
            for item in due:
                try:
                    state = found.get(item.resource.name, ABSENT)
                    verify(item.resource, item.engine, item.resource.observe(item.engine, state))
                except StrataError as error:
                    item.error = error.at(item.resource.entry)

    # The record.

    def _write_ahead(self) -> None:
        """Note what is about to be given, beside what was: a run that is killed leaves nothing unknown."""
        ahead = dict(self.record)
        for item in self.items:
            if not item.pruned:
                ahead[item.key] = {**self.record.get(item.key, {}), **item.kept}
        self._save(ahead)

    def _settle(self) -> None:
        settled = {
            item.key: item.kept if item.error is None else {**self.record.get(item.key, {}), **item.kept}
            for item in self.items
            if not item.pruned or item.error is not None
        }
        # What is no longer declared stays this stack's, until a run prunes it.
        stays = {key: kept for key, kept in self.record.items() if key.partition("/")[0] in self.unreached}
        settled = {**(stays if self.prune else self.record), **settled}
        self._save(settled, whole=self.prune and not self.unreached)

    def _save(self, resources: dict[str, dict[str, Any]], *, whole: bool = False) -> None:
        if resources != self.stored or not resources:
            record.save(self.name, resources, whole=whole)
            self.stored = resources

    # The result.

    @property
    def errors(self) -> list[StrataError]:
        return [item.error for item in self.items if item.error is not None]

    def result(self) -> dict[str, Any]:
        """One result a resource, and the plan as a diff."""
        shown = [item.as_result() for item in self.items]
        told = [f"{one['kind']}/{one['name']}: {text}" for one in shown for text in one.get("advice", ())]
        return {
            **({"advice": told} if told else {}),
            "changed": any(bool(item.plan) for item in self.items),
            "resources": shown,
            "restart_required": sorted(item.resource.entry for item in self.items if item.plan.deferred),
            "errors": [str(error) for error in self.errors],
            "diff": [item.plan.diff(item.resource.entry) for item in self.items if item.plan],
        }
