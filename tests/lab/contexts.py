# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders to build images from."""

from __future__ import annotations

import shutil
from pathlib import Path


def context(folder: Path, said: str, *lines: str, recipe: str = "Dockerfile") -> str:
    """A folder to build from: busybox, and one file."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "busybox").exists():
        shutil.copy(shutil.which("busybox"), folder / "busybox")
    (folder / "said").write_text(said)
    steps = ("FROM scratch AS built", "COPY busybox /bin/busybox", "COPY . /context/", *lines)
    (folder / recipe).write_text("\n".join(steps) + "\n")
    return str(folder)
