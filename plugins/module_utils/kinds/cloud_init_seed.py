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
from ..engines import iso

_LABEL = "cidata"  # cloud-init: cloudinit/sources/DataSourceNoCloud.py
_LARGEST = 16 << 20  # bytes; what is larger is no seed
_FILES = {
    "user_data": "user-data",
    "vendor_data": "vendor-data",
    "meta_data": "meta-data",
    "network_config": "network-config",
}
# What user data may begin with (cloud-init: cloudinit/handlers/__init__.py, INCLUSION_TYPES_MAP).
_HEADS = (
    *("#cloud-config", "#!", "#include", "#upstart-job", "#part-handler", "#cloud-boothook", "## template:"),
    *("Content-Type:", "MIME-Version:", "#cloud-config-archive", "#cloud-config-jsonp"),
)
# authorized_keys(5): options, the type, the key, a comment.
_KEY = re.compile(r"(?:\S+ )?(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\S+|sk-\S+) [A-Za-z0-9+/=]+(?: .*)?")
_INSTANCE = "instance-id"


def _data(value: Any) -> Any:
    """User or vendor data: a mapping is cloud-config, a text is what its first line says."""
    if isinstance(value, Mapping):
        return _checked(dict(value))
    text = str(value)
    if not text.startswith(_HEADS):
        raise ValueError(
            "begins with nothing that cloud-init knows: give a mapping, or a text with #cloud-config first"
        )
    return text


def _checked(config: dict[str, Any]) -> dict[str, Any]:
    people = [one for one in config.get("users") or () if isinstance(one, Mapping)]
    for owner in (config, *people):
        keys = owner.get("ssh_authorized_keys") or ()
        for key in [keys] if isinstance(keys, str) else keys:
            if not _KEY.fullmatch(str(key).strip()):
                raise ValueError(f"has a key for SSH that is none: {str(key)[:40]!r}")
    # Whoever wants passwords over SSH says so.
    return {"ssh_pwauth": False, **config}


def _network(value: Any) -> dict[str, Any]:
    config = dict(value)
    if set(config) == {"network"} and isinstance(config["network"], Mapping):
        config = dict(config["network"])
    if config.get("version") not in (1, 2):
        raise ValueError("needs a version, 1 or 2")
    wanted = "config" if config["version"] == 1 else None
    if wanted and wanted not in config:
        raise ValueError("of version 1 has its entries in config")
    return config


def _mode(value: Any) -> int:
    text = str(value)
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise ValueError("is no mode: write it in quotes, as '0640'")
    return int(text, 8)


def _as_text(value: Any, head: str = "") -> str:
    """A mapping as JSON, which YAML is a superset of: the same text for the same content."""
    if isinstance(value, str):
        return value if value.endswith("\n") else f"{value}\n"
    return f"{head}{json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False)}\n"


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
        Field("user_data", Codec(_data, "raw"), role=Role.POLICY),
        Field("vendor_data", Codec(_data, "raw"), role=Role.POLICY),
        Field("meta_data", Codec(dict, "dict"), role=Role.POLICY, given={}),
        Field("network_config", Codec(_network, "dict"), role=Role.POLICY),
        Field("instance_id", LINE, role=Role.POLICY),
        Field("mode", Codec(_mode, "str", lambda mode: f"{mode:04o}"), effect=Effect.LIVE, given="0600"),
        *(Field(name, effect=Effect.LIVE, role=Role.DERIVED) for name in _FILES.values()),
        Field("image", effect=Effect.LIVE, role=Role.DERIVED),
    )

    # What was declared.

    def check(self) -> None:
        if self.target != "absent" and "user_data" not in self.spec:
            raise StrataError("is needed: it is what the machine is told", option="user_data")
        if _INSTANCE in self.spec["meta_data"]:
            raise StrataError("is the option instance_id", option="meta_data", value=_INSTANCE)

    def provides(self) -> list[Thing]:
        return [("path", self.name)]

    def contents(self) -> dict[str, bytes]:
        """The files of the seed."""
        heads = {"user_data": "#cloud-config\n", "vendor_data": "#cloud-config\n", "network_config": ""}
        given = {option: head for option, head in heads.items() if option in self.spec}
        texts = {_FILES[option]: _as_text(self.spec[option], head) for option, head in given.items()}
        told = hashlib.sha256(json.dumps([texts, self.spec["meta_data"]], sort_keys=True).encode()).hexdigest()
        # Another content is another instance, so that cloud-init does what it says.
        meta = {**self.spec["meta_data"], _INSTANCE: self.spec.get("instance_id", f"i-{told[:16]}")}
        texts[_FILES["meta_data"]] = _as_text(meta)
        return {name: text.encode() for name, text in texts.items()}

    def settings(self, state: State) -> dict[str, Any]:
        contents = self.contents()
        digests = {name: _digest(contents.get(name)) for name in _FILES.values()}
        return {**super().settings(state), **digests, "image": _digest(iso.build(_LABEL, contents))}

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
        config: dict[str, Any] = {name: _digest(contents.get(name)) for name in _FILES.values()}
        config |= {"mode": found.st_mode & 0o7777, "image": _digest(image)}
        facts: dict[str, Any] = {"label": label or None, "size": found.st_size, "files": sorted(contents)}
        try:
            meta = json.loads(contents.get("meta-data", b"{}"))
            facts["instance_id"] = meta.get(_INSTANCE)
        except (ValueError, AttributeError):
            facts["instance_id"] = None
        return State("present", config, facts=facts, owner=files.owner(path), document=contents)

    def plan(self, state: State) -> Plan:
        if state.exists and state.facts["label"] != _LABEL:
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
            if _FILES[option] in state.document:
                shown[option] = state.document[_FILES[option]].decode(errors="replace")
        for option in ("meta_data", "network_config"):
            try:
                shown[option] = json.loads(state.document[_FILES[option]])
            except (KeyError, ValueError):
                continue
        meta = shown.get("meta_data", {})
        return {**shown, "instance_id": meta.pop(_INSTANCE)} if _INSTANCE in meta else shown

    # What is to be done.

    def create(self, engine: Any, plan: Plan) -> None:
        owner = plan.state.owner if plan.state.exists else self.owner
        files.write(self.name, iso.build(_LABEL, self.contents()), plan.want["mode"], owned_by=owner)

    update = create

    def remove(self, engine: Any, plan: Plan) -> None:
        files.remove(self.name)
