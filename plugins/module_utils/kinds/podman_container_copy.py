# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in containers of Podman, root's or a plain user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engines.podman_inside import PodmanInside
from .container_copy import ContainerCopy, copy_fields
from .podman_fields import PODMAN


class PodmanContainerCopy(ContainerCopy):
    kind = "podman_container_copy"
    fields = copy_fields(*PODMAN)

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> PodmanInside:
        return PodmanInside(spec.get("user_scope"), spec.get("podman_host"))
