# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""KVM: whether the processor has it, the kernel hands it out, and guests may have guests."""

from __future__ import annotations

import re

from ..core.survey import Facts, Need, Subject, Why
from ..engines.hostfiles import DENIED, Answer, Host

DEVICE = "/dev/kvm"
DRIVER = "/sys/class/misc/kvm"  # there once the processor's own module has started
GET_API_VERSION = 0xAE00  # include/uapi/linux/kvm.h: _IO(KVMIO, 0x00)
API_VERSION = 12  # the one and only (Documentation/virt/kvm/api.rst)

_MODULES = {"vmx": "kvm_intel", "svm": "kvm_amd"}


def extension(cpuinfo: str) -> tuple[str | None, bool | None, bool]:
    """Which virtualisation the processor shows, whether it shows any, and whether it is itself a virtual one.

    Only x86 tells by a flag; elsewhere the second is None, and the device alone decides.
    """
    found = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    if found is None:
        return None, None, False
    flags = set(found.group(1).split())
    name = next((name for name in _MODULES if name in flags), None)
    return name, name is not None, "hypervisor" in flags


def read(host: Host) -> Facts:
    name, shown, virtual = extension(host.text("/proc/cpuinfo") or "")
    driver = host.exists(DRIVER)
    # systemd makes the node at boot, whatever the processor (kmod: modules.devname). Opening it would load a module.
    answer = host.ask_device(DEVICE, GET_API_VERSION) if shown is not False and driver else Answer({})
    nested = [host.line(f"/sys/module/{module}/parameters/nested") for module in _MODULES.values()]
    facts = {
        "extension": name,
        "processor": shown,
        "virtual_machine": virtual,
        "module": _MODULES.get(name or "", "kvm"),
        "driver": driver,
        "device": host.exists(DEVICE),
        "api_version": answer.body.get("value"),
        "error": answer.error,
        "nested": next((value in ("Y", "1") for value in nested if value is not None), None),
    }
    return {**facts, "usable": not any(why.holds(facts) for why in _USABLE)}


_PASS_ON = (
    "On the host of this virtual machine turn on nested virtualisation (kvm_intel or kvm_amd with nested=1), and give "
    "the machine the host's processor (libvirt: cpu mode host-passthrough; QEMU: -cpu host)"
)
_FIRMWARE = "Turn on Intel VT-x or AMD-V (SVM) in the firmware; a processor without it can only emulate"

# /dev/kvm alone says little: it exists on hosts whose processor has no virtualisation.
_USABLE = (
    Why(
        lambda kvm: kvm["processor"] is False and kvm["virtual_machine"],
        "this is a virtual machine, and its processor shows neither vmx nor svm",
        _PASS_ON,
    ),
    Why(lambda kvm: kvm["processor"] is False, "the processor shows neither vmx nor svm", _FIRMWARE),
    Why(
        lambda kvm: not kvm["driver"],
        "the module {module} is not loaded, or refused to start",
        "modprobe {module}; where it refuses, the kernel's log says why: mostly virtualisation is off in the firmware",
    ),
    Why(
        lambda kvm: not kvm["device"],
        "the kernel has KVM, and there is no /dev/kvm",
        "udevadm trigger --sysname-match=kvm; in a container, pass the device on",
    ),
    Why(
        lambda kvm: kvm["error"] == DENIED,
        "this user may not open /dev/kvm",
        "Use become, or add the user to the group kvm",
    ),
    Why(
        lambda kvm: kvm["error"] is not None,
        "/dev/kvm does not answer: {error}",
        "modprobe {module}; the kernel's log says why it refuses",
    ),
    Why(
        lambda kvm: kvm["api_version"] != API_VERSION,
        "/dev/kvm answers with version {api_version} of its interface, which is not 12",
        "Use the kernel's own module, not one from elsewhere",
    ),
)

SUBJECT = Subject(
    read,
    (
        Need("usable", _USABLE),
        Need(
            "nested",
            (
                Why(
                    lambda kvm: kvm["usable"] and kvm["nested"] is False,
                    "{module} was loaded with nested=0: guests can't have guests of their own",
                    "Write options {module} nested=1 to /etc/modprobe.d/kvm.conf, stop all guests, and load it again",
                ),
            ),
        ),
    ),
)
