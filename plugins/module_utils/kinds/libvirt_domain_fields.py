# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several tables of a domain's options have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..core.codec import INT, LINE, MAX, TEXT, Codec, parse_size, show_size
from ..core.field import Field, table
from ..engines.domain_xml import Leaf
from ..engines.xml_places import Sole

Row = Mapping[str, Any]

_MIB = 1024**2


def _parse_memory(value: Any) -> int:
    """Bytes, in whole MiB: libvirt rounds up to them when a domain starts (qemuDomainAlignMemorySizes)."""
    size = parse_size(value)
    if isinstance(size, str):
        raise ValueError(f"of a virtual machine is a size; {MAX} has no meaning")
    if size < _MIB:
        raise ValueError("is less than 1M")
    return -(-size // _MIB) * _MIB


GUEST_MEMORY = Codec(_parse_memory, show=show_size)


def at_least_one(number: int) -> None:
    if number < 1:
        raise ValueError("must be 1 or more")


def not_negative(number: int) -> None:
    if number < 0:
        raise ValueError("must be 0 or more")


def ordered(key: Callable[[Row], str], *row: Field) -> Codec:
    """A table whose order is the devices' order, unlike that of ``table`` with a key."""
    return replace(table(*row), key=key)


def word(name: str, path: str, attribute: str, *choices: str, default: str | None = None) -> Field:
    """One of a few words; the default is what libvirt has where it isn't written."""
    return Field(name, TEXT, Leaf(path, attribute), default=default, choices=choices)


def number(name: str, path: str, attribute: str, check: Callable[[int], None] = at_least_one) -> Field:
    """A number that may be missing, which 0 stands for within."""
    place = Sole if path else Leaf
    return Field(name, INT, place(path, attribute, int, absent=0), default=0, check=check)


def text(name: str, path: str, attribute: str = "") -> Field:
    """A line that may be missing, which an empty one stands for."""
    place = Sole if path and attribute else Leaf
    return Field(name, LINE, place(path, attribute, absent=""), default="")
