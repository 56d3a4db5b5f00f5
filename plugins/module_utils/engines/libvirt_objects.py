# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt's networks and storage pools have in common: stored and running XML, autostart, and who made them."""

from __future__ import annotations

import json
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core import files
from ..core.errors import StrataError
from . import domain_xml
from .libvirt import Host

NOTES = "/var/lib/strata/libvirt"
"""Who made what can't keep a word of ours: a file each, by UUID."""


@dataclass(frozen=True)
class Thing:
    """A network or a pool.

    Attributes:
        stored: Its stored XML; None for one that is gone once it stops.
        running: The XML of what runs; None where nothing does.
    """

    name: str
    stored: str | None
    running: str | None
    autostart: bool

    @property
    def root(self) -> ET.Element:
        return domain_xml.parse(self.stored or self.running or "")


class Objects(Host):
    """A connection, for one sort of what libvirt keeps.

    Class attributes:
        calls: The ends of the binding's names: ``listAll…``, ``…LookupByName``, ``…DefineXML…``.
        constant: How the names of its constants begin, after ``VIR_CONNECT_LIST_``.
        inactive, validate, gone: The constants for stored XML, for a strict define, and for "there is no such".
    """

    calls: ClassVar[tuple[str, str, str]]
    constant: ClassVar[str]
    inactive: ClassVar[str]
    validate: ClassVar[str]
    gone: ClassVar[str]

    # Reading.

    def described(self, names: Iterable[str] | None) -> list[Thing]:
        """The named ones, or all: four calls, and one or two more for each."""
        wanted = None if names is None else set(names)
        with self._doing(f"list the {self.noun}s"):
            everything = self._all(0)
            active, kept, automatic = (
                {one.name() for one in self._all(self._flag(word))} for word in ("ACTIVE", "PERSISTENT", "AUTOSTART")
            )
        found = []
        for one in everything:
            name = one.name()
            if wanted is not None and name not in wanted:
                continue
            try:
                stored = one.XMLDesc(getattr(self.api, self.inactive)) if name in kept else None
                running = one.XMLDesc(0) if name in active else None
            except self.api.libvirtError as error:
                if error.get_error_code() == getattr(self.api, self.gone):  # it went away meanwhile
                    continue
                raise StrataError(f"libvirt could not describe {name}: {error.get_error_message()}") from None
            found.append(Thing(name, stored, running, name in automatic))
        return found

    def _all(self, flags: int) -> list[Any]:
        return list(getattr(self.connection, self.calls[0])(flags))

    def _flag(self, word: str) -> int:
        return int(getattr(self.api, f"VIR_CONNECT_LIST_{self.constant}_{word}"))

    def stored(self, name: str) -> str:
        """Its stored XML; of one that has none, what runs."""
        with self._doing(f"read the {self.noun}"):
            return str(self.get(name).XMLDesc(getattr(self.api, self.inactive)))

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
            made = str(uuid.uuid4())
            domain_xml.child(root, "uuid").text = made
            set_owner(made, owner)

    @staticmethod
    def disown(root: ET.Element) -> None:
        """Forget what ``own`` noted of what was then not defined."""
        forget(str(root.findtext("uuid")))

    @staticmethod
    def owner(root: ET.Element) -> str | None:
        marked = domain_xml.mark(root)
        return owner(str(root.findtext("uuid"))) if marked is None else marked.get("owner")

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


def owner(key: str) -> str | None:
    """Who made what has that UUID, None where nobody noted it."""
    try:
        return str(json.loads(files.read(f"{NOTES}/{key}.json") or "")["owner"])
    except (ValueError, KeyError, TypeError):
        return None


def set_owner(key: str, name: str) -> None:
    files.write(f"{NOTES}/{key}.json", json.dumps({"owner": name}) + "\n")


def forget(key: str) -> None:
    files.remove(f"{NOTES}/{key}.json")
