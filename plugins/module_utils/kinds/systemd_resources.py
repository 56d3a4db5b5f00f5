# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What slices, services and scopes of systemd are held to: a drop-in for every start, beside what holds right now.

systemd reads drop-ins anew by daemon-reload, and then says what is in them, but writes the kernel's files only when
something else has it look at the unit, such as a change to a sibling. ``set-property --runtime`` writes both. So what
runs is changed by that, which also refuses what systemd doesn't know before anything is stored; the drop-in is written;
what set-property left on disk is taken away; and a reload, one for all units of a stack, has systemd go by the drop-in.
All that is declared is set, also what the kernel's files say already: systemd may be about to write something else.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import files, limits, policy
from ..core.codec import CPU_PERIOD, MAX, Codec, parse_line, show_cpus
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Layer, Plan, State
from ..core.resource import Resource
from ..engines import cgroupfs, cgroupstat, iolimits, systemd, unitlimits
from ..engines.mountunit import NOTES
from ..engines.unitcontrols import CONTROLS, DROP_IN, FILES, PROPS, quota_as_told
from ..engines.unitfile import UnitFile

"""Sorts after the drop-ins that ``systemctl set-property`` makes (50-MemoryMax.conf), and so wins over them."""

_SECTIONS = {kind: kind.capitalize() for kind in ("slice", "service", "scope", "socket", "mount", "swap")}
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")  # systemd: VALID_CHARS, UNIT_NAME_MAX
# systemd.resource-control(5), all of which set-property takes; what is on other pages is a matter of the unit itself.
_DIRECTIVE = re.compile(
    r"(Default|Effective)?(Startup)?(CPU|Allowed|Memory|Tasks|IO|IP|Device|ManagedOOM|SocketBind|RestrictNetwork|NFTSet"
    r"|BPFProgram|CoredumpReceive)[A-Za-z]*"
)
_CPUSETS = ("cpuset_cpus", "cpuset_mems")
_TYPED = {directive: name for name, control in CONTROLS.items() for directive in control.directives}


def _parse_unit(value: Any) -> str:
    text = str(value)
    stem, _dot, kind = text.rpartition(".")
    if kind not in _SECTIONS or not stem or not _UNIT.fullmatch(text) or text.startswith((".", "@")):
        raise ValueError(f"is no name of a unit: it ends in {', '.join(f'.{kind}' for kind in _SECTIONS)}")
    if stem.endswith("@"):
        raise ValueError("is a template: name one of its instances")
    if kind == "slice" and ("--" in stem or stem.startswith("-") or stem.endswith("-")):
        raise ValueError("is no name of a slice: dashes stand between the names of slices within each other")
    return text


