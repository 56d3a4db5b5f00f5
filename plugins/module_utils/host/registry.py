# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of a host: one line a subject, in the order in which they are told."""

from __future__ import annotations

from ..core.survey import Subject
from . import cgroup, cpu, drivers, engines, kernel, kvm, limits, memory, namespaces, pci, security

SUBJECTS: dict[str, Subject] = {
    "kernel": kernel.KERNEL,
    "systemd": kernel.SYSTEMD,
    "cgroup": cgroup.SUBJECT,
    "namespaces": namespaces.SUBJECT,
    "limits": limits.SUBJECT,
    "security": security.SUBJECT,
    "kvm": kvm.SUBJECT,
    "iommu": pci.IOMMU,
    "sriov": pci.SRIOV,
    "numa": memory.NUMA,
    "hugepages": memory.HUGEPAGES,
    "cpu": cpu.SUBJECT,
    "file_systems": drivers.FILE_SYSTEM,
    "network": drivers.NETWORK,
    "engines": engines.SUBJECT,
}
