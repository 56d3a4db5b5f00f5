# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processors: what they are, how they hang together, which are kept free, and what they are vulnerable to."""

from __future__ import annotations

import re

from ..core.survey import Facts, Need, Subject, Why
from ..engines.hostfiles import Host, expand

_CPUS = "/sys/devices/system/cpu"

# Where the model stands: x86, s390 and POWER, Arm's boards.
_MODEL = re.compile(r"^(?:model name|cpu|Model)\s*:\s*(.+)$", re.MULTILINE)

# arch/x86/kernel/cpu/bugs.c; what follows a mitigation ("SMT vulnerable") is a detail of it.
_VULNERABLE = re.compile(r"(?:KVM: |Processor )?vulnerable", re.IGNORECASE)


def _distinct(host: Host, cpus: list[int], file: str) -> int | None:
    """How many groups of cpus a file of their topology tells apart (Documentation/admin-guide/cputopology.rst)."""
    found = {host.line(f"{_CPUS}/cpu{cpu}/topology/{file}") for cpu in cpus} - {None}
    return len(found) or None


def _siblings(host: Host, cpus: list[int]) -> list[list[int]]:
    """The threads of each core, in the order of their first ones."""
    found = {tuple(expand(host.line(f"{_CPUS}/cpu{cpu}/topology/thread_siblings_list"))) for cpu in cpus}
    return [list(threads) for threads in sorted(found) if threads]


def read(host: Host) -> Facts:
    online = expand(host.line(f"{_CPUS}/online"))
    model = _MODEL.search(host.text("/proc/cpuinfo") or "")
    folder = f"{_CPUS}/vulnerabilities"
    return {
        "model": model.group(1).strip() if model else None,
        "sockets": _distinct(host, online, "physical_package_id"),
        "cores": _distinct(host, online, "thread_siblings_list"),
        "threads": len(online) or None,
        "siblings": _siblings(host, online),
        "online": online,
        "isolated": expand(host.line(f"{_CPUS}/isolated")),
        "nohz_full": expand(host.line(f"{_CPUS}/nohz_full")),
        "smt": {"1": True, "0": False}.get(host.line(f"{_CPUS}/smt/active") or ""),
        "vulnerabilities": {name: host.line(f"{folder}/{name}") or "unknown" for name in host.names(folder)},
        "mitigations": [word for word in (host.line("/proc/cmdline") or "").split() if word.startswith("mitigations=")],
    }


def _vulnerable(facts: Facts) -> list[Facts]:
    off = any("off" in word.partition("=")[2].split(",") for word in facts["mitigations"])
    found = facts["vulnerabilities"].items()
    return [{"name": name, "said": said, "off": off} for name, said in found if _VULNERABLE.match(said)]


SUBJECT = Subject(
    read,
    (
        Need(
            "mitigation of {name}",
            (
                Why(
                    lambda row: bool(row["off"]),
                    "the kernel was started with mitigations=off: {said}",
                    "Take mitigations=off from the kernel's command line, and reboot",
                ),
                Why(
                    lambda _row: True,
                    "the kernel says: {said}",
                    "Update the kernel and the microcode (Debian: intel-microcode or amd64-microcode; Fedora: "
                    "microcode_ctl or amd-ucode-firmware); of a virtual machine, on its host",
                ),
            ),
            each=_vulnerable,
        ),
    ),
)
