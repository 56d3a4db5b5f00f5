# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of a Docker daemon."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..core.codec import LINE
from ..core.field import Field, Role
from ..engines.docker import DEFAULT, OWNER, Docker, container_name
from .volume import Volume, volume_fields


class DockerVolume(Volume):
    kind = "docker_volume"
    fields = volume_fields(Field("docker_host", LINE, role=Role.CONNECT, given=DEFAULT, aliases=("docker_url",)))

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Docker:
        return Docker(spec.get("docker_host") or DEFAULT)

    @classmethod
    def users(cls, engine: Docker, names: Iterable[str]) -> dict[str, dict[str, str | None]]:
        found: dict[str, dict[str, str | None]] = {name: {} for name in names}
        for container in engine.containers():
            for mount in container.get("Mounts") or ():
                if mount.get("Type") == "volume" and mount.get("Name") in found:
                    owner = (container.get("Labels") or {}).get(OWNER)
                    found[mount["Name"]][container_name(container)] = owner
        return found
