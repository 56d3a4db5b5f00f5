# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs in containers of a Docker daemon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.codec import LINE
from ..core.field import Field, Role
from ..engines.docker import DEFAULT
from ..engines.docker_inside import DockerInside
from . import container_exec

FIELDS = (*container_exec.FIELDS, Field("docker_host", LINE, role=Role.CONNECT, given=DEFAULT, aliases=("docker_url",)))


def run(spec: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    container_exec.argv_of(spec)
    return container_exec.run(DockerInside(spec["docker_host"]), spec, check_mode)
