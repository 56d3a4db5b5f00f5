# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network filters of libvirt: what the cards of its domains may send and receive."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import policy
from ..core.codec import INT, LINE
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Plan, State
from ..core.resource import Thing
from ..engines import domain_xml
from ..engines.domain_xml import Leaf
from ..engines.libvirt_filters import OWN, Filters
from ..engines.libvirt_uri import DEFAULT
from ..engines.xml_leaves import Leaves
from . import libvirt_nwfilter_fields as words
from . import libvirt_xml
from .libvirt_stored import LibvirtDefined


class LibvirtNwfilter(LibvirtDefined):
    kind = "libvirt_nwfilter"
    rank = 45
    tag = "filter"
    named = "@name"
    skeleton = "<filter/>"
    states = {"present": "present", "absent": "absent"}
    fields = (
        policy.name(),
        policy.state("present", "absent"),
        Field("uri", LINE, role=Role.CONNECT, given=DEFAULT),
        Field("chain", LINE, Leaf("", "chain"), Effect.LIVE, default="root"),
        Field("priority", INT, Leaf("", "priority", int), Effect.LIVE, check=words.check_priority),
        Field("rules", words.RULES, words.Rules(), Effect.LIVE, default=()),
        libvirt_xml.field(Leaves(told=r"(rule|filterref)\b.*"), Effect.LIVE),
    )

    # What was declared.

    @property
    def _parts(self) -> list[str]:
        return [row["filterref"] for row in self.spec.get("rules", ()) if row["filterref"] is not None]

    def needs(self) -> list[Thing]:
        return [(self.kind, name) for name in self._parts]

    def fresh(self) -> ET.Element:
        root = domain_xml.parse(self.skeleton)
        root.set("name", self.name)
        return root

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Filters:
        return Filters(spec.get("uri") or DEFAULT)

    @classmethod
    def read_many(cls, engine: Filters, names: Iterable[str] | None) -> dict[str, State]:
        return {name: cls.state_of(xml, engine) for name, xml in engine.filters(names).items()}

    @classmethod
    def state_of(cls, xml: str, engine: Any = Filters) -> State:
        root = domain_xml.parse(xml)
        facts = {"uuid": root.findtext("uuid")}
        return State("present", cls.values(root), facts=facts, owner=engine.owner(root), document=(root, None))

    def observe(self, engine: Filters, state: State) -> State:
        state = super().observe(engine, state)
        facts = dict(state.facts)
        if self.target == "absent" and state.exists:
            facts["users"], facts["parts_of"] = engine.users(self.name), engine.parts_of(self.name)
        elif self._parts:
            facts["filters"] = engine.names()
        return replace(state, facts=facts)

    # What is to be done.

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        if plan and self.name in OWN:
            raise StrataError(
                "comes with libvirt, and others count on it as it is",
                option="name",
                value=self.name,
                hint="Make one of another name, and refer to this one with filterref",
            )
        if "remove" in plan.steps and not self.owner:
            self._refuse(state.facts["users"], state.facts["parts_of"])
        if plan and self.target != "absent":
            known = {*state.facts.get("filters", ()), *(name for _kind, name in self.promised)}
            for name in self._parts:
                if name not in known:
                    hint = "Declare it before with libvirt_nwfilter; virsh nwfilter-list shows those that there are"
                    raise StrataError("is no filter of libvirt's", option="rules.filterref", value=name, hint=hint)
        return plan

    @staticmethod
    def _refuse(users: Iterable[str], wholes: Iterable[str]) -> None:
        if users:
            named = ", ".join(sorted(users))
            raise StrataError(f"is in use by {named}", hint="Take it from their cards first")
        if wholes:
            raise StrataError(f"is a part of {', '.join(sorted(wholes))}", hint="Take it from them first")

    def update(self, engine: Filters, plan: Plan) -> None:
        """Stored anew, and in effect at once for the cards that have it."""
        self.configure(engine, plan)

    def remove(self, engine: Filters, plan: Plan) -> None:
        self._refuse(engine.users(self.name), engine.parts_of(self.name))
        engine.undefine(self.name)
