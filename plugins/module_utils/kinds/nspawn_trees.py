# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of a machine: one of its own name, one that its name leads to by a link, or a clone of a read-only image.

systemd-nspawn runs a machine from what it finds under its name (systemd-nspawn(1), --machine). What is read-only there
it mounts read-only, for many machines at once; what can be written to, one machine has for itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.codec import TEXT, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, State
from ..engines import notes, nspawn, nspawn_images, trees
from .nspawn_unit import parse_image

KIND = "nspawn_container"
OWN, LINKED = "own", "linked"
IMAGE = Field("image", Codec(parse_image), effect=Effect.RESTART)
TREE = Field("tree", TEXT, effect=Effect.RESTART, role=Role.DERIVED, export=False)


def origin(name: str) -> str | None:
    """The image that a machine's tree was cloned from for it; None where it wasn't."""
    path = nspawn.image_path(name)
    for place in (path, path + nspawn_images.SUFFIX):
        entry = notes.read(place) if os.path.exists(place) and not os.path.islink(place) else None
        if entry and entry.get("kind") == KIND:
            image = entry["options"].get("image")
            return None if image is None else str(image)
    return None


def read(name: str, link: str | None) -> dict[str, Any]:
    """What is stored: where our own link leads, what it was cloned from, or what is there under the machine's name."""
    target = nspawn.linked(name)
    if link is not None and target in (link, None):
        return {"image": target, "tree": LINKED}
    cloned = origin(name)
    if cloned:
        return {"image": cloned, "tree": OWN}
    path = nspawn.image_path(name)
    return {"image": path if nspawn.there(path) else None}


def running(name: str) -> dict[str, Any]:
    """What a machine was started from."""
    target = nspawn.running_link(name)
    if target:
        return {"image": target, "tree": LINKED}
    return {"image": origin(name) or nspawn.image_path(name), "tree": OWN}


def observe(state: State, name: str, image: str | None, *, promised: bool, read_only: bool) -> State:
    """Add what a declaration needs to know of the tree.

    Args:
        state: The machine's.
        name: The machine.
        image: What is declared.
        promised: It is made before.
        read_only: It is made read-only before.
    """
    own = nspawn.image_path(name)
    path, link = image or own, state.facts.get("link")
    ours = link is not None and nspawn.linked(name) == link
    cloned = origin(name)
    other = os.path.lexists(own) or os.path.lexists(own + nspawn_images.SUFFIX)
    found = nspawn_images.find(os.path.basename(path)) if os.path.dirname(path) == nspawn.IMAGES else None
    facts = {
        **state.facts,
        "image_there": promised or (nspawn.there(path) and not (path == own and ours and image is not None)),
        "image_taken": other and not ours and cloned != path and os.path.realpath(own) != os.path.realpath(path),
        "template": path != own and (read_only or (found is not None and found.read_only)),
        "cloned": cloned,
    }
    return replace(state, facts=facts)


def settle(state: State, name: str, values: dict[str, Any], *, given: str | None, starts: bool) -> None:
    """Complete the declared values with what they mean for the tree.

    Args:
        state: The machine's.
        name: The machine.
        values: What is declared.
        given: The image as it was given, for the message.
        starts: The machine is to be started.

    Raises:
        StrataError: There is no such tree, or the name leads to another one.
    """
    facts, own = state.facts, nspawn.image_path(name)
    cloned = facts.get("cloned")
    if "image" in values and values["image"] is None:
        values["image"] = cloned or own  # a stack no longer declares it
    elif cloned and values.get("image") == own:
        values["image"] = cloned  # said by where it is, and not by what it is of
    image = values.get("image", own)
    if cloned and "image" in values and image != cloned:
        raise StrataError(
            f"it has a tree of its own, cloned from {cloned}, and what it wrote there would be lost",
            option="image",
            value=given,
            hint="Take the machine away first (state: absent), which takes that tree as well",
        )
    if not facts["image_there"] and ("image" in values or starts or not state.exists) and not cloned:
        raise StrataError(
            f"there is no directory tree at {image}",
            option="image",
            value=given,
            hint="Make one (nspawn_image, rootfs, machinectl, importctl), or name where it is",
        )
    if image != own and facts["image_taken"]:
        raise StrataError(
            f"systemd would take {own}, which is something else and is not replaced",
            option="image",
            value=given,
            hint="Leave the option out to run what is there, or give the machine another name",
        )
    now = {**state.config, **values}
    if "image" in values and facts.get("template") and not (now.get("read_only") or now.get("ephemeral")):
        values["tree"] = OWN


def lead(name: str, values: Mapping[str, Any], want: Mapping[str, Any], owner: str) -> None:
    """Have the machine's name lead to what was declared: clone it, or link there."""
    if values.get("tree") == OWN:
        clone(name, str(want["image"]), owner)
        return
    image = values.get("image")
    own = want.get("tree") == OWN or image in (None, nspawn.image_path(name), nspawn.linked(name))
    if not own and image != origin(name):
        nspawn.link(name, str(image))


def clone(name: str, image: str, owner: str) -> None:
    """Make a machine's tree from an image: whole, or not at all.

    Raises:
        StrataError: The disk is full, or somebody else has made something in its place.
    """
    source = nspawn_images.find(os.path.basename(image))
    if source is None:
        raise StrataError(f"there is no image at {image} any more", option="image")
    place = nspawn.image_path(name) + (nspawn_images.SUFFIX if source.type == nspawn_images.RAW else "")
    with trees.held(nspawn.image_path(name)) as lock:
        if origin(name) == image:
            return  # a run that was killed has got this far
        if nspawn_images.find(name) is not None:
            raise StrataError(f"{place} came there meanwhile, and is not replaced", option="image")
        nspawn_images.sweep(name)
        work = trees.Work(nspawn_images.fresh(name), (lock,))
        os.mkdir(work.folder, 0o700)
        try:
            made = nspawn_images.copy(source, work)
            trees.sync(work.folder)
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            entry = {"kind": KIND, "owner": owner, "options": {"image": image}, "made": now}
            notes.announce(place, made, entry)
            trees.swap(made, place)  # in the place of a link, or of nothing
            notes.settle(place)
        finally:
            nspawn_images.sweep(name)


def remove(name: str, link: str | None) -> None:
    """Take away our own link, or the clone that was made for the machine; never another tree."""
    if link is not None and nspawn.linked(name) == link:
        nspawn.unlink(name)
    with trees.held(nspawn.image_path(name)):
        nspawn_images.sweep(name)
        image = nspawn_images.find(name) if origin(name) else None
        if image is not None:
            with nspawn_images.unused(image.path):
                nspawn_images.set_read_only(image, False)
                trees.put_aside(image.path, trees.Work(nspawn_images.fresh(name)))
            notes.forget(image.path)
            nspawn_images.sweep(name)
