# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods of Podman, root's or a plain user's: what containers share. Only an empty one can be made anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import policy
from ..core.codec import BOOL, CPUS, LINE, MAP, MEMORY, TEXT, TEXTS, WORDS
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Plan, State
from ..core.resource import Resource, Thing
from ..engines import docker_values, podman_pods, podman_service
from ..engines.docker import OURS, OWNER, Document
from ..engines.docker_networks import OPTIONS
from ..engines.podman_pods import PodmanPods, same, words
from .podman_fields import PODMAN

_STATUS = {"Running": "running", "Degraded": "running", "Paused": "paused"}
_INFRA = "InfraConfig"


class PodmanPod(Resource):
    kind = "podman_pod"
    rank = 55
    states = {"started": "running", "stopped": "stopped", "present": None, "absent": "absent"}
    moves = {
        ("stopped", "running"): ("start",),
        ("running", "stopped"): ("stop",),
        ("paused", "running"): ("unpause",),
        ("paused", "stopped"): ("unpause", "stop"),
    }
    fields = (
        policy.name(),
        policy.state("started", "stopped", "present", "absent"),
        Field("recreate", TEXT, role=Role.POLICY, given="never", choices=("never", "if_needed", "always")),
        Field("force", BOOL, role=Role.POLICY, given=False),
        Field("linger", BOOL, role=Role.POLICY, given=True),
        *PODMAN,
        Field("hostname", LINE, same("Hostname", "hostname", ""), default=""),
        Field("labels", OPTIONS, same("Labels", "labels", {}), default={}),
        Field("share", WORDS, words("SharedNamespaces", "shared_namespaces", False), default=("ipc", "net", "uts")),
        Field("published_ports", docker_values.PORTS, podman_pods.PORTS, default=(), aliases=("ports",)),
        Field("networks", WORDS, podman_pods.NETWORKS),
        Field("dns_servers", TEXTS, words(f"{_INFRA}.DNSServer", "dns_server"), default=()),
        Field("dns_search_domains", TEXTS, words(f"{_INFRA}.DNSSearch", "dns_search"), default=()),
        Field("dns_opts", WORDS, words(f"{_INFRA}.DNSOption", "dns_option", False), default=()),
        Field("etc_hosts", MAP, podman_pods.HOSTS, default={}),
        Field("memory", MEMORY, podman_pods.MEMORY, default="max"),
        Field("cpus", CPUS, podman_pods.CPUS, default="max"),
        Field("restart_policy", TEXT, same("RestartPolicy", "restart_policy", "no"), default="no"),
        Field(
            "exit_policy",
            TEXT,
            same("ExitPolicy", "exit_policy", "continue"),
            default="continue",
            choices=("continue", "stop"),
        ),
    )

    def provides(self) -> list[Thing]:
        return [(self.kind, self.name)]

    def needs(self) -> list[Thing]:
        return [("podman_network", name) for name in self.spec.get("networks", ())]

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> PodmanPods:
        return PodmanPods(spec.get("user_scope"), spec.get("podman_host"))

    @classmethod
    def read_many(cls, engine: PodmanPods, names: Iterable[str] | None) -> dict[str, State]:
        there = {pod["Name"] for pod in engine.pods()}
        found = {name: engine.pod(name) for name in sorted(there if names is None else there & {*names})}
        return {name: cls._read(pod) for name, pod in found.items() if pod is not None}

    @classmethod
    def _read(cls, pod: Document) -> State:
        config = {field.name: field.at.read(pod) for field in cls.fields if field.at}
        labels = config["labels"]
        config["labels"] = {key: value for key, value in labels.items() if not key.startswith(OURS)}
        inside = {one["Name"]: one["State"] for one in pod.get("Containers") or ()}
        infra = pod.get("InfraContainerID")
        own = {one["Name"] for one in pod.get("Containers") or () if one["Id"] == infra}
        facts = {
            "id": pod["Id"],
            "containers": {name: state for name, state in sorted(inside.items()) if name not in own},
            "cgroup": pod.get("CgroupPath"),
        }
        status = _STATUS.get(pod["State"], "stopped")
        return State(status, config, facts=facts, owner=labels.get(OWNER), document=pod)

    def observe(self, engine: PodmanPods, state: State) -> State:
        return replace(state, facts={**state.facts, "lingers": engine.service.user.lingers})

    # What is to be done.

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        # Containers of the same stack may go before it does: whether they did shows when it is its turn.
        if {"remove", "recreate"} & set(plan.steps) and not self.owner:
            self._refuse_users(state)
        outlives = plan.target == "running" and self.spec["linger"] and not state.facts.get("lingers", True)
        if not outlives:
            return plan
        change = Change("linger", False, True, Effect.LIVE)
        return replace(plan, changes=(change, *plan.changes), steps=("outlive", *plan.steps))

    def _refuse_users(self, state: State) -> None:
        if state.facts.get("containers") and not self.spec["force"]:
            raise StrataError(
                f"holds {', '.join(state.facts['containers'])}",
                hint="Remove them first, or set force: true, which removes them with it",
            )

    def outlive(self, engine: PodmanPods, plan: Plan) -> None:
        """Let it go on after the last login session of its user."""
        podman_service.enable_linger(engine.service.user)

    def _body(self, plan: Plan, labels: Mapping[str, str]) -> dict[str, Any]:
        body: dict[str, Any] = {"name": self.name, "labels": dict(labels)}
        for name, value in plan.want.items():
            if name == "labels":
                merged = {**body["labels"], **value}
                body["labels"] = {key: text for key, text in merged.items() if text is not None}
            elif value is not None:
                self.field(name).at.write(body, value)
        return body

    def create(self, engine: PodmanPods, plan: Plan) -> None:
        engine.create_pod(self._body(plan, {OWNER: self.owner}))

    def recreate(self, engine: PodmanPods, plan: Plan) -> None:
        had = plan.state
        kept = {name: value for name, value in had.config.items() if name != "labels" and value is not None}
        whole = replace(plan, want={**kept, **plan.want})
        self.remove(engine, plan)
        engine.create_pod(self._body(whole, had.document.get("Labels") or {}))
        if plan.target == "running":
            self.start(engine, plan)

    def start(self, engine: PodmanPods, plan: Plan) -> None:
        engine.pod_does(self.name, "start")

    def stop(self, engine: PodmanPods, plan: Plan) -> None:
        engine.pod_does(self.name, "stop")

    def unpause(self, engine: PodmanPods, plan: Plan) -> None:
        engine.pod_does(self.name, "unpause")

    def remove(self, engine: PodmanPods, plan: Plan) -> None:
        found = engine.pod(self.name)
        if found is not None:
            self._refuse_users(self._read(found))
            engine.remove_pod(self.name, force=True)  # its own container may run
