# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of OCI: copied by skopeo, unpacked by umoci, known by the digest of their manifest (image-spec)."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from ..core import command, files, progress
from ..core.errors import StrataError
from . import complaints
from .complaints import Complaint
from .trees import Work

_NAME = "org.opencontainers.image.ref.name"  # image-spec: annotations.md
_REGISTRY = re.compile(r"docker://(?P<name>[^\s@]+?)(?P<tag>:[\w][\w.-]{0,127})?(?:@(?P<digest>sha256:[0-9a-f]{64}))?")
_LAYOUT = re.compile(r"oci:(?P<path>/[^:\s]+):(?P<tag>[^:\s]+)")

COMPLAINTS = (
    Complaint(
        r"manifest unknown|no descriptor found|name unknown|not found", "source", "Check the image's name and tag"
    ),
    Complaint(r"unauthorized|authentication required|denied", "authfile", "Log in with skopeo login --authfile"),
    Complaint(
        r"server gave HTTP response to HTTPS client|certificate",
        "validate_certs",
        "For a registry that you trust, validate_certs: false",
    ),
    Complaint(
        r"pinging container registry|dial tcp|no such host|i/o timeout",
        "source",
        "Check the registry's name, and that the host may reach it",
    ),
    Complaint(r"operation not permitted|unsupported layer|mediatype", "source", "umoci can't unpack this image"),
)


def check(source: str) -> None:
    """Whether it names an image.

    Raises:
        ValueError: It doesn't.
    """
    if not (_REGISTRY.fullmatch(source) or _LAYOUT.fullmatch(source)):
        raise ValueError("is no image: write docker://REGISTRY/NAME:TAG, with @sha256:… to pin it, or oci:/LAYOUT:TAG")


def layout(source: str) -> str | None:
    """The folder of the layout that an image is in; None where it is in a registry."""
    found = _LAYOUT.fullmatch(source)
    return found.group("path") if found else None


def pinned(source: str) -> str | None:
    """The digest that a reference ends with."""
    found = _REGISTRY.fullmatch(source)
    return found.group("digest") if found else None


def digest(source: str) -> str:
    """The digest of an image in a layout, from its index.

    Raises:
        StrataError: There is no such layout, or no such image in it.
    """
    folder, _colon, tag = source[len("oci:") :].partition(":")
    try:
        index: dict[str, Any] = json.loads(files.read(f"{folder}/index.json") or "")
        for manifest in index["manifests"]:
            if manifest.get("annotations", {}).get(_NAME) == tag:
                return str(manifest["digest"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StrataError(f"{folder} is no OCI layout", option="source", value=source) from None
    raise StrataError(f"{folder} has no image {tag}", option="source", value=source)


def unpack(
    source: str, work: Work, *, checksum: str | None, authfile: str | None = None, validate_certs: bool = True
) -> str:
    """Unpack an image into the tree, an empty directory.

    Args:
        source: The image.
        work: Where the tree is.
        checksum: The digest that it must have; None: whichever it has.
        authfile: Where the registry's password is.
        validate_certs: Whether the registry has to prove who it is.

    Returns:
        The digest of the manifest.

    Raises:
        StrataError: The registry isn't reached, or has no such image, or another one.
    """
    skopeo, umoci = command.need("skopeo", "skopeo"), command.need("umoci", "umoci")
    known = [f"--authfile={authfile}"] if authfile else []
    verify = str(validate_certs).lower()
    image = source
    registry = _REGISTRY.fullmatch(source)
    checksum = checksum or pinned(source)
    if registry:
        if checksum is None:
            progress.say("asking the registry")
            manifest = _raw([skopeo, "inspect", "--raw", f"--tls-verify={verify}", *known, source])
            checksum = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
        # By its digest and nothing else, so that what comes is what was asked for, whatever the tag says by then.
        image = f"docker://{registry['name']}@{checksum}"
    copied = f"oci:{work.folder}/image:it"
    copy = [skopeo, "copy", f"--src-tls-verify={verify}", *(f"--src-{word[2:]}" for word in known), image, copied]
    complaints.run(copy, _tell, COMPLAINTS, handles=work.handles)
    progress.say("unpacking its layers")
    complaints.run([umoci, "raw", "unpack", "--image", copied[4:], work.tree], _tell, COMPLAINTS, handles=work.handles)
    return checksum or digest(source)


def _raw(argv: list[str]) -> str:
    done = command.run(argv, check=False)
    if done.returncode != 0:
        raise complaints.explained(done.stderr.splitlines(), COMPLAINTS) or StrataError(command.failure(done))
    return done.stdout


def _tell(line: str) -> str | None:
    found = re.match(r"Copying (blob|config) sha256:([0-9a-f]{12})", line)
    return f"copying {found.group(1)} {found.group(2)}" if found else None
