# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to a link, wherever it is declared."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.errors import StrataError
from ..engines import link_values
from ..engines.links import World
from . import link_fields


def make(world: World, netns: str, name: str, values: Mapping[str, Any], alias: str) -> None:
    """Make a link, and give it all it is to have.

    The alias comes second: the kernel takes none while it makes one (net/core/rtnetlink.c: rtnl_create_link).
    """
    world.create(netns, name, values)
    if alias:
        world.configure(netns, name, values["type"], {"alias": alias}, ())
    group = link_values.group_of(values["type"])
    adjust(world, netns, name, {key: value for key, value in values.items() if key != group}, {"type": values["type"]})


def adjust(world: World, netns: str, name: str, values: Mapping[str, Any], had: Mapping[str, Any]) -> None:
    """Give a link these values; what isn't in them stays."""
    kind = values.get("type") or had.get("type")
    group = link_values.group_of(kind) or ""
    given = {key: value for key, value in values.items() if key not in ("name", "persistent", "stored")}
    if group in given and group in link_values.ATTRIBUTES:
        # Only what differs: a kernel may know a setting, and be built without what it is to change.
        before = had.get(group) or {}
        own = given.pop(group) or link_fields.defaults(group)
        given[group] = {leaf: value for leaf, value in own.items() if before.get(leaf) != value}
    if given.keys() - {"peer"}:
        world.configure(netns, name, kind, given, had.get("addresses", ()))
    if given.get("peer"):
        before = had.get("peer") or {}
        end = {**given["peer"]}
        other, place = end.pop("name", before.get("name")), end.pop("netns", before.get("netns", ""))
        world.configure(place, other, "veth", end, before.get("addresses", ()))


def anew(world: World, netns: str, name: str, values: Mapping[str, Any], old: Mapping[str, Any], alias: str) -> None:
    """Make a link again, with what it had and nobody declares.

    Raises:
        StrataError: It could not be made; the old one is back.
    """
    want = {key: old[key] for key in ("master", "addresses", "up") if old.get(key) is not None}
    want.update(values)
    want.setdefault("type", old["type"])
    if want["type"] == old["type"]:
        for key in ("parent", link_values.group_of(want["type"]) or "", "peer"):
            had = old.get(key)
            if isinstance(had, dict):
                usual = link_fields.defaults(key)
                kept = {leaf: value for leaf, value in had.items() if usual.get(leaf) != value}
                want[key] = {**kept, **(want.get(key) or {})}
            elif had:
                want.setdefault(key, had)
    want = link_fields.complete(want)
    ports = world.ports(netns, name)
    world.remove(netns, name)
    try:
        make(world, netns, name, want, alias)
    except StrataError as error:
        with contextlib.suppress(StrataError):
            world.remove(netns, name)
        make(world, netns, name, old, old["alias"])
        _return(world, netns, name, ports)
        raise StrataError(f"could not be made anew, so the old one is back: {error.message}", hint=error.hint) from None
    _return(world, netns, name, ports)


def _return(world: World, netns: str, master: str, ports: Iterable[str]) -> None:
    for port in ports:
        world.configure(netns, port, None, {"master": master}, ())
