# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardening profiles, compiled to the options of docker_container."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..core import hardening
from ..core.codec import MAX
from ..engines import docker_values

NAMESPACES = ("network_mode", "pid_mode", "ipc_mode", "uts", "userns_mode", "cgroupns_mode")
DEVICES = ("devices", "device_cgroup_rules", "device_requests")
GROUP = "host_namespaces"
"""A name for all of NAMESPACES in ``hardening_exceptions``."""

# Which options a profile's aspects are compiled to.
OPTIONS = {
    "privileged": ("privileged",),
    "host_namespaces": NAMESPACES,
    "devices": DEVICES,
    "mounts": ("volumes", "mounts"),
    "capabilities": ("capabilities",),
    "confinement": ("security_opts",),
    "default_capabilities": ("cap_drop",),
    "no_new_privileges": ("security_opts",),
    "read_only_root": ("read_only",),
    "scratch": ("tmpfs",),
    "user": ("user",),
    "memory": ("memory",),
    "cpus": ("cpus",),
    "pids_limit": ("pids_limit",),
}


def exempted(spec: Mapping[str, Any]) -> frozenset[str]:
    """The options that the profile of a declaration has no opinion on."""
    named = set(spec.get("hardening_exceptions") or ())
    return frozenset(named | set(NAMESPACES if GROUP in named else ()))


def check(spec: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse what breaks the declared profile.

    Args:
        spec: Canonical values.
        given: The options as they were given, for the message.

    Raises:
        StrataError: An option breaks the profile, or an exception is none of its options.
    """
    known = {option for options in OPTIONS.values() for option in options} | {GROUP}
    hardening.refuse(spec.get("hardening"), known, exempted(spec), _breaches(spec), given)


def _breaches(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What the declaration says against a profile: aspect, option, and the reason where the rule's own won't do."""
    if spec.get("privileged"):
        yield "privileged", "privileged", ""
    for option in NAMESPACES:
        if spec.get(option) == "host":
            yield "host_namespaces", option, ""
    for option in DEVICES:
        if spec.get(option):
            yield "devices", option, ""
    wrong = hardening.dangerous(spec.get("capabilities", ()))
    if wrong:
        yield "capabilities", "capabilities", f"{', '.join(wrong)} gives rights that lead to the host"
    if docker_values.unconfined(spec.get("security_opts", ())):
        yield "confinement", "security_opts", ""
    if f"{docker_values.NO_NEW_PRIVILEGES}=false" in spec.get("security_opts", ()):
        yield "no_new_privileges", "security_opts", ""
    for option, judge in MOUNTS.items():
        for mount in spec.get(option, ()):
            reason = judge(mount)
            if reason:
                yield "mounts", option, reason
    if "ALL" not in spec.get("cap_drop", ("ALL",)):
        yield "default_capabilities", "cap_drop", ""
    if not spec.get("read_only", True):
        yield "read_only_root", "read_only", ""
    if hardening.is_root(spec.get("user", hardening.NOBODY)):
        yield "user", "user", ""
    for limit in ("memory", "cpus", "pids_limit"):
        if spec.get(limit) == MAX:
            yield limit, limit, ""


def values(
    given: Mapping[str, Any], user: str, there: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """What the profile of a declaration gives, by option.

    Args:
        given: The declaration.
        user: Whom the image runs as.
        there: The canonical values of the container that there is.
        defaults: What each option is where nobody declared it.
    """
    exempt = exempted(given)
    rules = hardening.rules(given.get("hardening"))
    found = {option: rule.value for aspect, rule in rules.items() for option in OPTIONS[aspect] if option not in exempt}
    for option in found.keys() & set(NAMESPACES):
        # Those of other containers are none of a profile's business.
        now = there.get(option)
        found[option] = defaults[option] if now in (None, "host") else now
    if given.get("cpu_quota"):
        found.pop("cpus", None)  # the other way to say it
    if "cap_drop" in found:
        found["cap_drop"] = ("ALL",)
    if "security_opts" in found:
        found["security_opts"] = (docker_values.NO_NEW_PRIVILEGES,) if "no_new_privileges" in rules else ()
    if "user" in found and not hardening.is_root(user):
        found["user"] = user
    if "tmpfs" in found:
        binds, mounts = (given.get(option, there.get(option, ())) for option in MOUNTS)
        taken = {docker_values.bind_target(bind) for bind in binds} | {row["target"] for row in mounts}
        scratch = [f"{path}:{options}" for path, options in hardening.SCRATCH.items() if path not in taken]
        found["tmpfs"] = docker_values.TMPFS.parse(scratch)
        if "read_only" in exempt:
            del found["tmpfs"]
    for option in found.keys() & MOUNTS.keys():
        # Other mounts are none of a profile's business.
        found[option] = tuple(mount for mount in there.get(option, ()) if not MOUNTS[option](mount))
    return found


def _bind_leads_out(bind: str) -> str | None:
    """Why a bind mount must not be; None where it may."""
    source, colon, _target = bind.partition(":")
    if not colon or not source.startswith("/"):
        return None
    return hardening.leads_out(source, "ro" not in docker_values.bind_options(bind))


def _mount_leads_out(row: Mapping[str, Any]) -> str | None:
    bound = row.get("type") == "bind" and row.get("source")
    return hardening.leads_out(row["source"], not row.get("read_only")) if bound else None


MOUNTS: Mapping[str, Callable[[Any], str | None]] = {"volumes": _bind_leads_out, "mounts": _mount_leads_out}
"""Where mounts are declared, and why one of them must not be."""

LEFT = frozenset((*MOUNTS, *NAMESPACES))
"""What a profile that is dropped leaves as it is: it had no value of its own for these."""
