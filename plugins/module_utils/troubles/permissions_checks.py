# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why somebody, or a workload, may not do what it is to do."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.diagnosis import ERROR, NOTE, WARNING, Check, Facts, Topic
from . import permissions, walk

# What Docker and Podman leave to a container, of linux/capability.h.
_USUAL = {
    0: "CHOWN",
    1: "DAC_OVERRIDE",
    3: "FOWNER",
    4: "FSETID",
    5: "KILL",
    6: "SETGID",
    7: "SETUID",
    8: "SETPCAP",
    10: "NET_BIND_SERVICE",
    18: "SYS_CHROOT",
}

_FLAGS = {
    "ro": "nothing in it can be written",
    "noexec": "no program in it can be started, scripts by their own name neither",
    "nosuid": "set-user-ID programs and file capabilities (sudo, ping, newuidmap) have no effect in it",
    "nodev": "device nodes in it can't be opened",
}
_GROUPLESS = "Give it a group (GROUP= in a udev rule, SocketGroup= of its socket unit) and the user that group"
_UNDONE = {"ro": "rw", "noexec": "exec", "nosuid": "suid", "nodev": "dev"}


def _missing(facts: Facts) -> Iterator[Facts]:
    last = facts["steps"][-1]
    if last["kind"] == "missing":
        links = [step for step in facts["steps"] if step["kind"] == "link"]
        shown = "; ".join(f"{step['path']} leads to {step['target']}" for step in links) or "no link is on the way"
        yield {**last, "links": shown}
    elif last["kind"] == "link":
        yield {**last, "links": "its links lead in a circle, or are more than 40"}


def _folders(facts: Facts) -> list[Facts]:
    """What is to be passed: every folder but the last place of the way."""
    return [step for step in facts["steps"][:-1] if step["kind"] == "folder"]


def _shut(facts: Facts) -> Iterator[Facts]:
    for step in _folders(facts):
        if not walk.rights(step, facts["user"]) & walk.PASS:
            yield {**step, "name": facts["user"]["name"], "number": facts["user"]["uid"]}


def _private(facts: Facts) -> Iterator[Facts]:
    for step in _folders(facts):
        if not int(step["mode"], 8) & walk.PASS:
            group = f" and the group {step['group']}" if int(step["mode"], 8) >> 3 & walk.PASS else ""
            listed = " and whom its list names (getfacl)" if step["acl"] else ""
            yield {**step, "who": f"root, {step['owner']}{group}{listed}"}


def _last(facts: Facts, bit: int) -> Iterator[Facts]:
    """The last place, where a user does not have a right to it."""
    step = facts["steps"][-1]
    if step["kind"] not in ("missing", "link") and not walk.rights(step, facts["user"]) & bit:
        yield {**step, "name": facts["user"]["name"], "number": facts["user"]["uid"]}


def _flags(facts: Facts) -> Iterator[Facts]:
    mount = facts["mount"]
    for flag in mount["flags"]:
        if flag in _FLAGS and not (flag == "nodev" and mount["type"] != "overlay"):
            yield {**mount, "flag": flag, "comes": _FLAGS[flag], "undone": _UNDONE[flag]}


def _unmapped(facts: Facts) -> Iterator[Facts]:
    within = facts["workload"]
    strange = [
        row
        for row in facts["owners"]
        if not (permissions.mapped(within["uid_map"], row["uid"]) and permissions.mapped(within["gid_map"], row["gid"]))
    ]
    if strange:
        first = min((first for _inside, first, _count in within["uid_map"]), default=0)
        example = f"{strange[0]['path']} belongs to {strange[0]['uid']}:{strange[0]['gid']}"
        shown = ", ".join(f"{inside} is {first} ({count} IDs)" for inside, first, count in within["uid_map"])
        yield {
            **within,
            "number": sum(row["count"] for row in strange),
            "of": sum(row["count"] for row in facts["owners"]),
            "example": example,
            "map": shown,
            "first": first,
        }


def _lacks(subject: str, what: str, facts: Facts) -> Iterator[Facts]:
    for lack in facts["lacks"]:
        if lack["subject"] == subject and what in lack["what"]:
            yield lack


def _without_ranges(facts: Facts) -> Iterator[Facts]:
    """Of the user who was asked for, else of all."""
    name = facts["user"]["name"] if facts["user"] else None
    for lack in _lacks("limits", "ranges of ", facts):
        if name is None or lack["what"] == f"ranges of {name}":
            yield lack


