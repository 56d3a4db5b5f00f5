# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""LXC containers: a configuration file beside what runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..core import hardening, policy
from ..core.codec import PATH, TEXT, TEXTS, WORDS, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role, decode
from ..core.plan import Effect, Layer, Plan, State
from ..core.resource import Resource, Thing
from ..core.waiting import until
from ..engines import cgroupfs, cgroupstat, idmaps, lxc_boot, lxc_snaps, lxc_trees, systemd
from ..engines.lxc import BOOT_UNIT, DEFAULT_PATH, Lxc, inside, made_with
from ..engines.lxc_config import OWNER, Config
from . import lxc_fields, lxc_hardening, lxc_mounts, lxc_networks, lxc_sources
from .lxc_fields import CONFIG, KEYED, LIMITS, ROOTFS, Place

MAKING = "# strata.virt: being made, owner="
"""It stands in the configuration from lxc-create on until ours is in place: what has it is half-made, and ours."""

HALF_MADE = "half-made"
RESTARTED = "restarted"
_IDMAPPED_SINCE = 5  # LXC: doc/lxc.container.conf, lxc.rootfs.options idmap=


def _template(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*|/[\w./+-]+", text):
        raise ValueError("is neither a template's name nor an absolute path")
    return text


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
        policy.state("started", "present", "stopped", "frozen", RESTARTED, "absent"),
        policy.restart(),
        policy.timeout(120),
        Field("lxc_path", PATH, role=Role.CONNECT, given=DEFAULT_PATH),
        Field("template", Codec(_template), role=Role.POLICY),
        Field("template_options", TEXTS, role=Role.POLICY),
        Field("source", lxc_sources.SOURCE, role=Role.POLICY),
        Field("hardening", TEXT, role=Role.POLICY, choices=hardening.PROFILES),
        Field("hardening_exceptions", WORDS, role=Role.POLICY),
        *LIMITS,
        *KEYED,
        CONFIG,
    )
    states = {
        "started": "running",
        "present": None,
        "stopped": "stopped",
        "frozen": "frozen",
        RESTARTED: "running",
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

    # What was declared.

    def check(self) -> None:
        spec = self.spec
        if spec.get("state") == RESTARTED:
            spec["restart"] = "always"
        if spec.get("autostart") and spec.get("lxc_path") != DEFAULT_PATH:
            hint = f"{BOOT_UNIT} runs lxc-autostart, which looks there alone; for others, write a unit"
            raise StrataError(f"goes with containers in {DEFAULT_PATH}", option="autostart", hint=hint)
        lxc_fields.check(spec)
        lxc_networks.check(spec.get("networks", ()))
        lxc_mounts.check(spec.get("mounts", ()), spec.get("devices", ()))
        lxc_sources.check(spec)
        lxc_hardening.check(spec, self.options)

    def settled(self) -> Resource:
        once = super().settled()
        if self.spec.get("state") != RESTARTED:
            return once
        options = {**once.options, "state": "started", "restart": "if_needed"}
        return type(self)(options, owner=self.owner, applied=self.applied)

    def _thing(self, name: str) -> Thing:
        return "lxc", f"{self.spec.get('lxc_path', DEFAULT_PATH)}/{name}"

    def provides(self) -> list[Thing]:
        return [self._thing(self.name)]

    def needs(self) -> list[Thing]:
        other = (self.spec.get("source") or {}).get("container")
        links = [("link", f"/{row['link']}") for row in self.spec.get("networks", ()) if row.get("link")]
        return [*super().needs(), *([self._thing(other)] if other else []), *links]

    def files(self) -> list[tuple[str, str]]:
        bound = [("mounts", path) for path in lxc_mounts.sources(self.spec.get("mounts", ()))]
        nodes = [("devices", row["path"]) for row in self.spec.get("devices", ()) if row.get("path")]
        return bound + nodes + lxc_sources.files(self.spec)

    # Reading.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Lxc:
        return Lxc(spec.get("lxc_path") or DEFAULT_PATH)

    @classmethod
    def read_many(cls, engine: Lxc, names: Iterable[str] | None) -> dict[str, State]:
        stored = {name: engine.read_config(name) for name in (engine.names() if names is None else names)}
        configs = {name: config for name, config in stored.items() if config is not None}
        active = set(engine.active(configs))
        # What containers were made with is mostly the same text.
        usual: dict[str, dict[str, Any]] = {}
        return {name: cls._read(engine, name, config, name in active, usual) for name, config in configs.items()}

    @classmethod
    def _read(cls, engine: Lxc, name: str, config: Config, active: bool, usual: dict[str, dict[str, Any]]) -> State:
        owner, making = config.comment(OWNER), config.comment(MAKING)
        if owner is None and (making is not None or engine.half_made(name)):
            return State(HALF_MADE, owner=making)
        made = engine.defaults(name)
        values = cls.decoded(config, made)
        facts: dict[str, Any] = {"rootfs": config.get(ROOTFS), "template": made_with(config)}
        facts["snapshots"] = lxc_snaps.listed(engine.folder(name))
        if made.text not in usual:
            usual[made.text] = cls.decoded(made, made)
        defaults = usual[made.text]
        running = engine.running(name) if active else None
        group = running.group() if running else None
        if running is None or group is None:
            return Container(status="stopped", config=values, facts=facts, owner=owner, defaults=defaults)
        live = {}
        for limit in LIMITS:
            text = cgroupfs.read(group, limit.at.file)
            if text is not None:
                live[limit.name] = limit.at.read(text)
        frozen = cgroupfs.read(group, "cgroup.freeze") == "1"
        facts = {**facts, "pid": running.pid, "cgroup": group}
        status = "frozen" if frozen else "running"
        return Container(status=status, config=values, live=live, facts=facts, owner=owner, defaults=defaults)

    @staticmethod
    def decoded(config: Config, made: Config | None = None) -> dict[str, Any]:
        """The canonical values of a configuration, by field name."""
        return lxc_fields.read(config, Place(made or Config("")))

    @classmethod
    def measure(cls, engine: Lxc, name: str, state: State) -> dict[str, Any]:
        if state.live is None:
            return {}
        return {**cgroupstat.measure(state.facts["cgroup"]), "addresses": engine.addresses(name)}

    @classmethod
    def reached(cls, engine: Lxc, name: str, state: State) -> dict[str, Any]:
        links = [row.get("link") for row in state.config.get("networks") or ()]
        found = {} if state.live is None else engine.addresses(name)
        return {
            "addresses": [address for addresses in found.values() for address in addresses],
            "networks": [link for link in dict.fromkeys(links) if link],
        }

    # What this declaration needs to know.

    def observe(self, engine: Lxc, state: State) -> State:
        if self.target == "absent":
            return state
        facts = {**state.facts, "rootless": engine.rootless, "missing": self.missing()}
        if state.status in ("absent", HALF_MADE):
            other = (self.spec.get("source") or {}).get("container")
            lxc_sources.look(engine, self.name, self.spec, other is not None and self._thing(other) in self.promised)
        if self._profiled(state).get("unprivileged"):
            if not engine.rootless and engine.version < _IDMAPPED_SINCE:
                raise StrataError(f"needs LXC {_IDMAPPED_SINCE}, and this is {engine.version}", option="unprivileged")
            given = self.spec.get("id_map") or state.config.get("id_map")
            facts["id_map"] = given or idmaps.own()
        config = dict(state.config)
        if config.get("autostart") and "autostart" in self.declared and not systemd.wanted(BOOT_UNIT):
            config["autostart"] = False  # the key alone starts nothing
        self._accepted(engine, config)
        state = replace(state, facts=facts, config=config)
        return state if state.live is None else replace(state, live={**state.live, **self._live(engine, state)})

    def _accepted(self, engine: Lxc, config: Mapping[str, Any]) -> None:
        stored = config.get("config", {})
        for key, value in self.declared.get("config", {}).items():
            if value is not None and value != stored.get(key) and not engine.accepts(self.name, key, value):
                raise StrataError(f"LXC doesn't take {key}", option="config", value=value)

    def _live(self, engine: Lxc, state: State) -> dict[str, Any]:
        """What the container was started with, of what is declared."""
        want = self._profiled(state)
        names = {*want, *(["id_map"] if want.get("unprivileged") else [])}
        asked = [one for one in KEYED if one.name in names and one.effect is Effect.RESTART]
        running = engine.running(self.name) if asked or want.get("config") else None
        config = engine.read_config(self.name)
        if running is None or config is None:
            return {}
        place = Place(engine.defaults(self.name), engine.rootless)
        stored = state.config.get("config", {})
        live = {one.name: lxc_fields.live(one, running, config, place, state.config.get(one.name)) for one in asked}
        keys = want.get("config") or {}
        told = {key: stored.get(key) if running.as_stored(key) else running.get(key) for key in keys}
        return {**live, "config": told}

    # Planning.

    def _profiled(self, state: State) -> dict[str, Any]:
        """What is declared, and what its profile gives."""
        values = dict(self.declared)
        defaults = state.defaults if isinstance(state, Container) else {}
        profile = lxc_hardening.values(self.spec, state.config)
        known = ("hardening", "hardening_exceptions")
        last = decode(self.fields, {name: self.applied[name] for name in known if name in self.applied})
        values.update(dict.fromkeys(lxc_hardening.values(last, state.config).keys() - values.keys()))
        for name in values.keys() - self.spec.keys() - {"config"}:
            # What no longer is declared goes back to what the container was made with.
            values[name] = defaults.get(name, self.field(name).default if values[name] is None else values[name])
        values.update({name: value for name, value in profile.items() if name not in self.spec or name == "mounts"})
        return values

    def settings(self, state: State) -> dict[str, Any]:
        values = self._profiled(state)
        defaults = state.defaults if isinstance(state, Container) else {}
        if "config" in values:
            made, given = defaults.get("config", {}), self.spec.get("config", {})
            values["config"] = {key: given[key] if key in given else made.get(key) for key in values["config"]}
        if values.get("networks") and "networks" in self.applied:
            blank = [lxc_networks.blank(row) for row in self.applied["networks"]] + [{}] * len(values["networks"])
            values["networks"] = tuple({**none, **row} for none, row in zip(blank, values["networks"]))
        if values.get("unprivileged"):
            values["id_map"] = state.facts["id_map"]
        elif values.get("unprivileged") is False:
            values.pop("id_map", None)
        if state.facts.get("rootless"):
            if not values.get("unprivileged", state.config.get("unprivileged")):
                raise StrataError("must be true for who is not root", option="unprivileged")
            if values.get("autostart"):
                raise StrataError(f"{BOOT_UNIT} starts root's alone", option="autostart")
        return values

    def plan(self, state: State) -> Plan:
        snapshots = ", ".join(one["name"] for one in state.facts.get("snapshots", ()))
        if self.target == "absent":
            if snapshots:
                raise StrataError(
                    f"has snapshots ({snapshots}), which would be lost",
                    hint=f"Remove them first: lxc_snapshot with state: absent, or lxc-snapshot -n {self.name} -d ALL",
                )
            return super().plan(state)
        if state.status == HALF_MADE:
            if state.owner is None:
                raise StrataError(
                    "is being made by somebody else, or was left half-made",
                    hint=f"Wait for it, or remove it: lxc-destroy -n {self.name}",
                )
            state = replace(state, status="absent")
        plan = super().plan(state)
        for option, path in state.facts.get("missing", ()) if plan.steps else ():
            if option == "source" and "create" not in plan.steps:
                continue  # it isn't looked at any more
            raise StrataError("is not there", option=option, value=path, hint="Make it first")
        return plan

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        defaults = state.defaults if isinstance(state, Container) else {}
        made = defaults.get("config", {})
        raw = {
            key: value
            for key, value in state.config.get("config", {}).items()
            if value != made.get(key) and not lxc_fields.owners(key) and key != ROOTFS
        }
        same = {one.name: None for one in KEYED if state.config.get(one.name) == defaults.get(one.name)}
        same.pop("networks", None)
        options = super().export(name, replace(state, config={**state.config, **same, "config": raw}))
        return {**options, **({"template": state.facts["template"]} if state.facts.get("template") else {})}

    # Changing.

    @property
    def _timeout(self) -> int:
        return int(self.spec.get("timeout", 120))

    def create(self, engine: Lxc, plan: Plan) -> None:
        self._wait_for_maker(engine)
        config = engine.read_config(self.name)
        if config is None or config.comment(MAKING) is not None:
            self._destroy(engine, config)
        made, config = self._make(engine, plan)
        enforced = {*self.spec, *lxc_hardening.values(self.spec, {}), "id_map"}
        lxc_fields.patch(
            config,
            {name: value for name, value in plan.want.items() if name in enforced},
            Place(made, engine.rootless),
        )
        config.set_comment(OWNER, self.owner, instead_of=(MAKING,))
        engine.write_config(self.name, config)
        self._boot(plan)

    def _make(self, engine: Lxc, plan: Plan) -> tuple[Config, Config]:
        """The configuration as it was made, and the one to go on from."""
        chosen = lxc_sources.template(self.spec)
        if chosen is not None:
            mapped = idmaps.lines(plan.want["id_map"]) if engine.rootless else []
            engine.create(self.name, *chosen, MAKING + self.owner, mapped)
            config = engine.read_config(self.name)
            if config is None:
                raise StrataError("lxc-create left no configuration")
            made = config
        else:
            tree, config, made = lxc_sources.tree(engine, self.name, self.spec["source"])
            target = f"{engine.folder(self.name)}/rootfs"
            for one in (config, made):
                one.put(ROOTFS, f"dir:{target}")
            config.set_comment(MAKING, self.owner)
            engine.begin(self.name, config)
            lxc_trees.copy(tree, target)
        engine.keep_made(self.name, made)
        return Config(made.text), config

    def _wait_for_maker(self, engine: Lxc) -> None:
        """An lxc-create outlives a module that was killed."""
        until(lambda: not engine.in_the_making(self.name), "another lxc-create to finish", self._timeout)

    def configure(self, engine: Lxc, plan: Plan) -> None:
        config = engine.read_config(self.name)
        if config is None:
            raise StrataError("its configuration is gone")
        lxc_fields.patch(config, plan.of(Layer.CONFIG), Place(engine.defaults(self.name), engine.rootless))
        engine.write_config(self.name, config)
        self._boot(plan)

    @staticmethod
    def _boot(plan: Plan) -> None:
        if plan.of(Layer.CONFIG).get("autostart") and not systemd.wanted(BOOT_UNIT):
            systemd.enable(BOOT_UNIT)

    def update(self, engine: Lxc, plan: Plan) -> None:
        values = plan.of(Layer.LIVE)
        for limit in LIMITS:
            if limit.name in values:
                cgroupfs.write(plan.state.facts["cgroup"], limit.at.file, limit.at.write(values[limit.name]))

    def start(self, engine: Lxc, plan: Plan) -> None:
        config = engine.read_config(self.name)
        if config is not None and not engine.rootless:
            lxc_boot.make_places(config.get(ROOTFS), lxc_mounts.places(config, engine.defaults(self.name)))
        lxc_boot.start(engine, self.name, config, self._timeout)

    def explain(self, engine: Lxc, state: State) -> str:
        return lxc_boot.last_words(engine, self.name) if self.target == "running" and state.status == "stopped" else ""

    def stop(self, engine: Lxc, plan: Plan) -> None:
        self.thaw(engine, plan)  # a frozen init can't shut down
        engine.stop(self.name, self._timeout)

    def restart(self, engine: Lxc, plan: Plan) -> None:
        super().restart(engine, plan)
        if plan.state.status == plan.target == "frozen":
            self.freeze(engine, plan)

    def freeze(self, engine: Lxc, plan: Plan) -> None:
        engine.set_frozen(self.name, True)

    def thaw(self, engine: Lxc, plan: Plan) -> None:
        engine.set_frozen(self.name, False)

    def remove(self, engine: Lxc, plan: Plan) -> None:
        self._wait_for_maker(engine)
        if plan.state.status in self.busy:
            self.stop(engine, plan)
        config = engine.read_config(self.name)
        if config is not None:  # else lxc.ephemeral: LXC removed it when it stopped
            self._destroy(engine, config)

    def _destroy(self, engine: Lxc, config: Config | None) -> None:
        rootfs = config.get(ROOTFS) if config else None
        if config is not None and rootfs and not inside(rootfs, engine.folder(self.name)):
            config.put(ROOTFS, None)  # lxc-destroy would delete it, wherever it lies
            engine.write_config(self.name, config)
        engine.destroy(self.name)
