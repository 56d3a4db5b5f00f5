# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to Podman about images: what it does is told while it does it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterable
from typing import IO, Any

from ..core import command, files, progress
from ..core.errors import StrataError
from . import docker_build
from .podman import Document, Each, Podman, refusal

_LOCAL = "localhost/"
FORMATS = {
    "docker": "application/vnd.docker.distribution.manifest.v2+json",
    "oci": "application/vnd.oci.image.manifest.v1+json",
}
"""The forms of an image; only Docker's can have health checks (podman-build(1), --format)."""
_NO_NETWORK = "1"  # buildah: define.NetworkDisabled
_MACHINES = {"aarch64": "arm64", "x86_64": "amd64"}
_VARIANTS = {"arm": "v7"}


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


def platform(written: str) -> str:
    """A platform as Podman's lists have it, which give ``linux/arm`` a variant (buildah: parse.Platform)."""
    system, _slash, machine = written.partition("/")
    machine, _slash, variant = machine.partition("/")
    machine = _MACHINES.get(machine, machine)
    return "/".join(word for word in (system, machine, variant or _VARIANTS.get(machine)) if word)


def fresh(reference: str) -> str:
    """What a list of images is called until it is whole."""
    return f"{_LOCAL}strata-next-{hashlib.sha256(whole(reference).encode()).hexdigest()[:12]}:latest"


def is_list(image: Document) -> bool:
    """Whether it is a list of images (a manifest list), one a platform."""
    return bool(image.get("IsManifestList"))


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

    def published_ids(self, reference: str, tls_verify: bool | None = None) -> set[str | None]:
        """The IDs of all images of the list that a registry has for a reference."""
        listed = json.loads(self._inspected(reference, tls_verify, "--raw") or "{}").get("manifests") or ()
        repository = docker_build.parts(reference)[0]
        return {self.published_id(f"{repository}@{one['digest']}", tls_verify) for one in listed}

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

    def in_list(self, image: Document, images: Iterable[Document]) -> list[Document]:
        """The images of a list, each with its ``Platform``; one that isn't here has nothing else.

        Args:
            image: The list.
            images: All that there are.
        """
        here = {digest: one for one in images if not is_list(one) for digest in _digests(one)}
        found = self._ask(f"/manifests/{image['Id']}/json", missing=True) or {}
        return [
            {**here.get(one["digest"], {}), "Platform": _platform(one.get("platform") or {})}
            for one in found.get("manifests") or ()
        ]

    def history(self, image: str) -> list[Document]:
        """The steps that made an image, the last one first."""
        found: list[Document] = self._ask(f"/images/{image}/history")
        return found

    # What is done to them.

    def build(self, reference: str, context: IO[bytes], options: Document) -> None:
        """Build a context; the tag moves once all steps are done.

        For several platforms it is a list's. Podman adds to a list that is there, one image after the other, so that
        it is a new one that gets the name once it is whole. What of it a run left that was killed goes first.

        Args:
            reference: The tag that it gets.
            context: A tar.
            options: In Docker's words; a ``networkmode`` is ``none``, ``host`` or a network's name, and a ``platform``
                one platform, or each of several.
        """
        asked: dict[str, Any] = {key: value for key, value in options.items() if key not in ("networkmode", "pull")}
        network = options.get("networkmode")
        space = {"Name": "network", "Host": network == "host"}
        if network not in (None, "host", "none", "private"):
            space["Path"] = network
        several, listed = isinstance(options.get("platform"), Each), fresh(reference)
        query = {
            **asked,
            **({"manifest": listed} if several else {"t": whole(reference)}),
            # The cache takes what was built for one platform for another, too (Podman 5.4, buildah 1.39).
            "layers": not several,
            "forcerm": True,
            "pullpolicy": "always" if options.get("pull") else "missing",
            "nsoptions": [space],  # not given, it would be the host's network
            "networkmode": _NO_NETWORK if network == "none" else None,
        }
        if several:
            self.remove_list(listed)
        self._follow("/build", query, f"Building {reference}", context)
        if several:
            self.tag(listed, reference)
            self.remove_list(listed)

    def pull(self, reference: str, platform: str | None = None, tls_verify: bool | None = None) -> None:
        system, _slash, machine = (platform or "").partition("/")
        machine, _slash, variant = machine.partition("/")
        query = {"reference": reference, "policy": "always", "tlsVerify": tls_verify}
        query.update({"OS": system, "Arch": machine, "Variant": variant} if platform else {})
        self._follow("/images/pull", query, f"Pulling {reference}")

    def push(self, reference: str, tls_verify: bool | None = None) -> None:
        """Push an image, or a list and all images of it."""
        path, query = f"/images/{reference}/push", {"quiet": False, "tlsVerify": tls_verify}
        if any(is_list(one) and whole(reference) in (one.get("RepoTags") or ()) for one in self.images()):
            path, query["all"] = f"/manifests/{reference}/registry/{reference}", True
        self._follow(path, query, f"Pushing {reference}")

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

    def remove_list(self, reference: str) -> None:
        """Take a name of a list away, and with its last one also it, and the images that it alone has.

        One that is gone is fine. The list goes last: where this is broken off, there is one to be removed.
        """
        images = self.images()
        lists = [one for one in images if is_list(one)]
        gone = next((one for one in lists if whole(reference) in (one.get("RepoTags") or ())), None)
        if gone is None:
            return
        if len(gone["RepoTags"]) == 1:
            inside = [one for one in self.in_list(gone, images) if not one.get("RepoTags")]
            others = self._held([one for one in lists if one is not gone], images)
            self._remove_unused({one["Id"] for one in inside if "Id" in one} - others)
        self._said("DELETE", f"/manifests/{whole(reference)}", missing=True)

    def sweep(self, label: str) -> None:
        """Remove the images with a label that have no name any more, but those that something is made from.

        What is in a list has no name of its own. A list has no labels: it is known by what it was once called.

        Args:
            label: As ``KEY=VALUE``; the value is what they, or their list, were built as.
        """
        images, once = self.images(), fresh(label.partition("=")[2])
        dangling = self._ask("/images/json", {"filters": {"dangling": ["true"], "label": [label]}})
        lists = [one for one in images if is_list(one)]
        left = [one for one in lists if not one.get("RepoTags") and once in (one.get("History") or ())]
        for one in left:
            self._said("DELETE", f"/manifests/{one['Id']}", missing=True)
        self._remove_unused(
            {one["Id"] for one in dangling} - self._held([one for one in lists if one not in left], images)
        )

    def _held(self, lists: Iterable[Document], images: Collection[Document]) -> set[str]:
        """The IDs of the images of some lists, as far as they are here."""
        return {one["Id"] for each in lists for one in self.in_list(each, images) if "Id" in one}

    def _remove_unused(self, images: Iterable[str]) -> None:
        for image in sorted(images):
            with contextlib.suppress(StrataError):  # a container or an image upon it needs it: then it stays
                self.remove_image(image, force=False)

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


def _digests(image: Document) -> list[str]:
    """What a list may call an image that is here."""
    return [str(image.get("Digest")), *(docker_build.parts(one)[1] for one in image.get("RepoDigests") or ())]


def _platform(told: Document) -> str:
    words = (told.get("os"), told.get("architecture"), told.get("variant"))
    return "/".join(word for word in words if word)
