# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nobody uses of an engine: found by lists, so that it can be told before, and taken away one by one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from ..core.codec import BOOL, WORDS, Codec, parse_bool
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource
from ..engines.docker import Document, container_name
from ..engines.docker_carry import seconds
from ..engines.docker_images import references

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|m|s))+")
_SECONDS = {"h": 3600, "m": 60, "s": 1}
_ENDED = ("created", "exited", "dead")
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
_MARK = "com.docker.volume.anonymous"  # moby: volume/volume.go, AnonymousLabel


def _parse_until(value: Any) -> str:
    text = str(value).strip()
    if not _DURATION.fullmatch(text):
        _moment(text)
    return text


def _moment(text: str) -> float:
    """Seconds since 1970 of a time as the engines' filters take it; without a zone, it is the host's."""
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


def chosen(filters: Mapping[str, Any], labels: Mapping[str, str] | None, created: Any = None) -> bool:
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
    made = float(created) if isinstance(created, (int, float)) else seconds(created or "")
    return made < _until(filters["until"])


@dataclass(frozen=True)
class Unused:
    """Things of one sort that nobody uses.

    Attributes:
        names: What they are called, by what they are removed by.
        size: Bytes that they take, as far as the engine counts them.
    """

    names: Mapping[str, str]
    size: int = 0


class Yard:
    """What an engine has right now, and what of it may go. What the engine says is in Docker's words.

    Class attributes:
        own: The networks that the engine has by itself.
    """

    own: ClassVar[Sequence[str]] = ()

    def __init__(self, engine: Any, spec: Mapping[str, Any]) -> None:
        self.engine, self.spec = engine, spec
        self.used = engine.used()
        self.left: list[Document] = list(engine.containers())

    def unused(self, sorts: Iterable[str]) -> dict[str, Unused]:
        """What would go, by sort, in the order in which it goes: what a container alone uses goes with it."""
        return {sort: getattr(self, sort)(self.spec.get(f"{sort}_filters") or {}) for sort in sorts}

    def ended(self) -> list[Document]:
        """The containers that may go by themselves."""
        return [one for one in self.left if one["State"] in _ENDED]

    def containers(self, filters: Mapping[str, Any]) -> Unused:
        ended = [one for one in self.ended() if chosen(filters, one.get("Labels"), one["Created"])]
        return Unused({one["Id"]: container_name(one) for one in ended}, self.leave(ended))

    def leave(self, containers: Iterable[Document]) -> int:
        """Count containers as gone, and tell how many bytes they take."""
        sizes = {one["Id"]: one.get("SizeRw") or 0 for one in self.used.get("Containers") or ()}
        gone = {one["Id"] for one in containers}
        self.left = [one for one in self.left if one["Id"] not in gone]
        return sum(sizes.get(one, 0) for one in gone)

    def networks(self, filters: Mapping[str, Any]) -> Unused:
        """Also a container that doesn't run needs its network, to start again."""
        settings = [(one.get("NetworkSettings") or {}).get("Networks") or {} for one in self.left]
        places = [place for networks in settings for place in networks.items()]
        needed = {word for name, place in places for word in (name, place.get("NetworkID"))}
        return Unused(
            {
                one["Id"]: one["Name"]
                for one in self.engine.networks()
                if one["Name"] not in self.own
                and one.get("Scope", "local") == "local"
                and not {one["Id"], one["Name"]} & needed
                and chosen(filters, one.get("Labels"), one["Created"])
            }
        )

    def volumes(self, filters: Mapping[str, Any]) -> Unused:
        needed = {mount.get("Name") for one in self.left for mount in one.get("Mounts") or ()}
        sizes = {one["Name"]: (one.get("UsageData") or {}).get("Size") or 0 for one in self.used.get("Volumes") or ()}
        gone = {
            one["Name"]: one["Name"]
            for one in self.engine.volumes()
            if one["Name"] not in needed
            and (filters.get("all") or _ANONYMOUS.fullmatch(one["Name"]) or _MARK in (one.get("Labels") or {}))
            and chosen(filters, one.get("Labels"))
        }
        return Unused(gone, sum(max(sizes.get(name, 0), 0) for name in gone))

    def images(self, filters: Mapping[str, Any]) -> Unused:
        needed = self.needed_images(filters)
        named = not filters.get("dangling", True)
        gone = [
            one
            for one in self.engine.images()
            if one["Id"] not in needed
            and (named or not list(references(one)))
            and chosen(filters, one.get("Labels"), one["Created"])
        ]
        shared = {one["Id"]: max(one.get("SharedSize") or 0, 0) for one in self.used.get("Images") or ()}
        names = {one["Id"]: ", ".join(sorted(one.get("RepoTags") or ())) or one["Id"] for one in gone}
        return Unused(names, sum(one["Size"] - shared.get(one["Id"], 0) for one in gone))

    def needed_images(self, filters: Mapping[str, Any]) -> set[str]:
        """The IDs of the images that something is made from."""
        return {one["ImageID"] for one in self.left}


def asked(sort: str, *filters: str) -> tuple[Field, ...]:
    """The option that says whether a sort is looked at, its filters, and what was found."""
    policies = [Field(sort, BOOL, role=Role.POLICY, given=False)]
    if filters:
        policies.append(Field(f"{sort}_filters", _filters(*filters), role=Role.POLICY))
    return (*policies, Field(f"unused_{sort}", WORDS, effect=Effect.LIVE, default=(), role=Role.DERIVED, export=False))


USUAL = (
    *asked("containers", "until", "label", "label!"),
    *asked("networks", "until", "label", "label!"),
    *asked("volumes", "all", "label", "label!"),
    *asked("images", "dangling", "until", "label", "label!"),
)
"""The options of what every engine has."""


class Prune(Resource):
    """What of one engine may go.

    Class attributes:
        sorts: What there is of it, in the order in which it goes.
        yard: Finds it.
    """

    rank = 95
    listed = False
    states = {"pruned": "present"}
    sorts: ClassVar[tuple[str, ...]] = ("containers", "networks", "volumes", "images")
    yard: ClassVar[type[Yard]] = Yard

    gone: Mapping[str, Unused] | None = None
    """What was taken away, by sort."""

    @classmethod
    def read_many(cls, engine: Any, names: Iterable[str] | None) -> dict[str, State]:
        return {name: State("present") for name in names or ()}

    def observe(self, engine: Any, state: State) -> State:
        asked_for = [sort for sort in self.sorts if self.spec.get(sort)]
        if not asked_for:
            raise StrataError(f"says nothing that may go: give one of {', '.join(self.sorts)}", option=self.identity)
        unused = self.yard(engine, self.spec).unused(asked_for)
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
            found[self.told_as(sort)] = sorted(one.names)
            found[f"{sort}_space_reclaimed"] = one.size
        return found

    @staticmethod
    def told_as(sort: str) -> str:
        """Where a result has what is gone of a sort."""
        return sort

    def update(self, engine: Any, plan: Plan) -> None:
        self.gone = plan.state.document
        for sort, found in self.gone.items():
            self.take_away(engine, sort, found)

    def take_away(self, engine: Any, sort: str, found: Unused) -> None:
        """Take away, one by one, just what was told."""
        removes = {
            "containers": engine.remove_ended,
            "networks": engine.remove_network,
            "volumes": engine.remove_volume,
            "images": engine.remove_unused_image,
        }
        for one in found.names:
            removes[sort](one)
