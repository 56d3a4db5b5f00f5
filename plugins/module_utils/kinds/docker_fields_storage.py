# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of docker_container: what it sees of files."""

from __future__ import annotations

from ..core.codec import BOOL, LINE, MAP, WORDS
from ..core.field import Field
from ..engines import docker_config as at
from ..engines import docker_values
from ..engines.docker_values_mounts import MOUNTS

STORAGE = (
    Field("volumes", docker_values.BINDS, at.VOLUMES, default=()),
    Field("mounts", MOUNTS, at.MOUNTS, default=()),
    Field("tmpfs", docker_values.TMPFS, at.TMPFS_AT, default=()),
    Field("volumes_from", WORDS, at.VOLUMES_FROM, default=()),
    Field("volume_driver", LINE, at.VOLUME_DRIVER, default=""),
    Field("storage_opts", MAP, at.STORAGE_OPTS, default={}),
    Field("read_only", BOOL, at.READ_ONLY, default=False),
)
