# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of a Docker container: which it needs, and how it comes on and off them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import StrataError
from ..core.plan import Plan, State
from ..core.resource import Resource, Thing
from ..engines import docker_networks as words
from ..engines.docker import Docker, Document


def needed(spec: Mapping[str, Any], family: str) -> list[Thing]:
    """Networks, other containers, and volumes that have a name.

    A volume that isn't there would be made by the daemon, without its options.
    """
    sources = [bind.partition(":")[0] for bind in spec.get("volumes", ()) if ":" in bind]
    sources += [row["source"] for row in spec.get("mounts", ()) if row["type"] == "volume" and row.get("source")]
    volumes = [(f"{family}_volume", source) for source in sources if not source.startswith("/")]
    modes = [str(spec.get(option, "")).partition(":") for option in ("network_mode", "ipc_mode", "pid_mode")]
    others = [name for word, _colon, name in modes if word == "container" and name]
    others += [one.partition(":")[0] for option in ("links", "volumes_from") for one in spec.get(option, ())]
    return [
        *volumes,
        *((f"{family}_container", name) for name in others),
        *((f"{family}_network", row["name"]) for row in spec.get("networks", ())),
    ]


def refuse_missing(resource: Resource, family: str, engine: Docker, state: State) -> None:
    """Name a network that is neither there nor made before by the same stack."""
    there = {row["name"] for row in state.config.get("networks", ())}
    declared = {row["name"] for row in resource.spec.get("networks", ())}
    unknown = {name for name in declared if (f"{family}_network", name) not in resource.promised} - there
    if unknown:
        unknown -= {network["Name"] for network in engine.networks()}
    if unknown and engine.works_for_others:
        return  # a manager has it; if not, starting the container tells
    for name in sorted(unknown):
        raise StrataError(
            "is not on this host",
            option="networks",
            value=name,
            hint=f"Declare it before with {family}_network; {family} network ls shows those that there are",
        )


MANY_NETWORKS = (1, 44)
"""The API that creates a container on all of its networks (docs.docker.com/reference/api/engine/version-history)."""


def make(engine: Docker, name: str, body: dict[str, Any], platform: str | None) -> str:
    """Create a container on all of its networks, and return its ID."""
    further = {}
    if engine.api >= MANY_NETWORKS:
        words.take_mac(body)
    else:
        further = words.take_further(body)
    made, left_out = engine.create(name, body, platform)
    try:
        refuse_left_out(engine, left_out)
        for network, endpoint in further.items():
            engine.connect(network, made, endpoint)
    except StrataError:
        engine.remove(made)
        raise
    return made


def refuse_left_out(engine: Docker, said: list[str]) -> None:
    """What a daemon doesn't do and only warns of is an error."""
    if said:
        raise StrataError(
            f"{engine.title} does not do all that is declared: {'; '.join(said)}",
            hint="Leave out what it names",
        )


def connect(engine: Docker, container: Document, plan: Plan) -> None:
    """Bring those networks of a container to what is planned that aren't so."""
    changed = {str(change.key) for change in plan.changes if change.field == "networks"}
    wanted = {row["name"]: row for row in plan.want["networks"]}
    there = {row["name"]: words.endpoint(container, row["name"]) for row in words.places(container)}
    for name in sorted(changed & there.keys()):
        engine.disconnect(name, container["Id"])
    for name in sorted(changed & wanted.keys()):
        engine.connect(name, container["Id"], words.placed(wanted[name], there.get(name, {})))
