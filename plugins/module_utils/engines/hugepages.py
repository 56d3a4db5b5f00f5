# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's pools of huge pages, one a size (Documentation/admin-guide/mm/hugetlbpage.rst), and hugetlbfs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..core import files
from ..core.codec import parse_size
from ..core.errors import StrataError
from . import processes
from .hostfiles import kilobytes
from .mounts import Mount

POOLS = "/sys/kernel/mm/hugepages"
NODES = "/sys/devices/system/node"
TYPE = "hugetlbfs"
_SYSCTLS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")  # sysctl.d(5)
_USUAL = {"uid": "0", "gid": "0", "mode": "755"}  # fs/hugetlbfs/inode.c: hugetlbfs_show_options


@dataclass(frozen=True)
class Pool:
    """The pages of one size, of the whole host or of a NUMA node.

    Attributes:
        total: All that there are now.
        free: Those that nobody has.
        surplus: Those on top of what was asked for, which go when they are given back.
        reserved: Free ones that are promised to somebody; of nodes the kernel doesn't tell.
        overcommit: How many there may be on top, made when somebody wants them.
        nodes: The same of each node.
    """

    total: int = 0
    free: int = 0
    surplus: int = 0
    reserved: int = 0
    overcommit: int = 0
    nodes: Mapping[str, Pool] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """What was asked for, as far as the kernel gave it."""
        return self.total - self.surplus

    @property
    def used(self) -> int:
        return self.total - self.free + self.reserved


def sizes(names: Iterable[str]) -> dict[int, str]:
    """Folders named hugepages-2048kB, by the size in bytes."""
    found = (re.fullmatch(r"hugepages-(\d+)kB", name) for name in names)
    return dict(sorted((int(match.group(1)) * 1024, match.group(0)) for match in found if match))


def known() -> dict[int, str]:
    """The sizes that this kernel has on this processor, each with the name of its folder."""
    try:
        return sizes(os.listdir(POOLS))
    except OSError:
        return {}


def nodes() -> list[str]:
    """The numbers of the NUMA nodes."""
    try:
        names = os.listdir(NODES)
    except OSError:
        return []
    found = (re.fullmatch(r"node(\d+)", name) for name in names)
    return sorted((match.group(1) for match in found if match), key=int)


def place(size: int, node: str = "") -> str:
    """The folder of a pool."""
    name = f"hugepages-{size // 1024}kB"
    return f"{NODES}/node{node}/hugepages/{name}" if node else f"{POOLS}/{name}"


def count_file(size: int, node: str = "") -> str:
    """The file that says how many pages of a size there are, and takes how many there are to be."""
    return f"{place(size, node)}/nr_hugepages"


def overcommit_file(size: int) -> str:
    return f"{place(size)}/nr_overcommit_hugepages"


def _pool(folder: str) -> Pool:
    def number(name: str) -> int:
        return int(files.read(f"{folder}/{name}_hugepages") or 0)  # nodes have the first three only

    return Pool(number("nr"), number("free"), number("surplus"), number("resv"), number("nr_overcommit"))


def read(size: int) -> Pool:
    """The pool of a size that the kernel has."""
    places = {node: place(size, node) for node in nodes()}
    found = {node: _pool(folder) for node, folder in places.items() if os.path.isdir(folder)}
    return replace(_pool(place(size)), nodes=found)


def write(path: str, number: int) -> int:
    """Ask the kernel for a number of pages; how many there are then, those on top left out.

    Raises:
        StrataError: The kernel takes no such number at all.
    """
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(str(number))
    except OSError as error:
        raise StrataError(
            f"the kernel refuses {number} in {path}: {error.strerror}",
            hint="Pages of a gigabyte can't be made on demand, and on some kernels only be set aside at boot, with "
            "hugepagesz=1G hugepages=N among its parameters",
        ) from None
    folder, name = os.path.split(path)
    got = int(files.read(path) or 0)
    return got - int(files.read(f"{folder}/surplus_hugepages") or 0) if name == "nr_hugepages" else got


def memory(node: str = "") -> int:
    """The memory of the host or of a node, in bytes."""
    path = f"{NODES}/node{node}/meminfo" if node else "/proc/meminfo"
    return kilobytes(files.read(path), "MemTotal") or 0


def usual_size() -> int:
    """The size that vm.nr_hugepages is about, in bytes."""
    return kilobytes(files.read("/proc/meminfo"), "Hugepagesize") or 0


def in_sysctls() -> dict[str, int]:
    """The files that set vm.nr_hugepages at boot, too, each with its number."""
    names = {name: f"{folder}/{name}" for folder in reversed(_SYSCTLS) for name in _configs(folder)}
    found = {}
    for path in names.values():
        said = re.findall(r"^\s*-?vm[./]nr_hugepages\s*=\s*(\d+)\s*$", files.read(path) or "", re.MULTILINE)
        if said:
            found[path] = int(said[-1])
    return found


def _configs(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(".conf"))
    except OSError:
        return []


def parameters() -> list[str]:
    """What the kernel's command line says of huge pages."""
    words = (files.read("/proc/cmdline") or "").split()
    return [word for word in words if word.partition("=")[0] in ("hugepages", "hugepagesz", "default_hugepagesz")]


def page_size(mount: Mount) -> int:
    """The size of the pages that a mounted hugetlbfs gives, in bytes."""
    return int(parse_size(dict(mount.options).get("pagesize") or 0))


def options(words: Iterable[str]) -> tuple[str, ...]:
    """Options of hugetlbfs as it shows them itself: what is so by default is left out.

    Raises:
        ValueError: It is none of those that can be compared.
    """
    found = {}
    for word in words:
        name, _equals, value = word.partition("=")
        digits = "01234567" if name == "mode" else "0123456789"
        if name not in _USUAL or not value or value.strip(digits):
            raise ValueError("takes uid=NUMBER, gid=NUMBER and mode=OCTAL")
        value = value.lstrip("0") or "0"
        if value != _USUAL[name]:
            found[name] = f"{name}={value}"
    return tuple(found[name] for name in sorted(found))


def options_of(mount: Mount) -> tuple[str, ...]:
    """Those of them that a mounted one has."""
    return options(f"{name}={value}" for name, value in mount.options if name in _USUAL)


def users(size: int) -> list[str]:
    """The processes that have pages of a size mapped, each with how many; slow, so for error messages alone."""
    found = []
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):  # it ended meanwhile
            held = mapped(files.read(f"/proc/{pid}/smaps") or "", size) // size
            if held:
                found.append(f"{held} by process {processes.title(pid)}")
    return found


def mapped(smaps: str, size: int) -> int:
    """The bytes of a process's mappings of huge pages of a size, by its smaps (proc_pid_smaps(5))."""
    total = length = page = 0
    for line in smaps.splitlines():
        name, _colon, rest = line.partition(":")
        if name == "Size":
            length = int(rest.split()[0]) * 1024
        elif name == "KernelPageSize":
            page = int(rest.split()[0]) * 1024
        elif name == "VmFlags" and page == size and "ht" in rest.split():
            total += length
    return total
