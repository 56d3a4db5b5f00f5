# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of whichever engine has them: what is in them is never lost unless it was said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..core import policy
from ..core.codec import BOOL, LINE, Codec, parse_name
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Plan, State
from ..core.resource import Resource, Thing
from ..engines.docker import OURS, OWNER, Docker, Document
from ..engines.docker_networks import OPTIONS

_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
"""The names that the daemon makes up: such a volume belongs to its container."""


def _parse_name(value: Any) -> str:
    name = parse_name(value)
    if len(name) < 2:
        raise ValueError("is too short: Docker wants two characters or more")
    return name


_CHANGED = "options-changed"
"""What other modules call ``if_needed``."""
_RECREATE = Codec(lambda word: "if_needed" if word == _CHANGED else str(word))


def volume_fields(*connect: Field) -> tuple[Field, ...]:
    """The options, with those that reach the engine."""
    return (
        Field("name", Codec(_parse_name), role=Role.NAME, required=True, aliases=("volume_name",)),
        policy.state("present", "absent"),
        Field(
            "recreate", _RECREATE, role=Role.POLICY, given="never", choices=("never", "if_needed", "always", _CHANGED)
        ),
        Field("keep", BOOL, role=Role.POLICY, given=True),
        *connect,
        Field("driver", LINE, "Driver", given="local"),
        Field("driver_options", OPTIONS, "Options", default={}),
        Field("labels", OPTIONS, "Labels", default={}),
    )


class Volume(Resource):
    """One volume. What the engine says of it is in Docker's words."""

    rank = 50
    states = {"present": "present", "absent": "absent"}
    busy = frozenset({"present"})

    def provides(self) -> list[Thing]:
        return [(self.kind, self.name)]

    def prunable(self, state: State) -> bool:
        return self.applied.get("keep") is False

    # What there is.

    @classmethod
    def users(cls, engine: Any, names: Iterable[str]) -> dict[str, dict[str, str | None]]:
        """The containers that each volume is mounted in, running or not, and who made them."""
        raise NotImplementedError

    @classmethod
    def read_many(cls, engine: Docker, names: Iterable[str] | None) -> dict[str, State]:
        found = {volume["Name"]: volume for volume in engine.volumes()}
        asked = {name for name in found if not _ANONYMOUS.fullmatch(name)} if names is None else {*names} & {*found}
        users = cls.users(engine, asked) if asked else {}
        return {name: cls._read(found[name], users.get(name, {})) for name in asked}

    @classmethod
    def _read(cls, volume: Document, users: Mapping[str, str | None]) -> State:
        config = {field.name: volume.get(field.at) or {} for field in cls.fields if field.at}
        labels = config["labels"]
        config["labels"] = {key: value for key, value in labels.items() if not key.startswith(OURS)}
        facts = {"mountpoint": volume.get("Mountpoint") or None, "containers": dict(users)}
        return State("present", config, facts=facts, owner=labels.get(OWNER))

    # What is to be done.

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        if {"remove", "recreate"} & set(plan.steps):
            # Those of the same stack may go before it does: whether they did shows when it is its turn.
            mine = bool(self.owner) and "remove" in plan.steps
            self._refuse_users(
                name for name, owner in state.facts["containers"].items() if not mine or owner != self.owner
            )
        return plan

    def _refuse_users(self, users: Iterable[str]) -> None:
        named = ", ".join(sorted(users))
        if named:
            raise StrataError(f"is in use by {named}", hint="Remove them first: what is in it would be lost")

    def create(self, engine: Docker, plan: Plan) -> None:
        engine.create_volume(self._body({"Labels": {OWNER: self.owner}}, plan))

    def _body(self, base: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
        def merged(key: str, name: str) -> dict[str, str]:
            both = {**(base.get(key) or {}), **plan.want.get(name, {})}
            return {option: value for option, value in both.items() if value is not None}

        return {
            "Name": self.name,
            "Driver": plan.want["driver"],
            "DriverOpts": merged("Options", "driver_options"),
            "Labels": merged("Labels", "labels"),
        }

    def recreate(self, engine: Docker, plan: Plan) -> None:
        old = next((volume for volume in engine.volumes() if volume["Name"] == self.name), None)
        if old is None:
            raise StrataError("was removed meanwhile", hint="Run again")
        # The options of one driver mean nothing to another one.
        base = old if old["Driver"] == plan.want["driver"] else {"Labels": old.get("Labels")}
        self.remove(engine, plan)
        try:
            engine.create_volume(self._body(base, plan))
        except StrataError:
            engine.create_volume({**old, "DriverOpts": old.get("Options")})
            raise

    def remove(self, engine: Docker, plan: Plan) -> None:
        self._refuse_users(self.users(engine, [self.name]).get(self.name, {}))
        engine.remove_volume(self.name)
