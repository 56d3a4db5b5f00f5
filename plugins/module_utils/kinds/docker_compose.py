# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects of Docker Compose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.codec import LINE
from ..core.field import Field, Role
from ..engines.compose import Compose
from ..engines.docker import DEFAULT
from .compose import ComposeProject
from .compose_fields import compose_fields


class DockerCompose(ComposeProject):
    kind = "docker_compose"
    family = "docker"
    fields = compose_fields(Field("docker_host", LINE, role=Role.CONNECT, given=DEFAULT, aliases=("docker_url",)))

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Compose:
        return Compose(spec.get("docker_host") or DEFAULT)
