# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the running kernel has: built in, loaded, or in a module that it can load. No program is asked."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.survey import Facts, Why
from ..engines.hostfiles import Host

Table = Iterable[tuple[str, str, str]]
"""What something is called, the module that does it, and that module's symbol in the kernel's configuration."""

LOADED, BUILTIN, LOADABLE, MISSING, UNKNOWN = "loaded", "builtin", "loadable", "missing", "unknown"

_MODULES = (
    "Install the kernel's other modules (Debian: linux-image-amd64 instead of linux-image-cloud-amd64; "
    "Ubuntu: linux-modules-extra; Fedora: kernel-modules, kernel-modules-extra), and boot that kernel"
)
WHYS = (
    Why(
        lambda row: bool(row["state"] == UNKNOWN and row["elsewhere"]),
        "the modules of the running kernel {release} are gone, those of {elsewhere} are there",
        "Reboot into the kernel that is installed",
    ),
    Why(
        lambda row: bool(row["state"] == LOADABLE and row["loading_disabled"]),
        "the module {module} is not loaded, and loading is turned off until the next boot",
        "Name it in /etc/modules-load.d, don't set kernel.modules_disabled=1 before that, and reboot",
    ),
    Why(
        lambda row: bool(row["state"] == MISSING and row["module"] == "zfs"),
        "the kernel {release} has no module zfs, which is no part of Linux",
        "Install zfs-dkms and zfsutils-linux (Debian, from contrib), zfsutils-linux (Ubuntu), "
        "or zfs from the repository of OpenZFS (Fedora)",
    ),
    Why(lambda row: bool(row["state"] == MISSING), "the kernel {release} has no module {module}", _MODULES),
    Why(
        lambda row: bool(row["state"] == UNKNOWN),
        "nothing tells whether the kernel has {module}: neither /lib/modules/{release} nor its configuration is here",
        "Run it on the host itself, not in a container",
    ),
)
"""Why a module can't be had, told of each of ``rows``."""


def plain(name: str) -> str:
    """A module's name as the kernel has it: file names may say - for _."""
    return name.replace("-", "_")


def _file_names(text: str | None) -> set[str]:
    """The modules of modules.dep or modules.builtin: a path each line, with or without what it depends on (kmod(8))."""
    paths = ((line.partition(":")[0]).strip() for line in (text or "").splitlines())
    return {plain(path.rpartition("/")[2].partition(".")[0]) for path in paths if path}


class Modules:
    """The modules of the running kernel."""

    def __init__(self, host: Host) -> None:
        self.release = host.line("/proc/sys/kernel/osrelease") or ""
        self.locked = host.line("/proc/sys/kernel/modules_disabled") == "1"
        self.folders = host.names("/lib/modules")
        folder = f"/lib/modules/{self.release}"
        self.known = host.exists(f"{folder}/modules.dep")
        self.loadable = _file_names(host.text(f"{folder}/modules.dep"))
        self.builtin = _file_names(host.text(f"{folder}/modules.builtin"))
        self.loaded = {line.split()[0] for line in (host.text("/proc/modules") or "").splitlines() if line.strip()}
        # What is built in and has parameters is there, too (Documentation/ABI/stable/sysfs-module).
        self.present = {plain(name) for name in host.names("/sys/module")}
        config = host.text("/proc/config.gz") or host.text(f"/boot/config-{self.release}") or ""
        self.config = dict(line.split("=", 1) for line in config.splitlines() if line.startswith("CONFIG_"))

    def state(self, module: str, symbol: str) -> str:
        """How the kernel has a module. The symbol comes without CONFIG_."""
        if module in self.loaded:
            return LOADED
        if module in self.builtin or self.config.get(f"CONFIG_{symbol}") == "y":
            return BUILTIN
        if module in self.present:
            return BUILTIN
        if module in self.loadable:
            return LOADABLE
        if self.known or (self.config and f"CONFIG_{symbol}" not in self.config):
            return MISSING
        return UNKNOWN

    def states(self, table: Table) -> dict[str, str]:
        return {name: self.state(module, symbol) for name, module, symbol in table}

    def facts(self) -> Facts:
        """What decides over all of them."""
        elsewhere = [] if self.known else self.folders
        return {"release": self.release, "loading_disabled": self.locked, "other_releases": elsewhere}


def rows(table: Table, states: dict[str, str], facts: Facts) -> list[Facts]:
    """What the whys are asked of: an entry of the table, its state, and the facts."""
    elsewhere = ", ".join(facts["other_releases"])
    return [
        {**facts, "name": name, "module": module, "state": states[name], "elsewhere": elsewhere}
        for name, module, _symbol in table
    ]
