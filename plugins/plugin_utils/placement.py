# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which technology fits a need, and why: two tables, what each one can't do and what speaks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible.errors import AnsibleFilterError

Needs = Mapping[str, Any]

KERNEL, USERS, NAMESPACES, PATHS = "kernel", "users", "namespaces", "paths"
_LEVELS = {PATHS: 0, NAMESPACES: 1, USERS: 2, KERNEL: 3}
"""What stands between a workload and the host, from the least to the most."""


@dataclass(frozen=True)
class Technology:
    """One of those that there are.

    Attributes:
        kind: What declares it.
        between: What it puts between a workload and the host, at best.
        guests: How many of them a host of 32 GiB carries, roughly.
        options: What is to be declared so that it keeps what it promises.
    """

    kind: str
    between: str
    guests: int
    options: Mapping[str, Any]


TECHNOLOGIES = {
    "chroot": Technology("chroot", PATHS, 1000, {}),
    "namespaces": Technology("namespace", USERS, 1000, {}),
    "nspawn": Technology("nspawn_container", USERS, 200, {"private_users": "pick", "hardening": "baseline"}),
    "lxc": Technology("lxc_container", USERS, 200, {"unprivileged": True, "hardening": "restricted"}),
    "docker": Technology("docker_container", NAMESPACES, 500, {"hardening": "restricted"}),
    "podman": Technology("podman_container", USERS, 500, {"hardening": "restricted", "userns_mode": "auto"}),
    "vm": Technology("libvirt_domain", KERNEL, 30, {"cpu": {"mode": "host-model"}}),
}
_APPLICATIONS = ("docker", "podman")
_SYSTEMS = ("nspawn", "lxc")
_CONTAINERS = (*_APPLICATIONS, *_SYSTEMS)


@dataclass(frozen=True)
class Rule:
    """What one need says.

    Attributes:
        need: Its name.
        applies: Whether a value of it does.
        cannot: Who can't meet it, with the reason.
        favours: Who meets it best, with how much that counts, and the reason.
    """

    need: str
    applies: Callable[[Any], bool]
    cannot: Mapping[str, str]
    favours: Mapping[str, tuple[int, str]]


def _given(value: Any) -> bool:
    return bool(value)


def _all_but(*technologies: str, reason: str) -> dict[str, str]:
    return {name: reason for name in TECHNOLOGIES if name not in technologies}


RULES = (
    Rule(
        "tenants",
        _given,
        _all_but("vm", reason="one kernel for all tenants: a hole in it is a hole between them"),
        {"vm": (5, "a kernel of its own for each tenant")},
    ),
    Rule(
        "os",
        lambda os: str(os).lower() not in ("linux", ""),
        _all_but("vm", reason="runs on the host's kernel, so Linux alone"),
        {"vm": (5, "boots any system")},
    ),
    Rule(
        "kernel_modules",
        _given,
        _all_but("vm", reason="has no kernel to load them into but the host's"),
        {"vm": (5, "loads modules into a kernel of its own")},
    ),
    Rule(
        "devices",
        lambda devices: bool(set(devices or ()) & {"pci", "gpu", "usb"}),
        {
            "chroot": "shares all devices of the host, and owns none",
            "namespaces": "has no way to be given a device alone",
        },
        {
            "vm": (3, "is given a whole device by VFIO, out of the host's reach"),
            "docker": (1, "is given the node of a device, which the host's driver goes on to serve"),
            "podman": (1, "is given the node of a device, which the host's driver goes on to serve"),
        },
    ),
    Rule(
        "system_test",
        _given,
        {
            "chroot": "has no init",
            "namespaces": "has no init of its own by itself",
            **dict.fromkeys(_APPLICATIONS, "is made for one program, not for a system with its services"),
        },
        {
            "nspawn": (4, "boots a tree of the host with its systemd, in a second"),
            "lxc": (3, "boots any init"),
            "vm": (2, "boots all of it, its kernel, too"),
        },
    ),
    Rule(
        "image",
        lambda image: image == "oci",
        {
            "chroot": "runs a tree, not an image",
            "namespaces": "runs no image",
            "vm": "boots a disk, not an image of an application",
        },
        {"docker": (4, "runs images as registries have them"), "podman": (4, "runs images as registries have them")},
    ),
    Rule(
        "rootless",
        _given,
        {
            "docker": "is a daemon of root's, whoever asks it",
            "chroot": "is root's to enter",
            "nspawn": "is started by root",
        },
        {"podman": (4, "runs as the user, without a daemon"), "lxc": (2, "runs as the user, with a range of IDs")},
    ),
    Rule(
        "audit",
        _given,
        {
            "chroot": "leaves no name in what the kernel notes: it is processes as others",
            "namespaces": "leaves no name in what the kernel notes: it is processes as others",
        },
        {
            "vm": (2, "keeps an audit log of its own, which nothing on the host can change"),
            "nspawn": (2, "is a unit of systemd with a journal, and its processes are told by their control group"),
            "podman": (1, "each container is a process of whoever started it, with their login's ID"),
        },
    ),
    Rule(
        "live_migration",
        _given,
        _all_but("vm", reason="can't move to another host while it runs"),
        {"vm": (4, "moves to another host while it runs")},
    ),
    Rule(
        "build",
        _given,
        {"vm": "takes as long to start as many builds take"},
        {"chroot": (3, "enters a tree at no cost"), "podman": (2, "builds without a daemon")},
    ),
    Rule(
        "network_only",
        _given,
        {"vm": "is a whole system for what is a namespace"},
        {"namespaces": (4, "a network of its own for programs of the host, and nothing else")},
    ),
    Rule(
        "compose",
        _given,
        _all_but("docker", reason="projects of Compose are declared for Docker"),
        {"docker": (3, "takes a project of Compose as it is")},
    ),
)
_KNOWN = {rule.need for rule in RULES} | {"isolation", "density"}
_PLAIN = {"docker": 1, "podman": 1}
"""What is taken where nothing speaks for one or another: what most people know."""


