# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Docker daemon and its host, told as they are: what is asked for, in the daemon's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.codec import BOOL, LINE, Codec
from ..core.field import Field, Role
from ..engines.docker import DEFAULT
from ..engines.docker_images import DockerImages

_BRIEF = {
    "containers": ("Id", "Image", "Command", "Created", "Status", "Ports", "Names"),
    "images": ("Id", "RepoTags", "Created", "Size"),
    "networks": ("Id", "Driver", "Name", "Scope"),
    "volumes": ("Driver", "Name"),
}
"""What a list tells of each entry where not everything is asked for."""


def _parse_filters(values: Mapping[Any, Any]) -> dict[str, list[str]]:
    """Each filter with its values, as the API wants them: a truth is spelled ``true``."""

    def texts(value: Any) -> list[str]:
        some = value if isinstance(value, (list, tuple)) else [value]
        return [str(one).lower() if isinstance(one, bool) else str(one) for one in some]

    return {str(key): texts(value) for key, value in values.items()}


_FILTERS = Codec(_parse_filters, "dict", dict)

FIELDS = (
    Field("docker_host", LINE, role=Role.CONNECT, given=DEFAULT, aliases=("docker_url",)),
    Field("containers_all", BOOL, given=False),
    *(Field(sort, BOOL, given=False) for sort in _BRIEF),
    *(Field(f"{sort}_filters", _FILTERS) for sort in _BRIEF),
    Field("disk_usage", BOOL, given=False),
    Field("verbose_output", BOOL, given=False),
)


def tell(spec: Mapping[str, Any], _check_mode: bool) -> dict[str, Any]:
    engine = DockerImages(spec["docker_host"])
    told: dict[str, Any] = {"changed": False, "can_talk_to_docker": True, "host_info": engine.info()}
    for sort, brief in _BRIEF.items():
        if spec[sort]:
            found = engine.listed(sort, spec.get(f"{sort}_filters", {}), whole=spec["containers_all"])
            told[sort] = found if spec["verbose_output"] else [{key: one.get(key) for key in brief} for one in found]
    if spec["disk_usage"]:
        used = engine.used()
        told["disk_usage"] = used if spec["verbose_output"] else {"LayersSize": used.get("LayersSize")}
    return told
