# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PCI devices: which of them the IOMMU keeps apart, and which of them divide themselves (SR-IOV)."""

from __future__ import annotations

from ..core.survey import Facts, Need, Subject, Why
from ..engines.hostfiles import Host

_DEVICES = "/sys/bus/pci/devices"

# ACPI tables by which the firmware tells of an IOMMU: Intel's, AMD's, Arm's and the virtual one's.
_TABLES = ("DMAR", "IVRS", "IORT", "VIOT")
_PARAMETERS = ("intel_iommu", "amd_iommu", "iommu", "iommu.passthrough")


def device(host: Host, address: str) -> Facts:
    """A device as Documentation/ABI/testing/sysfs-bus-pci has it."""
    folder = f"{_DEVICES}/{address}"
    return {
        "address": address,
        "vendor": host.line(f"{folder}/vendor"),
        "device": host.line(f"{folder}/device"),
        "class": host.line(f"{folder}/class"),
        "driver": host.points_at(f"{folder}/driver"),
    }


def read_iommu(host: Host) -> Facts:
    folder = "/sys/kernel/iommu_groups"
    tables = host.names("/sys/firmware/acpi/tables")
    words = (host.line("/proc/cmdline") or "").split()
    return {
        "units": host.names("/sys/class/iommu"),
        "groups": {
            group: [device(host, address) for address in host.names(f"{folder}/{group}/devices")]
            for group in host.names(folder)
        },
        "firmware_tables": [name for name in _TABLES if name in tables],
        "parameters": [word for word in words if word.partition("=")[0] in _PARAMETERS],
    }


def read_sriov(host: Host) -> Facts:
    able = [name for name in host.names(_DEVICES) if host.exists(f"{_DEVICES}/{name}/sriov_totalvfs")]
    return {
        "devices": [
            {
                **device(host, name),
                "functions": host.number(f"{_DEVICES}/{name}/sriov_numvfs"),
                "functions_most": host.number(f"{_DEVICES}/{name}/sriov_totalvfs"),
                "interfaces": host.names(f"{_DEVICES}/{name}/net"),
            }
            for name in able
        ]
    }


def _without_groups(iommu: Facts) -> list[Facts]:
    return [] if iommu["groups"] else [iommu]


_TURN_ON = "Turn on Intel VT-d, AMD-Vi (IOMMU) or SMMU in the firmware; for a virtual machine, give it a virtual IOMMU"

IOMMU = Subject(
    read_iommu,
    (
        Need(
            "groups",
            (
                Why(
                    lambda iommu: any(word.endswith("=off") for word in iommu["parameters"]),
                    "the kernel was started with it turned off",
                    "Take the parameter away (intel_iommu=on, where Intel's isn't on by itself), and reboot",
                ),
                Why(
                    lambda iommu: not iommu["firmware_tables"],
                    "the firmware tells of no IOMMU: it has none of the ACPI tables DMAR, IVRS, IORT and VIOT",
                    _TURN_ON,
                ),
                Why(
                    lambda iommu: "DMAR" in iommu["firmware_tables"],
                    "the firmware tells of Intel VT-d (ACPI table DMAR), and the kernel doesn't use it",
                    "Start the kernel with intel_iommu=on",
                ),
                Why(
                    lambda _iommu: True,
                    "the firmware tells of an IOMMU, and the kernel doesn't use it",
                    "The kernel's log says why: journalctl -k --grep 'AMD-Vi|SMMU|iommu'",
                ),
            ),
            each=_without_groups,
        ),
    ),
)

SRIOV = Subject(
    read_sriov,
    (
        Need(
            "devices",
            (
                Why(
                    lambda sriov: not sriov["devices"],
                    "no PCI device of this host can divide itself into virtual functions",
                    "Turn on SR-IOV in the firmware and in the card's own setup, or use a card that has it",
                ),
            ),
        ),
    ),
)
