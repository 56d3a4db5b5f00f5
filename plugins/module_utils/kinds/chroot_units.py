# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mount units of a jail: one a mount, so that systemd orders them and refuses mount points that became links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engines import mountunit
from ..engines.unitfile import UnitFile
from .chroot_mounts import WORDS, Item, sorted_words

# Who writes the host's resolv.conf: it may be a link to what is there only when they have begun.
_RESOLVERS = "systemd-resolved.service systemd-networkd.service NetworkManager.service"


def _options(item: Item) -> str:
    # Without nofail, a unit comes before local-fs.target, and resolv.conf is later (systemd.mount(5)).
    words = [*(["bind", "private"] if item.is_bind else []), *sorted(item.flags), "nofail"]
    return ",".join([*words, item.data] if item.data else words)


def unit_text(old: str | None, item: Item, jail: str, point: str, owner: str | None) -> str:
    """The unit that mounts an item at its place on the host; what else is in it stays."""
    free = item.type if owner is None else f"strata:{owner}"
    paths = [jail, item.source] if item.is_bind and not item.word else [jail]
    sets = {
        ("Unit", "RequiresMountsFor"): mountunit.mounts_for(paths),
        ("Unit", "After"): [] if item.directory or not item.word else [_RESOLVERS],
        ("Mount", "What"): [item.source if item.is_bind else free],
        ("Mount", "Where"): [point],
        ("Mount", "Type"): [item.type],
        ("Mount", "Options"): [_options(item)],
        ("Install", "WantedBy"): [mountunit.LATER],
        (mountunit.NOTES, "Chroot"): [jail],
        (mountunit.NOTES, "Item"): [item.word or "bind"],
        (mountunit.NOTES, "Place"): [item.place],
        (mountunit.NOTES, "Owner"): [] if owner is None else [owner],
    }
    return mountunit.text(old, sets)


def stored(units: Mapping[str, UnitFile]) -> dict[str, Any]:
    """What a jail's units say: its options, and whose it is. One that was changed by hand says nothing."""
    words, binds, owner = [], [], None
    for file in units.values():
        word = mountunit.said(file, mountunit.NOTES, "Item")
        options, place = (mountunit.said(file, *key) for key in (("Mount", "Options"), (mountunit.NOTES, "Place")))
        owners = file.all(mountunit.NOTES, "Owner")
        owner = owners[-1] if owners else owner
        if word in WORDS:
            if options == _options(WORDS[word]) and file.last("Mount", "Type") == WORDS[word].type:
                words.append(word)
        else:
            source = mountunit.said(file, "Mount", "What")
            binds.append({"source": source, "path": place, "read_only": "ro" in options.split(",")})
    binds.sort(key=lambda entry: str(entry["path"]))
    enabled = bool(units) and all(mountunit.enabled(unit) for unit in units)
    config = {"mounts": sorted_words(words), "binds": tuple(binds), "persistent": enabled}
    return {"config": config, "binds": binds, "owner": owner}
