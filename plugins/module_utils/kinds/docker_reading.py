# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is of a container: itself, what a replacement that was cut short left, and its image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import StrataError
from ..core.plan import State
from ..engines import docker_carry, docker_config, docker_networks
from ..engines.docker import OURS, OWNER, Docker, Document
from ..engines.docker_at import At, own
from ..engines.docker_build import parts
from ..engines.docker_images import DockerImages
from .docker_fields import NEXT, PREVIOUS, parse_container
from .docker_fields_process import platform_of
from .docker_wants import FROM_IMAGE

REPLACES = OURS + "replaces"  # the ID of the container that it replaced: tells leftovers from namesakes

Places = Mapping[str, At]
_ID = re.compile(r"(sha256:)?[0-9a-f]{64}")


def read_many(engine: Docker, names: Iterable[str] | None, places: Places) -> dict[str, State]:
    """The states of the named containers, or of all: one list, and one look at each of them and at each image."""
    asked = None if names is None else {name + end for name in names for end in ("", NEXT, PREVIOUS)}
    found: dict[str, str] = {}
    for container in engine.containers(asked):
        name = next((name[1:] for name in container["Names"] if name.count("/") == 1), None)
        if name is None or (asked is not None and name not in asked):
            continue
        stray = name.endswith(NEXT) and REPLACES not in (container.get("Labels") or {})
        if not stray:  # somebody else's namesake
            found[name] = container["Id"]
    bases = {re.sub(f"({re.escape(NEXT)}|{re.escape(PREVIOUS)})$", "", name) for name in found}
    states = {name: _read(engine, name, found, places) for name in bases if _named(name)}
    return {name: state for name, state in states.items() if state is not None}


def _named(name: str) -> bool:
    try:
        return bool(parse_container(name))
    except ValueError:
        return False


def _read(engine: Docker, name: str, found: Mapping[str, str], places: Places) -> State | None:
    left = {name + end: found[name + end] for end in (NEXT, PREVIOUS) if name + end in found}
    document = engine.inspect(found[name]) if name in found else None
    old = engine.inspect(left[name + PREVIOUS]) if name + PREVIOUS in left else None
    # Any of them may be gone by the time that it is looked at, or was taken away by somebody else before.
    new = engine.inspect(left[name + NEXT]) if name + NEXT in left else None
    if document is None:
        document = old
    elif old is not None:
        new = document
    else:
        old = document
    if document is None:
        return State(facts={"leftovers": left}) if left else None
    state = _observed(engine, document, places)
    if not left:
        return state
    # Whether it ran when the replacement began: it stopped after that.
    ran = bool(
        old
        and new
        and (
            old["State"]["Running"]
            or docker_carry.seconds(old["State"]["FinishedAt"]) > docker_carry.seconds(new["Created"])
        )
    )
    return replace(state, facts={**state.facts, "leftovers": left, "ran": ran})


def _observed(engine: Docker, document: Document, places: Places) -> State:
    status, host = document["State"], document["HostConfig"]
    if status.get("Status") in ("removing", "dead"):
        return State(facts={"removing": document["Id"]})
    named = engine.image(document["Config"]["Image"])
    still = named is not None and named["Id"] == document["Image"]
    image = named if still else engine.image(document["Image"])
    given = docker_config.image_config(image)
    config = {name: place.read(document, given) for name, place in places.items()}
    config["platform"] = platform_of(image) if image and image.get("Architecture") else None
    if not still:
        config["image"] = document["Image"]
    facts = {
        "id": document["Id"],
        "image_id": document["Image"],
        "pid": status.get("Pid") or None,
        "exit_code": None if status["Running"] else status.get("ExitCode"),
        "health": (status.get("Health") or {}).get("Status"),
        "auto_remove": config["auto_remove"],
        "shares_network": docker_networks.shares(host.get("NetworkMode")),
        "odd_quota": (host.get("CpuQuota") or 0) < 0,
        "counts_cpus": bool(host.get("NanoCpus")),
    }
    labels = own(document["Config"].get("Labels"), given.get("Labels"))
    word = "paused" if status.get("Paused") else "running" if docker_carry.runs(document) else "stopped"
    return State(word, config, facts=facts, owner=labels.get(OWNER), document=document)


# The image that a declaration wants.


def wanted_image(
    engine: DockerImages, spec: Mapping[str, Any], state: State, named: str | None, places: Places, promised: bool
) -> dict[str, Any]:
    """Its ID and what it gives. An ID of None is that of an image that is to be pulled, or is made before.

    Args:
        engine: The daemon.
        spec: The declaration.
        state: The container that there is.
        named: The name of the declared image as the daemon lists it.
        places: Where each option lives.
        promised: Another resource makes the image before.

    Raises:
        StrataError: It is not there and may not, or can't, be pulled.
    """
    given = {name: places[name] for name in FROM_IMAGE}
    reference = spec.get("image")
    current = engine.image(state.document["Image"]) if state.exists else None
    if reference is None or named is None:
        if not state.exists:
            raise StrataError("is required where there is no such container yet", option="image")
        return {**docker_config.given_by(current, given), "id": state.facts["image_id"]}
    image = engine.image(reference if _ID.fullmatch(reference) else named)
    image = engine.image(reference) if image is None else image  # the beginning of an ID
    pull = "never" if _ID.fullmatch(reference) else spec["pull"]
    if image is None and pull == "never":
        raise StrataError(
            "is not on this host",
            option="image",
            value=reference,
            hint=f"Run {engine.program} pull {reference} there, or {engine.program} load, or leave pull: never out",
        )
    # Asking a registry changes nothing: no container is foretold, or begun, whose image nobody has.
    asks = pull == "always" or (image is None and not promised)
    digest = _published(engine, reference, named) if asks else None
    anew = image is None or (digest is not None and digest not in _digests(image))
    basis = current if spec["image_comparison"] == "current-image" and current else image
    return {**docker_config.given_by(basis, given), "id": None if anew or image is None else image["Id"]}


def _published(engine: DockerImages, reference: str, named: str) -> str:
    """The digest that a registry has for an image."""
    try:
        digest = engine.published(named)
    except StrataError as error:
        said = f"is not on this host, or not current, and its registry can't be asked: {error.message}"
        raise StrataError(said, option="image", value=reference, hint=error.hint) from None
    if digest is None:
        raise StrataError("is not in its registry", option="image", value=reference)
    return digest


def _digests(image: Document) -> list[str]:
    return [parts(one)[1] for one in image.get("RepoDigests") or ()]


def references(engine: Docker, spec: Mapping[str, Any]) -> dict[str, str]:
    """The modes that name another container, by its ID: so the daemon keeps them."""
    found = {}
    for option in ("network_mode", "ipc_mode", "pid_mode"):
        word, colon, name = str(spec.get(option)).partition(":")
        other = engine.inspect(name) if word == "container" and colon else None
        if other is not None:
            found[option] = f"container:{other['Id']}"
    return found
