# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of a swarm."""

from __future__ import annotations

from .swarm_data import SwarmData


class DockerSecret(SwarmData):
    kind = "docker_secret"
    sort = "secrets"
