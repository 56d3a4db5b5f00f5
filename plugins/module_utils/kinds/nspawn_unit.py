# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of nspawn_container belongs in the drop-in of its unit, and how a machine and its tree are named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import files, limits
from ..core.codec import Codec, parse_path, show_cpus
from ..engines import nspawn, unitlimits
from ..engines.unitfile import UnitFile

_TEMPLATE_PIDS = 16384  # systemd-nspawn@.service has TasksMax=16384


def parse_machine(value: Any) -> str:
    text = str(value)
    if not nspawn.is_name(text):
        raise ValueError(
            "is no valid name of a machine: use letters, digits, '-' and '.', as in a host name, 64 at most"
        )
    return text


def parse_image(value: Any) -> str:
    """A tree's absolute path; a bare name is one in /var/lib/machines."""
    text = str(value)
    if nspawn.is_name(text):
        return nspawn.image_path(text)
    if "\\" in text:
        raise ValueError("must not hold a backslash")
    return parse_path(text)


LIMITS = (
    limits.memory(unitlimits.MEMORY),
    replace(limits.cpus(unitlimits.CPUS), codec=Codec(unitlimits.exact_cpus, show=show_cpus)),
    replace(limits.pids_limit(unitlimits.PIDS), default=_TEMPLATE_PIDS),
)


ALLOW = "DeviceAllow"
_TEMPLATE_DEVICES = ("/dev/net/tun", "/dev/fuse", "/dev/pts", "/dev/mapper/control", "/dev/loop-control")


def devices(binds: Iterable[Mapping[str, Any]]) -> list[str]:
    """The devices among what is bound that the template unit doesn't let be opened (DevicePolicy=closed)."""
    sources = {row["source"] for row in binds if row["source"].startswith("/dev/")}
    return sorted(source for source in sources if not source.startswith(_TEMPLATE_DEVICES))


def read_limits(drop_ins: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The limits that drop-ins set, by field name: the text that counts, and the file that has it."""
    found = {}
    for path in sorted(drop_ins, key=os.path.basename):  # as systemd applies them
        file = UnitFile(files.read(path) or "")
        for field in LIMITS:
            for said in file.all("Service", field.at.directive)[-1:]:
                found[field.name] = (said, path)
    return found


def read_all(path: str) -> dict[str, list[str]]:
    """Everything that a drop-in says, as ``Section.Key``."""
    file = UnitFile(files.read(path) or "")
    return {f"{section}.{key}": file.all(section, key) for section, key in file.assigned()}


def parsed(parse: Callable[[str], Any], text: str | None) -> Any:
    try:
        return None if text is None else parse(text)
    except ValueError:
        return None  # A percentage of the host's, for one: unknown here.
