# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nobody uses of a Docker daemon: found by lists, so that it can be told before, and taken away one by one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ..core.codec import BOOL, LINE, WORDS, Codec, parse_bool
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource
from ..engines.docker import DEFAULT, container_name
from ..engines.docker_carry import seconds
from ..engines.docker_images import DockerImages, references

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|m|s))+")
_SECONDS = {"h": 3600, "m": 60, "s": 1}
_ENDED = ("created", "exited", "dead")
_PREDEFINED = ("bridge", "host", "none")
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
_MARK = "com.docker.volume.anonymous"  # moby: volume/volume.go, AnonymousLabel


def _parse_until(value: Any) -> str:
    text = str(value).strip()
    if not _DURATION.fullmatch(text):
        _moment(text)
    return text


def _moment(text: str) -> float:
    """Seconds since 1970 of a time as Docker's filters take it; without a zone, it is the host's."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise ValueError("is no time: write 24h, 2026-01-31, 2026-01-31T12:00:00Z or seconds since 1970") from None


def _until(text: str) -> float:
    if not _DURATION.fullmatch(text):
        return _moment(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|m|s)", text)
    return time.time() - sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _filters(*words: str) -> Codec:
    """A mapping of the filters that one sort of thing knows."""

    def parse(values: Mapping[Any, Any]) -> dict[str, Any]:
        parsed: dict[str, Any] = {}
        for word, value in values.items():
            if word not in words:
                raise ValueError(f"knows no filter {word!r}: use {', '.join(words)}")
            if word == "until":
                parsed[word] = _parse_until(value)
            elif word in ("dangling", "all"):
                parsed[word] = parse_bool(value)
            else:
                parsed[word] = tuple(str(one) for one in ([value] if isinstance(value, str) else value))
        return parsed

    return Codec(parse, "dict", dict)


def _chosen(filters: Mapping[str, Any], labels: Mapping[str, str] | None, created: Any = None) -> bool:
    """Whether filters let something through."""

    def has(word: str) -> bool:
        key, equals, value = word.partition("=")
        return key in (labels or {}) and (not equals or (labels or {})[key] == value)

    if not all(has(word) for word in filters.get("label", ())):
        return False
    if any(has(word) for word in filters.get("label!", ())):
        return False
    if "until" not in filters:
        return True
    made = float(created) if isinstance(created, (int, float)) else seconds(created)
    return made < _until(filters["until"])


@dataclass(frozen=True)
class Unused:
    """Things of one sort that nobody uses.

    Attributes:
        names: What they are called, by what they are removed by.
        size: Bytes that they take, as far as the daemon counts them.
    """

    names: Mapping[str, str]
    size: int = 0


class Yard:
    """What a daemon has right now, and what of it may go."""

    def __init__(self, engine: DockerImages, spec: Mapping[str, Any]) -> None:
        self._engine, self._spec = engine, spec
        self._used = engine.used()
        self._left = list(engine.containers())

    def unused(self) -> dict[str, Unused]:
        """What would go, by sort, in the order in which it goes: what a container alone uses goes with it."""
        return {
            sort: find(self, self._spec.get(f"{sort}_filters") or {})
            for sort, find in _FIND.items()
            if self._spec.get(sort)
        }

    def containers(self, filters: Mapping[str, Any]) -> Unused:
        ended = [
            one for one in self._left if one["State"] in _ENDED and _chosen(filters, one.get("Labels"), one["Created"])
        ]
        sizes = {one["Id"]: one.get("SizeRw") or 0 for one in self._used.get("Containers") or ()}
        gone = {one["Id"]: container_name(one) for one in ended}
        self._left = [one for one in self._left if one["Id"] not in gone]
        return Unused(gone, sum(sizes.get(one, 0) for one in gone))

    def networks(self, filters: Mapping[str, Any]) -> Unused:
        """Also a container that doesn't run needs its network, to start again."""
        settings = [(one.get("NetworkSettings") or {}).get("Networks") or {} for one in self._left]
        places = [place for networks in settings for place in networks.items()]
        needed = {word for name, place in places for word in (name, place.get("NetworkID"))}
        return Unused(
            {
                one["Id"]: one["Name"]
                for one in self._engine.networks()
                if one["Name"] not in _PREDEFINED
                and one.get("Scope") == "local"
                and not {one["Id"], one["Name"]} & needed
                and _chosen(filters, one.get("Labels"), one["Created"])
            }
        )

    def volumes(self, filters: Mapping[str, Any]) -> Unused:
        needed = {mount.get("Name") for one in self._left for mount in one.get("Mounts") or ()}
        sizes = {one["Name"]: (one.get("UsageData") or {}).get("Size") or 0 for one in self._used.get("Volumes") or ()}
        gone = {
            one["Name"]: one["Name"]
            for one in self._engine.volumes()
            if one["Name"] not in needed
            and (filters.get("all") or _ANONYMOUS.fullmatch(one["Name"]) or _MARK in (one.get("Labels") or {}))
            and _chosen(filters, one.get("Labels"))
        }
        return Unused(gone, sum(max(sizes.get(name, 0), 0) for name in gone))

    def images(self, filters: Mapping[str, Any]) -> Unused:
        needed = {one["ImageID"] for one in self._left}
        named = not filters.get("dangling", True)
        gone = [
            one
            for one in self._engine.images()
            if one["Id"] not in needed
            and (named or not list(references(one)))
            and _chosen(filters, one.get("Labels"), one["Created"])
        ]
        shared = {one["Id"]: max(one.get("SharedSize") or 0, 0) for one in self._used.get("Images") or ()}
        names = {one["Id"]: ", ".join(sorted(one.get("RepoTags") or ())) or one["Id"] for one in gone}
        return Unused(names, sum(one["Size"] - shared.get(one["Id"], 0) for one in gone))

    def builder_cache(self, _filters: Mapping[str, Any]) -> Unused:
        """The parts of it that no build uses, but for those of the builder itself, which need builder_cache_all."""
        own = () if self._spec.get("builder_cache_all") else ("internal", "frontend")
        gone = [
            one for one in self._used.get("BuildCache") or () if not one.get("InUse") and one.get("Type") not in own
        ]
        size = sum(one.get("Size") or 0 for one in gone if not one.get("Shared"))
        return Unused({one["ID"]: one.get("Description") or one["ID"] for one in gone}, size)


