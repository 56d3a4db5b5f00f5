# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a root file system can be made from, and what is made of it: a row each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import StrataError
from ..engines import archives, bootstrap, busybox, disks, dnf, oci
from ..engines.trees import Work

Values = Mapping[str, Any]

_TAR = ("tar", "tar")


def _no_check(source: str) -> None:
    """Nothing to say about it."""


@dataclass(frozen=True)
class Source:
    """One way to make a tree.

    Attributes:
        build: Fills the tree, and says which checksum what it was made from has, where it has one.
        needs: The options that it can't do without.
        takes: Those that it can.
        programs: What the host must have, each with its package.
        rootless: It works without root, too.
        trusted: What is in it comes from where the host's own software may come from. Else nobody gets at it before
            it was looked through.
        check: Raises ValueError for a ``source`` that it can't be.
        local: The file or folder of the host that ``source`` names; None where it is elsewhere.
        checksum: The checksum of what is local, by an algorithm.
    """

    build: Callable[[Values, Work], str | None]
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    programs: tuple[tuple[str, str], ...] = ()
    rootless: bool = False
    trusted: bool = True
    check: Callable[[str], None] = _no_check
    local: Callable[[str], str | None] = lambda source: None
    checksum: Callable[[str, str], str | None] = lambda source, algorithm: None

    @property
    def options(self) -> frozenset[str]:
        return frozenset({*self.needs, *self.takes})


# Packages of Debian.


def _debian(values: Values, work: Work) -> None:
    debian = bootstrap.Debian(
        suite=values["suite"],
        mirror=values.get("mirror"),
        variant=values.get("variant") or "minbase",
        packages=values.get("packages") or (),
        components=values.get("components") or ("main",),
        overlay=values.get("overlay"),
        run=values.get("run") or (),
        extract={place: inner for place, (_target, inner) in extracted(values, work).items()},
        keyring=values.get("keyring"),
    )
    bootstrap.build(debian, work, archive=bootstrap.rootless() and values["format"] in ("tar", "ext4", "qcow2"))


def extracted(values: Values, work: Work) -> dict[str, tuple[str, str]]:
    """Where files that are taken out of a tree are at first, with where they go and where they were."""
    wanted = sorted((values.get("extract") or {}).items())
    return {f"{work.folder}/extracted-{number}": pair for number, pair in enumerate(wanted)}


# Packages of Fedora.


def _dnf(values: Values, work: Work) -> None:
    dnf.build(work, values["packages"], values["releasever"], values["repositories"])


# An archive.


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _check_archive(source: str) -> None:
    if not (_is_url(source) or source.startswith("/")) or ".." in source.split("/"):
        raise ValueError("is no archive: write an absolute path, or a URL of http or https")


def _archive(values: Values, work: Work) -> str:
    archive = values["source"]
    wanted = values.get("checksum")
    if _is_url(archive):
        archive = f"{work.folder}/download"
        archives.fetch(values["source"], archive, validate_certs=values.get("validate_certs", True))
    is_now = archives.file_checksum(archive, (wanted or "sha256:").partition(":")[0])
    if wanted and is_now != wanted:
        raise differs(wanted, is_now)
    archives.unpack(archive, work, limit=values.get("max_size"))
    _vet(values, work.tree)
    return is_now


def differs(wanted: str, is_now: str) -> StrataError:
    """The error of a source that isn't what was declared."""
    return StrataError(
        f"the source is another one: it has {is_now}",
        option="checksum",
        value=wanted,
        hint="If that is the right one, declare it; else find out what changed it",
    )


def _vet(values: Values, tree: str) -> None:
    archives.vet(tree, devices=values.get("devices") or False, setuid=values.get("setuid") is not False)


# An image of OCI.


def _image(values: Values, work: Work) -> str:
    digest = oci.unpack(
        values["source"],
        work,
        checksum=values.get("checksum"),
        authfile=values.get("authfile"),
        validate_certs=values.get("validate_certs", True),
    )
    _vet(values, work.tree)
    return digest


# The host's busybox.


def _busybox(values: Values, work: Work) -> str:
    busybox.build(work.tree)
    return archives.file_checksum(busybox.program())


SOURCES = {
    "debootstrap": Source(
        _debian,
        needs=("suite",),
        takes=("mirror", "variant", "components", "keyring", "packages", "overlay", "run", "extract"),
        programs=(("mmdebstrap", "mmdebstrap"),),
        rootless=True,
    ),
    "dnf": Source(
        _dnf,
        needs=("releasever", "repositories", "packages"),
        programs=(("dnf", dnf.PACKAGE),),
    ),
    "tarball": Source(
        _archive,
        needs=("source",),
        takes=("checksum", "devices", "setuid", "max_size", "validate_certs"),
        programs=(_TAR,),
        trusted=False,
        check=_check_archive,
        local=lambda source: None if _is_url(source) else source,
        checksum=archives.file_checksum,
    ),
    "oci": Source(
        _image,
        needs=("source",),
        takes=("checksum", "devices", "setuid", "authfile", "validate_certs"),
        programs=(("skopeo", "skopeo"), ("umoci", "umoci")),
        trusted=False,
        check=oci.check,
        local=oci.layout,
        checksum=lambda source, algorithm: oci.digest(source),
    ),
    "busybox": Source(
        _busybox,
        programs=(("busybox", busybox.PACKAGE),),
        checksum=lambda source, algorithm: archives.file_checksum(busybox.program(), algorithm),
    ),
}


@dataclass(frozen=True)
class Format:
    """One thing that can be made of a tree.

    Attributes:
        finish: Makes it, and says where it is.
        sized: The option ``size`` goes with it.
        programs: What the host must have, each with its package.
    """

    finish: Callable[[Values, Work], str]
    sized: bool = False
    programs: tuple[tuple[str, str], ...] = ()


def _tree(values: Values, work: Work) -> str:
    return work.tree


def _tar(values: Values, work: Work) -> str:
    if not os.path.exists(work.archive):
        archives.pack(work)
    return work.archive


def _ext4(values: Values, work: Work) -> str:
    path = f"{work.folder}/disk"
    disks.ext4(work, path, values["size"])
    return path


def _qcow2(values: Values, work: Work) -> str:
    path = f"{work.folder}/disk.qcow2"
    disks.as_qcow2(_ext4(values, work), path)
    return path


_MKE2FS = ("mke2fs", "e2fsprogs")

FORMATS = {
    "directory": Format(_tree),
    "subvolume": Format(_tree),
    "tar": Format(_tar, programs=(_TAR,)),
    "ext4": Format(_ext4, sized=True, programs=(_MKE2FS,)),
    "qcow2": Format(_qcow2, sized=True, programs=(_MKE2FS, ("qemu-img", "qemu-utils (Debian) or qemu-img (Fedora)"))),
}

DEPENDENT = frozenset({"size", "overlay_digest"}).union(*(source.options for source in SOURCES.values()))
"""The options that go with some sources or formats, and not with all."""


def relevant(values: Values) -> dict[str, Any]:
    """The values that mean something for what is to be made."""
    known = set(SOURCES[values["type"]].options)
    known |= {"size"} if FORMATS[values["format"]].sized else set()
    known |= {"overlay_digest"} if values.get("overlay") else set()
    return {name: value for name, value in values.items() if name in known or name not in DEPENDENT}
