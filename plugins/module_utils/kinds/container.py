# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of whichever engine speaks Docker's words: how they converge. A kind adds its engine and its options."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Layer, Plan, State
from ..core.resource import Resource, Thing
from ..engines import docker_carry, docker_limits, docker_values
from ..engines.docker import OURS, OWNER, Docker
from ..engines.docker_at import At
from ..engines.docker_build import familiar
from ..engines.docker_images import DockerImages
from . import docker_hardening, docker_places, docker_reading, docker_wants
from .docker_fields import IGNORE
from .docker_replacing import Replacing, ailing, is_ill, last_words

_LIFTED_LIVE = ("pids_limit", "memory_swap", "restart_policy", "restart_retries")
_QUOTA = ("cpu_quota", "cpu_period")


class Container(Replacing):
    """One container.

    Class attributes:
        engine: The engine, as in the names of its kinds: ``docker`` for ``docker_container``.
        usual: The network on which a container is where nobody said otherwise.
        reference: The name of an image as the engine lists it.
    """

    engine: ClassVar[str]
    usual: ClassVar[str] = "bridge"
    reference = staticmethod(familiar)
    rank = 60
    states = {"started": "running", "present": None, "healthy": "running", "stopped": "stopped", "absent": "absent"}
    moves = {
        ("stopped", "running"): ("start",),
        ("running", "stopped"): ("stop",),
        ("paused", "stopped"): ("stop",),
        ("paused", "running"): ("unpause",),
        ("stopped", "paused"): ("start", "pause"),
        ("running", "paused"): ("pause",),
        # One that is waited for until it has left.
        ("stopped", "finished"): ("start", "run"),
        ("running", "finished"): ("run",),
        ("paused", "finished"): ("unpause", "run"),
    }
    busy = frozenset({"running", "paused"})

    # What a kind fills in.

    def refuse(self, engine: Any, state: State) -> None:
        """Refuse options that this engine, or its host, would not honour.

        Raises:
            StrataError: It names the option, the engine and its version.
        """

    def as_told(self, want: dict[str, Any], state: State) -> dict[str, Any]:
        """Wanted values in the words in which the engine tells of them, where it has others than Docker. No I/O."""
        return want

    @classmethod
    def places(cls) -> dict[str, At]:
        """Where each option lives in what the engine says of a container."""
        return {field.name: field.at for field in cls.fields if field.at}

    # What was declared.

    before: str = ""
    """What one that is waited for had written already."""
    done: Mapping[str, Any] = {}
    """What it left with."""

    def check(self) -> None:
        docker_wants.complete(self.spec, self.options)
        if self.spec["state"] == "present" and "image" not in self.spec:
            raise StrataError("is required by state: present", option="image")
        if self.spec["state"] == "stopped" and self.spec.get("auto_remove"):
            raise StrataError("can't go with state: stopped: it would be removed", option="auto_remove")
        docker_wants.check(self.spec, self.settings_of())
        docker_hardening.check(self.spec, self.options)

    @classmethod
    def settings_of(cls) -> list[Field]:
        """The options that a container has, not those that say how to converge."""
        return [field for field in cls.fields if field.role is Role.SETTING]

    @property
    def target(self) -> str | None:
        status = super().target
        if status == "running" and self.spec.get("detach") is False:
            return "finished"
        return "paused" if status == "running" and self.spec.get("paused") else status

    def settled(self) -> Resource:
        once = {"recreate": "if_needed", "restart": "never"}
        calm = {**self.options, **{key: word for key, word in once.items() if self.spec[key] == "always"}}
        if self.target == "finished":
            calm["state"] = "absent" if self.spec["cleanup"] else "stopped"
        return type(self)(calm, owner=self.owner, applied=self.applied)

    def provides(self) -> list[Thing]:
        return [(self.kind, self.name)]

    def needs(self) -> list[Thing]:
        image = [(f"{self.engine}_image", self.reference(self.spec["image"]))] if "image" in self.spec else []
        return [*image, *super().needs(), *docker_places.needed(self.spec, self.engine)]

    def files(self) -> Iterable[tuple[str, str]]:
        return [("env_file", self.spec["env_file"])] if "env_file" in self.spec else []

    def settings(self, state: State) -> dict[str, Any]:
        image, facts = state.facts["wanted_image"], state.facts
        defaults = {field.name: field.default for field in self.fields}
        profile = docker_hardening.values(self.spec, image["user"], state.config, defaults)
        before = docker_hardening.values(self.applied, image["user"], state.config, defaults)
        dropped = {name: defaults[name] for name in before if name not in docker_hardening.LEFT}
        want = {**dropped, **super().settings(state)}
        want.update({name: value for name, value in profile.items() if name not in self.spec})
        if "security_opts" in profile:
            want["security_opts"] = tuple(sorted({*profile["security_opts"], *want["security_opts"]}))
        if "env_file" in self.spec or "env_file" in self.applied:
            want["env"] = {**facts.get("env_file", {}), **self.spec.get("env", {})}
        want.update({name: value for name, value in facts.get("references", {}).items() if name in want})
        docker_wants.with_mode(want, self.spec, state.config, self.usual)
        words = docker_wants.words_of(self.spec, self.settings_of())
        self._refuse_labels(want, words, image)
        want = docker_wants.beside(want, self.spec, image, state.config, facts.get("image_id"))
        want = self.as_told(want, state)
        if state.status == "stopped" and not facts.get("anew"):
            docker_wants.without_unknown(want, state.config)
        if facts.get("anew"):  # there is nothing to be saved by ignoring it
            words = {name: word for name, word in words.items() if word != IGNORE}
        if state.exists and words:
            want = docker_wants.leniently(want, state.config, words, self.settings_of(), profile)
        return want

    def _refuse_labels(self, want: Mapping[str, Any], words: Mapping[str, str], image: Mapping[str, Any]) -> None:
        others = docker_wants.labels_besides(words, want, image)
        if others and self.spec["image_label_mismatch"] == "fail":
            raise StrataError(
                f"are to be exactly those, and the image has {', '.join(others)}",
                option="labels",
                hint="Declare them, too, or set image_label_mismatch: ignore",
            )

    def cost(self, change: Change, state: State) -> Effect:
        if change.field == "networks":
            # A MAC address that comes with a connection to a running container is not taken (seen with Docker 26.1).
            fixed = bool((change.after or {}).get("mac_address"))
            none = state.facts["shares_network"] or not self.declared["networks"]
            return Effect.RECREATE if fixed or none else change.effect
        field = self.field(change.field)
        if change.after == field.show(field.default) and change.field not in _LIFTED_LIVE:
            return Effect.RECREATE  # the daemon takes 0 and "" for "not given" when it updates
        # The daemon doesn't mix the two ways to limit cpu time.
        mixed = (change.field == "cpus" and state.facts["odd_quota"]) or (
            change.field in _QUOTA and state.facts["counts_cpus"]
        )
        return Effect.RECREATE if mixed else change.effect

    # What there is.

    @classmethod
    def read_many(cls, engine: DockerImages, names: Iterable[str] | None) -> dict[str, State]:
        return docker_reading.read_many(engine, names, cls.places())

    def observe(self, engine: Any, state: State) -> State:
        if self.spec["state"] == "absent":
            return state
        self.refuse(engine, state)
        docker_places.refuse_missing(self, self.engine, engine, state)
        facts = {
            "wanted_image": docker_reading.wanted_image(
                engine, self.spec, state, self._named, self.places(), self._promised_image
            ),
            "references": docker_reading.references(engine, self.spec),
            "env_file": self._variables(),
        }
        return replace(state, facts={**state.facts, **facts})

    @property
    def _named(self) -> str | None:
        return self.reference(self.spec["image"]) if "image" in self.spec else None

    @property
    def _promised_image(self) -> bool:
        return any(sort == f"{self.engine}_image" for sort, _name in self.promised)

    def _variables(self) -> dict[str, str]:
        path = self.spec.get("env_file")
        if path is None:
            return {}
        where = {"option": "env_file", "value": path}
        try:
            with open(os.path.realpath(path), encoding="utf-8") as file:
                return docker_values.env_file(file.read())
        except OSError as error:
            raise StrataError(f"can't be read: {error.strerror}", **where) from None
        except ValueError as error:
            raise StrataError(str(error), **where) from None

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        options = super().export(name, state)
        for row in options.get("networks", ()):
            row.pop("mac_address", None)  # whether somebody chose it, nobody knows
        if "cpu_quota" in options:
            options.pop("cpus", None)  # the same, in other words
        paused = {"state": "started", "paused": True} if state.status == "paused" else {}
        return {**options, **paused}

    @classmethod
    def reached(cls, engine: DockerImages, name: str, state: State) -> dict[str, Any]:
        document = state.document or {}
        networks = (document.get("NetworkSettings") or {}).get("Networks") or {}
        addresses = [place.get(key) for place in networks.values() for key in ("IPAddress", "GlobalIPv6Address")]
        return {
            "addresses": [address for address in addresses if address],
            "networks": sorted(networks),
            "labels": {key: value for key, value in state.config["labels"].items() if not key.startswith(OURS)},
        }

    def explain(self, engine: DockerImages, state: State) -> str:
        if not state.exists or self.target != "running":
            return ""
        if state.status == "stopped":
            return last_words(engine, state.facts["id"], state.facts["exit_code"])
        return ailing(state.document) if is_ill(state) else ""

    def outcome(self, state: State) -> dict[str, Any]:
        output = {"Output": self.done["output"]} if self.done else {}
        status = {"status": self.done["status"]} if self.done else {}
        return {"container": {**(state.document or {}), **output}, **status}

    # What is to be done.

    def plan(self, state: State) -> Plan:
        left = state.facts.get("leftovers")
        if left and self.target is None and state.facts.get("ran") and state.status == "stopped":
            state = replace(state, status="running")  # as it was before somebody cut in
        plan = super().plan(state)
        if "recreate" in plan.steps and not state.facts.get("anew"):
            # A new container is as it is declared, also where an old one needn't be.
            return self.plan(replace(state, facts={**state.facts, "anew": True}))
        if "recreate" in plan.steps and state.facts["auto_remove"]:
            raise StrataError(
                "was started to remove itself once it stops (--rm), so that there would be no way back",
                hint="Remove it first, or set recreate: never",
            )
        plan = self._with_more_steps(plan, state)
        if not left:
            return plan
        steps = plan.steps if "remove" in plan.steps else ("recover", *plan.steps)
        told = Change("leftovers", sorted(left), None, Effect.REMOVE)
        return replace(plan, changes=(told, *plan.changes), steps=steps)

    def _with_more_steps(self, plan: Plan, state: State) -> Plan:
        steps, changes = plan.steps, plan.changes
        if "recreate" in steps:  # it leads to the status that is asked for by itself
            steps = ("recreate", "start", "run") if plan.target == "finished" else ("recreate",)
        pulled = bool({"create", "recreate"} & set(steps)) and state.facts["wanted_image"]["id"] is None
        if self.spec["state"] == "healthy" and plan.target == "running":
            fresh = {"create", "recreate", "start", "restart", "unpause"} & set(steps)
            if is_ill(state) and not fresh:
                changes = (*changes, Change("health", state.facts["health"], "healthy", Effect.LIVE))
            if is_ill(state) or fresh:
                steps = (*steps, "prove")
        return replace(plan, steps=("pull", *steps) if pulled else steps, changes=changes)

    def _forced(self, steps: tuple[str, ...], target: str) -> list[Change]:
        if self.spec["recreate"] == "always" and "recreate" not in steps:
            return [Change("recreate", None, "always", Effect.RECREATE)]
        return super()._forced(steps, target)

    def settled_on(self, engine: DockerImages, plan: Plan) -> Plan:
        if plan.state.facts["wanted_image"]["id"] is not None:
            return plan
        # The name stands for another image now, in what is there, too.
        state = self.read_many(engine, [self.name]).get(self.name, plan.state)
        state = self.observe(engine, state)
        facts = {"anew": plan.state.facts.get("anew"), "leftovers": None}
        return self.plan(replace(state, facts={**state.facts, **facts}))

    def body(self, base: dict[str, Any], plan: Plan) -> dict[str, Any]:
        body: dict[str, Any] = {"HostConfig": {}, **base}
        for field in self.fields:
            if field.name in plan.want and field.at:
                field.at.write(body, plan.want[field.name])
        body["Image"] = self.spec.get("image") or plan.state.config["image"]
        docker_carry.finish(body, self.mounted())
        return body

    def mounted(self) -> dict[str, str]:
        """The paths at which something is declared to be mounted, and the option that holds it in a request."""
        return {target: option for option, target in docker_wants.targets(self.spec)}

    def pull(self, engine: DockerImages, plan: Plan) -> None:
        reference = self.reference(self.spec["image"])
        engine.forget_images()
        # Another resource of the same stack may have made it meanwhile.
        if self.spec["pull"] == "always" or engine.image(reference) is None:
            engine.pull(reference, self.spec.get("platform"))
            engine.forget_images()

    def create(self, engine: DockerImages, plan: Plan) -> None:
        if plan.state.facts.get("removing"):
            engine.gone(plan.state.facts["removing"], self.spec.get("removal_wait_timeout", self.patience))
        self.make(engine, self.name, self.body({"Labels": {OWNER: self.owner}}, self.settled_on(engine, plan)))

    def update(self, engine: DockerImages, plan: Plan) -> None:
        values = plan.of(Layer.CONFIG)
        container = self.there(engine)
        if "memory" in values and "memory_swap" in plan.want:
            values["memory_swap"] = plan.want["memory_swap"]  # else it would move along
        body = docker_limits.update_body(values, container["HostConfig"])
        if body:
            docker_places.refuse_left_out(engine, engine.update(container["Id"], body))
        if "networks" in values:
            docker_places.connect(engine, container, plan)

    def start(self, engine: DockerImages, plan: Plan) -> None:
        if plan.target == "finished":
            # No time tells its runs apart: the daemon reads what a program wrote in its own time, before and after the
            # moments at which it says that the program started and ended.
            self.before = engine.logs(self.name)
        engine.start(self.name)

    def stop(self, engine: DockerImages, plan: Plan) -> None:
        self.halt(engine, self.name)

    def pause(self, engine: DockerImages, plan: Plan) -> None:
        engine.pause(self.name)

    def unpause(self, engine: DockerImages, plan: Plan) -> None:
        engine.unpause(self.name)

    def run(self, engine: DockerImages, plan: Plan) -> None:
        """Wait until it has left, and keep what it said."""
        document = self.there(engine)
        status = engine.wait(document["Id"])
        vanishes = document["HostConfig"].get("AutoRemove")
        self.done = {"status": status, "output": "" if vanishes else engine.logs(document["Id"])[len(self.before) :]}
        if self.spec["cleanup"]:
            engine.remove(document["Id"])
        if status:
            said = self.done["output"].strip() or "nothing"
            raise StrataError(f"it left with status {status}, saying: {said}")

    def remove(self, engine: Docker, plan: Plan) -> None:
        facts = plan.state.facts
        # What is being replaced goes first: it must not come back when this run is cut short.
        for container in [*facts.get("leftovers", {}).values(), facts["id"]]:
            self.halt(engine, container)
            self.discard(engine, container)
