# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's secrets, through its own binding. They have no names, but a UUID, and what they are for."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .libvirt_objects import Defined, forget, note, set_note

USAGES = {"none": "", "volume": "volume", "ceph": "name", "iscsi": "target", "tls": "name", "vtpm": "name"}
"""What a secret can be for, and the element that says for which (formatsecret)."""


@dataclass(frozen=True)
class Secret:
    """A secret.

    Attributes:
        name: What it is for; its UUID where it is for nothing in particular.
        xml: Its XML.
        value: What is kept; None where nothing is, or where libvirt keeps it to itself.
        fingerprint: That of what this collection last set, of one that libvirt keeps to itself.
    """

    name: str
    xml: str
    value: bytes | None
    fingerprint: str | None


class Secrets(Defined):
    noun = "secret"
    calls = ("listAllSecrets", "secretLookupByUUIDString", "secretDefineXML")
    validate = "VIR_SECRET_DEFINE_VALIDATE"
    gone = "VIR_ERR_NO_SECRET"

    @staticmethod
    def called(one: Any) -> str:
        return str(one.usageID() or one.UUIDString())

    def secrets(self, names: Iterable[str] | None) -> list[Secret]:
        """The named ones, or all: one call, and two for each."""
        return self._present(names, self._told)

    def _told(self, one: Any) -> Secret:
        xml = one.XMLDesc(0)
        if ET.fromstring(xml).get("private") == "yes":  # libvirt tells it to nobody
            return Secret(self.called(one), xml, None, note(one.UUIDString()).get("fingerprint"))
        try:
            value = bytes(one.value(0))
        except self.api.libvirtError as error:
            if error.get_error_code() != self.api.VIR_ERR_NO_SECRET or not self._has(one.UUIDString()):
                raise
            value = None  # VIR_ERR_NO_SECRET is also what is said where nothing was set yet
        return Secret(self.called(one), xml, value, None)

    def keep(self, key: str, value: bytes, fingerprint: str | None) -> None:
        """Set what a secret keeps.

        Args:
            key: Its UUID.
            value: What is to be kept.
            fingerprint: What is noted of it, where libvirt won't tell it again.
        """
        with self._doing("set its value"):
            self.get(key).setValue(value, 0)
        said = {word: told for word, told in note(key).items() if word != "fingerprint"}
        if fingerprint is not None:
            said["fingerprint"] = fingerprint
        if said != note(key):
            set_note(key, said)

    def undefine(self, name: str) -> None:
        super().undefine(name)
        forget(name)  # of one that libvirt kept in its memory only
