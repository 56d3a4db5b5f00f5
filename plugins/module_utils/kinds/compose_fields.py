# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a project of Compose, and what follows from them without asking anybody."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ..core import policy
from ..core.codec import BOOL, INT, PATH, SETTINGS, TEXT, TEXTS, WORDS, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect
from ..engines import compose_project as project


def _parse_project(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", text):
        raise ValueError("is no name of a project: use a-z, 0-9, '_' and '-', and begin with a letter or digit")
    return text


def _parse_scale(values: Mapping[Any, Any]) -> dict[str, int]:
    scale = {}
    for name, value in values.items():
        if not re.fullmatch(r"\d+", str(value)):
            raise ValueError(f"says {value!r} of {name}, which is no number of containers")
        scale[str(name)] = int(value)
    return scale


def _policy(name: str, codec: Codec, **more: Any) -> Field:
    return Field(name, codec, role=Role.POLICY, **more)


def _derived(name: str, codec: Codec = SETTINGS, effect: Effect = Effect.LIVE, **more: Any) -> Field:
    return Field(name, codec, effect=effect, role=Role.DERIVED, **more)


PROJECT_NAME = Field("project_name", Codec(_parse_project), role=Role.NAME)


def compose_fields(*connect: Field) -> tuple[Field, ...]:
    """The options, with those that reach the engine."""
    return (
        PROJECT_NAME,
        policy.state("present", "started", "stopped", "restarted", "absent"),
        *connect,
        _policy("project_src", PATH),
        _policy("files", TEXTS),
        _policy("definition", Codec(dict, "dict", dict)),
        _policy("env_files", TEXTS),
        _policy("profiles", TEXTS),
        _policy("services", TEXTS),
        _policy("dependencies", BOOL, given=True),
        _policy("scale", Codec(_parse_scale, "dict", dict)),
        _policy("pull", TEXT, given="policy", choices=("always", "missing", "never", "policy")),
        _policy("build", TEXT, given="policy", choices=("always", "never", "policy")),
        _policy("recreate", TEXT, given="auto", choices=("always", "never", "auto")),
        _policy("renew_anon_volumes", BOOL, given=False),
        _policy("remove_orphans", BOOL, given=False),
        _policy("remove_images", TEXT, choices=("all", "local")),
        _policy("remove_volumes", BOOL, given=False),
        _policy("timeout", INT),
        _policy("wait", BOOL, given=False),
        _policy("wait_timeout", INT),
        _derived("config", effect=Effect.RECREATE),
        _derived("image", effect=Effect.RECREATE),
        _derived("containers"),
        _derived("health"),
        _derived("networks"),
        _derived("volumes"),
        _derived("orphans", WORDS, default=()),
        # What goes with a project that goes.
        _derived("kept_volumes", WORDS, default=()),
        _derived("kept_images", WORDS, default=()),
    )


def check(spec: Mapping[str, Any]) -> None:
    if "definition" in spec and "files" in spec:
        raise StrataError("can't go with definition", option="files")
    named = [path for option in ("files", "env_files") for path in spec.get(option, ())]
    if "project_src" not in spec and not all(path.startswith("/") for path in named):
        raise StrataError("is needed, because files are named relative to it", option="project_src")


def own_name(options: Mapping[str, Any]) -> str:
    """What a project calls itself that isn't given a name."""
    if options.get("definition"):
        name = options["definition"].get("name")
    else:
        folder = options.get("project_src")
        if not folder:
            raise StrataError("is needed, or project_src", option="project_name")
        files = options.get("files") or project.default_files(folder)
        said = [project.own_name(os.path.join(folder, one)) for one in files]
        name = next((one for one in reversed(said) if one), None) or project.folder_name(folder)
    if not name:
        raise StrataError("is needed, because the definition has no name", option="project_name")
    return str(PROJECT_NAME.decode(name))
