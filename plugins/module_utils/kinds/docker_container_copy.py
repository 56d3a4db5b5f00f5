# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in containers of a Docker daemon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.codec import LINE
from ..core.field import Field, Role
from ..engines.docker import DEFAULT
from ..engines.docker_inside import DockerInside
from .container_copy import ContainerCopy, copy_fields


class DockerContainerCopy(ContainerCopy):
    kind = "docker_container_copy"
    fields = copy_fields(Field("docker_host", LINE, role=Role.CONNECT, given=DEFAULT, aliases=("docker_url",)))

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> DockerInside:
        return DockerInside(spec.get("docker_host") or DEFAULT)
