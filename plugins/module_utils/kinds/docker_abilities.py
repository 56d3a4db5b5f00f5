# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Docker daemon can't do: told before anything is touched, with the daemon's version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..core.errors import StrataError
from ..core.plan import State
from ..engines.docker import Docker, Document

# Since which version of the API an option is known (docs.docker.com/reference/api/engine/version-history).
_SINCE: tuple[tuple[str, str, tuple[int, int]], ...] = (
    ("healthcheck", "start_interval", (1, 44)),
    ("networks", "mac_address", (1, 44)),
    ("networks", "gw_priority", (1, 48)),
    ("mounts", "create_mountpoint", (1, 42)),
    ("mounts", "read_only_non_recursive", (1, 44)),
    ("mounts", "read_only_force_recursive", (1, 44)),
    ("mounts", "subpath", (1, 45)),
    ("mounts", "tmpfs_options", (1, 46)),
)
_TYPES_SINCE = {"cluster": (1, 42), "image": (1, 47)}


def _version_1(info: Document) -> bool:
    return str(info.get("CgroupVersion", "1")) == "1"


# What a daemon says of its host, and what of an option hangs on it (docs.docker.com/reference/api/engine, SystemInfo).
_ABLE: Mapping[str, tuple[Callable[[Document, Any], bool], str]] = {
    "kernel_memory": (
        lambda info, _value: bool(info.get("KernelMemory")),
        "has no limits of kernel memory: control groups of version 2 know none",
    ),
    "memory_swappiness": (
        lambda info, _value: _version_1(info),
        "has no swappiness of single containers: control groups of version 2 know none",
    ),
    "oom_killer": (
        lambda info, _value: bool(info.get("OomKillDisable")),
        "can't spare a container from the kernel's killer: control groups of version 2 don't",
    ),
    "memory_swap": (
        lambda info, _value: bool(info.get("SwapLimit")),
        "has no limits of swap: the kernel was booted without (swapaccount=1)",
    ),
    "runtime": (
        lambda info, value: value in (info.get("Runtimes") or {value}),
        "has no such runtime: docker info lists those that it has",
    ),
    "log_driver": (
        lambda info, value: value in ((info.get("Plugins") or {}).get("Log") or [value]),
        "has no such log driver: docker info lists those that it has",
    ),
}


def refuse(engine: Docker, spec: Mapping[str, Any], state: State) -> None:
    """Refuse options that this daemon, or its host, would not honour.

    Raises:
        StrataError: It names the option, the daemon and its version.
    """
    for option, leaf, since in _SINCE:
        if engine.api < since and any(row.get(leaf) for row in _rows(spec.get(option))):
            raise _too_old(engine, f"{option}.{leaf}", None, since)
    for row in spec.get("mounts", ()):
        since = _TYPES_SINCE.get(row["type"], (0, 0))
        if engine.api < since:
            raise _too_old(engine, "mounts.type", row["type"], since)
    for option, (able, reason) in _ABLE.items():
        # One that is there already was honoured, and the daemon isn't asked again.
        value = spec.get(option)
        if value and value != state.config.get(option) and not able(engine.info(), value):
            raise StrataError(f"{engine.title} {reason}", option=option, value=value, hint="Leave it out")


def _rows(value: Any) -> Iterable[Mapping[str, Any]]:
    return (value,) if isinstance(value, Mapping) else value or ()


def _too_old(engine: Docker, option: str, value: Any, since: tuple[int, int]) -> StrataError:
    wanted = ".".join(str(part) for part in since)
    said = f"{engine.title} doesn't know it: it came with API {wanted}"
    return StrataError(said, option=option, value=value, hint="Leave it out, or take a newer Docker")
