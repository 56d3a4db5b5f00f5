# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of a swarm: changed while they go on, and waited for until their tasks run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import StrataError
from ..core.plan import Plan, State
from ..core.resource import Thing
from ..core.waiting import until
from ..engines.docker import Document
from ..engines.docker_networks import at
from ..engines.docker_swarm import DockerSwarm
from ..engines.swarm_at import TASK
from .docker_service_fields import FIELDS
from .swarm_object import SwarmObject

_FILES = {"secrets": "docker_secret", "configs": "docker_config"}
_WRONG = {"paused", "rollback_paused", "rollback_completed"}
_MONITOR = 5  # seconds that a new task is watched for failing (moby: api/types/swarm, UpdateConfig.Monitor)
_SAME = ("ContainerSpec", "Resources", "ForceUpdate")
"""What of a task's specification says that it is of the service as it is now."""


class DockerService(SwarmObject):
    kind = "docker_service"
    sort = "services"
    rank = 60
    fields = FIELDS

    # What was declared.

    def check(self) -> None:
        if self.spec.get("mode") == "global" and "replicas" in self.spec:
            raise StrataError("can't go with mode: global, which is one a node", option="replicas")

    def needs(self) -> list[Thing]:
        files = [(kind, row["name"]) for option, kind in _FILES.items() for row in self.spec.get(option, ())]
        places = [("docker_network", row["name"]) for row in self.spec.get("networks", ())]
        image = [("docker_image", self.spec["image"])] if "image" in self.spec else []
        return [*super().needs(), *image, *places, *files]

    def settings(self, state: State) -> dict[str, Any]:
        want = super().settings(state)
        if not state.exists and "image" not in want:
            raise StrataError("is needed for a new service", option="image")
        there = state.config.get("image") or ""
        if "image" in want and there.startswith(f"{want['image']}@"):
            want["image"] = there  # somebody had the digest of the same name looked up
        if want.get("mode", state.config.get("mode")) == "global":
            want.pop("replicas", None)
        for option in _FILES:
            if option in want:
                known = state.facts.get("known", {}).get(option, {})
                want[option] = tuple(
                    {"target": row["name"], **row, "id": known.get(row["name"])} for row in want[option]
                )
        return want

    # What there is.

    @classmethod
    def read_many(cls, engine: DockerSwarm, names: Iterable[str] | None) -> dict[str, State]:
        found = super().read_many(engine, names)
        if not found:
            return found
        called = {network["Id"]: network["Name"] for network in engine.networks()}
        tasks = engine.objects("tasks", {"desired-state": ["running"]})
        return {name: cls._completed(state, called, tasks) for name, state in found.items()}

    @classmethod
    def _completed(cls, state: State, called: Mapping[str, str], tasks: Iterable[Document]) -> State:
        rows = [{**row, "name": called.get(row["name"], row["name"])} for row in state.config["networks"]]
        running = [task for task in tasks if task["ServiceID"] == state.facts["id"] and _runs(task)]
        ports = at(state.document, "Endpoint.Ports") or ()
        published = {f"{port['TargetPort']}/{port['Protocol']}": port.get("PublishedPort") for port in ports}
        facts = {**state.facts, "running": len(running), "ports": published}
        config = {**state.config, "networks": tuple(sorted(rows, key=lambda row: str(row["name"])))}
        return replace(state, config=config, facts=facts)

    def observe(self, engine: DockerSwarm, state: State) -> State:
        state = super().observe(engine, state)
        if self.target == "absent":
            return state
        known = {}
        for option, kind in _FILES.items():
            if not self.spec.get(option):
                continue
            there = {one["Spec"]["Name"]: one["ID"] for one in engine.objects(option)} if engine.manages else {}
            for row in self.spec[option]:
                if row["name"] not in there and (kind, row["name"]) not in self.promised:
                    raise StrataError("is not in this swarm", option=option, value=row["name"])
            known[option] = there
        return replace(state, facts={**state.facts, **({"known": known} if known else {})})

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        options = super().export(name, state)
        for option in _FILES:
            for row in options.get(option, ()):
                row.pop("id", None)
        return options

    def explain(self, engine: DockerSwarm, state: State) -> str:
        return _last_errors(engine, self.name)

    # What is to be done.

    def specification(self, there: Document, want: Mapping[str, Any]) -> dict[str, Any]:
        spec = super().specification(there, want)
        spec.setdefault("Mode", {"Replicated": {"Replicas": 1}})
        return spec

    def create(self, engine: DockerSwarm, plan: Plan) -> None:
        super().create(engine, plan)
        self._wait(engine)

    def update(self, engine: DockerSwarm, plan: Plan) -> None:
        super().update(engine, plan)
        old, new = plan.state.document["Spec"], self.changed(plan)
        if any(old.get(part) != new.get(part) for part in (TASK, "Mode")):
            self._wait(engine)

    def recreate(self, engine: DockerSwarm, plan: Plan) -> None:
        super().recreate(engine, plan)
        self._wait(engine)

    def _wait(self, engine: DockerSwarm) -> None:
        """Wait until as many tasks of the service as it is now run as there are to be, and have run for a while."""
        if not self.spec["wait"]:
            return
        steady: int = self.spec.get("update_config", {}).get("monitor", _MONITOR)
        since: list[float] = []

        def stays() -> bool:
            if not self._settled(engine):
                since.clear()
                return False
            since.append(time.monotonic())
            return since[-1] - since[0] >= steady

        try:
            until(stays, "its tasks to run", self.spec["timeout"])
        except StrataError as error:
            said = _last_errors(engine, self.name)
            raise StrataError(
                f"{error.message}{f'; they say: {said}' if said else ''}",
                hint="docker service ps tells of each task; give more timeout, or wait: false",
            ) from None

    def _settled(self, engine: DockerSwarm) -> bool:
        found = engine.objects("services", {"name": [self.name]})
        service = next((one for one in found if one["Spec"]["Name"] == self.name), None)
        if service is None:
            raise StrataError("was removed meanwhile", hint="Run again")
        update = service.get("UpdateStatus") or {}
        if update.get("State") in _WRONG:
            raise StrataError(f"the update ended as {update['State']}: {update.get('Message')}")
        tasks = engine.objects("tasks", {"service": [service["ID"]], "desired-state": ["running"]})
        template = service["Spec"][TASK]
        new = [task for task in tasks if all(task["Spec"].get(key) == template.get(key) for key in _SAME)]
        count = at(service, "Spec.Mode.Replicated.Replicas")
        wanted = len(new) if count is None else int(count)
        enough = len(tasks) == len(new) == wanted and (wanted > 0 or count == 0)
        return enough and all(map(_runs, new)) and update.get("State") != "updating"


def _runs(task: Document) -> bool:
    return bool(task["Status"]["State"] == "running")


def _last_errors(engine: DockerSwarm, name: str) -> str:
    """What the latest tasks of a service say that failed."""
    tasks = sorted(engine.objects("tasks", {"service": [name]}), key=lambda task: str(task["UpdatedAt"]))
    said = [str(task["Status"]["Err"]) for task in tasks if task["Status"].get("Err")]
    return "; ".join(dict.fromkeys(said[-3:]))
