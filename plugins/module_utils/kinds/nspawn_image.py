# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of systemd-nspawn: the trees and disks that machines run from, and where each came from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..core import command, files, policy
from ..core.codec import BOOL, MAX, PATH, SIZE, TEXT, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Layer, Plan, State
from ..core.resource import Resource, Thing
from ..engines import mounts, notes, nspawn, nspawn_images, occupants, trees
from ..engines.nspawn_images import RAW, SUBVOLUME, SUFFIX, Image
from . import nspawn_image_sources as sources
from .nspawn_unit import parse_machine

ELSEWHERE = "elsewhere"
"""It is there under its former name."""

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def _check_archive(path: str) -> None:
    if not path.endswith((*_ARCHIVES, SUFFIX)):
        raise ValueError(f"must end with one of {', '.join(_ARCHIVES)}, or with {SUFFIX} for a disk")


class NspawnImage(Resource):
    kind = "nspawn_image"
    rank = 45
    busy = frozenset({"present"})
    states = {"present": "present", "absent": "absent"}
    moves = {(ELSEWHERE, "present"): ("rename",)}
    fields = (
        policy.name(Codec(parse_machine)),
        policy.state("present", "absent"),
        Field("recreate", TEXT, role=Role.POLICY, given="never", choices=("never", "if_needed", "always")),
        Field("source", sources.SOURCE),
        Field("devices", BOOL, role=Role.POLICY, given=False),
        Field("renamed_from", Codec(parse_machine), role=Role.POLICY),
        Field("read_only", BOOL, effect=Effect.LIVE, default=False),
        Field("limit", SIZE, effect=Effect.LIVE, default=MAX),
        Field("archive_path", PATH, effect=Effect.LIVE, export=False, check=_check_archive),
        Field("force_absent", BOOL, role=Role.POLICY, given=False),
    )

    def check(self) -> None:
        sources.check(self.spec.get("source"))
        former = self.spec.get("renamed_from")
        if former == self.name:
            raise StrataError("is its name", option="renamed_from", value=former)
        if (self.spec.get("source") or {}).get("image") == self.name:
            raise StrataError("is the image itself", option="source.image", value=self.name)

    @property
    def _path(self) -> str:
        return nspawn.image_path(self.name)

    @property
    def _source(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.spec.get("source") or {}
        return found

    def provides(self) -> list[Thing]:
        return [("path", self._path), *([(nspawn_images.READ_ONLY, self._path)] if self.spec.get("read_only") else [])]

    def needs(self) -> list[Thing]:
        other = self._source.get("image")
        return [*super().needs(), *([("path", nspawn.image_path(other))] if other else [])]

    def files(self) -> list[tuple[str, str]]:
        return [] if self.target == "absent" else [("source", path) for path in sources.files(self._source)]

    # Reading: what is in one folder; one program where some are subvolumes, which can have limits.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> None:
        nspawn.need()

    @classmethod
    def read_many(cls, engine: None, names: Iterable[str] | None) -> dict[str, State]:
        found = {name: nspawn_images.find(name) for name in (nspawn_images.names() if names is None else names)}
        limits = nspawn_images.limits([name for name, image in found.items() if image and image.type == SUBVOLUME])
        leading = nspawn_images.machines() if any(found.values()) else {}
        return {name: cls._read(name, image, limits.get(name, MAX), leading) for name, image in found.items()}

    @classmethod
    def _read(cls, name: str, image: Image | None, limit: int | str, leading: Mapping[str, list[str]]) -> State:
        if image is None:
            return State(facts={"leftovers": [*_begun(name), *_notes(name)]})
        entry = notes.read(image.path) or {}
        config: dict[str, Any] = {"read_only": image.read_only, "limit": limit}
        facts: dict[str, Any] = {
            "path": image.path,
            "type": image.type,
            "machines": leading.get(os.path.realpath(image.path), []),
            "leftovers": _begun(name),
        }
        facts.update({"exports": entry["exports"]} if "exports" in entry else {})
        if entry.get("kind") != cls.kind:
            return State("present", config, None, facts)
        facts.update({key: entry[key] for key in ("made", "origin") if entry.get(key)})
        # One that another version noted, with other words, is one of which nobody knows.
        with contextlib.suppress(KeyError, TypeError, StrataError):
            config["source"] = cls.field("source").decode(entry["options"]["source"])
        return State("present", config, None, facts, entry.get("owner"))

    # Planning.

    def observe(self, engine: None, state: State) -> State:
        if self.target == "absent":  # for a stack, machines that go first count when it is its turn
            return self._with_users(state) if state.exists and not self.owner else state
        state = self._under_its_former_name(engine, state)
        path = self.spec.get("archive_path")
        config = dict(state.config)
        if path and nspawn_images.like(path) == state.facts.get("exports", {}).get(path, []):
            config["archive_path"] = path
        facts = {**state.facts, "missing": self.missing(), "type": state.facts.get("type")}
        state = replace(state, config=config, facts=facts)
        steps = set(super().plan(state).steps)
        if {"create", "recreate"} & steps and self._source and not facts["missing"]:
            state = replace(state, facts={**facts, **self._look(state)})
        held = "update" in steps and state.status == "present" and nspawn_images.held(state.facts["path"])
        return self._with_users(state) if held or "recreate" in steps else state

    def _under_its_former_name(self, engine: None, state: State) -> State:
        former = self.spec.get("renamed_from")
        if former is None:
            return state
        old = type(self).read_many(engine, [former])[former]
        if state.exists and old.exists:
            return state  # that is another one by now
        leftovers = [*state.facts["leftovers"], *old.facts["leftovers"]]
        found = self._with_users(replace(old, status=ELSEWHERE), former) if old.exists else state
        return replace(found, facts={**found.facts, "leftovers": leftovers})

    def _look(self, state: State) -> dict[str, Any]:
        word = sources.chosen(self._source)
        other = self._source.get("image")
        if other and ("path", nspawn.image_path(other)) not in self.promised and nspawn_images.find(other) is None:
            raise StrataError(f"there is no image {other}", option="source.image", hint="See machinectl list-images")
        for program, package in sources.WAYS[word].programs:
            command.need(program, package)
        if word.startswith("pull_"):
            nspawn_images.puller()
        there = all(os.path.exists(path) for path in sources.files(self._source))  # else somebody makes it before
        looked = sources.look(self._source) if there else {}
        link = nspawn.linked(self.name) if not state.exists else None
        return {"looked": looked, "becomes": sources.becomes(self._source), "link": link}

    def _with_users(self, state: State, name: str | None = None) -> State:
        users = occupants.users(state.facts["path"])
        return replace(state, facts={**state.facts, "users": users, "former": name})

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        if {"remove", "rename", "recreate"} & set(plan.steps):
            self._refuse_taking(plan, state)
        if {"create", "recreate"} & set(plan.steps):
            self._refuse_making(state)
        self._refuse_type(plan, state)
        self._refuse_busy(plan, state)
        if state.status == ELSEWHERE:  # what else is to be done finds it under its name
            plan = replace(plan, steps=("rename", *(step for step in plan.steps if step != "rename")))
        leftovers = state.facts.get("leftovers")
        if leftovers and not {"create", "recreate", "remove"} & set(plan.steps):  # those clear them away
            change = Change("leftovers", [os.path.basename(path) for path in leftovers], None, Effect.LIVE)
            plan = replace(plan, changes=(*plan.changes, change), steps=("clear", *plan.steps))
        return plan

    def _refuse_type(self, plan: Plan, state: State) -> None:
        """What can't be had of a tree, or of a disk."""
        type_ = state.facts.get("becomes" if {"create", "recreate"} & set(plan.steps) else "type")
        if type_ is None:
            return  # it goes, or its origin is made before its turn comes
        if plan.want.get("limit", MAX) != MAX and type_ != SUBVOLUME:
            raise StrataError(
                f"is for subvolumes of btrfs, and this is a {type_}", option="limit", value=self.options["limit"]
            )
        path = plan.want.get("archive_path")
        if path and (type_ == RAW) != path.endswith(SUFFIX):
            wanted = SUFFIX if type_ == RAW else ", ".join(_ARCHIVES)
            raise StrataError(f"must end with {wanted} for a {type_}", option="archive_path", value=path)

    def _refuse_taking(self, plan: Plan, state: State) -> None:
        """It goes, or gets another name: not while it is used, and not if it isn't ours."""
        facts, renames = state.facts, "rename" in plan.steps
        if state.status == ELSEWHERE and self.owner and state.owner not in (None, "", self.owner):
            raise StrataError(f"belongs to the stack {state.owner!r}", option="renamed_from", value=facts["former"])
        if state.owner is None and not renames and not (self.target == "absent" and self.spec["force_absent"]):
            by_hand = f"machinectl remove {self.name}"
            hint = f"Say force_absent: true, or: {by_hand}" if self.target == "absent" else f"Take it away: {by_hand}"
            raise StrataError(f"{facts['path']} wasn't made by this module", hint=hint)
        if self.target == "absent" and self.owner:
            return
        if facts.get("users"):
            raise mounts.busy(facts["path"], facts["users"])
        if self.target == "absent" or renames:
            _refuse_machines(facts["path"], facts["machines"])

    def _refuse_busy(self, plan: Plan, state: State) -> None:
        """While machines write to it, it is neither closed nor exported; nor opened while many share it."""
        fields = {change.field for change in plan.changes} if state.exists else set()
        exports = "archive_path" in fields and not state.config.get("read_only")
        if state.facts.get("users") and ("read_only" in fields or exports):
            raise mounts.busy(state.facts["path"], state.facts["users"])

    def _refuse_making(self, state: State) -> None:
        if not self._source:
            raise StrataError("is needed to make it", option="source", hint=f"There is no image {self.name}")
        for option, path in state.facts.get("missing", ()):
            raise StrataError("is not there", option=option, value=path, hint="Make it first")
        if state.facts.get("link"):
            raise StrataError(
                f"a machine's link is in its place, and leads to {state.facts['link']}",
                option="name",
                value=self.name,
                hint="Give the image another name; the machine can name it as its image",
            )

    # Doing.

    def create(self, engine: None, plan: Plan) -> None:
        self._make(plan, None)

    def recreate(self, engine: None, plan: Plan) -> None:
        self._make(plan, nspawn_images.find(self.name))

    def _make(self, plan: Plan, old: Image | None) -> None:
        with trees.held(self._path) as lock:
            if old is None and nspawn_images.find(self.name):
                return  # somebody else made it while we waited; whether as declared, verifying tells
            self._sweep()
            work = trees.Work(nspawn_images.fresh(self.name), (lock,))
            os.mkdir(work.folder, 0o700)
            making = sources.Making(work, _pulled(self.name), self.spec["devices"])
            try:
                made = sources.WAYS[sources.chosen(self._source)].make(self._source, making)
                trees.sync(work.folder)
                self._put(made, old, plan)
            finally:
                self._sweep()
        self._settle(plan.want)

    def _put(self, made: str, old: Image | None, plan: Plan) -> None:
        """Have what was made change places with what is there."""
        place = self._path + (SUFFIX if os.path.isfile(made) else "")
        source = {**self._source, **plan.state.facts.get("looked", {})}
        origin = notes.read(source["rootfs"]) if "rootfs" in source else None
        found = nspawn_images.find(source["image"]) if "image" in source else None
        entry = {
            "kind": self.kind,
            "owner": self.owner if plan.state.owner is None else plan.state.owner,
            "options": {"source": self.field("source").show(source)},
            "origin": (origin or (notes.read(found.path) if found else None) or {}).get("options"),
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        if old is None:
            notes.announce(place, made, entry)
            trees.swap(made, place)
            notes.settle(place)
            return
        with nspawn_images.unused(old.path):
            nspawn_images.set_read_only(old, False)
            notes.announce(place, made, entry)
            trees.swap(made, place)
            notes.settle(place)
            if old.path != place:  # a disk where a tree was, or the other way round
                nspawn_images.discard([old.path])
                notes.forget(old.path)

    def update(self, engine: None, plan: Plan) -> None:
        self._settle(plan.of(Layer.CONFIG))

    def _settle(self, values: Mapping[str, Any]) -> None:
        """What an image is held to, and what is made of it; it is closed last, and opened first."""
        image = nspawn_images.find(self.name)
        if image is None:
            raise StrataError("went away meanwhile")
        wanted = values.get("read_only", image.read_only)
        if image.read_only and not wanted:
            with nspawn_images.unused(image.path):
                nspawn_images.set_read_only(image, False)
        if "limit" in values and (values["limit"] != MAX or image.type == SUBVOLUME):
            nspawn_images.set_limit(self.name, values["limit"])
        if values.get("archive_path"):
            self._export(image, values["archive_path"])
        if wanted and not image.read_only:
            with nspawn_images.unused(image.path):
                nspawn_images.set_read_only(image, True)

    def _export(self, image: Image, path: str) -> None:
        with contextlib.nullcontext() if image.read_only else nspawn_images.unused(image.path):
            nspawn_images.export(image, path)
        others = (notes.read(image.path) or {}).get("exports", {})
        notes.amend(image.path, self.kind, {"exports": {**others, path: nspawn_images.like(path)}})

    def rename(self, engine: None, plan: Plan) -> None:
        former = plan.state.facts["former"]
        image = nspawn_images.find(former)
        if image is None:
            raise StrataError(f"there is no image {former} any more", option="renamed_from")
        place = self._path + (SUFFIX if image.type == RAW else "")
        with trees.held(self._path), trees.held(nspawn.image_path(former)), nspawn_images.unused(image.path):
            self._sweep()
            if image.read_only and image.type != RAW:  # what is immutable can't be renamed (fs/namei.c: may_delete)
                nspawn_images.set_read_only(image, False)
            notes.follow(image.path, place)
            os.rename(image.path, place)
            if image.read_only and image.type != RAW:
                nspawn_images.set_read_only(replace(image, path=place), True)
            notes.forget(image.path)

    def remove(self, engine: None, plan: Plan) -> None:
        image = nspawn_images.find(self.name)
        with trees.held(self._path):
            self._sweep()
            if image is not None:
                _refuse_machines(image.path, nspawn_images.machines().get(os.path.realpath(image.path)))
                with nspawn_images.unused(image.path):
                    nspawn_images.set_read_only(image, False)
                    trees.put_aside(image.path, trees.Work(nspawn_images.fresh(self.name)))
                notes.forget(image.path)
            self._sweep()

    def clear(self, engine: None, plan: Plan) -> None:
        for name in filter(None, (self.name, self.spec.get("renamed_from"))):
            with trees.held(nspawn.image_path(name)):
                nspawn_images.discard(_made(name))
                for note in _notes(name) if nspawn_images.find(name) is None else ():
                    files.remove(note)

    def _sweep(self) -> None:
        """Take away what was begun and not finished."""
        nspawn_images.discard(_made(self.name))


def _refuse_machines(path: str, names: Sequence[str] | None) -> None:
    if names:
        raise StrataError(
            f"{', '.join(names)} would be without a tree: links lead from there to {path}",
            hint="Take them away first: nspawn_container with state: absent",
        )


def _pulled(name: str) -> str:
    """What is pulled is called so until it is there: a machine's name, as machinectl wants it."""
    return f"strata-pull-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _made(name: str) -> list[str]:
    pulled = nspawn.image_path(_pulled(name))
    return nspawn_images.begun(name) + [path for path in (pulled, pulled + SUFFIX) if os.path.lexists(path)]


def _begun(name: str) -> list[str]:
    """What a run that was killed has left, or one that is at work needs."""
    lock = trees.lock(nspawn.image_path(name))
    return _made(name) + ([lock] if os.path.exists(lock) else [])


def _notes(name: str) -> list[str]:
    """Notes of an image that is gone."""
    path = nspawn.image_path(name)
    return [notes.beside(one) for one in (path, path + SUFFIX) if notes.left(one, NspawnImage.kind)]
