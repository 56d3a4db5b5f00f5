# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes in libvirt's storage pools: what is in them is never lost unless it was said."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..core import policy
from ..core.codec import BOOL, LINE, NAME, PATH, SIZE, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Plan, State
from ..core.resource import Thing
from ..engines import archives, domain_xml
from ..engines.domain_xml import Leaf
from ..engines.libvirt_storage import Pool, Pools, Volume
from ..engines.libvirt_uri import DEFAULT
from ..engines.xml_leaves import Leaves
from . import libvirt_volume_sources as sources
from . import libvirt_xml
from .libvirt_xml import FromXml

FORMATS = ("raw", "qcow2", "qed", "vmdk", "vdi", "vpc", "vhdx")
_LAYERED = ("qcow2", "qed", "vmdk")


@dataclass
class Shelf:
    """A pool by its name, on a connection.

    Attributes:
        pool: The pool as it was when its volumes were read.
        places: What backing volumes were then, by what they are called: many are layers over the same one.
    """

    pools: Pools
    name: str
    pool: Pool | None = None
    places: dict[str, tuple[str, str | None] | None] = field(default_factory=dict)


_STEP = 1024  # bytes (storage_util.c: qemu-img is told a size in KiB)


def _named(value: str) -> None:
    if not value:
        raise ValueError("must not be empty")


# What libvirt tells of a volume, and where it chooses itself.
_LEAVES = Leaves(told=r"@.*|(key|physical|allocation|source|target/path|target/timestamps)\b.*")


