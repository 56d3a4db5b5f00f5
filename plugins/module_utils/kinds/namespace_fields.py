# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be said of a set of namespaces: the options, and what doesn't go together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core.codec import BOOL, INT, Codec
from ..core.errors import StrataError
from ..core.field import Field, structure, table
from ..core.plan import Effect

KINDS = ("net", "uts", "ipc", "user", "cgroup", "time", "mnt", "pid")

_IDS = 2**32 - 1  # user_namespaces(7): 32 bits, of which the last number means none
_LINES = 340  # linux/user_namespace.h: UID_GID_MAP_MAX_EXTENTS
_NAME_BYTES = 64  # linux/utsname.h: __NEW_UTS_LEN
_HOSTNAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")


def _parse_kinds(values: Any) -> tuple[str, ...]:
    """A set, in one order."""
    unknown = [str(value) for value in values if value not in KINDS]
    if unknown:
        raise ValueError(f"knows no {unknown[0]!r}: kinds are {', '.join(KINDS)}")
    if not values:
        raise ValueError("must name one kind or more")
    return tuple(kind for kind in KINDS if kind in values)


def _parse_hostname(value: Any) -> str:
    text = str(value)
    if not _HOSTNAME.fullmatch(text):
        raise ValueError("is no host name: use letters, digits, '-', '.' and '_'")
    if len(text) > _NAME_BYTES:
        raise ValueError(f"is longer than the {_NAME_BYTES} bytes that the kernel has for it")
    return text


def _at_least(least: int) -> Any:
    def check(value: int) -> None:
        if value < least:
            raise ValueError(f"must be {least} or more")

    return check


_RANGES = table(
    Field("inside", INT, required=True, check=_at_least(0)),
    Field("outside", INT, required=True, check=_at_least(0)),
    Field("count", INT, required=True, check=_at_least(1)),
)


def _line(row: Mapping[str, int]) -> str:
    """As /proc/PID/uid_map has it (user_namespaces(7))."""
    return f"{row['inside']} {row['outside']} {row['count']}"


def _parse_map(values: Any) -> tuple[dict[str, int], ...]:
    rows: tuple[dict[str, int], ...] = tuple(sorted(_RANGES.parse(values), key=lambda row: int(row["inside"])))
    if len(rows) > _LINES:
        raise ValueError(f"has {len(rows)} lines, and the kernel takes {_LINES}")
    for side in ("inside", "outside"):
        ordered = sorted(rows, key=lambda row: row[side])
        for one, two in zip(ordered, ordered[1:]):
            if one[side] + one["count"] > two[side]:
                raise ValueError(f"the lines '{_line(one)}' and '{_line(two)}' overlap {side}")
        for row in ordered:
            if row[side] + row["count"] > _IDS:
                raise ValueError(f"the line '{_line(row)}' leads beyond the last id, {_IDS - 1}, {side}")
    return rows


IDMAP = replace(_RANGES, parse=_parse_map, key=lambda row: str(row["inside"]))

FIELDS = (
    Field("kinds", Codec(_parse_kinds, "list", list, "str"), effect=Effect.RECREATE),
    Field("hostname", Codec(_parse_hostname), effect=Effect.LIVE),
    Field("loopback", BOOL, effect=Effect.LIVE, default=False, given=True),
    Field("uid_map", IDMAP, effect=Effect.RECREATE, default=()),
    Field("gid_map", IDMAP, effect=Effect.RECREATE, default=()),
    Field(
        "time_offsets",
        structure(Field("monotonic", INT, default=0), Field("boottime", INT, default=0)),
        effect=Effect.RECREATE,
    ),
    Field("persistent", BOOL, effect=Effect.LIVE, default=False),
)

_NEEDS = {"hostname": "uts", "uid_map": "user", "gid_map": "user", "time_offsets": "time"}


def check(kinds: Iterable[str], spec: Mapping[str, Any]) -> None:
    """Refuse what doesn't go together.

    Raises:
        StrataError: It names the option.
    """
    for option, kind in _NEEDS.items():
        if spec.get(option) and kind not in kinds:
            raise StrataError(
                f"belongs to a set with a namespace of kind {kind}", option=option, hint=f"Add {kind} to kinds"
            )


def fitting(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values without those that belong to kinds which aren't in the set."""
    return {key: value for key, value in values.items() if _NEEDS.get(key, values["kinds"][0]) in values["kinds"]}
