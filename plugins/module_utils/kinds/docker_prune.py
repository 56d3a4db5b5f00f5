# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nobody uses of a Docker daemon, and of its builder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.codec import BOOL, LINE
from ..core.field import Field, Role
from ..engines.docker import DEFAULT
from ..engines.docker_images import DockerImages
from .prune import USUAL, Prune, Unused, Yard, asked


class DockerYard(Yard):
    own = ("bridge", "host", "none")

    def builder_cache(self, _filters: Mapping[str, Any]) -> Unused:
        """The parts of it that no build uses, but for those of the builder itself, which need builder_cache_all."""
        own = () if self.spec.get("builder_cache_all") else ("internal", "frontend")
        gone = [one for one in self.used.get("BuildCache") or () if not one.get("InUse") and one.get("Type") not in own]
        size = sum(one.get("Size") or 0 for one in gone if not one.get("Shared"))
        return Unused({one["ID"]: one.get("Description") or one["ID"] for one in gone}, size)


class DockerPrune(Prune):
    kind = "docker_prune"
    identity = "docker_host"
    sample = DEFAULT
    sorts = (*Prune.sorts, "builder_cache")
    yard = DockerYard
    fields = (
        Field("docker_host", LINE, role=Role.NAME, given=DEFAULT, aliases=("docker_url",)),
        *USUAL,
        *asked("builder_cache"),
        Field("builder_cache_all", BOOL, role=Role.POLICY, given=False),
    )

    @classmethod
    def connection(cls, spec: Mapping[str, Any]) -> str:
        return str(spec.get("docker_host") or DEFAULT)

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> DockerImages:
        return DockerImages(cls.connection(spec))

    @staticmethod
    def told_as(sort: str) -> str:
        return "builder_cache_caches_deleted" if sort == "builder_cache" else sort

    def take_away(self, engine: DockerImages, sort: str, found: Unused) -> None:
        if sort != "builder_cache":
            super().take_away(engine, sort, found)
        elif found.names:
            engine.prune_builds(bool(self.spec["builder_cache_all"]))
