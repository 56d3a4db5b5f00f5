# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of docker_container: what runs, and as what."""

from __future__ import annotations

from typing import Any

from ..core.codec import BOOL, INT, LINE, SETTINGS, TEXT, TEXTS, WORDS, Codec
from ..core.field import Field
from ..core.plan import Effect
from ..engines import docker_config as at
from ..engines import docker_limits, docker_values
from ..engines.docker_values_limits import HEALTHCHECK

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armhf": "arm/v7", "i386": "386"}


def _parse_platform(value: Any) -> str:
    """``os/architecture[/variant]`` in the words of image manifests; Linux and the first variant go without saying."""
    parts = str(value).lower().split("/")
    parts = parts if len(parts) > 1 or parts == ["linux"] else ["linux", *parts]
    if not 1 <= len(parts) <= 3 or not all(parts):
        raise ValueError("is no platform: write linux/amd64 or linux/arm/v7")
    parts[1:2] = _ARCHITECTURES.get(parts[1], parts[1]).split("/") if len(parts) > 1 else []
    text = "/".join(parts)
    return "linux/arm64" if text == "linux/arm64/v8" else text


def platform_of(image: Any) -> str:
    """That of an image, from ``inspect``."""
    parts = [image.get("Os") or "linux", image.get("Architecture"), image.get("Variant")]
    return _parse_platform("/".join(part for part in parts if part))


PROCESS = (
    Field("image", LINE, at.IMAGE),
    Field("platform", Codec(_parse_platform), export=False),
    Field("entrypoint", TEXTS, at.ENTRYPOINT, default=()),
    Field("command", docker_values.COMMAND, at.COMMAND, default=()),
    Field("working_dir", docker_values.FOLDER, at.WORKING_DIR, default=""),
    Field("env", docker_values.ENV, at.ENV, default={}),
    Field("labels", SETTINGS, at.LABELS, default={}),
    Field("user", LINE, at.USER, default=""),
    Field("groups", WORDS, at.GROUPS, default=()),
    Field("hostname", LINE, at.HOSTNAME, default=""),
    Field("domainname", LINE, at.DOMAINNAME, default=""),
    Field("init", BOOL, at.INIT, default=False),
    Field("interactive", BOOL, at.INTERACTIVE, default=False),
    Field("tty", BOOL, at.TTY, default=False),
    Field("healthcheck", HEALTHCHECK, at.HEALTHCHECK),
    Field("stop_signal", LINE, at.STOP_SIGNAL, default=""),
    Field("stop_timeout", INT, at.STOP_TIMEOUT),
    Field("auto_remove", BOOL, at.AUTO_REMOVE, default=False),
    Field(
        "restart_policy",
        TEXT,
        docker_limits.RESTART,
        Effect.LIVE,
        default="no",
        choices=("no", "on-failure", "always", "unless-stopped"),
    ),
    Field("restart_retries", INT, docker_limits.RETRIES, Effect.LIVE, default=0),
    Field("log_driver", LINE, at.LOG_DRIVER, default="json-file"),
    Field("log_options", SETTINGS, at.LOG_OPTIONS, default={}, aliases=("log_opt",)),
    Field("runtime", LINE, at.RUNTIME, default="runc"),
)
