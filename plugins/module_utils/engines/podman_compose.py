# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker Compose on Podman, which speaks Docker's API, too, on the socket of its service."""

from __future__ import annotations

from .compose import Compose
from .podman_images import PodmanImages


class PodmanCompose(Compose):
    """One user's Podman, and the program that makes projects of containers on it.

    Args:
        user: Whose it is; None for that of whoever runs this.
        url: Where a service listens already; None starts one where none is at its usual place.

    Raises:
        StrataError: Podman is missing, or can't work for that user, or the SDK of Docker is.
    """

    program = "podman"

    def __init__(self, user: str | None = None, url: str | None = None) -> None:
        self._images_of = PodmanImages(user, url)
        super().__init__(f"unix://{self._images_of.service.path}")

    @property
    def realm(self) -> str:
        return f"podman-{self._images_of.service.user.uid}"

    @property
    def title(self) -> str:
        return self._images_of.title

    def published(self, reference: str) -> str | None:
        """The digest that a registry has for a reference, as Podman's own configuration finds it; None: none."""
        return self._images_of.published(reference) or None

    @property
    def _environment(self) -> dict[str, str]:
        # Of the two ways to build, Podman has the one without BuildKit (docs.podman.io, "Reference": ImageBuild).
        return {**super()._environment, "DOCKER_BUILDKIT": "0"}
