# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardening profiles, compiled to the options of docker_container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core import hardening
from ..core.codec import MAX
from ..core.errors import StrataError
from ..engines import docker_values

# Which options a profile's aspects are compiled to.
OPTION = {
    "privileged": "privileged",
    "host_namespaces": "host_namespaces",
    "devices": "devices",
    "mounts": "volumes",
    "capabilities": "capabilities",
    "confinement": "security_opts",
    "default_capabilities": "cap_drop",
    "no_new_privileges": "security_opts",
    "read_only_root": "read_only",
    "scratch": "tmpfs",
    "user": "user",
    "memory": "memory",
    "cpus": "cpus",
    "pids_limit": "pids_limit",
}


def check(spec: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse what breaks the declared profile.

    Args:
        spec: Canonical values.
        given: The options as they were given, for the message.

    Raises:
        StrataError: An option breaks the profile, or an exception is none of its options.
    """
    exempt = spec.get("hardening_exceptions", ())
    unknown = sorted(set(exempt) - set(OPTION.values()))
    if unknown:
        known = ", ".join(sorted(set(OPTION.values())))
        raise StrataError(f"no profile speaks of {unknown[0]}", option="hardening_exceptions", hint=f"Use {known}")
    profile = spec.get("hardening")
    rules = hardening.rules(profile)
    for aspect, what in _breaches(spec):
        option = OPTION[aspect]
        if aspect in rules and option not in exempt:
            raise StrataError(
                f"breaks the profile {profile}: {what or f'it {rules[aspect].reason}'}",
                option=option,
                value=given[option],
                hint=f"Leave it out, or add {option} to hardening_exceptions",
            )


def _breaches(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the declaration says against the profiles' aspects; with the reason, where the rule's own won't do."""
    wrong = hardening.dangerous(spec.get("capabilities", ()))
    if wrong:
        yield "capabilities", f"{', '.join(wrong)} gives rights that lead to the host"
    if docker_values.unconfined(spec.get("security_opts", ())):
        yield "confinement", ""
    if f"{docker_values.NO_NEW_PRIVILEGES}=false" in spec.get("security_opts", ()):
        yield "no_new_privileges", ""
    for bind in spec.get("volumes", ()):
        reason = leads_out(bind)
        if reason:
            yield "mounts", reason
    if "ALL" not in spec.get("cap_drop", ("ALL",)):
        yield "default_capabilities", ""
    if not spec.get("read_only", True):
        yield "read_only_root", ""
    if hardening.is_root(spec.get("user", hardening.NOBODY)):
        yield "user", ""
    for limit in ("memory", "cpus", "pids_limit"):
        if spec.get(limit) == MAX:
            yield limit, ""


def values(given: Mapping[str, Any], user: str, there: Mapping[str, Any]) -> dict[str, Any]:
    """What the profile of a declaration gives, by option.

    Args:
        given: The declaration.
        user: Whom the image runs as.
        there: The canonical values of the container that there is.
    """
    exempt = given.get("hardening_exceptions") or ()
    rules = hardening.rules(given.get("hardening"))
    found = {OPTION[aspect]: rule.value for aspect, rule in rules.items() if OPTION[aspect] not in exempt}
    if "cap_drop" in found:
        found["cap_drop"] = ("ALL",)
    if "security_opts" in found:
        found["security_opts"] = (docker_values.NO_NEW_PRIVILEGES,) if "no_new_privileges" in rules else ()
    if "user" in found and not hardening.is_root(user):
        found["user"] = user
    if "tmpfs" in found:
        volumes = given.get("volumes")
        taken = {docker_values.bind_target(bind) for bind in (there.get("volumes", ()) if volumes is None else volumes)}
        scratch = [f"{path}:{options}" for path, options in hardening.SCRATCH.items() if path not in taken]
        found["tmpfs"] = docker_values.TMPFS.parse(scratch)
        if "read_only" in exempt:
            del found["tmpfs"]
    for field in ("volumes", "mounts") if "volumes" in found else ():
        # Other mounts are none of a profile's business.
        found[field] = tuple(bind for bind in there.get(field, ()) if not leads_out(bind))
    return found


def leads_out(bind: str) -> str | None:
    """Why a bind mount must not be; None where it may."""
    source, colon, _target = bind.partition(":")
    if not colon or not source.startswith("/"):
        return None
    return hardening.leads_out(source, "ro" not in docker_values.bind_options(bind))
