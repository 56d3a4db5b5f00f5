# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeds of cloud-init: what a virtual machine is told at its first boot, as a small disk (cloud-init: NoCloud)."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..core import files, policy
from ..core.codec import LINE, PATH, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource, Thing
from ..engines import iso, nocloud

_LARGEST = 16 << 20  # bytes; what is larger is no seed


def _mode(value: Any) -> int:
    text = str(value)
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise ValueError("is no mode: write it in quotes, as '0640'")
    return int(text, 8)


def _digest(text: bytes | str | None) -> str | None:
    if text is None:
        return None
    data = text if isinstance(text, bytes) else text.encode()
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class CloudInitSeed(Resource):
    kind = "cloud_init_seed"
    identity = "path"
    sample = "/"
    rank = 20
    listed = False
    states = {"present": "present", "absent": "absent"}
    fields = (
        Field("path", PATH, role=Role.NAME, required=True),
        policy.state("present", "absent"),
        Field("user_data", Codec(nocloud.parse_data, "raw"), role=Role.POLICY),
        Field("vendor_data", Codec(nocloud.parse_data, "raw"), role=Role.POLICY),
        Field("meta_data", Codec(dict, "dict"), role=Role.POLICY, given={}),
        Field("network_config", Codec(nocloud.parse_network, "dict"), role=Role.POLICY),
        Field("instance_id", LINE, role=Role.POLICY),
        Field("mode", Codec(_mode, "str", lambda mode: f"{mode:04o}"), effect=Effect.LIVE, given="0600"),
        *(Field(name, effect=Effect.LIVE, role=Role.DERIVED) for name in nocloud.FILES.values()),
        Field("image", effect=Effect.LIVE, role=Role.DERIVED),
    )

    # What was declared.

    def check(self) -> None:
        if self.target != "absent" and "user_data" not in self.spec:
            raise StrataError("is needed: it is what the machine is told", option="user_data")
        if nocloud.INSTANCE in self.spec["meta_data"]:
            raise StrataError("is the option instance_id", option="meta_data", value=nocloud.INSTANCE)

    def provides(self) -> list[Thing]:
        return [("path", self.name)]

    def contents(self) -> dict[str, bytes]:
        """The files of the seed."""
        return nocloud.contents(self.spec)

    def settings(self, state: State) -> dict[str, Any]:
        contents = self.contents()
        digests = {name: _digest(contents.get(name)) for name in nocloud.FILES.values()}
        return {**super().settings(state), **digests, "image": _digest(iso.build(nocloud.LABEL, contents))}

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> None:
        return None

    @classmethod
    def read_many(cls, engine: Any, names: Iterable[str] | None) -> dict[str, State]:
        return {path: cls._read(path) for path in names or ()}

    @staticmethod
    def _read(path: str) -> State:
        try:
            found = os.stat(path)
            with open(path, "rb") as file:
                image = file.read(_LARGEST + 1)
        except FileNotFoundError:
            return State()
        except OSError as error:
            raise StrataError(f"can't be read: {error.strerror}", option="path", value=path) from None
        try:
            read = iso.read(image) if len(image) <= _LARGEST else None
        except ValueError:
            read = None
        label, contents = read or ("", {})
        config: dict[str, Any] = {name: _digest(contents.get(name)) for name in nocloud.FILES.values()}
        config |= {"mode": found.st_mode & 0o7777, "image": _digest(image)}
        facts: dict[str, Any] = {"label": label or None, "size": found.st_size, "files": sorted(contents)}
        try:
            meta = json.loads(contents.get("meta-data", b"{}"))
            facts["instance_id"] = meta.get(nocloud.INSTANCE)
        except (ValueError, AttributeError):
            facts["instance_id"] = None
        return State("present", config, facts=facts, owner=files.owner(path), document=contents)

    def plan(self, state: State) -> Plan:
        if state.exists and state.facts["label"] != nocloud.LABEL:
            raise StrataError(
                "is something else than a seed of cloud-init",
                option="path",
                value=self.name,
                hint="Take it away, or choose another path",
            )
        return super().plan(state)

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        shown: dict[str, Any] = {"path": name, "mode": f"{state.config['mode']:04o}", "state": "present"}
        for option in ("user_data", "vendor_data"):
            if nocloud.FILES[option] in state.document:
                shown[option] = state.document[nocloud.FILES[option]].decode(errors="replace")
        for option in ("meta_data", "network_config"):
            try:
                shown[option] = json.loads(state.document[nocloud.FILES[option]])
            except (KeyError, ValueError):
                continue
        meta = shown.get("meta_data", {})
        return {**shown, "instance_id": meta.pop(nocloud.INSTANCE)} if nocloud.INSTANCE in meta else shown

    # What is to be done.

    def create(self, engine: Any, plan: Plan) -> None:
        owner = plan.state.owner if plan.state.exists else self.owner
        files.write(self.name, iso.build(nocloud.LABEL, self.contents()), plan.want["mode"], owned_by=owner)

    update = create

    def remove(self, engine: Any, plan: Plan) -> None:
        files.remove(self.name)
