# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to Podman about pods, and where their options live."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.codec import CPU_PERIOD, MAX
from .docker_networks import at, put
from .docker_values import split_port
from .podman import Document, Podman

Body = dict[str, Any]


class PodmanPods(Podman):
    """One user's Podman, asked about pods."""

    def pods(self) -> list[Document]:
        """Short descriptions of all pods."""
        found: list[Document] = self._ask("/pods/json")
        return found

    def pod(self, name: str) -> Document | None:
        """All about a pod; None where there is none."""
        found: Document | None = self._ask(f"/pods/{name}/json", missing=True)
        return found

    def create_pod(self, body: Document) -> None:
        self._make("/pods/create", body)

    def pod_does(self, name: str, verb: str) -> None:
        """Start, stop, pause or unpause one with all that is in it."""
        self._do(f"/pods/{name}/{verb}", missing=False)

    def remove_pod(self, name: str, force: bool) -> None:
        """Remove one; with ``force``, with all that is in it. One that is gone is fine."""
        self._said("DELETE", f"/pods/{name}", {"force": force}, missing=True)


@dataclass(frozen=True)
class At:
    """How a value is read from what Podman tells of a pod, and written into the request that makes one."""

    read: Callable[[Document], Any]
    write: Callable[[Body, Any], None]


def same(told: str, asked: str, empty: Any) -> At:
    """A value that is told as it was asked for."""
    return At(lambda document: at(document, told) or empty, lambda body, value: put(body, asked, value))


def words(told: str, asked: str, ordered: bool = True) -> At:
    def read(document: Document) -> tuple[str, ...]:
        found = at(document, told) or ()
        return tuple(found) if ordered else tuple(sorted(found))

    return At(read, lambda body, value: put(body, asked, list(value)))


def _read_ports(document: Document) -> tuple[str, ...]:
    bindings = at(document, "InfraConfig.PortBindings") or {}
    rows = [f"{one['HostIp']}:{one['HostPort']}:{inner}" for inner, every in bindings.items() for one in every or ()]
    return tuple(sorted(rows))


def _write_ports(body: Body, ports: Any) -> None:
    rows = []
    for port in ports:
        ip, outer, inner = split_port(port)
        number, _slash, protocol = inner.partition("/")
        row = {"container_port": int(number), "protocol": protocol, "host_ip": ip}
        rows.append({**row, **({"host_port": int(outer)} if outer else {})})
    body["portmappings"] = rows


def _write_networks(body: Body, names: Any) -> None:
    body["netns"] = {"nsmode": "bridge"}
    body["Networks"] = {name: {} for name in names}


def _read_hosts(document: Document) -> dict[str, str]:
    lines = at(document, "InfraConfig.HostAdd") or ()
    return dict(line.partition(":")[::2] for line in lines)


def _write_hosts(body: Body, hosts: Mapping[str, str]) -> None:
    body["hostadd"] = [f"{name}:{address}" for name, address in sorted(hosts.items())]


def _read_cpus(document: Document) -> Any:
    quota = document.get("cpu_quota") or 0
    return quota * CPU_PERIOD // (document.get("cpu_period") or CPU_PERIOD) if quota > 0 else MAX


def _write_cpus(body: Body, quota: Any) -> None:
    if quota != MAX:
        put(body, "resource_limits.cpu", {"quota": quota, "period": CPU_PERIOD})


def _write_memory(body: Body, limit: Any) -> None:
    if limit != MAX:
        put(body, "resource_limits.memory", {"limit": limit})
        # Of a pod without an entry for processors, Podman 5.4 doesn't tell the memory, although it holds.
        body["resource_limits"].setdefault("cpu", {})


PORTS, HOSTS = At(_read_ports, _write_ports), At(_read_hosts, _write_hosts)
NETWORKS = At(lambda document: tuple(sorted(at(document, "InfraConfig.Networks") or ())), _write_networks)
CPUS = At(_read_cpus, _write_cpus)
MEMORY = At(lambda document: document.get("memory_limit") or MAX, _write_memory)
