# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module of Docker reaches its daemon."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  docker_host:
    description:
      - Where the daemon listens.
    type: str
    default: unix:///var/run/docker.sock
    aliases: [docker_url]
"""
