# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root file systems: made from what is declared, and made anew beside the old one when that changes."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import command, files, policy
from ..core.codec import BOOL, LINE, MAP, NAME, PATH, SIZE, TEXTS, WORDS, Codec, parse_path
from ..core.errors import StrataError
from ..core.field import Field, Role, table
from ..core.plan import Change, Effect, Plan, State
from ..core.resource import Resource, Thing
from ..engines import archives, bootstrap, mounts, notes, occupants, qcow2, trees
from .rootfs_sources import DEPENDENT, FORMATS, SOURCES, differs, extracted, relevant

_NOTED = "/var/lib/machines/*.strata.json"
_MAKES = frozenset({"create", "recreate"})


def _argv_lists(lists: Any) -> tuple[tuple[str, ...], ...]:
    if any(isinstance(words, str) or not words for words in lists):
        raise ValueError("is a list of programs, each a list of words")
    return tuple(tuple(str(word) for word in words) for words in lists)


def _check_word(words: Any) -> None:
    """Programs take what begins so for an option, or for their standard input."""
    for word in (words,) if isinstance(words, str) else words:
        if not word or word.startswith("-"):
            raise ValueError("must not be empty, and not begin with '-'")


def _check_extract(paths: Mapping[str, Any]) -> None:
    for path in [*paths, *paths.values()]:
        parse_path(path)


