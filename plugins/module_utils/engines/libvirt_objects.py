# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all that libvirt keeps as XML has in common: how it is found, defined and forgotten, and who made it."""

from __future__ import annotations

import json
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from ..core import files
from ..core.errors import StrataError
from . import domain_xml
from .libvirt import Host

NOTES = "/var/lib/strata/libvirt"
"""Who made what can't keep a word of ours: a file each, by UUID."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Thing:
    """What has stored and running XML: a network or a pool.

    Attributes:
        stored: Its stored XML; None for one that is gone once it stops.
        running: The XML of what runs; None where nothing does.
    """

    name: str
    stored: str | None
    running: str | None
    autostart: bool

    @cached_property
    def root(self) -> ET.Element:
        """What is stored of it, else what runs; for reading alone."""
        return domain_xml.parse(self.stored or self.running or "")


class Defined(Host):
    """A connection, for one sort of what libvirt keeps as XML.

    Class attributes:
        calls: The ends of the binding's names: ``listAll…``, ``…LookupByName``, ``…DefineXML…``.
        validate, gone: The constants for a strict define, and for "there is no such".
        inactive: The constant for stored XML; none where there is no other.
    """

    calls: ClassVar[tuple[str, str, str]]
    validate: ClassVar[str]
    gone: ClassVar[str]
    inactive: ClassVar[str] = ""

    # Reading.

    def _all(self, flags: int = 0) -> list[Any]:
        with self._doing(f"list the {self.noun}s"):
            return list(getattr(self.connection, self.calls[0])(flags))

    def _present(self, names: Iterable[str] | None, told: Callable[[Any], Found]) -> list[Found]:
        """What is told of the named ones, or of all; what goes away meanwhile was not there."""
        wanted = None if names is None else set(names)
        found = []
        for one in self._all():
            name = self.called(one)
            if wanted is not None and name not in wanted:
                continue
            try:
                found.append(told(one))
            except self.api.libvirtError as error:
                if error.get_error_code() != getattr(self.api, self.gone):
                    raise StrataError(f"libvirt could not describe {name}: {error.get_error_message()}") from None
        return found

    @staticmethod
    def called(one: Any) -> str:
        return str(one.name())

    def stored(self, name: str) -> str:
        """Its stored XML; of one that has none, what runs."""
        with self._doing(f"read the {self.noun}"):
            return str(self.get(name).XMLDesc(getattr(self.api, self.inactive) if self.inactive else 0))

    def get(self, name: str) -> Any:
        return getattr(self.connection, self.calls[1])(name)

    def find(self, name: str) -> Any:
        """The binding's object, None where there is none."""
        try:
            return self.get(name)
        except self.api.libvirtError as error:
            if error.get_error_code() == getattr(self.api, self.gone):
                return None
            raise StrataError(f"libvirt could not find {name}: {error.get_error_message()}") from None

    def _has(self, key: str) -> bool:
        return any(one.UUIDString() == key for one in self._all())

    # Who made it.

    def keeps_metadata(self) -> bool:
        """Whether libvirt keeps what others note in the XML."""
        return False

    def own(self, root: ET.Element, owner: str) -> None:
        """Note the owner of what is about to be defined."""
        if self.keeps_metadata():
            ET.SubElement(domain_xml.child(root, "metadata"), domain_xml.MARK, {"owner": owner})
        else:
            # The UUID is ours to choose: noted before there is such a thing, it can't be anybody else's.
            given = root.findtext("uuid")
            made = given or str(uuid.uuid4())
            if given and self._has(given):
                raise StrataError(f"another {self.noun} has the UUID {made}", hint="Leave it out, or give another one")
            domain_xml.child(root, "uuid").text = made
            set_note(made, {"owner": owner})

    @staticmethod
    def disown(root: ET.Element) -> None:
        """Forget what ``own`` noted of what was then not defined."""
        forget(str(root.findtext("uuid")))

    @staticmethod
    def owner(root: ET.Element) -> str | None:
        marked = domain_xml.mark(root)
        return note(str(root.findtext("uuid"))).get("owner") if marked is None else marked.get("owner")

    # Changing.

    def define(self, xml: str) -> None:
        with self._doing(f"store the {self.noun}"):
            getattr(self.connection, self.calls[2])(xml, getattr(self.api, self.validate))

    def undefine(self, name: str) -> None:
        """Forget it; one that isn't there is fine."""
        one = self.find(name)
        if one is not None:
            with self._doing("undefine it"):
                key = one.UUIDString()
                one.undefine()
                forget(key)


class Objects(Defined):
    """A connection, for one sort of what libvirt starts and stops.

    Class attributes:
        constant: How the names of its constants begin, after ``VIR_CONNECT_LIST_``.
    """

    constant: ClassVar[str]

    def described(self, names: Iterable[str] | None) -> list[Thing]:
        """The named ones, or all: four calls, and one or two more for each."""
        active, kept, automatic = (
            {one.name() for one in self._all(self._flag(word))} for word in ("ACTIVE", "PERSISTENT", "AUTOSTART")
        )

        def told(one: Any) -> Thing:
            name = one.name()
            stored = one.XMLDesc(getattr(self.api, self.inactive)) if name in kept else None
            running = one.XMLDesc(0) if name in active else None
            return Thing(name, stored, running, name in automatic)

        return self._present(names, told)

    def _flag(self, word: str) -> int:
        return int(getattr(self.api, f"VIR_CONNECT_LIST_{self.constant}_{word}"))

    def set_autostart(self, name: str, on: bool) -> None:
        with self._doing("set autostart"):
            self.get(name).setAutostart(int(on))

    def start(self, name: str) -> None:
        with self._doing("start it"):
            self.get(name).create(0)

    def stop(self, name: str) -> None:
        """Let it stop; one that doesn't run, or is not there, is fine."""
        one = self.find(name)
        if one is not None:
            with self._doing("stop it"):
                if one.isActive():
                    one.destroy()


def note(key: str) -> dict[str, Any]:
    """What is noted of what has that UUID: nothing, where nobody did."""
    try:
        return dict(json.loads(files.read(f"{NOTES}/{key}.json") or "{}"))
    except (ValueError, TypeError):
        return {}


def set_note(key: str, said: Mapping[str, Any]) -> None:
    files.write(f"{NOTES}/{key}.json", json.dumps(said, sort_keys=True) + "\n", 0o600)


def forget(key: str) -> None:
    files.remove(f"{NOTES}/{key}.json")
