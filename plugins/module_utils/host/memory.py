# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory: NUMA nodes, and pages that are larger than others."""

from __future__ import annotations

import re

from ..core.codec import show_size
from ..core.survey import Facts, Need, Subject, Why
from ..engines.hostfiles import Host, expand, kilobytes, number
from ..engines.hugepages import sizes

_NODES = "/sys/devices/system/node"

# Documentation/admin-guide/mm/hugetlbpage.rst; nodes have the first three only.
_COUNTS = {"total": "nr_hugepages", "free": "free_hugepages", "surplus": "surplus_hugepages"}
_MORE_COUNTS = {"reserved": "resv_hugepages", "overcommit": "nr_overcommit_hugepages"}


def _nodes(host: Host) -> list[int]:
    found = (re.fullmatch(r"node(\d+)", name) for name in host.names(_NODES))
    return sorted(int(match.group(1)) for match in found if match)


def read_numa(host: Host) -> Facts:
    nodes = {}
    for node in _nodes(host):
        folder = f"{_NODES}/node{node}"
        meminfo = host.text(f"{folder}/meminfo")
        nodes[str(node)] = {
            "cpus": expand(host.line(f"{folder}/cpulist")),
            "memory": kilobytes(meminfo, "MemTotal"),
            "memory_free": kilobytes(meminfo, "MemFree"),
            "distances": [number(word) for word in (host.line(f"{folder}/distance") or "").split()],
        }
    return {"nodes": nodes, "balancing": host.number("/proc/sys/kernel/numa_balancing") not in (None, 0)}


def chosen(text: str | None) -> str | None:
    """The word in brackets, as the kernel marks which of several is in force."""
    found = re.search(r"\[(.+?)\]", text or "")
    return found.group(1) if found else None


def read_hugepages(host: Host) -> Facts:
    top = "/sys/kernel/mm/hugepages"
    transparent = "/sys/kernel/mm/transparent_hugepage"
    nodes = _nodes(host)

    def counts(folder: str, files: dict[str, str]) -> Facts:
        return {name: host.number(f"{folder}/{file}") for name, file in files.items()}

    mounts = (line.split() for line in (host.text("/proc/self/mounts") or "").splitlines())
    return {
        "sizes": {
            str(show_size(size)): {
                **counts(f"{top}/{name}", {**_COUNTS, **_MORE_COUNTS}),
                "nodes": {str(node): counts(f"{_NODES}/node{node}/hugepages/{name}", _COUNTS) for node in nodes},
            }
            for size, name in sizes(host.names(top)).items()
        },
        "mounts": [fields[1] for fields in mounts if len(fields) > 2 and fields[2] == "hugetlbfs"],
        "transparent": {
            "enabled": chosen(host.line(f"{transparent}/enabled")),
            "defrag": chosen(host.line(f"{transparent}/defrag")),
        },
    }


NUMA = Subject(
    read_numa,
    (
        Need(
            "nodes",
            (
                Why(
                    lambda numa: not numa["nodes"],
                    "the kernel tells of no NUMA nodes",
                    "Use a kernel with CONFIG_NUMA; on a host of one node nothing is lost",
                ),
            ),
        ),
    ),
)

HUGEPAGES = Subject(
    read_hugepages,
    (
        Need(
            "pages",
            (
                Why(
                    lambda pages: not pages["sizes"],
                    "the kernel has no huge pages",
                    "Use a kernel with CONFIG_HUGETLBFS, on a processor that has them",
                ),
                Why(
                    lambda pages: not any(row["total"] or row["overcommit"] for row in pages["sizes"].values()),
                    "none are set aside",
                    "Set vm.nr_hugepages in /etc/sysctl.d, or start the kernel with hugepagesz=1G hugepages=N: "
                    "large ones are best had before memory is in pieces",
                ),
            ),
        ),
        Need(
            "mount",
            (
                Why(
                    lambda pages: bool(pages["sizes"]) and not pages["mounts"],
                    "no hugetlbfs is mounted, through which virtual machines get them",
                    "systemctl start dev-hugepages.mount",
                ),
            ),
        ),
        Need(
            "transparent",
            (
                Why(
                    lambda pages: pages["transparent"]["enabled"] == "never",
                    "transparent huge pages are off",
                    "Write madvise to /sys/kernel/mm/transparent_hugepage/enabled, "
                    "and start the kernel with transparent_hugepage=madvise",
                ),
            ),
        ),
    ),
)
