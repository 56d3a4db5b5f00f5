# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What QEMU and libvirt say when a machine doesn't start or stops: what it means, and what helps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..core.diagnosis import Facts

_START = re.compile(r"^\S+ \S+: starting up libvirt version.*$", re.MULTILINE)
_LINES = 200


@dataclass(frozen=True)
class Saying:
    """An error that is known.

    Attributes:
        pattern: How it reads; ``{0}``, ``{1}`` in the other texts stand for its groups.
        what: What it means.
        why: How that comes.
        remedy: What helps.
    """

    pattern: str
    what: str
    why: str
    remedy: str


SAYINGS = (
    Saying(
        r"(?:Could not open|Cannot access (?:storage|backing) file) '([^']+)'[^\n]*Permission denied",
        "QEMU may not open {0}",
        "QEMU runs as a user of its own (libvirt-qemu, qemu), which has to pass each folder; AppArmor allows it only "
        "what the domain's XML names, backing files included.",
        "strata.virt.troubleshoot_permissions -e path={0} -e user=libvirt-qemu; or move it into a pool, "
        "/var/lib/libvirt/images for example",
    ),
    Saying(
        r"Failed to get (?:shared )?\"([^\"]+)\" lock"
        r"(?:[^\n]*\n[^\n]*Is another process using the image \[([^\]]+)\])?",
        "Another process has a disk of the machine open (lock: {0}) {1}",
        "QEMU locks what it writes, so that two guests don't destroy a disk. A qemu-img or a second domain holds it.",
        "fuser -v FILE or lslocks say who; a disk that is shared on purpose needs <shareable/> and a file system for "
        "that",
    ),
    Saying(
        r"(?:Could not open backing file: Could not open|Cannot access backing file) '([^']+)'[^\n]*No such file",
        "The backing file {0} of a disk is missing",
        "An overlay holds what differs from the file below it, and is nothing without that.",
        "Bring it back to that path, or qemu-img rebase -u -b PATH -F FORMAT OVERLAY where the same file is "
        "elsewhere now",
    ),
    Saying(
        r"(?:Could not open|[Cc]annot access storage file|Failed to open file) '([^']+)'[^\n]*No such file",
        "The disk {0} is missing",
        "It was moved or removed since the machine was defined.",
        "Bring it back, make it (strata.virt.libvirt_volume, strata.virt.qemu_image), or take it out of disks",
    ),
    Saying(
        r"(?:unsupported machine type|does not support machine type|Unsupported machine type)[\s:'\"]*([\w.-]+)",
        "This QEMU has no machine type {0}",
        "Machine types come and go with versions of QEMU: the domain was made on another host or by a newer version.",
        "virsh capabilities lists those there are; machine: q35 of strata.virt.libvirt_domain takes the newest",
    ),
    Saying(
        r"unable to map backing store for guest RAM|os_mem_prealloc|Insufficient free host memory pages"
        r"|qemu_prealloc_mem",
        "There are not enough free huge pages",
        "With huge pages all memory of the guest is taken when it starts.",
        "sysctl -w vm.nr_hugepages=N (early, before memory is in pieces), or a guest without memoryBacking",
    ),
    Saying(
        r"cannot set up guest memory '[^']*': Cannot allocate memory|[Cc]annot allocate memory",
        "The host has not the memory that the machine is to have",
        "QEMU asks for the whole size at once where overcommitting is off or a limit of the control group is near.",
        "Stop something, give the machine less, or see vm.overcommit_memory and MemoryMax of machine.slice",
    ),
    Saying(
        r"network '([^']+)' is not active",
        "The network {0} of the machine is not active",
        "A domain starts only when all its networks run.",
        "virsh net-start {0} && virsh net-autostart {0}, or strata.virt.libvirt_network with state: started",
    ),
    Saying(
        r"(?:Unable to find[^\n]*firmware|Unable to find any[^\n]*firmware|could not load PC BIOS '([^']*)'"
        r"|Could not open '([^']*(?:OVMF|AAVMF|edk2)[^']*)')",
        "The firmware that the machine boots by is not there",
        "UEFI comes in a package of its own, and its files are called differently in each distribution.",
        "Install ovmf (Debian), edk2-ovmf (Fedora), seabios for PC BIOS; or take loader and nvram out of the XML",
    ),
    Saying(
        r"(?:Could not access KVM kernel module|failed to initialize kvm): ([^\n]+)",
        "QEMU can't use KVM: {0}",
        "The machine is of type kvm, which needs /dev/kvm.",
        "What host_info says of the subject kvm; to go without, type: qemu, many times slower",
    ),
    Saying(
        r"CPU is incompatible with host CPU|guest CPU doesn't match specification[^\n]*|host doesn't support requested "
        r"feature[^\n]*",
        "The processor of this host lacks what the machine is to have",
        "A CPU model of another host was named, or a feature that nested virtualisation doesn't pass on.",
        "cpu mode host-model or host-passthrough; for migration, a model that all hosts have (virsh "
        "hypervisor-cpu-baseline)",
    ),
    Saying(
        r"Failed to find an available port|Address already in use",
        "A port that the machine is to listen on is taken",
        "Mostly a display (VNC, SPICE) with a fixed port, or a second QEMU.",
        "ss -ltnp says by whom; autoport='yes' takes a free one",
    ),
    Saying(
        r"Cannot get interface MTU on '([^']+)': No such device|Unable to add bridge (\S+) port",
        "The bridge {0}{1} that the machine is to be on is not there",
        "A domain does not make the bridges that it names.",
        "strata.virt.link with type: bridge, or a network of libvirt",
    ),
    Saying(
        r"No space left on device",
        "The disk below the machine's disks is full",
        "A thin image grows as the guest writes; QEMU pauses the guest at the first write that fails.",
        "Make room, then virsh resume; df -h, and qemu-img info for how far images may grow",
    ),
    Saying(
        r"[Ii]mage is corrupt|Image is in inconsistent state",
        "A disk image is damaged",
        "It was opened twice, or its host went down in a write.",
        "A copy first, then qemu-img check -r leaks FILE; -r all only on the copy",
    ),
    Saying(
        r"Out of memory: Killed process \d+ \((qemu[^)]*)\)",
        "The kernel killed a QEMU ({0}), for lack of memory",
        "Guests together took more than the host has; the largest goes first.",
        "Less memory or a balloon for guests, swap, or huge pages, which are set aside",
    ),
    Saying(
        r"vfio[^\n]*(?:group (\d+) is not viable|failed to open /dev/vfio)",
        "A device can't be handed to the machine: its IOMMU group {0} is not free",
        "All devices of a group have to be with vfio-pci or with no driver.",
        "What host_info says of the subject iommu; driverctl set-override ADDRESS vfio-pci for each device of the "
        "group",
    ),
)


def last_run(text: str) -> str:
    """Of a log that is appended to, what was written since the last start; the end of it."""
    starts = list(_START.finditer(text))
    lines = text[starts[-1].start() if starts else 0 :].splitlines()
    return "\n".join(lines[-_LINES:])


def explained(text: str) -> Iterator[Facts]:
    """Each known error that is in a text, once: the first line of it that says so, and what it means."""
    taken: list[tuple[int, int]] = []
    for saying in SAYINGS:
        for found in re.finditer(saying.pattern, text):
            # What is special comes first in the table: what it is found in says nothing more.
            start, end = text.rfind("\n", 0, found.start()) + 1, found.end()
            if any(start < other_end and other_start < end for other_start, other_end in taken):
                continue
            taken.append((start, end))
            groups = [group or "" for group in (*found.groups(), "", "")]
            line = text[start:].partition("\n")[0].strip()
            texts = {"what": saying.what, "why": saying.why, "remedy": saying.remedy}
            yield {"line": line, **{name: words.format(*groups).rstrip() for name, words in texts.items()}}
            break
