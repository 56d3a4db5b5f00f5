# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects of Compose on whichever engine: rendered, held against the labels of containers, and brought about."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from ..core import files
from ..core.errors import StrataError
from ..core.plan import Change, Effect, Layer, Plan, State
from ..core.resource import Resource, Thing
from ..engines import compose_project as project
from ..engines.compose import Compose, Source
from ..engines.docker import Document, container_name
from ..engines.docker_build import familiar
from . import compose_reading as reading
from .compose_fields import check, own_name
from .compose_reading import RUNS, Seen
from .compose_wants import Wanted, Weighing

_MAKES = frozenset({"create", "recreate", "update", "start"})
_UNMADE = frozenset({"orphans", "restart"})
"""What changes without anything being made."""
_HALTED = _UNMADE | {"state", "containers"}
"""The same, where what is there is only to stop."""


class ComposeProject(Resource):
    """One project. What the engine says of its parts is in Docker's words."""

    identity = "project_name"
    rank = 65
    family: str
    """What the kinds of the engine's images, networks and volumes are named by."""
    states = {
        "present": "running",
        "started": "running",
        "restarted": "running",
        "stopped": "stopped",
        "absent": "absent",
    }

    # What was declared.

    unnamed = False
    """It has the name that its files or its folder give it."""
    settling = False
    """It was just applied: what ended well since needn't run."""

    def check(self) -> None:
        check(self.spec)
        if "project_name" not in self.spec:
            self.unnamed = True
            self.spec["project_name"] = own_name(self.options)

    @classmethod
    def key(cls, options: Mapping[str, Any]) -> str:
        return super().key({**options, "project_name": options.get("project_name") or own_name(options)})

    def settled(self) -> Resource:
        once = {"state": ("restarted", "started"), "recreate": ("always", "auto")}
        calm = {option: word for option, (forced, word) in once.items() if self.options.get(option) == forced}
        settled = type(self)({**self.options, **calm}, owner=self.owner, applied=self.applied)
        settled.settling = True
        return settled

    def provides(self) -> list[Thing]:
        return [(self.kind, self.name)]

    def needs(self) -> list[Thing]:
        """What a definition names; what is in files, nobody knows before they are read."""
        definition = self.spec.get("definition") or {}
        services = (definition.get("services") or {}).items()
        images = [familiar(project.image_of(self.name, name, service or {})) for name, service in services]
        outside = [
            (f"{self.family}_{sort.removesuffix('s')}", str(one.get("name") or key))
            for sort in ("networks", "volumes")
            for key, one in (definition.get(sort) or {}).items()
            if one and one.get("external")
        ]
        return [*((f"{self.family}_image", image) for image in images), *outside]

    @property
    def told_late(self) -> bool:
        """Whether others of the same stack may make what is needed without anybody knowing before."""
        return bool(self.owner) and "definition" not in self.spec

    def settings(self, state: State) -> dict[str, Any]:
        wanted = state.document.wanted
        want: dict[str, Any] = {sort: dict(values) for sort, values in wanted.want.items()}
        if self.settling:
            want["containers"].update({name: wanted.have["containers"][name] for name in wanted.ended})
        if self.spec["remove_orphans"]:
            want["orphans"] = ()
        return want

    # What there is.

    @classmethod
    def read_many(cls, engine: Compose, names: Iterable[str] | None) -> dict[str, State]:
        return reading.read_many(engine, names)

    @classmethod
    def owned(cls, engine: Compose, owner: str) -> Iterable[str]:
        return reading.owned(engine, owner)

    def observe(self, engine: Compose, state: State) -> State:
        seen: Seen = state.document
        if self.target == "absent":
            return replace(state, config=self._what_goes(engine, seen))
        spec = {key: value for key, value in self.spec.items() if key != "project_name" or not self.unnamed}
        weighing = Weighing(engine, self.name, self._source(engine, state), spec, seen.containers)
        promised = {name for sort, name in self.promised if sort == f"{self.family}_image"}
        old = reading.applied_last(state)
        wanted = weighing.wanted(old, promised, self.told_late)
        config: dict[str, Any] = dict(wanted.have)
        for sort in ("networks", "volumes"):
            needed = project.used(wanted.model, sort, wanted.services)
            self._refuse_missing(seen, sort, needed)
            names = sorted(one["name"] for one in needed.values() if not one.get("external"))
            wanted.want[sort] = dict.fromkeys(names, "present")
            config[sort] = {name: "present" for name in names if name in seen.every[sort]}
            config[sort].update(dict.fromkeys(self._changed(seen, sort, needed, old), "as it was declared"))
        config["orphans"] = tuple(map(container_name, _orphans(seen, wanted)))
        mine = [one for name, some in seen.services.items() for one in some if name in wanted.services]
        runs = any(one["State"] in RUNS for one in mine)
        if self.target == "running":  # one that is to end, or to have no containers, is up without any that run
            runs = runs or (state.exists and wanted.ended == wanted.services)
        status = "running" if runs else "stopped" if state.exists else "absent"
        return replace(state, status=status, config=config, document=replace(seen, wanted=wanted))

    def _what_goes(self, engine: Compose, seen: Seen) -> dict[str, Any]:
        config: dict[str, Any] = {}
        if self.spec["remove_volumes"]:
            config["kept_volumes"] = seen.volumes
        if self.spec.get("remove_images"):
            local = self.spec["remove_images"] == "local"
            named = {(project.labels(one).get(project.SERVICE), familiar(one["Image"])) for one in seen.containers}
            asked = {image for service, image in named if not local or image == familiar(f"{self.name}-{service}")}
            found = {image: engine.image(image) for image in asked}
            gone = [image for image, one in found.items() if one is not None and one["Id"] not in seen.elsewhere]
            config["kept_images"] = tuple(sorted(gone))
        return config

    def _refuse_missing(self, seen: Seen, sort: str, needed: Mapping[str, Mapping[str, Any]]) -> None:
        """What is to be there already, and neither is nor is made before by the same stack."""
        single = sort.removesuffix("s")
        for key, one in needed.items():
            name = one.get("name", key)
            comes = name in seen.every[sort] or (f"{self.family}_{single}", name) in self.promised or self.told_late
            if one.get("external") and not comes:
                raise StrataError(
                    f"is external, and there is no {single} {name} on this host",
                    option=f"{sort}.{key}",
                    hint=f"Declare it before with {self.family}_{single}",
                )

    @staticmethod
    def _changed(seen: Seen, sort: str, needed: Mapping[str, Mapping[str, Any]], old: Mapping[str, Any]) -> list[str]:
        """The networks or volumes of which the project says something else than it did.

        Raises:
            StrataError: This Compose leaves them as they are, and says nothing (before 2.32).
        """
        last = old.get(sort) or {}
        changed = [key for key, one in needed.items() if key in last and (last[key] or {}) != one]
        changed = [key for key in changed if needed[key]["name"] in seen.every[sort]]
        for key in changed:
            if needed[key]["name"] not in seen.tracked:
                raise StrataError(
                    f"is there already, and this Compose doesn't change a {sort.removesuffix('s')}",
                    option=f"{sort}.{key}",
                    value=dict(needed[key]),
                    hint="Remove it first, with the containers that use it: the next run makes it as declared",
                )
        return [needed[key]["name"] for key in changed]

    def _source(self, engine: Compose, state: State) -> Source:
        return reading.source(self.spec, os.path.dirname(self._path(engine)), state)

    def _path(self, engine: Compose) -> str:
        """Where it is kept as it was applied."""
        return project.kept_at(engine.realm, self.owner, self.name)

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        return reading.export(name, state)

    def outcome(self, state: State) -> dict[str, Any]:
        containers = state.document.containers
        return {
            "containers": [reading.described(one) for one in containers],
            "images": sorted({one["Image"] for one in containers}),
        }

    def explain(self, engine: Compose, state: State) -> str:
        left = [one for one in state.document.containers if one["State"] in ("exited", "dead", "restarting")]
        left = [one for one in left if not project.ran_well(one)]
        said = [f"{container_name(one)} said {engine.last_words(one['Id']) or 'nothing'}" for one in left[:3]]
        return "; ".join(said) if self.target == "running" else ""

    # What is to be done.

    def plan(self, state: State) -> Plan:
        if self.target == "absent":
            return self._absence(state)
        plan = super().plan(state)
        steps = []
        if any(change.field == "orphans" for change in plan.changes):
            steps.append("tidy")
        halts = plan.target == "stopped" and state.document.wanted.counts
        unmade = _HALTED if halts else _UNMADE
        if _MAKES & set(plan.steps) and any(change.field not in unmade for change in plan.changes):
            steps.append("up")
        if "restart" in plan.steps:
            steps.append("restart")
        if plan.target == "stopped" and state.status == "running":
            steps.append("stop")
        return replace(plan, steps=tuple(steps))

    def _absence(self, state: State) -> Plan:
        gone = [Change("state", state.status, "absent", Effect.REMOVE)] if state.exists else []
        for name, before in state.config.items():
            gone += self.field(name).changes(before, (), Effect.REMOVE, Layer.CONFIG)
        return Plan(tuple(gone), steps=("remove",) if gone else (), state=state)

    def _forced(self, steps: tuple[str, ...], target: str) -> list[Change]:
        if self.spec["state"] == "restarted" and not {"recreate", "start"} & set(steps):
            return [Change("restart", None, "always", Effect.RESTART)]
        if self.spec["recreate"] == "always" and "recreate" not in steps:
            return [Change("recreate", None, "always", Effect.RECREATE)]
        return []

    def up(self, engine: Compose, plan: Plan) -> None:
        seen: Seen = plan.state.document
        for one, name in project.cut_short(seen.containers):
            if name is None:
                engine.remove(one["Id"])
            else:
                engine.rename(one["Id"], name)
        for service, some in seen.services.items():
            for one in some if service in plan.state.document.wanted.services else ():
                if one["State"] == "paused":  # Compose would start it, which the daemon refuses
                    engine.unpause(one["Id"])
        self._bring(engine, plan, ["up", "--detach", *self._words(plan), *self.spec.get("services", ())])

    def _words(self, plan: Plan) -> list[str]:
        spec = self.spec
        said = {
            "--force-recreate": spec["recreate"] == "always",
            "--no-recreate": spec["recreate"] == "never",
            "--renew-anon-volumes": spec["renew_anon_volumes"],
            "--no-deps": not spec["dependencies"],
            "--build": plan.state.document.wanted.builds,
            "--no-start": plan.target == "stopped",
            "--wait": spec["wait"] and plan.target == "running",
        }
        given = {
            "--pull": None if spec["pull"] == "policy" else spec["pull"],
            "--timeout": spec.get("timeout"),
            "--wait-timeout": spec.get("wait_timeout") if said["--wait"] else None,
        }
        return [
            *(word for word, holds in said.items() if holds),
            *(f"{word}={value}" for word, value in given.items() if value is not None),
            *(f"--scale={name}={number}" for name, number in spec.get("scale", {}).items()),
        ]

    def _bring(self, engine: Compose, plan: Plan, words: Sequence[str]) -> None:
        """Have Compose do something with what was planned, and nothing that came into its files since."""
        text = json.dumps(plan.state.document.wanted.model, indent=1, sort_keys=True) + "\n"
        path = self._path(engine)
        if files.read(path) != text:
            files.write(path, text, 0o600)
        given = self._source(engine, plan.state)
        kept = Source(given.folder, (path,), given.env_files)
        engine.bring(self.name, kept, self.spec.get("profiles", ()), words)

    def stop(self, engine: Compose, plan: Plan) -> None:
        self._halt(engine, plan, "stop")

    def restart(self, engine: Compose, plan: Plan) -> None:
        self._halt(engine, plan, "restart")

    def _halt(self, engine: Compose, plan: Plan, word: str) -> None:
        patience = [f"--timeout={self.spec['timeout']}"] if "timeout" in self.spec else []
        self._bring(engine, plan, [word, *patience, *sorted(plan.state.document.wanted.services)])

    def tidy(self, engine: Compose, plan: Plan) -> None:
        self._take_away(engine, _orphans(plan.state.document, plan.state.document.wanted), volumes=False)

    def remove(self, engine: Compose, plan: Plan) -> None:
        seen: Seen = plan.state.document
        self._take_away(engine, seen.containers, self.spec["remove_volumes"])
        for network in seen.networks:
            engine.remove_network(network)
        for volume in plan.state.config.get("kept_volumes", ()):
            engine.remove_volume(volume)
        for image in plan.state.config.get("kept_images", ()):
            engine.remove_image(image, force=False)
        for path in project.keepers(engine.realm, self.name):
            files.remove(path)

    def _take_away(self, engine: Compose, containers: Iterable[Document], volumes: bool) -> None:
        """Stop and remove containers, none before those that depend on it."""

        def away(container: Document) -> None:
            if container["State"] in RUNS:
                engine.stop(container["Id"], self.spec.get("timeout"))
            engine.remove(container["Id"], volumes)

        with ThreadPoolExecutor(max_workers=8) as pool:
            for some in project.by_dependence(containers):
                list(pool.map(away, some))


def _orphans(seen: Seen, wanted: Wanted) -> list[Document]:
    """The containers of services that the project doesn't have."""
    return [one for name, some in seen.services.items() for one in some if name not in wanted.model["services"]]
