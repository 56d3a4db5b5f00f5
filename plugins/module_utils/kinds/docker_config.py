# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configs of a swarm: files that services are given."""

from __future__ import annotations

from .swarm_data import SwarmData


class DockerConfig(SwarmData):
    kind = "docker_config"
    sort = "configs"
