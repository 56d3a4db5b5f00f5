# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit of a network namespace: one command of ip(8) for each thing that is made at boot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..engines import bootunit, ipcommands, mountunit

_PREFIX = "strata-netns-"


@dataclass(frozen=True)
class Kept:
    """What a unit says: whose it is, and the commands that it runs; and whether it is started at boot."""

    owner: str
    commands: tuple[str, ...]
    enabled: bool = True


def unit(name: str) -> str:
    return f"{_PREFIX}{name}.service"


def names() -> list[str]:
    return bootunit.names(_PREFIX)


def read(name: str) -> Kept | None:
    """What is kept of a namespace for the next boot; None: nothing."""
    file = bootunit.read(unit(name))
    if file is None:
        return None
    commands = tuple(file.all("Service", "ExecStart"))
    return Kept(file.last(mountunit.NOTES, "Owner") or "", commands, bootunit.enabled(unit(name)))


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """An observed link as it would be declared: without what each link has of its own accord."""
    kept = {key: plain(value) if isinstance(value, dict) else value for key, value in row.items()}
    return {key: value for key, value in kept.items() if key not in ("mac", "alias", "link_locals") and value != ""}


def commands(netns: str, values: Mapping[str, Any], owned: str, alias: str) -> tuple[str, ...]:
    """What makes a namespace and what is in it, in order.

    Args:
        netns: The namespace.
        values: All that it is to have, each link after those that it is tied to; ``within``: the names of all links.
        owned: What its lo is marked with.
        alias: What its links are marked with.
    """
    return tuple(bootunit.quoted(argv) for argv in _commands(netns, values, owned, alias))


def _commands(netns: str, values: Mapping[str, Any], owned: str, alias: str) -> Iterator[list[str]]:
    links, within = values["links"], values["within"]
    sysctls = {key: value for key, value in (values.get("sysctls") or {}).items() if value is not None}
    later = ipcommands.of_links(sysctls, within - {"lo"})
    yield from ipcommands.namespace(netns, owned, bool(values.get("loopback")))
    yield from (ipcommands.sysctl(netns, key, sysctls[key]) for key in sorted(sysctls) if key not in later)
    for row in links:
        parent = row.get("parent")
        yield from ipcommands.link(netns, row, alias, netns if not parent or parent in within else "")
    yield from (ipcommands.sysctl(netns, key, sysctls[key]) for key in sorted(later))
    routes = values.get("routes") or ()
    # Gateways are reached through routes without one.
    yield from (ipcommands.route(netns, row) for row in sorted(routes, key=lambda one: bool(one.get("via"))))
    yield from (ipcommands.rule(netns, row) for row in values.get("rules") or ())


def store(name: str, lines: Sequence[str], owner: str, values: Mapping[str, Any]) -> None:
    """Have a namespace made at boot by these commands, after what it needs."""
    others = sorted(set(_units(name, values)))
    text = bootunit.render(
        [
            ("Unit", "Description", [f"The network namespace {name}"]),
            ("Unit", "After", ["network-pre.target", *others]),
            ("Unit", "Before", ["network.target"]),
            ("Unit", "Wants", others),
            ("Service", "Type", ["oneshot"]),
            ("Service", "RemainAfterExit", ["yes"]),
            ("Service", "ExecStart", lines),
            ("Install", "WantedBy", ["multi-user.target"]),
            (mountunit.NOTES, "Owner", [owner]),
        ]
    )
    bootunit.store(unit(name), text)


def _units(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    """The units of what a namespace needs: links of the host, whoever makes them, and other namespaces."""
    for row in values["links"]:
        peer = row.get("peer") or {}
        if row.get("parent") and row["parent"] not in values["within"]:
            yield _device(row["parent"])
        if peer.get("master") and not peer.get("netns"):
            yield _device(peer["master"])
        if peer.get("netns") and peer["netns"] != name:
            yield unit(peer["netns"])


def _device(link: str) -> str:
    """The unit that is active when udev knows a link (systemd.device(5))."""
    return f"{mountunit.escape(f'/sys/subsystem/net/devices/{link}')}.device"