def place(needs: Needs) -> dict[str, Any]:
    """The technology that fits some needs best.

    Args:
        needs: ``isolation`` (paths, namespaces, users, kernel), ``density`` (guests on one host), and those of RULES.

    Returns:
        ``technology``, ``kind`` and ``options`` to declare it with, the ``reasons`` for it, and of all others
        (``instead``) their reasons, or why they can't be.

    Raises:
        AnsibleFilterError: A need is unknown, or nothing meets all of them.
    """
    _refuse_unknown(needs)
    judged = {name: _judge(name, needs) for name in TECHNOLOGIES}
    fitting = sorted(
        (name for name, (_score, _reasons, against) in judged.items() if not against),
        key=lambda name: (-judged[name][0], -TECHNOLOGIES[name].guests, name),
    )
    if not fitting:
        said = "; ".join(f"{name} {judged[name][2][0]}" for name in TECHNOLOGIES)
        raise AnsibleFilterError(f"placement: nothing meets all of {dict(needs)}: {said}. Give up one of them")
    best = fitting[0]
    return {
        "technology": best,
        "kind": TECHNOLOGIES[best].kind,
        "options": dict(TECHNOLOGIES[best].options),
        "reasons": judged[best][1] or ["nothing speaks against it, and it costs least to start and to keep"],
        "instead": [
            {"technology": name, "fits": not judged[name][2], "reasons": judged[name][2] or judged[name][1]}
            for name in (*fitting[1:], *(name for name in TECHNOLOGIES if name not in fitting))
        ],
    }


def _refuse_unknown(needs: Needs) -> None:
    unknown = sorted(set(needs) - _KNOWN)
    if unknown:
        raise AnsibleFilterError(
            f"placement: no such need: {', '.join(unknown)}; needs are {', '.join(sorted(_KNOWN))}"
        )
    if needs.get("isolation") not in (None, *_LEVELS):
        raise AnsibleFilterError(f"placement: isolation is one of {', '.join(_LEVELS)}, not {needs['isolation']!r}")


def _judge(name: str, needs: Needs) -> tuple[int, list[str], list[str]]:
    """What speaks for a technology, in points and in words, and why it can't be."""
    technology, score, reasons, against = TECHNOLOGIES[name], _PLAIN.get(name, 0), [], []
    for rule in RULES:
        if rule.need in needs and rule.applies(needs[rule.need]):
            if name in rule.cannot:
                against.append(rule.cannot[name])
            elif name in rule.favours:
                points, reason = rule.favours[name]
                score += points
                reasons.append(reason)
    wanted = needs.get("isolation")
    if wanted is not None:
        if _LEVELS[technology.between] < _LEVELS[wanted]:
            against.append(f"puts {technology.between} between it and the host at best, and {wanted} are asked for")
        elif technology.between == wanted:
            score += 1
            reasons.append(f"puts {wanted} between it and the host")
    if int(needs.get("density") or 0) > technology.guests:
        against.append(f"a host carries some {technology.guests} of them, and {needs['density']} are asked for")
    elif needs.get("density"):
        reasons.append(f"a host carries some {technology.guests} of them")
    return score, reasons, against
