# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel that runs, and the systemd that runs on it."""

from __future__ import annotations

import os
import re

from ..core.survey import Facts, Need, Subject, Why
from ..engines.hostfiles import Host

MACHINE = os.uname().machine


def read_kernel(host: Host) -> Facts:
    return {
        "release": host.line("/proc/sys/kernel/osrelease"),
        "version": host.line("/proc/sys/kernel/version"),
        "machine": MACHINE,
        "command_line": host.line("/proc/cmdline"),
        "modules_disabled": host.line("/proc/sys/kernel/modules_disabled") == "1",
    }


# systemd's own library carries the version in its name (systemd: src/shared/meson.build), so nothing is run for it.
_LIBRARY = re.compile(r"libsystemd-shared-(\d+)")


def systemd_version(host: Host) -> str | None:
    """The version, as ``systemctl --version`` begins with it."""
    folders = ["/usr/lib/systemd", "/lib/systemd"]
    folders += [f"/usr/lib/{name}/systemd" for name in host.names("/usr/lib") if "-linux-" in name]
    found = (_LIBRARY.match(name) for folder in folders for name in host.names(folder))
    return next((match.group(1) for match in found if match), None)


def booted(host: Host) -> bool:
    return host.exists("/run/systemd/system")  # sd_booted(3)


def read_systemd(host: Host) -> Facts:
    return {
        "version": systemd_version(host),
        "pid1": booted(host),
        "init": host.line("/proc/1/comm") or "unknown",
    }


KERNEL = Subject(read_kernel)

SYSTEMD = Subject(
    read_systemd,
    (
        Need(
            "pid1",
            (
                Why(
                    lambda systemd: systemd["version"] is None,
                    "systemd is not installed",
                    "Use a distribution that boots with systemd: slices, machines and units of engines need it",
                ),
                Why(
                    lambda systemd: not systemd["pid1"],
                    "this host was not booted with systemd, its first process is {init}",
                    "Boot the host with systemd, and run this on the host, not in a container or a chroot",
                ),
            ),
        ),
    ),
)
