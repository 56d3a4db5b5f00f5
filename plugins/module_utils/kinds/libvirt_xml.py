# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""XML as people have it: what has an option becomes that option, and the rest is kept leaf by leaf."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from ..core.codec import Codec
from ..core.errors import StrataError
from ..core.field import Field, encode
from ..core.plan import Effect, State
from ..core.resource import Resource
from ..engines import domain_xml
from ..engines.xml_leaves import Leaves, spelled_out
from ..engines.xml_places import Said


def document(value: Any) -> ET.Element:
    """What is given as XML.

    Raises:
        ValueError: It is none.
    """
    try:
        root = domain_xml.parse(str(value).strip())
    except ET.ParseError as error:
        raise ValueError(f"is no XML: {error}") from None
    spelled_out(root)
    return root


def codec(leaves: Leaves) -> Codec:
    """The leaves that a document declares."""
    return Codec(lambda text: leaves.given(document(text)), "str", partial=True)


def field(leaves: Leaves, effect: Effect) -> Field:
    """The option ``xml``."""
    return Field("xml", codec(leaves), leaves, effect, export=False)


class FromXml(Resource):
    """One thing that may be given as XML.

    Class attributes:
        tag: The document's element.
        named: Where it says its name: an element, or an attribute of the document (``@name``).
    """

    tag: ClassVar[str]
    named: ClassVar[str] = "name"
    _places: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        fields = getattr(cls, "fields", ())
        cls._places = {field.name: field.at for field in fields if field.at and field.name != "xml"}

    def __init__(
        self, options: Mapping[str, Any], *, owner: str = "", applied: Mapping[str, Any] | None = None
    ) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        if "xml" in given:
            try:
                given = self.beside(document(given["xml"]), given)
            except ValueError as error:
                entry = f"{self.kind}/{given.get(self.identity)}"
                raise StrataError(str(error), option="xml", entry=entry) from None
        super().__init__(given, owner=owner, applied=applied)

    @classmethod
    def beside(cls, root: ET.Element, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options that a document and a task make.

        Raises:
            ValueError: The document is of something else.
        """
        return {**cls.unfolded(root, given), **given}

    @classmethod
    def unfolded(cls, root: ET.Element, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options that a document says.

        Raises:
            ValueError: It is of something else.
        """
        cls.refuse_other(root, given)
        return cls.options_of(cls.values(root))

    @classmethod
    def refuse_other(cls, root: ET.Element, given: Mapping[str, Any]) -> None:
        """Refuse a document of something else.

        Raises:
            ValueError: It says what it is.
        """
        if root.tag != cls.tag:
            raise ValueError(f"is a <{root.tag}>, and not a <{cls.tag}>")
        name = root.get(cls.named[1:]) if cls.named.startswith("@") else root.findtext(cls.named)
        if name and name.strip() != given.get(cls.identity):
            raise ValueError(f"is of {name.strip()!r}")

    @classmethod
    def values(cls, root: ET.Element, **beside: Any) -> Mapping[str, Any]:
        """The canonical values of a document, by field name, and what is known beside it."""
        return Said(root, cls._places, beside)

    @classmethod
    def options_of(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The options that declare canonical values."""
        return encode(cls.fields, {name: value for name, value in values.items() if value not in (None, (), {})})

    def covered(self, text: Any) -> set[str]:
        """The leaves of a document that have options."""
        root, alone = document(text), ET.Element(self.tag)
        for one in self.fields:
            if one.at and one.name != "xml":
                value = one.at.get(root)
                if value not in (None, (), {}):
                    one.at.put(alone, value)
        covered = set(self.field("xml").at.get(alone))
        return {*covered, *(path.rpartition("@")[0] for path in covered), self.named, "uuid"}

    def declare(self) -> dict[str, Any]:
        values = super().declare()
        if "xml" in values:
            texts = [one["xml"] for one in (self.options, self.applied) if one.get("xml")]
            covered = set().union(*map(self.covered, texts))
            values["xml"] = {path: text for path, text in (values["xml"] or {}).items() if path not in covered}
            if not values["xml"]:
                del values["xml"]
        return values

    def observe(self, engine: Any, state: State) -> State:
        """What it has of the leaves that are declared, too."""
        state = super().observe(engine, state)
        paths = self.declared.get("xml") if self.target != "absent" else None
        if not paths or not state.exists:
            return state
        at = self.field("xml").at
        stored, running = (None if one is None else at.seen(one, paths) for one in self.compared(state))
        config = {**state.config, "xml": stored} if stored is not None else state.config
        live = {**state.live, "xml": running} if state.live is not None and running is not None else state.live
        return replace(state, config=config, live=live)

    def compared(self, state: State) -> Iterable[ET.Element | None]:
        """The documents of what is stored and of what runs."""
        stored, running = state.document[:2]
        return stored, running

    @property
    def uuid(self) -> str | None:
        """The UUID that its XML says."""
        said = document(self.options["xml"]).findtext("uuid") if self.options.get("xml") else None
        return said.strip() if said else None

    def settings(self, state: State) -> dict[str, Any]:
        if state.exists and self.uuid not in (None, state.facts.get("uuid")):
            raise StrataError(
                f"has a <uuid> of its own, and what is there has {state.facts.get('uuid')}",
                option="xml",
                hint="Leave it out, or remove what is there first (state: absent)",
            )
        want = super().settings(state)
        if "xml" in want:
            found = {**(state.live or {}).get("xml", {}), **state.config.get("xml", {})}
            want["xml"] = self.field("xml").at.settled(want["xml"], found) if state.exists else want["xml"]
            if not want["xml"]:
                del want["xml"]
        return want
