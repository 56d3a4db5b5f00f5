# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a swarm has: each has a name, a specification and a version, and is read and changed in the same way."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from ..core.codec import LINE
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Layer, Plan, State
from ..core.resource import Resource, Thing
from ..engines.docker import DEFAULT, OWNER, Document
from ..engines.docker_swarm import INACTIVE, DockerSwarm

HOST = Field("docker_host", LINE, role=Role.CONNECT, given=DEFAULT, aliases=("docker_url",))


class SwarmObject(Resource):
    """One of the things that a swarm has.

    Class attributes:
        sort: What the API calls them.
    """

    sort: ClassVar[str]
    states = {"present": "present", "absent": "absent"}
    busy = frozenset({"present"})

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> DockerSwarm:
        return DockerSwarm(spec.get("docker_host") or DEFAULT)

    def provides(self) -> list[Thing]:
        return [(self.kind, self.name)]

    def needs(self) -> list[Thing]:
        return [("docker_swarm", str(self.spec["docker_host"]))]

    # What there is.

    @classmethod
    def named(cls, found: Document) -> str:
        return str(found["Spec"]["Name"])

    @classmethod
    def called(cls, objects: Iterable[Document], *, once: bool) -> dict[str, Document]:
        """Them by what they are called; with ``once``, each by one name alone."""
        return {cls.named(one): one for one in objects}

    @classmethod
    def read_many(cls, engine: DockerSwarm, names: Iterable[str] | None) -> dict[str, State]:
        if engine.membership()["LocalNodeState"] == INACTIVE:
            return {}
        found = cls.called(engine.objects(cls.sort), once=names is None)
        asked = found if names is None else {*names} & {*found}
        return {name: cls.state(engine, found[name]) for name in asked}

    @classmethod
    def state(cls, engine: DockerSwarm, found: Document) -> State:
        """One of them as it was read."""
        config = {field.name: field.at.read(found["Spec"]) for field in cls.fields if field.at}
        owner = (found["Spec"].get("Labels") or {}).get(OWNER)
        facts = {"id": found["ID"], "version": found["Version"]["Index"], **cls.facts(engine, found)}
        return State("present", config, facts=facts, owner=owner, document=found)

    @classmethod
    def facts(cls, engine: DockerSwarm, found: Document) -> dict[str, Any]:
        return {}

    def observe(self, engine: DockerSwarm, state: State) -> State:
        if self.target != "absent" and not engine.manages and self.needs()[0] not in self.promised:
            raise StrataError(
                "needs a swarm, and this daemon is no manager of one",
                option="docker_host",
                value=self.spec["docker_host"],
                hint="Declare docker_swarm on it first, or run it on a manager",
            )
        return replace(state, facts=dict(state.facts))

    # What is to be done.

    def specification(self, there: Document, want: Mapping[str, Any]) -> dict[str, Any]:
        """What there is, with what is wanted."""
        spec = copy.deepcopy(dict(there))
        for name, value in want.items():
            field = self.field(name)
            if field.at:
                field.at.write(spec, value)
        return spec

    def create(self, engine: DockerSwarm, plan: Plan) -> None:
        spec = self.specification({"Name": self.name, "Labels": {OWNER: self.owner}}, plan.want)
        engine.create_object(self.sort, spec)

    def changed(self, plan: Plan) -> dict[str, Any]:
        """The specification that there is, with what is otherwise than wanted and nothing else."""
        return self.specification(plan.state.document["Spec"], plan.of(Layer.CONFIG))

    def update(self, engine: DockerSwarm, plan: Plan) -> None:
        engine.update_object(self.sort, plan.state.document, self.changed(plan))

    def recreate(self, engine: DockerSwarm, plan: Plan) -> None:
        found = plan.state.document
        engine.remove_object(self.sort, found["ID"])
        engine.create_object(self.sort, self.specification(found["Spec"], plan.want))

    def remove(self, engine: DockerSwarm, plan: Plan) -> None:
        engine.remove_object(self.sort, plan.state.document["ID"])
