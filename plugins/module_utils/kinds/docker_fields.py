# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of docker_container that say how to converge, and the list of all options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core import hardening, policy
from ..core.codec import BOOL, LINE, PATH, TEXT, WORDS, Codec, parse_bool, parse_name
from ..core.field import Field, Role
from ..engines.docker import DEFAULT
from .docker_fields_limits import LIMITS
from .docker_fields_networks import NETWORKS
from .docker_fields_process import PROCESS
from .docker_fields_security import SECURITY
from .docker_fields_storage import STORAGE

NEXT, PREVIOUS = ".strata-next", ".strata-previous"
"""What a replacement is called until it takes over, and what it replaces is called until that has proved itself."""

STRICT, IGNORE, MORE = COMPARISONS = ("strict", "ignore", "allow_more_present")


def parse_container(value: Any) -> str:
    name = parse_name(value)
    if len(name) < 2:
        raise ValueError("is too short: Docker wants two characters or more")
    if name.endswith((NEXT, PREVIOUS)):
        raise ValueError("ends like the names of containers that are being replaced")
    return name


def _word(*words: str, true: str, false: str) -> Codec:
    """One of some words; yes and no stand for two of them, as in tasks for other modules."""

    def parse(value: Any) -> str:
        text = str(value)
        if text in words:
            return text
        try:
            return true if parse_bool(text) else false
        except ValueError:
            raise ValueError(f"must be one of {', '.join(words)}, true or false") from None

    return Codec(parse)


def _parse_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError("is no number of seconds") from None


def _parse_comparisons(value: Mapping[Any, Any]) -> dict[str, str]:
    for option, word in value.items():
        if word not in COMPARISONS:
            raise ValueError(f"compares {option} by {word!r}: use {', '.join(COMPARISONS)}")
    if value.get("*") == MORE:
        raise ValueError(f"can't compare everything by {MORE}: * is {STRICT} or {IGNORE}")
    return {str(option): str(word) for option, word in value.items()}


FLOAT = Codec(_parse_float, "float")
FILE = Codec(PATH.parse, "path")


def _policy(name: str, codec: Codec = BOOL, given: Any = None, **more: Any) -> Field:
    return Field(name, codec, role=Role.POLICY, given=given, **more)


POLICY = (
    policy.name(Codec(parse_container)),
    policy.state("started", "present", "healthy", "stopped", "absent"),
    _policy("recreate", _word("never", "if_needed", "always", true="always", false="if_needed"), "if_needed"),
    _policy("restart", _word("never", "always", true="always", false="never"), "never"),
    policy.timeout(),
    Field("docker_host", LINE, role=Role.CONNECT, given=DEFAULT, aliases=("docker_url",)),
    _policy("hardening", TEXT, choices=hardening.PROFILES),
    _policy("hardening_exceptions", WORDS),
    _policy("pull", _word("never", "missing", "always", true="always", false="missing"), "missing"),
    _policy("pull_check_mode_behavior", TEXT, "image_not_present", choices=("image_not_present", "always")),
    _policy("image_comparison", TEXT, "desired-image", choices=("desired-image", "current-image")),
    _policy("image_label_mismatch", TEXT, "ignore", choices=("ignore", "fail")),
    _policy("image_name_mismatch", TEXT, "ignore", choices=("ignore", "recreate")),
    _policy("comparisons", Codec(_parse_comparisons, "dict", dict)),
    _policy("container_default_behavior", TEXT, "no_defaults", choices=("compatibility", "no_defaults")),
    _policy("command_handling", TEXT, "correct", choices=("compatibility", "correct")),
    _policy("default_host_ip", LINE),
    _policy("networks_cli_compatible", given=True),
    _policy("purge_networks"),
    _policy("env_file", FILE),
    _policy("paused"),
    _policy("detach"),
    _policy("cleanup", given=False),
    _policy("output_logs", given=False),
    _policy("force_kill", given=False, aliases=("forcekill",)),
    _policy("kill_signal", LINE),
    _policy("keep_volumes", given=True),
    _policy("removal_wait_timeout", FLOAT),
    _policy("healthy_wait_timeout", FLOAT, 300),
)

FIELDS = (*POLICY, *PROCESS, *LIMITS, *NETWORKS, *STORAGE, *SECURITY)
