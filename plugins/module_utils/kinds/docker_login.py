# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries that a user of Docker is logged in to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.codec import LINE
from ..core.field import Field, Role
from ..engines.docker import DEFAULT, Docker
from ..engines.docker_credentials import HUB, Credentials, registry
from .login import Login, login_fields

CONFIG = "~/.docker/config.json"


class _Desk(Credentials):
    def __init__(self, path: str, url: str) -> None:
        super().__init__(path)
        self._url = url

    def verify(self, name: str, username: str, password: str) -> None:
        Docker(self._url).login(name, username, password)


class DockerLogin(Login):
    kind = "docker_login"
    sample = HUB
    fields = login_fields(
        registry,
        Field("docker_host", LINE, role=Role.CONNECT, given=DEFAULT, aliases=("docker_url",)),
        Field("config_path", LINE, role=Role.CONNECT, given=CONFIG, aliases=("dockercfg_path",)),
        given=HUB,
    )

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> _Desk:
        return _Desk(spec.get("config_path") or CONFIG, spec.get("docker_host") or DEFAULT)
