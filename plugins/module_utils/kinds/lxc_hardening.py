# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardening profiles, compiled to the options of lxc_container.

A system container's init is root. What it may do is a matter of the user namespace that it is root of, so that the
profiles' "no root" is here ``unprivileged``, and capabilities within a user namespace lead to nothing of the host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..core import hardening
from ..core.codec import MAX
from . import lxc_mounts
from .lxc_fields import APPARMOR, SECCOMP

PROFILE = "/usr/share/lxc/config/common.seccomp"
GENERATED = "generated"
"""The AppArmor profile that LXC makes for each container (lxc.container.conf(5))."""

HOST_RIGHTS = tuple(sorted(name.lower() for name in hardening.UNBOUND_CAPABILITIES))
"""What LXC's own common.conf has every container drop: none of it is bound to a namespace."""

SCRATCH = {
    "tmp": f"{hardening.SCRATCH['/tmp']},mode=1777",
    "run": f"{hardening.SCRATCH['/run']},mode=755",
    "dev/shm": "noexec,nosuid,nodev,size=64m,mode=1777",
    "run/lock": "noexec,nosuid,nodev,size=5m,mode=1777",
}
"""Where can be written although the root is read-only. Without the right to mount, systemd doesn't begin where the last
two are missing (systemd: src/shared/mount-setup.c; /run/lock is Debian's)."""

# Which options a profile's aspects are compiled to.
OPTIONS = {
    "host_namespaces": ("networks",),
    "devices": ("devices",),
    "mounts": ("mounts",),
    "capabilities": ("cap_drop", "cap_keep"),
    "confinement": ("apparmor_profile", "seccomp_profile"),
    "default_capabilities": ("cap_keep",),
    "no_new_privileges": ("no_new_privileges",),
    "read_only_root": ("read_only",),
    "scratch": ("mounts",),
    "user": ("unprivileged",),
    "memory": ("memory",),
    "cpus": ("cpus",),
    "pids_limit": ("pids_limit",),
}
_KNOWN = sorted({"config", *(option for options in OPTIONS.values() for option in options)})
_LIMITS = ("memory", "cpus", "pids_limit")
_ROOT = "makes root of the container root of the host, which no limit of it holds"


