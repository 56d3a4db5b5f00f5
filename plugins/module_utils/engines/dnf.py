# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root file systems of Fedora and its relatives, by dnf, from the repositories that are named and no others."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from ..core import command
from . import complaints
from .complaints import Complaint
from .trees import Work

PACKAGE = "dnf"

COMPLAINTS = (
    Complaint(r"(?:Unable to find a match|No match for argument): ", "packages", "Check their names, and repositories"),
    Complaint(r"nothing provides ", "packages", "Name a repository that has it"),
    Complaint(r"Curl error|Cannot download repomd|[Ff]ailed to download metadata", "repositories", "Check their URLs"),
    Complaint(
        r"GPG check FAILED|is not signed|not correct for this package|Failed to retrieve GPG key",
        "repositories",
        "Check the gpgkey of each",
    ),
)

_STEPS = re.compile(
    r"(Downloading Packages|Running transaction)\b|\s+(Installing|Running scriptlet)\s*: (\S+)\s.*?(\d+/\d+)"
)


def build(work: Work, packages: Sequence[str], releasever: str, repositories: Sequence[Mapping[str, Any]]) -> None:
    """Fill the tree.

    Args:
        work: Where it is made.
        packages: What is installed, and what that depends on; nothing that they only recommend.
        releasever: What ``$releasever`` stands for.
        repositories: Each with ``name``, ``baseurl``, ``gpgcheck`` and ``gpgkey``.

    Raises:
        StrataError: dnf is missing or failed.
    """
    tool = command.need("dnf", PACKAGE)
    folder = f"{work.folder}/repositories"
    os.mkdir(folder)
    for repository in repositories:
        with open(f"{folder}/{repository['name']}.repo", "w", encoding="utf-8") as file:
            file.write(_text(repository))
    argv = [tool, "--assumeyes", f"--installroot={work.tree}", f"--releasever={releasever}"]
    argv += [f"--setopt=reposdir={folder}", "--setopt=install_weak_deps=False", "install", *packages]
    complaints.run(argv, _tell, COMPLAINTS, handles=work.handles)
    for cache in ("var/cache/dnf", "var/cache/libdnf5"):
        if os.path.isdir(f"{work.tree}/{cache}"):
            shutil.rmtree(f"{work.tree}/{cache}")


def _text(repository: Mapping[str, Any]) -> str:
    lines = [f"[{repository['name']}]", f"name={repository['name']}", f"baseurl={repository['baseurl']}", "enabled=1"]
    lines += [f"gpgcheck={int(repository.get('gpgcheck', True))}"]
    if "gpgkey" in repository:
        lines += [f"gpgkey={repository['gpgkey']}"]
    return "\n".join(lines) + "\n"


def _tell(line: str) -> str | None:
    found = _STEPS.match(line) or _STEPS.match(f" {line}")
    if not found:
        return None
    if found.group(1):
        return found.group(1).lower()
    return f"{found.group(2).lower()} {found.group(3)} ({found.group(4)})"
