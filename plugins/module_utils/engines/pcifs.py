# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PCI devices in sysfs (Documentation/ABI/testing/sysfs-bus-pci): who drives them, who is beside, who uses them."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass

from ..core import command, files
from ..core.errors import StrataError
from . import mounts

DEVICES = "/sys/bus/pci/devices"
PROBE = "/sys/bus/pci/drivers_probe"
DRIVERS = "/sys/bus/pci/drivers"
VFIO = "/dev/vfio"
_BRIDGE = "0x06"  # include/linux/pci_ids.h: PCI_BASE_CLASS_BRIDGE


@dataclass(frozen=True)
class Device:
    """One function of a device.

    Attributes:
        address: ``0000:01:00.0``.
        driver: Who has it; empty: nobody.
        override: The only driver that may have it; empty: whichever fits.
        group: Its IOMMU group; empty where there is no IOMMU.
        beside: The others in the group but for bridges, which go with nobody (Documentation/driver-api/vfio.rst).
        functions: How many virtual functions it has been divided into.
        most: Into how many it can be.
        bridge: Whether it is a bridge.
    """

    address: str
    driver: str
    override: str
    group: str
    beside: tuple[str, ...]
    functions: int
    most: int
    bridge: bool


def _text(address: str, name: str) -> str:
    text = (files.read(f"{DEVICES}/{address}/{name}") or "").strip()
    return "" if text == "(null)" else text


def _link(address: str, name: str) -> str:
    try:
        return os.path.basename(os.readlink(f"{DEVICES}/{address}/{name}"))
    except OSError:
        return ""


def _is_bridge(address: str) -> bool:
    return _text(address, "class").startswith(_BRIDGE)


def names() -> list[str]:
    try:
        return sorted(os.listdir(DEVICES))
    except OSError:
        return []


def read(address: str) -> Device | None:
    """A device, None where there is none at that address."""
    if not os.path.isdir(f"{DEVICES}/{address}"):
        return None
    try:
        together = sorted(os.listdir(f"{DEVICES}/{address}/iommu_group/devices"))
    except OSError:
        together = []
    return Device(
        address,
        _link(address, "driver"),
        _text(address, "driver_override"),
        _link(address, "iommu_group"),
        tuple(other for other in together if other != address and not _is_bridge(other)),
        int(_text(address, "sriov_numvfs") or 0),
        int(_text(address, "sriov_totalvfs") or 0),
        _is_bridge(address),
    )


def functions(address: str) -> list[str]:
    """The addresses of the virtual functions of a device."""
    links = glob.glob(f"{DEVICES}/{glob.escape(address)}/virtfn*")
    return sorted(os.path.basename(os.path.realpath(link)) for link in links)


def users(device: Device) -> list[str]:
    """What this host itself, or a virtual machine, does with a device: it would be gone for it."""
    top = f"{DEVICES}/{device.address}"
    folders = [folder for folder, _names, _files in os.walk(os.path.realpath(top))]
    up = [folder for folder in folders if os.path.basename(os.path.dirname(folder)) == "net" and _is_up(folder)]
    found = [f"the network interface {os.path.basename(folder)}, which is up" for folder in up]
    numbers = {(files.read(f"{folder}/dev") or "").strip() for folder in folders if "/block/" in folder}
    mounted = [mount for mount in mounts.table().mounts if mount.device in numbers]
    found += sorted({f"{mount.source} mounted at {mount.point}" for mount in mounted})
    held = [folder for folder in folders if os.path.basename(folder) == "holders" and os.listdir(folder)]
    found += [f"{', '.join(os.listdir(folder))} on {os.path.basename(os.path.dirname(folder))}" for folder in held]
    if device.driver == "vfio-pci" and device.group:
        found += mounts.users([f"{VFIO}/{device.group}"])
    return found


def _is_up(interface: str) -> bool:
    return int((files.read(f"{interface}/flags") or "0").strip(), 16) & 1 == 1  # include/uapi/linux/if.h: IFF_UP


def write(path: str, text: str) -> None:
    """Tell the kernel something.

    Raises:
        StrataError: It refuses.
    """
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise StrataError(f"the kernel refuses {text.strip()!r} in {path}: {error.strerror}") from None


def has_driver(name: str) -> bool:
    return os.path.isdir(f"{DRIVERS}/{name}")


def load(driver: str) -> None:
    """Have the kernel know a driver.

    Raises:
        StrataError: It doesn't.
    """
    if not has_driver(driver):
        command.run(["modprobe", "--", driver])


def hand_over(address: str, driver: str) -> None:
    """Have one driver and no other have a device; an empty one: whichever fits. No driver takes it in between."""
    override = f"{DEVICES}/{address}/driver_override", f"{driver}\n"
    if driver:
        write(*override)
    if os.path.exists(f"{DEVICES}/{address}/driver"):
        write(f"{DEVICES}/{address}/driver/unbind", address)
    if not driver:
        write(*override)
    write(PROBE, address)


def divide(address: str, count: int) -> None:
    """Make virtual functions: the kernel wants none before it makes another number (pci-iov-howto.rst)."""
    path = f"{DEVICES}/{address}/sriov_numvfs"
    if (files.read(path) or "0").strip() != "0":
        write(path, "0")
    if count:
        write(path, str(count))
