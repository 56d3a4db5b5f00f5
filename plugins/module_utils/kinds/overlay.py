# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Overlays of overlayfs: what is mounted, beside what a mount unit keeps for the next boot."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import files, policy
from ..core.codec import BOOL, INT, PATH, Codec, parse_path
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource, Thing
from ..engines import mounts, mountunit, overlayfs, systemd
from ..engines.unitfile import UnitFile

_SOURCE = "strata:"  # the source of an overlay is free text, and goes when the mount does: it names the owner
_NOTES = "/run/strata/overlay"
_INTERRUPTS = frozenset({"stop", "restart", "remove"})


def _parse_layers(layers: Any) -> tuple[str, ...]:
    if isinstance(layers, str) or not layers:
        raise ValueError("is a list of one directory or more, the uppermost first")
    return tuple(parse_path(layer) for layer in layers)


def _parse_words(words: Any) -> tuple[str, ...]:
    """Options as ``name=value``, or as a name alone where there is nothing to say; a set."""
    found = {}
    for word in words:
        name, equals, value = str(word).partition("=")
        if name not in overlayfs.CHOICES:
            raise ValueError(f"knows no {name!r}: options are {', '.join(sorted(overlayfs.CHOICES))}")
        choices = overlayfs.CHOICES[name]
        value = value if equals else "on" if choices else ""
        if (value not in choices) if choices else equals:
            raise ValueError(f"{name} takes {f'one of {chr(32).join(choices)}' if choices else 'no value'}")
        found[name] = f"{name}={value}" if value else name
    return tuple(sorted(found.values()))


def _owner(source: str) -> str | None:
    return source[len(_SOURCE) :] if source.startswith(_SOURCE) else None


