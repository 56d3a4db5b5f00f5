# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that runs isolated on a host, of every engine, as the kernel has it."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.codec import TEXTS
from ..core.field import Field
from ..engines.hostfiles import Host
from ..host import isolation, naming, running

FIELDS = (
    Field("engines", TEXTS, choices=running.ENGINES),
    Field("names", TEXTS),
    Field("owner"),
    Field("facts", TEXTS, choices=tuple(isolation.SUBJECTS)),
)


def tell(spec: Mapping[str, Any], _check_mode: bool) -> dict[str, Any]:
    names = spec.get("names")
    told = look(Host(), spec.get("engines", running.ENGINES), names, spec.get("owner"), spec.get("facts"))
    return {"changed": False, "workloads": told, "missing": missing(names, told)}


def look(
    host: Host,
    engines: Iterable[str],
    names: Iterable[str] | None = None,
    owner: str | None = None,
    facts: Iterable[str] | None = None,
) -> list[dict[str, Any]]:
    """What runs, with the facts that are wanted.

    Args:
        host: Where.
        engines: Of which engines.
        names: Of these names alone, which may have ``*`` and ``?`` in them.
        owner: Of this stack alone.
        facts: The subjects; all where not given.
    """
    found = naming.named(host, running.find(host, engines))
    kept = [
        (one, name)
        for one, name in found
        if (names is None or any(fnmatch.fnmatchcase(str(name["name"]), pattern) for pattern in names))
        and owner in (None, name["owner"])
    ]
    reader = isolation.Reader(host)
    wanted = tuple(isolation.SUBJECTS if facts is None else facts)
    return [{**_head(host, reader, one, name), **reader.read(one, wanted)} for one, name in kept]


def _head(host: Host, reader: isolation.Reader, one: running.Workload, name: naming.Name) -> dict[str, Any]:
    return {
        "engine": one.engine,
        "name": name["name"],
        "id": one.id if one.engine in ("docker", "podman") else None,
        "owner": name["owner"],
        "labels": dict(name.get("labels") or {}),
        "pid": one.init.pid if one.init else None,
        "command": one.init.command if one.init else None,
        "running_seconds": reader.age(one),
        "processes": len(one.pids),
        "cgroup": one.group,
        "cgroup_shared": one.shared,
    }


def missing(names: Iterable[str] | None, told: Iterable[Mapping[str, Any]]) -> list[str]:
    """Those of the names that nothing has that runs."""
    found = [str(one["name"]) for one in told]
    return [pattern for pattern in names or () if not fnmatch.filter(found, pattern)]
