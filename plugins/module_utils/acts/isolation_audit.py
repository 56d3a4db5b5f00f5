# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardening profiles held against everything that runs on a host, whoever started it."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

from ..core import audit, hardening
from ..core.codec import LINE, TEXT, TEXTS, WORDS
from ..core.errors import StrataError
from ..core.field import Field, table
from ..engines.hostfiles import Host
from ..troubles import isolation_checks as checks
from .workload_info import look, missing

NOTHING, UNMET, UNCHECKED = "nothing", "unmet", "unchecked"
GUESTS = tuple(engine for engine in checks.ENGINES if engine != "unit")
"""Whose workloads are audited where nobody says: services of the host itself aren't guests."""

EXCEPTION = (
    Field("name", LINE, required=True),
    Field("engine", LINE, choices=checks.ENGINES),
    Field("checks", TEXTS, choices=tuple(one.name for one in checks.MEASURES)),
    Field("reason", TEXT),
)
FIELDS = (
    Field("profile", LINE, given=hardening.RESTRICTED, choices=(hardening.BASELINE, hardening.RESTRICTED)),
    Field("engines", TEXTS, choices=checks.ENGINES),
    Field("names", TEXTS),
    Field("owner", LINE),
    Field("capabilities", WORDS, given=["NET_BIND_SERVICE"]),
    Field("exceptions", table(*EXCEPTION)),
    Field("fail_on", LINE, given=NOTHING, choices=(NOTHING, UNMET, UNCHECKED)),
)
_SHOWN = 10  # of what isn't met, in a message; all of it is in the result


def tell(spec: Mapping[str, Any], _check_mode: bool) -> dict[str, Any]:
    names = spec.get("names")
    found = look(Host(), spec.get("engines", GUESTS), names, spec.get("owner"), checks.NEEDS)
    lost = missing(names, found)
    if lost:
        raise StrataError(
            f"nothing of the name {lost[0]} runs here, and what doesn't run passes nothing",
            option="names",
            hint="strata.virt.workload_info lists what runs",
        )
    return judged(found, spec)


def judged(found: Iterable[Mapping[str, Any]], spec: Mapping[str, Any]) -> dict[str, Any]:
    """The result, of the facts of all workloads. Pure."""
    exceptions = [dict(one) for one in spec.get("exceptions", ())]
    used: set[int] = set()
    told = [_workload(one, spec, exceptions, used) for one in found]
    findings = [_finding(one, row) for one in told for row in one["checks"] if row["met"] is False]
    unchecked = [_finding(one, row) for one in told for row in one["checks"] if row["met"] is None]
    open_ones = [one for one in findings if not one["excepted"]]
    unseen = [one for one in unchecked if not one["excepted"]]
    result = {
        "changed": False,
        "passed": not open_ones and not unseen,
        "workloads": told,
        "findings": open_ones,
        "unchecked": unseen,
        "excepted": [one for one in findings if one["excepted"]],
        "unused_exceptions": [one for place, one in enumerate(exceptions) if place not in used],
    }
    against = {NOTHING: [], UNMET: open_ones, UNCHECKED: [*open_ones, *unseen]}[spec["fail_on"]]
    return {**result, **_failure(against, spec["profile"])} if against else result


def _workload(
    facts: Mapping[str, Any], spec: Mapping[str, Any], exceptions: list[dict[str, Any]], used: set[int]
) -> dict[str, Any]:
    allowed = [name.upper().replace("CAP_", "", 1) for name in spec["capabilities"]]
    rows = audit.held(checks.MEASURES, spec["profile"], {**facts, "allowed": allowed})
    for row in rows:
        row["excepted"] = row["met"] is not True and _excepted(facts, row["check"], exceptions, used)
        row.update(
            {"module": None, "options": [], "remedy": None} if row["met"] else checks.remedy(facts, row["check"])
        )
    head = {key: facts[key] for key in ("engine", "name", "id", "owner", "pid", "cgroup")}
    return {**head, "passed": all(row["met"] or row["excepted"] for row in rows), "checks": rows}


def _excepted(facts: Mapping[str, Any], check: str, exceptions: list[dict[str, Any]], used: set[int]) -> bool:
    fitting = [
        place
        for place, one in enumerate(exceptions)
        if fnmatch.fnmatchcase(str(facts["name"]), one["name"])
        and one.get("engine") in (None, facts["engine"])
        and (one.get("checks") is None or check in one["checks"])
    ]
    used.update(fitting)
    return bool(fitting)


def _finding(workload: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    return {"engine": workload["engine"], "name": workload["name"], **row}


def _failure(against: list[dict[str, Any]], profile: str) -> dict[str, Any]:
    shown = [f"{one['engine']} {one['name']}: {one['check']}: {one['found']}" for one in against[:_SHOWN]]
    more = f" ... and {len(against) - _SHOWN} more" if len(against) > _SHOWN else ""
    return {"failed": True, "msg": f"The profile {profile} does not hold. {' '.join(shown)}{more}"}
