# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is of projects of Compose, by the labels of what it made, and what they are made from."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core import files
from ..core.errors import StrataError
from ..core.plan import State
from ..engines import compose_project as project
from ..engines.compose import Compose, Model, Source
from ..engines.docker import Document, container_name
from .compose_wants import Wanted

RUNS = ("running", "paused", "restarting")


@dataclass(frozen=True)
class Seen:
    """What there is of a project.

    Attributes:
        containers: As the daemon lists them.
        networks: The names of its networks.
        volumes: The names of its volumes.
        every: The names of all networks and volumes of the daemon.
        tracked: Those of them that Compose itself changes when what its files say of them does.
        elsewhere: The IDs of the images that other containers are made from.
        wanted: What is declared beside it.
    """

    containers: tuple[Document, ...]
    networks: tuple[str, ...]
    volumes: tuple[str, ...]
    every: Mapping[str, frozenset[str]]
    tracked: frozenset[str]
    elsewhere: frozenset[str]
    wanted: Wanted | None = None

    @property
    def services(self) -> dict[str, list[Document]]:
        return project.told_apart(self.containers)


def read_many(engine: Compose, names: Iterable[str] | None) -> dict[str, State]:
    """The named projects, or all: three lists, however many."""
    containers = engine.containers()
    lists = {"networks": engine.networks(), "volumes": engine.volumes()}
    every = {sort: frozenset(one["Name"] for one in found) for sort, found in lists.items()}
    tracked = frozenset(one["Name"] for found in lists.values() for one in found if project.HASH in project.labels(one))
    known = {project.labels(one).get(project.PROJECT) for one in [*containers, *lists["networks"]]}
    states = {}
    for name in sorted(filter(None, known)) if names is None else names:
        mine = [one for one in containers if project.labels(one).get(project.PROJECT) == name]
        parts = {
            sort: tuple(sorted(one["Name"] for one in found if project.labels(one).get(project.PROJECT) == name))
            for sort, found in lists.items()
        }
        elsewhere = frozenset(one["ImageID"] for one in containers if one not in mine)
        seen = Seen(tuple(mine), parts["networks"], parts["volumes"], every, tracked, elsewhere)
        states[name] = _read(engine, name, seen)
    return states


def owned(engine: Compose, owner: str) -> list[str]:
    """The projects that a stack made: as their containers tell, or where they have none, what is kept of them."""
    told = {
        project.labels(one)[project.PROJECT]
        for one in engine.containers()
        if project.PROJECT in project.labels(one)
        and project.owner_of(project.labels(one).get(project.FILES, "")) == owner
    }
    return sorted(told | project.kept_by(engine.realm, owner))


def _read(engine: Compose, name: str, seen: Seen) -> State:
    there = bool(seen.containers or seen.networks)
    named = sorted({project.labels(one).get(project.FILES, "") for one in seen.containers})
    owners = {project.owner_of(path) for path in (named if seen.containers else project.keepers(engine.realm, name))}
    facts = {
        "services": {
            service: [
                {"name": container_name(one), "image": one["Image"], "state": one["State"], "status": one["Status"]}
                for one in containers
            ]
            for service, containers in seen.services.items()
        },
        "networks": list(seen.networks),
        "volumes": list(seen.volumes),
        "files": sorted({path for text in named for path in text.split(",") if path}),
        "folder": next((project.labels(one).get(project.FOLDER) for one in seen.containers), None),
    }
    runs = any(one["State"] in RUNS for one in seen.containers)
    status = "running" if runs else "stopped" if there else "absent"
    owner = owners.pop() if there and len(owners) == 1 else None
    return State(status, facts=facts, owner=owner, document=seen)


def applied_last(state: State) -> Model:
    """The project as a task applied it last; empty where nobody knows."""
    kept = [path for path in state.facts["files"] if project.owner_of(path) is not None]
    return project.kept(kept[0]) if kept else {}


def export(name: str, state: State) -> dict[str, Any]:
    options: dict[str, Any] = {"project_name": name}
    model = applied_last(state)
    if model and len(state.facts["files"]) == 1:
        options["definition"] = dict(model)
    elif state.facts["files"]:
        options.update(project_src=state.facts["folder"], files=state.facts["files"])
    return {**options, "state": "stopped" if state.status == "stopped" else "present"}


def described(container: Document) -> dict[str, Any]:
    """A container in the words of ``docker compose ps --format json``."""
    return {
        "ID": container["Id"],
        "Name": container_name(container),
        "Service": project.labels(container).get(project.SERVICE),
        "Image": container["Image"],
        "State": container["State"],
        "Status": container["Status"],
        "Health": project.health(container) or "",
        "Labels": dict(project.labels(container)),
    }


# What it is made from.


def source(spec: Mapping[str, Any], home: str, state: State) -> Source:
    """Where to render a project from.

    Args:
        spec: The declaration.
        home: The folder of a definition that has none.
        state: What there is of it.

    Raises:
        StrataError: It isn't there.
    """
    base = spec.get("project_src")
    env_files = tuple(os.path.join(base or "/", path) for path in spec.get("env_files", ()))
    if "definition" in spec:
        return Source(base or home, (), env_files, json.dumps(spec["definition"]))
    if base is None and "files" not in spec:
        if not state.facts["files"]:
            raise StrataError("or definition is needed: there is no such project yet", option="project_src")
        return Source(state.facts["folder"] or "/", tuple(state.facts["files"]), env_files)
    folder = base or os.path.dirname(spec["files"][0])
    if not os.path.isdir(folder):
        raise StrataError("is no folder of this host", option="project_src", value=folder)
    if "files" not in spec:
        _refuse_other_files(env_files or [os.path.join(folder, ".env")])
    named = spec.get("files") or project.default_files(folder)
    if not named:
        raise StrataError("has no compose.yaml", option="project_src", value=folder, hint="Name its files in files")
    return Source(folder, tuple(os.path.join(folder, path) for path in named), env_files)


def _refuse_other_files(env_files: Sequence[str]) -> None:
    for path in env_files:
        if re.search(r"^\s*COMPOSE_FILE=", files.read(path) or "", re.MULTILINE):
            raise StrataError(f"COMPOSE_FILE in {path} names others", option="project_src", hint="Name them in files")
