# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of Podman, root's or a plain user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.codec import BOOL, TEXT
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Plan, State
from ..core.resource import Thing
from ..engines import docker_build, podman_images
from ..engines.podman import Document
from ..engines.podman_images import PodmanImages
from .image import Image, image_fields, names
from .podman_fields import PODMAN

_BESIDE = ".strata-secret-"


class PodmanImage(Image):
    kind = "podman_image"
    fields = image_fields(
        *PODMAN,
        Field("tls_verify", BOOL, role=Role.POLICY),
        build=(Field("format", TEXT, choices=tuple(podman_images.FORMATS)),),
        references=names(podman_images.familiar),
    )
    recipes = ("Containerfile", "Dockerfile")
    ignored_by = (".containerignore", ".dockerignore")
    familiar = staticmethod(podman_images.familiar)

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> PodmanImages:
        return PodmanImages(spec.get("user_scope"), spec.get("podman_host"))

    # What was declared.

    def check(self) -> None:
        super().check()
        if self.target == "absent":
            return
        build = self.spec.get("build") or {}
        if build.get("etc_hosts") and build.get("network") == "none":
            # buildah, run_linux.go: a step without a network has no /etc/hosts.
            raise StrataError(
                "can't go with network: none, where Podman gives steps no /etc/hosts", option="build.etc_hosts"
            )
        if len(build.get("platform", ())) > 1:
            raise StrataError(
                "are several, and lists of images are not made here",
                option="build.platform",
                value=",".join(build["platform"]),
                hint="Build one image a platform, each under a name of its own",
            )
        nowhere = [place for place in self.places() if podman_images.whole(place).startswith("localhost/")]
        if self.spec["push"] and nowhere:
            raise StrataError(
                "names no registry to push to",
                option="repository" if "repository" in self.spec else "name",
                value=nowhere[0],
                hint="Write it with its registry, as registry.example.com/web:1.0",
            )

    def provides(self) -> list[Thing]:
        return [(self.kind, name) for name in sorted({self.name, podman_images.whole(self.name)})]

    @property
    def _verify(self) -> bool | None:
        return self.spec.get("tls_verify")

    # What there is.

    @classmethod
    def find(cls, reference: str, found: Mapping[str, Document]) -> Document | None:
        """As Podman finds a short name: what was built here, else what came from some registry."""
        if reference in found or podman_images.names_registry(reference):
            return found.get(reference)
        return next((found[name] for name in sorted(found) if name.endswith(f"/{reference}")), None)

    @staticmethod
    def archived(path: str) -> dict[str, list[str]]:
        return {image.partition(":")[2]: tags for image, tags in docker_build.archived(path).items()}

    def published(self, engine: PodmanImages) -> str | None:
        digest = engine.published(self.name, self._verify)
        if digest == "":
            raise StrataError(
                "can't be asked for in a registry",
                option="name",
                value=self.name,
                hint="Write it with its registry, as registry.example.com/web:1.0, and install the package skopeo",
            )
        return digest

    def is_pushed(self, engine: PodmanImages, place: str, state: State) -> bool:
        return state.exists and engine.published_id(place, self._verify) == state.facts["id"]

    # What is to be done.

    def beside(self, build: Mapping[str, Any]) -> dict[str, bytes]:
        """The secrets: the service moves them away from the context before it builds (podman: images_build.go)."""
        return {f"{_BESIDE}{name}": content for name, content in self.secrets().items()}

    def for_builder(self, build: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **super().for_builder(build),
            "cacheto": list(build.get("cache_to", ())),
            "tlsVerify": None if self._verify is None else str(self._verify).lower(),
            "outputformat": podman_images.FORMATS[build.get("format", "docker")],
            "secrets": [f"id={one['id']},src={_BESIDE}{one['id']}" for one in build.get("secrets", ())],
        }

    def push(self, engine: PodmanImages, place: str) -> None:
        engine.push(place, self._verify)

    def _pull(self, engine: PodmanImages, plan: Plan) -> None:
        engine.pull(self.name, tls_verify=self._verify)