def check(spec: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse what breaks the declared profile.

    Args:
        spec: Canonical values.
        given: The options as they were given, for the message.

    Raises:
        StrataError: An option breaks the profile, or an exception is none of its options.
    """
    profile, exempt = spec.get("hardening"), spec.get("hardening_exceptions", ())
    mapped = "user" in hardening.rules(profile) and "unprivileged" not in exempt
    hardening.refuse(profile, _KNOWN, exempt, _breaches(spec, mapped), given)


def _breaches(spec: Mapping[str, Any], mapped: bool) -> Iterator[hardening.Breach]:
    mapped = spec.get("unprivileged", mapped)
    if any(row["type"] == "none" for row in spec.get("networks", ())):
        yield "host_namespaces", "networks", ""
    if spec.get("devices"):
        yield "devices", "devices", ""
    for row in spec.get("mounts", ()):
        reason = leads_out(row)
        if reason:
            yield "mounts", "mounts", reason
    if not mapped:
        wrong = hardening.dangerous(name.upper() for name in spec.get("cap_keep") or ())
        if wrong:
            yield "capabilities", "cap_keep", f"{', '.join(wrong).lower()} gives rights that lead to the host"
        kept = sorted({*HOST_RIGHTS} - {*spec.get("cap_drop", HOST_RIGHTS)})
        if kept and spec.get("cap_keep") is None:
            yield "capabilities", "cap_drop", f"it keeps {', '.join(kept)}, which lead to the host"
    if spec.get("apparmor_profile", GENERATED) in ("", "unconfined"):
        yield "confinement", "apparmor_profile", ""
    if not spec.get("seccomp_profile", PROFILE):
        yield "confinement", "seccomp_profile", ""
    for key, value in (spec.get("config") or {}).items():
        for aspect, reason in _raw(key, value or ""):
            yield aspect, "config", reason
    if "cap_drop" in spec:
        yield "default_capabilities", "cap_drop", "it keeps rights that nobody named: name them in cap_keep"
    if not spec.get("no_new_privileges", True):
        yield "no_new_privileges", "no_new_privileges", ""
    if not spec.get("read_only", True):
        yield "read_only_root", "read_only", ""
    if not mapped:
        yield "user", "unprivileged", _ROOT
    for limit in _LIMITS:
        if spec.get(limit) == MAX:
            yield limit, limit, ""


def _raw(key: str, value: str) -> Iterator[tuple[str, str]]:
    """What a key of the escape hatch says against an aspect."""
    if re.match(r"lxc\.namespace\.(share|keep)", key) and value:
        yield "host_namespaces", f"{key} shares what belongs to the host or another container"
    if key == "lxc.net" or (key.startswith("lxc.net.") and value == "none"):
        yield "host_namespaces", ""
    if key == lxc_mounts.ALLOW and value:
        yield "devices", ""
    if key == lxc_mounts.ENTRY:
        for row in filter(None, map(lxc_mounts.parse, value.split("\n"))):
            reason = leads_out(row)
            if reason:
                yield "mounts", reason
    if key == "lxc.mount.auto" and re.search(r"proc:rw|sys:rw|cgroup-full|cgroup:rw", value):
        yield "confinement", f"{key} has {value}, by which the kernel's own settings can be written"
    if (key == APPARMOR and value in ("", "unconfined")) or (key == SECCOMP and not value):
        yield "confinement", ""


def leads_out(row: Mapping[str, Any]) -> str | None:
    """Why a mount must not be; None where it may."""
    if row.get("type", lxc_mounts.BIND) != lxc_mounts.BIND or not row.get("source", "").startswith("/"):
        return None
    return hardening.leads_out(row["source"], not row.get("read_only"))


def values(given: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    """What the profile of a declaration gives, by option.

    Args:
        given: The declaration, in canonical values.
        there: The canonical values of the container that there is.
    """
    exempt = given.get("hardening_exceptions") or ()
    rules = hardening.rules(given.get("hardening"))
    found: dict[str, Any] = {}
    for aspect, rule in rules.items():
        if aspect in (*_LIMITS, "no_new_privileges", "read_only_root"):
            found[OPTIONS[aspect][0]] = rule.value
    if "confinement" in rules:
        found["apparmor_profile"] = GENERATED
        found["seccomp_profile"] = there.get("seccomp_profile") or PROFILE
    if "user" in rules:
        found["unprivileged"] = True
    if "default_capabilities" in rules and given.get("cap_drop") is None:
        found["cap_keep"] = ()
    elif "capabilities" in rules and given.get("cap_keep") is None:
        found["cap_drop"] = tuple(sorted({*there.get("cap_drop", ()), *HOST_RIGHTS}))
    if "devices" in rules:
        found["devices"] = ()
    if "mounts" in rules:
        rows = given["mounts"] if given.get("mounts") is not None else there.get("mounts", ())
        found["mounts"] = _mounts(rows, "scratch" in rules and "read_only" not in exempt)
    return {option: value for option, value in found.items() if option not in exempt}


def _mounts(rows: Iterable[Mapping[str, Any]], scratch: bool) -> tuple[Mapping[str, Any], ...]:
    """The mounts that may be, and where the root can't be written, those to write to."""
    kept = [row for row in rows if not leads_out(row)]
    taken = {row["target"] for row in kept}
    for target, options in SCRATCH.items() if scratch else ():
        if target not in taken:
            words = tuple(sorted(options.split(",")))
            kept.append({"target": target, "source": "", "type": "tmpfs", "read_only": False, "options": words})
    return tuple(sorted(kept, key=lambda row: str(row["target"])))
