# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's network cards: how they are declared, what a new one gets, and what changing one costs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from itertools import chain

from ..core import files
from ..core.codec import BOOL, INT, LINE, MAC
from ..core.errors import StrataError
from ..core.field import Field, structure
from ..core.plan import Change, Effect, State
from ..engines.domain_devices import SOURCES, Attached, Networks
from ..engines.domain_places import Whole
from ..engines.domain_xml import Leaf
from ..engines.xml_places import Sole
from .libvirt_domain_fields import Row, at_least_one, number, ordered, text, word

_RATE = tuple(Field(name, INT, Leaf("", name, int), check=at_least_one) for name in ("average", "peak", "burst"))
BANDWIDTH = tuple(Field(direction, structure(*_RATE), Whole(direction, _RATE)) for direction in ("inbound", "outbound"))
NETWORK = (
    Field("network", LINE, Attached("network")),
    Field("bridge", LINE, Attached("bridge")),
    Field("direct", LINE, Attached("direct")),
    Field("user", BOOL, Attached("user"), default=False),
    word("direct_mode", "source", "mode", "bridge", "vepa", "private", "passthrough"),
    text("portgroup", "source", "portgroup"),
    Field("model", LINE, Leaf("model", "type"), default="virtio"),
    Field("mac", MAC, Leaf("mac", "address", MAC.parse)),
    Field("vhost", BOOL, Leaf("driver", "name", lambda name: name == "vhost", lambda on: "vhost" if on else "qemu")),
    # libvirt writes no number where it is one.
    Field("queues", INT, Sole("driver", "queues", int, absent=1), default=1, check=at_least_one),
    number("mtu", "mtu", "size"),
    word("link", "link", "state", "up", "down", default="up"),
    text("filter", "filterref", "filter"),
    number("boot_order", "boot", "order"),
    Field("bandwidth", structure(*BANDWIDTH), Whole("bandwidth", BANDWIDTH), default={}),
)
_LIVE = {*SOURCES, "direct_mode", "portgroup", "link", "bandwidth", "filter"}


def network_key(row: Row) -> str:
    return str(row.get("mac") or source(row)[1])


def source(row: Row) -> tuple[str, str]:
    """What a card is attached to, and which one of that."""
    return next(((name, str(row[name])) for name in SOURCES if row.get(name)), ("", ""))


FIELD = Field(
    "networks", ordered(network_key, *NETWORK), Networks("interface", NETWORK, network_key), Effect.LIVE, default=()
)


def check(rows: Iterable[Row]) -> None:
    """Refuse cards that are attached to nothing, or to two things.

    Raises:
        StrataError: It names the option and the value.
    """
    for row in rows:
        if sum(bool(row.get(name)) for name in SOURCES) != 1:
            raise StrataError("names either a network or a bridge, direct or user", option="networks", value=dict(row))


@cache
def seed() -> str:
    """Tells hosts apart: the same name on two hosts of one LAN must not make the same MAC.

    machine-id(5) asks to hash it for such uses.
    """
    return hashlib.sha256(f"strata {files.read('/etc/machine-id')}".encode()).hexdigest()[:12]


def completed(rows: Iterable[Row], state: State, name: str, model: str = "virtio") -> tuple[Row, ...]:
    """The declared cards, each with its MAC: the given one, that of the card that is there, or a made one."""
    there = list(state.config.get("networks", ()))
    taken = {row["mac"] for row in rows if "mac" in row}
    full = []
    for row in rows:
        if "mac" in row:
            mac = row["mac"]
        else:
            same = [card["mac"] for card in there if source(card) == source(row)]
            made = (_made_mac(state, name, source(row), place) for place in range(1000))
            mac = next(mac for mac in chain(same, made) if mac not in taken)
        taken.add(mac)
        known = any(card["mac"] == mac for card in there)
        full.append({**({} if known else {"model": model}), **row, "mac": mac})
    return tuple(full)


def _made_mac(state: State, name: str, attached: tuple[str, str], place: int) -> str:
    """Always the same for a host, a name, and a place among the cards of the same source; in QEMU's range."""
    words = "/".join((str(state.facts.get("seed")), name, *attached, str(place)))
    digest = hashlib.sha256(words.encode()).hexdigest()
    return ":".join(("52", "54", "00", digest[0:2], digest[2:4], digest[4:6]))


def cost(change: Change, state: State) -> Effect:
    """What one card that comes, goes or changes costs what runs."""
    if change.before is None or change.after is None:
        return Effect.LIVE
    moved = {name for name in change.after if change.after[name] != change.before.get(name)}
    return Effect.LIVE if moved <= _LIVE else Effect.RESTART
