# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hardening profiles mean, in words of no engine.

The names are those of the Kubernetes Pod Security Standards (kubernetes.io/docs/concepts/security/
pod-security-standards). Each technology compiles this table to settings of its own; ``isolation_audit`` measures it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import StrataError

PRIVILEGED, BASELINE, RESTRICTED = PROFILES = ("privileged", "baseline", "restricted")
"""From no opinion to the strictest; each one declares what those before it declare, and more."""

NOBODY = "65534:65534"
"""User and group of no rights, the kernel's own overflow IDs (Documentation/admin-guide/sysctl/kernel.rst)."""

SCRATCH = {"/tmp": "noexec,nosuid,nodev,size=64m", "/run": "noexec,nosuid,nodev,size=64m"}
"""Where a program may write although the root is read-only: mount options by path."""


@dataclass(frozen=True)
class Rule:
    """One thing that a profile declares.

    Attributes:
        aspect: What it is about.
        profile: The first profile that declares it.
        value: What it declares, in canonical values.
        reason: Why, as it ends the sentence "... breaks the profile: it".
    """

    aspect: str
    profile: str
    value: Any
    reason: str


RULES = (
    Rule("privileged", BASELINE, False, "hands over every capability, every device and the kernel's own settings"),
    Rule("host_namespaces", BASELINE, (), "shows or shares what belongs to the host and its other workloads"),
    Rule("devices", BASELINE, (), "reaches hardware below every file permission"),
    Rule("mounts", BASELINE, (), "leads to the host"),
    Rule("capabilities", BASELINE, (), "gives rights that lead to the host"),
    Rule("confinement", BASELINE, (), "lifts the default confinement by seccomp, AppArmor or SELinux, or masked paths"),
    Rule("default_capabilities", RESTRICTED, False, "keeps rights that nobody named"),
    Rule("no_new_privileges", RESTRICTED, True, "lets a set-user-ID program gain rights"),
    Rule("read_only_root", RESTRICTED, True, "lets the program change itself"),
    Rule("scratch", RESTRICTED, SCRATCH, "leaves nowhere to write"),
    Rule("user", RESTRICTED, NOBODY, "runs as root"),
    Rule("memory", RESTRICTED, 512 * 1024**2, "may take all of the host's memory"),
    Rule("cpus", RESTRICTED, 100_000, "may take all of the host's cpu time"),
    Rule("pids_limit", RESTRICTED, 256, "may take all of the host's process IDs"),
)


def rules(profile: str | None) -> dict[str, Rule]:
    """What a profile declares, by aspect; nothing where none is given."""
    level = PROFILES.index(profile or PRIVILEGED)
    return {rule.aspect: rule for rule in RULES if PROFILES.index(rule.profile) <= level}


Breach = tuple[str, str, str]
"""The aspect, the option, and the reason where the rule's own won't do."""


def refuse(
    profile: str | None,
    known: Iterable[str],
    exempt: Iterable[str],
    breaches: Iterable[Breach],
    given: Mapping[str, Any],
) -> None:
    """Refuse what breaks the declared profile.

    Args:
        profile: The profile.
        known: The options that profiles speak of.
        exempt: Those that this one is not to speak of.
        breaches: What the declaration says against any profile.
        given: The options as they were given, for the message.

    Raises:
        StrataError: An option breaks the profile, or an exception is none of its options.
    """
    exceptions, options = set(exempt), sorted(set(known))
    unknown = sorted(exceptions - set(options))
    if unknown:
        hint = f"Use {', '.join(options)}"
        raise StrataError(f"no profile speaks of {unknown[0]}", option="hardening_exceptions", hint=hint)
    held = rules(profile)
    for aspect, option, reason in breaches:
        if aspect in held and option not in exceptions:
            raise StrataError(
                f"breaks the profile {profile}: {reason or f'it {held[aspect].reason}'}",
                option=option,
                value=given.get(option),
                hint=f"Leave it out, or add {option} to hardening_exceptions",
            )


HARMLESS_CAPABILITIES = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
"""Those that the baseline of the Pod Security Standards lets be added."""

USUAL_CAPABILITIES = HARMLESS_CAPABILITIES | {"NET_RAW"}
"""Those that a container has to whom nobody gave any: more than Docker and Podman leave to one."""

UNBOUND_CAPABILITIES = frozenset(["MAC_ADMIN", "MAC_OVERRIDE", "SYS_MODULE", "SYS_RAWIO", "SYS_TIME"])
"""Those that no namespace bounds: not for a whole system that is root of the host either."""

ENGINE_SOCKETS = (
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/libvirt/libvirt-sock",
    "/run/systemd/private",
    "/run/dbus/system_bus_socket",
)
"""Whoever can write to one of these can start anything on the host."""

KERNEL_TREES = ("/proc", "/sys", "/dev")

SYSTEM_TREES = ("/etc", "/usr", "/boot", "/root")
"""What the host runs and by which rules: whoever writes to one of these, whole, is root of the host."""


def dangerous(capabilities: Iterable[str]) -> list[str]:
    """Those of the capabilities, without their CAP_, that the baseline doesn't let be added."""
    return sorted(set(capabilities) - HARMLESS_CAPABILITIES)


def leads_out(source: str, writable: bool) -> str | None:
    """Why a path of the host must not be mounted into a workload; None where it may."""
    path = posixpath.normpath(source)
    if path == "/var/run" or path.startswith("/var/run/"):  # a symlink wherever there is systemd
        path = path[len("/var") :]
    # A read-only mount doesn't make a socket deaf.
    for socket in ENGINE_SOCKETS:
        if _within(socket, path):
            return f"{source} holds {socket}, by which anything can be started on the host"
    for tree in KERNEL_TREES:
        if writable and (_within(path, tree) or _within(tree, path)):
            return f"{source} is writable and reaches the kernel or its devices"
    for tree in SYSTEM_TREES:
        if writable and _within(tree, path):
            return f"{source} is writable and holds the host's {tree}"
    return None


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def is_root(user: str) -> bool:
    """Whether ``user[:group]`` is root; empty means root, as in an image that names nobody."""
    name = user.partition(":")[0]
    return name in ("", "root") or (name.isdigit() and int(name) == 0)
