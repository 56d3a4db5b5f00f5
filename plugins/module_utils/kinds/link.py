# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network links: bridges, veth pairs, vlans and the like, on the host or in a named network namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import policy
from ..core.codec import BOOL, SETTINGS, Codec, parse_name
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Layer, Plan, State
from ..core.resource import Resource, Thing
from ..engines import link_values, networkd
from ..engines.links import View, World
from . import link_fields, link_steps

OWNED = "strata.virt owner="
"""What begins the alias of a link (ip-link(8)) that was made here.

The alias is the one text that the kernel keeps with a link, and every tool shows it. A link that has somebody else's
stays nobody's: it is converged, and never pruned.
"""


class Link(Resource):
    kind = "link"
    rank = 10
    fields = (
        policy.name(link_fields.IFNAME),
        policy.state("present", "absent"),
        policy.recreate(),
        Field("netns", Codec(parse_name), role=Role.CONNECT),
        *link_fields.FIELDS,
        Field("persistent", BOOL, effect=Effect.LIVE, default=False),
        # What the files of systemd-networkd say, beside what runs.
        Field("stored", SETTINGS, effect=Effect.NEXT_BOOT, default={}, role=Role.DERIVED),
    )
    states = {"present": "present", "absent": "absent"}
    busy = frozenset({"present"})

    # What was declared.

    def check(self) -> None:
        if self.target == "absent":
            return
        link_fields.check(self.name, self.spec)
        if not self.spec.get("persistent"):
            return
        away = (self.spec.get("peer") or {}).get("netns")
        if self.spec.get("netns") or away:
            raise StrataError(
                "is for links of the host: systemd-networkd doesn't look into other namespaces", option="persistent"
            )
        if "type" not in self.spec:
            raise StrataError("is required for a link that is to be persistent", option="type")

    @property
    def netns(self) -> str:
        return str(self.spec.get("netns") or "")

    def provides(self) -> Iterable[Thing]:
        peer = self.spec.get("peer") or {}
        here = [("link", f"{self.netns}/{self.name}")]
        return [*here, ("link", f"{peer.get('netns', '')}/{peer['name']}")] if peer else here

    def needs(self) -> Iterable[Thing]:
        peer = self.spec.get("peer") or {}
        for name in ("parent", "master"):
            if self.spec.get(name):
                yield "link", f"{self.netns}/{self.spec[name]}"
        if self.spec.get("parent"):
            yield "link", f"/{self.spec['parent']}"
        if peer.get("master"):
            yield "link", f"{peer.get('netns', '')}/{peer['master']}"
        for netns in (self.netns, peer.get("netns")):
            if netns:
                yield "netns", netns

    def settings(self, state: State) -> dict[str, Any]:
        want = link_fields.wanted(super().settings(state), state.config)
        for option, name in state.facts.get("missing", ()):
            raise link_fields.lacking(option, name)
        if not state.exists:
            want = link_fields.complete(want)
        if "persistent" in want:
            stored = self._stored(want, state) if want["persistent"] else {}
            there = state.config.get("stored", {})
            want["stored"] = {**dict.fromkeys(there), **stored}
        return want

    def _stored(self, want: Mapping[str, Any], state: State) -> dict[str, str]:
        if not state.facts.get("networkd"):
            raise StrataError(
                "needs systemd-networkd, which does not run on this host",
                option="persistent",
                hint="Enable it (systemctl enable --now systemd-networkd), or leave the option out",
            )
        given = {**want, "type": want.get("type") or state.config.get("type")}
        if given["type"] == "vxlan":  # networkd's own default is the kernel's, which is none of the standard
            usual = {**link_fields.defaults("vxlan"), **(state.config.get("vxlan") or {})}
            given["vxlan"] = {"port": usual["port"], **(given.get("vxlan") or {})}
        if given.get("parent") and not state.facts["networkd"].get("parent"):
            raise StrataError(
                f"needs systemd-networkd to manage {given['parent']}, and it does not",
                option="persistent",
                hint=f"Declare {given['parent']} with persistent: true, too",
            )
        return networkd.render(self.name, given, state.facts["networkd"])

    def cost(self, change: Change, state: State) -> Effect:
        return Effect.RECREATE if link_fields.dear(change.field, change.key, change.after) else change.effect

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> World:
        return World(str(spec.get("netns") or ""))

    @classmethod
    def read_many(cls, engine: World, names: Iterable[str] | None) -> dict[str, State]:
        view = engine.look()
        here = view.of(engine.netns)
        links = {} if here is None else here.names
        files = {} if engine.netns else networkd.stored()
        asked = {*links, *files} if names is None else set(names)
        found = {}
        for name in asked:
            stored = files.get(name)
            if name in links:
                found[name] = cls._state(view.values(engine.netns, links[name]), links[name], stored)
            elif stored:  # it will be back at the next boot
                found[name] = State(facts={"left": sorted(stored.paths)}, owner=stored.owner)
        return found

    @classmethod
    def owned(cls, engine: World, owner: str) -> list[str]:
        stored = {} if engine.netns else networkd.stored()
        return [*engine.marked(OWNED + owner), *(name for name, files in stored.items() if files.owner == owner)]

    @classmethod
    def _state(cls, values: Mapping[str, Any], raw: Mapping[str, Any], stored: networkd.Stored | None) -> State:
        config = {**values, "persistent": stored is not None, "stored": stored.values if stored else {}}
        alias = str(values["alias"])
        owner = alias[len(OWNED) :] if alias.startswith(OWNED) else None
        if owner is None and stored:
            owner = stored.owner
        facts = {
            "index": raw["index"],
            "link_locals": list(values["link_locals"]),
            "alias": alias,
            "mac": values["mac"],
        }
        if values["type"] not in link_fields.TYPES:
            config["type"] = None
        return State("present", config, facts=facts, owner=owner)

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        options = super().export(name, state)
        if "peer" in options:
            options["peer"] = link_fields.portable(options["peer"])
        return options

    def observe(self, engine: World, state: State) -> State:
        if self.target == "absent":
            return state
        facts: dict[str, Any] = {**state.facts, "missing": self._missing(engine.latest)}
        if self.spec.get("persistent") and networkd.running():
            facts["networkd"] = self._around(engine.latest)
        return replace(state, facts=facts)

    def _around(self, view: View) -> dict[str, Any]:
        """What the files of systemd-networkd say of the links that this one is tied to."""
        here = view.of("")
        links = {} if here is None else here.names
        peer = self.spec.get("peer") or {}
        around: dict[str, Any] = {"ready": True}
        for option, name in (("master", self.spec.get("master")), ("peer.master", peer.get("master"))):
            if name in links:
                around[option] = link_values.kind_of(links[name])
        parent = self.spec.get("parent")
        if parent in links and parent not in networkd.stored():
            around["parent"] = networkd.network_file(links[parent]["index"])
        elif parent:
            around["parent"] = networkd.own_file(parent)  # there, or made before it by the same stack
        return around

    def _missing(self, view: View) -> list[tuple[str, str]]:
        peer = self.spec.get("peer") or {}
        needed = [("master", self.spec.get("master"), [self.netns])]
        needed += [("parent", self.spec.get("parent"), [self.netns, ""])]
        needed += [("peer.master", peer.get("master"), [peer.get("netns", "")])]
        rooms = [("netns", self.netns), ("peer.netns", peer.get("netns"))]
        missing = [
            (option, netns)
            for option, netns in rooms
            if netns and ("netns", netns) not in self.promised and view.of(netns) is None
        ]
        for option, name, places in needed:
            if not name or any(("link", f"{place}/{name}") in self.promised for place in places):
                continue
            snapshots = [view.of(place) for place in places]
            if not any(snapshot is not None and name in snapshot.names for snapshot in snapshots):
                missing.append((option, name))
        return missing

    # What is to be done.

    def plan(self, state: State) -> Plan:
        left = state.facts.get("left")
        if left and self.target == "absent" and not state.exists:
            told = Change("stored", left, None, Effect.REMOVE)
            return Plan((told,), steps=("forget",), state=state)
        return super().plan(state)

    def create(self, engine: World, plan: Plan) -> None:
        link_steps.make(engine, self.netns, self.name, plan.want, OWNED + self.owner)
        self._store(plan)

    def update(self, engine: World, plan: Plan) -> None:
        link_steps.adjust(engine, self.netns, self.name, plan.of(Layer.CONFIG), plan.state.config)
        self._store(plan)

    def _store(self, plan: Plan) -> None:
        if "stored" in plan.of(Layer.CONFIG) or "persistent" in plan.of(Layer.CONFIG):
            wanted = {key: value for key, value in plan.want["stored"].items() if value is not None}
            networkd.store(self.name, wanted, self.owner)

    def recreate(self, engine: World, plan: Plan) -> None:
        alias = plan.state.config["alias"] if plan.state.owner is None else OWNED + self.owner
        link_steps.anew(engine, self.netns, self.name, plan.want, plan.state.config, alias)
        self._store(plan)

    def remove(self, engine: World, plan: Plan) -> None:
        self.forget(engine, plan)  # first: nothing may make it again meanwhile
        engine.remove(self.netns, self.name)

    def forget(self, engine: World, plan: Plan) -> None:
        if not self.netns:
            networkd.forget(self.name)
