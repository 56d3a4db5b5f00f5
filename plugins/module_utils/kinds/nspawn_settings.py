# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The .nspawn file (systemd.nspawn(5)) of a machine, and the settings that have no option of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..core.codec import Codec, parse_line
from ..core.errors import StrataError
from ..core.field import Field
from ..core.plan import Effect
from ..engines.unitfile import UnitFile
from . import nspawn_netns
from .nspawn_fields import KEYS, TYPED, Said

UNIT_SECTIONS = ("Unit", "Service")
"""What is said in these sections belongs to the unit, and goes into its drop-in."""

_OURS = {
    "Service.MemoryMax": "the option memory",
    "Service.CPUQuota": "the option cpus",
    "Service.TasksMax": "the option pids_limit",
    "Service.DeviceAllow": "given by itself for each device in binds",
    **{f"Service.{key}": f"given by itself for {nspawn_netns.OPTION}" for key in nspawn_netns.UNIT_KEYS},
    "Service.ExecStartPre": "used by this module",
    "Service.ExecStopPost": "used by this module",
    "Unit.RequiresMountsFor": "given by itself for the image",
}


def of_unit(name: str) -> bool:
    """Whether a setting, as ``Section.Key``, belongs to the unit."""
    return name.partition(".")[0] in UNIT_SECTIONS


def _parse_settings(value: Mapping[str, Any]) -> dict[str, Any]:
    """``{Exec: {KillSignal: SIGTERM}}`` to ``{"Exec.KillSignal": …}``: None takes a key away, a list repeats it."""
    flat: dict[str, Any] = {}
    for section, keys in value.items():
        if not isinstance(keys, Mapping):
            raise ValueError("are sections with their keys: write {Exec: {Hostname: build}}")
        for key, given in keys.items():
            name = f"{section}.{key}"
            if not re.fullmatch(r"[A-Za-z0-9-]+\.[A-Za-z0-9-]+", name):
                raise ValueError(f"hold {name!r}, which is no section and key of a .nspawn file")
            if name in _OURS:
                raise ValueError(f"hold {name}, which is {_OURS[name]}")
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
    return list(value) if isinstance(value, tuple) else [str(value)]


SETTINGS = Field(
    "settings", Codec(_parse_settings, "dict", _show_settings, partial=True), effect=Effect.RESTART, default={}
)

# [Network] keys that, given without VirtualEthernet=, switch off what the template's --network-veth switches on
# (systemd: src/nspawn/nspawn.c, merge_settings). Bridge= and Zone= imply it.
_NETWORK = ("Private", "Interface", "MACVLAN", "IPVLAN", "VirtualEthernetExtra")


def folded(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, those that ``settings`` spell in systemd's words as options of their own.

    Raises:
        StrataError: One is given in both ways, or has a value that it can't have.
    """
    sections = options.get(SETTINGS.name)
    if not isinstance(sections, Mapping) or not all(isinstance(keys, Mapping) for keys in sections.values()):
        return dict(options)
    rest: dict[str, dict[str, Any]] = {}
    spelled: dict[str, dict[str, Any]] = {}
    for section, keys in sections.items():
        for key, given in keys.items():
            field = TYPED.get(f"{section}.{key}")
            if field is None:
                rest.setdefault(section, {})[key] = given
            else:
                spelled.setdefault(field.name, {})[key] = given
    found = dict(options)
    for field in KEYS:
        if field.name in spelled:
            if options.get(field.name) is not None:
                raise StrataError("is given here and in settings", option=field.name, value=options[field.name])
            found[field.name] = _typed(field, spelled[field.name])
    if spelled:
        found[SETTINGS.name] = rest or None
    return found


def _typed(field: Field, keys: Mapping[str, Any]) -> Any:
    try:
        said = [_texts(_values(key, keys[key])) if keys.get(key) is not None else [] for key in field.at.keys]
    except ValueError as error:
        raise StrataError(str(error), option=SETTINGS.name) from None
    given = field.at.read(said)
    return field.show(field.default if given is None else field.decode(given))


def _read_key(file: UnitFile, field: Field) -> Any:
    said = field.at.read([file.all(field.at.section, key) for key in field.at.keys])
    if said is None:
        return None
    try:
        return field.decode(said)
    except StrataError:
        return tuple(said) if isinstance(said, list) else said  # Compared, and told, as it stands.


def read_settings(text: str) -> dict[str, Any]:
    """The settings of a .nspawn file, by field name; None where it doesn't assign one."""
    file = UnitFile(text)
    values = {field.name: _read_key(file, field) for field in KEYS}
    if values["network_veth"] is None:
        implied = values["network_bridge"] or values["network_zone"]
        values["network_veth"] = bool(implied) or not any(file.last("Network", key) for key in _NETWORK)
    values[SETTINGS.name] = {
        name: value for name, value in _rest(file).items() if name not in TYPED and not of_unit(name)
    }
    return values


def read_unit_settings(file: UnitFile) -> dict[str, Any]:
    """What a drop-in says besides that which this module writes by itself, as ``Section.Key``."""
    return {name: value for name, value in _rest(file).items() if of_unit(name) and name not in _OURS}


def _rest(file: UnitFile) -> dict[str, Any]:
    said = {f"{section}.{key}": file.all(section, key) for section, key in file.assigned()}
    return {
        name: texts[0] if len(texts) == 1 else tuple(texts) for name, texts in said.items() if not name.startswith("X-")
    }


def _set_key(file: UnitFile, field: Field, value: Any) -> None:
    """Assign a setting; what holds without being assigned is not."""
    unset: Said = [[] for _key in field.at.keys]
    for said in (unset if value == field.default else field.at.write(value), field.at.write(value)):
        for key, texts in zip(field.at.keys, said):
            file.set(field.at.section, key, texts)
        if field.stands(read_settings(file.text)[field.name]) == value:
            return


def patch(text: str, values: Mapping[str, Any]) -> str:
    """A .nspawn file's text with the values of some options brought in; nothing else is touched."""
    file = UnitFile(text)
    patch_settings(file, values, unit=False)
    for field in KEYS:
        # Where it is as declared already, it stays as somebody wrote it.
        if field.name in values and field.stands(_read_key(file, field)) != values[field.name]:
            _set_key(file, field, values[field.name])
    if "network_veth" in values:
        _set_key(file, TYPED["Network.VirtualEthernet"], values["network_veth"])
    return file.text


def patch_settings(file: UnitFile, values: Mapping[str, Any], *, unit: bool) -> None:
    """Bring in those of the settings that belong to the unit, or the others."""
    for name, value in (values.get(SETTINGS.name) or {}).items():
        if of_unit(name) == unit:
            section, _dot, key = name.partition(".")
            file.set(section, key, _texts(value))
