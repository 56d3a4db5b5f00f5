# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries that a user of whichever engine is logged in to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..core import policy
from ..core.codec import BOOL, LINE, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource
from ..engines.docker_credentials import Login as Kept


class Desk(Protocol):
    """Where credentials are kept."""

    path: str

    def names(self) -> list[str]: ...

    def read(self, name: str) -> Kept | None: ...

    def erase(self, name: str) -> None: ...


def login_fields(registry: Callable[[Any], str], *connect: Field, given: str | None = None) -> tuple[Field, ...]:
    """The options, with those that reach the engine and its own registry."""
    return (
        Field(
            "registry_url",
            Codec(registry),
            role=Role.NAME,
            given=given,
            required=given is None,
            aliases=("registry", "url"),
        ),
        policy.state("present", "absent"),
        Field("reauthorize", BOOL, role=Role.POLICY, given=False, aliases=("reauth",)),
        *connect,
        Field("username", LINE, effect=Effect.LIVE),
        Field("password", LINE, effect=Effect.LIVE, secret=True, export=False),
    )


class Login(Resource):
    """One registry. What is kept where, and how a registry is asked, is its engine's."""

    rank = 15
    identity = "registry_url"
    states = {"present": "present", "absent": "absent"}

    def check(self) -> None:
        if self.target == "present" and "password" in self.spec and "username" not in self.spec:
            raise StrataError("is needed with password", option="username")

    @classmethod
    def read_many(cls, engine: Desk, names: Iterable[str] | None) -> dict[str, State]:
        found = {name: engine.read(name) for name in (engine.names() if names is None else names)}
        return {
            name: State(
                "present",
                {"username": login.username, "password": login.password},
                facts={"path": engine.path, "helper": login.helper or None},
                owner=login.owner,
            )
            for name, login in found.items()
            if login is not None
        }

    def observe(self, engine: Desk, state: State) -> State:
        if self.target == "absent":
            return state
        given: dict[str, Any] = {
            option: self.spec[option] for option in ("username", "password") if option in self.spec
        }
        new = any(state.config.get(option) != value for option, value in given.items())
        if (new or not state.exists) and len(given) < 2:
            missing = "username" if "username" not in given else "password"
            raise StrataError("is needed to log in", option=missing)
        if new or self.spec["reauthorize"]:
            # Asking a registry changes nothing: check mode does so, too, and foretells no login that will be refused.
            known = {**state.config, **given}
            self.verify(engine, known["username"], known["password"])
        return state

    def create(self, engine: Desk, plan: Plan) -> None:
        owner = plan.state.owner if plan.state.exists else self.owner
        values = {**plan.state.config, **plan.want}
        self.store(engine, values["username"], values["password"], owner)

    update = create

    def remove(self, engine: Desk, plan: Plan) -> None:
        engine.erase(self.name)

    # What engines do otherwise.

    def verify(self, engine: Any, username: str, password: str) -> None:
        """Show credentials to the registry, which may refuse them, and keep them nowhere."""
        engine.verify(self.name, username, password)

    def store(self, engine: Any, username: str, password: str, owner: str | None) -> None:
        engine.store(self.name, username, password, owner)
