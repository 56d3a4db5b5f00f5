# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain's new disks and network cards get that nobody declared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import chain
from typing import Any

from ..core import files
from ..core.plan import State
from .libvirt_fields import disk_key

Rows = Iterable[Mapping[str, Any]]


@cache
def seed() -> str:
    """Tells hosts apart: the same name on two hosts of one LAN must not make the same MAC.

    machine-id(5) asks to hash it for such uses.
    """
    return hashlib.sha256(f"strata {files.read('/etc/machine-id')}".encode()).hexdigest()[:12]


def disks(rows: Rows, state: State) -> tuple[Mapping[str, Any], ...]:
    """The declared disks; those that are new, with what a new one gets."""
    known = {disk_key(row) for row in state.config.get("disks", ())}
    full = []
    for row in rows:
        fresh = {
            "device": "disk",
            "bus": "sata" if row.get("device") == "cdrom" else "virtio",
            "format": "qcow2" if row["file"].endswith(".qcow2") else "raw",
        }
        full.append(row if disk_key(row) in known else {**fresh, **row})
    return tuple(full)


def networks(rows: Rows, state: State, name: str) -> tuple[Mapping[str, Any], ...]:
    """The declared cards, each with its MAC: the given one, that of the card that is there, or a made one."""
    there = list(state.config.get("networks", ()))
    taken = {row["mac"] for row in rows if "mac" in row}
    full = []
    for row in rows:
        source = ("network", row["network"]) if "network" in row else ("bridge", row["bridge"])
        if "mac" in row:
            mac = row["mac"]
        else:
            same = [card["mac"] for card in there if card.get(source[0]) == source[1]]
            made = (_made_mac(state, name, source, place) for place in range(1000))
            mac = next(mac for mac in chain(same, made) if mac not in taken)
        taken.add(mac)
        known = any(card["mac"] == mac for card in there)
        full.append({**({} if known else {"model": "virtio"}), **row, "mac": mac})
    return tuple(full)


def _made_mac(state: State, name: str, source: tuple[str, str], place: int) -> str:
    """Always the same for a host, a name, and a place among the cards of the same source; in QEMU's range."""
    words = "/".join((str(state.facts.get("seed")), name, *source, str(place)))
    digest = hashlib.sha256(words.encode()).hexdigest()
    return ":".join(("52", "54", "00", digest[0:2], digest[2:4], digest[4:6]))
