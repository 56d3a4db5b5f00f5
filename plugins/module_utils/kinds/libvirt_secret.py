# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of libvirt: what it logs in to storage with, and opens volumes and TPMs."""

from __future__ import annotations

import base64
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core import policy
from ..core.codec import BOOL, LINE, TEXT, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.fingerprint import fingerprint
from ..core.plan import ABSENT, Effect, Plan, State
from ..engines import domain_xml
from ..engines.domain_xml import Leaf
from ..engines.libvirt_secrets import USAGES, Secret, Secrets
from ..engines.libvirt_uri import DEFAULT
from ..engines.xml_leaves import Leaves
from ..engines.xml_places import yes, yes_no
from . import libvirt_xml
from .given_data import HOW, GivenData
from .libvirt_stored import LibvirtDefined


def _parse_name(value: Any) -> str:
    text = str(value)
    if not text or text != text.strip() or "\n" in text or "\0" in text:
        raise ValueError("must be a line that neither begins nor ends with a space")
    return text


def _parse_uuid(value: Any) -> str:
    try:
        return str(uuid.UUID(str(value)))
    except ValueError:
        raise ValueError("is no UUID") from None


@dataclass(frozen=True)
class _Usage:
    """What a secret is for. Which one of these is its name, which ``fresh`` sets."""

    def get(self, root: ET.Element) -> str:
        element = root.find("usage")
        return "none" if element is None else element.get("type", "none")

    def put(self, root: ET.Element, value: str) -> None:
        if value != self.get(root):
            domain_xml.child(root, "usage").set("type", value)


class LibvirtSecret(GivenData, LibvirtDefined):
    kind = "libvirt_secret"
    rank = 35
    keeper, largest = "libvirt", 65536  # bytes (remote_protocol.x: REMOTE_SECRET_VALUE_MAX)
    tag = "secret"
    skeleton = "<secret/>"
    states = {"present": "present", "absent": "absent"}
    fields = (
        policy.name(Codec(_parse_name)),
        policy.state("present", "absent"),
        Field("uri", LINE, role=Role.CONNECT, given=DEFAULT),
        Field("usage", TEXT, _Usage(), choices=tuple(USAGES)),
        Field("uuid", Codec(_parse_uuid), Leaf("uuid"), export=False),
        Field("description", TEXT, Leaf("description", absent=""), Effect.LIVE, default=""),
        Field("ephemeral", BOOL, Leaf("", "ephemeral", yes, yes_no), Effect.LIVE, default=False),
        Field("private", BOOL, Leaf("", "private", yes, yes_no), Effect.LIVE, default=False),
        Field("data", effect=Effect.LIVE, secret=True, export=False),
        *HOW,
        libvirt_xml.field(Leaves(), Effect.LIVE),
    )

    # What was declared.

    def check(self) -> None:
        super().check()
        if self.spec.get("usage") == "none":
            try:
                self.spec.setdefault("uuid", _parse_uuid(self.name))
            except ValueError:
                what = "is no UUID, and one for nothing in particular has no other name"
                raise StrataError(what, option="name") from None

    @classmethod
    def unfolded(cls, root: ET.Element, given: Mapping[str, Any]) -> dict[str, Any]:
        usage = root.find("usage")
        said = None if usage is None else usage.findtext(USAGES.get(usage.get("type", ""), "") or "name")
        if said and said.strip() != given.get("name"):
            raise ValueError(f"is for {said.strip()!r}, which is its name here")
        return super().unfolded(root, given)

    def covered(self, text: Any) -> set[str]:
        return {*super().covered(text), *(f"usage/{word}" for word in USAGES.values() if word)}

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Secrets:
        return Secrets(spec.get("uri") or DEFAULT)

    @classmethod
    def read_many(cls, engine: Secrets, names: Iterable[str] | None) -> dict[str, State]:
        found: dict[str, State] = {}
        for one in sorted(engine.secrets(names), key=lambda one: one.xml):
            state = cls.state_of(one, engine)
            # Two may be for the same, each for another use: the one that is declared is meant (_meant).
            first = found.setdefault(one.name, state)
            first.document[-1][state.config["usage"]] = state
        return found

    @classmethod
    def state_of(cls, one: Secret, engine: Any = Secrets) -> State:
        root = domain_xml.parse(one.xml)
        data = one.fingerprint if one.value is None else base64.b64encode(one.value).decode()
        config = cls.values(root, data=data)
        facts = {"uuid": config["uuid"], "has_value": None if config["private"] else one.value is not None}
        return State("present", config, facts=facts, owner=engine.owner(root), document=(root, None, {}))

    def observe(self, engine: Secrets, state: State) -> State:
        if state.exists:
            state = self._meant(state)
        state = super().observe(engine, state)
        if self.target == "absent":
            return state
        # Not among the facts, which a result shows.
        return replace(state, document=(*(state.document or (None, None))[:2], self.given_data()))

    def _meant(self, state: State) -> State:
        """The one of the declared usage, of those that have the same name."""
        several: Mapping[str, State] = state.document[-1]
        if "usage" in self.spec:
            return several.get(self.spec["usage"], ABSENT)
        if len(several) > 1:
            raise StrataError(f"is needed: there is one each for {', '.join(sorted(several))}", option="usage")
        return state

    # What is to be done.

    def settings(self, state: State) -> dict[str, Any]:
        want = super().settings(state)
        want.pop("data", None)
        data = state.document[-1]
        if data is None:
            return want
        if state.config.get("private") if state.exists else want.get("private"):
            return {**want, "data": fingerprint(data, state.config.get("data"))}
        return {**want, "data": base64.b64encode(data).decode()}

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        hint = "Remove it first (state: absent), and make it anew"
        if state.config.get("private") and plan.want.get("private") is False:
            raise StrataError("can't be taken back: libvirt never tells it again", option="private", hint=hint)
        if "recreate" in plan.steps:
            (wrong, *_more) = (change for change in plan.changes if change.effect is Effect.RECREATE)
            raise StrataError(
                f"is {wrong.before} of a secret that is there, and can't change", option=wrong.field, hint=hint
            )
        if "create" in plan.steps and "usage" not in plan.want:
            choices = ", ".join(USAGES)
            raise StrataError("is needed for a new secret", option="usage", hint=f"It is one of {choices}")
        return plan

    def fresh(self) -> ET.Element:
        root, usage = domain_xml.parse(self.skeleton), self.spec["usage"]
        if "uuid" in self.spec:
            domain_xml.child(root, "uuid").text = self.spec["uuid"]
        if usage != "none":
            ET.SubElement(ET.SubElement(root, "usage", {"type": usage}), USAGES[usage]).text = self.name
        return root

    def create(self, engine: Secrets, plan: Plan) -> None:
        self._keep(engine, self.make(engine, plan), plan)

    def update(self, engine: Secrets, plan: Plan) -> None:
        key = plan.state.facts["uuid"]
        if {change.field for change in plan.changes} - {"data"}:
            root = domain_xml.parse(engine.stored(key))
            self._put(root, plan.want)
            engine.define(domain_xml.text_of(root))
        self._keep(engine, key, plan)

    def _keep(self, engine: Secrets, key: str, plan: Plan) -> None:
        data = plan.state.document[-1]
        if data is not None:
            private = plan.want.get("private", plan.state.config.get("private"))
            engine.keep(key, data, fingerprint(data) if private else None)

    def remove(self, engine: Secrets, plan: Plan) -> None:
        engine.undefine(plan.state.facts["uuid"])
