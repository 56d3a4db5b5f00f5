# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import files, policy
from ..core.codec import BOOL, INT, LINE, PATH, SIZE, WORDS, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role, decode, structure
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource, Thing
from ..engines import archives, mounts, occupants, qcow2, qemu_img

NEXT = ".strata-next"
_RESTORED = "user.strata.restored"  # xattr(7)
_FORMATS = ("qcow2", "raw")
_FOREIGN = ("vmdk", "vdi", "vhdx", "vpc")  # can be copied from

_BACKING = (
    Field("path", PATH),
    # A format that is guessed lets a guest write a header that names any file of the host (CVE-2008-2004).
    Field("format", LINE, choices=_FORMATS),
)
_RESTORE = (Field("snapshot", LINE, required=True), Field("id", LINE, given=""))


def _parse_backing(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The image below; an empty mapping is none."""
    row = decode(_BACKING, entry)
    if len(row) == 1:
        raise ValueError("needs both path and format, or neither")
    return row or {"path": None, "format": None}


def _cluster_size(size: int | str) -> None:
    if isinstance(size, str) or size & (size - 1) or not 512 <= size <= 2 << 20:
        raise ValueError("must be a power of two from 512 to 2M")


def _refcount_bits(bits: int) -> None:
    if bits not in (1, 2, 4, 8, 16, 32, 64):
        raise ValueError("must be 1, 2, 4, 8, 16, 32 or 64")


def _snapshot_names(names: Iterable[str]) -> None:
    if "" in names:
        raise ValueError("has a snapshot without a name")


# What a qcow2 image is laid out by, as qemu-img spells it: those that can be changed in its place, and the others.
_AMENDED = (
    Field("compat", LINE, effect=Effect.LIVE, default="1.1", choices=("0.10", "1.1")),
    Field("lazy_refcounts", BOOL, effect=Effect.LIVE, default=False),
    Field("refcount_bits", INT, effect=Effect.LIVE, default=16, check=_refcount_bits),
)
_LAID_OUT = (
    Field("cluster_size", SIZE, default=65536, check=_cluster_size),
    Field("extended_l2", BOOL, default=False),
    Field("compression_type", LINE, default="zlib", choices=("zlib", "zstd")),
)
_OPTIONS = tuple(field.name for field in (*_AMENDED, *_LAID_OUT))
_QCOW2_ONLY = (*_OPTIONS, "snapshots", "restore")


class QemuImage(Resource):
    kind = "qemu_image"
    identity = "path"
    sample = "/"
    rank = 20
    listed = False
    fields = (
        Field("path", PATH, role=Role.NAME, required=True),
        policy.state("present", "absent"),
        Field("format", LINE, given="qcow2", choices=_FORMATS),
        Field("size", SIZE, effect=Effect.LIVE),
        Field("backing", replace(structure(*_BACKING), parse=_parse_backing), effect=Effect.LIVE),
        *_AMENDED,
        *_LAID_OUT,
        Field("snapshots", WORDS, effect=Effect.LIVE, default=(), export=False, check=_snapshot_names),
        Field("restore", structure(*_RESTORE), effect=Effect.LIVE, export=False),
        Field("preallocation", LINE, role=Role.POLICY, choices=("off", "metadata", "falloc", "full")),
        Field("convert_from", PATH, role=Role.POLICY),
        Field("convert_from_format", LINE, role=Role.POLICY, choices=(*_FORMATS, *_FOREIGN)),
        Field("checksum", Codec(archives.parse_checksum), role=Role.POLICY),
        Field("force", BOOL, role=Role.POLICY, given=False),
        Field("rebase", LINE, role=Role.POLICY, given="safe", choices=("never", "safe", "unsafe")),
        Field("convert", BOOL, role=Role.POLICY, given=False),
    )
    states = {"present": "present", "absent": "absent"}

    def check(self) -> None:
        given = self.spec
        if self.target == "absent":
            return
        only_qcow2 = [option for option in _QCOW2_ONLY if given.get(option) and given["format"] != "qcow2"]
        if self._backing() and given["format"] != "qcow2":
            only_qcow2.append("backing")
        if given.get("preallocation") == "metadata" and given["format"] != "qcow2":
            only_qcow2.append("preallocation")
        for option in only_qcow2:
            raise StrataError("only qcow2 images have that", option=option, value=self.options[option])
        if self._backing() and "convert_from" in given:
            raise StrataError("can't go with backing", option="convert_from", value=given["convert_from"])
        if self._backing().get("path") == given["path"]:
            raise StrataError("can't be the image itself", option="backing", value=given["path"])
        if given.get("lazy_refcounts") and given.get("compat") == "0.10":
            raise StrataError("needs compat: 1.1", option="lazy_refcounts", value=True)
        if "restore" in given and given["restore"]["snapshot"] not in given.get(
            "snapshots", [given["restore"]["snapshot"]]
        ):
            raise StrataError("is none of snapshots", option="restore", value=given["restore"]["snapshot"])
        if "convert_from_format" in given and "convert_from" not in given:
            raise StrataError("needs convert_from", option="convert_from_format", value=given["convert_from_format"])
        if "checksum" in given and not self.files():
            raise StrataError("needs convert_from or backing", option="checksum", value=given["checksum"])

    def settings(self, state: State) -> dict[str, Any]:
        # What was restored once stays so, when nobody declares it any more.
        return {name: value for name, value in super().settings(state).items() if name != "restore" or value}

    def _backing(self) -> dict[str, Any]:
        """What is declared to be below; empty for nothing."""
        declared = self.spec.get("backing") or {}
        return declared if declared.get("path") else {}

    def provides(self) -> list[Thing]:
        return [("path", self.name)]

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> None:
        return None

    @classmethod
    def read_many(cls, engine: Any, names: Iterable[str] | None) -> dict[str, State]:
        return {path: cls._read(path) for path in names or ()}

    @staticmethod
    def _read(path: str) -> State:
        image = qcow2.read(path)
        if image is None:
            return State()
        config: dict[str, Any] = {"format": image.format, "size": image.size}
        facts: dict[str, Any] = {"allocated": os.stat(path).st_blocks * 512}
        if image.format == "qcow2":
            config |= {option: getattr(image, option) for option in _OPTIONS}
            config["snapshots"] = tuple(sorted(set(image.snapshots)))
            config["restore"] = _restored_from(path)
            facts |= {"below": qcow2.below(image), "snapshots": list(image.snapshots), "encryption": image.encryption}
            facts |= {"corrupt": image.corrupt, "data_file": image.data_file}
        if image.backing:
            config["backing"] = {"path": image.backing, "format": image.backing_format}
        return State("present", config, facts=facts, owner=files.owner(path))

    def files(self) -> list[tuple[str, str]]:
        if self.target == "absent":
            return []
        sources = {"backing": self._backing().get("path"), "convert_from": self.spec.get("convert_from")}
        return [(option, path) for option, path in sources.items() if path]

    def observe(self, engine: Any, state: State) -> State:
        """What stands in the way is looked for where there is something to do."""
        changed = {change.field for change in super().plan(state).changes}
        facts: dict[str, Any] = {}
        if state.exists and changed:
            users = occupants.users(self.name) if self._hurts(state, changed) else []
            if not users and qemu_img.in_use(self.name):
                users = occupants.users(self.name) or ["a program of QEMU's, which holds its lock"]
            facts["users"] = users
        if self.target != "absent" and changed:
            facts["obstacles"] = list(self._obstacles(state, changed))
        return replace(state, facts={**state.facts, **{name: found for name, found in facts.items() if found}})

    def _hurts(self, state: State, changed: set[str]) -> bool:
        """Whether the changes do harm to others than QEMU as well, who has a lock: to a loop device, say."""
        return bool(changed - {"size", "snapshots"}) or self.spec.get("size", 0) < state.config.get("size", 0)

    def _obstacles(self, state: State, changed: set[str]) -> Iterable[tuple[str | None, Any, str]]:
        """What keeps a change from being made: the option, its value, the reason."""
        missing = dict(self.missing())
        if not state.exists:
            yield from ((option, path, "is not there") for option, path in missing.items())
            yield from self._wrong_sum()
        elif "backing" in changed and "backing" in missing and self.spec["rebase"] == "safe":
            yield "backing", missing["backing"], "is not there"
        below, base = self._backing(), None
        if below and ("path", below["path"]) not in self.promised:
            base = qcow2.read(below["path"])
        if base and below["format"] == "qcow2" != base.format:
            yield "backing", below["path"], "is no qcow2 image"
        if below and self.name in qcow2.below(base):
            yield "backing", below["path"], "lies on this image itself"
        gone = [path for path in state.facts.get("below", ()) if path.startswith("/") and not os.path.exists(path)]
        if gone and not ("backing" in changed and self.spec["rebase"] == "unsafe"):
            yield None, None, f"lies on {gone[0]}, which is gone: bring that back, or give backing and rebase: unsafe"

    def _wrong_sum(self) -> Iterable[tuple[str, str, str]]:
        wanted = self.spec.get("checksum")
        for _option, path in self.files():
            if wanted and os.path.exists(path):
                found = archives.file_checksum(path, wanted.partition(":")[0])
                if found != wanted:
                    yield "checksum", wanted, f"is not that of {path}, which has {found}"

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        if plan and state.facts.get("users"):
            raise mounts.busy(self.name, state.facts["users"])
        for option, value, reason in state.facts.get("obstacles", ()) if plan else ():
            raise StrataError(reason, option=option, value=value)
        if "create" in plan.steps and not self.files() and "size" not in self.spec:
            raise StrataError("is needed to make a new image", option="size")
        if plan.steps and state.exists and self.target != "absent":
            self._refuse(plan)
        restore = plan.want.get("restore") if "restore" in {change.field for change in plan.changes} else None
        there = state.config["snapshots"] if "snapshots" in state.config else plan.want.get("snapshots", ())
        if restore and restore["snapshot"] not in there:
            raise StrataError("is no snapshot of it", option="restore", value=restore["snapshot"])
        return plan

    def _refuse(self, plan: Plan) -> None:
        """Changes of an image that would lose data, that it can't take, or that nobody allowed."""
        state, changed = plan.state, {change.field for change in plan.changes}
        for fact, reason in (
            ("encryption", "is encrypted"),
            ("corrupt", "is marked as corrupt"),
            ("data_file", "has its data in another file"),
        ):
            if state.facts.get(fact):
                raise StrataError(
                    f"{self.name} {reason}: it is not touched", hint="Change it with qemu-img, if need be"
                )
        wrong = [change.name for change in plan.changes if change.effect is Effect.RECREATE]
        if wrong and not self.spec["convert"]:
            raise StrataError(
                f"exists with another {', '.join(wrong)}",
                hint="Give convert: true to have it written anew with the same content, or choose another path",
            )
        if wrong and state.config.get("snapshots"):
            raise StrataError(
                f"{self.name} has snapshots, which writing it anew would lose", option="convert", value=True
            )
        if "backing" in changed and self.spec["rebase"] == "never":
            raise StrataError("exists with another backing", hint="Give rebase: safe or unsafe")
        if plan.want.get("size", state.config["size"]) < state.config["size"] and not self.spec["force"]:
            raise StrataError(
                f"the disk has {state.config['size']} bytes already, and shrinking it would cut off data",
                option="size",
                value=self.options["size"],
                hint="Shrink what is on it first, and then give force: true",
            )

    # What is to be done.

    def create(self, engine: Any, plan: Plan) -> None:
        path, want = self.name, plan.want
        fresh = path + NEXT
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        except OSError as error:
            raise StrataError(f"could not make {os.path.dirname(path)}: {error.strerror}") from None
        if any(("path", path) in self.promised for _option, path in self.files()):
            for option, value, reason in self._wrong_sum():  # of what wasn't there when this was planned
                raise StrataError(reason, option=option, value=value)
        if "convert_from" in self.spec:
            known = self.spec.get("convert_from_format")
            self._convert(self.spec["convert_from"], fresh, {**want, "backing": None}, known)
        else:
            qemu_img.create(fresh, want["format"], want.get("size"), self._backing(), self._laid_out(want))
        self._bring(fresh, want)
        files.set_owner(fresh, self.owner)
        os.rename(fresh, path)

    def update(self, engine: Any, plan: Plan) -> None:
        self._bring(self.name, plan.want)

    def recreate(self, engine: Any, plan: Plan) -> None:
        """Write it anew, with what its guest sees, and whose it is."""
        path, state = self.name, plan.state
        fresh, was = path + NEXT, os.stat(path)
        values = {**state.config, **plan.want, "backing": state.config.get("backing")}
        self._convert(path, fresh, values, state.config["format"])
        self._bring(fresh, plan.want)
        os.chown(fresh, was.st_uid, was.st_gid)
        os.chmod(fresh, was.st_mode & 0o7777)
        if state.owner is not None:
            files.set_owner(fresh, state.owner)
        os.rename(fresh, path)

    def _convert(self, source: str, fresh: str, values: Mapping[str, Any], known: str | None) -> None:
        below = values.get("backing") if values["format"] == "qcow2" else None
        options = self._laid_out(values)
        qemu_img.convert(source, fresh, values["format"], source_format=known, backing=below, options=options)

    def _laid_out(self, values: Mapping[str, Any]) -> dict[str, str]:
        """What a new image is made with."""
        options = {name: values.get(name) for name in _OPTIONS if values["format"] == "qcow2"}
        return _spelled({**options, "preallocation": self.spec.get("preallocation")})

    def _bring(self, path: str, want: Mapping[str, Any]) -> None:
        """Make an image what is wanted, one thing after the other, each as it was or as it is to be."""
        now = self._read(path).config
        snapshots = now.get("snapshots", ())
        wanted = want.get("snapshots", snapshots)
        if want.get("restore") and want["restore"] != now["restore"]:
            if want["restore"]["snapshot"] in snapshots:  # else it is new, and as it is to be
                qemu_img.snapshot("-a", path, [want["restore"]["snapshot"]])
            _note_restored(path, want["restore"])
            now = self._read(path).config  # which may have another size
        qemu_img.snapshot("-d", path, sorted(set(snapshots) - set(wanted)))
        amended = {field.name: want[field.name] for field in _AMENDED if field.name in want}
        amended = {name: value for name, value in amended.items() if value != now.get(name)}
        if amended:
            qemu_img.amend(path, _spelled(amended))
        if "backing" in want and _pair(want["backing"]) != _pair(now.get("backing")):
            below = want["backing"] if _pair(want["backing"]) else None
            qemu_img.rebase(path, below, safe=self.spec["rebase"] == "safe")
        if "size" in want and want["size"] != now["size"]:
            qemu_img.resize(path, now["format"], want["size"], shrink=self.spec["force"])
        qemu_img.snapshot("-c", path, sorted(set(wanted) - set(snapshots)))

    def remove(self, engine: Any, plan: Plan) -> None:
        files.remove(self.name + NEXT)
        files.remove(self.name)


def _pair(backing: Mapping[str, Any] | None) -> tuple[str, str | None] | None:
    """The path and the format of the image below; None for nothing."""
    return (backing["path"], backing["format"]) if backing and backing["path"] else None


def _spelled(options: Mapping[str, Any]) -> dict[str, str]:
    """Options as qemu-img takes them; what is None is left to it."""
    words = {True: "on", False: "off"}
    return {
        name: words[value] if isinstance(value, bool) else str(value)
        for name, value in options.items()
        if value is not None
    }


def _restored_from(path: str) -> dict[str, str] | None:
    """Which snapshot an image was brought back to last, as a note on it says."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads(os.getxattr(path, _RESTORED)))
    return None


def _note_restored(path: str, restore: Mapping[str, str]) -> None:
    try:
        os.setxattr(path, _RESTORED, json.dumps(restore, sort_keys=True).encode())
    except OSError as error:
        raise StrataError(
            f"was done, but can't be noted on {path}: {error.strerror}",
            option="restore",
            hint="Keep the image on a file system with extended attributes",
        ) from None
