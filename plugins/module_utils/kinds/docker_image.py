# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of a Docker daemon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.codec import LINE
from ..core.field import Field, Role
from ..engines import docker_build
from ..engines.docker import DEFAULT
from ..engines.docker_images import DockerImages
from .image import Image, image_fields, names


class DockerImage(Image):
    kind = "docker_image"
    fields = image_fields(
        Field("docker_host", LINE, role=Role.CONNECT, given=DEFAULT), references=names(docker_build.familiar)
    )
    familiar = staticmethod(docker_build.familiar)

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> DockerImages:
        return DockerImages(spec.get("docker_host") or DEFAULT)
