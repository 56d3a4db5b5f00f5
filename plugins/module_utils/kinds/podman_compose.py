# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects of Compose on Podman, root's or a plain user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engines.podman_compose import PodmanCompose
from .compose import ComposeProject
from .compose_fields import compose_fields
from .podman_fields import PODMAN


class PodmanComposeProject(ComposeProject):
    kind = "podman_compose"
    family = "podman"
    fields = compose_fields(*PODMAN)

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> PodmanCompose:
        return PodmanCompose(spec.get("user_scope"), spec.get("podman_host"))
