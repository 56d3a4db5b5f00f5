# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of Podman, root's or a plain user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import StrataError
from ..core.plan import Change, Effect, Plan, State
from ..core.resource import Thing
from ..engines import podman_service, podman_words
from ..engines.podman import Document
from ..engines.podman_images import PodmanImages, tagged
from . import podman_abilities, podman_wants
from .container import Container
from .podman_fields import FIELDS


class PodmanContainer(Container):
    kind = "podman_container"
    engine = "podman"
    usual = "podman"
    reference = staticmethod(tagged)
    fields = FIELDS

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> PodmanImages:
        return PodmanImages(spec.get("user_scope"), spec.get("podman_host"))

    # What was declared.

    def check(self) -> None:
        super().check()
        podman_abilities.check(self.spec)

    def needs(self) -> list[Thing]:
        pod = [("podman_pod", self.spec["pod"])] if self.spec.get("pod") else []
        return [*super().needs(), *pod]

    def as_told(self, want: dict[str, Any], state: State) -> dict[str, Any]:
        return podman_wants.told(want, self.spec, state.config, state.document, not state.facts.get("rootful", True))

    # What there is.

    def refuse(self, engine: PodmanImages, state: State) -> None:
        podman_abilities.refuse(engine, self.spec, state)

    def observe(self, engine: PodmanImages, state: State) -> State:
        user = engine.service.user
        state = super().observe(engine, state)
        facts: dict[str, Any] = {"rootful": user.uid == 0, "lingers": user.lingers}
        if state.exists and self.spec["state"] != "absent":
            state = replace(state, config=podman_wants.completed(state.config, self.spec, state.document))
        if self.spec.get("pod") and self.spec["state"] != "absent":
            facts["references"] = {**state.facts["references"], "pod": engine.pod(self.spec["pod"])}
        return replace(state, facts={**state.facts, **facts})

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        options = super().export(name, state)
        rows = [podman_wants.chosen(row) for row in options.pop("networks", ())]
        return {**options, **({"networks": rows} if rows and rows != [{"name": cls.usual}] else {})}

    def outcome(self, state: State) -> dict[str, Any]:
        told = super().outcome(state)
        own = told["container"].pop("Podman", {})
        output = {"Output": told["container"]["Output"]} if "Output" in told["container"] else {}
        return {**told, "container": {**own, **output}}

    # What is to be done.

    def _with_more_steps(self, plan: Plan, state: State) -> Plan:
        plan = super()._with_more_steps(plan, state)
        if "recreate" in plan.steps and state.document["Podman"]["Config"].get("Secrets"):
            raise StrataError(
                "has secrets, and Podman doesn't tell where they are in it, so that a new one couldn't have them",
                hint="Remove it first, or set recreate: never",
            )
        if plan.target not in self.busy or not self.spec["linger"] or state.facts.get("lingers", True):
            return plan
        change = Change("linger", False, True, Effect.LIVE)
        return replace(plan, changes=(change, *plan.changes), steps=("outlive", *plan.steps))

    def outlive(self, engine: PodmanImages, plan: Plan) -> None:
        """Let it go on after the last login session of its user."""
        podman_service.enable_linger(engine.service.user)

    def left_volumes(self, document: Document) -> list[str]:
        names = [str(mount.get("Name")) for mount in document["Mounts"] if mount["Type"] == "volume"]
        return [name for name in names if podman_words.UNNAMED.fullmatch(name)]

    def mounted(self) -> dict[str, str]:
        rooms = {row["target"] for row in self.spec.get("mounts", ()) if row["type"] == "tmpfs"}
        words = {"mounts": "volumes"}  # what podman_wants makes of them
        return {
            target: "tmpfs" if target in rooms else words.get(option, option)
            for target, option in super().mounted().items()
        }

    def make(self, engine: PodmanImages, name: str, body: dict[str, Any]) -> str:
        made, warned = engine.create(name, body)
        if warned:
            engine.remove(made)
            raise StrataError(f"{engine.title} does not do all that is declared: {'; '.join(warned)}")
        return made
