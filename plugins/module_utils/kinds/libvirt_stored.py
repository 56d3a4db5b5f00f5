# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How things of libvirt are stored as XML; and how those that it starts and stops are read, started and stopped."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..core.errors import StrataError
from ..core.plan import Layer, Plan, State
from ..core.resource import Resource
from ..core.resource import Thing as Made
from ..engines import domain_xml
from ..engines.libvirt import Host
from ..engines.libvirt_objects import Defined, Objects, Thing
from ..engines.xml_leaves import Leaves
from .libvirt_xml import FromXml

STATES = ("active", "inactive", "present", "absent")


class StoredXml(Resource):
    """One thing whose stored XML libvirt may take or not."""

    def configure(self, engine: Host, plan: Plan) -> None:
        values = plan.of(Layer.CONFIG)
        if set(values) - {"autostart"} or not plan.state.config:
            old = engine.stored(self.name)
            root = domain_xml.parse(old)
            self._put(root, plan.want)
            engine.define(domain_xml.text_of(root))
            lost = self._lost(engine, plan.want)
            if lost:
                engine.define(old)
                raise StrataError(f"libvirt dropped {lost} while it stored the {engine.noun}; it is as it was")
        if "autostart" in values:
            engine.set_autostart(self.name, values["autostart"])

    def _put(self, root: ET.Element, values: Mapping[str, Any]) -> None:
        for field in self.fields:
            if field.at and field.name in values:
                field.at.put(root, values[field.name])

    def _lost(self, engine: Host, values: Mapping[str, Any]) -> str:
        """The options that its stored XML doesn't say as they were put."""
        root = domain_xml.parse(engine.stored(self.name))
        lost = []
        for field in self.fields:
            if field.at and field.name in values:
                now, wanted = field.at.get(root), values[field.name]
                if isinstance(field.at, Leaves):
                    now = field.at.seen(root, wanted)
                    wanted = field.at.settled(wanted, now)
                lost += [change.name for change in field.changes(now, wanted, field.effect, Layer.CONFIG)]
        return ", ".join(lost)


class LibvirtDefined(FromXml, StoredXml):
    """One thing that libvirt makes of XML and keeps no other word of ours of than that.

    Class attributes:
        skeleton: The XML that a new one starts from.
    """

    skeleton: ClassVar[str]

    def provides(self) -> list[Made]:
        return [(self.kind, self.name)]

    def fresh(self) -> ET.Element:
        """What a new one starts from, with its name."""
        root = domain_xml.parse(self.skeleton)
        domain_xml.child(root, "name").text = self.name
        return root

    def create(self, engine: Any, plan: Plan) -> None:
        self.make(engine, plan)
        lost = self._lost(engine, plan.want)
        if lost:
            engine.undefine(self.name)
            raise StrataError(f"libvirt dropped {lost} while it stored the {engine.noun}; it was not made")

    def make(self, engine: Defined, plan: Plan) -> str:
        """Define a new one, whose owner is noted before. Its UUID, where that is ours to choose."""
        root = self.fresh()
        if self.uuid is not None:
            domain_xml.child(root, "uuid").text = self.uuid
        engine.own(root, self.owner)
        self._put(root, plan.want)
        try:
            engine.define(domain_xml.text_of(root))
        except StrataError:
            engine.disown(root)
            raise
        return root.findtext("uuid") or ""


class LibvirtStored(LibvirtDefined):
    """One thing with stored and running XML."""

    layered = True
    states = {"active": "active", "inactive": "inactive", "present": None, "absent": "absent"}
    moves = {("inactive", "active"): ("start",), ("active", "inactive"): ("stop",)}
    busy = frozenset({"active"})

    @property
    def fresh_status(self) -> str:
        return "inactive"

    @classmethod
    def read_many(cls, engine: Objects, names: Iterable[str] | None) -> dict[str, State]:
        return {one.name: cls.state_of(one, engine.owner(one.root)) for one in engine.described(names)}

    @classmethod
    def state_of(cls, one: Thing, owner: str | None) -> State:
        """What its XML says, in canonical values."""
        stored = None if one.stored is None else one.root
        running = None if one.running is None else domain_xml.parse(one.running)
        config = {} if stored is None else cls.values(stored, autostart=one.autostart)
        live = None if running is None else cls.values(running)
        status = "inactive" if running is None else "active"
        facts = {"uuid": one.root.findtext("uuid"), **cls.facts_of(one.root)}
        return State(status, config, live, facts, owner, document=(stored, running))

    @classmethod
    def facts_of(cls, root: ET.Element) -> dict[str, Any]:
        return {}

    # Doing.

    def create(self, engine: Any, plan: Plan) -> None:
        super().create(engine, plan)
        if plan.want.get("autostart"):
            engine.set_autostart(self.name, True)

    def start(self, engine: Any, plan: Plan) -> None:
        engine.start(self.name)

    def stop(self, engine: Any, plan: Plan) -> None:
        engine.stop(self.name)

    def remove(self, engine: Any, plan: Plan) -> None:
        engine.stop(self.name)
        engine.undefine(self.name)