class Overlay(Resource):
    kind = "overlay"
    identity = "path"
    sample = "/"
    rank = 25
    layered = True
    states = {"mounted": "mounted", "unmounted": "unmounted", "absent": "absent"}
    moves = {("unmounted", "mounted"): ("start",), ("mounted", "unmounted"): ("stop",)}
    busy = frozenset({"mounted"})
    fresh_status = "unmounted"
    fields = (
        Field("path", PATH, role=Role.NAME, required=True),
        policy.state("mounted", "unmounted", "absent"),
        Field("lower", Codec(_parse_layers, "list", list, "str"), effect=Effect.RESTART),
        Field("upper", PATH, effect=Effect.RESTART),
        Field("work", PATH, effect=Effect.RESTART),
        Field("options", Codec(_parse_words, "list", list, "str"), effect=Effect.RESTART, default=()),
        Field("persistent", BOOL, effect=Effect.NEXT_BOOT, default=False),
        Field("mounts", INT, role=Role.DERIVED, effect=Effect.RESTART, default=1),
        policy.restart(),
    )

    def provides(self) -> list[Thing]:
        return [("path", self.name)]

    def files(self) -> list[tuple[str, str]]:
        return [("lower", layer) for layer in self.spec.get("lower", ())]

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> mounts.Host:
        return mounts.Host()

    # Reading: mountinfo once, and a unit's file a name.

    @classmethod
    def read_many(cls, engine: mounts.Host, names: Iterable[str] | None) -> dict[str, State]:
        table, known = engine.read(), overlayfs.defaults()
        if names is None:
            ours = {m.point for m in table.mounts if m.type == overlayfs.TYPE and _owner(m.source) is not None}
            ours |= {path for path in mountunit.names() if cls._is_ours(path)}
            names = sorted(ours)
        return {path: cls._read(path, table, known) for path in names}

    @staticmethod
    def _is_ours(path: str) -> bool:
        file = UnitFile(files.read(f"{systemd.UNITS}/{mountunit.name(path)}") or "")
        source = mountunit.said(file, "Mount", "What")
        return file.last("Mount", "Type") == overlayfs.TYPE and _owner(source) is not None

    @classmethod
    def _read(cls, path: str, table: mounts.Table, known: Mapping[str, str]) -> State:
        unit = mountunit.name(path)
        text = files.read(f"{systemd.UNITS}/{unit}")
        unit_type = None if text is None else UnitFile(text).last("Mount", "Type")
        if unit_type != overlayfs.TYPE:
            text = None  # somebody mounts something else there, and may
        kept = text or files.read(f"{_NOTES}/{unit}")  # a run was killed between unmounting and mounting anew
        there = table.at(path)
        overlays = [mount for mount in there if mount.type == overlayfs.TYPE]
        covered = [mount for mount in there[-1:] if mount.type != overlayfs.TYPE]
        facts: dict[str, Any] = {
            "unit": unit if text is not None else None,
            "unit_type": unit_type,
            "covered": [f"{mount.type} from {mount.source}" for mount in covered],
        }
        config: dict[str, Any] = {}
        live, owner = None, None
        if kept is not None:
            file = UnitFile(kept)
            config = overlayfs.read_text(mountunit.said(file, "Mount", "Options"), known)
            owner = _owner(mountunit.said(file, "Mount", "What"))
        if overlays:
            seen = overlays[-1]
            live = overlayfs.read([*seen.options, *((word, None) for word in seen.flags)], known)
            live["mounts"] = len(overlays)
            owner = _owner(seen.source) if text is None or owner is None else owner
            config = config if text is not None else {**live, "mounts": 1}
        elif kept is None:
            return State(facts=facts)
        config["persistent"] = text is not None and mountunit.enabled(unit)
        return State("unmounted" if live is None else "mounted", config, live, facts, owner)

    # Planning.

    def observe(self, engine: mounts.Host, state: State) -> State:
        if self.spec.get("persistent") and self.target != "absent":
            systemd.need("persistent")
        table, known = engine.table, overlayfs.defaults()
        wanted: dict[str, Any] = {**state.config, **self.spec}
        real: dict[str, str] = {path: os.path.realpath(path) for path in [self.name, *_layers(wanted)]}
        holding = {path: table.holding(real[path]) for path in real}
        facts = {
            **state.facts,
            "real": real,
            "mount_of": {path: mount.id for path, mount in holding.items() if mount is not None},
            "missing": self.missing(),
            "taken": self._taken(table, wanted, known),
            "defaults": known,
        }
        state = replace(state, facts=facts)
        if state.status == "mounted" and _INTERRUPTS & set(self._draft(state).steps):
            state = replace(state, facts={**facts, "users": mounts.users([self.name])})
        return state

    def _taken(self, table: mounts.Table, wanted: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
        """The other overlays that write to the same directories: the kernel allows it, and both go wrong."""
        writable: set[str] = {path for path in (wanted.get("upper"), wanted.get("work")) if path}
        taken: dict[str, str] = {}
        for mount in table.mounts:
            if mount.type == overlayfs.TYPE and mount.point != self.name:
                theirs = overlayfs.read(mount.options, known)
                taken.update(dict.fromkeys(writable & {theirs["upper"], theirs["work"]}, mount.point))
        return taken

    def settings(self, state: State) -> dict[str, Any]:
        return self._settings(state)

    def _settings(self, state: State) -> dict[str, Any]:
        values = {**super().settings(state), "mounts": 1}
        whole = {**state.config, **values}
        if not whole.get("lower"):
            raise StrataError("must be given", option="lower")
        upper = whole.get("upper")
        if (upper is None) != (whole.get("work") is None):
            lacking = "work" if upper else "upper"
            raise StrataError("goes with the other: upper and work are given both or neither", option=lacking)
        if "options" in values:
            values["options"] = overlayfs.normal(values["options"], state.facts["defaults"], upper=upper is not None)
        if not (state.status == "mounted" and all(whole.get(k) == state.config.get(k) for k in ("lower", "upper"))):
            self._refuse_layers(whole, state)
        if whole.get("persistent"):
            self._refuse_unit({**whole, **values}, state)
        return values

    def _refuse_layers(self, whole: Mapping[str, Any], state: State) -> None:
        """What overlayfs would refuse, or not refuse and should."""
        upper, work = whole.get("upper"), whole.get("work")
        if upper is None and len(whole["lower"]) < 2:
            raise StrataError("two layers or more are needed where there is no upper one", option="lower")
        for option, path in state.facts["missing"]:
            raise StrataError("is not there", option=option, value=path, hint="Make it, or take it off the list")
        real = state.facts["real"]
        layers = [("lower", layer) for layer in whole["lower"]]
        layers += [(option, path) for option, path in (("upper", upper), ("work", work)) if path]
        for place, (option, path) in enumerate(layers):
            for _other, before in layers[:place]:
                one, two = (real.get(item, item).rstrip("/") + "/" for item in (path, before))
                if one.startswith(two) or two.startswith(one):
                    raise StrataError(f"is the same as {before}, or one lies in the other", option=option, value=path)
            if path in state.facts["taken"]:
                by = state.facts["taken"][path]
                raise StrataError(f"is in use by the overlay at {by}", option=option, value=path)
        mount_of = state.facts["mount_of"]
        if upper and work and mount_of.get(upper) != mount_of.get(work):
            raise StrataError(f"is not on the same mounted file system as {upper}", option="work", value=work)
        size = len(os.fsencode(overlayfs.data(whole)))
        if size > overlayfs.DATA_MAX:
            raise StrataError(f"is too long: {size} bytes of options, and mount(2) takes 4095", option="lower")

    def _refuse_unit(self, whole: Mapping[str, Any], state: State) -> None:
        for path in [self.name, *_layers(whole)]:
            if not mountunit.spellable(path):
                raise StrataError(
                    "can't be written in a mount unit, for its quotes, backslashes or blanks at an end",
                    option="persistent",
                    value=path,
                )
        if "volatile" in (whole.get("options") or ()):
            raise StrataError(
                "doesn't go with the option volatile: after a boot the kernel refuses such layers", option="persistent"
            )
        if state.facts.get("unit_type") not in (None, overlayfs.TYPE):
            raise StrataError(f"the unit {mountunit.name(self.name)} mounts something else there", option="persistent")

    def plan(self, state: State) -> Plan:
        covered = state.facts.get("covered")
        if covered and (self.target != "absent" or state.exists):
            raise StrataError(
                f"something else is mounted there: {', '.join(covered)}",
                option="path",
                value=self.name,
                hint="Unmount it, or name another path",
            )
        real = state.facts.get("real", {}).get(self.name, self.name)
        if real != self.name and self.target != "absent":
            raise StrataError(f"leads through a symbolic link; it is {real}", option="path", value=self.name)
        plan = self._draft(state)
        if _INTERRUPTS & set(plan.steps) and state.facts.get("users"):
            raise mounts.busy(self.name, state.facts["users"])
        return plan

    def _draft(self, state: State) -> Plan:
        if self.target == "unmounted" and not self.keeps(state) and not state.exists:
            return Plan(state=state)  # nothing would be left to be unmounted
        return super().plan(state)

    def keeps(self, state: State) -> bool:
        return bool(self.declared.get("persistent", state.facts.get("unit") is not None))

    # Doing.

    @staticmethod
    def _values(plan: Plan) -> dict[str, Any]:
        return {**plan.state.config, **plan.want}

    def _source(self, plan: Plan) -> str:
        owner = plan.state.owner if plan.state.exists else self.owner
        return overlayfs.TYPE if owner is None else f"{_SOURCE}{owner}"

    def _text(self, plan: Plan, old: str | None) -> str:
        values = self._values(plan)
        sets = {
            ("Unit", "RequiresMountsFor"): mountunit.mounts_for(_layers(values)),
            ("Mount", "What"): [self._source(plan)],
            ("Mount", "Where"): [self.name],
            ("Mount", "Type"): [overlayfs.TYPE],
            ("Mount", "Options"): [",".join([overlayfs.data(values), *overlayfs.flags(values)])],
            ("Install", "WantedBy"): [mountunit.LOCAL],
        }
        return mountunit.text(old, sets)

    def create(self, engine: mounts.Host, plan: Plan) -> None:
        self._make_directories(plan)
        if plan.want.get("persistent"):
            self._store(plan)

    def configure(self, engine: mounts.Host, plan: Plan) -> None:
        if plan.want.get("persistent", True):
            self._store(plan)
        else:
            mountunit.drop([mountunit.name(self.name)])

    def _store(self, plan: Plan) -> None:
        unit = mountunit.name(self.name)
        text = self._text(plan, files.read(f"{systemd.UNITS}/{unit}"))
        mountunit.store({unit: text}, enable=self._values(plan)["persistent"])

    def _make_directories(self, plan: Plan) -> None:
        values = self._values(plan)
        model = os.stat(values["lower"][0])
        for path in (values.get("upper"), values.get("work"), self.name):
            if path and not os.path.isdir(path):
                mounts.make_directory(path, self.owner)
                if path == values.get("upper"):  # what the merged directory itself looks like
                    os.chown(path, model.st_uid, model.st_gid)
                    os.chmod(path, model.st_mode & 0o7777)

    def start(self, engine: mounts.Host, plan: Plan) -> None:
        values = self._values(plan)
        self._make_directories(plan)
        if "volatile" in (values.get("options") or ()) and os.path.exists(self._note):
            overlayfs.forgive(values["work"])
        flags = sum(mounts.FLAGS[word] for word in overlayfs.flags(values))
        mounts.mount(self._source(plan), self.name, overlayfs.TYPE, flags, overlayfs.data(values))
        files.remove(self._note)

    @property
    def _note(self) -> str:
        return f"{_NOTES}/{mountunit.name(self.name)}"

    def stop(self, engine: mounts.Host, plan: Plan) -> None:
        live = plan.state.live or {}
        if "volatile" in live.get("options", ()):
            os.sync()
        for _mount in range(live.get("mounts", 0)):
            mounts.unmount(self.name)
        if "volatile" in live.get("options", ()):
            overlayfs.forgive(live["work"])

    def restart(self, engine: mounts.Host, plan: Plan) -> None:
        if plan.state.facts["unit"] is None:
            files.write(self._note, self._text(plan, None))  # a run that is killed here leaves what is to be mounted
        super().restart(engine, plan)

    def remove(self, engine: mounts.Host, plan: Plan) -> None:
        """Unmount, forget, and take away those of our directories that are empty; never a file."""
        self.stop(engine, plan)
        mountunit.drop([mountunit.name(self.name)])
        files.remove(self._note)
        values = {**plan.state.config, **(plan.state.live or {})}
        for path in (self.name, values.get("work"), values.get("upper")):
            if path and files.owner(path) is not None:
                with contextlib.suppress(OSError):  # it holds something
                    if path == values.get("work"):
                        os.rmdir(f"{path}/work")  # the kernel's own
                    os.rmdir(path)


def _layers(values: Mapping[str, Any]) -> list[str]:
    return [*(values.get("lower") or ()), *(path for path in (values.get("upper"), values.get("work")) if path)]
