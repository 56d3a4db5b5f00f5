# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a swarm keeps for its services: secrets, which it never shows again, and configs."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from ..core import policy
from ..core.errors import StrataError
from ..core.field import Field
from ..core.fingerprint import fingerprint
from ..core.plan import Effect, Plan, State
from ..engines.docker import OURS, OWNER, Document
from ..engines.docker_networks import OPTIONS
from ..engines.docker_swarm import DockerSwarm
from ..engines.swarm_at import At, mapping
from .given_data import HOW, GivenData
from .swarm_object import HOST, SwarmObject

_DATA = "strata.given"
"""Where what is to be kept stands in what was observed."""

DIGEST = OURS + "data"
"""The label with a digest of what is kept: it is all that tells one secret from another one."""


def _read(spec: Document) -> str | None:
    return (spec.get("Labels") or {}).get(DIGEST)


def _write(spec: dict[str, Any], value: str) -> None:
    spec["Data"] = value


class SwarmData(GivenData, SwarmObject):
    """A secret or a config."""

    rank = 35
    keeper = "a swarm"
    largest = 500 * 1024  # bytes (swarmkit: api/validation, MaxSecretSize; a config's is twice that)
    fields = (
        policy.name(),
        policy.state("present", "absent"),
        policy.recreate(),
        HOST,
        Field("data", at=At(_read, _write), secret=True, export=False),
        *HOW,
        Field("labels", OPTIONS, mapping("Labels"), Effect.LIVE, {}),
    )

    def needs(self) -> list[tuple[str, str]]:
        return [*super().needs(), *(("path", path) for _option, path in self.files())]

    # What there is, and what is to be done.

    def observe(self, engine: DockerSwarm, state: State) -> State:
        state = super().observe(engine, state)
        if self.target == "absent":
            return state
        # Not among the facts, which a result shows.
        return replace(state, document={**(state.document or {}), _DATA: self.given_data()})

    def settings(self, state: State) -> dict[str, Any]:
        want = super().settings(state)
        data = state.document[_DATA]
        want.pop("data", None)
        if data is None:
            if not state.exists and not self.files():
                raise StrataError("is needed for a new one", option="data", hint="Give it, or data_src")
            return want
        return {**want, "data": fingerprint(data, state.config.get("data"))}

    def _body(self, plan: Plan, there: Document) -> dict[str, Any]:
        """What is kept, with a digest of it."""
        spec = self.specification(there, {"labels": plan.want.get("labels", {})})
        data = plan.state.document[_DATA]
        if data is not None:
            spec["Data"] = base64.b64encode(data).decode()
            spec["Labels"][DIGEST] = plan.want["data"]
        return spec

    def create(self, engine: DockerSwarm, plan: Plan) -> None:
        engine.create_object(self.sort, self._body(plan, {"Name": self.name, "Labels": {OWNER: self.owner}}))

    def update(self, engine: DockerSwarm, plan: Plan) -> None:
        """Only labels can change; what is kept has to be given as it is, or not at all (swarmkit: UpdateSecret)."""
        found = plan.state.document
        spec = self.specification(found["Spec"], {"labels": plan.want.get("labels", {})})
        engine.update_object(self.sort, found, spec)

    def recreate(self, engine: DockerSwarm, plan: Plan) -> None:
        found = plan.state.document
        try:
            engine.remove_object(self.sort, found["ID"])
        except StrataError as error:
            raise StrataError(error.message, hint="Keep it under another name, and let the service have that") from None
        engine.create_object(self.sort, self._body(plan, found["Spec"]))
