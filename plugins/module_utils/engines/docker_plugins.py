# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugins of Docker's command line, which run alone, too: the command line would only start them."""

from __future__ import annotations

import os

from ..core import command
from ..core.errors import StrataError

_FOLDERS = (  # where the command line looks for them (docs.docker.com/engine/extend/cli_plugins)
    "~/.docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)


def find(program: str) -> str | None:
    """The path of a plugin, as ``docker-compose``; None where it isn't installed."""
    for folder in _FOLDERS:
        path = os.path.join(os.path.expanduser(folder), program)
        if os.access(path, os.X_OK):
            return path
    return command.find(program)


def need(program: str, title: str, dockers: str, distributions: str) -> str:
    """The path of a plugin.

    Args:
        program: Its name, as ``docker-compose``.
        title: What it is called.
        dockers: The package of Docker's own that has it.
        distributions: The package of a distribution's that has it.

    Raises:
        StrataError: It isn't installed.
    """
    found = find(program)
    if found is None:
        raise StrataError(
            f"{title} is not installed on this host",
            hint=f"Install {dockers} from Docker, or the package {distributions}",
        )
    return found
