# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardening checklist, by the profiles of ``core/hardening``: what is so, and what mends what isn't."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..core import hardening
from ..core.audit import Facts, Measure, Seen
from ..core.codec import MAX

OCI = ("docker", "podman")
SYSTEM = ("lxc", "nspawn")
MACHINES = ("libvirt", "qemu")
CONTAINERS = (*OCI, *SYSTEM)
PROCESSES = (*CONTAINERS, "chroot", "unit")
"""What shares the kernel of the host, and so is held by all that the kernel has."""

ENGINES = (*PROCESSES, *MACHINES)

_KINDS = ("pid", "net", "ipc", "uts", "mnt")  # those of the user have a check of their own


_FEW = 8  # of what is listed in a sentence; workload_info has all


def _listed(words: Iterable[Any]) -> str:
    every = [str(word) for word in words]
    more = f" and {len(every) - _FEW} more" if len(every) > _FEW else ""
    return ", ".join(every[:_FEW]) + more


def mapped(facts: Facts) -> bool:
    """Whether root of the workload is nobody on the host."""
    user = (facts["namespaces"] or {}).get("user")
    outside = [first + 0 - inside for inside, first, count in facts["user"]["uid_map"] if inside <= 0 < inside + count]
    return user is not None and not user["host"] and 0 not in outside


def _privileged(facts: Facts) -> Seen:
    open_wide = facts["capabilities"]["all"] and facts["confinement"]["seccomp"]["mode"] == "off" and not mapped(facts)
    if open_wide:
        return False, "It has every capability of the host, and no filter of system calls."
    return True, "It lacks capabilities, or its system calls are filtered, or its root is nobody on the host."


def _host_namespaces(facts: Facts) -> Seen:
    there = facts["namespaces"]
    # With cgroup v1, engines leave the host's to everybody.
    kinds = [kind for kind in (*_KINDS, *(["cgroup"] if facts["limits"] else [])) if kind in there]
    shared = [kind for kind in kinds if there[kind]["host"]]
    if shared:
        return False, f"It is in the host's own namespaces of the kinds {_listed(shared)}."
    return True, f"Its namespaces of the kinds {_listed(kinds)} are not the host's."


def _devices(facts: Facts) -> Seen:
    nodes = [row["path"] for row in facts["devices"]]
    if nodes:
        return False, f"Its /dev has nodes of hardware: {_listed(nodes)}."
    return True, "Its /dev has no node of hardware."


def _mounts(facts: Facts) -> Seen:
    rows = facts["mounts"]["sensitive"]
    if rows:
        return False, "; ".join(f"At {row['path']}: {row['why']}" for row in rows) + "."
    return True, "Nothing that is mounted in it leads to the host."


def _rights(facts: Facts) -> tuple[str, ...]:
    """What it may do, or may come to do by a program with rights of its own."""
    alone = facts["engine"] in (*MACHINES, "unit", "chroot")
    return tuple(facts["capabilities"]["permitted" if alone else "bounding"])


def _capabilities(facts: Facts) -> Seen:
    rights = set(_rights(facts))
    whole = facts["engine"] in SYSTEM
    wrong = sorted(rights & hardening.UNBOUND_CAPABILITIES if whole else rights - hardening.USUAL_CAPABILITIES)
    if wrong and not mapped(facts):
        return False, f"It may use {_listed(wrong)}."
    if wrong:
        return True, "Its capabilities are those of a user namespace, and lead to nothing of the host."
    return True, f"It has none of those that lead to the host, of {len(rights)} in all."


def _seccomp(facts: Facts) -> Seen:
    seccomp = facts["confinement"]["seccomp"]
    if seccomp["mode"] == "off":
        return False, "Its system calls are not filtered."
    return True, f"Its system calls are filtered (mode {seccomp['mode']}, filters {seccomp['filters'] or 'unknown'})."


def _lsm(facts: Facts) -> Seen:
    lsm = facts["confinement"]["lsm"]
    if lsm["module"] is None:
        return None, "This host's kernel runs neither AppArmor nor SELinux."
    if lsm["label"] is None:
        return None, "Its label could not be read."
    if lsm["mode"] in ("enforce", "mixed"):
        return True, f"{lsm['module']} holds it to {lsm['profile']} ({lsm['mode']})."
    return False, f"For {lsm['module']} it is {lsm['label']}, which holds it to nothing."


def _kernel(facts: Facts) -> Seen:
    kernel = facts["mounts"]["kernel"]
    if mapped(facts):
        return True, "They belong to root of the host, who is nobody in its user namespace."
    loose = [
        path for path, key in (("/proc/sys", "proc_sys_read_only"), ("/sys", "sys_read_only")) if kernel[key] is False
    ]
    loose += kernel["writable"]
    if loose:
        return False, f"Mounted so that they can be written: {_listed(loose)}."
    return True, "/proc/sys and /sys are read-only, or not there."