def _parse_properties(values: Mapping[str, Any]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for key, given in values.items():
        if key in _TYPED:
            raise ValueError(f"hold {key}, which is the option {_TYPED[key]}: give that instead")
        if not _DIRECTIVE.fullmatch(key):
            raise ValueError(f"hold {key!r}, which is none of systemd.resource-control(5)")
        items = given if isinstance(given, (list, tuple)) else [given]
        texts = tuple(("no", "yes")[item] if isinstance(item, bool) else parse_line(item).strip() for item in items)
        if any(text.endswith("\\") for text in texts):
            raise ValueError(f"hold {key} with a backslash at its end, which would swallow the next line")
        parsed[key] = None if given is None or not texts else texts[0] if len(texts) == 1 else texts
    return parsed


def _show_properties(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _texts(value: Any) -> list[str]:
    return [] if value is None else list(value) if isinstance(value, tuple) else [value]


_EXACT = Codec(unitlimits.exact_cpus, show=show_cpus)
_CONTROLS = tuple(
    replace(field, codec=_EXACT) if field.name == "cpus" else field for field in limits.controls(CONTROLS)
)


class SystemdResources(Resource):
    kind = "systemd_resources"
    identity = "unit"
    sample = "strata.slice"
    rank = 10
    layered = True
    states = {"present": "present", "absent": "absent"}
    busy = frozenset({"present"})
    fields = (
        Field("unit", Codec(_parse_unit), role=Role.NAME, required=True),
        policy.state("present", "absent"),
        *_CONTROLS,
        Field(
            "properties",
            Codec(_parse_properties, "dict", _show_properties, partial=True),
            effect=Effect.LIVE,
            default={},
        ),
    )

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> None:
        systemd.need()

    # Reading: one `systemctl show` for all units; everything else is in files.

    @classmethod
    def read_many(cls, engine: None, names: Iterable[str] | None) -> dict[str, State]:
        units = systemd.with_drop_in(DROP_IN) if names is None else list(names)
        wanted = ["LoadState", "ActiveState", "ControlGroup", "FragmentPath", "DropInPaths", "NeedDaemonReload", *PROPS]
        shown = systemd.show(units, wanted)
        return {unit: cls._read(unit, shown[unit]) for unit in units}

    @classmethod
    def _read(cls, unit: str, shown: Mapping[str, str]) -> State:
        own = systemd.drop_in_path(unit, DROP_IN)
        loaded = shown.get("DropInPaths", "").split()
        drop_ins = sorted({*loaded, own}, key=os.path.basename)  # as systemd applies them
        # What set-property leaves in /run holds until the next start; a transient unit's own file is there, too.
        kept = [path for path in drop_ins if not path.startswith("/run/")]
        kept = [path for path in (shown.get("FragmentPath", ""), *kept) if path]
        passing = _words(unit, [path for path in loaded if path.startswith("/run/")])
        mine, words = _words(unit, [own]), _words(unit, kept)
        told = {field.name: field.at.read_shown(shown) for field in _CONTROLS}
        config: dict[str, Any] = {}
        for field in _CONTROLS:
            overridden = any(directive in passing for directive in field.at.directives)
            config[field.name] = _value(field, words, field.default if overridden else told[field.name])
        config["properties"] = {key: _single(texts) for key, texts in mine.items() if key not in _TYPED}
        group = cgroupfs.MOUNT + shown["ControlGroup"] if shown.get("ControlGroup") else None
        there = shown.get("LoadState") not in (None, "not-found")
        owners = UnitFile(files.read(own) or "").all(NOTES, "Owner")
        facts = {
            "drop_in": own,
            "load_state": shown.get("LoadState"),
            "active_state": shown.get("ActiveState"),
            "group": group,
            "others": [path for path in kept if path != own],
            "somebody_elses": os.path.exists(own) and not owners,
            "set_apart": sorted(systemd.kept_set(unit)),
            "stale": bool(owners) and there and (own not in loaded or shown.get("NeedDaemonReload") == "yes"),
        }
        live = cls._live(unit, shown, told, config, group) if there else None
        config = {name: value for name, value in config.items() if value is not None}
        return State("present" if owners else "absent", config, live, facts, owners[-1] if owners else None)

    @staticmethod
    def _live(
        unit: str, shown: Mapping[str, str], told: Mapping[str, Any], config: Mapping[str, Any], group: str | None
    ) -> dict[str, Any]:
        """What holds: the kernel's own word where the unit has a group, else what systemd would make of it."""
        texts = cgroupfs.texts(group, cgroupfs.readable(group, FILES)) if group else {}
        live = dict(told)
        for field in _CONTROLS:
            exact = field.name in ("cpus", "cpu_period") and quota_as_told(shown, texts.get("cpu.max", ""))
            seen = None if exact else field.at.read_files(texts)
            if field.name in _CPUSETS and told[field.name] == "" and seen == cgroupfs.online()[field.name]:
                seen = ""  # as _runtime leaves it
            live[field.name] = live[field.name] if seen is None else seen
        passing = {
            key: _words(unit, [f"{folder}/{unit}.d/50-{key}.conf" for folder in systemd.CONTROL])
            for key in config["properties"]
        }
        live["properties"] = {
            key: _single(passing[key][key]) if key in passing[key] else value
            for key, value in config["properties"].items()
        }
        return {name: value for name, value in live.items() if value is not None}

    @classmethod
    def measure(cls, engine: None, name: str, state: State) -> dict[str, Any]:
        return cgroupstat.measure(state.facts["group"]) if state.facts["group"] else {}

    # Planning.

    def observe(self, engine: None, state: State) -> State:
        if self.target == "absent":
            return state
        if not state.facts:  # all that have a drop-in were read, and it has none yet
            state = self.read_many(engine, [self.name])[self.name]
        devices = iolimits.disks(self.spec.get("io", ()))
        facts: dict[str, Any] = {**state.facts, "devices": devices, "online": cgroupfs.online()}
        facts["controllers"] = sorted(cgroupfs.controllers(cgroupfs.MOUNT))
        facts["costed"] = iolimits.costed() if "io" in self.declared else []
        facts["has_latency"] = cgroupfs.known("io.max", "io.latency")
        dropped = [field for field in _CONTROLS if field.name in self.declared and field.name not in self.spec]
        words = _words(self.name, state.facts["others"]) if dropped else {}
        facts["without"] = {field.name: _value(field, words, self._usual(field)) for field in dropped}
        return replace(state, facts=facts)

    def _usual(self, field: Field) -> Any:
        """What a unit has where no file says anything."""
        if field.name == "pids_limit" and not self.name.endswith(".slice"):
            return unitlimits.PIDS.parse_prop(systemd.manager("DefaultTasksMax"))
        return field.default

    def settings(self, state: State) -> dict[str, Any]:
        values = {**super().settings(state), **state.facts["without"]}
        if state.facts["somebody_elses"]:
            path = state.facts["drop_in"]
            raise StrataError(f"{path} is there, and was not written by this module", option="unit", value=self.name)
        now = (state.live or {}).get("io")
        if "io" in values:
            values["io"] = iolimits.declared(values["io"], now, state.facts["devices"], state.facts["costed"])
        self._refuse(values, state)
        return values

    def _refuse(self, values: Mapping[str, Any], state: State) -> None:
        """What systemd would take, and the kernel not do."""
        for field in _CONTROLS:
            controller = field.at.files[0].partition(".")[0]
            if values.get(field.name, field.default) != field.default and controller not in state.facts["controllers"]:
                raise StrataError(
                    f"needs the cgroup controller {controller}, which this kernel doesn't have enabled",
                    option=field.name,
                    hint=f"Boot without cgroup_disable={controller}",
                )
        if any(row.get("latency") for row in values.get("io", ())) and not state.facts["has_latency"]:
            raise StrataError("needs io.latency, which this kernel doesn't have", option="io.latency")
        for option, what in zip(_CPUSETS, ("cpu", "memory node")):
            gone = limits.numbers(values.get(option) or "") - limits.numbers(state.facts["online"][option])
            if gone:
                reason = f"this host has no {what} {limits.listed(gone)}: it has {state.facts['online'][option]}"
                raise StrataError(reason, option=option, value=values[option])
        whole = {**state.config, **values}
        cpus, period = whole.get("cpus", MAX), whole.get("cpu_period") or CPU_PERIOD
        if cpus != MAX and cpus * period // CPU_PERIOD < limits.LEAST_QUOTA:
            option = "cpus" if "cpus" in values else "cpu_period"
            raise StrataError(f"comes to less than 1ms of cpu time in each period of {period}us", option=option)
        for path in state.facts["others"]:
            if os.path.basename(path) > DROP_IN and path.endswith(".conf"):
                self._overridden(values, state, path)

    def _overridden(self, values: Mapping[str, Any], state: State, path: str) -> None:
        words = _words(self.name, [path])
        for field in _CONTROLS:
            says = any(directive in words for directive in field.at.directives)
            if says and field.name in values and values[field.name] != state.config.get(field.name):
                raise StrataError(
                    f"is set by {path}, which systemd reads after {DROP_IN}",
                    option=field.name,
                    value=self.options.get(field.name),
                    hint="Take it out there",
                )

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        if self.target == "absent" or not state.exists:
            return plan
        steps = ("update",) if {"configure", "update"} & set(plan.steps) else plan.steps
        left = dict(_assignments(plan.want, {})).keys() & set(state.facts["set_apart"])
        if (state.facts["stale"] or left) and not steps:
            # A run was killed: systemd still goes by what it read before.
            change = Change("unit", "as systemd read it before", "as it is stored", Effect.LIVE)
            return replace(plan, changes=(change,), steps=("update",))
        return replace(plan, steps=steps)

    # Doing: see the top of the file for the order.

    def create(self, engine: None, plan: Plan) -> None:
        self._apply(plan, plan.want, self.owner)

    def update(self, engine: None, plan: Plan) -> None:
        self._apply(plan, plan.of(Layer.CONFIG), None)

    def _apply(self, plan: Plan, kept: Mapping[str, Any], owner: str | None) -> None:
        now = plan.state.live or {}
        if plan.state.facts["group"]:
            rows = {"io": iolimits.merged(now.get("io"), plan.want["io"])} if "io" in plan.want else {}
            settings = _runtime(dict(_assignments({**plan.want, **rows}, now)), now)
            if settings:
                systemd.set_runtime(self.name, settings)
        path = plan.state.facts["drop_in"]
        old = files.read(path)
        text = self._text(old, plan, kept, owner)
        if text != old:
            files.write(path, text)
        systemd.forget_set(self.name, [key for key, _texts in _assignments(plan.want, {})])
        if plan.state.facts["stale"]:
            systemd.reload()
        else:
            systemd.refresh(self.name)

    def _text(self, old: str | None, plan: Plan, kept: Mapping[str, Any], owner: str | None) -> str:
        file = UnitFile(old or "# Written by strata.virt.\n")
        section = _section(self.name)
        if owner is not None:
            file.set(NOTES, "Owner", [owner])
        whole = dict(kept)
        if whole.get("io"):
            whole["io"] = iolimits.merged(plan.state.config.get("io"), whole["io"])
            paths = {disk: path for path, disk in plan.state.facts["devices"].items()}
            whole["io"] = [{**row, "device": paths.get(row["device"], row["device"])} for row in whole["io"]]
        usual = {name for name, value in plan.state.facts["without"].items() if whole.get(name) == value}
        for name in usual & whole.keys():
            for key in CONTROLS[name].directives:
                file.set(section, key, [])
        rest = {name: value for name, value in whole.items() if name not in usual}
        for key, texts in _assignments(rest, {}):
            file.set(section, key, [text.replace("%", "%%") if key not in _TYPED else text for text in texts])
        return file.text

    def remove(self, engine: None, plan: Plan) -> None:
        """Let hold what the other files say; the drop-in, which says whose it is, goes last."""
        path, group = plan.state.facts["drop_in"], plan.state.facts["group"]
        mine, rest = _words(self.name, [path]), _words(self.name, plan.state.facts["others"])
        usual = {key: texts for field in _CONTROLS for key, texts in field.at.write(self._usual(field)).items()}
        back = {key: rest.get(key, usual.get(key)) for key in mine}
        settings = _runtime({key: texts or [] for key, texts in back.items()}, plan.state.live or {})
        if group and settings:
            systemd.set_runtime(self.name, settings)
        systemd.forget_set(self.name, list(mine))
        files.remove(path)
        with contextlib.suppress(OSError):  # somebody else's drop-ins stay
            os.rmdir(os.path.dirname(path))
        systemd.refresh(self.name)


def _section(unit: str) -> str:
    return _SECTIONS[unit.rpartition(".")[2]]


def _words(unit: str, paths: Iterable[str]) -> dict[str, list[str]]:
    """What files assign to the directives that are about resources, in order."""
    found: dict[str, list[str]] = {}
    for path in paths:
        file, section = UnitFile(files.read(path) or ""), _section(unit)
        for where, key in file.assigned():
            if where == section and (key in _TYPED or _DIRECTIVE.fullmatch(key)):
                found.setdefault(key, []).extend(file.all(section, key))
    return found


def _value(field: Field, words: Mapping[str, list[str]], otherwise: Any) -> Any:
    """The value that words come to; ``otherwise`` where there are none, or where only systemd knows (``33%``)."""
    if not any(directive in words for directive in field.at.directives):
        return field.default if otherwise is None else otherwise
    try:
        return field.at.read(words)
    except ValueError:
        return otherwise


def _single(texts: list[str]) -> Any:
    return texts[0] if len(texts) == 1 else tuple(texts)


def _assignments(values: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Values as directives, each with its texts; of what has keys, those that aren't as they are now."""
    found: dict[str, list[str]] = {}
    for name, value in values.items():
        if name in CONTROLS:
            found.update(CONTROLS[name].write(value))
        else:
            have = now.get(name) or {}
            found.update({key: _texts(text) for key, text in value.items() if key not in have or have[key] != text})
    return list(found.items())


def _runtime(assigned: Mapping[str, list[str]], now: Mapping[str, Any]) -> list[str]:
    """Directives for set-property.

    The cpus of a group with processes can't be taken back to none (kernel/cgroup/cpuset.c: validate_change), and
    systemd doesn't even try to: in their place it gets all that there are, until systemd reads its files.
    """
    whole = {key: list(texts) for key, texts in assigned.items()}
    for option in _CPUSETS:
        (key,) = CONTROLS[option].directives
        if now.get(option) and whole.get(key) == [""]:
            whole[key] = [cgroupfs.online()[option]]
    return [f"{key}={text}" for key, texts in whole.items() for text in texts]
