# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The snapshots of an LXC container, where LXC has them: ``NAME/snaps/SNAPSHOT`` with a configuration, a root, the
time and a comment, so that lxc-snapshot(1) lists, restores and destroys them too.

What we note beside that, in ``strata.json``: the owner, the time to the nanosecond, and an identity.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Mapping
from typing import Any

from ..core import files
from ..core.errors import StrataError
from . import cgroupfs, lxc_trees, trees
from .lxc import Lxc
from .lxc_config import Config

SNAPS = "snaps"
WORK = ".strata-snapshot"
"""Where a snapshot is made, beside LXC's folder: what is in that one, LXC lists."""

NOTE = "strata.json"
RESTORED = "strata-restored.json"
ROOTFS = "lxc.rootfs.path"
_COMMENT_MAX = 65_536  # characters


def _noted(path: str) -> dict[str, Any]:
    try:
        return dict(json.loads(files.read(path) or "{}"))
    except (ValueError, TypeError):
        return {}


def _text(path: str) -> str:
    """What a file says, without following a link to it; nothing where there is none."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8", errors="replace") as file:
            return file.read(_COMMENT_MAX).strip()
    except OSError:
        return ""


def listed(folder: str) -> list[dict[str, Any]]:
    """The snapshots of a container, the oldest first: name, when, comment, owner, identity."""
    try:
        names = os.listdir(f"{folder}/{SNAPS}")
    except OSError:
        return []
    found = [one(folder, name) for name in names]
    return sorted(found, key=lambda entry: (entry["order"], entry["name"]))


def one(folder: str, name: str) -> dict[str, Any]:
    place = f"{folder}/{SNAPS}/{name}"
    ours = _noted(f"{place}/{NOTE}")
    order = ours.get("time")
    if order is None:
        with contextlib.suppress(OSError):
            order = os.stat(f"{place}/ts").st_mtime_ns
    return {
        "name": name,
        "created": _text(f"{place}/ts"),
        "comment": _text(f"{place}/comment"),
        "owner": ours.get("owner"),
        "identity": str(ours.get("identity") or f"{name} {_text(f'{place}/ts')}"),
        "order": int(order or 0),
    }


def noted(folder: str) -> dict[str, Any]:
    """What is noted of a container: the ``request`` that its root was restored by last; whether it is to ``start``."""
    return _noted(f"{folder}/{RESTORED}")


def note(engine: Lxc, name: str, more: Mapping[str, Any]) -> None:
    """Note something of a container; None takes it away."""
    path = f"{engine.folder(name)}/{RESTORED}"
    both = {**_noted(path), **more}
    files.write(path, json.dumps({key: value for key, value in both.items() if value is not None}) + "\n")


def half_made(folder: str) -> list[str]:
    """What a run that was killed has left."""
    paths = (f"{folder}/{WORK}", f"{folder}/rootfs.strata-copy", f"{folder}/rootfs.strata-copy.strata-new")
    return [path for path in paths if os.path.lexists(path)]


def _held(engine: Lxc, name: str) -> contextlib.AbstractContextManager[int]:
    """One at a time: they share a folder, and a container that stands still for one must not go on for another."""
    return trees.held(f"{engine.folder(name)}/{WORK}")


def clear(engine: Lxc, name: str) -> None:
    """Take away what a run that was killed has left, and let the container go on that it had stopped."""
    with _held(engine, name):
        _clear(engine, name)


def _clear(engine: Lxc, name: str) -> None:
    folder = engine.folder(name)
    if os.path.exists(f"{folder}/{WORK}/frozen"):
        engine.set_frozen(name, False)
    for path in half_made(folder):
        trees.remove(path)


def make(engine: Lxc, name: str, snapshot: str, comment: str, owner: str) -> None:
    """Make a snapshot; a container that runs stands still meanwhile.

    Raises:
        StrataError: The disk is full, or the root is no plain directory.
    """
    folder = engine.folder(name)
    config = engine.read_config(name)
    top = lxc_trees.path(config.get(ROOTFS) if config else None)
    if config is None or top is None:
        raise StrataError("its root is no plain directory")
    with _held(engine, name):
        _clear(engine, name)
        work, place = f"{folder}/{WORK}", f"{folder}/{SNAPS}/{snapshot}"
        made = f"{work}/snapshot"
        os.makedirs(made, mode=0o700)
        standing = _stop_still(engine, name, work)
        try:
            lxc_trees.copy(top, f"{made}/rootfs")
        finally:
            if standing:
                engine.set_frozen(name, False)
                files.remove(f"{work}/frozen")
        copy = Config(config.text)
        copy.put(ROOTFS, f"dir:{place}/rootfs")
        files.write(f"{made}/config", copy.text)
        before = files.read(f"{folder}/config.created")
        if before is not None:
            files.write(f"{made}/config.created", before, 0o600)
        now = time.time_ns()
        # LXC writes the time so (lxccontainer.c, do_lxcapi_snapshot).
        files.write(f"{made}/ts", time.strftime("%Y:%m:%d %H:%M:%S", time.localtime(now / 1e9)))
        set_comment(made, comment)
        files.write(f"{made}/{NOTE}", json.dumps({"owner": owner, "time": now, "identity": uuid.uuid4().hex}) + "\n")
        os.makedirs(os.path.dirname(place), mode=0o770, exist_ok=True)
        os.rename(made, place)
        trees.remove(work)


def _stop_still(engine: Lxc, name: str, work: str) -> bool:
    running = engine.running(name) if engine.active([name]) else None
    group = running.group() if running else None
    if group is None or cgroupfs.read(group, "cgroup.freeze") == "1":
        return False
    files.write(f"{work}/frozen", "")
    engine.set_frozen(name, True)
    return True


def set_comment(place: str, comment: str) -> None:
    """LXC keeps a comment in a file of its own."""
    if comment:
        files.write(f"{place}/comment", f"{comment}\n")
    else:
        files.remove(f"{place}/comment")


def restore(engine: Lxc, name: str, snapshot: str, request: str) -> None:
    """Put the root and the configuration of a snapshot in the place of the container's, which is stopped.

    Raises:
        StrataError: The disk is full; the container is then as it was.
    """
    folder = engine.folder(name)
    place = f"{folder}/{SNAPS}/{snapshot}"
    config, kept = engine.read_config(name), engine.config_at(place)
    top = lxc_trees.path(config.get(ROOTFS) if config else None)
    source = lxc_trees.path(kept.get(ROOTFS) if kept else None)
    if config is None or kept is None or top is None or source is None:
        raise StrataError("its root, or that of the snapshot, is no plain directory")
    with _held(engine, name):
        _clear(engine, name)
        lxc_trees.replace(source, top)
        kept.put(ROOTFS, config.get(ROOTFS))
        engine.write_config(name, kept)
        note(engine, name, {"request": request})


def remove(engine: Lxc, name: str, snapshot: str) -> None:
    """Take a snapshot away: out of LXC's sight in one step, then for good."""
    folder = engine.folder(name)
    with _held(engine, name):
        _clear(engine, name)
        work, place = f"{folder}/{WORK}", f"{folder}/{SNAPS}/{snapshot}"
        if os.path.lexists(place):  # else it went meanwhile
            os.mkdir(work, 0o700)
            os.rename(place, f"{work}/snapshot")
            trees.remove(work)
        with contextlib.suppress(OSError):  # others are left
            os.rmdir(os.path.dirname(place))
