# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of a Docker daemon."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import hardening, limits, policy
from ..core.codec import BOOL, LINE, MAX, SETTINGS, TEXT, WORDS, Codec, parse_name
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Layer, Plan, State
from ..core.resource import Resource, Thing
from ..core.waiting import until
from ..engines import docker_config as words
from ..engines import docker_networks, docker_values
from ..engines.docker import DEFAULT, OURS, OWNER, Docker, Document
from . import docker_hardening, docker_places

NEXT, PREVIOUS = ".strata-next", ".strata-previous"
"""What a replacement is called until it takes over, and what it replaces is called until that has proved itself."""

REPLACES = OURS + "replaces"  # the ID of the container that it replaced: tells leftovers from namesakes

PROOF = 2.0  # seconds that a replacement without a health check has to run


def _parse_name(value: Any) -> str:
    name = parse_name(value)
    if len(name) < 2:
        raise ValueError("is too short: Docker wants two characters or more")
    if name.endswith((NEXT, PREVIOUS)):
        raise ValueError("ends like the names of containers that are being replaced")
    return name


def _derived(name: str, at: words.At, codec: Codec, default: Any) -> Field:
    return Field(name, codec, at, default=default, role=Role.DERIVED)


class DockerContainer(Resource):
    kind = "docker_container"
    rank = 60
    fields = (
        policy.name(Codec(_parse_name)),
        policy.state("started", "present", "stopped", "absent"),
        policy.recreate(),
        policy.timeout(),
        Field("docker_host", LINE, role=Role.CONNECT, given=DEFAULT),
        Field("hardening", TEXT, role=Role.POLICY, choices=hardening.PROFILES),
        Field("hardening_exceptions", WORDS, role=Role.POLICY),
        Field("image", LINE, words.IMAGE),
        Field("command", docker_values.COMMAND, words.COMMAND_AT, default=()),
        Field("env", docker_values.ENV, words.ENV_AT, default={}),
        Field("labels", SETTINGS, words.LABELS, default={}),
        Field("user", LINE, words.USER, default=""),
        Field(
            "restart_policy",
            TEXT,
            words.RESTART,
            Effect.LIVE,
            default="no",
            choices=("no", "on-failure", "always", "unless-stopped"),
        ),
        limits.memory(words.MEMORY),
        limits.cpus(words.CPUS),
        limits.pids_limit(words.PIDS),
        Field("published_ports", docker_values.PORTS, words.PUBLISHED, default=()),
        Field("volumes", docker_values.BINDS, words.VOLUMES, default=()),
        Field("tmpfs", docker_values.TMPFS, words.TMPFS_AT, default=()),
        Field("capabilities", docker_values.CAPABILITIES, words.CAP_ADD, default=()),
        Field("cap_drop", docker_values.CAPABILITIES, words.CAP_DROP, default=()),
        Field("security_opts", docker_values.SECURITY, words.SECURITY_OPT, default=()),
        Field("read_only", BOOL, words.READ_ONLY, default=False),
        Field(
            "networks",
            docker_networks.PLACES,
            words.NETWORKS,
            Effect.LIVE,
            default=({"name": "bridge"},),
            check=docker_networks.check_places,
        ),
        # No options yet, but profiles have an opinion on them.
        _derived("privileged", words.PRIVILEGED, BOOL, False),
        _derived("host_namespaces", words.NAMESPACES, WORDS, ()),
        _derived("devices", words.DEVICES, WORDS, ()),
        _derived("mounts", words.MOUNTS, WORDS, ()),
    )
    states = {"started": "running", "present": None, "stopped": "stopped", "absent": "absent"}
    moves = {
        ("stopped", "running"): ("start",),
        ("running", "stopped"): ("stop",),
        ("paused", "stopped"): ("stop",),
        ("paused", "running"): ("unpause",),
    }
    busy = frozenset({"running", "paused"})

    # What was declared.

    def check(self) -> None:
        if self.target != "absent" and "image" not in self.spec:
            raise StrataError("is required unless the container is to be absent", option="image")
        docker_hardening.check(self.spec, self.options)

    def needs(self) -> list[Thing]:
        return docker_places.needed(self.spec)

    def settings(self, state: State) -> dict[str, Any]:
        image = state.facts["wanted_image"]
        profile = docker_hardening.values(self.spec, image["user"], state.config)
        before = docker_hardening.values(self.applied, image["user"], state.config)
        dropped = {name: self.field(name).default for name in before if name not in ("volumes", "mounts")}
        want = {**dropped, **super().settings(state)}
        want.update({name: value for name, value in profile.items() if name not in self.spec})
        if "security_opts" in profile:
            want["security_opts"] = tuple(sorted({*profile["security_opts"], *want["security_opts"]}))
        return self._beside(image, want, state)

    def _beside(self, image: Mapping[str, Any], want: dict[str, Any], state: State) -> dict[str, Any]:
        """Wanted values as they are observed: what the image gives anyhow counts as unset."""
        same = state.facts.get("image_id") == image["id"]
        want["image"] = state.config["image"] if same else self.spec["image"]
        if "env" in want:
            want["env"] = words.own(want["env"], image["env"])
        if "labels" in want:
            labels = image["labels"]
            want["labels"] = {key: None if labels.get(key) == item else item for key, item in want["labels"].items()}
        for name, unset in (("user", ""), ("command", ())):
            if name in want and want[name] == image[name]:
                want[name] = unset
        if "published_ports" in want:
            # No address is every address, which some tools write as 0.0.0.0.
            there = state.config.get("published_ports", ())
            every = {port: f"0.0.0.0{port}" for port in want["published_ports"] if f"0.0.0.0{port}" in there}
            want["published_ports"] = tuple(sorted(every.get(port, port) for port in want["published_ports"]))
        return want

    def cost(self, change: Change, state: State) -> Effect:
        # The daemon takes 0 for "not given" when it updates, and refuses -1: these limits are never lifted live.
        if change.field == "networks" and (state.facts["shares_network"] or not self.declared["networks"]):
            return Effect.RECREATE
        lifted = change.field in ("memory", "cpus") and change.after == MAX
        if lifted or (change.field == "cpus" and state.facts["odd_quota"]):
            return Effect.RECREATE
        return change.effect

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Docker:
        return Docker(spec.get("docker_host") or DEFAULT)

    @classmethod
    def read_many(cls, engine: Docker, names: Iterable[str] | None) -> dict[str, State]:
        asked = None if names is None else {name + end for name in names for end in ("", NEXT, PREVIOUS)}
        found: dict[str, str] = {}
        for container in engine.containers(asked):
            name = next((name[1:] for name in container["Names"] if name.count("/") == 1), None)
            if name is None or (asked is not None and name not in asked):
                continue
            stray = name.endswith(NEXT) and REPLACES not in (container.get("Labels") or {})
            if not stray:  # somebody else's namesake
                found[name] = container["Id"]
        bases = {re.sub(f"({re.escape(NEXT)}|{re.escape(PREVIOUS)})$", "", name) for name in found}
        states = {name: cls._read(engine, name, found) for name in bases if _named(name)}
        return {name: state for name, state in states.items() if state is not None}

    @classmethod
    def _read(cls, engine: Docker, name: str, found: Mapping[str, str]) -> State | None:
        left = {name + end: found[name + end] for end in (NEXT, PREVIOUS) if name + end in found}
        document = engine.inspect(found[name]) if name in found else None
        old = engine.inspect(left[name + PREVIOUS]) if name + PREVIOUS in left else None
        if document is None:
            document, new = old, engine.inspect(left[name + NEXT]) if left else None
        elif old is not None:
            new = document
        else:
            old, new = document, engine.inspect(left[name + NEXT]) if left else None
        if document is None:
            return State(facts={"leftovers": left}) if left else None
        state = cls._observed(engine, document)
        if not left:
            return state
        # Whether it ran when the replacement began: it stopped after that.
        ran = bool(
            old
            and new
            and (old["State"]["Running"] or words.seconds(old["State"]["FinishedAt"]) > words.seconds(new["Created"]))
        )
        return replace(state, facts={**state.facts, "leftovers": left, "ran": ran})

    @classmethod
    def _observed(cls, engine: Docker, document: Document) -> State:
        named = engine.image(document["Config"]["Image"])
        still = named is not None and named["Id"] == document["Image"]
        image = words.image_config(named if still else engine.image(document["Image"]))
        config = {field.name: field.at.read(document, image) for field in cls.fields if field.at}
        if not still:
            config["image"] = document["Image"]
        status = document["State"]
        facts = {
            "id": document["Id"],
            "image_id": document["Image"],
            "pid": status.get("Pid") or None,
            "exit_code": None if status["Running"] else status.get("ExitCode"),
            "health": (status.get("Health") or {}).get("Status"),
            "auto_remove": bool(document["HostConfig"].get("AutoRemove")),
            "shares_network": docker_networks.shares(document["HostConfig"].get("NetworkMode")),
            "odd_quota": (document["HostConfig"].get("CpuQuota") or 0) < 0,
        }
        labels = words.own(document["Config"].get("Labels"), image.get("Labels"))
        word = "paused" if status.get("Paused") else "running" if words.runs(document) else "stopped"
        return State(word, config, facts=facts, owner=labels.get(OWNER))

    def observe(self, engine: Docker, state: State) -> State:
        if self.target == "absent":
            return state
        image = engine.image(self.spec["image"])
        if image is None:
            raise StrataError(
                "is not on this host",
                option="image",
                value=self.spec["image"],
                hint=f"Run docker pull {self.spec['image']} there, or docker load",
                entry=self.entry,
            )
        docker_places.refuse_missing(self, engine, state)
        config = words.image_config(image)
        wanted = {
            "id": image["Id"],
            "user": config.get("User") or "",
            "command": tuple(config.get("Cmd") or ()),
            "env": words.variables(config),
            "labels": dict(config.get("Labels") or {}),
        }
        return replace(state, facts={**state.facts, "wanted_image": wanted})

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        options = super().export(name, state)
        return {"state": "present", **options}  # one that is paused has no other word

    def explain(self, engine: Docker, state: State) -> str:
        stopped = self.target == "running" and state.status == "stopped"
        return self._last_words(engine, state.facts["id"], state.facts["exit_code"]) if stopped else ""

    @staticmethod
    def _last_words(engine: Docker, container: str, status: Any) -> str:
        return f"it left with status {status}, saying: {engine.last_words(container) or 'nothing'}"

    # What is to be done.

    def plan(self, state: State) -> Plan:
        left = state.facts.get("leftovers")
        if left and self.target is None and state.facts.get("ran") and state.status == "stopped":
            state = replace(state, status="running")  # as it was before somebody cut in
        plan = super().plan(state)
        if "recreate" in plan.steps and state.facts["auto_remove"]:
            raise StrataError(
                "was started to remove itself once it stops (--rm), so that there would be no way back",
                hint="Remove it first, or set recreate: never",
                entry=self.entry,
            )
        if not left:
            return plan
        steps = plan.steps if "remove" in plan.steps else ("recover", *plan.steps)
        told = Change("leftovers", sorted(left), None, Effect.REMOVE)
        return replace(plan, changes=(told, *plan.changes), steps=steps)

    def _body(self, base: dict[str, Any], plan: Plan) -> dict[str, Any]:
        body: dict[str, Any] = {"HostConfig": {}, **base}
        for name, value in plan.want.items():
            self.field(name).at.write(body, value)
        body["Image"] = self.spec["image"]
        words.without_shadowed(body)
        return body

    def create(self, engine: Docker, plan: Plan) -> None:
        docker_places.make(engine, self.name, self._body({"Labels": {OWNER: self.owner}}, plan))

    def update(self, engine: Docker, plan: Plan) -> None:
        values = plan.of(Layer.CONFIG)
        container = self._there(engine)
        body = words.update_body(values, container["HostConfig"])
        if body:
            engine.update(container["Id"], body)
        if "networks" in values:
            docker_places.connect(engine, container, plan)

    def start(self, engine: Docker, plan: Plan) -> None:
        engine.start(self.name)

    def stop(self, engine: Docker, plan: Plan) -> None:
        engine.stop(self.name)

    def unpause(self, engine: Docker, plan: Plan) -> None:
        engine.unpause(self.name)

    def remove(self, engine: Docker, plan: Plan) -> None:
        facts = plan.state.facts
        # What is being replaced goes first: it must not come back when this run is cut short.
        for container in [*facts.get("leftovers", {}).values(), facts["id"]]:
            engine.stop(container)
            engine.remove(container)

    def recreate(self, engine: Docker, plan: Plan) -> None:
        old = self._there(engine)
        base = words.carry(old, words.image_config(engine.image(old["Image"])))
        base["Labels"][REPLACES] = old["Id"]
        new = docker_places.make(engine, self.name + NEXT, self._body(base, plan))
        ran = words.runs(old)
        try:
            if ran:
                engine.stop(old["Id"])
            engine.rename(old["Id"], self.name + PREVIOUS)
            engine.rename(new, self.name)
        except StrataError:
            self._put_back(engine, new, old["Id"], ran)
            raise
        self._finish(engine, new, old["Id"], plan.target in self.busy, ran)

    def recover(self, engine: Docker, plan: Plan) -> None:
        """Finish what a run that was cut short began, or go back to what was before it."""
        left, ran = plan.state.facts["leftovers"], bool(plan.state.facts.get("ran"))
        anew = "recreate" in plan.steps
        up = plan.target in self.busy and not anew
        if self.name + NEXT in left:
            engine.remove(left[self.name + NEXT])
        current, old = engine.inspect(self.name), left.get(self.name + PREVIOUS)
        if current is not None and old is not None and (words.runs(current) or not anew):
            engine.stop(old)  # a daemon that was restarted meanwhile may have started it
            self._finish(engine, current["Id"], old, up, ran)
            return
        if old is not None:
            if current is not None:
                engine.remove(current["Id"])
            engine.rename(old, self.name)
        if up and ran:
            engine.start(self.name)

    def _finish(self, engine: Docker, new: str, old: str, up: bool, ran: bool) -> None:
        """Let the replacement prove itself, and only then part with what it replaces."""
        try:
            if up:
                engine.start(new)
                until(lambda: self._proved(engine, new), "the new container to prove itself", self._timeout)
        except StrataError as error:
            self._put_back(engine, new, old, ran)
            back = "is back and runs" if ran else "is back"
            raise StrataError(
                f"the new container did not come up, so the old one {back}: {error.message}",
                hint=error.hint,
                entry=self.entry,
            ) from None
        engine.remove(old)

    @property
    def _timeout(self) -> int:
        return int(self.spec.get("timeout", 60))

    def _proved(self, engine: Docker, container: str) -> bool:
        found = engine.inspect(container)
        state = found["State"] if found else {}
        if found is None or not state["Running"] or state["Restarting"] or found.get("RestartCount"):
            raise StrataError(self._last_words(engine, container, state.get("ExitCode")) if found else "it was removed")
        health = (state.get("Health") or {}).get("Status")
        if health == "unhealthy":
            raise StrataError("its health check fails")
        if health not in (None, "none"):
            return bool(health == "healthy")
        return time.time() - words.seconds(state["StartedAt"]) >= min(PROOF, self._timeout / 2)

    def _put_back(self, engine: Docker, new: str, old: str, ran: bool) -> None:
        engine.remove(new)
        found = engine.inspect(old)
        if found is not None and found["Name"] != f"/{self.name}":
            engine.rename(old, self.name)
        if ran:
            engine.start(old)

    def _there(self, engine: Docker) -> Document:
        found = engine.inspect(self.name)
        if found is None:
            raise StrataError("was removed meanwhile", hint="Run again", entry=self.entry)
        return found


def _named(name: str) -> bool:
    try:
        return bool(_parse_name(name))
    except ValueError:
        return False