_FIND: Mapping[str, Callable[[Yard, Mapping[str, Any]], Unused]] = {
    "containers": Yard.containers,
    "networks": Yard.networks,
    "volumes": Yard.volumes,
    "images": Yard.images,
    "builder_cache": Yard.builder_cache,
}


def _asked(sort: str, *filters: str) -> tuple[Field, ...]:
    """The option that says whether a sort is looked at, its filters, and what was found."""
    policies = [Field(sort, BOOL, role=Role.POLICY, given=False)]
    if filters:
        policies.append(Field(f"{sort}_filters", _filters(*filters), role=Role.POLICY))
    return (*policies, Field(f"unused_{sort}", WORDS, effect=Effect.LIVE, default=(), role=Role.DERIVED, export=False))


class DockerPrune(Resource):
    kind = "docker_prune"
    identity = "docker_host"
    sample = DEFAULT
    rank = 95
    listed = False
    states = {"pruned": "present"}
    fields = (
        Field("docker_host", LINE, role=Role.NAME, given=DEFAULT),
        *_asked("containers", "until", "label", "label!"),
        *_asked("networks", "until", "label", "label!"),
        *_asked("volumes", "all", "label", "label!"),
        *_asked("images", "dangling", "until", "label", "label!"),
        *_asked("builder_cache"),
        Field("builder_cache_all", BOOL, role=Role.POLICY, given=False),
    )

    gone: Mapping[str, Unused] | None = None
    """What was taken away, by sort."""

    @classmethod
    def connection(cls, spec: Mapping[str, Any]) -> str:
        return str(spec.get("docker_host") or DEFAULT)

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> DockerImages:
        return DockerImages(cls.connection(spec))

    @classmethod
    def read_many(cls, engine: DockerImages, names: Iterable[str] | None) -> dict[str, State]:
        return {name: State("present") for name in names or ()}

    def observe(self, engine: DockerImages, state: State) -> State:
        if not any(self.spec.get(sort) for sort in _FIND):
            raise StrataError(f"says nothing that may go: give one of {', '.join(_FIND)}", option="docker_host")
        unused = Yard(engine, self.spec).unused()
        config = {f"unused_{sort}": tuple(sorted(found.names.values())) for sort, found in unused.items()}
        sizes = {sort: found.size for sort, found in unused.items()}
        return replace(state, config=config, facts={"reclaimable": sizes}, document=unused)

    def settings(self, state: State) -> dict[str, Any]:
        return dict.fromkeys(state.config, ())

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        told = tuple(replace(change, effect=Effect.REMOVE) for change in plan.changes)
        return replace(plan, changes=told)

    def outcome(self, state: State) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for sort, one in (state.document if self.gone is None else self.gone).items():
            found["builder_cache_caches_deleted" if sort == "builder_cache" else sort] = sorted(one.names)
            found[f"{sort}_space_reclaimed"] = one.size
        return found

    def update(self, engine: DockerImages, plan: Plan) -> None:
        self.gone = plan.state.document
        removes: Mapping[str, Callable[[str], None]] = {
            "containers": engine.remove_ended,
            "networks": engine.remove_network,
            "volumes": engine.remove_volume,
            "images": engine.remove_unused_image,
        }
        for sort, found in self.gone.items():
            for one in found.names if sort in removes else ():
                removes[sort](one)
        if self.gone.get("builder_cache", Unused({})).names:
            engine.prune_builds(bool(self.spec["builder_cache_all"]))
