# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image of systemd-nspawn can be made from: a row each."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.codec import PATH, TEXT, Codec, parse_line
from ..core.errors import StrataError
from ..core.field import Field, structure
from ..engines import archives, nspawn, nspawn_images, occupants, trees
from ..engines.nspawn_images import DIRECTORY, RAW
from ..engines.trees import Work
from .nspawn_unit import parse_machine

VERIFICATIONS = ("signature", "checksum", "no")
_FORMATS = {
    b"QFI\xfb": "qcow2",
    b"\xfd7zX": "xz",
    b"\x1f\x8b\x08": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
}


def _parse_url(value: Any) -> str:
    text = parse_line(value)
    if not re.fullmatch(r"https?://[^\s/]+/\S+", text):
        raise ValueError("is no URL of http or https")
    return text


SOURCE = structure(
    Field("rootfs", PATH),
    Field("image", Codec(parse_machine)),
    Field("tar", PATH),
    Field("raw", PATH),
    Field("pull_tar", Codec(_parse_url)),
    Field("pull_raw", Codec(_parse_url)),
    Field("verify", TEXT, choices=VERIFICATIONS),
    Field("checksum", Codec(archives.parse_checksum)),
)


@dataclass(frozen=True)
class Making:
    """What a way to make an image gets.

    Attributes:
        work: Where it is made.
        pulled: The name that what is pulled has until it is put in its place.
        devices: Whether device nodes may be in an archive.
    """

    work: Work
    pulled: str
    devices: bool


@dataclass(frozen=True)
class Way:
    """One way to make an image.

    Attributes:
        make: Makes it of the source, and says where it is.
        takes: The other leaves of ``source`` that go with it.
        programs: What the host must have, each with its package.
        type: What becomes of it; None: what its origin is.
        live: What it is made of may change meanwhile: nothing may write to it.
    """

    make: Callable[[Mapping[str, Any], Making], str]
    takes: frozenset[str] = frozenset()
    programs: tuple[tuple[str, str], ...] = ()
    type: str | None = DIRECTORY
    live: bool = False


def _clone(source: Mapping[str, Any], making: Making) -> str:
    image = nspawn_images.find(source["image"])
    if image is None:  # somebody took it away meanwhile
        raise StrataError(f"there is no image {source['image']}", option="source.image")
    return nspawn_images.copy(image, making.work)


def _pull(what: str) -> Callable[[Mapping[str, Any], Making], str]:
    def make(source: Mapping[str, Any], making: Making) -> str:
        verify = source.get("verify", VERIFICATIONS[0])
        place = nspawn_images.pull(what, source[f"pull_{what}"], verify, making.pulled, making.work.handles)
        if what == "tar":
            archives.vet(place, devices=making.devices)
        return place

    return make


_COPIED = (("cp", "coreutils"),)
_UNPACKED = (("tar", "tar"),)
_VERIFIED, _SUMMED = frozenset({"verify"}), frozenset({"checksum"})

WAYS = {
    "rootfs": Way(
        lambda source, making: nspawn_images.copy_tree(source["rootfs"], making.work), programs=_COPIED, live=True
    ),
    "image": Way(_clone, programs=_COPIED, type=None, live=True),
    "tar": Way(
        lambda source, making: nspawn_images.unpack(source["tar"], making.work, devices=making.devices),
        _SUMMED,
        _UNPACKED,
    ),
    "raw": Way(
        lambda source, making: nspawn_images.copy_disk(
            source["raw"], f"{making.work.folder}/disk.raw", making.work.handles
        ),
        _SUMMED,
        _COPIED,
        RAW,
    ),
    "pull_tar": Way(_pull("tar"), _VERIFIED, _UNPACKED),
    "pull_raw": Way(_pull("raw"), _VERIFIED, type=RAW),
}


def chosen(source: Mapping[str, Any]) -> str:
    """Which way a source names."""
    return next(word for word in WAYS if word in source)


def check(source: Mapping[str, Any] | None) -> None:
    """Refuse what doesn't go together.

    Raises:
        StrataError: It names the option.
    """
    if source is None:
        return
    words = [word for word in WAYS if word in source]
    if len(words) != 1:
        raise StrataError(f"is one of {', '.join(WAYS)}", option="source", value=", ".join(words) or None)
    for leaf in sorted(source.keys() - {*words, *WAYS[words[0]].takes}):
        with_it = ", ".join(word for word, way in WAYS.items() if leaf in way.takes)
        raise StrataError(f"goes with {with_it}", option=f"source.{leaf}", value=source[leaf])


def files(source: Mapping[str, Any]) -> list[str]:
    """The files of the host that it names."""
    return [source[word] for word in ("rootfs", "tar", "raw") if word in source]


def look(source: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be known of a source before anything is made of it: its checksum, where it is a file.

    Raises:
        StrataError: It is no tree or disk, is in use, or isn't what was declared.
    """
    word = chosen(source)
    found: dict[str, Any] = {}
    if word == "rootfs" and not os.path.isdir(source["rootfs"]):
        raise StrataError("is no directory", option="source.rootfs", value=source["rootfs"])
    if word in ("tar", "raw"):
        found["checksum"] = _sum(source, source[word])
    if word == "raw":
        _refuse_formats(source["raw"])
    if WAYS[word].live:
        _refuse_writers(word, source)
    return found


def _sum(source: Mapping[str, Any], path: str) -> str:
    wanted = source.get("checksum")
    is_now = archives.file_checksum(path, (wanted or "sha256:").partition(":")[0])
    if wanted not in (None, is_now):
        raise StrataError(
            f"the source is another one: it has {is_now}",
            option="source.checksum",
            value=wanted,
            hint="If that is the right one, declare it; else find out what changed it",
        )
    return is_now


def _refuse_formats(path: str) -> None:
    with open(path, "rb") as file:
        head = file.read(4)
    for magic, format in _FORMATS.items():
        if head.startswith(magic):
            hint = "Make a raw one of it: qemu_image with convert_from" if format == "qcow2" else "Unpack it first"
            raise StrataError(f"is {format}, and no raw disk", option="source.raw", value=path, hint=hint)


def _refuse_writers(word: str, source: Mapping[str, Any]) -> None:
    image = nspawn_images.find(source["image"]) if word == "image" else None
    path = image.path if image else source.get("rootfs")
    if path is None or (image and image.read_only) or nspawn_images.can_snapshot(path):
        return
    users: Sequence[str] = occupants.users(path)
    if users:
        raise StrataError(
            f"is in use by {', '.join(users)}, so that what would be copied changes meanwhile",
            option=f"source.{word}",
            value=source[word],
            hint="Stop them; or have it on btrfs, where a snapshot is taken at one moment",
        )


def becomes(source: Mapping[str, Any]) -> str | None:
    """What an image of it will be: its type; None where its origin isn't there yet."""
    way = WAYS[chosen(source)]
    if way.type is not None:
        return nspawn_images.SUBVOLUME if way.type == DIRECTORY and trees.on_btrfs(nspawn.IMAGES) else way.type
    origin = nspawn_images.find(source["image"])
    return origin.type if origin else None
