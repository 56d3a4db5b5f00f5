# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is uploaded into a new volume: a file of the host, or what a server has."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..core.errors import StrataError
from ..engines import archives, qcow2

_SPACE = "/var/tmp"  # images are larger than what /tmp may hold, which often is memory


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def parse(value: Any) -> str:
    text = str(value)
    if not (is_url(text) or text.startswith("/")) or "\n" in text or ".." in text.split("/"):
        raise ValueError("must be an absolute path, or a URL of http or https")
    return text


def read(path: str) -> dict[str, Any] | None:
    """The format of a file, the bytes that a guest sees of it, and its backing file; None where there is none."""
    image = qcow2.read(path)
    return None if image is None else {"format": image.format, "size": image.size, "on": image.backing}


def check_sum(path: str, wanted: str | None) -> None:
    """Refuse a file that isn't what was declared.

    Raises:
        StrataError: It says which checksum the file has.
    """
    if wanted is None:
        return
    found = archives.file_checksum(path, wanted.partition(":")[0])
    if found != wanted:
        raise StrataError(
            f"the file is another one: it has {found}",
            option="checksum",
            value=wanted,
            hint="If that is the right one, declare it; else find out what changed it",
        )


@contextmanager
def at_hand(source: str | None, wanted: str | None, validate_certs: bool) -> Iterator[str | None]:
    """The file to upload, which was downloaded where it is a URL.

    Raises:
        StrataError: It can't be downloaded, or is another one than was declared.
    """
    if source is None or not is_url(source):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="strata-volume-", dir=_SPACE) as folder:
        path = f"{folder}/download"
        try:
            archives.fetch(source, path, validate_certs=validate_certs)
        except StrataError as error:
            raise StrataError(error.message, option="upload_from", hint=error.hint) from None
        check_sum(path, wanted)
        yield path
