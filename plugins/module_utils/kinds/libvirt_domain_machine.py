# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What machine a domain is, what it boots, and what its hypervisor tells it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..core.codec import BOOL, LINE, PATH, TEXT, TEXTS, WORDS
from ..core.errors import StrataError
from ..core.field import Field, structure, table
from ..core.plan import Effect
from ..engines.domain_machine import Boot, Clock, Enlightenments, Firmware, SecureBoot
from ..engines.domain_places import Elements
from ..engines.domain_xml import Flag, Leaf
from ..engines.xml_places import Group, on_off, yes, yes_no
from .libvirt_domain_fields import word

_AFTER = ("destroy", "restart", "preserve", "rename-restart")
_BOOT = ("hd", "cdrom", "network", "fd")


def _known(devices: tuple[str, ...]) -> None:
    wrong = sorted(set(devices) - set(_BOOT))
    if wrong:
        raise ValueError(f"has {', '.join(wrong)}: devices are {', '.join(_BOOT)}")


def _switch(name: str, path: str) -> Field:
    return Field(name, BOOL, Leaf(path, "state", yes, on_off))


FEATURES = (
    Field("acpi", BOOL, Flag("acpi"), default=False),
    Field("apic", BOOL, Flag("apic"), default=False),
    Field("pae", BOOL, Flag("pae"), default=False),
    _switch("smm", "smm"),
    _switch("vmport", "vmport"),
    _switch("kvm_hidden", "kvm/hidden"),
    Field("hyperv", WORDS, Enlightenments(), default=()),
)
TIMER = (
    Field("name", LINE, Leaf("", "name"), required=True),
    Field("present", BOOL, Leaf("", "present", yes, yes_no)),
    word("tick_policy", "", "tickpolicy", "delay", "catchup", "merge", "discard"),
)
CLOCK = (
    word("offset", "", "offset", "utc", "localtime", "timezone", default="utc"),
    Field("timezone", LINE, Leaf("", "timezone")),
    Field("timers", table(*TIMER, key=lambda row: str(row["name"])), Elements("", "timer", TIMER, "name"), default=()),
)
FIELDS = (
    Field("title", LINE, Leaf("title"), Effect.NEXT_BOOT),
    Field("description", TEXT, Leaf("description"), Effect.NEXT_BOOT),
    Field("machine", LINE, Leaf("os/type", "machine"), Effect.RESTART),
    Field("firmware", TEXT, Firmware(), Effect.RESTART, default="bios", choices=("bios", "efi")),
    Field("secure_boot", BOOL, SecureBoot(), Effect.RESTART),
    Field("boot", TEXTS, Boot(), Effect.RESTART, check=_known),
    Field("kernel", PATH, Leaf("os/kernel"), Effect.RESTART),
    Field("initrd", PATH, Leaf("os/initrd"), Effect.RESTART),
    Field("cmdline", LINE, Leaf("os/cmdline"), Effect.RESTART),
    Field("features", structure(*FEATURES), Group("features", FEATURES), Effect.RESTART),
    Field("clock", structure(*CLOCK), Clock("clock", CLOCK), Effect.RESTART),
    *(
        Field(f"on_{event}", TEXT, Leaf(f"on_{event}"), Effect.RESTART, choices=words)
        for event, words in (
            ("poweroff", _AFTER),
            ("reboot", _AFTER),
            ("crash", (*_AFTER, "coredump-destroy", "coredump-restart")),
        )
    ),
)


def check(spec: Mapping[str, Any]) -> None:
    """Refuse what doesn't go together.

    Raises:
        StrataError: It names the option and the value.
    """
    if spec.get("secure_boot") is not None and spec.get("firmware") != "efi":
        raise StrataError("is a matter of firmware: efi", option="secure_boot", value=spec["secure_boot"])
    rows = [row for option in ("disks", "networks", "hostdevs") for row in spec.get(option, ())]
    if spec.get("boot") and any("boot_order" in row for row in rows):
        raise StrataError(
            "and the boot_order of devices exclude each other", option="boot", value=list(spec["boot"]), hint="Give one"
        )
    clock = spec.get("clock", {})
    if (clock.get("offset") == "timezone") != ("timezone" in clock):
        raise StrataError("belongs to offset: timezone", option="clock.timezone", value=clock.get("timezone"))


def machine(wanted: str, there: str | None, newest: str | None) -> str:
    """The machine type that a declared one, or a family such as ``q35``, stands for.

    Args:
        wanted: What was declared.
        there: What the domain has: a version of the family stays what it is.
        newest: What libvirt makes of it today.
    """
    family = {"pc": "pc-i440fx"}.get(wanted, wanted)
    if there is not None and re.fullmatch(rf"(?:pc-)?{re.escape(family)}(?:-[\d.]+)?", there):
        return there
    return newest or wanted
