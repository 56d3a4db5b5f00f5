# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of a Docker daemon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.plan import State
from ..engines.docker import DEFAULT
from ..engines.docker_images import DockerImages
from . import docker_abilities
from .container import Container
from .docker_fields import FIELDS


class DockerContainer(Container):
    kind = "docker_container"
    engine = "docker"
    fields = FIELDS

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> DockerImages:
        return DockerImages(spec.get("docker_host") or DEFAULT)

    def refuse(self, engine: DockerImages, state: State) -> None:
        docker_abilities.refuse(engine, self.spec, state)
