# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage pools of libvirt, by the leaves of their XML that are declared. What is in them is never touched."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import policy
from ..core.codec import BOOL, INT, LINE, PATH, TEXT, WORDS, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role, structure
from ..core.plan import Effect, Plan, State
from ..core.resource import Thing
from ..engines.domain_xml import Leaf
from ..engines.libvirt_storage import FOLDERS, Pools
from ..engines.libvirt_uri import DEFAULT
from ..engines.network_values import Attributes
from ..engines.network_xml import Names
from ..engines.pool_xml import Hosts, MountOptions
from ..engines.xml_leaves import Leaves
from ..engines.xml_places import Group, Sole, yes, yes_no
from . import libvirt_xml
from .libvirt_stored import STATES, LibvirtStored

_MODE = re.compile(r"0[0-7]{3,4}")

# What each type can't be without: options, and leaves of the source.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "dir": ("path",),
    "fs": ("path", "source.devices"),
    "netfs": ("path", "source.hosts", "source.dir"),
    "logical": ("source.name",),
    "disk": ("path", "source.devices"),
    "iscsi": ("path", "source.hosts", "source.devices"),
    "iscsi-direct": ("source.hosts", "source.devices", "source.initiator"),
    "rbd": ("source.hosts", "source.name"),
    "gluster": ("source.hosts", "source.name"),
    "zfs": ("source.name",),
    "scsi": ("path", "source.adapter"),
    "mpath": ("path",),
    "vstorage": ("path", "source.name"),
}
_MOUNTED = ("fs", "netfs")
_NO_FOLDER = ("iscsi-direct", "rbd", "gluster")  # whose volumes the host has no paths for (storagepool.rng)


def _parse_mode(value: Any) -> str:
    text = str(value).strip()
    if not _MODE.fullmatch(text):
        raise ValueError("is no mode: write it in quotes and with its zero, as '0711'")
    return f"{int(text, 8):04o}"


# scsi_host is one of the host's own, fc_host one of N_Port ID virtualisation (formatstorage).
_ADAPTER = (
    Field("type", LINE, choices=("scsi_host", "fc_host")),
    Field("name", LINE),
    Field("parent", LINE),
    Field("wwnn", LINE),
    Field("wwpn", LINE),
)
_SOURCE = (
    Field("hosts", WORDS, Hosts(), default=()),
    Field("dir", LINE, Sole("dir", "path")),
    Field("devices", WORDS, Names("device", "path"), default=()),
    Field("name", LINE, Leaf("name")),
    Field("format", LINE, Sole("format", "type")),
    Field("adapter", structure(*_ADAPTER), Attributes("adapter")),
    Field("initiator", LINE, Sole("initiator/iqn", "name")),
    Field("protocol_version", LINE, Sole("protocol", "ver")),
    Field("auth_type", LINE, Sole("auth", "type"), choices=("chap", "ceph")),
    Field("auth_username", LINE, Sole("auth", "username")),
    Field("auth_secret", LINE, Sole("auth/secret", "usage"), public=True),  # the name of one
)


