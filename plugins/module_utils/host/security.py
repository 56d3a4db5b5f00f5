# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Linux security modules, and seccomp."""

from __future__ import annotations

import collections
import re

from ..core.survey import Facts, Need, Subject, Why
from ..engines.hostfiles import Host

_FOLDER = "/sys/kernel/security"


def profiles(text: str | None) -> dict[str, int] | None:
    """How many AppArmor profiles are in each mode; None where this user may not know (apparmor(7))."""
    if text is None:
        return None
    counts = collections.Counter(re.findall(r"\((\w+)\)$", text, re.MULTILINE))
    return {"enforce": 0, "complain": 0, **counts}


def read(host: Host) -> Facts:
    modules = host.line(f"{_FOLDER}/lsm")
    enforcing = host.line("/sys/fs/selinux/enforce")
    apparmor = host.line("/sys/module/apparmor/parameters/enabled") == "Y"
    return {
        "lsm": None if modules is None else modules.split(","),
        "apparmor": {
            "enabled": apparmor,
            "profiles": profiles(host.text(f"{_FOLDER}/apparmor/profiles")) if apparmor else {},
        },
        "selinux": {"mode": {"1": "enforcing", "0": "permissive"}.get(enforcing or "", "disabled")},
        "seccomp": {"actions": (host.line("/proc/sys/kernel/seccomp/actions_avail") or "").split()},
        "parameters": [
            word
            for word in (host.line("/proc/cmdline") or "").split()
            if word.partition("=")[0] in ("lsm", "security", "apparmor", "selinux", "enforcing")
        ],
    }


def _labels(facts: Facts) -> list[Facts]:
    """Asked of a host where neither of the two that confine programs is on."""
    on = facts["apparmor"]["enabled"] or facts["selinux"]["mode"] != "disabled"
    words = ", ".join(facts["lsm"] or []) or "nothing"
    return [] if on or facts["lsm"] is None else [{**facts, "running": words, "said": " ".join(facts["parameters"])}]


SUBJECT = Subject(
    read,
    (
        Need(
            "lsm",
            (
                Why(
                    lambda facts: facts["lsm"] is None,
                    "nothing tells which security modules run: securityfs is not mounted, or not for this user",
                    "mount -t securityfs securityfs /sys/kernel/security, on the host, as root",
                ),
            ),
        ),
        Need(
            "apparmor or selinux",
            (
                Why(
                    lambda row: bool(row["said"]),
                    "neither of them is on, and the kernel was started with {said}; what runs: {running}",
                    "Take {said} from the kernel's command line, and reboot",
                ),
                Why(
                    lambda _row: True,
                    "neither of them is on; what runs: {running}",
                    "Use a kernel with one of them (Debian, Ubuntu: AppArmor, package apparmor; Fedora: SELinux)",
                ),
            ),
            each=_labels,
        ),
        Need(
            "apparmor profiles",
            (
                Why(
                    lambda facts: facts["apparmor"]["enabled"] and facts["apparmor"]["profiles"] is None,
                    "only root can read them",
                    "Use become",
                ),
                Why(
                    lambda facts: facts["apparmor"]["enabled"] and not sum(facts["apparmor"]["profiles"].values()),
                    "AppArmor is on, and no profile is loaded",
                    "Install the package apparmor, and systemctl enable --now apparmor.service",
                ),
            ),
        ),
        Need(
            "selinux enforcing",
            (
                Why(
                    lambda facts: facts["selinux"]["mode"] == "permissive",
                    "SELinux is permissive: it notes what it would forbid, and forbids nothing",
                    "setenforce 1, and SELINUX=enforcing in /etc/selinux/config",
                ),
            ),
        ),
        Need(
            "seccomp",
            (
                Why(
                    lambda facts: not facts["seccomp"]["actions"],
                    "the kernel knows no actions of seccomp filters",
                    "Use a kernel with CONFIG_SECCOMP_FILTER, Linux 4.14 or later",
                ),
            ),
        ),
    ),
)
