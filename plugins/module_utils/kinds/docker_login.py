# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries that a user of Docker is logged in to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core import policy
from ..core.codec import BOOL, LINE, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource
from ..engines.docker import DEFAULT, Docker
from ..engines.docker_credentials import HUB, Credentials, registry

CONFIG = "~/.docker/config.json"


@dataclass(frozen=True)
class _Desk:
    """Where credentials are kept, and who asks registries whether they are good."""

    credentials: Credentials
    url: str

    def verify(self, name: str, username: str, password: str) -> None:
        Docker(self.url).login(name, username, password)


class DockerLogin(Resource):
    kind = "docker_login"
    rank = 15
    identity = "registry_url"
    sample = HUB
    fields = (
        Field("registry_url", Codec(registry), role=Role.NAME, given=HUB, aliases=("registry", "url")),
        policy.state("present", "absent"),
        Field("reauthorize", BOOL, role=Role.POLICY, given=False, aliases=("reauth",)),
        Field("docker_host", LINE, role=Role.CONNECT, given=DEFAULT),
        Field("config_path", LINE, role=Role.CONNECT, given=CONFIG, aliases=("dockercfg_path",)),
        Field("username", LINE, effect=Effect.LIVE),
        Field("password", LINE, effect=Effect.LIVE, secret=True, export=False),
    )
    states = {"present": "present", "absent": "absent"}

    def check(self) -> None:
        if self.target == "present" and "password" in self.spec and "username" not in self.spec:
            raise StrataError("is needed with password", option="username")

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> _Desk:
        return _Desk(Credentials(spec.get("config_path") or CONFIG), spec.get("docker_host") or DEFAULT)

    @classmethod
    def read_many(cls, engine: _Desk, names: Iterable[str] | None) -> dict[str, State]:
        kept = engine.credentials
        found = {name: kept.read(name) for name in (kept.names() if names is None else names)}
        return {
            name: State(
                "present",
                {"username": login.username, "password": login.password},
                facts={"path": kept.path, "helper": login.helper or None},
                owner=login.owner,
            )
            for name, login in found.items()
            if login is not None
        }

    def observe(self, engine: _Desk, state: State) -> State:
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
            engine.verify(self.name, known["username"], known["password"])
        return state

    def create(self, engine: _Desk, plan: Plan) -> None:
        owner = plan.state.owner if plan.state.exists else self.owner
        values = {**plan.state.config, **plan.want}
        engine.credentials.store(self.name, values["username"], values["password"], owner)

    update = create

    def remove(self, engine: _Desk, plan: Plan) -> None:
        engine.credentials.erase(self.name)
