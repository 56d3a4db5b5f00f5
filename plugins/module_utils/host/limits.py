# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits: how many namespaces there may be, and the ranges of IDs that user namespaces are mapped to."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.survey import Facts, Need, Subject, Why
from ..engines.hostfiles import Host, number

_FILES = {"subuid": "/etc/subuid", "subgid": "/etc/subgid"}
_PEOPLE = range(1000, 60000)  # Debian Policy 9.2.2, and login.defs(5) of Fedora: the IDs of people
_NO_LOGIN = ("nologin", "false")


def users(passwd: str) -> list[tuple[str, int, bool]]:
    """Name, ID, and whether somebody logs in by it (passwd(5))."""
    rows = (line.split(":") for line in passwd.splitlines())
    return [
        (row[0], int(row[2]), row[6].rpartition("/")[2] not in _NO_LOGIN)
        for row in rows
        if len(row) >= 7 and row[2].isdecimal()
    ]


def ranges(text: str, names: dict[str, str]) -> list[Facts]:
    """The ranges of subuid(5); a user may be named by ID there."""
    found = []
    for line in text.splitlines():
        user, _colon, rest = line.strip().partition(":")
        start, count = map(number, (rest.partition(":")[0], rest.partition(":")[2]))
        if user and start is not None and count:
            found.append({"user": names.get(user, user), "start": start, "count": count})
    return found


def overlaps(rows: Iterable[Facts]) -> list[Facts]:
    """Pairs of ranges of different users that share IDs."""
    ordered = sorted(rows, key=lambda row: (row["start"], row["count"], row["user"]))
    found = []
    for place, first in enumerate(ordered):
        end = first["start"] + first["count"]
        for second in ordered[place + 1 :]:
            if second["start"] >= end:
                break
            if second["user"] != first["user"]:
                shared = min(end, second["start"] + second["count"]) - second["start"]
                found.append({"users": [first["user"], second["user"]], "start": second["start"], "count": shared})
    return found


def read(host: Host) -> Facts:
    folder = "/proc/sys/user"
    people = users(host.text("/etc/passwd") or "")
    names = {str(uid): name for name, uid, _login in reversed(people)}
    given = {kind: ranges(host.text(path) or "", names) for kind, path in _FILES.items()}
    everywhere = [{row["user"] for row in rows} for rows in given.values()]
    logins = [name for name, uid, login in people if login and uid in _PEOPLE]
    return {
        "max_namespaces": {
            name[4 : -len("_namespaces")]: host.number(f"{folder}/{name}")
            for name in host.names(folder)
            if name.startswith("max_") and name.endswith("_namespaces")
        },
        **given,
        "overlaps": {kind: overlaps(rows) for kind, rows in given.items()},
        "without_ranges": [name for name in ("root", *logins) if not all(name in users for users in everywhere)],
    }


def _without(facts: Facts) -> list[Facts]:
    """Each user without ranges, and where free ones begin."""
    start = max((row["start"] + row["count"] for kind in _FILES for row in facts[kind]), default=100000)
    return [
        {"name": name, "range": f"{start + place * 65536}-{start + place * 65536 + 65535}"}
        for place, name in enumerate(facts["without_ranges"])
    ]


def _overlaps(facts: Facts) -> list[Facts]:
    return [
        {"kind": kind, "one": row["users"][0], "other": row["users"][1], "start": row["start"], "count": row["count"]}
        for kind in _FILES
        for row in facts["overlaps"][kind]
    ]


SUBJECT = Subject(
    read,
    (
        Need(
            "{name} namespaces",
            (
                Why(
                    lambda row: row["most"] == 0,
                    "user.max_{name}_namespaces is 0",
                    "Set it to more than 0 by sysctl and in /etc/sysctl.d",
                ),
            ),
            each=lambda facts: [{"name": name, "most": most} for name, most in facts["max_namespaces"].items()],
        ),
        Need(
            "ranges of {name}",
            (
                Why(
                    lambda _row: True,
                    "{name} has no range in /etc/subuid, or none in /etc/subgid: no containers in user namespaces",
                    "usermod --add-subuids {range} --add-subgids {range} {name}",
                ),
            ),
            each=_without,
        ),
        Need(
            "{kind} of {one} and {other}",
            (
                Why(
                    lambda _row: True,
                    "their ranges share {count} IDs from {start} on: containers of one can be reached by the other",
                    "Give one of them another range in /etc/{kind}, and shift what its containers own",
                ),
            ),
            each=_overlaps,
        ),
    ),
)
