# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon's place in a swarm: it begins one, joins one or leaves it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from ..core import policy
from ..core.codec import BOOL, INT, LINE, SECONDS, TEXTS
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource, Thing
from ..core.waiting import until
from ..engines.docker import DEFAULT, OWNER, Document
from ..engines.docker_networks import OPTIONS
from ..engines.docker_swarm import INACTIVE, DockerSwarm
from ..engines.swarm_at import At, mapping, place, seconds
from .swarm_object import HOST

NAME = "default"  # of every swarm (swarmkit: manager/state/store, DefaultClusterName)
_JOINED = 60.0  # seconds that a swarm may take to take in a node


def _given(name: str, codec: Any = LINE, **more: Any) -> Field:
    """What only counts when it begins or joins one."""
    return Field(name, codec, role=Role.POLICY, **more)


def _setting(name: str, codec: Any, where: At, default: Any) -> Field:
    return Field(name, codec, where, Effect.LIVE, default)


class DockerSwarmMember(Resource):
    kind = "docker_swarm"
    rank = 32
    sample = NAME
    states = {"present": "present", "absent": "absent"}
    fields = (
        Field("name", LINE, role=Role.NAME, given=NAME, choices=(NAME,)),
        HOST,
        policy.state("present", "absent"),
        _given("force", BOOL, given=False),
        _given("join_tokens", BOOL, given=False, public=True),
        _given("advertise_addr"),
        _given("listen_addr", given="0.0.0.0:2377"),
        _given("data_path_addr"),
        _given("data_path_port", INT),
        _given("default_addr_pool", TEXTS),
        _given("subnet_size", INT),
        _given("remote_addrs", TEXTS),
        _given("join_token", secret=True),
        _setting("task_history_retention_limit", INT, place("Orchestration.TaskHistoryRetentionLimit", 5), 5),
        _setting("snapshot_interval", INT, place("Raft.SnapshotInterval", 10000), 10000),
        _setting("keep_old_snapshots", INT, place("Raft.KeepOldSnapshots", 0), 0),
        _setting("log_entries_for_slow_followers", INT, place("Raft.LogEntriesForSlowFollowers", 500), 500),
        _setting("dispatcher_heartbeat_period", SECONDS, seconds("Dispatcher.HeartbeatPeriod", 5), 5),
        _setting("node_cert_expiry", SECONDS, seconds("CAConfig.NodeCertExpiry", 7776000), 7776000),
        _setting("autolock_managers", BOOL, place("EncryptionConfig.AutoLockManagers", False), False),
        _setting("labels", OPTIONS, mapping("Labels"), {}),
    )

    # What was declared.

    def check(self) -> None:
        if self.target == "absent":
            return
        joins = [option for option in ("remote_addrs", "join_token") if option in self.spec]
        if len(joins) == 1:
            missing = "join_token" if joins == ["remote_addrs"] else "remote_addrs"
            raise StrataError(f"is needed with {joins[0]}", option=missing)
        kept = [field.name for field in self.fields if field.role is Role.SETTING and field.name in self.spec]
        if joins and kept:
            raise StrataError(
                "is a setting of the whole swarm, which one that joins doesn't make",
                option=kept[0],
                hint="Declare it where the swarm begins",
            )

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> DockerSwarm:
        return DockerSwarm(spec.get("docker_host") or DEFAULT)

    def provides(self) -> list[Thing]:
        return [(self.kind, str(self.spec["docker_host"]))]

    # What there is.

    @classmethod
    def read_many(cls, engine: DockerSwarm, names: Iterable[str] | None) -> dict[str, State]:
        member = engine.membership()
        if member["LocalNodeState"] == INACTIVE:
            return {}
        facts = {
            "state": member["LocalNodeState"],
            "node": member.get("NodeID"),
            "address": member.get("NodeAddr"),
            "manager": bool(member.get("ControlAvailable")),
            "managers": [manager["Addr"] for manager in member.get("RemoteManagers") or ()],
        }
        if not facts["manager"]:
            return {NAME: State("present", facts=facts)}
        swarm = engine.swarm()
        spec = swarm["Spec"]
        config = {field.name: field.at.read(spec) for field in cls.fields if field.at}
        facts.update(swarm=swarm["ID"], nodes=member.get("Nodes"))
        return {NAME: State("present", config, facts=facts, owner=spec["Labels"].get(OWNER), document=swarm)}

    def settings(self, state: State) -> dict[str, Any]:
        want = super().settings(state)
        if want and state.exists and state.document is None:
            raise StrataError("can only be set by a manager, and this node is a worker", option=next(iter(want)))
        return want

    def prunable(self, state: State) -> bool:
        return False  # what runs in it is worth more than a line that was dropped

    def outcome(self, state: State) -> dict[str, Any]:
        if not self.spec["join_tokens"] or state.document is None:
            return {}
        tokens = state.document["JoinTokens"]
        return {"join_tokens": {"worker": tokens["Worker"], "manager": tokens["Manager"]}}

    # What is to be done.

    def create(self, engine: DockerSwarm, plan: Plan) -> None:
        place = {"ListenAddr": self.spec["listen_addr"]}
        for option, key in (("advertise_addr", "AdvertiseAddr"), ("data_path_addr", "DataPathAddr")):
            if option in self.spec:
                place[key] = self.spec[option]
        if "remote_addrs" in self.spec:
            engine.join({**place, "RemoteAddrs": list(self.spec["remote_addrs"]), "JoinToken": self.spec["join_token"]})
        else:
            engine.init({**place, **self._beginning(), "Spec": self._specification({}, plan.want)})
        until(lambda: engine.membership()["LocalNodeState"] == "active", "the swarm to take it in", _JOINED)

    def _beginning(self) -> dict[str, Any]:
        keys = {
            "data_path_port": "DataPathPort",
            "default_addr_pool": "DefaultAddrPool",
            "subnet_size": "SubnetSize",
        }
        given = {key: self.spec[option] for option, key in keys.items() if option in self.spec}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}

    def _specification(self, there: Document, want: Mapping[str, Any]) -> dict[str, Any]:
        spec = copy.deepcopy(dict(there)) or {"Labels": {OWNER: self.owner}}
        for name, value in want.items():
            self.field(name).at.write(spec, value)
        return spec

    def update(self, engine: DockerSwarm, plan: Plan) -> None:
        swarm = plan.state.document
        engine.update_swarm(swarm["Version"]["Index"], self._specification(swarm["Spec"], plan.want))

    def remove(self, engine: DockerSwarm, plan: Plan) -> None:
        try:
            engine.leave(self.spec["force"])
        except StrataError as error:
            if self.spec["force"]:
                raise
            hint = "Set force: true; as its last manager, that ends the swarm and all that runs in it"
            raise StrataError(error.message, hint=hint) from None
