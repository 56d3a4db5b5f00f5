# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nobody uses of Podman, root's or a plain user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engines import podman_images, podman_service, podman_words
from ..engines.docker import Document
from ..engines.podman_yard import PodmanYard
from .podman_fields import PODMAN
from .prune import USUAL, Prune, Unused, Yard, asked, chosen

_ENDED = ("Created", "Exited", "Stopped", "Dead")


class PodmansYard(Yard):
    own = (podman_words.USUAL_NETWORK,)

    def pods(self, filters: Mapping[str, Any]) -> Unused:
        """Those of which nothing runs go with all that is in them."""
        gone = [
            one
            for one in self.engine.pods()
            if one["Status"] in _ENDED and chosen(filters, one.get("Labels"), one["Created"])
        ]
        ids = {one["Id"] for one in gone}
        size = self.leave([one for one in self.left if one.get("Pod") in ids])
        return Unused({one["Id"]: one["Name"] for one in gone}, size)

    def needed_images(self, filters: Mapping[str, Any]) -> set[str]:
        """A list of images needs those in it, which have no names of their own, and stays as long as one is used."""
        needed = super().needed_images(filters)
        images = self.engine.images()
        for one in filter(podman_images.is_list, images):
            inside = {image["Id"] for image in self.engine.in_list(one, images) if "Id" in image}
            named = bool(one.get("RepoTags")) and filters.get("dangling", True)
            if named or inside & needed or not chosen(filters, one.get("Labels"), one["Created"]):
                needed |= {one["Id"], *inside}
        return needed

    def ended(self) -> list[Document]:
        """What is in a pod stays as long as that does."""
        return [one for one in super().ended() if not one.get("Pod")]


class PodmanPrune(Prune):
    kind = "podman_prune"
    identity = "user_scope"
    sample = "root"
    sorts = ("pods", *Prune.sorts)
    yard = PodmansYard
    fields = (*PODMAN, *asked("pods", "until", "label", "label!"), *USUAL)

    @property
    def name(self) -> str:
        return str(self.spec.get("user_scope") or podman_service.account(None).name)

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> PodmanYard:
        return PodmanYard(spec.get("user_scope"), spec.get("podman_host"))

    def take_away(self, engine: PodmanYard, sort: str, found: Unused) -> None:
        if sort != "pods":
            super().take_away(engine, sort, found)
            return
        for pod in found.names:
            engine.remove_pod(pod)