def _closed_doors(facts: Facts) -> Iterator[Facts]:
    for door in facts["doors"]:
        if not walk.rights(door, facts["user"]) & walk.WRITE:
            grouped = int(door["mode"], 8) >> 3 & walk.WRITE and door["gid"]
            allowed = f"the group {door['group']}" if grouped else "nobody but root"
            way = f"usermod --append --groups {door['group']} USER" if grouped else _GROUPLESS
            yield {**door, "name": facts["user"]["name"], "allowed": allowed, "way": way}


def _dropped(facts: Facts) -> Iterator[Facts]:
    gone = [name for bit, name in _USUAL.items() if not facts["workload"]["capabilities"] >> bit & 1]
    if gone:
        yield {**facts["workload"], "gone": ", ".join(gone), "hex": f"{facts['workload']['capabilities']:016x}"}


def _undelegated(facts: Facts) -> Iterator[Facts]:
    within = facts["workload"]
    if within["command"] == "systemd" and not permissions.mapped(within["uid_map"], within["group_owner"]):
        yield within


CHECKS = (
    Check(
        "the path is there",
        ERROR,
        _missing,
        "{path} is not there, or may not be seen",
        "lstat; {links}",
        "Whoever opens it is told: No such file or directory. Docker makes an empty folder in its place, owned by "
        "root.",
        "Make it, or correct the link; inside of a guest, a link leads where the guest sees it",
        ("steps",),
    ),
    Check(
        "folders let the user pass",
        ERROR,
        _shut,
        "{name} may not pass {path}",
        "{path} is {mode}, of {owner}:{group}: no x for {name}",
        "What is below is out of reach, whatever its own mode says: Permission denied.",
        "setfacl -m u:{number}:x {path} lets one user pass, chmod o+x {path} all; or keep the files outside of it",
        ("steps", "user"),
    ),
    Check(
        "folders let others pass",
        NOTE,
        _private,
        "Only {who} may pass {path}",
        "{path} is {mode}, of {owner}:{group}",
        "QEMU, a rootless engine and a container's own user are others: what is below is out of their reach.",
        "Ask again with user=NAME; setfacl -m u:NAME:x {path} lets one user pass",
        ("steps", "anybody"),
    ),
    Check(
        "the user may read it",
        ERROR,
        lambda facts: _last(facts, walk.READ),
        "{name} may not read {path}",
        "{path} is {mode}, of {owner}:{group}",
        "Opening it ends with: Permission denied.",
        "setfacl -m u:{number}:r {path}, chown or chmod",
        ("steps", "user"),
    ),
    Check(
        "the user may write it",
        NOTE,
        lambda facts: _last(facts, walk.WRITE),
        "{name} may not write {path}",
        "{path} is {mode}, of {owner}:{group}",
        "As a volume it can only be read.",
        "chown to {number}, or setfacl -m u:{number}:rwX {path}",
        ("steps", "user"),
    ),
    Check(
        "the mount forbids nothing",
        WARNING,
        _flags,
        "{point}, which holds the path, is mounted {flag}",
        "/proc/self/mountinfo: {source} on {point}, {type}, {flag}",
        "Whatever the modes say, {comes}.",
        "mount -o remount,{undone} {point}, and the same in /etc/fstab or the mount unit; or keep the files elsewhere",
        ("mount",),
    ),
    Check(
        "owners have an ID in the workload",
        ERROR,
        _unmapped,
        "In {title}, {number} of {of} files there belong to nobody",
        "{example}; /proc/{pid}/uid_map: {map}",
        "An owner without an ID in the user namespace is shown as 65534, and not even root in there may change it.",
        "chown -R to IDs from {first} on, or mount it with an ID map: the volume option idmap of Podman (or U, which "
        "changes owners), rootidmap of a bind of nspawn, idmap=container of a mount of LXC",
        ("owners", "workload"),
    ),
    Check(
        "users have subordinate IDs",
        WARNING,
        _without_ranges,
        "{reason}",
        "/etc/subuid and /etc/subgid (host_info, subject limits)",
        "newuidmap refuses: rootless Podman and unprivileged LXC don't start, or have one ID alone.",
        "{remedy}",
    ),
    Check(
        "ranges of subordinate IDs are apart",
        WARNING,
        lambda facts: _lacks("limits", " and ", facts),
        "Subordinate IDs overlap, {what}: {reason}",
        "/etc/subuid and /etc/subgid (host_info, subject limits)",
        "Who gets out of a container of the one owns files of the other.",
        "{remedy}",
    ),
    Check(
        "plain users may make user namespaces",
        ERROR,
        lambda facts: _lacks("namespaces", "unprivileged_user_namespaces", facts),
        "Plain users can't make user namespaces: {reason}",
        "/proc/sys (host_info, subject namespaces)",
        "Rootless engines, unprivileged LXC, bubblewrap and browsers' sandboxes end with: Operation not permitted.",
        "{remedy}",
    ),
    Check(
        "cgroups are delegated",
        WARNING,
        lambda facts: _lacks("cgroup", "delegation to user", facts),
        "No whole {what}: {reason}",
        "cgroup.controllers of user@UID.service (host_info, subject cgroup)",
        "Limits of rootless containers are refused or ignored.",
        "{remedy}",
    ),
    Check(
        "the workload's systemd has its cgroup",
        ERROR,
        _undelegated,
        "The systemd of {title} may not use its cgroup",
        "{group} belongs to the user {group_owner} of the host, who is nobody in /proc/{pid}/uid_map",
        "It can't make groups for its services: Failed to create /init.scope control group: Permission denied.",
        "Delegate=yes for the unit that it runs in (systemd-nspawn@.service has it); by hand, chown of that folder "
        "and its cgroup.procs to the user that is root in there",
        ("workload", "group"),
    ),
    Check(
        "the user may speak to engines",
        NOTE,
        _closed_doors,
        "{name} may not open {path}",
        "{path} is {mode}, of {owner}:{group}, which lets in {allowed}",
        "Without /dev/kvm guests are emulated; without its socket an engine has to be asked by root.",
        "{way}, and log in again; whoever speaks to Docker or to qemu:///system is as good as root",
        ("user",),
    ),
    Check(
        "AppArmor refused nothing",
        WARNING,
        lambda facts: facts["denials"]["apparmor"],
        "AppArmor's profile {profile} refused {comm} {operation} of {thing} ({count} in the last hour)",
        "audit records of the last hour: profile {profile}, operation {operation}, denied {mask}",
        "The program sees: Permission denied, though modes and owners allow it.",
        "Where it is right that it may: a profile of its own with the line: {rule} by strata.virt.apparmor_profile, "
        "named by security_opts (Docker) or lxc.apparmor.profile",
        ("denials",),
    ),
    Check(
        "SELinux refused nothing",
        WARNING,
        lambda facts: facts["denials"]["selinux"],
        "SELinux refused {comm} to {rights} {thing} ({count} in the last hour)",
        "audit records of the last hour: {scontext} on {tcontext}, class {tclass}",
        "Permission denied, though modes and owners allow it: the label is that of another place or container.",
        "For a volume the option Z (private) or z (shared); for files that were moved, restorecon -R",
        ("denials",),
    ),
    Check(
        "seccomp refused nothing",
        WARNING,
        lambda facts: facts["denials"]["seccomp"],
        "A seccomp filter caught {comm} at the call {call} ({count} in the last hour); it was {ended}",
        "audit records of the last hour, type 1326: {exe}",
        "The program ends with Bad system call, or sees: Operation not permitted.",
        "Where it is right that it may: a profile that allows {call}, by strata.virt.seccomp_profile",
        ("denials",),
    ),
    Check(
        "set-user-ID programs work in the workload",
        NOTE,
        lambda facts: [facts["workload"]] if facts["workload"]["no_new_privs"] else [],
        "In {title}, no program gains rights when it is started",
        "/proc/{pid}/status: NoNewPrivs 1",
        "sudo, su, ping and newuidmap fail in it; hardening: restricted sets this on purpose.",
        "Where it is not meant: hardening_exceptions: [no_new_privileges], or leave out no-new-privileges",
        ("workload",),
    ),
    Check(
        "the workload has the usual capabilities",
        NOTE,
        _dropped,
        "{title} does without capabilities that programs expect: {gone}",
        "/proc/{pid}/status: CapBnd {hex}",
        "As root in it, chown, su, binding ports below 1024 or reading others' files may fail: Operation not "
        "permitted.",
        "Add the one that the program needs, by capabilities (Docker, Podman) or cap_keep (LXC)",
        ("workload",),
    ),
)

TOPIC = Topic(permissions.read, CHECKS, ("path", "user", "workload"))
