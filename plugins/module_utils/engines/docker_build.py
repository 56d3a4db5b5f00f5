# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image is made of: a build context, an archive, a reference. Pure translation and files; no daemon."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from .ignored import Ignored

# References.

_HUB = ("docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/")


def familiar(reference: str) -> str:
    """A reference as the daemon lists it: with a tag or a digest, and without what Docker Hub goes without."""
    for prefix in _HUB:
        if reference.startswith(prefix):
            reference = reference[len(prefix) :]
            break
    return reference if tagged(reference) else f"{reference}:latest"


def tagged(reference: str) -> bool:
    """Whether it has a tag or a digest; a colon before a slash is that of a registry's port."""
    return "@" in reference or ":" in reference.rpartition("/")[2]


def parts(reference: str) -> tuple[str, str]:
    """The repository, and the tag or the digest."""
    if "@" in reference:
        repository, _at, digest = reference.partition("@")
        return repository, digest
    repository, _colon, tag = reference.rpartition(":")
    return repository, tag


# Contexts.


DOCKERS = (".dockerignore",)


def paths(context: str, recipe: str, ignored_by: Sequence[str] = DOCKERS) -> list[str]:
    """The paths in a context, relative to it, that its file of patterns leaves in.

    Args:
        context: The folder.
        recipe: The file that says how to build, which is always left in.
        ignored_by: How the file of patterns may be called; the first that is there counts.
    """
    file = next((name for name in ignored_by if os.path.isfile(os.path.join(context, name))), None)
    patterns: list[str] = []
    if file is not None:
        with open(os.path.join(context, file), encoding="utf-8") as lines:
            patterns = lines.read().splitlines()
    ignored = Ignored(patterns, keeps=(recipe,))
    found: list[str] = []
    for folder, folders, files in os.walk(context):
        below = os.path.relpath(folder, context)
        inside = [os.path.normpath(os.path.join(below, name)) for name in (*folders, *files)]
        found += [path for path in inside if path not in ignored]
        folders[:] = [name for name in folders if ignored.enters(os.path.normpath(os.path.join(below, name)))]
    return sorted(found)


def context_digest(context: str, recipe: str, ignored_by: Sequence[str] = DOCKERS) -> str:
    """Of all that a build may see of a context: names, kinds, permissions, contents; not times and owners."""
    whole = hashlib.sha256()
    for path in paths(context, recipe, ignored_by):
        place = os.path.join(context, path)
        found = os.lstat(place)
        if stat.S_ISDIR(found.st_mode):
            content = ""
        elif stat.S_ISLNK(found.st_mode):
            content = os.readlink(place)
        elif stat.S_ISREG(found.st_mode):
            content = _file_digest(place)
        else:
            continue  # as in pack
        whole.update(f"{path}\0{found.st_mode:o}\0{content}\0".encode(errors="surrogateescape"))
    return f"sha256:{whole.hexdigest()}"


def _file_digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def options_digest(options: Mapping[str, Any]) -> str:
    """Of options; they themselves may hold what isn't for everybody's eyes."""
    return f"sha256:{hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()}"


def pack(
    context: str, recipe: str, ignored_by: Sequence[str] = DOCKERS, more: Mapping[str, bytes] | None = None
) -> IO[bytes]:
    """A context as the tar that ``POST /build`` wants, in a file without a name; root owns all that is in it.

    Args:
        context: The folder.
        recipe: The file in it that says how to build.
        ignored_by: How the file is called that says what of it doesn't count, the first that is there.
        more: Files for root's eyes alone, beside those of the context.
    """
    archive = tempfile.TemporaryFile(dir="/var/tmp")  # noqa: SIM115 (the caller closes it)

    def rooted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = int(entry.mtime)
        return entry

    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        # BuildKit tells a tar by its first block, which has to do alone: none of a long name (buildx: isArchive).
        top = tarfile.TarInfo(".")
        top.type, top.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(top)
        for path in paths(context, recipe, ignored_by):
            place = os.path.join(context, path)
            mode = os.lstat(place).st_mode
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode):  # no socket, device or pipe is content
                tar.add(place, path, recursive=False, filter=rooted)
        for name, content in (more or {}).items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o400
            tar.addfile(entry, io.BytesIO(content))
    archive.seek(0)
    return archive


# Archives.


def archived(path: str) -> dict[str, list[str]]:
    """The images in an archive as ``docker save`` writes it: each one's tags by its ID; nothing if it is none."""
    try:
        with tarfile.open(path) as tar:
            manifest = tar.extractfile("manifest.json")
            listed = json.load(manifest) if manifest else []
    except (OSError, KeyError, ValueError, tarfile.TarError):
        return {}
    return {_image_id(entry["Config"]): list(entry.get("RepoTags") or ()) for entry in listed}


def _image_id(config: str) -> str:
    """An image's ID is the digest of its configuration, whose file is named after it: HEX.json or blobs/sha256/HEX."""
    return f"sha256:{os.path.basename(config).partition('.')[0]}"


def chosen(images: Mapping[str, list[str]], reference: str, spelled: Callable[[str], str] = familiar) -> str | None:
    """The ID of the image of an archive that is meant: the one with that tag, or the only one there is.

    Args:
        images: Each one's tags by its ID.
        reference: The tag.
        spelled: How tags are spelled before they are compared.
    """
    for image, tags in images.items():
        if reference in map(spelled, tags):
            return image
    return next(iter(images)) if len(images) == 1 else None
