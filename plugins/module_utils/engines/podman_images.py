# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to Podman about images and pods."""

from __future__ import annotations

from ..core import command
from ..core.errors import StrataError
from . import docker_build
from .podman import Podman


def tagged(reference: str) -> str:
    """A reference with its tag. Where a short one leads, Podman's own configuration says (registries.conf(5))."""
    return reference if docker_build.tagged(reference) else f"{reference}:latest"


def names_registry(reference: str) -> bool:
    """Whether it says by itself which registry is meant (distribution/reference, ParseNormalizedNamed)."""
    host, slash, _path = reference.partition("/")
    return bool(slash) and bool({".", ":"} & set(host))


class PodmanImages(Podman):
    """One user's Podman, asked about images."""

    def published(self, reference: str) -> str | None:
        """The digest that a registry has for a reference; None where it has none.

        "" where nobody here can ask: there is no skopeo, or which registry is meant, Podman's configuration says.
        """
        if reference.startswith("localhost/"):
            return None  # what was built here: no registry has that name
        skopeo = command.find("skopeo")
        if skopeo is None or not names_registry(reference):
            return ""
        done = self.service.run([skopeo, "inspect", "--format", "{{.Digest}}", f"docker://{reference}"])
        if done.returncode == 0:
            return done.stdout.strip()
        if any(word in done.stderr for word in ("manifest unknown", "not found", "name unknown")):
            return None
        raise StrataError(command.failure(done))

    def pod(self, name: str) -> str:
        """The ID of a pod.

        Raises:
            StrataError: There is none.
        """
        found = self._ask(f"/pods/{name}/json", missing=True)
        if found is None:
            raise StrataError(
                "is not on this host", option="pod", value=name, hint="podman pod ls shows those there are"
            )
        return str(found["Id"])
