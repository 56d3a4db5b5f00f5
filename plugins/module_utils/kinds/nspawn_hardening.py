# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardening profiles, compiled to the options of nspawn_container.

A machine's init is root. What it may do is a matter of the user namespace that it is root of, so that the profiles'
"no root" is here ``private_users``, and capabilities within a user namespace lead to nothing of the host. Of what a
profile wants, systemd-nspawn does some by itself: it filters system calls by a list of what is allowed, lets nobody
write to /proc/sys, and puts a tmpfs at /run and at /dev/shm (systemd-nspawn(1)).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..core import hardening
from ..core.codec import MAX
from ..engines import capabilities
from . import nspawn_netns

SCRATCH = {"/tmp": f"mode=1777,{hardening.SCRATCH['/tmp']}"}
"""Where can be written although the root is read-only, besides what systemd-nspawn mounts itself."""

CAPABILITIES = frozenset(capabilities.NAMES)
"""All of them. What is dropped isn't given, so that "all" leaves no room for any
(systemd: src/nspawn/nspawn.c, merge_settings)."""

# Which options a profile's aspects are compiled to.
OPTIONS = {
    "host_namespaces": ("network_veth", nspawn_netns.OPTION),
    "devices": ("binds",),
    "mounts": ("binds", "overlays"),
    "capabilities": ("capabilities", "ambient_capabilities"),
    "confinement": ("system_call_filter",),
    "default_capabilities": ("cap_drop",),
    "no_new_privileges": ("no_new_privileges",),
    "read_only_root": ("read_only",),
    "scratch": ("tmpfs",),
    "user": ("private_users",),
    "memory": ("memory",),
    "cpus": ("cpus",),
    "pids_limit": ("pids_limit",),
}
_KNOWN = sorted({"settings", *(option for options in OPTIONS.values() for option in options)})
_LIMITS = ("memory", "cpus", "pids_limit")
_NETWORKS = (*nspawn_netns.OTHERS, nspawn_netns.OPTION)
_ROOT = "it makes root of the machine root of the host"

_ALLOW = "Service.DeviceAllow"  # in our own drop-in it follows from binds

# What changes systemd-nspawn itself, by a variable of its own (systemd: docs/ENVIRONMENT.md).
_VARIABLES = re.compile(r"SYSTEMD_(SECCOMP|NSPAWN_(API_VFS_WRITABLE|USE_CGNS|SHARE_\w+))\b")


