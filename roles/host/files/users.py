# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""users.py WANTED: what users lack to use an engine, as the commands that give it to them. As JSON.

Changes nothing. WANTED is JSON: users (each a name, or name and what is managed of it: subids, linger, groups),
defaults (the same, where a user doesn't say), variable (what they were given by, for errors).
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import sys
from typing import Any

SUBIDS = (100_000, 600_100_000)  # login.defs(5): SUB_UID_MIN, SUB_UID_MAX
RANGE = 65_536


def text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


def ranges(path: str) -> dict[str, list[tuple[int, int]]]:
    """The first and the number of the subordinate IDs of each user (subuid(5))."""
    found: dict[str, list[tuple[int, int]]] = {}
    for line in (text(path) or "").splitlines():
        with contextlib.suppress(ValueError):
            name, first, count = line.split(":")
            found.setdefault(name, []).append((int(first), int(count)))
    return found


def free(taken: list[tuple[int, int]]) -> int:
    """The first of a range that meets no other."""
    first = SUBIDS[0]
    for start, count in sorted(taken):
        if start < first + RANGE and first < start + count:
            first = start + count
    return first


def mapping(name: str, number: str, subids: str, tables: tuple[dict[str, Any], dict[str, Any]]) -> list[list[str]]:
    """The commands for subordinate IDs. V(auto) is content with any; a range is one that has to be there."""
    both = [table.get(name, table.get(number, [])) for table in tables]
    wanted = None if subids == "auto" else tuple(map(int, subids.split(":")))
    taken = [one for table in tables for rows in table.values() for one in rows]
    first, count = wanted or (free(taken), RANGE)
    commands = []
    for flag, rows, table in zip(("--add-subuids", "--add-subgids"), both, tables):
        if (wanted not in rows) if wanted else not rows:
            commands.append(["usermod", flag, f"{first}-{first + count - 1}", name])
            table.setdefault(name, []).append((first, count))
    return commands


def outside(user: Any, groups: list[str]) -> list[str]:
    """The groups that a user isn't in. One that isn't there yet is made by its package."""
    found = []
    for group in groups:
        try:
            known = grp.getgrnam(group)
        except KeyError:
            found.append(group)
            continue
        if user.pw_name not in known.gr_mem and user.pw_gid != known.gr_gid:
            found.append(group)
    return found


def look(wanted: dict[str, Any]) -> dict[str, Any]:
    tables = ranges("/etc/subuid"), ranges("/etc/subgid")
    refused: list[str] = []
    commands: list[list[str]] = []
    for given in wanted["users"]:
        user = {**wanted["defaults"], **({"name": given} if isinstance(given, str) else given)}
        name = user["name"]
        try:
            known = pwd.getpwnam(name)
        except KeyError:
            refused.append(f"{wanted['variable']}: there is no user {name}")
            continue
        if user.get("subids"):
            commands += mapping(name, str(known.pw_uid), user["subids"], tables)
        missing = outside(known, user.get("groups") or [])
        if missing:
            commands.append(["usermod", "--append", "--groups", ",".join(missing), name])
        lingers = os.path.exists(f"/var/lib/systemd/linger/{name}")
        if user.get("linger") is not None and user["linger"] != lingers:
            commands.append(["loginctl", "disable-linger" if lingers else "enable-linger", name])
    return {"refused": refused, "commands": commands}


if __name__ == "__main__":
    print(json.dumps(look(json.loads(sys.argv[1]))))
