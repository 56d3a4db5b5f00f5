# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of nspawn_container that live in a .nspawn file (systemd.nspawn(5)), and that file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.codec import BOOL, Codec, parse_line
from ..core.field import Field
from ..core.plan import Effect
from ..engines.unitfile import UnitFile


@dataclass(frozen=True)
class Key:
    """A setting of the .nspawn file."""

    section: str
    key: str


def _parse_interface(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(r"[^\s/:]{1,15}", text) or text in (".", ".."):  # linux: dev_valid_name
        raise ValueError("is no name of a network interface")
    return text


def _parse_users(value: Any) -> str:
    text = {"true": "yes", "on": "yes", "1": "yes", "false": "no", "off": "no", "0": "no"}.get(
        str(value).lower(), str(value).lower()
    )
    if not re.fullmatch(r"yes|no|pick|identity|managed|\d+(:\d+)?", text):
        raise ValueError("must be pick, no, yes, identity, managed, or a first user ID such as 524288 or 524288:65536")
    return text


def _parse_settings(value: Mapping[str, Any]) -> dict[str, Any]:
    """``{Exec: {Hostname: build}}`` to ``{"Exec.Hostname": "build"}``: None takes a key away, a list repeats it."""
    flat: dict[str, Any] = {}
    for section, keys in value.items():
        if not isinstance(keys, Mapping):
            raise ValueError("are sections with their keys: write {Exec: {Hostname: build}}")
        for key, given in keys.items():
            name = f"{section}.{key}"
            if not re.fullmatch(r"[A-Za-z0-9-]+\.[A-Za-z0-9-]+", name):
                raise ValueError(f"hold {name!r}, which is no section and key of a .nspawn file")
            if name in _TYPED:
                raise ValueError(f"hold {name}, which is the option {_TYPED[name]}: give that instead")
            flat[name] = None if given is None else _values(name, given)
    return flat


def _values(name: str, given: Any) -> str | tuple[str, ...] | None:
    texts = []
    for item in given if isinstance(given, (list, tuple)) else [given]:
        text = ("no", "yes")[item] if isinstance(item, bool) else parse_line(item).strip()
        if text.endswith("\\"):
            raise ValueError(f"hold {name} with a backslash at its end, which would swallow the next line")
        texts.append(text)
    if not texts:
        return None
    return texts[0] if len(texts) == 1 else tuple(texts)


def _show_settings(flat: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for name, value in flat.items():
        section, _dot, key = name.partition(".")
        nested.setdefault(section, {})[key] = list(value) if isinstance(value, tuple) else value
    return nested


def _texts(value: Any) -> list[str]:
    """The values to assign to a key, as the file has them."""
    if value is None:
        return []
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    return list(value) if isinstance(value, tuple) else [str(value)]


# [Network] keys that, given without VirtualEthernet=, switch off what the template's --network-veth switches on
# (systemd: src/nspawn/nspawn.c, merge_settings). Bridge= and Zone= imply it.
_NETWORK = ("Private", "Interface", "MACVLAN", "IPVLAN", "VirtualEthernetExtra", "NamespacePath")

KEYS = (
    Field("boot", BOOL, Key("Exec", "Boot"), Effect.RESTART, default=True),
    Field("network_bridge", Codec(_parse_interface), Key("Network", "Bridge"), Effect.RESTART),
    Field("network_veth", BOOL, Key("Network", "VirtualEthernet"), Effect.RESTART, default=True),
    Field("private_users", Codec(_parse_users), Key("Exec", "PrivateUsers"), Effect.RESTART, default="pick"),
)
_TYPED = {f"{field.at.section}.{field.at.key}": field.name for field in KEYS}
SETTINGS = Field(
    "settings", Codec(_parse_settings, "dict", _show_settings, partial=True), effect=Effect.RESTART, default={}
)


def read_settings(text: str) -> dict[str, Any]:
    """The settings of a .nspawn file, by field name; None where it doesn't assign one."""
    file = UnitFile(text)
    values: dict[str, Any] = {}
    for field in KEYS:
        said = file.last(field.at.section, field.at.key)
        try:
            values[field.name] = None if said is None else field.codec.parse(said)
        except ValueError:
            values[field.name] = said  # Compared, and told, as it stands.
    if values["network_veth"] is None:
        implied = file.last("Network", "Bridge") or file.last("Network", "Zone")
        values["network_veth"] = bool(implied) or not any(file.last("Network", key) for key in _NETWORK)
    rest = {f"{section}.{key}": file.all(section, key) for section, key in file.assigned()}
    values["settings"] = {
        name: said[0] if len(said) == 1 else tuple(said)
        for name, said in rest.items()
        if name not in _TYPED and not name.startswith("X-")
    }
    return values


def _set_key(file: UnitFile, field: Field, value: Any) -> None:
    """Assign a setting; what holds without being assigned is not."""
    file.set(field.at.section, field.at.key, [] if value == field.default else _texts(value))
    if field.stands(read_settings(file.text)[field.name]) != value:
        file.set(field.at.section, field.at.key, _texts(value))


def patch(text: str, values: Mapping[str, Any]) -> str:
    """A .nspawn file's text with the values of some options brought in; nothing else is touched."""
    file = UnitFile(text)
    for name, value in (values.get(SETTINGS.name) or {}).items():
        section, _dot, key = name.partition(".")
        file.set(section, key, _texts(value))
    for field in KEYS:
        if field.name in values:
            _set_key(file, field, values[field.name])
    return file.text
