# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of podman_container: those of docker_container, what Podman has otherwise, and what it alone has."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from ..core.codec import BOOL, LINE, NAME, Codec
from ..core.field import Field, Role
from ..engines import podman_at, podman_words
from ..engines.docker_at import host, number
from ..engines.docker_networks import parse_mode
from ..engines.docker_values import parse_security, set_of
from .docker_fields import FIELDS as DOCKERS

PIDS = 2048
"""How many processes a container may have where nobody said otherwise (containers.conf(5), pids_limit)."""

PODMAN = (
    Field("user_scope", NAME, role=Role.CONNECT),
    Field("podman_host", LINE, role=Role.CONNECT),
)
"""How Podman is reached, for every kind of its."""


def _parse_mode(value: Any) -> str:
    """A network by its name; all but the host's and none have a colon, as ``pasta:`` or ``container:web``."""
    text = parse_mode(value)
    if text == "bridge":
        return podman_words.USUAL_NETWORK
    return f"{text}:" if text in ("pasta", "slirp4netns", "private") else text


def _parse_userns(value: Any) -> str:
    text = str(value).strip()
    if text in ("", "host"):
        return ""
    if not re.fullmatch(r"keep-id(:[a-z0-9=,]+)?|auto(:size=\d+)?|nomap|(ns|container):.+", text):
        raise ValueError("is no mode: use keep-id, keep-id:uid=1000,gid=1000, auto, nomap, host, ns:PATH or nothing")
    return text


def _parse_security(text: str) -> list[str]:
    """As for Docker, but Podman reads a profile of seccomp from a file."""
    key, _separator, value = re.match(r"([^=:]*)([=:]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if key != "seccomp":
        return parse_security(text)
    if value != "unconfined" and not value.startswith("/"):
        raise ValueError(f"has {text[:60]!r}: Podman wants the path of the profile, as seccomp=/etc/seccomp.json")
    return [f"seccomp={value}"]


_USUAL = ({"name": podman_words.USUAL_NETWORK},)

# What Podman has otherwise: another form, another place or another value by itself.
_OTHERWISE: dict[str, dict[str, Any]] = {
    "pids_limit": {"at": podman_at.PIDS, "default": PIDS},
    "network_mode": {"codec": Codec(_parse_mode, show=lambda mode: mode.rstrip(":")), "default": _USUAL[0]["name"]},
    "networks": {"at": podman_at.NETWORKS, "default": _USUAL},
    "ipc_mode": {"codec": Codec(lambda value: str(value) or "shareable"), "default": "shareable"},
    "shm_size": {"default": podman_at.SHM_SIZE, "at": host("ShmSize", podman_at.SHM_SIZE)},
    "userns_mode": {"codec": Codec(_parse_userns)},
    "security_opts": {"codec": set_of(_parse_security), "at": podman_at.SECURITY_OPT},
    "stop_signal": {"codec": Codec(podman_words.signal_name)},
    "log_driver": {"default": "journald"},
    "runtime": {"default": "crun"},
    "cpus": {"at": podman_at.CPUS},
    "cpu_period": {"at": number("CpuPeriod"), "export": False},
    "cpu_quota": {"at": number("CpuQuota"), "export": False},
    "mounts": {"export": False},
}

_OWN = (
    Field("linger", BOOL, role=Role.POLICY, given=True),
    Field("pod", NAME, podman_at.POD, default="", export=False),
)

FIELDS = (
    *(replace(field, **_OTHERWISE.get(field.name, {})) for field in DOCKERS if field.name != "docker_host"),
    *PODMAN,
    *_OWN,
)
