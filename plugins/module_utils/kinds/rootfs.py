# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root file systems: made from what is declared, and made anew beside the old one when that changes."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import files, policy
from ..core.codec import LINE, MAP, PATH, SIZE, TEXTS, WORDS, Codec, parse_path
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Plan, State
from ..core.resource import Resource, Thing
from ..engines import bootstrap, trees


def _argv_lists(lists: Any) -> tuple[tuple[str, ...], ...]:
    if any(isinstance(words, str) or not words for words in lists):
        raise ValueError("is a list of programs, each a list of words")
    return tuple(tuple(str(word) for word in words) for words in lists)


def _check_extract(paths: Mapping[str, Any]) -> None:
    for path in [*paths, *paths.values()]:
        parse_path(path)


class Rootfs(Resource):
    kind = "rootfs"
    identity = "path"
    sample = "/"
    rank = 20
    listed = False
    fields = (
        Field("path", PATH, role=Role.NAME, required=True),
        policy.state("present", "absent"),
        policy.recreate(),
        Field("type", LINE, given="debootstrap", choices=("debootstrap",)),
        Field("format", LINE, given="directory", choices=("directory", "tar", "ext4")),
        Field("suite", LINE),
        Field("mirror", LINE),
        Field("variant", LINE, given="minbase"),
        Field("components", TEXTS, default=("main",)),
        Field("packages", WORDS, default=()),
        Field("size", SIZE),
        Field("overlay", PATH, role=Role.POLICY),
        Field("overlay_digest", LINE, role=Role.DERIVED),
        Field("run", Codec(_argv_lists, "list", lambda lists: [list(words) for words in lists], "list"), default=()),
        Field("extract", MAP, default={}, check=_check_extract),
    )
    states = {"present": "present", "absent": "absent"}

    def check(self) -> None:
        if self.target == "absent":
            return
        if "suite" not in self.spec:
            raise StrataError("must be given", option="suite", hint="Name a release, such as trixie")
        if (self.spec["format"] == "ext4") != ("size" in self.spec):
            raise StrataError("goes with format: ext4, and only with it", option="size", value=self.spec.get("size"))

    def provides(self) -> list[Thing]:
        return [("path", self.name), *(("path", path) for path in self.spec["extract"])]

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> None:
        return None

    @classmethod
    def read_many(cls, engine: Any, names: Iterable[str] | None) -> dict[str, State]:
        return {path: cls._read(path) for path in names or ()}

    @classmethod
    def _read(cls, path: str) -> State:
        if not os.path.lexists(path):
            return State()
        try:
            kept = json.loads(files.read(_beside(path)) or "{}")
            fields = {field.name: field for field in cls.fields}
            options = {name: fields[name].decode(value) for name, value in kept.get("options", {}).items()}
        except (ValueError, KeyError, StrataError):
            return State("present")
        # What was made beside it may have gone, or another size been given to it, since.
        if "extract" in options:
            there = {target: source for target, source in options["extract"].items() if os.path.exists(target)}
            options["extract"] = there
        if options.get("format") == "ext4":
            options["size"] = os.stat(path).st_size
        return State("present", options, owner=kept.get("owner"))

    def observe(self, engine: Any, state: State) -> State:
        overlay = self.spec.get("overlay")
        if overlay is None:
            return state
        if not os.path.isdir(overlay):
            raise StrataError("is no directory", option="overlay", value=overlay, entry=self.entry)
        return replace(state, facts={**state.facts, "overlay": trees.digest(overlay)})

    def settings(self, state: State) -> dict[str, Any]:
        values = super().settings(state)
        if "overlay" in self.spec:
            values["overlay_digest"] = state.facts["overlay"]
        return values

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        if {"recreate", "remove"} & set(plan.steps) and state.owner is None:
            raise StrataError(
                "is there, and wasn't made by this collection",
                hint="Move it out of the way, or name another path",
                option="path",
                value=self.name,
                entry=self.entry,
            )
        return plan

    def create(self, engine: Any, plan: Plan) -> None:
        with trees.held(self.name) as lock:
            if os.path.lexists(self.name):
                return  # somebody else made it while we waited; whether as declared, verifying tells
            self._build(plan.want, lock)
            # The note comes first: a tree without a note would be somebody else's.
            self._note(plan.want)
            os.rename(_fresh(self.name), self.name)

    def recreate(self, engine: Any, plan: Plan) -> None:
        values = {**plan.state.config, **plan.want}
        with trees.held(self.name) as lock:
            self._build(values, lock)
            trees.swap(_fresh(self.name), self.name)
            self._note(values)
            trees.remove(_fresh(self.name))

    def remove(self, engine: Any, plan: Plan) -> None:
        with trees.held(self.name):
            self._sweep()
            trees.remove(self.name)
            files.remove(_beside(self.name))

    def _sweep(self) -> None:
        """Take away what was begun and not finished."""
        for leftover in glob.glob(glob.escape(_fresh(self.name)) + "*"):
            trees.remove(leftover)

    def _note(self, values: Mapping[str, Any]) -> None:
        options = {name: self.field(name).show(value) for name, value in values.items() if value is not None}
        files.write(_beside(self.name), json.dumps({"owner": self.owner, "options": options}, sort_keys=True) + "\n")

    def _build(self, want: Mapping[str, Any], lock: int) -> None:
        debian = bootstrap.Debian(
            suite=want["suite"],
            mirror=want.get("mirror"),
            variant=want["variant"],
            packages=want.get("packages") or (),
            components=want.get("components") or ("main",),
            overlay=self.spec.get("overlay"),
            run=want.get("run") or (),
            extract=want.get("extract"),
        )
        self._sweep()
        try:
            if want["format"] == "ext4":
                bootstrap.disk(debian, _fresh(self.name), want["size"], "root", [lock])
            else:
                bootstrap.debootstrap(debian, _fresh(self.name), want["format"], [lock])
        except StrataError:
            self._sweep()
            raise


def _fresh(path: str) -> str:
    return f"{path}.strata-next"


def _beside(path: str) -> str:
    return f"{path}.strata.json"
