# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""LXC containers: a configuration file beside what runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..core import limits, policy
from ..core.codec import LINE, MAC, MAX, PATH, TEXTS, Codec, parse_memory, parse_pids
from ..core.errors import StrataError
from ..core.field import Field, Role, table
from ..core.plan import Effect, Layer, Plan, State
from ..core.resource import Resource
from ..core.waiting import until
from ..engines import cgroupfs
from ..engines.lxc import DEFAULT_PATH, Lxc, Running, inside, made_with
from ..engines.lxc_config import Config, repeated

OWNER = "# strata.virt: owner="
MAKING = "# strata.virt: being made, owner="
"""It stands in the configuration from lxc-create on until ours is in place: what has it is half-made, and ours."""

CAP_DROP = "lxc.cap.drop"
ROOTFS = "lxc.rootfs.path"
HALF_MADE = "half-made"


@dataclass(frozen=True)
class Limit:
    """A limit: a key ``lxc.cgroup2.FILE``, and the same file of the running container's cgroup."""

    file: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str

    @property
    def key(self) -> str:
        return f"lxc.cgroup2.{self.file}"


def _parse_capability(value: Any) -> str:
    text = str(value).lower()
    text = text[4:] if text.startswith("cap_") else text
    if not re.fullmatch(r"[a-z_]+", text):
        raise ValueError(f"{value!r} is no capability: write sys_module, or CAP_SYS_MODULE")
    return text


def _value(given: Any) -> str:
    """A value as LXC spells it: switches are 0 and 1."""
    return str(int(given)) if isinstance(given, bool) else str(given).strip()


def _parse_config(value: Mapping[Any, Any]) -> dict[str, str | None]:
    """Keys as LXC spells them. Lists are for keys that may be repeated; None and "" take a key away."""
    settings: dict[str, str | None] = {}
    for key, given in value.items():
        if not re.fullmatch(r"lxc\.[A-Za-z0-9_.-]+", str(key)):
            raise ValueError(f"{key!r} is no key of LXC: they begin with 'lxc.'")
        if str(key).startswith("lxc.cgroup."):
            raise ValueError(f"{key!r} is of cgroup v1: write lxc.cgroup2.{str(key)[11:]}")
        lines = given if isinstance(given, (list, tuple)) else [given]
        texts = [text for line in lines if line is not None for text in _value(line).split("\n")]
        if len(texts) > 1 and not repeated(str(key)):
            raise ValueError(f"{key!r} has one value only")
        settings[str(key)] = "\n".join(texts) or None
    return settings


