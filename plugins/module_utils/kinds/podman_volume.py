# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of Podman, root's or a plain user's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..engines.podman import Podman
from .podman_fields import PODMAN
from .volume import Volume, volume_fields


class PodmanVolume(Volume):
    kind = "podman_volume"
    fields = volume_fields(*PODMAN)

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Podman:
        return Podman(spec.get("user_scope"), spec.get("podman_host"))

    @classmethod
    def users(cls, engine: Podman, names: Iterable[str]) -> dict[str, dict[str, str | None]]:
        return {name: engine.mounting(name) for name in names}
