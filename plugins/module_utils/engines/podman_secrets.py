# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to Podman about secrets."""

from __future__ import annotations

from collections.abc import Mapping

from .docker import OURS
from .podman import Document, Podman

PLAY = OURS + "play"
"""The label of what a play of documents of Kubernetes made, with the name of that play.

Not that of an owner: containers have the labels of their pod, and neither they nor the pod, its volumes and its
secrets are declared one by one.
"""

LARGEST = 512_000
"""Bytes; a secret must have fewer (podman-secret-create(1))."""


class PodmanSecrets(Podman):
    """One user's Podman, asked about secrets."""

    def secrets(self) -> list[Document]:
        """All secrets, without what is kept."""
        found: list[Document] = self._ask("/secrets/json")
        return found

    def secret(self, name: str) -> Document | None:
        """A secret and what is kept in it; None where there is none."""
        found: Document | None = self._ask(f"/secrets/{name}/json", {"showsecret": True}, missing=True)
        return found

    def keep_secret(
        self, name: str, data: str, driver: str, options: Mapping[str, str], labels: Mapping[str, str]
    ) -> None:
        """Keep something under a name, in place of what was kept there."""
        query = {"name": name, "driver": driver, "driveropts": options, "labels": labels, "replace": True}
        self._said("POST", "/secrets/create", query, data.encode())

    def remove_secret(self, name: str) -> None:
        """Forget it; one that is gone is fine."""
        self._said("DELETE", f"/secrets/{name}", missing=True)
