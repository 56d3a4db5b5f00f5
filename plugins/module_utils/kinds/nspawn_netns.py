# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of nspawn_container in a network namespace that somebody else has made.

No key of a .nspawn file says so (systemd.nspawn(5)), and the switch ``--network-namespace-path=`` is the template
unit's to give. But systemd starts systemd-nspawn itself in the namespace (NetworkNamespacePath= of systemd.exec(5)),
and a machine without a network of its own is in that of its systemd-nspawn.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..core.codec import Codec, parse_path
from ..core.errors import StrataError
from ..core.resource import Thing
from ..engines import namespaces
from ..engines.unitfile import UnitFile

OPTION = "network_namespace"
UNIT_KEYS = ("NetworkNamespacePath", "PrivateMounts")
OTHERS = tuple(f"network_{word}" for word in ("bridge", "zone", "veth_extra", "interfaces", "macvlan", "ipvlan"))
"""The options that give a machine a network of its own, besides network_veth."""


def _parse(value: Any) -> str:
    """A path; a bare name is one of ip-netns(8)."""
    text = str(value)
    if not text or "/" in text:
        return text and parse_path(text)
    if text in (".", ".."):
        raise ValueError("is no name of a network namespace")
    return namespaces.path(text)


PLACE = Codec(_parse)


def check(spec: Mapping[str, Any]) -> None:
    """Refuse a second network beside the namespace.

    Raises:
        StrataError: It names the option.
    """
    if not spec.get(OPTION):
        return
    for option in ("network_veth", *OTHERS, "ports"):
        if spec.get(option):
            raise StrataError(
                "can't be had beside network_namespace",
                option=option,
                value=spec[option],
                hint="Declare its links where the namespace is declared",
            )


def needs(spec: Mapping[str, Any]) -> list[Thing]:
    place = spec.get(OPTION) or ""
    return [("netns", os.path.basename(place))] if os.path.dirname(place) == namespaces.FOLDER else []


def settle(values: dict[str, Any], config: Mapping[str, Any], *, there: bool, starts: bool) -> None:
    """Complete the declared values with what they mean for ``network_veth``.

    Args:
        values: What is declared.
        config: What is stored.
        there: The namespace is there, or made before.
        starts: The machine is to be started.

    Raises:
        StrataError: It is to be started in a namespace that isn't there.
    """
    place = values.get(OPTION, config.get(OPTION))
    if place:
        values["network_veth"] = False
        if starts and not there:
            hint = "Declare it first: strata.virt.netns"
            raise StrataError("there is no such network namespace", option=OPTION, value=place, hint=hint)
    elif config.get(OPTION):
        values.setdefault("network_veth", True)  # without, it would be in the host's network


def write(file: UnitFile, values: Mapping[str, Any]) -> None:
    """Bring it into the unit's drop-in."""
    if OPTION in values:
        place = values[OPTION]
        # With mounts of its own, a machine's sockets would not be seen on the host.
        for key, said in zip(UNIT_KEYS, (place, "no")):
            file.set("Service", key, [said] if place else [])
