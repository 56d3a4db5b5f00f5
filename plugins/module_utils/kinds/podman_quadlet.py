# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quadlets of Podman: what systemd runs, root's or a plain user's, at boot and without anybody logged in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import policy
from ..core.codec import BOOL, NAME, TEXT, Codec, parse_line
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Plan, State
from ..core.resource import Resource, Thing
from ..engines import podman_service, quadlet
from ..engines.quadlet import SORTS, Quadlets
from . import quadlet_fields

_BOOT, _AT_BOOT = "Install.WantedBy", ("default.target",)
_NAME = "Container.ContainerName"
_STARTED_AT_BOOT = ("container", "pod", "kube")
_RUNS = ("active", "reloading", "activating")

Lines = dict[str, Any]
"""What a quadlet assigns, by ``Section.Key``: its values in order, or None for what is to be gone."""


def _values(name: str, given: Any) -> tuple[str, ...] | None:
    if not re.fullmatch(r"[A-Za-z0-9-]+\.[A-Za-z0-9-]+", name) or name.startswith(f"{quadlet.NOTES}."):
        raise ValueError(f"hold {name!r}, which is no section and key of a quadlet")
    if given is None:
        return None
    items = given if isinstance(given, (list, tuple)) else [given]
    texts = tuple(str(one).lower() if isinstance(one, bool) else parse_line(one).strip() for one in items)
    if any(text.endswith("\\") for text in texts):
        raise ValueError(f"hold {name} with a backslash at its end, which would swallow the next line")
    return texts


def _parse_settings(value: Mapping[str, Any]) -> Lines:
    """``{Service: {Restart: always}}`` to ``{"Service.Restart": ("always",)}``; a list repeats a key."""
    flat: Lines = {}
    for section, keys in value.items():
        if not isinstance(keys, Mapping):
            raise ValueError("are sections with their keys: write {Service: {Restart: always}}")
        flat.update({f"{section}.{key}": _values(f"{section}.{key}", given) for key, given in keys.items()})
    return flat