def check(spec: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse what breaks the declared profile.

    Args:
        spec: Canonical values.
        given: The options as they were given, for the message.

    Raises:
        StrataError: An option breaks the profile, or an exception is none of its options.
    """
    exempt = spec.get("hardening_exceptions", ())
    hardening.refuse(spec.get("hardening"), _KNOWN, exempt, _breaches(spec), given)


def opened(path: str, said: Mapping[str, Any]) -> list[hardening.Breach]:
    """What somebody else's drop-in of the unit says, as ``Section.Key``, against any profile."""
    found = []
    for key, value in said.items():
        breach = ("devices", f"{key} lets devices be opened") if key == _ALLOW and any(value) else _raw(key, value)
        if breach:
            found.append((breach[0], "settings", f"{breach[1] or f'{key} is set'} ({path})"))
    return found


def check_opened(spec: Mapping[str, Any], breaches: Iterable[hardening.Breach]) -> None:
    """Refuse a machine whose unit somebody else opened to what the declared profile keeps out.

    Raises:
        StrataError: A breach is none of the profile's exceptions.
    """
    hardening.refuse(spec.get("hardening"), _KNOWN, spec.get("hardening_exceptions", ()), breaches, {})


def _mapped(users: Any) -> bool:
    """Whether root of a machine is nobody on the host."""
    return str(users) not in ("no", "identity") and str(users).partition(":")[0] != "0"


def _breaches(spec: Mapping[str, Any]) -> Iterator[hardening.Breach]:
    mapped = _mapped(spec.get("private_users", "pick"))
    if spec.get("network_veth") is False and not _private(spec):
        yield "host_namespaces", "network_veth", ""
    for option, rows in (("binds", spec.get("binds", ())), ("overlays", spec.get("overlays", ()))):
        for row in rows:
            yield from ((aspect, option, reason) for aspect, reason in _led_out(row))
    if not mapped:
        for option in ("capabilities", "ambient_capabilities"):
            wrong = hardening.dangerous(spec.get(option, ()))
            if wrong:
                yield "capabilities", option, f"{', '.join(wrong)} gives rights that lead to the host"
    if str(spec.get(nspawn_netns.OPTION, "")).startswith("/proc/"):
        yield "host_namespaces", nspawn_netns.OPTION, ""
    lifted = [call for call in spec.get("system_call_filter", ()) if not call.startswith("~")]
    if lifted:
        reason = f"it lets {', '.join(lifted)} through, which systemd-nspawn keeps from its machines"
        yield "confinement", "system_call_filter", reason
    for key, value in (spec.get("settings") or {}).items():
        found = _raw(key, value)
        if found:
            yield found[0], "settings", found[1]
    if "cap_drop" in spec and "ALL" not in spec["cap_drop"]:
        yield "default_capabilities", "cap_drop", "it keeps rights that nobody named: name them in capabilities"
    if not spec.get("no_new_privileges", True):
        yield "no_new_privileges", "no_new_privileges", ""
    if not spec.get("read_only", True):
        yield "read_only_root", "read_only", ""
    if not mapped:
        yield "user", "private_users", _ROOT
    for limit in _LIMITS:
        if spec.get(limit) == MAX:
            yield limit, limit, ""


def _private(values: Mapping[str, Any]) -> bool:
    """Whether it has a network of its own by another option than network_veth."""
    return any(values.get(option) for option in _NETWORKS)


def _led_out(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a bind mount or an overlay says against an aspect."""
    source = str(row.get("upper" if "lower" in row else "source") or "")
    if "source" in row and source.startswith("/dev/"):
        yield "devices", ""
        return
    sources = [(source, not row.get("read_only")), *((one, False) for one in row.get("lower", ()))]
    for path, writable in sources:
        reason = hardening.leads_out(path, writable) if path.startswith("/") else None
        if reason:
            yield "mounts", reason


def _raw(key: str, value: Any) -> tuple[str, str] | None:
    """What a setting of the escape hatch says against an aspect."""
    texts = [value] if isinstance(value, str) else list(value or ())
    if key == "Network.Private" and texts[-1:] in (["no"], ["false"], ["off"], ["0"]):
        return "host_namespaces", ""
    if key == "Service.NetworkNamespacePath" and any(texts):
        return "host_namespaces", f"{key} shares what belongs to somebody else"
    if key in ("Service.DevicePolicy", "Service.PrivateDevices") and texts:
        return "devices", ""
    variable = _VARIABLES.search(" ".join(texts)) if key == "Service.Environment" else None
    if variable:
        return "confinement", f"{key} has {variable.group()}, by which systemd-nspawn confines less"
    if key in ("Service.EnvironmentFile", "Service.ExecStart", "Service.PassEnvironment") and texts:
        return "confinement", f"{key} starts systemd-nspawn in another way, and nobody knows in which"
    return None


def profiled(
    spec: Mapping[str, Any], declared: Mapping[str, Any], applied: Mapping[str, Any], there: Mapping[str, Any]
) -> dict[str, Any]:
    """What is declared, what its profile gives, and None for what a profile gave that is declared no more.

    Args:
        spec: The declaration, in canonical values.
        declared: Its settings.
        applied: The options that its owner applied last.
        there: The canonical values of the machine that there is.
    """
    known = ("hardening", "hardening_exceptions")
    named = {name: applied[name] for name in known if applied.get(name) is not None}
    last = {"hardening": named.get("hardening"), "hardening_exceptions": tuple(named.get("hardening_exceptions", ()))}
    found = dict(declared)
    profile = _values(spec, there)
    for name in _values(last, there).keys() - found.keys() - {"settings", "binds", "overlays"}:
        found[name] = None
    for name, value in profile.items():
        if name == "settings":
            found[name] = {**value, **(found.get(name) or {})}
        elif name not in spec or name in ("tmpfs", "cap_drop"):
            found[name] = value
    return found


def _values(given: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    """What the profile of a declaration gives, by option."""
    exempt = given.get("hardening_exceptions") or ()
    rules = hardening.rules(given.get("hardening"))
    found: dict[str, Any] = {}
    if not rules or given.get("hardening") == hardening.PRIVILEGED:
        return found
    for aspect in (*_LIMITS, "no_new_privileges", "read_only_root"):
        if aspect in rules:
            found[OPTIONS[aspect][0]] = rules[aspect].value
    network = {option: given[option] if option in given else there.get(option) for option in _NETWORKS}
    if not _private(network):
        found["network_veth"] = True
    for option in ("binds", "overlays"):
        found[option] = _kept(option, there, exempt)
    mapped = _mapped(given["private_users"] if "private_users" in given else there.get("private_users") or "pick")
    if "user" in rules:
        found["private_users"] = there["private_users"] if _mapped(there.get("private_users") or "no") else "pick"
    for option in ("capabilities", "ambient_capabilities") if "user" in rules or not mapped else ():
        found[option] = ()
    found["system_call_filter"] = tuple(call for call in there.get("system_call_filter") or () if call[0] == "~")
    if "default_capabilities" in rules:
        named = set(given.get("capabilities") or ())
        found["cap_drop"] = tuple(sorted(CAPABILITIES - named)) if named else ("ALL",)
    if "scratch" in rules and "read_only" not in exempt:
        rows = given["tmpfs"] if "tmpfs" in given else there.get("tmpfs") or ()
        taken = {row.partition(":")[0] for row in rows}
        found["tmpfs"] = tuple(sorted({*rows, *(f"{path}:{SCRATCH[path]}" for path in SCRATCH.keys() - taken)}))
    raw = [key for key, value in (there.get("settings") or {}).items() if _raw(key, value)]
    found["settings"] = dict.fromkeys(raw)
    return {option: value for option, value in found.items() if option not in exempt}


def _kept(option: str, there: Mapping[str, Any], exempt: Iterable[str]) -> tuple[Mapping[str, Any], ...]:
    """The entries that may stay."""
    rows = there.get(option) or ()
    return tuple(rows) if option in exempt else tuple(row for row in rows if not list(_led_out(row)))