def _no_new_privileges(facts: Facts) -> Seen:
    if facts["confinement"]["no_new_privileges"]:
        return True, "no_new_privs is set."
    return False, "no_new_privs is not set."


def _read_only_root(facts: Facts) -> Seen:
    root = facts["mounts"]["root"]
    if root is None:
        return None, "Its root could not be found among its mounts."
    return root[
        "read_only"
    ], f"Its root ({root['type']}) is mounted {'read-only' if root['read_only'] else 'for writing'}."


def _default_capabilities(facts: Facts) -> Seen:
    kept = sorted(set(facts["capabilities"]["bounding"]) - set(facts["allowed"]))
    if kept:
        return False, f"It keeps {_listed(kept)}."
    return True, f"It keeps {_listed(facts['capabilities']['bounding']) or 'none'}."


def _user(facts: Facts) -> Seen:
    user = facts["user"]
    if user["uid_inside"] == 0 and not mapped(facts):
        return False, "It runs as root, and its root is root of the host."
    if user["uid_inside"] == 0:
        return True, f"It runs as root of a user namespace, who is user {user['uid']} of the host."
    return True, f"It runs as user {user['uid_inside']}, who is user {user['uid']} of the host."


def _held(option: str, what: str) -> Any:
    def look(facts: Facts) -> Seen:
        limit = facts["limits"]["held_to"].get(option, MAX)
        if limit == MAX:
            return False, f"Nothing limits its {what}."
        return True, f"Its {what} is limited to {limit}."

    return look


_ROOT = "Root of the workload is root of the host, and whatever it gets out by, it gets out with all rights."
_CALLS = "Every system call of the kernel is open to it, those that it never needs and that have had holes included."
_LABEL = "Only permissions of files keep it from what belongs to the host, once it gets at them."
_SETTINGS = "Whoever is root in it changes the kernel for the host and for everybody on it."

MEASURES = (
    Measure(
        "privileged",
        "privileged",
        "It is not privileged.",
        _privileged,
        ("capabilities", "confinement", "namespaces", "user"),
        OCI,
    ),
    Measure(
        "host_namespaces",
        "host_namespaces",
        "It shares no namespace with the host.",
        _host_namespaces,
        ("namespaces",),
        (*CONTAINERS, "chroot"),
    ),
    Measure("devices", "devices", "It has no device of the host.", _devices, ("devices",), PROCESSES),
    Measure("mounts", "mounts", "No mount leads to the host.", _mounts, ("mounts",), PROCESSES),
    Measure(
        "capabilities",
        "capabilities",
        "It has no capability that leads to the host.",
        _capabilities,
        ("capabilities", "namespaces", "user"),
        ENGINES,
    ),
    Measure("seccomp", "confinement", "Its system calls are filtered.", _seccomp, ("confinement",), ENGINES, _CALLS),
    Measure(
        "lsm",
        "confinement",
        "AppArmor or SELinux confines it.",
        _lsm,
        ("confinement",),
        tuple(engine for engine in ENGINES if engine != "nspawn"),  # systemd-nspawn has no profile to give
        _LABEL,
    ),
    Measure(
        "kernel_settings",
        "confinement",
        "It can't write the kernel's settings.",
        _kernel,
        ("mounts", "namespaces", "user"),
        (*CONTAINERS, "chroot"),
        _SETTINGS,
    ),
    Measure(
        "default_capabilities",
        "default_capabilities",
        "All capabilities are dropped but those that were allowed.",
        _default_capabilities,
        ("capabilities",),
        PROCESSES,
    ),
    Measure(
        "no_new_privileges",
        "no_new_privileges",
        "No program in it gains rights.",
        _no_new_privileges,
        ("confinement",),
        PROCESSES,
    ),
    Measure("read_only_root", "read_only_root", "Its root is read-only.", _read_only_root, ("mounts",), PROCESSES),
    Measure("user", "user", "It is not root of the host.", _user, ("user", "namespaces"), ENGINES, _ROOT),
    Measure("memory", "memory", "Its memory is limited.", _held("memory", "memory"), ("limits",), PROCESSES),
    Measure("cpus", "cpus", "Its cpu time is limited.", _held("cpus", "cpu time"), ("limits",), PROCESSES),
    Measure(
        "pids_limit",
        "pids_limit",
        "The number of its processes is limited.",
        _held("pids_limit", "number of processes"),
        ("limits",),
        PROCESSES,
    ),
)
NEEDS = tuple(dict.fromkeys(need for one in MEASURES for need in one.needs))


# What mends it: the options of our modules where they have one, else where else it is set.

