# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where options of a container live in Podman's words, where that is elsewhere than in Docker's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..core.codec import CPU_PERIOD, MAX
from .docker_at import At, Body, Document
from .docker_config import SECURITY_OPT as DOCKERS_SECURITY
from .docker_networks import placed, shares

SHM_SIZE = 65_536_000
"""65536k, where k is a thousand (containers.conf(5), shm_size; podman: docker/go-units, FromHumanSize)."""


def _read_cpus(document: Document, _image: Document) -> Any:
    host = document["HostConfig"]
    quota = host.get("CpuQuota") or 0
    return quota * CPU_PERIOD // (host.get("CpuPeriod") or CPU_PERIOD) if quota > 0 else MAX


def _write_cpus(body: Body, value: Any) -> None:
    for key in ("NanoCpus", "CpuQuota", "CpuPeriod"):
        body["HostConfig"].pop(key, None)
    if value != MAX:
        body["HostConfig"].update(CpuQuota=value, CpuPeriod=CPU_PERIOD)


def _read_pids(document: Document, _image: Document) -> Any:
    limit = document["HostConfig"].get("PidsLimit") or 0
    return limit if limit > 0 else MAX


def _write_pids(body: Body, value: Any) -> None:
    body["HostConfig"]["PidsLimit"] = -1 if value == MAX else value  # nothing would be Podman's own limit


def _read_places(document: Document, _image: Document) -> Any:
    """Its networks. Which of its addresses somebody chose, Podman doesn't tell."""
    rows = []
    for name, place in sorted((document.get("NetworkSettings") or {}).get("Networks", {}).items()):
        row = {
            "name": name,
            "aliases": tuple(sorted(place["Aliases"])),
            "ipv4_address": place["IPAddress"],
            "ipv6_address": place["GlobalIPv6Address"],
            "mac_address": place["MacAddress"],
        }
        rows.append({key: value for key, value in row.items() if value})
    return tuple(rows)


def _write_places(body: Body, rows: Iterable[Mapping[str, Any]]) -> None:
    before = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    wanted = {row["name"]: placed(row, before.get(row["name"], {})) for row in rows}
    body["NetworkingConfig"] = {"EndpointsConfig": wanted}
    mode = body["HostConfig"].get("NetworkMode")
    if mode not in wanted and not (shares(mode) and not wanted):
        body["HostConfig"]["NetworkMode"] = next(iter(wanted), "none")


def _write_pod(body: Body, value: Any) -> None:
    body.pop("Pod", None)
    if value:
        body["Pod"] = value


CPUS, PIDS = At(_read_cpus, _write_cpus), At(_read_pids, _write_pids)
NETWORKS = At(_read_places, _write_places)
SECURITY_OPT = At(
    lambda document, _image: tuple(sorted(document["HostConfig"].get("SecurityOpt") or ())), DOCKERS_SECURITY.write
)
POD = At(lambda document, _image: document["Config"].get("Pod") or "", _write_pod)
