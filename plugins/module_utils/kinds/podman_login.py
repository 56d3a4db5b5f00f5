# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries that a user of Podman is logged in to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.codec import BOOL, LINE, NAME, PATH
from ..core.field import Field, Role
from ..engines.podman_credentials import USUAL, Credentials, Trust, registry
from .login import Login, login_fields


class PodmanLogin(Login):
    kind = "podman_login"
    fields = login_fields(
        registry,
        Field("user_scope", NAME, role=Role.CONNECT),
        Field("authfile", LINE, role=Role.CONNECT, given=USUAL, aliases=("config_path",)),
        Field("tls_verify", BOOL, role=Role.POLICY, aliases=("tlsverify",)),
        Field("cert_dir", PATH, role=Role.POLICY, aliases=("certdir",)),
    )

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Credentials:
        return Credentials(spec.get("user_scope"), spec.get("authfile") or USUAL)

    @property
    def _trust(self) -> Trust:
        return Trust(self.spec.get("tls_verify"), self.spec.get("cert_dir"))

    def verify(self, engine: Credentials, username: str, password: str) -> None:
        engine.verify(self.name, username, password, self._trust)

    def store(self, engine: Credentials, username: str, password: str, owner: str | None) -> None:
        engine.store(self.name, username, password, owner, self._trust)
