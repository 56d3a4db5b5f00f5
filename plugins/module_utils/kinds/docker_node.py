# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of a swarm, as one of its managers sees them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core import policy
from ..core.codec import BOOL, TEXT
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Plan, State
from ..engines.docker import Document
from ..engines.docker_networks import OPTIONS
from ..engines.docker_swarm import DockerSwarm
from ..engines.swarm_at import mapping, place
from .swarm_object import HOST, SwarmObject


class DockerNode(SwarmObject):
    kind = "docker_node"
    sort = "nodes"
    rank = 34
    fields = (
        policy.name(),
        policy.state("present", "absent"),
        HOST,
        Field("force", BOOL, role=Role.POLICY, given=False),
        Field("role", TEXT, place("Role", None), Effect.LIVE, choices=("worker", "manager")),
        Field("availability", TEXT, place("Availability", None), Effect.LIVE, choices=("active", "pause", "drain")),
        Field("labels", OPTIONS, mapping("Labels"), Effect.LIVE, {}),
    )

    @classmethod
    def called(cls, objects: Iterable[Document], *, once: bool) -> dict[str, Document]:
        """By their hosts' names, or by their IDs.

        A host that left and joined again is listed twice. Its name is that of the node that is up; another one is known
        by its ID alone.
        """
        nodes = sorted(objects, key=lambda node: (node["Status"]["State"] == "ready", node["ID"]))
        ids = {str(node["ID"]): node for node in nodes}
        hosts = {str(node["Description"]["Hostname"]): node for node in nodes}
        others = {identity: node for identity, node in ids.items() if node not in hosts.values()}
        return {**(others if once else ids), **hosts}

    @classmethod
    def facts(cls, engine: DockerSwarm, found: Document) -> dict[str, Any]:
        manager = found.get("ManagerStatus") or {}
        return {
            "state": found["Status"]["State"],
            "address": found["Status"].get("Addr"),
            "leader": bool(manager.get("Leader")),
            "reachability": manager.get("Reachability"),
            "engine": (found["Description"].get("Engine") or {}).get("EngineVersion"),
        }

    def settings(self, state: State) -> dict[str, Any]:
        if not state.exists:
            raise StrataError(
                "is no node of this swarm",
                option="name",
                value=self.name,
                hint="Declare docker_swarm on that host, with remote_addrs and join_token",
            )
        return super().settings(state)

    def create(self, engine: DockerSwarm, plan: Plan) -> None:
        """Nothing makes it: it joins by itself."""

    def remove(self, engine: DockerSwarm, plan: Plan) -> None:
        engine.remove_object(self.sort, plan.state.document["ID"], self.spec["force"])