_MODULES = {
    "docker": "docker_container",
    "podman": "podman_container",
    "lxc": "lxc_container",
    "nspawn": "nspawn_container",
}
# Where one aspect is several options of which each is another check.
_OF_LXC = {"seccomp": ("seccomp_profile",), "lsm": ("apparmor_profile",), "kernel_settings": ("config",)}
_LIMITS = ("memory", "cpus", "pids_limit")
_UNIT = {
    "devices": "PrivateDevices=yes",
    "mounts": "InaccessiblePaths= or ProtectSystem=strict",
    "capabilities": "CapabilityBoundingSet=",
    "seccomp": "SystemCallFilter=@system-service",
    "lsm": "AppArmorProfile= or SELinuxContext=",
    "default_capabilities": "CapabilityBoundingSet=",
    "no_new_privileges": "NoNewPrivileges=yes",
    "read_only_root": "ProtectSystem=strict",
    "user": "User= or DynamicUser=yes",
}
_LIBVIRT = {
    "capabilities": "clear_emulator_capabilities = 1",
    "seccomp": "seccomp_sandbox = 1",
    "lsm": 'security_driver = "apparmor" or "selinux"',
    "user": 'user = "libvirt-qemu"',
}
_MINE = "Run it with become_user of somebody who is not root: strata.virt.qemu_vm has machines of any user."
_QEMU = {
    "capabilities": _MINE,
    "user": _MINE,
    "seccomp": "strata.virt.qemu_vm: arguments: [-sandbox, on]",
    "lsm": "strata.virt.apparmor_profile: a profile for the path of QEMU's program",
}
_JAIL = {
    "capabilities": "Start its program as a user without rights: chroot --userspec, or User= of its unit",
    "user": "Start its program as a user without rights: chroot --userspec, or User= of its unit",
    "default_capabilities": "Start its program with setpriv --bounding-set=-all, or CapabilityBoundingSet= of its unit",
    "no_new_privileges": "Start its program with setpriv --no-new-privs, or NoNewPrivileges=yes of its unit",
    "seccomp": "SystemCallFilter= of the unit that starts it; strata.virt.seccomp_profile writes it",
    "lsm": "strata.virt.apparmor_profile: a profile for the path of its program",
    "mounts": "strata.virt.chroot: mounts and binds",
    "devices": "strata.virt.chroot: mounts and binds",
    "read_only_root": "Mount its tree read-only, with strata.virt.overlay for what it has to write",
}
_NAMESPACED = (
    "A jail has no more than a root of its own: strata.virt.nspawn_container runs the same tree in all of them"
)


def _compiled(engine: str) -> Mapping[str, tuple[str, ...]]:
    """Which options the aspects of a profile are compiled to; imported where something has to be mended."""
    if engine == "lxc":
        from ..kinds import lxc_hardening

        return lxc_hardening.OPTIONS
    if engine == "nspawn":
        from ..kinds import nspawn_hardening

        return nspawn_hardening.OPTIONS
    from ..kinds import docker_hardening

    return docker_hardening.OPTIONS


def _options(engine: str, measure: Measure) -> tuple[str, ...]:
    """The options of our module for containers of an engine that decide on it."""
    if engine == "lxc" and measure.name in _OF_LXC:
        return _OF_LXC[measure.name]
    return tuple(_compiled(engine).get(measure.aspect, ()))


def remedy(facts: Facts, check: str) -> Mapping[str, Any]:
    """What mends a check that isn't met: ``module`` and ``options`` of ours, where it is one, and a sentence."""
    engine = str(facts["engine"])
    measure = next(one for one in MEASURES if one.name == check)
    if engine in _MODULES:
        named, module = _options(engine, measure), f"strata.virt.{_MODULES[engine]}"
        profile = measure.rule.profile
        text = f"{module}: {_listed(named)}; hardening: {profile} declares it with all the rest of that profile."
        return {"module": module, "options": list(named), "remedy": text}
    if check in _LIMITS:
        text = f"strata.virt.systemd_resources: {check} of the unit that it runs in, {facts['cgroup'] or 'none yet'}."
        return {"module": "strata.virt.systemd_resources", "options": [check], "remedy": text}
    if engine == "unit":
        return _elsewhere(f"{_UNIT[check]} in a drop-in of the unit (systemd.exec(5)).")
    if engine == "libvirt":
        return _elsewhere(f"{_LIBVIRT[check]} in /etc/libvirt/qemu.conf, and the machine started anew.")
    if engine == "qemu":
        return _elsewhere(f"{_QEMU[check]}".rstrip(".") + ".")
    return _elsewhere(f"{_JAIL.get(check, _NAMESPACED)}.")


def _elsewhere(text: str) -> Mapping[str, Any]:
    return {"module": None, "options": [], "remedy": text}
