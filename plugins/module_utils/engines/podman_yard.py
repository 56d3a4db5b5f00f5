# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to Podman about what nobody uses: all that there is, in Docker's words, and how much it takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import podman_networks, podman_words
from .docker import Document
from .podman_images import PodmanImages, is_list

_MARK = "com.docker.volume.anonymous"  # what Docker itself marks a volume without a name with


class PodmanYard(PodmanImages):
    """One user's Podman, asked about all that there is."""

    def used(self) -> Document:
        """How much containers, images and volumes take (GET /libpod/system/df): Podman adds it up."""
        found = self._ask("/system/df")
        return {
            "Containers": [{"Id": one["ContainerID"], "SizeRw": one["RWSize"]} for one in found["Containers"] or ()],
            "Volumes": [
                {"Name": one["VolumeName"], "UsageData": {"Size": one["Size"]}} for one in found["Volumes"] or ()
            ],
            "Images": [{"Id": one["ImageID"], "SharedSize": one["SharedSize"]} for one in found["Images"] or ()],
        }

    def containers(self, names: Iterable[str] | None = None) -> list[Document]:
        """All containers, those that Podman itself puts into pods among them, and the volumes in each."""
        found = self._ask("/containers/json", {"all": True})
        mounted: dict[str, list[Document]] = {one["Id"]: [] for one in found}
        for volume in self._ask("/volumes/json"):
            users = self._ask("/containers/json", {"all": True, "filters": {"volume": [volume["Name"]]}})
            for user in users:
                mounted.setdefault(user["Id"], []).append({"Name": volume["Name"]})
        return [
            {
                **podman_words.listed(one),
                **{key: one.get(key) for key in ("State", "Created", "Pod")},
                "Mounts": mounted[one["Id"]],
            }
            for one in found
        ]

    def pods(self) -> list[Document]:
        """Short descriptions of all pods."""
        found: list[Document] = self._ask("/pods/json")
        return found

    def networks(self) -> list[Document]:
        """All networks, with the time at which each was made."""
        return [
            {**podman_networks.network(one), "Created": one.get("created") or ""} for one in self._ask("/networks/json")
        ]

    def volumes(self) -> list[Document]:
        """All volumes. One without a name has the label that Docker gives it."""
        found: list[dict[str, Any]] = self._ask("/volumes/json")
        return [
            {**one, "Labels": {**(one.get("Labels") or {}), _MARK: ""}} if one.get("Anonymous") else one
            for one in found
        ]

    def remove_ended(self, container: str) -> None:
        """Remove a container that doesn't run, and none of its volumes; one that is gone is fine."""
        self._said("DELETE", f"/containers/{container}", missing=True)

    def remove_pod(self, pod: str) -> None:
        """Remove a pod of which nothing runs, and what is in it; one that is gone is fine."""
        self._said("DELETE", f"/pods/{pod}", missing=True)

    def remove_unused_image(self, image: str) -> None:
        """Take all names of an image away, and it with them; what a container was made from stays."""
        one = next((one for one in self.images() if one["Id"] == image), {})
        for name in one.get("RepoTags") or ([image] if one else []):
            if is_list(one):
                self._said("DELETE", f"/manifests/{name}", missing=True)
            else:
                self.remove_image(name, force=False)