def _template(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*|/[\w./+-]+", text):
        raise ValueError("is neither a template's name nor an absolute path")
    return text


CAPABILITIES = Codec(lambda names: tuple(sorted({_parse_capability(one) for one in names})), "list", list, "str")
INTERFACE = (
    Field("type", LINE, required=True, choices=("veth", "macvlan", "ipvlan", "phys", "none", "empty")),
    Field("link", LINE, default=""),
    Field("name", LINE, default=""),
    Field("hwaddr", MAC, default=""),
    Field("flags", LINE, default="", given="up"),
)


@dataclass(frozen=True)
class Container(State):
    """``defaults``: what this container has of what nobody declared, by field name."""

    defaults: Mapping[str, Any] = field(default_factory=dict)


class LxcContainer(Resource):
    kind = "lxc_container"
    rank = 60
    layered = True
    fields = (
        policy.name(),
        policy.state("started", "present", "stopped", "frozen", "absent"),
        policy.restart(),
        policy.timeout(60),
        Field("lxc_path", PATH, role=Role.CONNECT, given=DEFAULT_PATH),
        Field("template", Codec(_template), role=Role.POLICY),
        Field("template_options", TEXTS, role=Role.POLICY),
        limits.memory(Limit("memory.max", parse_memory)),
        limits.cpus(Limit("cpu.max", cgroupfs.read_cpu_max, cgroupfs.write_cpu_max)),
        limits.pids_limit(Limit("pids.max", parse_pids)),
        Field("networks", table(*INTERFACE), effect=Effect.RESTART),
        Field("cap_drop", CAPABILITIES, effect=Effect.RESTART),
        Field("config", Codec(_parse_config, "dict", dict, partial=True), effect=Effect.RESTART),
    )
    states = {
        "started": "running",
        "present": None,
        "stopped": "stopped",
        "frozen": "frozen",
        "absent": "absent",
    }
    moves = {
        ("stopped", "running"): ("start",),
        ("stopped", "frozen"): ("start", "freeze"),
        ("running", "stopped"): ("stop",),
        ("running", "frozen"): ("freeze",),
        ("frozen", "running"): ("thaw",),
        ("frozen", "stopped"): ("stop",),
    }
    busy = frozenset({"running", "frozen"})

    def check(self) -> None:
        for key in self.spec.get("config", {}):
            typed = _typed(key)
            if typed in self.spec:
                raise StrataError(
                    f"sets what the option {typed} sets, too", option="config", value=key, hint="Give one of them only"
                )

    # Reading.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Lxc:
        return Lxc(spec.get("lxc_path") or DEFAULT_PATH)

    @classmethod
    def read_many(cls, engine: Lxc, names: Iterable[str] | None) -> dict[str, State]:
        stored = {name: engine.read_config(name) for name in (engine.names() if names is None else names)}
        configs = {name: config for name, config in stored.items() if config is not None}
        active = set(engine.active(configs))
        return {name: cls._read(engine, name, config, name in active) for name, config in configs.items()}

    @classmethod
    def _read(cls, engine: Lxc, name: str, config: Config, active: bool) -> State:
        owner, making = config.comment(OWNER), config.comment(MAKING)
        if owner is None and (making is not None or engine.half_made(name)):
            return State(HALF_MADE, owner=making)
        values = cls.decoded(config)
        facts: dict[str, Any] = {"rootfs": config.get(ROOTFS), "template": made_with(config)}
        facts["snapshots"] = engine.snapshots(name)
        defaults = cls.decoded(engine.defaults(name))
        running = engine.running(name) if active else None
        group = running.group() if running else None
        if running is None or group is None:
            return Container("stopped", values, None, facts, owner, defaults)
        live = cls._live(running, group, config)
        frozen = cgroupfs.read(group, "cgroup.freeze") == "1"
        facts = {**facts, "pid": running.pid, "cgroup": group}
        return Container("frozen" if frozen else "running", values, live, facts, owner, defaults)

    @classmethod
    def decoded(cls, config: Config) -> dict[str, Any]:
        """The canonical values of a configuration, by field name."""
        settings = config.settings()
        values: dict[str, Any] = {"config": settings, "cap_drop": tuple(sorted(config.words(CAP_DROP)))}
        values["networks"] = tuple(_row(entry) for entry in config.interfaces())
        for limit in cls._limits():
            text = settings.get(limit.at.key)
            if text is not None:
                values[limit.name] = limit.at.read(text)
        return values

    @classmethod
    def _limits(cls) -> list[Field]:
        return [field for field in cls.fields if isinstance(field.at, Limit)]

    @classmethod
    def _live(cls, running: Running, group: str, config: Config) -> dict[str, Any]:
        """What the kernel and LXC say of a container that runs."""
        live: dict[str, Any] = {}
        for limit in cls._limits():
            text = cgroupfs.read(group, limit.at.file)
            if text is not None:
                live[limit.name] = limit.at.read(text)
        live["cap_drop"] = tuple(sorted((running.get(CAP_DROP) or "").split()))
        count = len((running.get("lxc.net") or "").split())
        rows = []
        stored = dict(zip(config.indexes(), config.interfaces()))
        for index in sorted({*stored, *range(count)}):
            entry = {leaf.name: running.get(f"lxc.net.{index}.{leaf.name}") for leaf in INTERFACE}
            # LXC fills in names and addresses that nobody gave.
            filled = {"name", "hwaddr"} - stored.get(index, {}).keys()
            if entry["type"]:
                rows.append(_row({key: value for key, value in entry.items() if value and key not in filled}))
        return {**live, "networks": tuple(rows)}

    def observe(self, engine: Lxc, state: State) -> State:
        if self.target == "absent":
            return state
        if state.status in ("absent", HALF_MADE):
            self._check_template(engine)
        declared = self.declared.get("config", {})
        stored = state.config.get("config", {})
        for key, value in declared.items():
            if value is not None and value != stored.get(key) and not engine.accepts(self.name, key, value):
                raise StrataError(f"LXC doesn't take {key}", option="config", value=value, entry=self.entry)
        running = engine.running(self.name) if declared and state.live is not None else None
        if running is None or state.live is None:
            return state
        # LXC spells some values in its own way: what it spells alike on both sides runs as it is stored.
        told = {key: (running.get(key), running.stored(key)) for key in declared}
        live = {key: stored.get(key) if now == then else now for key, (now, then) in told.items()}
        return replace(state, live={**state.live, "config": live})

    def _check_template(self, engine: Lxc) -> None:
        template, known = self.spec.get("template"), [*engine.templates(), "none"]
        if template is None:
            raise StrataError("is needed to make the container", option="template", entry=self.entry)
        if not (os.path.isfile(template) if template.startswith("/") else template in known):
            raise StrataError(
                "is no template of this host",
                option="template",
                value=template,
                hint=f"There are: {', '.join(known)}; the package lxc-templates has more",
                entry=self.entry,
            )

    # Planning.

    def settings(self, state: State) -> dict[str, Any]:
        """What is declared; what no longer is goes back to what lxc-create made."""
        values = super().settings(state)
        defaults = state.defaults if isinstance(state, Container) else {}
        for name in values.keys() - self.spec.keys() - {"config"}:
            values[name] = defaults.get(name, values[name])
        if "config" in values:
            made, given = defaults.get("config", {}), self.spec.get("config", {})
            values["config"] = {key: given[key] if key in given else made.get(key) for key in values["config"]}
        if values.get("networks") and "networks" in self.applied:
            before = [_row(row) for row in self.applied["networks"]]
            blank = [dict.fromkeys(row, "") for row in before] + [{}] * len(values["networks"])
            values["networks"] = tuple({**none, **row} for none, row in zip(blank, values["networks"]))
        return values

    def plan(self, state: State) -> Plan:
        if self.target == "absent" and state.facts.get("snapshots"):
            raise StrataError(
                f"has snapshots ({', '.join(state.facts['snapshots'])}), which would be lost",
                hint=f"Remove them first: lxc-snapshot -n {self.name} -d ALL",
                entry=self.entry,
            )
        if self.target == "absent" or state.status != HALF_MADE:
            return super().plan(state)
        if state.owner is None:
            raise StrataError(
                "is being made by somebody else, or was left half-made",
                hint=f"Wait for it, or remove it: lxc-destroy -n {self.name}",
                entry=self.entry,
            )
        return super().plan(replace(state, status="absent"))

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        made = state.defaults.get("config", {}) if isinstance(state, Container) else {}
        raw = {
            key: value
            for key, value in state.config.get("config", {}).items()
            if value != made.get(key) and _typed(key) is None and key != ROOTFS
        }
        options = super().export(name, replace(state, config={**state.config, "config": raw}))
        return {**options, **({"template": state.facts["template"]} if state.facts.get("template") else {})}

    # Changing.

    @property
    def _timeout(self) -> int:
        return int(self.spec.get("timeout", 60))

    def create(self, engine: Lxc, plan: Plan) -> None:
        self._wait_for_maker(engine)
        if self._is_ours_half_made(engine):
            engine.destroy(self.name)
        engine.create(self.name, self.spec["template"], self.spec.get("template_options", ()), MAKING + self.owner)
        made = engine.read_config(self.name)
        if made is None:
            raise StrataError("lxc-create left no configuration")
        engine.keep_made(self.name, made)
        given = {name: value for name, value in plan.want.items() if name in self.spec}
        self._patch(made, given)
        made.set_comment(OWNER, self.owner, instead_of=(MAKING,))
        engine.write_config(self.name, made)

    def _is_ours_half_made(self, engine: Lxc) -> bool:
        config = engine.read_config(self.name)
        return config is None or config.comment(MAKING) is not None

    def _wait_for_maker(self, engine: Lxc) -> None:
        """An lxc-create outlives a module that was killed."""
        until(lambda: not engine.in_the_making(self.name), "another lxc-create to finish", self._timeout)

    def configure(self, engine: Lxc, plan: Plan) -> None:
        config = engine.read_config(self.name)
        if config is None:
            raise StrataError("its configuration is gone")
        self._patch(config, plan.of(Layer.CONFIG))
        engine.write_config(self.name, config)

    def _patch(self, config: Config, values: Mapping[str, Any]) -> None:
        for limit in self._limits():
            if limit.name in values:
                value = values[limit.name]
                config.put(limit.at.key, None if value in (None, MAX) else limit.at.write(value))
        if values.get("networks") is not None:
            config.put_interfaces(values["networks"])
        if values.get("cap_drop") is not None:
            config.put_words(CAP_DROP, values["cap_drop"])
        for key, value in (values.get("config") or {}).items():
            config.put(key, value)

    def update(self, engine: Lxc, plan: Plan) -> None:
        values = plan.of(Layer.LIVE)
        for limit in self._limits():
            if limit.name in values:
                cgroupfs.write(plan.state.facts["cgroup"], limit.at.file, limit.at.write(values[limit.name]))

    def start(self, engine: Lxc, plan: Plan) -> None:
        engine.start(self.name, engine.read_config(self.name), self._timeout)

    def stop(self, engine: Lxc, plan: Plan) -> None:
        self.thaw(engine, plan)  # a frozen init can't shut down
        engine.stop(self.name, self._timeout)

    def restart(self, engine: Lxc, plan: Plan) -> None:
        super().restart(engine, plan)
        if plan.state.status == plan.target == "frozen":
            self.freeze(engine, plan)

    def freeze(self, engine: Lxc, plan: Plan) -> None:
        self._set_frozen(engine, True)

    def thaw(self, engine: Lxc, plan: Plan) -> None:
        self._set_frozen(engine, False)

    def _set_frozen(self, engine: Lxc, frozen: bool) -> None:
        running = engine.running(self.name)
        group = running.group() if running else None
        if group and (cgroupfs.read(group, "cgroup.freeze") == "1") != frozen:
            engine.freeze(self.name, group, frozen)

    def remove(self, engine: Lxc, plan: Plan) -> None:
        self._wait_for_maker(engine)
        if plan.state.status in self.busy:
            self.stop(engine, plan)
        config = engine.read_config(self.name)
        if config is None:
            return  # lxc.ephemeral: LXC removed it when it stopped
        if not inside(config.get(ROOTFS), engine.folder(self.name)):
            config.put(ROOTFS, None)  # lxc-destroy would delete it, wherever it lies
            engine.write_config(self.name, config)
        engine.destroy(self.name)


def _typed(key: str) -> str | None:
    """The typed option that owns a raw key."""
    for limit in LxcContainer._limits():
        if key == limit.at.key:
            return limit.name
    if key in (CAP_DROP, "lxc.cap.keep"):
        return "cap_drop"
    return "networks" if key == "lxc.net" or key.startswith("lxc.net.") else None


def _row(entry: Mapping[str, Any]) -> dict[str, str]:
    """An interface's keys that are options, as canonical values."""
    row = {leaf.name: str(entry[leaf.name]) for leaf in INTERFACE if entry.get(leaf.name)}
    return {key: value.lower() if key == "hwaddr" else value for key, value in row.items()}