def _show_settings(flat: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for name, texts in flat.items():
        section, _dot, key = name.partition(".")
        nested.setdefault(section, {})[key] = texts[0] if texts and len(texts) == 1 else texts and list(texts)
    return nested


def _section(sort: str) -> Codec:
    """The keys of a sort's own section."""
    section = SORTS[sort][0]

    def parse(value: Mapping[str, Any]) -> Lines:
        return {f"{section}.{key}": _values(f"{section}.{key}", given) for key, given in value.items()}

    return Codec(parse, "dict", lambda flat: _show_settings(flat).get(section, {}))


SETTINGS = Codec(_parse_settings, "dict", _show_settings)
CONTENT = Codec(dict, "dict", dict, partial=True)
OTHERS = tuple(sort for sort in SORTS if sort != "container")


def _file(options: Mapping[str, Any]) -> str:
    """The name of the file that options are about; one that is given with its sort is one already."""
    name = str(options["name"])
    if name.rpartition(".")[2] in SORTS and name.rpartition(".")[0]:
        return name
    given = (sort for sort in SORTS if options.get(sort) is not None)
    return f"{name}.{options.get('sort') or next(given, 'container')}"


def _named(name: str, there: Iterable[str]) -> list[str]:
    """The files that a name stands for: its own, or those of every sort."""
    return [file for file in there if name in (file, file.rpartition(".")[0])]


class PodmanQuadlet(Resource):
    kind = "podman_quadlet"
    rank = 60
    layered = True
    states = {"started": "running", "stopped": "stopped", "present": None, "absent": "absent"}
    fields = (
        policy.name(),
        policy.state("started", "stopped", "present", "absent"),
        policy.restart(),
        policy.timeout(120),
        Field("user_scope", NAME, role=Role.CONNECT),
        Field("sort", TEXT, role=Role.POLICY, choices=tuple(SORTS)),
        Field("enabled", BOOL, role=Role.POLICY, given=True),
        Field("linger", BOOL, role=Role.POLICY, given=True),
        Field("container", quadlet_fields.ROW, role=Role.POLICY),
        *(Field(sort, _section(sort), role=Role.POLICY) for sort in OTHERS),
        Field("settings", SETTINGS, role=Role.POLICY),
        Field("content", CONTENT, effect=Effect.RESTART, role=Role.DERIVED),
        Field("outdated", BOOL, effect=Effect.RESTART, default=False, role=Role.DERIVED),
    )

    # What was declared.

    def check(self) -> None:
        given = [sort for sort in SORTS if sort in self.spec]
        if len(given) > 1:
            raise StrataError(f"can't go with {given[0]}: one quadlet is of one sort", option=given[1])
        if given and self.spec.get("sort", given[0]) != given[0]:
            raise StrataError(f"can't go with sort: {self.spec['sort']}", option=given[0])
        if self.target != "absent" and self._lines().keys() <= {_BOOT}:
            raise StrataError("is needed, or another sort of quadlet", option="container")

    @property
    def name(self) -> str:
        """The name of its file: those of two sorts are two quadlets."""
        return _file(self.spec)

    @property
    def called(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def sort(self) -> str:
        return self.name.rpartition(".")[2]

    @classmethod
    def key(cls, options: Mapping[str, Any]) -> str:
        return super().key({**options, "name": _file(options)})

    def provides(self) -> list[Thing]:
        return [(self.kind, self.name)]

    def needs(self) -> list[Thing]:
        image = self.spec.get("container", {}).get("image")
        pod = self.spec.get("container", {}).get("pod")
        needed = [("podman_image", image)] if image else []
        return [*needed, *([(self.kind, f"{pod}.pod")] if pod else [])]

    def _lines(self) -> Lines:
        """All that its file is to assign."""
        lines: Lines = {}
        if "container" in self.spec:
            lines = quadlet_fields.lines(self.spec["container"])
            if "Container.HealthCmd" in lines:
                lines["Container.Notify"] = ("healthy",)  # it has started once it is healthy
        for sort in OTHERS:
            lines.update(self.spec.get(sort, {}))
        lines.update(self.spec.get("settings", {}))
        if self.spec["enabled"] and self.sort in _STARTED_AT_BOOT:
            lines.setdefault(_BOOT, _AT_BOOT)
        return {name: texts for name, texts in lines.items() if texts is not None}

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Quadlets:
        return Quadlets(spec.get("user_scope"))

    @classmethod
    def read_many(cls, engine: Quadlets, names: Iterable[str] | None) -> dict[str, State]:
        there = {f"{name}.{sort}": (name, sort) for name, sorts in engine.names().items() for sort in sorts}
        asked = there if names is None else {one: there[one] for name in names for one in _named(name, there)}
        shown = engine.show(quadlet.units(asked.values()))
        return {name: cls._read(engine, *place, shown) for name, place in asked.items()}

    @classmethod
    def _read(cls, engine: Quadlets, name: str, sort: str, shown: Mapping[str, Mapping[str, str]]) -> State:
        unit = quadlet.service(name, sort)
        said = shown.get(unit, {})
        content, owner = quadlet.read(engine.text(name, sort) or "")
        runs = said.get("ActiveState") in _RUNS
        facts = {
            "path": engine.path(name, sort),
            "service": unit,
            "active": said.get("ActiveState"),
            "sub": said.get("SubState"),
            "result": said.get("Result"),
            "pid": int(said.get("MainPID") or 0),
        }
        live = {"outdated": quadlet.started(said) < engine.written(name, sort)} if runs else None
        status = "running" if runs else "stopped"
        return State(status, {"content": content, "outdated": False}, live, facts, owner)

    def observe(self, engine: Quadlets, state: State) -> State:
        if self.target == "absent":
            return state
        if state.exists and state.owner is None:
            raise StrataError(
                f"{state.facts['path']} was written by somebody else", hint="Remove it, or give this one another name"
            )
        lines = self._lines()
        if state.config.get("content") != lines:
            engine.check(self.called, self.sort, self._text(state))
        if self.sort == "container":
            self._claim(engine, state, lines)
        return replace(state, facts={**state.facts, "lingers": engine.user.lingers})

    def _claim(self, engine: Quadlets, state: State, lines: Lines) -> None:
        """Refuse the name of a container that isn't of this service, which would replace it as it starts."""
        usual = (f"systemd-{self.called}",)  # podman-systemd.unit(5), ContainerName=
        name = lines.get(_NAME, usual)
        known = state.exists and state.config["content"].get(_NAME, usual) == name
        if known and (state.status == self.target or self.target != "running"):
            return
        unit = quadlet.service(self.called, self.sort)
        if engine.starter(name[-1]) not in (None, unit):
            raise StrataError(
                f"there is a container {name[-1]} that {unit} hasn't started, and would replace",
                hint="Remove it, or give this one another name by settings: {Container: {ContainerName: …}}",
            )

    def _text(self, state: State) -> str:
        return quadlet.render(self._lines(), self.owner if state.owner is None else state.owner)

    def settings(self, state: State) -> dict[str, Any]:
        gone = dict.fromkeys(state.config.get("content", {}))
        return {"content": {**gone, **self._lines()}, "outdated": False}

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        plain, _dot, sort = name.rpartition(".")
        shown = {"name": plain, "sort": sort, "settings": _show_settings(state.config["content"])}
        return {**shown, "state": "started" if state.status == "running" else "stopped"}

    def explain(self, engine: Quadlets, state: State) -> str:
        return engine.last_words(quadlet.service(self.called, self.sort))

    # What is to be done.

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        outlives = plan.target == "running" and self.spec["linger"] and not state.facts.get("lingers", True)
        if not outlives:
            return plan
        change = Change("linger", False, True, Effect.LIVE)
        return replace(plan, changes=(change, *plan.changes), steps=("outlive", *plan.steps))

    def outlive(self, engine: Quadlets, plan: Plan) -> None:
        """Let it go on after the last login session of its user."""
        podman_service.enable_linger(engine.user)

    def create(self, engine: Quadlets, plan: Plan) -> None:
        engine.write(self.called, self.sort, self._text(plan.state))

    configure = create

    def _do(self, engine: Quadlets, verb: str) -> None:
        unit = quadlet.service(self.called, self.sort)
        try:
            # A run that was cut short may have left a file that systemd hasn't read.
            engine.reload()
            engine.do(verb, unit, self.spec["timeout"])
        except StrataError as error:
            said = engine.last_words(unit)
            raise StrataError(f"{error.message}{f'; its last words: {said}' if said else ''}") from None

    def start(self, engine: Quadlets, plan: Plan) -> None:
        # What runs although its file was gone doesn't run from this one.
        self._do(engine, "restart")

    def stop(self, engine: Quadlets, plan: Plan) -> None:
        self._do(engine, "stop")

    def restart(self, engine: Quadlets, plan: Plan) -> None:
        self._do(engine, "restart")

    def remove(self, engine: Quadlets, plan: Plan) -> None:
        if plan.state.status == "running":
            self._do(engine, "stop")
        engine.drop(self.called, self.sort)
