# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Compose notes of its projects, and what a rendered project says: pure translation, and the files beside it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ..core import files
from .docker import Document, container_name

# The labels (docker/compose: pkg/api/labels.go).
_PREFIX = "com.docker.compose."
PROJECT, SERVICE, HASH = f"{_PREFIX}project", f"{_PREFIX}service", f"{_PREFIX}config-hash"
IMAGE, FILES, FOLDER = f"{_PREFIX}image", f"{_PREFIX}project.config_files", f"{_PREFIX}project.working_dir"
ONEOFF, DEPENDS, REPLACES = f"{_PREFIX}oneoff", f"{_PREFIX}depends_on", f"{_PREFIX}replace"

_KEPT, _OWN = "/var/lib/strata/compose", "~/.local/state/strata/compose"
_NOBODY = "-"  # a single task, which no stack can be named like

# What Compose looks for (docs.docker.com/compose/intro/compose-application-model), the first of each that is there.
_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_ON_TOP = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)


def labels(thing: Document) -> Mapping[str, str]:
    found: Mapping[str, str] = thing.get("Labels") or {}
    return found


def default_files(folder: str) -> list[str]:
    """The files of a folder that Compose takes where none are named: relative to it."""
    there = [[name for name in names if os.path.exists(os.path.join(folder, name))] for names in (_FILES, _ON_TOP)]
    return [names[0] for names in there if names] if there[0] else []


def own_name(path: str) -> str | None:
    """The name that a file gives its project in so many words."""
    found = re.search(r"""^name:\s*["']?([a-z0-9][a-z0-9_-]*)["']?\s*(?:#.*)?$""", files.read(path) or "", re.MULTILINE)
    return found[1] if found else None


def folder_name(folder: str) -> str:
    """The name of a project that has none: that of its folder (compose-go: loader.NormalizeProjectName)."""
    return re.sub(r"[^a-z0-9_-]", "", os.path.basename(folder).lower()).lstrip("_-")


# What is kept: PLACE/OWNER/PROJECT.json or PLACE/REALM@OWNER/PROJECT.json, which containers name in FILES.


def place() -> str:
    """Where projects are kept as they were applied: by root, or by a user who can write at home only."""
    return _KEPT if os.geteuid() == 0 else os.path.expanduser(_OWN)


def kept_at(realm: str, owner: str, project: str) -> str:
    """The file of a project of one engine, which the realm tells from others; empty: Docker."""
    return os.path.join(place(), f"{realm}@{owner or _NOBODY}".lstrip("@"), f"{project}.json")


def owner_of(path: str) -> str | None:
    """Whose a file of projects is; None: not one of ours."""
    folder, _slash, _name = path.rpartition("/")
    above, _slash, whose = folder.rpartition("/")
    if above != place():
        return None
    owner = whose.rpartition("@")[2]
    return "" if owner == _NOBODY else owner


def keepers(realm: str, project: str) -> list[str]:
    """All that keep a project of that name."""
    found = os.listdir(place()) if os.path.isdir(place()) else []
    mine = [os.path.join(place(), whose, f"{project}.json") for whose in found if whose.rpartition("@")[0] == realm]
    return [path for path in mine if os.path.exists(path)]


def kept_by(realm: str, owner: str) -> set[str]:
    """The projects of an owner of which something is kept."""
    folder = os.path.dirname(kept_at(realm, owner, ""))
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return {name[: -len(".json")] for name in names if name.endswith(".json")}


def kept(path: str) -> Mapping[str, Any]:
    """A project as it was applied last; empty where that can't be told."""
    try:
        found = json.loads(files.read(path) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# What a container tells.


def made_by_us(container: Document) -> bool:
    return owner_of(labels(container).get(FILES, "")) is not None


def ran_well(container: Document) -> bool:
    """Whether it ended by itself, with status 0 (moby: container/state.go, String)."""
    return str(container.get("Status")).startswith("Exited (0)")


def health(container: Document) -> str | None:
    """What its health check found (moby: container/state.go, String); None where it has none."""
    found = re.search(r"\((healthy|unhealthy|health: starting)\)$", str(container.get("Status")))
    return found[1].replace("health: ", "") if found else None


def told_apart(containers: Iterable[Document]) -> dict[str, list[Document]]:
    """The containers of each service, without those that ``docker compose run`` made."""
    services: dict[str, list[Document]] = {}
    for container in sorted(containers, key=container_name):
        if labels(container).get(ONEOFF, "False") == "False":
            services.setdefault(labels(container).get(SERVICE, ""), []).append(container)
    return services


def cut_short(containers: Collection[Document]) -> Iterator[tuple[Document, str | None]]:
    """What a Compose that was killed left of replacements: each with the name that it was to get.

    Compose names a new container ID_NAME after the old one, removes that, and renames the new one (docker/compose:
    pkg/compose/convergence.go, recreateContainer). While both are there, it fails on the name that is taken; then the
    new one, which never ran, has no name to get.
    """
    for container in containers:
        found = re.fullmatch(r"([0-9a-f]{12})_(.+)", container_name(container))
        if found and REPLACES in labels(container):
            old = any(one["Id"].startswith(found[1]) for one in containers)
            yield container, None if old else found[2]


def by_dependence(containers: Iterable[Document]) -> Iterator[list[Document]]:
    """Containers in the order in which they may stop: none before those that depend on it, some together."""
    left = list(containers)
    while left:
        needed = {word.partition(":")[0] for one in left for word in labels(one).get(DEPENDS, "").split(",")}
        free = [one for one in left if labels(one).get(SERVICE) not in needed] or left
        yield free
        left = [one for one in left if one not in free]


# What a rendered project says.


def replicas(service: Mapping[str, Any]) -> int:
    given = service.get("scale", (service.get("deploy") or {}).get("replicas"))
    return 1 if given is None else int(given)


def image_of(project: str, name: str, service: Mapping[str, Any]) -> str:
    """The image of a service; what is built without a name for it is named so."""
    return str(service.get("image") or f"{project}-{name}")


def closure(services: Mapping[str, Any], names: Iterable[str]) -> set[str]:
    """Services and all that they depend on, by whatever: a rendered project has it all in depends_on."""
    found: set[str] = set()
    due = list(names)
    while due:
        name = due.pop()
        if name not in found and name in services:
            found.add(name)
            due += services[name].get("depends_on") or ()
    return found


def joined(service: Mapping[str, Any]) -> dict[str, str]:
    """The namespaces that a service shares with another one, by option."""
    words = {option: str(service.get(option) or "").partition(":") for option in ("network_mode", "ipc", "pid")}
    return {option: name for option, (word, _colon, name) in words.items() if word == "service"}


def used(model: Mapping[str, Any], sort: str, names: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """The networks or volumes of a project that some of its services use."""
    keys: set[str] = set()
    for name in names:
        service = model["services"][name]
        if sort == "networks":
            keys |= set(service.get("networks") or ())
        else:
            keys |= {one.get("source", "") for one in service.get("volumes") or () if one.get("type") == "volume"}
    return {key: one or {} for key, one in (model.get(sort) or {}).items() if key in keys}


def flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The leaves of a rendered service, each with its path; what says nothing is left out."""
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from flat(below, f"{path}.{key}")
    elif value not in (None, {}, []):
        yield path, _plain(value)


def _plain(value: Any) -> Any:
    """As it was meant: a rendered project doubles each dollar sign."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, dict) else value
