# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AppArmor, SELinux and seccomp refused lately: the kernel's audit records, in the journal or in auditd's log."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..core.diagnosis import Facts
from ..engines.hostfiles import Host

AUDIT_LOG = "/var/log/audit/audit.log"
NO_LOG = "neither journalctl nor dmesg tell the kernel's log here"

_STAMP = re.compile(r"audit\((\d+)\.\d+:\d+\)")
_PAIR = re.compile(r'(\w+)=(?:"([^"]*)"|(\S+))')
_AVC = re.compile(r"avc:\s+denied\s+\{ ([^}]*) \}")
_SECCOMP = re.compile(r"type=(?:1326|SECCOMP)\b")  # include/uapi/linux/audit.h: AUDIT_SECCOMP

_MACHINES = {"c000003e": "x86_64", "40000003": "x86", "c00000b7": "aarch64"}
"""AUDIT_ARCH_* of include/uapi/linux/audit.h, as scmp_sys_resolver(1) calls them."""

_MASKS = "rwaxmkl"
"""The letters of a mask that a rule for a file may have (apparmor.d(5)); the log has others, as c and d for w."""


def recent(texts: Iterable[str], since: float) -> list[str]:
    """The audit records since then, each once: the kernel's log and auditd's may both have it."""
    found: dict[str, str] = {}
    for line in "\n".join(texts).splitlines():
        stamp = _STAMP.search(line)
        if stamp and int(stamp[1]) >= since:
            found.setdefault(stamp[0], line)
    return list(found.values())


def _words(line: str) -> dict[str, str]:
    return {key: quoted or plain for key, quoted, plain in _PAIR.findall(line)}


def rule(words: dict[str, str]) -> str:
    """The line of a profile that would allow it (apparmor.d(5))."""
    operation = words.get("operation", "")
    if operation == "capable":
        return f"capability {words.get('capname', '')},"
    if operation == "userns_create":
        return "userns,"
    if operation in ("mount", "umount", "ptrace", "signal", "change_profile"):
        return f"{operation}, narrowed by what the record says"
    if operation in ("create", "bind", "connect", "sendmsg", "recvmsg") and "family" in words:
        return f"network {words['family']} {words.get('sock_type', '')},"
    mask = {{"c": "w", "d": "w"}.get(letter, letter) for letter in words.get("denied_mask", "")}
    return f"{words.get('name', 'PATH')} {''.join(letter for letter in _MASKS if letter in mask)},"


def _apparmor(words: dict[str, str]) -> Facts:
    thing = words.get("name") or words.get("capname") or words.get("class") or "?"
    kept = {key: words.get(key, "?") for key in ("profile", "operation", "comm")}
    return {**kept, "thing": thing, "mask": words.get("denied_mask", ""), "rule": rule(words)}


def _selinux(words: dict[str, str], rights: str) -> Facts:
    kept = {key: words.get(key, "?") for key in ("comm", "scontext", "tcontext", "tclass")}
    return {**kept, "thing": words.get("path") or words.get("name") or "?", "rights": rights}


def _seccomp(words: dict[str, str], host: Host) -> Facts:
    number, machine = words.get("syscall", "?"), _MACHINES.get(words.get("arch", ""), "")
    name = host.said("scmp_sys_resolver", "-a", machine, number).strip() if machine and number.isdecimal() else ""
    ended = "killed" if words.get("sig", "0") != "0" else "refused"
    return {
        "comm": words.get("comm", "?"),
        "exe": words.get("exe", "?"),
        "call": name or f"number {number}",
        "ended": ended,
    }


def _counted(rows: Iterable[Facts]) -> list[Facts]:
    counts: dict[tuple[tuple[str, str], ...], int] = {}
    for row in rows:
        key = tuple(row.items())
        counts[key] = counts.get(key, 0) + 1
    return [{**dict(key), "count": count} for key, count in counts.items()]


def sorted_out(lines: Iterable[str], host: Host) -> Facts:
    """The records by who refused, each with how often it came."""
    rows: dict[str, list[Facts]] = {"apparmor": [], "selinux": [], "seccomp": []}
    for line in lines:
        words = _words(line)
        avc = _AVC.search(line)
        if words.get("apparmor") == "DENIED":
            rows["apparmor"].append(_apparmor(words))
        elif avc:
            rows["selinux"].append(_selinux(words, avc[1]))
        elif _SECCOMP.search(line):
            rows["seccomp"].append(_seccomp(words, host))
    return {who: _counted(found) for who, found in rows.items()}


def read(host: Host, since: float) -> Facts | None:
    """What was refused since a time in seconds since 1970; None where no log can be read."""
    about = ("--quiet", "--no-pager", "--output=cat", f"--since=@{int(since)}", "_TRANSPORT=kernel")
    texts = [host.said("journalctl", *about) or host.said("dmesg"), host.text(AUDIT_LOG) or ""]
    return sorted_out(recent(texts, since), host) if any(texts) else None
