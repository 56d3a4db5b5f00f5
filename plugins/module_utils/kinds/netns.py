# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named network namespaces, with the links, routes, rules and parameters in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..core import policy
from ..core.codec import BOOL, TEXTS, Codec, parse_name
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Layer, Plan, State
from ..core.resource import Resource, Thing
from ..engines import bootunit, namespaces, netlink, routes, systemd
from ..engines.links import HOST, View, World
from ..engines.netlink import Netlink
from . import link_fields, link_steps, netns_fields, netns_unit

OWNED = "strata.virt netns owner="
"""What begins the alias of a namespace's lo: a namespace has no text of its own, and lo lives as long as it does."""

ROW = "strata.virt netns link"
"""The alias of the links that are rows of a namespace. Others in it are somebody else's, or resources of their own."""


class Netns(Resource):
    kind = "netns"
    rank = 10  # as links have: what of either needs the other comes after it
    fields = (
        policy.name(Codec(parse_name)),
        policy.state("present", "absent"),
        Field("links", link_fields.row(), effect=Effect.LIVE, default=()),
        Field("routes", netns_fields.ROUTES, effect=Effect.LIVE, default=()),
        Field("rules", netns_fields.RULES, effect=Effect.LIVE, default=()),
        Field("sysctls", netns_fields.SYSCTLS, effect=Effect.LIVE, default={}),
        Field("loopback", BOOL, effect=Effect.LIVE, default=False, given=True),
        Field("persistent", BOOL, effect=Effect.LIVE, default=False),
        # The commands of the unit that makes it at boot, beside what is there.
        Field("stored", TEXTS, effect=Effect.NEXT_BOOT, default=(), role=Role.DERIVED),
    )
    states = {"present": "present", "absent": "absent"}

    # What was declared.

    def check(self) -> None:
        for row in self.spec.get("links", ()):
            try:
                if row["name"] == "lo":
                    raise StrataError("is the namespace's own: see loopback", option="name", value="lo")
                link_fields.check(row["name"], row)
            except StrataError as error:
                error.option = f"links[{row['name']}].{error.option}"
                raise

    def provides(self) -> Iterable[Thing]:
        yield "netns", self.name
        for row in self.spec.get("links", ()):
            yield "link", f"{self.name}/{row['name']}"
            if row.get("peer"):
                yield "link", f"{row['peer'].get('netns', '')}/{row['peer']['name']}"

    def needs(self) -> Iterable[Thing]:
        for row in self.spec.get("links", ()):
            if row.get("parent"):
                yield "link", f"/{row['parent']}"
            peer = row.get("peer") or {}
            if peer.get("master"):
                yield "link", f"{peer['netns']}/{peer['master']}"
            if peer.get("netns"):
                yield "netns", peer["netns"]

    def settings(self, state: State) -> dict[str, Any]:
        want = super().settings(state)
        for option, name in state.facts.get("missing", ()):
            raise link_fields.lacking(option, name)
        if "persistent" in want:
            want["stored"] = self._stored(state) if want["persistent"] else ()
        if want.get("links"):
            seen = {row["name"]: row for row in state.config.get("links", ())}
            want["links"] = tuple(self._row(row, seen.get(row["name"])) for row in want["links"])
        if want.get("sysctls"):
            usual = state.facts.get("usual", {})
            values = {key: usual.get(key) if value is None else value for key, value in want["sysctls"].items()}
            want["sysctls"] = {key: value for key, value in values.items() if value is not None}
        return want

    def _stored(self, state: State) -> tuple[str, ...]:
        """The commands that make it at boot."""
        if not state.facts.get("booted"):
            raise StrataError("needs a unit of systemd, which does not run this host", option="persistent")
        alias = OWNED + (self.owner if state.owner is None else state.owner)
        return netns_unit.commands(self.name, self._whole(state), alias, ROW)

    def _whole(self, state: State) -> dict[str, Any]:
        """All that the next boot is to make: what is declared, and where nothing is, what is there."""
        seen = {**state.config, "links": [netns_unit.plain(row) for row in state.config.get("links", ())]}
        values = {**seen, **{option: value for option, value in self.declared.items() if value is not None}}
        try:
            rows = [link_fields.complete(link_fields.wanted(dict(row), {})) for row in values["links"]]
        except StrataError as error:
            raise StrataError(f"one {error}", option="links") from None
        links = tuple(_in_order({row["name"]: row for row in rows}))
        within = set(state.facts.get("links", ())) | {row["name"] for row in links}
        within |= {row["peer"]["name"] for row in links if _peer(row).get("netns") == self.name}
        return {**values, "links": links, "within": within}

    def _row(self, row: Mapping[str, Any], seen: Mapping[str, Any] | None) -> dict[str, Any]:
        """A row as it is observed: what it doesn't say of what it has settings for stays as it is."""
        want = link_fields.wanted(dict(row), seen or {})
        if seen is None:
            try:
                return link_fields.complete(want)
            except StrataError as error:
                error.option = f"links[{row['name']}].{error.option}"
                raise
        same = want.get("type", seen["type"]) == seen["type"]
        return {
            key: {**(seen.get(key) or {}), **value} if isinstance(value, dict) and same else value
            for key, value in want.items()
        }

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> World:
        return World()

    @classmethod
    def read_many(cls, engine: World, names: Iterable[str] | None) -> dict[str, State]:
        view = engine.look(routed=True)
        asked = {*engine.names(), *netns_unit.names()} if names is None else names
        states = {name: cls._state(engine, view, name) for name in asked}
        return {name: state for name, state in states.items() if state is not None}

    @classmethod
    def _state(cls, engine: World, view: View, name: str) -> State | None:
        there = view.of(name)
        path = namespaces.path(name)
        kept = netns_unit.read(name)
        if there is None:  # a file without a namespace, a unit that makes one at the next boot, or nothing
            left = {"stale": path} if engine.stale(name) else {}
            left.update({"unit": netns_unit.unit(name)} if kept else {})
            return State(facts=left, owner=kept.owner if kept else None) if left else None
        lo = there.names.get("lo", {})
        alias = str(lo.get("IFLA_IFALIAS") or "")
        rows = [{"name": link, **view.values(name, raw)} for link, raw in sorted(there.names.items()) if link != "lo"]
        found = [routes.route(raw, there.name) for raw in there.routes]
        rules = [routes.rule(raw) for raw in there.rules]
        config = {
            "links": tuple(row for row in rows if row["alias"] == ROW),
            "routes": tuple(row for row in found if row is not None),
            "rules": tuple(row for row in rules if row is not None),
            "loopback": bool(lo.get("flags", 0) & 1),
            "persistent": kept is not None and kept.enabled,
            "stored": kept.commands if kept else (),
        }
        others = [row for row in rows if row["alias"] != ROW]
        facts = {"path": path, "id": there.identity, "links": sorted(there.names), "others": others}
        owner = alias[len(OWNED) :] if alias.startswith(OWNED) else None
        return State("present", config, facts=facts, owner=owner)

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        options = super().export(name, state)
        for table in ("links", "routes", "rules"):
            if table in options:
                options[table] = [link_fields.portable(row) for row in options[table]]
        return options

    def observe(self, engine: World, state: State) -> State:
        if self.target == "absent":
            return state
        config = dict(state.config)
        facts: dict[str, Any] = {**state.facts, "missing": self._missing(engine.latest)}
        declared = {row["name"] for row in self.spec.get("links", ())}
        adopted = [row for row in facts.get("others", ()) if row["name"] in declared]
        config["links"] = (*config.get("links", ()), *adopted)
        keys = sorted(self.declared.get("sysctls") or {})
        if keys and state.exists:
            config["sysctls"] = engine.sysctls(self.name, keys)
        dropped = [key for key, value in (self.declared.get("sysctls") or {}).items() if value is None]
        facts["booted"] = systemd.booted()
        if dropped:
            facts["usual"] = engine.usual_sysctls(dropped)
        return replace(state, config=config, facts=facts)

    def _missing(self, view: View) -> list[tuple[str, str]]:
        """What its links are tied to that is neither there, nor made by itself or before its turn comes."""
        missing = []
        made = self.promised | set(self.provides())
        for row in self.spec.get("links", ()):
            peer = row.get("peer") or {}
            room = peer.get("netns", HOST)
            if room and ("netns", room) not in made and view.of(room) is None:
                missing.append((f"links[{row['name']}].peer.netns", room))
            needed = [
                ("master", row.get("master"), [self.name]),
                ("parent", row.get("parent"), [self.name, HOST]),
                ("peer.master", peer.get("master"), [room]),
            ]
            for option, name, places in needed:
                if not name or any(("link", f"{place}/{name}") in made for place in places):
                    continue
                there = [view.of(place) for place in places]
                if not any(one is not None and name in one.names for one in there):
                    missing.append((f"links[{row['name']}].{option}", name))
        return missing

    # What is to be done.

    def plan(self, state: State) -> Plan:
        if self.target == "absent" and not state.exists and state.facts:
            told = tuple(
                Change(what, state.facts[what], None, Effect.REMOVE)
                for what in ("stale", "unit")
                if what in state.facts
            )
            return Plan(told, steps=("remove",), state=state)
        return super().plan(state)

    def create(self, engine: World, plan: Plan) -> None:
        def owned(socket: Netlink) -> None:
            """Before it has a name, so that none is ever without an owner."""
            socket.tell(netlink.NEWLINK, {"IFLA_IFALIAS": OWNED + self.owner}, index=1)

        namespaces.create(self.name, owned)
        self._apply(engine, plan.want, {})
        self._keep(plan)

    def update(self, engine: World, plan: Plan) -> None:
        values = plan.of(Layer.CONFIG)
        self._apply(engine, values, plan.state.config, plan.want)
        if "persistent" in values or "stored" in values:
            self._keep(plan)

    def _keep(self, plan: Plan) -> None:
        if plan.want.get("persistent"):
            owner = self.owner if plan.state.owner is None else plan.state.owner
            netns_unit.store(self.name, plan.want["stored"], owner, self._whole(plan.state))
        elif "persistent" in plan.want:
            bootunit.drop(netns_unit.unit(self.name))

    def _apply(
        self,
        engine: World,
        values: Mapping[str, Any],
        had: Mapping[str, Any],
        whole: Mapping[str, Any] | None = None,
    ) -> None:
        """Bring in these values; ``whole`` are all that are declared, for what depends on what changes."""
        if values.get("loopback") is not None:
            engine.configure(self.name, "lo", None, {"up": values["loopback"]}, ())
        later = self._set_sysctls(values.get("sysctls") or {}, retry=True)
        if "links" in values:
            self._set_links(engine, values["links"] or (), had.get("links", ()))
        self._set_sysctls(later, retry=False)
        # Routes go with links and addresses: those that are declared are there again afterwards.
        rows = (whole or values).get("routes") if "links" in values else values.get("routes")
        if rows is not None or "routes" in values:
            self._set_routes(engine, rows or (), had.get("routes", ()))
        if "rules" in values:
            self._set_rules(engine, values["rules"] or (), had.get("rules", ()))

    def _set_sysctls(self, values: Mapping[str, str], retry: bool) -> dict[str, str]:
        """Set parameters; those of links that aren't there yet come back."""
        there = namespaces.sysctls(self.name, sorted(values)) if values and retry else dict.fromkeys(values, "")
        for key, value in values.items():
            if there[key] is not None and there[key] != value:
                namespaces.set_sysctl(self.name, key, value)
        return {key: value for key, value in values.items() if there[key] is None}

    def _set_links(self, engine: World, rows: Iterable[Mapping[str, Any]], had: Iterable[Mapping[str, Any]]) -> None:
        before = {row["name"]: row for row in had}
        wanted = {row["name"]: row for row in rows}
        for name in before:
            if name not in wanted:
                engine.remove(self.name, name)
        for row in _in_order(wanted):
            try:
                self._set_link(engine, row, before.get(row["name"]))
            except StrataError as error:
                error.option = f"links[{row['name']}].{error.option or 'name'}"
                raise

    def _set_link(self, engine: World, row: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
        name = row["name"]
        if old is None:
            link_steps.make(engine, self.name, name, row, ROW)
            return
        changes = list(link_fields.differences(row, old))
        if any(link_fields.dear(change.field, change.key, change.after) for change in changes):
            link_steps.anew(engine, self.name, name, row, old, old["alias"] or ROW)
        elif changes:
            fields = {change.field for change in changes}
            link_steps.adjust(engine, self.name, name, {key: row[key] for key in fields}, old)

    def _set_routes(self, engine: World, rows: Iterable[Mapping[str, Any]], had: Iterable[Mapping[str, Any]]) -> None:
        wanted = {netns_fields.route_key(row): row for row in rows}
        with engine.at(self.name) as socket:
            for row in had:
                if netns_fields.route_key(row) not in wanted:
                    routes.drop_route(socket, row, lambda name: engine.index(socket, name))
            # Gateways are reached through routes without one.
            for row in sorted(wanted.values(), key=lambda one: bool(one.get("via"))):
                try:
                    routes.set_route(socket, row, lambda name: engine.index(socket, name))
                except StrataError as error:
                    raise StrataError(
                        f"the kernel refuses it: {error.message}", option=f"routes[{netns_fields.route_key(row)}]"
                    ) from None

    def _set_rules(self, engine: World, rows: Iterable[Mapping[str, Any]], had: Iterable[Mapping[str, Any]]) -> None:
        before = {netns_fields.rule_key(row): row for row in had}
        wanted = {netns_fields.rule_key(row): row for row in rows}
        with engine.at(self.name) as socket:
            for key, row in before.items():
                if wanted.get(key) != row:
                    routes.drop_rule(socket, row)
            for key, row in wanted.items():
                if before.get(key) != row:
                    routes.set_rule(socket, row)

    def remove(self, engine: World, plan: Plan) -> None:
        bootunit.drop(netns_unit.unit(self.name))  # first: nothing may make it again meanwhile
        # The kernel takes a namespace down in its own time, and its pairs with it: their other ends would linger.
        for row in plan.state.config.get("links", ()):
            engine.remove(self.name, row["name"])
        namespaces.remove(self.name)


def _in_order(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Rows, each after those that it is tied to."""
    waiting = dict(rows)
    while waiting:
        makers = {end: name for name, row in waiting.items() for end in (name, _peer(row).get("name"))}
        ready = [name for name, row in waiting.items() if {makers.get(end, name) for end in _ties(row)} <= {name}]
        for name in ready or list(waiting):
            yield waiting.pop(name)


def _ties(row: Mapping[str, Any]) -> list[str]:
    ties = (row.get("parent"), row.get("master"), _peer(row).get("master"))
    return [name for name in ties if name]


def _peer(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return row.get("peer") or {}
