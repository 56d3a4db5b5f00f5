# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeds of cloud-init (cloud-init: NoCloud): what may be in one, and the files that it is made of."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

LABEL = "cidata"  # cloud-init: cloudinit/sources/DataSourceNoCloud.py
FILES = {
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
INSTANCE = "instance-id"


def parse_data(value: Any) -> Any:
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


def parse_network(value: Any) -> dict[str, Any]:
    config = dict(value)
    if set(config) == {"network"} and isinstance(config["network"], Mapping):
        config = dict(config["network"])
    if config.get("version") not in (1, 2):
        raise ValueError("needs a version, 1 or 2")
    wanted = "config" if config["version"] == 1 else None
    if wanted and wanted not in config:
        raise ValueError("of version 1 has its entries in config")
    return config


def _as_text(value: Any, head: str = "") -> str:
    """A mapping as JSON, which YAML is a superset of: the same text for the same content."""
    if isinstance(value, str):
        return value if value.endswith("\n") else f"{value}\n"
    return f"{head}{json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False)}\n"


def contents(spec: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a seed.

    Args:
        spec: ``user_data``, ``vendor_data``, ``meta_data``, ``network_config`` and ``instance_id``, as parsed above;
            what isn't given has no file.
    """
    heads = {"user_data": "#cloud-config\n", "vendor_data": "#cloud-config\n", "network_config": ""}
    texts = {FILES[option]: _as_text(spec[option], head) for option, head in heads.items() if option in spec}
    meta = spec.get("meta_data", {})
    told = hashlib.sha256(json.dumps([texts, meta], sort_keys=True).encode()).hexdigest()
    # Another content is another instance, so that cloud-init does what it says.
    texts[FILES["meta_data"]] = _as_text({**meta, INSTANCE: spec.get("instance_id", f"i-{told[:16]}")})
    return {name: text.encode() for name, text in texts.items()}
