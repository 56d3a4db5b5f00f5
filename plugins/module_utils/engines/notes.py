# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What something was made from, in a note beside it, and a mark on the thing itself that says that it is the one.

What is put in place and what is noted of it can't change in one step. So the note tells of both the old and the new
one before they change places, and the mark, which goes where the thing goes, tells which of them is there.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Mapping
from typing import Any

from ..core import files

_MARK = "user.strata.mark"  # xattr(7)


def beside(path: str) -> str:
    """Where the note of a path is."""
    return f"{path}.strata.json"


def _load(path: str) -> dict[str, Any]:
    try:
        return dict(json.loads(files.read(beside(path)) or "{}"))
    except (ValueError, TypeError):
        return {}


def _mark(path: str) -> str | None:
    try:
        return os.getxattr(path, _MARK, follow_symlinks=False).decode(errors="replace")
    except OSError:
        return None


def read(path: str) -> dict[str, Any] | None:
    """The entry of what is at a path; None where it isn't what the note tells of, or there is no note.

    An entry has ``owner``, ``options`` and whatever else was noted. Notes without a mark are of file systems that
    can't keep one, or older than marks.
    """
    note = _load(path)
    entries = [entry for entry in (note.get("next"), note) if isinstance(entry, dict) and "options" in entry]
    mark = _mark(path)
    found = [entry for entry in entries if entry.get("mark") == mark]
    if len(found) > 1:  # neither could be marked, and whether they changed places is not known
        return {"owner": found[0].get("owner"), "options": {}}
    return found[0] if found else None


def announce(path: str, fresh: str, entry: Mapping[str, Any]) -> None:
    """Mark what is about to be put at a path, and note it beside what is there."""
    new: dict[str, Any] = dict(entry)
    with contextlib.suppress(OSError):  # it then counts as ours by its note alone
        mark = uuid.uuid4().hex
        os.setxattr(fresh, _MARK, mark.encode())
        new["mark"] = mark
    old = read(path) if os.path.lexists(path) else None
    _save(path, {**(old or {}), "next": new})


def settle(path: str) -> None:
    """What was announced is in place."""
    _save(path, _load(path)["next"])


def amend(path: str, kind: str, more: Mapping[str, Any]) -> None:
    """Note more of what is at a path; of something that nobody noted yet, too, which is nobody's then as before."""
    entry = read(path)
    if entry is None:
        announce(path, path, {"kind": kind, "owner": None, "options": {}})
        settle(path)
        entry = _load(path)
    _save(path, {**entry, **more})


def follow(path: str, new: str) -> None:
    """What is at a path is about to have another name: its note is there before it comes."""
    if os.path.exists(beside(path)):
        _save(new, _load(path))


def left(path: str, kind: str) -> bool:
    """Whether there is a note of a kind's for something that is gone."""
    note = _load(path)
    return kind in (note.get("kind"), (note.get("next") or {}).get("kind"))


def _save(path: str, note: Mapping[str, Any]) -> None:
    files.write(beside(path), json.dumps(note, sort_keys=True) + "\n")


def forget(path: str) -> None:
    files.remove(beside(path))