class LibvirtPool(LibvirtStored):
    kind = "libvirt_pool"
    rank = 40
    tag = "pool"
    skeleton = "<pool><name/></pool>"
    fields = (
        policy.name(),
        policy.state(*STATES),
        policy.restart(),
        Field("build", BOOL, role=Role.POLICY),
        Field("delete", BOOL, role=Role.POLICY, given=False),
        Field("uri", LINE, role=Role.CONNECT, given=DEFAULT),
        Field("type", TEXT, Leaf("", "type"), Effect.RECREATE, choices=tuple(_NEEDS)),
        Field("source", structure(*_SOURCE), Group("source", _SOURCE), Effect.RESTART),
        Field("path", PATH, Leaf("target/path"), Effect.RESTART),
        Field("mode", Codec(_parse_mode), Leaf("target/permissions/mode", read=_parse_mode), Effect.RESTART),
        Field("owner", INT, Leaf("target/permissions/owner", read=int, write=str), Effect.RESTART),
        Field("group", INT, Leaf("target/permissions/group", read=int, write=str), Effect.RESTART),
        Field("copy_on_write", BOOL, Leaf("features/cow", "state", yes, yes_no), Effect.RESTART),
        Field("mount_options", WORDS, MountOptions(), Effect.RESTART, default=()),
        Field("autostart", BOOL, effect=Effect.NEXT_BOOT, default=False),
        libvirt_xml.field(Leaves(told="(capacity|allocation|available)(@.*)?"), Effect.RESTART),
    )

    # What was declared.

    def needs(self) -> list[Thing]:
        secret = self.spec.get("source", {}).get("auth_secret")
        needed = [("path", self.spec["path"])] if "path" in self.spec else []
        return [*needed, ("libvirt_secret", secret)] if secret else needed

    def settings(self, state: State) -> dict[str, Any]:
        # What a pool has where nobody declared it is libvirt's choice, which no default of ours stands for.
        return {name: value for name, value in super().settings(state).items() if value is not None}

    @property
    def deletes(self) -> bool:
        """Whether what it is built on goes with it; what a stack prunes was declared so before."""
        return bool(self.spec["delete"] or self.applied.get("delete"))

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Pools:
        return Pools(spec.get("uri") or DEFAULT)

    @classmethod
    def facts_of(cls, root: ET.Element) -> dict[str, Any]:
        return {word: int(root.findtext(word) or 0) for word in ("capacity", "allocation", "available")}

    def observe(self, engine: Pools, state: State) -> State:
        state = super().observe(engine, state)
        if self.target != "absent" or not self.deletes or state.status != "active":
            return state
        return replace(state, facts={**state.facts, "volumes": engine.volume_names(self.name)})

    # What is to be done.

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        if "recreate" in plan.steps:
            raise StrataError(
                f"is a pool of type {state.config['type']}, and can't become another one",
                option="type",
                value=self.spec["type"],
                hint="Remove it first (state: absent keeps what is in it), or choose another name",
            )
        if "create" in plan.steps:
            self._refuse_incomplete()
            self._refuse_folder()
        if "remove" in plan.steps and self.deletes:
            self._refuse_delete(state)
        return plan

    def _refuse_incomplete(self) -> None:
        if "type" not in self.spec:
            raise StrataError("is needed to make a pool", option="type", hint="Write type: dir")
        for option in _NEEDS[self.spec["type"]]:
            outer, _dot, inner = option.partition(".")
            value = self.spec.get(outer)
            if not (value.get(inner) if inner and value else value):
                raise StrataError(f"is needed for a pool of type {self.spec['type']}", option=option)

    def _refuse_folder(self) -> None:
        if self.spec["type"] not in _MOUNTED and self.spec.get("mount_options"):
            raise StrataError("are those of a pool of type fs or netfs", option="mount_options")
        given = [option for option in ("path", "mode", "owner", "group") if self.spec.get(option) is not None]
        if self.spec["type"] in _NO_FOLDER and given:
            raise StrataError(
                f"is nothing that a pool of type {self.spec['type']} has",
                option=given[0],
                value=self.spec[given[0]],
                hint="Leave it out: its volumes are not on this host",
            )

    def _refuse_delete(self, state: State) -> None:
        if state.status != "active" and state.config.get("type") not in FOLDERS:
            raise StrataError(
                "can't be done to a pool that is not active: what is in it is not known",
                option="delete",
                hint="Start it first (state: active)",
            )
        if not self.owner:  # volumes of the same stack go first: whether they did shows when it is its turn
            self._refuse_volumes(state.facts.get("volumes", ()))

    def _refuse_volumes(self, volumes: Iterable[str]) -> None:
        named = ", ".join(sorted(volumes))
        if named:
            raise StrataError(
                f"would lose what is in it: {named}",
                option="delete",
                hint="Remove the volumes first, or leave delete out: then everything stays where it is",
            )

    def start(self, engine: Any, plan: Plan) -> None:
        folder = plan.want.get("type", plan.state.config.get("type")) in FOLDERS
        if folder and self.spec.get("build") is not False:
            engine.start_folder(self.name)
        elif self.spec.get("build"):
            engine.start_or_build(self.name)
        else:
            engine.start(self.name)

    def remove(self, engine: Any, plan: Plan) -> None:
        if self.deletes and plan.state.status == "active":
            self._refuse_volumes(engine.volume_names(self.name))
        engine.stop(self.name)
        if self.deletes:
            folder = plan.state.config.get("type") in FOLDERS
            engine.delete(self.name, plan.state.config.get("path") if folder else None)
        engine.undefine(self.name)
