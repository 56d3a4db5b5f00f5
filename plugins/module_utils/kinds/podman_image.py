# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of Podman, root's or a plain user's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core.codec import BOOL, TEXT, TEXTS
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Plan, State
from ..core.resource import Thing
from ..engines import docker_build, podman_images
from ..engines.podman import Document, Each
from ..engines.podman_images import PodmanImages
from .image import NAME, Image, image_fields, names
from .podman_fields import PODMAN

_BESIDE = ".strata-secret-"


class PodmanImage(Image):
    kind = "podman_image"
    fields = image_fields(
        *PODMAN,
        Field("tls_verify", BOOL, role=Role.POLICY),
        Field("platforms", TEXTS, effect=Effect.RECREATE, role=Role.DERIVED, default=()),
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
        if len(self._platforms) > 1:
            self._check_several(build)
        nowhere = [place for place in self.places() if podman_images.whole(place).startswith("localhost/")]
        if self.spec["push"] and nowhere:
            raise StrataError(
                "names no registry to push to",
                option="repository" if "repository" in self.spec else "name",
                value=nowhere[0],
                hint="Write it with its registry, as registry.example.com/web:1.0",
            )

    def _check_several(self, build: Mapping[str, Any]) -> None:
        """Whether what is to be built for several platforms asks for nothing that only one image can have."""
        where = {"option": "build.platform", "value": ",".join(self._platforms)}
        if not all("/" in one for one in self._platforms):
            raise StrataError("are several, of which one doesn't name its processor: write linux/arm64", **where)
        if len(set(map(podman_images.platform, self._platforms))) < len(self._platforms):
            raise StrataError("are several, of which two are the same to Podman", **where)
        if "archive_path" in self.spec:
            raise StrataError(
                "are several, and an archive as docker save writes it has no lists of images",
                **where,
                hint="Let archive_path be, or build one image a platform, each under a name of its own",
            )
        for option in ("cache_from", "cache_to"):
            if build.get(option):
                raise StrataError(
                    f"can't go with several of build.platform ({where['value']}): "
                    "what is in Podman's cache doesn't tell for which of them it is",
                    option=f"build.{option}",
                )

    @property
    def _platforms(self) -> tuple[str, ...]:
        """The platforms to build for."""
        return tuple((self.spec.get("build") or {}).get("platform", ()))

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

    @classmethod
    def made_of(cls, engine: PodmanImages, image: Document, images: Iterable[Document]) -> list[Document]:
        return engine.in_list(image, images) if podman_images.is_list(image) else super().made_of(engine, image, images)

    @classmethod
    def _read(
        cls, reference: str, image: Document, inside: Iterable[Document], containers: Iterable[Document]
    ) -> State:
        """Of a list, its platforms and the ID of the image for each; None where that isn't on this host."""
        state = super()._read(reference, image, inside, containers)
        if not podman_images.is_list(image):
            return replace(state, config={**state.config, "platforms": ()})
        platforms = {one["Platform"]: one.get("Id") for one in sorted(inside, key=lambda one: str(one["Platform"]))}
        size = sum(one.get("Size") or 0 for one in inside)
        config = {**state.config, "platforms": tuple(platforms)}
        return replace(state, config=config, facts={**state.facts, "size": size, "platforms": platforms})

    def observe(self, engine: PodmanImages, state: State) -> State:
        state = super().observe(engine, state)
        if self.target == "absent" or "platforms" not in state.facts:
            return state
        if "archive_path" in self.spec and self.source != "build":
            raise StrataError(
                "can't be written: this is a list of images, and an archive as docker save writes it has none",
                option="archive_path",
                value=self.spec["archive_path"],
            )
        left = podman_images.fresh(self.name) in state.facts["tags"]  # a run was killed before it took the name away
        return replace(state, config={**state.config, "context": None}) if left else state

    def _wanted(self, engine: Any, state: State) -> dict[str, Any]:
        wanted = super()._wanted(engine, state)
        if self.source == "build":
            several = self._platforms if len(self._platforms) > 1 else ()
            wanted["platforms"] = tuple(sorted(map(podman_images.platform, several)))
        return wanted

    def is_last(self, engine: Any, state: State) -> bool:
        images = state.facts.get("platforms", {"": state.facts["id"]}).values()
        return all(super(PodmanImage, self).is_last(engine, replace(state, facts={"id": one})) for one in images)

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
        if "platforms" in state.facts:
            return engine.published_ids(place, self._verify) == set(state.facts["platforms"].values())
        return state.exists and engine.published_id(place, self._verify) == state.facts["id"]

    # What is to be done.

    def beside(self, build: Mapping[str, Any]) -> dict[str, bytes]:
        """The secrets: the service moves them away from the context before it builds (podman: images_build.go)."""
        return {f"{_BESIDE}{name}": content for name, content in self.secrets().items()}

    def for_builder(self, build: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **super().for_builder(build),
            "platform": Each(self._platforms) if len(self._platforms) > 1 else ",".join(self._platforms),
            "cacheto": list(build.get("cache_to", ())),
            "tlsVerify": None if self._verify is None else str(self._verify).lower(),
            "outputformat": podman_images.FORMATS[build.get("format", "docker")],
            "secrets": [f"id={one['id']},src={_BESIDE}{one['id']}" for one in build.get("secrets", ())],
        }

    def push(self, engine: PodmanImages, place: str) -> None:
        engine.push(place, self._verify)

    def _pull(self, engine: PodmanImages, plan: Plan) -> None:
        engine.pull(self.name, tls_verify=self._verify)

    def remove(self, engine: Any, plan: Plan) -> None:
        if "platforms" not in plan.state.facts:
            super().remove(engine, plan)
        else:
            tags = (tag for tag in plan.state.facts["tags"] if f"/{self.familiar(tag)}".endswith(f"/{self.name}"))
            for tag in (podman_images.fresh(self.name), next(tags, self.name)):
                engine.remove_list(tag)
        engine.sweep(f"{NAME}={self.name}")  # what a run that was killed replaced and left