class Rootfs(Resource):
    kind = "rootfs"
    identity = "path"
    sample = "/"
    rank = 20
    listed = False
    busy = frozenset({"present"})
    fields = (
        Field("path", PATH, role=Role.NAME, required=True),
        policy.state("present", "absent"),
        policy.recreate(),
        Field("type", LINE, given="debootstrap", choices=tuple(SOURCES)),
        Field("format", LINE, given="directory", choices=tuple(FORMATS)),
        Field("size", SIZE),
        Field("suite", LINE, check=_check_word),
        Field("mirror", LINE, check=_check_word),
        Field("variant", LINE, default="minbase"),
        Field("components", TEXTS, default=("main",)),
        Field("keyring", PATH, public=True),
        Field("packages", WORDS, default=(), check=_check_word),
        Field("overlay", PATH, role=Role.POLICY),
        Field("overlay_digest", LINE, role=Role.DERIVED),
        Field("run", Codec(_argv_lists, "list", lambda lists: [list(words) for words in lists], "list"), default=()),
        Field("extract", MAP, default={}, check=_check_extract),
        Field("releasever", LINE),
        Field(
            "repositories",
            table(
                Field("name", NAME, required=True),
                Field("baseurl", LINE, required=True),
                Field("gpgcheck", BOOL, default=True),
                Field("gpgkey", LINE, public=True),
                key=lambda entry: str(entry["name"]),
            ),
        ),
        Field("source", LINE),
        Field("checksum", Codec(archives.parse_checksum)),
        Field("devices", BOOL, default=False),
        Field("setuid", BOOL, default=True),
        Field("max_size", SIZE, role=Role.POLICY),
        Field("validate_certs", BOOL, role=Role.POLICY),
        Field("authfile", PATH, role=Role.POLICY),
    )
    states = {"present": "present", "absent": "absent"}

    def check(self) -> None:
        if self.target == "absent":
            return
        spec, word = self.spec, self.spec["type"]
        source, format = SOURCES[word], FORMATS[spec["format"]]
        for option in source.needs:
            if not spec.get(option):
                raise StrataError("must be given", option=option, hint=f"type: {word} can't do without it")
        for option in sorted((DEPENDENT - source.options - {"size"}) & spec.keys()):
            raise StrataError(f"doesn't go with type: {word}", option=option, value=self.options.get(option))
        if format.sized != ("size" in spec):
            sized = " and ".join(name for name, one in FORMATS.items() if one.sized)
            raise StrataError(f"goes with format: {sized}, and only with them", option="size", value=spec.get("size"))
        if spec.get("variant") == "extract":  # mmdebstrap(1): extract hooks are the only ones that it runs
            for option in sorted({"overlay", "run", "extract"} & spec.keys()):
                raise StrataError("doesn't go with variant: extract", option=option, value=self.options[option])
        for repository in spec.get("repositories", ()):
            if repository.get("gpgcheck", True) and "gpgkey" not in repository:
                hint = "Name the gpgkey that its packages are signed with, or say gpgcheck: false"
                raise StrataError(f"has no key for {repository['name']}", option="repositories", hint=hint)
        if "source" in spec:
            try:
                source.check(spec["source"])
            except ValueError as error:
                raise StrataError(str(error), option="source", value=spec["source"]) from None
        if word == "oci" and spec.get("checksum", "sha256:").startswith("sha512:"):
            raise StrataError("is sha256 for images", option="checksum", value=spec["checksum"])

    def provides(self) -> list[Thing]:
        return [("path", self.name), *(("path", path) for path in self.spec.get("extract", ()))]

    def files(self) -> list[tuple[str, str]]:
        if self.target == "absent":
            return []
        paths = {"source": self._local, "overlay": self.spec.get("overlay"), "keyring": self.spec.get("keyring")}
        return [(option, path) for option, path in paths.items() if path]

    @property
    def _local(self) -> str | None:
        """What of the host its source is."""
        return SOURCES[self.spec["type"]].local(self.spec["source"]) if "source" in self.spec else None

    # Reading: a small file a name.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> None:
        return None

    @classmethod
    def read_many(cls, engine: Any, names: Iterable[str] | None) -> dict[str, State]:
        if names is None:
            names = [note[: -len(notes.beside(""))] for note in glob.glob(_NOTED)]
        return {path: cls._read(path) for path in names}

    @classmethod
    def _read(cls, path: str) -> State:
        if not os.path.lexists(path):
            note = notes.beside(path)
            return State(facts={"leftovers": [*_begun(path), *([note] if os.path.exists(note) else [])]})
        entry = notes.read(path)
        if entry is None or entry.get("kind", cls.kind) != cls.kind:
            return State("present")
        try:
            fields = cls.table.words
            options = {name: fields[name].decode(value) for name, value in entry["options"].items()}
        except (AttributeError, KeyError, StrataError):
            options = {}
        # What was made beside it may have gone, or another size been given to it, since.
        if "extract" in options:
            there = {target: source for target, source in options["extract"].items() if os.path.exists(target)}
            options["extract"] = there
        if "size" in options:
            image = qcow2.read(path)
            options.update({"size": image.size} if image else {})
        facts: dict[str, Any] = {"made": entry.get("made"), "looked_at": entry.get("looked_at")}
        facts["leftovers"] = _begun(path)
        return State("present", options, None, facts, entry.get("owner"))

    # Planning.

    def observe(self, engine: Any, state: State) -> State:
        if self.target == "absent":
            return self._with_users(state) if state.owner is not None else state
        facts = {**state.facts, "missing": self.missing()}
        overlay = self.spec.get("overlay")
        if overlay is not None and os.path.lexists(overlay):
            if not os.path.isdir(overlay):
                raise StrataError("is no directory", option="overlay", value=overlay)
            facts["overlay"] = trees.digest(overlay)
        if not facts["missing"]:
            facts.update(self._look_at_source(state))
        state = replace(state, facts=facts)
        steps = self._draft(state).steps
        if _MAKES & set(steps):
            self._refuse_host(state)
        return self._with_users(state) if "recreate" in steps else state

    def _with_users(self, state: State) -> State:
        return replace(state, facts={**state.facts, "users": occupants.users(self.name)})

    def _look_at_source(self, state: State) -> dict[str, Any]:
        """The checksum of a source that is on this host, and what its file was like when it was looked at."""
        source, named, local = SOURCES[self.spec["type"]], self.spec.get("source", ""), self._local
        algorithm = self.spec.get("checksum", "sha256:").partition(":")[0]
        if named and (local is None or not os.path.exists(local)):
            return {}  # it is elsewhere, or somebody makes it before it is this one's turn
        if local is None or not os.path.isfile(local):
            return {"checksum": source.checksum(named, algorithm)}
        info = os.stat(local)
        like = [local, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns]
        known = state.config.get("checksum")
        # A file that wasn't touched since is not read again: it may be gigabytes.
        if not (known and known.startswith(f"{algorithm}:") and state.facts.get("looked_at") == like):
            known = source.checksum(local, algorithm)
        return {"checksum": known, "looked_at": like}

    def _refuse_host(self, state: State) -> None:
        """What the host lacks."""
        source, format = SOURCES[self.spec["type"]], FORMATS[self.spec["format"]]
        if bootstrap.rootless() and not source.rootless:
            raise StrataError("needs root", option="type", value=self.spec["type"], hint="Become root (become: true)")
        for program, package in (*source.programs, *format.programs):
            command.need(program, package)
        above = os.path.dirname(self.name)
        if self.spec["format"] == "subvolume" and not trees.on_btrfs(above):
            raise StrataError(f"{above} is not on btrfs", option="format", value="subvolume")

    def settings(self, state: State) -> dict[str, Any]:
        values = super().settings(state)
        if "overlay" in state.facts:
            values["overlay_digest"] = state.facts["overlay"]
        if values.get("checksum", "") is None:  # once declared and no more: it is then whichever it has
            del values["checksum"]
        checksum = state.facts.get("checksum")
        if checksum:
            if values.get("checksum") not in (None, checksum):
                raise differs(values["checksum"], checksum)
            values["checksum"] = checksum
        return values

    def _draft(self, state: State) -> Plan:
        plan = super().plan(state)
        leftovers = state.facts.get("leftovers")
        if plan.steps or not leftovers:
            return plan  # whatever it does, it clears them away
        change = Change("leftovers", [os.path.basename(path) for path in leftovers], None, Effect.LIVE)
        return replace(plan, changes=(*plan.changes, change), steps=("clear",))

    def plan(self, state: State) -> Plan:
        plan = self._draft(state)
        if {"recreate", "remove"} & set(plan.steps):
            if state.exists and state.owner is None:
                raise StrataError(
                    "is there, and wasn't made by this collection",
                    hint="Move it out of the way, or name another path",
                    option="path",
                    value=self.name,
                )
            if state.facts.get("users"):
                raise mounts.busy(self.name, state.facts["users"])
        if _MAKES & set(plan.steps):
            for option, path in state.facts.get("missing", ()):
                raise StrataError("is not there", option=option, value=path, hint="Make it first")
        return plan

    # Doing.

    def create(self, engine: Any, plan: Plan) -> None:
        self._make(plan.want, plan, anew=False)

    def recreate(self, engine: Any, plan: Plan) -> None:
        values = {**plan.state.config, **plan.want}
        if "checksum" not in plan.want:
            values.pop("checksum", None)  # it says what the old one was made from
        self._make(values, plan, anew=True)

    def _make(self, values: Mapping[str, Any], plan: Plan, *, anew: bool) -> None:
        with trees.held(self.name) as lock:
            if not anew and os.path.lexists(self.name):
                return  # somebody else made it while we waited; whether as declared, verifying tells
            self._sweep()
            work = self._work(lock)
            try:
                made, whole = self._build({**values, **self._policies}, work)
                self._put(made, work, whole, plan)
            except StrataError as error:
                if error.option and error.value is None:
                    error.value = self.options.get(error.option)
                raise
            finally:
                self._sweep()

    def _work(self, *handles: int) -> trees.Work:
        return trees.Work(_fresh(self.name), handles, bootstrap.rootless())

    @property
    def _policies(self) -> dict[str, Any]:
        names = [field.name for field in self.fields if field.role is Role.POLICY and field.name in DEPENDENT]
        return {name: self.spec[name] for name in names if name in self.spec}

    def _build(self, values: Mapping[str, Any], work: trees.Work) -> tuple[str, dict[str, Any]]:
        """Make everything in the folder beside the path, and say what is to be put in its place, with its values."""
        values = relevant(values)
        source, format = SOURCES[values["type"]], FORMATS[values["format"]]
        os.mkdir(work.folder, 0o700)
        if source.trusted:
            os.chmod(work.folder, 0o755)
        if values["format"] == "subvolume":
            trees.make_subvolume(work.tree)
        elif not bootstrap.rootless():
            os.mkdir(work.tree)
        if os.path.isdir(work.tree):
            os.chmod(work.tree, 0o755)
        checksum = source.build(values, work)
        if checksum and not values.get("checksum"):
            values["checksum"] = checksum
        return format.finish(values, work), values

    def _put(self, made: str, work: trees.Work, values: Mapping[str, Any], plan: Plan) -> None:
        """Have what was made change places with what is there."""
        trees.sync(work.folder)
        users = occupants.users(self.name) if plan.state.exists else []
        if users:  # they came while it was made
            raise mounts.busy(self.name, users)
        settings = {field.name for field in self.fields if field.role in (Role.SETTING, Role.DERIVED)}
        shown = {name: self.field(name).show(value) for name, value in values.items() if name in settings}
        owner = self.owner if plan.state.owner is None else plan.state.owner
        entry = {
            "owner": owner,
            "options": {name: value for name, value in shown.items() if value is not None},
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "looked_at": plan.state.facts.get("looked_at"),
        }
        notes.announce(self.name, made, entry)
        for place, (target, _inner) in extracted(values, work).items():
            archives.copy(place, target)
            files.set_owner(target, owner)
        trees.swap(made, self.name)
        notes.settle(self.name)

    def remove(self, engine: Any, plan: Plan) -> None:
        with trees.held(self.name):
            self._sweep()
            if os.path.lexists(self.name):
                trees.put_aside(self.name, self._work())
            notes.forget(self.name)
            self._sweep()
            for target in plan.state.config.get("extract") or ():
                if files.owner(target) is not None:
                    files.remove(target)

    def clear(self, engine: Any, plan: Plan) -> None:
        with trees.held(self.name):
            self._sweep()
            if not os.path.lexists(self.name):
                notes.forget(self.name)

    def _sweep(self) -> None:
        """Take away what was begun and not finished."""
        for leftover in glob.glob(glob.escape(_fresh(self.name)) + "*"):
            trees.remove(leftover)


def _fresh(path: str) -> str:
    return f"{path}.strata-next"


def _begun(path: str) -> list[str]:
    """What a run that was killed has left, or one that is at work needs."""
    return sorted(glob.glob(glob.escape(_fresh(path)) + "*") + glob.glob(glob.escape(trees.lock(path))))
