# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an image is built: the options of its builders, and the secrets that a build may read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ..core.codec import BOOL, LINE, PATH, SIZE, TEXT, TEXTS, Codec
from ..core.errors import StrataError
from ..core.field import Field, table
from ..engines.docker_networks import OPTIONS


def _parse_inside(value: Any) -> str:
    path = os.path.normpath(str(value))
    if os.path.isabs(path) or path.split("/")[0] == "..":
        raise ValueError("is outside of the context: name it relative to build.path")
    return path


def _parse_id(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(r"\w[\w.-]*", text, re.ASCII):
        raise ValueError("is no name of a secret: use letters, digits, '_', '.' and '-'")
    return text


def _parse_platforms(values: Any) -> tuple[str, ...]:
    listed = values.split(",") if isinstance(values, str) else values
    platforms = tuple(sorted({str(value).strip() for value in listed}))
    for platform in platforms:
        if not re.fullmatch(r"[a-z0-9]+(/[a-z0-9_.-]+){0,2}", platform):
            raise ValueError(f"names {platform!r}, which is no platform: write linux/arm64 or linux/arm/v7")
    return platforms


SECRETS = table(
    Field("id", Codec(_parse_id), required=True),
    Field("type", TEXT, choices=("file", "env", "value"), required=True),
    Field("src", PATH),
    Field("env", LINE),
    Field("value", secret=True),
    key=lambda secret: str(secret["id"]),
)
_GIVEN_AS = {"file": "src", "env": "env", "value": "value"}

BUILD = (
    Field("path", PATH, required=True),
    Field("dockerfile", Codec(_parse_inside)),
    Field("args", OPTIONS),
    Field("target", LINE),
    Field("labels", OPTIONS),
    Field("network", LINE),
    Field("platform", Codec(_parse_platforms, "list", list, "str")),
    Field("shm_size", SIZE),
    Field("cache_from", TEXTS),
    Field("cache_to", TEXTS),
    Field("etc_hosts", OPTIONS),
    Field("secrets", SECRETS, public=True),
    Field("nocache", BOOL),
    Field("pull", BOOL),
)

NO_MATTER = frozenset(
    {"path", "nocache", "pull", "cache_from", "cache_to", "secrets", "ssh", "builder", "outputs", "shm_size"}
)
"""What has no say in what comes out, or is told by itself."""


def check_secrets(build: Mapping[str, Any]) -> None:
    """Whether each secret has what its type says, and nothing else.

    Raises:
        StrataError: One doesn't.
    """
    for secret in build.get("secrets", ()):
        given = {option for option in _GIVEN_AS.values() if option in secret}
        if given != {_GIVEN_AS[secret["type"]]}:
            wanted = _GIVEN_AS[secret["type"]]
            said = f"of type {secret['type']} has {wanted}, and none of the others"
            raise StrataError(said, option="build.secrets", value=secret["id"])


def contents(build: Mapping[str, Any]) -> dict[str, bytes]:
    """What is in each secret, by its name.

    Raises:
        StrataError: It isn't to be had.
    """
    return {secret["id"]: _content(secret) for secret in build.get("secrets", ())}


def _content(secret: Mapping[str, Any]) -> bytes:
    where = {"option": "build.secrets", "value": secret["id"]}
    if secret["type"] == "value":
        return str(secret["value"]).encode()
    if secret["type"] == "env":
        found = os.environ.get(secret["env"])
        if found is None:
            raise StrataError(f"is to come from {secret['env']}, which isn't in the module's environment", **where)
        return found.encode()
    try:
        with open(secret["src"], "rb") as file:
            return file.read()
    except OSError as error:
        raise StrataError(f"is to come from {secret['src']}, which can't be read: {error.strerror}", **where) from None
