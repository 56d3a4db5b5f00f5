# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs in containers of Podman, root's or a plain user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engines.podman_inside import PodmanInside
from ..kinds.podman_fields import PODMAN
from . import container_exec

FIELDS = (*container_exec.FIELDS, *PODMAN)


def run(spec: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    container_exec.argv_of(spec)
    engine = PodmanInside(spec.get("user_scope"), spec.get("podman_host"))
    return container_exec.run(engine, spec, check_mode)