class LibvirtVolume(FromXml):
    kind = "libvirt_volume"
    rank = 45
    fields = (
        policy.name(),
        policy.state("present", "absent"),
        Field("pool", NAME, role=Role.CONNECT, given="default"),
        Field("uri", LINE, role=Role.CONNECT, given=DEFAULT),
        Field("keep", BOOL, role=Role.POLICY, given=True),
        Field("format", LINE, Leaf("target/format", "type"), choices=FORMATS),
        Field("capacity", SIZE, Leaf("capacity", read=int, write=str), Effect.LIVE),
        Field("allocation", SIZE, role=Role.POLICY),
        Field("backing", LINE, Leaf("backingStore/path"), check=_named),
        Field("backing_format", LINE, role=Role.POLICY, choices=FORMATS),
        Field("path", PATH, Leaf("target/path"), export=False),
        Field("clone_from", LINE, role=Role.POLICY, check=_named),
        Field("upload_from", Codec(sources.parse), role=Role.POLICY),
        Field("checksum", Codec(archives.parse_checksum), role=Role.POLICY),
        Field("validate_certs", BOOL, role=Role.POLICY, given=True),
        Field("preallocation", LINE, role=Role.POLICY, choices=("off", "metadata", "full")),
        Field("force", BOOL, role=Role.POLICY, given=False),
        Field("wipe", BOOL, role=Role.POLICY, given=False),
        Field("xml", libvirt_xml.codec(_LEAVES), _LEAVES, role=Role.POLICY),
    )
    tag = "volume"
    states = {"present": "present", "absent": "absent"}
    busy = frozenset({"present"})

    # What was declared.

    def check(self) -> None:
        given = [option for option in ("backing", "clone_from", "upload_from") if option in self.spec]
        if len(given) > 1:
            raise StrataError(f"can't go with {given[0]}", option=given[1], value=self.spec[given[1]])
        if "backing" in self.spec and self._format not in _LAYERED:
            raise StrataError(
                f"needs a format that can have one, and {self._format} can't",
                option="backing",
                value=self.spec["backing"],
                hint="Write format: qcow2",
            )
        if "checksum" in self.spec and "upload_from" not in self.spec:
            raise StrataError("is that of upload_from, which is not given", option="checksum")
        if self.spec.get("preallocation") == "metadata" and (self._format != "qcow2" or "backing" in self.spec):
            raise StrataError(
                "can only be done to one in qcow2 that is no layer", option="preallocation", value="metadata"
            )
        if "path" in self.spec and os.path.basename(self.spec["path"]) != self.spec["name"]:
            raise StrataError("does not end with the volume's name", option="path", value=self.spec["path"])

    @property
    def _format(self) -> str:
        """The format of a new one: by its name, where it isn't given."""
        return str(self.spec.get("format") or ("qcow2" if str(self.spec["name"]).endswith(".qcow2") else "raw"))

    @property
    def _full(self) -> bool:
        """Whether all of it takes room at once."""
        return self.spec.get("preallocation") == "full"

    @property
    def pool(self) -> str:
        return str(self.spec["pool"])

    def provides(self) -> list[Thing]:
        made = [(self.kind, f"{self.pool}/{self.name}")]
        return [*made, ("path", self.spec["path"])] if "path" in self.spec else made

    def needs(self) -> list[Thing]:
        needed = [("libvirt_pool", self.pool), *super().needs()]
        for option in ("backing", "clone_from"):
            name = self.spec.get(option, "")
            if name.startswith("/"):
                needed.append(("path", name))
            elif name:
                needed.append((self.kind, name if "/" in name else f"{self.pool}/{name}"))
        return needed

    def files(self) -> list[tuple[str, str]]:
        source = self.spec.get("upload_from", "")
        return [("upload_from", source)] if self.target != "absent" and source.startswith("/") else []

    @classmethod
    def unfolded(cls, root: ET.Element, given: Mapping[str, Any]) -> dict[str, Any]:
        options = super().unfolded(root, given)
        options.pop("path", None)  # libvirt chooses it, whatever was written there
        form = root.find("backingStore/format")
        policies = {"allocation": root.findtext("allocation"), "backing_format": form is not None and form.get("type")}
        return {**options, **{option: value for option, value in policies.items() if value}}

    def covered(self, text: Any) -> set[str]:
        return {*super().covered(text), "backingStore/format", "backingStore/format@type"}

    def prunable(self, state: State) -> bool:
        return self.applied.get("keep") is False

    def settings(self, state: State) -> dict[str, Any]:
        want = {name: value for name, value in super().settings(state).items() if value is not None}
        if "backing" in want:
            want["backing"] = state.facts.get("backing_path") or want["backing"]
        if not state.exists:
            want.setdefault("format", self._format)
        elif 0 < (state.config["capacity"] or 0) - want.get("capacity", 0) < _STEP and "capacity" in want:
            want["capacity"] = state.config["capacity"]
        return want

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Shelf:
        return Shelf(Pools(spec.get("uri") or DEFAULT), spec.get("pool") or "default")

    @classmethod
    def read_many(cls, engine: Shelf, names: Iterable[str] | None) -> dict[str, State]:
        pool = engine.pool = engine.pools.pool(engine.name)
        engine.places.clear()
        if pool is None or not pool.active:
            return {}
        return {one.name: cls.state_of(one) for one in engine.pools.volumes(pool, names)}

    @classmethod
    def state_of(cls, one: Volume) -> State:
        """What a volume's XML says, in canonical values."""
        if one.unfinished:
            return State(facts={"unfinished": True})
        root = domain_xml.parse(one.xml)
        config = {field.name: field.at.get(root) for field in cls.fields if field.at}
        facts = {
            "path": root.findtext("target/path"),
            "type": root.get("type"),
            "allocation": int(root.findtext("allocation") or 0),
        }
        return State("present", config, facts=facts, owner=one.owner, document=(root, None))

    def observe(self, engine: Shelf, state: State) -> State:
        pools, pool, facts = engine.pools, engine.pool, dict(state.facts)
        if pool is not None:
            facts["pool"] = {"active": pool.active, "type": pool.type, "path": pool.path}
        if self.target == "absent":
            if state.exists:
                facts["users"] = pools.users(self.pool, self.name, facts["path"])
                facts["layers"] = pools.layers(self.pool, facts["path"])
            return replace(state, facts=facts)
        facts["missing"] = self.missing()
        if "backing" in self.spec:
            name = self.spec["backing"]
            if name not in engine.places:
                engine.places[name] = pools.place(self.pool, name)
            facts["backing_path"], facts["backing_format"] = engine.places[name] or (None, None)
        if "clone_from" in self.spec and not state.exists:
            facts["clone"] = pools.size(self.pool, self.spec["clone_from"])
        for _option, path in self.files() if not (state.exists or facts["missing"]) else ():
            facts["upload"] = sources.read(path)
            if facts["upload"] is not None:
                sources.check_sum(path, self.spec.get("checksum"))
        if state.exists and self.spec.get("capacity", state.config["capacity"]) != state.config["capacity"]:
            facts["users"] = pools.users(self.pool, self.name, facts["path"])
        return replace(state, facts=facts)

    # What is to be done.

    def plan(self, state: State) -> Plan:
        if self.target == "absent":
            return self._plan_removal(state)
        self._check_pool(state)
        plan = super().plan(state)
        if "create" in plan.steps:
            self._check_new(state)
            if state.facts.get("unfinished"):
                told = Change("unfinished", True, None, Effect.REMOVE)
                plan = replace(plan, changes=(told, *plan.changes))
        if "recreate" in plan.steps:
            wrong = ", ".join(change.name for change in plan.changes if change.effect is Effect.RECREATE)
            raise StrataError(
                f"exists with another {wrong}, and its data would be lost",
                hint="Remove it first (state: absent), or copy it into a new one (clone_from)",
            )
        if state.exists and "capacity" in plan.want:
            self._check_size(state, plan)
        return plan

    def _plan_removal(self, state: State) -> Plan:
        plan = super().plan(state)
        if state.facts.get("unfinished"):
            told = Change("unfinished", True, None, Effect.REMOVE)
            return Plan((told,), steps=("remove",), state=state)
        if plan:
            # Those of the same stack may go before it does: whether they did shows when it is its turn.
            users = state.facts.get("users", {})
            self._refuse_users(name for name, owner in users.items() if not self.owner or owner != self.owner)
            if not self.owner:
                self._refuse_layers(state.facts.get("layers", ()))
        return plan

    def _check_pool(self, state: State) -> None:
        if ("libvirt_pool", self.pool) in self.promised:
            return
        pool = state.facts.get("pool")
        if pool is None or not pool["active"]:
            what = "is no pool of libvirt's" if pool is None else "is a pool that is not active"
            hint = "Declare it before with libvirt_pool; virsh pool-list --all shows those that there are"
            raise StrataError(what, option="pool", value=self.pool, hint=hint)
        path = self.spec.get("path")
        if path is not None and pool["path"] and os.path.dirname(path) != pool["path"]:
            raise StrataError(f"is not in the pool, which is in {pool['path']}", option="path", value=path)

    def _check_new(self, state: State) -> None:
        facts = state.facts
        for option, path in facts.get("missing", ()):
            raise StrataError("there is no such file on this host", option=option, value=path)
        for option, known in (("backing", facts.get("backing_path")), ("clone_from", facts.get("clone"))):
            promised = any(thing[0] != "libvirt_pool" for thing in self.promised)
            own_path = option == "backing" and self.spec.get(option, "").startswith("/")
            if option in self.spec and not known and not promised and not own_path:
                raise StrataError("is no volume", option=option, value=self.spec[option])
        if self.spec.get("backing", "").startswith("/") and not (
            facts.get("backing_format") or "backing_format" in self.spec
        ):
            # A format that is guessed lets a guest write a header that names any file of the host (CVE-2008-2004).
            raise StrataError("is needed for a backing file that is in no pool", option="backing_format")
        upload = facts.get("upload")
        if upload is not None:
            self._check_upload(upload)
        self._check_least((upload or {}).get("size") or facts.get("clone") or 0)
        if not {"capacity", "upload_from", "backing", "clone_from"} & set(self.spec):
            raise StrataError("is needed to make an empty volume", option="capacity")

    def _check_least(self, least: int) -> None:
        if self.spec.get("capacity", least) < least:
            raise StrataError(
                f"is less than what is copied ({least} bytes)",
                option="capacity",
                value=self.options["capacity"],
            )

    def _check_upload(self, upload: Mapping[str, Any]) -> None:
        if upload["format"] != self._format and "qcow2" in (upload["format"], self._format):
            raise StrataError(
                f"is {upload['format']}, and the volume is {self._format}",
                option="upload_from",
                value=self.spec["upload_from"],
                hint="Say so with format, or convert it first with qemu_image",
            )
        if upload["on"]:
            raise StrataError(
                f"has the backing file {upload['on']}, which would not come with it",
                option="upload_from",
                value=self.spec["upload_from"],
            )

    def _check_size(self, state: State, plan: Plan) -> None:
        if plan.want["capacity"] < state.config["capacity"] and not self.spec["force"]:
            raise StrataError(
                f"the volume has {state.config['capacity']} bytes already, and shrinking it would cut off data",
                option="capacity",
                value=self.options["capacity"],
                hint="Make what is in it smaller first, and then set force: true",
            )
        if plan:
            self._refuse_users(state.facts.get("users", ()), "virsh blockresize does it while they run")

    def _refuse_users(self, users: Iterable[str], hint: str = "Take the disk out of them first") -> None:
        named = ", ".join(sorted(users))
        if named:
            raise StrataError(f"is a disk of {named}", hint=hint)

    def _refuse_layers(self, layers: Iterable[str]) -> None:
        named = ", ".join(sorted(layers))
        if named:
            raise StrataError(
                f"is what {named} are layers over, and would be lost without it",
                hint="Remove them first",
            )

    def create(self, engine: Shelf, plan: Plan) -> None:
        pools = engine.pools
        if plan.state.facts.get("unfinished"):
            pools.remove(self.pool, self.name)
        elif pools.volume(self.pool, self.name) is not None:
            return  # it came with a pool that was just made, over a folder that was there: verifying holds it to this
        certain = self.spec["validate_certs"]
        with sources.at_hand(self.spec.get("upload_from"), self.spec.get("checksum"), certain) as file:
            upload = plan.state.facts.get("upload")
            if file is not None and upload is None:  # now that it is here
                upload = sources.read(file) or {}
                self._check_upload(upload)
                self._check_least(upload["size"])
            xml = self._document(pools, plan, upload)
            metadata = self.spec.get("preallocation") == "metadata"
            clone = self.spec.get("clone_from")
            pools.make(self.pool, xml, self.owner, clone=clone, upload=file, metadata=metadata)
        size = pools.size(self.pool, self.name) or 0
        if plan.want.get("capacity", 0) > size:  # a copy is as large as what it is of
            pools.resize(self.pool, self.name, plan.want["capacity"], allocate=self._full)

    def _document(self, pools: Pools, plan: Plan, upload: Mapping[str, Any] | None) -> str:
        root = ET.Element("volume")
        ET.SubElement(root, "name").text = self.name
        capacity = plan.want.get("capacity", 0)
        if upload:
            capacity = upload["size"] if plan.want["format"] == "qcow2" else max(capacity, upload["size"])
        if capacity or "backing" not in self.spec:  # a layer has the size of what it is over; so has a clone
            ET.SubElement(root, "capacity", {"unit": "bytes"}).text = str(capacity)
        allocation = capacity if self._full else self.spec.get("allocation")
        if allocation is None and (upload or self.spec.get("preallocation") == "off"):
            allocation = 0  # libvirt takes the room of a raw one at once where nothing is said
        if allocation is not None:
            ET.SubElement(root, "allocation", {"unit": "bytes"}).text = str(allocation)
        target = ET.SubElement(root, "target")
        if "format" in self.spec or plan.want["format"] != "raw":
            ET.SubElement(target, "format", {"type": plan.want["format"]})
        if "backing" in self.spec:
            path, form = pools.place(self.pool, self.spec["backing"]) or (self.spec["backing"], None)
            backing = ET.SubElement(root, "backingStore")
            ET.SubElement(backing, "path").text = path
            ET.SubElement(backing, "format", {"type": self.spec.get("backing_format") or form or "raw"})
        if "xml" in self.spec:
            covered = self.covered(self.options["xml"])
            _LEAVES.put(root, {path: text for path, text in self.spec["xml"].items() if path not in covered})
        return ET.tostring(root, encoding="unicode")

    def update(self, engine: Shelf, plan: Plan) -> None:
        shrink = plan.want["capacity"] < plan.state.config["capacity"]
        engine.pools.resize(self.pool, self.name, plan.want["capacity"], shrink=shrink, allocate=self._full)

    def remove(self, engine: Shelf, plan: Plan) -> None:
        path = plan.state.facts.get("path")
        if path is not None:
            self._refuse_users(engine.pools.users(self.pool, self.name, path))
            self._refuse_layers(engine.pools.layers(self.pool, path))
        engine.pools.remove(self.pool, self.name, wipe=self.spec["wipe"] or bool(self.applied.get("wipe")))
