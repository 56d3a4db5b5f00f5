# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to a Docker daemon about images: long streams of what it does, told while it does it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

from ..core import files, progress
from ..core.errors import StrataError
from .docker import FOREIGN, NO_ROOM, Docker, Document
from .docker_build import parts

# What a step says as an error is red (moby, pkg/streamformatter).
_COLOUR = re.compile(r"\x1b\[\d*m")
_WAYS_OUT = (
    (
        "requires buildkit",
        "Install docker-buildx-plugin from Docker, or the package docker-buildx, and let build.builder be",
    ),
    NO_ROOM,
    FOREIGN,
)


def _logged_in(client: Any) -> Any:
    """A client that knows which registries the user is logged in to now, not when it was opened."""
    client.reload_config()
    return client


class DockerImages(Docker):
    """One daemon, asked about images."""

    def images(self) -> list[Document]:
        """Short descriptions of all images, without intermediate ones."""
        found: list[Document] = self._do(lambda client: client.images())
        return found

    def listed(self, sort: str, filters: Mapping[str, Any], whole: bool) -> list[Document]:
        """Short descriptions of containers, images, networks or volumes.

        Args:
            sort: Of which.
            filters: The daemon's own, each with its values.
            whole: Whether containers that don't run are among them.
        """
        asked = {"filters": json.dumps(filters), **({"all": "true"} if whole and sort == "containers" else {})}
        path = f"/{sort}/json" if sort in ("containers", "images") else f"/{sort}"
        found = self._do(lambda client: client._result(client._get(client._url(path), params=asked), True))
        return list((found.get("Volumes") if sort == "volumes" else found) or ())

    def history(self, image: str) -> list[Document]:
        """The steps that made an image, the last one first."""
        found: list[Document] = self._do(lambda client: client.history(image))
        return found

    def published(self, reference: str) -> str | None:
        """The digest that a registry has for a reference; None where it has none."""
        try:
            found = self._found(lambda client: _logged_in(client).inspect_distribution(reference))
        except StrataError as error:
            # The daemon passes on what a registry says of a tag that it doesn't have, as a refusal.
            if any(word in error.message for word in ("not found", "manifest unknown", "name unknown")):
                return None
            raise
        return str(found["Descriptor"]["digest"]) if found else None

    def build(self, reference: str, context: IO[bytes], options: Document) -> None:
        """Build a context with the builder that is part of the daemon; the tag moves once all steps are done.

        Args:
            reference: The tag that it gets.
            context: A tar.
            options: The parameters of ``POST /build``.
        """
        # All but extrahosts, which is given once a host (moby: api/server/router/build, newImageBuildOptions).
        as_json = {key for key, value in options.items() if isinstance(value, (Mapping, list))} - {"extrahosts"}
        sent = {key: json.dumps(value) if key in as_json else value for key, value in options.items()}
        params = {"t": reference, "rm": True, "forcerm": True, **sent}

        def start(client: Any) -> Any:
            headers = {"Content-Type": "application/x-tar"}
            _logged_in(client)._set_auth_headers(headers)
            answer = client._post(
                client._url("/build"), data=context, params=params, headers=headers, stream=True, timeout=None
            )
            client._raise_for_status(answer)
            return client._stream_helper(answer, decode=True)

        self._follow(start, f"Building {reference}")

    def pull(self, reference: str, platform: str | None = None) -> None:
        repository, tag = parts(reference)
        self._follow(
            lambda client: _logged_in(client).pull(repository, tag, stream=True, decode=True, platform=platform),
            f"Pulling {reference}",
        )

    def push(self, reference: str) -> None:
        repository, tag = parts(reference)
        self._follow(
            lambda client: _logged_in(client).push(repository, tag, stream=True, decode=True), f"Pushing {reference}"
        )

    def load(self, path: str) -> None:
        with open(path, "rb") as archive:
            self._follow(lambda client: client.load_image(archive, quiet=False), f"Loading {path}")

    def save(self, reference: str, path: str) -> None:
        """Write an image to a file, as ``docker save`` does; what was there stays until all of it is written."""
        progress.say(f"Saving {reference} to {path}")
        self._do(lambda client: files.stream(path, client.get_image(reference), "archive_path"))

    def tag(self, image: str, reference: str) -> None:
        repository, tag = parts(reference)
        self._do(lambda client: client.tag(image, repository, tag))

    def remove_image(self, reference: str, force: bool) -> None:
        """Take a tag away, and the image with its last one; one that is gone is fine."""
        self._found(lambda client: client.remove_image(reference, force=force))

    def used(self) -> Document:
        """How much containers, images, volumes and the builder's cache take (GET /system/df): the daemon adds it up."""
        found: Document = self._do(lambda client: client.df())
        return found

    def remove_ended(self, container: str) -> None:
        """Remove a container that doesn't run, and none of its volumes; one that is gone is fine."""
        self._found(lambda client: client.remove_container(container))

    def remove_unused_image(self, image: str) -> None:
        """Take all names of an image away, and it with them; what a container was made from stays."""
        found = self._found(lambda client: client.inspect_image(image))
        for name in (found or {}).get("RepoTags") or ([image] if found else []):
            self.remove_image(name, force=False)

    def prune_builds(self, whole: bool) -> None:
        """Take away what no build uses of the builder's cache, with its own parts or without."""
        self._do(lambda client: client._result(client._post(client._url("/build/prune"), params={"all": whole}), True))

    def sweep(self, label: str) -> None:
        """Remove the images with a label that have no name any more, but those that something is made from."""
        filters = {"dangling": True, "label": label}
        for image in self._do(lambda client: client.images(filters=filters)):
            with contextlib.suppress(StrataError):  # a container or an image upon it needs it: then it stays
                self.remove_image(image["Id"], force=False)

    def _follow(self, start: Any, what: str) -> None:
        """Tell what the daemon says while it works; its own error, and its last words, where it fails."""
        progress.say(what)
        said: list[str] = []

        def work(client: Any) -> str | None:
            layers: dict[str, tuple[int, int]] = {}
            for event in start(client):
                if "error" in event:
                    return str(event["error"])
                for line in _COLOUR.sub("", str(event.get("stream") or "")).split("\n"):
                    if line.strip():
                        said.append(line.strip())
                        progress.say(f"{what}: {said[-1]}")
                told = _amount(layers, event)
                if told:
                    progress.say(f"{what}: {told}")
            return None

        wrong = self._do(work)
        if wrong is not None:
            raise failed(what, wrong, said)


def failed(what: str, wrong: str, said: Sequence[str]) -> StrataError:
    """Of something that a Docker daemon or buildx does long: why it failed, its last words, and what helps."""
    return progress.failed(what, wrong, said, _WAYS_OUT)


def _amount(layers: dict[str, tuple[int, int]], event: Document) -> str | None:
    """How much of all layers has come or gone so far."""
    detail = event.get("progressDetail") or {}
    if not event.get("id") or not detail.get("total"):
        return None
    layers[f"{event['id']} {event.get('status')}"] = (detail.get("current") or 0, detail["total"])
    done, whole = (sum(numbers) for numbers in zip(*layers.values()))
    return f"{str(event.get('status')).lower()} {done >> 20} of {whole >> 20} MiB"


def references(image: Document) -> Iterable[str]:
    """All names of an image out of a list of them."""
    names = [*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ())]
    return [name for name in names if "<none>" not in name]
