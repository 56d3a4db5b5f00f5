# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges of subordinate IDs, and the maps of user namespaces made from them (subuid(5), user_namespaces(7))."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable

from ..core import files
from ..core.errors import StrataError

LEAST = 65_536
"""IDs that a whole system needs, nobody's included."""

_ID_MAX = 2**32 - 1


def parse_text(value: object) -> str:
    """``FIRST:COUNT``: what of the host the namespace's IDs from 0 on are."""
    found = re.fullmatch(r"(\d+):(\d+)", str(value).strip())
    if not found:
        raise ValueError("is no map: write the first ID of the host and how many, such as 100000:65536")
    first, count = int(found[1]), int(found[2])
    if first < 1 or count < 1 or first + count > _ID_MAX:
        raise ValueError("must begin at 1 or more, and end below 4294967295")
    return f"{first}:{count}"


def lines(text: str) -> list[str]:
    """A map as LXC writes it, for users and for groups."""
    first, count = text.split(":")
    return [f"u 0 {first} {count}", f"g 0 {first} {count}"]


def parse(said: Iterable[str]) -> str:
    """What LXC's lines of a map say; one that ``lines`` doesn't make is shown as it stands."""
    words = [line.split() for line in said]
    ranges = {(line[0], line[1]): f"{line[2]}:{line[3]}" for line in words if len(line) == 4}
    if len(words) == len(ranges) == 2 and ranges.keys() == {("u", "0"), ("g", "0")} and len({*ranges.values()}) == 1:
        return next(iter(ranges.values()))
    return "; ".join(sorted(" ".join(line) for line in words))


def inner(text: str, outer: int) -> int:
    """What an ID is called inside a namespace, from its map (user_namespaces(7)); 65534 where it isn't there."""
    for line in text.splitlines():
        first, beyond, count = map(int, line.split())
        if beyond <= outer < beyond + count:
            return first + outer - beyond
    return 65534


def allotted(text: str, user: str, number: int) -> list[tuple[int, int]]:
    """The ranges that a file of subordinate IDs gives a user, by name or by number."""
    found = []
    for line in text.splitlines():
        parts = line.strip().split(":")
        if len(parts) == 3 and parts[0] in (user, str(number)) and parts[1].isdigit() and parts[2].isdigit():
            found.append((int(parts[1]), int(parts[2])))
    return found


def own() -> str:
    """The first range that this user may use for users and groups alike.

    Raises:
        StrataError: There is none.
    """
    number = os.geteuid()
    try:
        user = pwd.getpwuid(number).pw_name
    except KeyError:
        user = str(number)
    users, groups = (allotted(files.read(f"/etc/{name}") or "", user, number) for name in ("subuid", "subgid"))
    for first, count in users:
        for other, many in groups:
            start, end = max(first, other), min(first + count, other + many)
            if end - start >= LEAST:
                return f"{start}:{LEAST}"
    raise StrataError(
        f"{user} has no range of {LEAST} IDs in both /etc/subuid and /etc/subgid",
        option="unprivileged",
        hint=f"The role strata.virt.host gives root one; or usermod --add-subuids 100000-165535 --add-subgids "
        f"100000-165535 {user}, with numbers that nobody else has",
    )
