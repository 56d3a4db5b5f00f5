# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces: which kinds the kernel has, and who may make user namespaces."""

from __future__ import annotations

from ..core.survey import Facts, Need, Subject, Why
from ..engines.hostfiles import Host

KINDS = {
    "cgroup": "CONFIG_CGROUPS",
    "ipc": "CONFIG_IPC_NS",
    "mnt": "CONFIG_NAMESPACES",
    "net": "CONFIG_NET_NS",
    "pid": "CONFIG_PID_NS",
    "time": "CONFIG_TIME_NS, Linux 5.6 or later",
    "user": "CONFIG_USER_NS",
    "uts": "CONFIG_UTS_NS",
}
"""namespaces(7), and what a kernel that lacks one was built without."""

_SYSCTLS = {
    "max_user_namespaces": "user/max_user_namespaces",  # namespaces(7)
    "unprivileged_userns_clone": "kernel/unprivileged_userns_clone",  # Debian's and Arch's kernels
    "apparmor_restrict_unprivileged_userns": "kernel/apparmor_restrict_unprivileged_userns",  # AppArmor 4
}


def read(host: Host) -> Facts:
    settings = {name: host.number(f"/proc/sys/{path}") for name, path in _SYSCTLS.items()}
    kinds = [name for name in host.names("/proc/self/ns") if not name.endswith("_for_children")]
    facts = {"kinds": kinds, **settings}
    refused = any(why.holds(facts) for why in _UNPRIVILEGED)
    return {**facts, "unprivileged_user_namespaces": not refused}


def _absent(facts: Facts) -> list[Facts]:
    return [{"name": name, "symbol": symbol} for name, symbol in KINDS.items() if name not in facts["kinds"]]


_UNPRIVILEGED = (
    Why(
        lambda facts: "user" not in facts["kinds"],
        "the kernel has no user namespaces",
        "Use a kernel with CONFIG_USER_NS",
    ),
    Why(
        lambda facts: facts["max_user_namespaces"] == 0,
        "user.max_user_namespaces is 0",
        "Set user.max_user_namespaces to more than 0, 15000 for example, by sysctl and in /etc/sysctl.d",
    ),
    Why(
        lambda facts: facts["unprivileged_userns_clone"] == 0,
        "kernel.unprivileged_userns_clone is 0",
        "Set kernel.unprivileged_userns_clone=1, by sysctl and in /etc/sysctl.d",
    ),
    Why(
        lambda facts: facts["apparmor_restrict_unprivileged_userns"] == 1,
        "AppArmor allows them to programs whose profile says userns only "
        "(kernel.apparmor_restrict_unprivileged_userns is 1)",
        "Give the program a profile with the rule userns, or set kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)

SUBJECT = Subject(
    read,
    (
        Need(
            "{name}",
            (Why(lambda _row: True, "the kernel has no namespaces of this kind", "Use a kernel with {symbol}"),),
            each=_absent,
        ),
        Need("unprivileged_user_namespaces", _UNPRIVILEGED),
    ),
)
