# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to Podman about images: what it does is told while it does it."""

from __future__ import annotations

import contextlib
import json
from typing import IO, Any

from ..core import command, files, progress
from ..core.errors import StrataError
from . import docker_build
from .podman import Document, Podman, refusal

_LOCAL = "localhost/"
FORMATS = {
    "docker": "application/vnd.docker.distribution.manifest.v2+json",
    "oci": "application/vnd.oci.image.manifest.v1+json",
}
"""The forms of an image; only Docker's can have health checks (podman-build(1), --format)."""
_NO_NETWORK = "1"  # buildah: define.NetworkDisabled


def tagged(reference: str) -> str:
    """A reference with its tag. Where a short one leads, Podman's own configuration says (registries.conf(5))."""
    return reference if docker_build.tagged(reference) else f"{reference}:latest"


def familiar(reference: str) -> str:
    """A reference as Podman's own commands take it: with a tag, and without the name of what was built here."""
    return tagged(reference[len(_LOCAL) :] if reference.startswith(_LOCAL) else reference)


def whole(reference: str) -> str:
    """A reference as Podman lists what was built here."""
    return reference if names_registry(reference) or reference.startswith(_LOCAL) else f"{_LOCAL}{reference}"


def names_registry(reference: str) -> bool:
    """Whether it says by itself which registry is meant (distribution/reference, ParseNormalizedNamed)."""
    host, slash, _path = reference.partition("/")
    return bool(slash) and bool({".", ":"} & set(host))


class PodmanImages(Podman):
    """One user's Podman, asked about images."""

    # What a registry has.

    def published(self, reference: str, tls_verify: bool | None = None) -> str | None:
        """The digest that a registry has for a reference; None where it has none.

        "" where nobody here can ask: there is no skopeo, or which registry is meant, Podman's configuration says.
        """
        if reference.startswith(_LOCAL):
            return None  # what was built here: no registry has that name
        if command.find("skopeo") is None or not names_registry(reference):
            return ""
        said = self._inspected(reference, tls_verify, "--format", "{{.Digest}}")
        return None if said is None else said.strip()

    def published_id(self, reference: str, tls_verify: bool | None = None) -> str | None:
        """The ID of the image that a registry has for a reference: the digest of its configuration.

        Podman notes no digest of what it pushes, and layers are packed otherwise there: digests of manifests differ.
        """
        command.need("skopeo", "skopeo")
        said = self._inspected(reference, tls_verify, "--raw")
        digest = (json.loads(said or "{}").get("config") or {}).get("digest")
        return None if digest is None else str(digest).partition(":")[2]

    def _inspected(self, reference: str, tls_verify: bool | None, *options: str) -> str | None:
        verify = [] if tls_verify is None else [f"--tls-verify={str(tls_verify).lower()}"]
        done = self.service.run(
            [command.need("skopeo", "skopeo"), "inspect", *verify, *options, f"docker://{reference}"]
        )
        if done.returncode == 0:
            return done.stdout
        if any(word in done.stderr for word in ("manifest unknown", "not found", "name unknown")):
            return None
        raise StrataError(command.failure(done))

    # What there is.

    def images(self) -> list[Document]:
        """Short descriptions of all images, without intermediate ones."""
        found: list[Document] = self._ask("/images/json")
        return found

    def history(self, image: str) -> list[Document]:
        """The steps that made an image, the last one first."""
        found: list[Document] = self._ask(f"/images/{image}/history")
        return found

    # What is done to them.

    def build(self, reference: str, context: IO[bytes], options: Document) -> None:
        """Build a context; the tag moves once all steps are done.

        Args:
            reference: The tag that it gets.
            context: A tar.
            options: In Docker's words; a ``networkmode`` is ``none``, ``host`` or a network's name.
        """
        asked: dict[str, Any] = {key: value for key, value in options.items() if key not in ("networkmode", "pull")}
        network = options.get("networkmode")
        space = {"Name": "network", "Host": network == "host"}
        if network not in (None, "host", "none", "private"):
            space["Path"] = network
        query = {
            **asked,
            "t": whole(reference),
            "layers": True,
            "forcerm": True,
            "pullpolicy": "always" if options.get("pull") else "missing",
            "nsoptions": [space],  # not given, it would be the host's network
            "networkmode": _NO_NETWORK if network == "none" else None,
        }
        self._follow("/build", query, f"Building {reference}", context)

    def pull(self, reference: str, platform: str | None = None, tls_verify: bool | None = None) -> None:
        system, _slash, machine = (platform or "").partition("/")
        machine, _slash, variant = machine.partition("/")
        query = {"reference": reference, "policy": "always", "tlsVerify": tls_verify}
        query.update({"OS": system, "Arch": machine, "Variant": variant} if platform else {})
        self._follow("/images/pull", query, f"Pulling {reference}")

    def push(self, reference: str, tls_verify: bool | None = None) -> None:
        query = {"quiet": False, "tlsVerify": tls_verify}
        self._follow(f"/images/{reference}/push", query, f"Pushing {reference}")

    def load(self, path: str) -> None:
        progress.say(f"Loading {path}")
        with open(path, "rb") as archive:
            self._said("POST", "/images/load", body=archive, timeout=None)

    def save(self, reference: str, path: str) -> None:
        """Write an image to a file, as ``docker save`` does; what was there stays until all of it is written."""
        progress.say(f"Saving {reference} to {path}")
        answer = self._exchange("GET", f"/images/{whole(reference)}/get", {"format": "docker-archive"}, timeout=None)
        if answer.status >= 400:
            raise refusal(answer.read())
        files.stream(path, iter(lambda: answer.read(1 << 20), b""), "archive_path")

    def tag(self, image: str, reference: str) -> None:
        repository, tag = docker_build.parts(whole(reference))
        self._do(f"/images/{image}/tag", {"repo": repository, "tag": tag}, missing=False)

    def remove_image(self, reference: str, force: bool) -> None:
        """Take a tag away, and the image with its last one; one that is gone is fine.

        With ``force`` an image stays without a name where a container was made from it: Podman's own force would
        remove the container, running or not.
        """
        if not force:
            self._said("DELETE", f"/images/{reference}", missing=True)
            return
        repository, tag = docker_build.parts(whole(reference))
        self._do(f"/images/{reference}/untag", {"repo": repository, "tag": tag})

    def sweep(self, label: str) -> None:
        """Remove the images with a label that have no name any more, but those that something is made from."""
        for image in self._ask("/images/json", {"filters": {"dangling": ["true"], "label": [label]}}):
            with contextlib.suppress(StrataError):  # a container or an image upon it needs it: then it stays
                self.remove_image(image["Id"], force=False)

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
