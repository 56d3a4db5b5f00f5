# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails of chroot(2): a tree, and the mounts that programs in it count on, kept ready now and at boot."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ..core import files, policy
from ..core.codec import BOOL, PATH, TEXTS, Codec, parse_path
from ..core.errors import StrataError
from ..core.field import Field, Role, table
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource
from ..engines import inside, mounts, mountunit, systemd
from ..engines.unitfile import UnitFile
from .chroot_mounts import WORDS, Item, Seen, assign, clash, items, row, sorted_words
from .chroot_units import stored, unit_text


def _parse_words(words: Any) -> tuple[str, ...]:
    unknown = [str(word) for word in words if word not in WORDS]
    if unknown:
        raise ValueError(f"knows no {unknown[0]!r}: mounts are {', '.join(WORDS)}")
    return sorted_words(words)


def _parse_inside(value: Any) -> str:
    path = parse_path(value)
    if path == "/":
        raise ValueError("must be a place in the tree, not the tree itself")
    return path


class _Host(mounts.Host):
    """The mounts of this host, and the units of jails."""

    def __init__(self) -> None:
        super().__init__()
        self.units: dict[str, dict[str, UnitFile]] = {}


class Chroot(Resource):
    kind = "chroot"
    identity = "path"
    sample = "/nowhere"
    rank = 30
    layered = True
    states = {"mounted": "mounted", "unmounted": "unmounted", "absent": "absent"}
    moves = {("unmounted", "mounted"): ("start",), ("mounted", "unmounted"): ("stop",)}
    busy = frozenset({"mounted"})
    fresh_status = "unmounted"
    fields = (
        Field("path", PATH, role=Role.NAME, required=True),
        policy.state("mounted", "unmounted", "absent"),
        Field("mounts", Codec(_parse_words, "list", list, "str"), effect=Effect.LIVE, default=()),
        Field(
            "binds",
            table(
                Field("source", PATH, required=True),
                Field("path", Codec(_parse_inside), required=True),
                Field("read_only", BOOL, default=False),
                key=lambda entry: str(entry["path"]),
            ),
            effect=Effect.LIVE,
            default=(),
        ),
        Field("persistent", BOOL, effect=Effect.NEXT_BOOT, default=False),
        Field("extra", TEXTS, role=Role.DERIVED, effect=Effect.LIVE, default=()),
    )

    def check(self) -> None:
        if self.name == "/":
            raise StrataError("is the host itself", option="path", value="/", hint="Name the tree of the jail")
        two = clash(items(self.spec.get("mounts", ()), self.spec.get("binds", ())))
        if two:
            raise StrataError(f"{two[1].place} is taken by {two[0].word}", option="binds", value=two[1].place)

    def files(self) -> list[tuple[str, str]]:
        binds = self.spec.get("binds", ()) if self.target != "absent" else ()
        return [("path", self.name), *(("binds", row["source"]) for row in binds)]

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> _Host:
        return _Host()

    # Reading: mountinfo and the units once; a lookup a place, and one small file a name.

    @classmethod
    def read_many(cls, engine: _Host, names: Iterable[str] | None) -> dict[str, State]:
        engine.read()
        engine.units = {}
        for point in mountunit.names():
            unit = mountunit.name(point)
            file = UnitFile(files.read(f"{systemd.UNITS}/{unit}") or "")
            jail = mountunit.said(file, mountunit.NOTES, "Chroot")
            if jail:
                engine.units.setdefault(jail, {})[unit] = file
        if names is None:
            noted = os.listdir(mountunit.JAILS) if os.path.isdir(mountunit.JAILS) else []
            names = sorted({*engine.units, *(mountunit.unescape(name) for name in noted)})
        return {path: cls._read(engine, path) for path in names}

    @classmethod
    def _read(cls, engine: _Host, path: str, declared: Iterable[Mapping[str, Any]] = ()) -> State:
        units = engine.units.get(path, {})
        note = _note(path)
        kept = stored(units)
        known = [*kept["binds"], *(note or {}).get("binds", ()), *declared]
        seen = cls._look(engine.table, path, known)
        ours = {mount.id for one in seen for mount in (one.mount, *one.extra) if mount}
        live = {
            # What shows something that was replaced is there, too, and what it shows is too much.
            "mounts": sorted_words(one.item.word for one in seen if one.right or (one.extra and not one.mount)),
            "binds": tuple(row(one) for one in seen if (one.mount or one.extra) and not one.item.word),
            "extra": tuple(f"{mount.type} on {one.item.place}" for one in seen for mount in one.extra),
        }
        facts = {
            "units": sorted(units),
            "binds": known,
            "points": {one.item.place: one.point for one in seen if one.mount or one.extra},
            "others": {
                one.item.place: f"{one.other.type} from {one.other.source}"
                for one in seen
                if one.other and one.other.id not in ours
            },
            "root": [one.item.place for one in seen if one.point == path],
        }
        owner = note["owner"] if note else kept["owner"]
        if note or facts["points"]:
            config = kept["config"] if units else {**live, "extra": (), "persistent": False}
            return State("mounted", config, live, facts, owner)
        return State("unmounted" if units else "absent", kept["config"] if units else {}, None, facts, owner)

    @staticmethod
    def _look(there: mounts.Table, path: str, binds: Iterable[Mapping[str, Any]]) -> list[Seen]:
        """What is at the places of all words and of some binds, in the order in which they are mounted."""
        wanted = list(dict.fromkeys(items(WORDS, sorted(binds, key=lambda entry: str(entry["path"])))))
        try:
            with inside.tree(path) as top:
                if os.readlink(f"/proc/self/fd/{top}") != path:
                    return []  # it leads through a link, or goes right now
                return assign(there, path, {item: inside.real(top, item.place) for item in wanted})
        except OSError:
            return []  # there is no tree

    # Planning.

    def observe(self, engine: _Host, state: State) -> State:
        if self.target == "absent":
            seen = state
        else:
            if self.spec.get("persistent"):
                systemd.need("persistent")
            seen = self._read(engine, self.name, self.spec.get("binds", ()))
        real = {entry["source"]: os.path.realpath(entry["source"]) for entry in self.spec.get("binds", ())}
        facts = {**seen.facts, "missing": self.missing(), "real": {self.name: os.path.realpath(self.name), **real}}
        seen = replace(seen, facts=facts)
        tops = self._taken_down(seen)
        return replace(seen, facts={**facts, "users": mounts.users(tops)}) if tops else seen

    def _taken_down(self, state: State) -> list[str]:
        """The places on the host at which something is to be unmounted."""
        plan, live = self._draft(state), state.live
        if live is None or not {"stop", "remove", "update"} & set(plan.steps):
            return []
        keep = self._kept(plan) if "update" in plan.steps else []
        going = {item.place for item in items(WORDS, state.facts["binds"]) if item not in keep}
        going |= {text.partition(" on ")[2] for text in live["extra"]}
        return [point for place, point in state.facts["points"].items() if place in going]

    def keeps(self, state: State) -> bool:
        return bool(self.declared.get("persistent", state.facts.get("units")))

    def settings(self, state: State) -> dict[str, Any]:
        values = {**super().settings(state), "extra": ()}
        if values.get("binds"):
            had = {(entry["source"], entry["path"]): entry for entry in (state.live or state.config).get("binds", ())}
            known = (had.get((entry["source"], entry["path"]), {"read_only": False}) for entry in values["binds"])
            values["binds"] = tuple({**old, **entry} for old, entry in zip(known, values["binds"]))
        self._refuse(items(*self._both({**(state.live or state.config), **values})), values, state)
        return values

    @staticmethod
    def _both(values: Mapping[str, Any]) -> tuple[Any, Any]:
        return values.get("mounts") or (), values.get("binds") or ()

    def _refuse(self, wanted: list[Item], values: Mapping[str, Any], state: State) -> None:
        for option, path in state.facts["missing"]:
            raise StrataError("is not there", option=option, value=path, hint="Make it first")
        for path, real in state.facts["real"].items():
            if path != real and ("path", path) not in self.promised:
                option = "path" if path == self.name else "binds"
                raise StrataError(f"leads through a symbolic link; it is {real}", option=option, value=path)
        for item in wanted:
            option = "mounts" if item.word else "binds"
            if item.place in state.facts["others"]:
                other = state.facts["others"][item.place]
                raise StrataError(f"something else is mounted at its {item.place}: {other}", option=option)
            if item.place in state.facts["root"]:
                raise StrataError(f"{item.place} of the tree is a link to the tree itself", option=option)
        if values.get("persistent"):
            if not wanted:
                raise StrataError("there is nothing to keep", option="persistent", hint="Give mounts or binds")
            for path in [self.name, *(text for item in wanted for text in (item.place, item.source))]:
                if path and not mountunit.spellable(path):
                    raise StrataError("can't be written in a mount unit", option="persistent", value=path)

    def plan(self, state: State) -> Plan:
        plan = self._draft(state)
        if state.facts.get("users"):
            raise mounts.busy(self.name, state.facts["users"])
        return plan

    def _draft(self, state: State) -> Plan:
        if self.target == "unmounted" and not self.keeps(state) and not state.exists:
            return Plan(state=state)  # nothing would be left to be unmounted
        return super().plan(state)

    # Doing.

    def _wanted(self, plan: Plan) -> list[Item]:
        state = plan.state
        return items(*self._both({**(state.config if state.live is None else state.live), **plan.want}))

    def _kept(self, plan: Plan) -> list[Item]:
        """What isn't taken down: what is wanted, and what nobody asks for where it isn't managed."""
        return [*self._wanted(plan), *([] if "mounts" in plan.want else WORDS.values())]

    def _owner(self, plan: Plan) -> str | None:
        return plan.state.owner if plan.state.exists else self.owner

    def create(self, engine: _Host, plan: Plan) -> None:
        if plan.want.get("persistent"):
            self._store(plan)

    def configure(self, engine: _Host, plan: Plan) -> None:
        if plan.want.get("persistent", True):
            self._store(plan)
        else:
            mountunit.drop(plan.state.facts["units"])

    def _store(self, plan: Plan) -> None:
        """Write a unit for each mount, and take those away that are no longer declared."""
        values = {**plan.state.config, **plan.want}
        units = {}
        with self._tree() as top:
            for item in items(*self._both(values)):
                with inside.place(top, item.place, self._writable(top), directory=item.directory):
                    point = inside.real(top, item.place) or self.name + item.place
                unit = mountunit.name(point)
                old = files.read(f"{systemd.UNITS}/{unit}")
                units[unit] = unit_text(old, item, self.name, point, self._owner(plan))
        mountunit.store(units, enable=values["persistent"])
        mountunit.drop([unit for unit in plan.state.facts["units"] if unit not in units])

    @contextmanager
    def _tree(self) -> Iterator[int]:
        try:
            with inside.tree(self.name) as top:
                yield top
        except OSError as error:
            raise StrataError(f"the tree {self.name} is no directory: {error.strerror}", option="path") from None

    def _writable(self, top: int, seen: Iterable[Seen] | None = None) -> set[int]:
        """The mounts in which a mount point may be made: the tree's own, and what is mounted empty for it."""
        seen = self._look(mounts.table(), self.name, ()) if seen is None else seen
        return {inside.mount_id(top), *(one.mount.id for one in seen if one.mount and one.item.type == "tmpfs")}

    def start(self, engine: _Host, plan: Plan) -> None:
        self._bring(plan)

    def update(self, engine: _Host, plan: Plan) -> None:
        self._bring(plan)

    def _bring(self, plan: Plan) -> None:
        """Take down what is too much, then mount what is missing."""
        wanted = self._wanted(plan)
        had = plan.state.facts["binds"]
        binds = [row(Seen(item, None)) for item in wanted if not item.word]
        self._write_note(plan, [*had, *binds])
        with self._tree() as top:
            self._take_down(top, [*had, *binds], self._kept(plan))
            for item in wanted:
                self._mount(top, item, self._owner(plan))
        self._write_note(plan, binds)

    def _write_note(self, plan: Plan, binds: list[dict[str, Any]]) -> None:
        text = json.dumps({"owner": self._owner(plan), "binds": binds}) + "\n"
        path = f"{mountunit.JAILS}/{mountunit.escape(self.name)}"
        if files.read(path) != text:
            files.write(path, text)

    def _mount(self, top: int, item: Item, owner: str | None) -> None:
        found = self._look(mounts.table(), self.name, [] if item.word else [row(Seen(item, None))])
        seen = next((one for one in found if one.item == item), Seen(item, None))
        if seen.right:
            return
        with inside.place(top, item.place, self._writable(top, found), directory=item.directory) as handle:
            if os.readlink(f"/proc/self/fd/{handle}") == self.name:
                raise StrataError(f"{item.place} of the tree is a link to the tree itself")
            if seen.mount:
                if inside.mount_id(handle) == seen.mount.id:  # else it went meanwhile, and verifying tells
                    mounts.set_flags(handle, item.flags, clear=() if "ro" in item.flags else ("ro",))
            elif item.is_bind:
                mounts.bind(os.path.realpath(item.source), handle, item.flags)
            else:
                source = item.type if owner is None else f"strata:{owner}"
                flags = sum(mounts.FLAGS[word] for word in item.flags)
                mounts.mount(source, f"/proc/self/fd/{handle}", item.type, flags, item.data)

    def _take_down(self, top: int, binds: list[dict[str, Any]], keep: list[Item]) -> None:
        """Unmount in reverse order: what isn't to be kept, and whatever is on top of what is."""
        while True:
            # Looked at anew each time: what was unmounted may have hidden something.
            seen = self._look(mounts.table(), self.name, binds)
            going = [one for one in seen if one.extra or (one.mount is not None and one.item not in keep)]
            if not going:
                return
            with inside.beside(top, str(going[-1].point)[len(self.name) :]) as place:
                mounts.unmount(place)

    def stop(self, engine: _Host, plan: Plan) -> None:
        if plan.state.facts["points"]:
            with self._tree() as top:
                self._take_down(top, plan.state.facts["binds"], keep=[])
        files.remove(f"{mountunit.JAILS}/{mountunit.escape(self.name)}")

    def remove(self, engine: _Host, plan: Plan) -> None:
        """Unmount and forget; the tree stays, and the mount points in it."""
        self.stop(engine, plan)
        mountunit.drop(plan.state.facts["units"])


def _note(path: str) -> dict[str, Any] | None:
    try:
        note: dict[str, Any] = json.loads(files.read(f"{mountunit.JAILS}/{mountunit.escape(path)}") or "")
    except ValueError:
        return None
    return note
