# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import files, policy
from ..core.codec import LINE, PATH, SIZE
from ..core.errors import StrataError
from ..core.field import Field, Role, structure
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource, Thing
from ..engines import mounts, occupants, qcow2

NEXT = ".strata-next"


class QemuImage(Resource):
    kind = "qemu_image"
    identity = "path"
    sample = "/"
    rank = 20
    listed = False
    fields = (
        Field("path", PATH, role=Role.NAME, required=True),
        policy.state("present", "absent"),
        Field("format", LINE, given="qcow2", choices=("qcow2", "raw")),
        Field("size", SIZE, effect=Effect.LIVE),
        Field(
            "backing",
            structure(
                Field("path", PATH, required=True),
                # A format that is guessed lets a guest write a header that names any file of the host (CVE-2008-2004).
                Field("format", LINE, required=True, choices=("qcow2", "raw")),
            ),
        ),
        Field("convert_from", PATH, role=Role.POLICY),
    )
    states = {"present": "present", "absent": "absent"}

    def check(self) -> None:
        given = self.spec
        if self.target == "absent":
            return
        if "backing" in given and given["format"] != "qcow2":
            raise StrataError("only qcow2 images have a backing file", option="backing", value=given["backing"])
        if "backing" in given and "convert_from" in given:
            raise StrataError("can't go with backing", option="convert_from", value=given["convert_from"])
        if given.get("backing", {}).get("path") == given["path"]:
            raise StrataError("can't be the image itself", option="backing", value=given["path"])

    def provides(self) -> list[Thing]:
        return [("path", self.name)]

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> None:
        return None

    @classmethod
    def read_many(cls, engine: Any, names: Iterable[str] | None) -> dict[str, State]:
        return {path: cls._read(path) for path in names or ()}

    @staticmethod
    def _read(path: str) -> State:
        image = qcow2.read(path)
        if image is None:
            return State()
        config: dict[str, Any] = {"format": image.format, "size": image.size}
        if image.backing:
            config["backing"] = {"path": image.backing, "format": image.backing_format}
        return State("present", config, owner=files.owner(path))

    def files(self) -> list[tuple[str, str]]:
        if self.target == "absent":
            return []
        sources = {"backing": self.spec.get("backing", {}).get("path"), "convert_from": self.spec.get("convert_from")}
        return [(option, path) for option, path in sources.items() if path]

    def observe(self, engine: Any, state: State) -> State:
        if self.target == "absent":
            return replace(state, facts={"users": occupants.users(self.name)}) if state.exists else state
        return replace(state, facts={**state.facts, "missing": self.missing()})

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        if state.facts.get("users"):
            raise mounts.busy(self.name, state.facts["users"])
        if "create" in plan.steps:
            for option, path in state.facts.get("missing", ()):
                raise StrataError("is not there", option=option, value=path)
            if not self.files() and "size" not in self.spec:
                raise StrataError("is needed to make a new image", option="size")
        if "recreate" in plan.steps:
            wrong = ", ".join(change.name for change in plan.changes if change.effect is Effect.RECREATE)
            raise StrataError(
                f"exists with another {wrong}, and its data would be lost",
                hint="Remove it first (state: absent), or convert it into a new one (convert_from)",
            )
        if state.exists and "size" in plan.want and plan.want["size"] < state.config["size"]:
            raise StrataError(
                f"the disk has {state.config['size']} bytes already, and shrinking it would cut off data",
                option="size",
                value=self.options["size"],
            )
        return plan

    def create(self, engine: Any, plan: Plan) -> None:
        path, want = self.name, plan.want
        fresh = path + NEXT
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if "convert_from" in self.spec:
                qcow2.convert(self.spec["convert_from"], fresh, want["format"])
                if "size" in want:
                    qcow2.resize(fresh, want["format"], want["size"])
            else:
                qcow2.create(fresh, want["format"], want.get("size"), want.get("backing"))
            files.set_owner(fresh, self.owner)
            os.rename(fresh, path)
        except OSError as error:
            raise StrataError(f"could not make {path}: {error.strerror}") from None

    def update(self, engine: Any, plan: Plan) -> None:
        qcow2.resize(self.name, plan.state.config["format"], plan.want["size"])

    def remove(self, engine: Any, plan: Plan) -> None:
        files.remove(self.name + NEXT)
        files.remove(self.name)
