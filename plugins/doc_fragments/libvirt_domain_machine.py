# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What machine a domain is, what it boots, and what its hypervisor tells it."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  title:
    description:
      - A few words on what it is for, as C(virsh list --title) shows them.
    type: str
  description:
    description:
      - More words.
    type: str
  machine:
    description:
      - The machine type. A family, V(q35) or V(pc), stands for its newest version on the host when the domain is made,
        and for whichever version the domain has afterwards. Where it is no longer declared, it stays what it is.
    type: str
  firmware:
    description:
      - V(efi) is UEFI, with the files that libvirt chooses; V(bios) the firmware that the machine comes with.
    type: str
    choices: [bios, efi]
  secure_boot:
    description:
      - A firmware that only boots what is signed, with the keys of vendors in it. Needs O(firmware=efi), and a
        O(machine) of V(q35).
    type: bool
  boot:
    description:
      - The sorts of devices to boot from, in their order, V(hd), V(cdrom), V(network) and V(fd). C(boot_order) of disks
        and networks is the other way to say it.
    type: list
    elements: str
  kernel:
    description:
      - A kernel on the host to boot directly.
    type: str
  initrd:
    description:
      - The initial RAM disk for O(kernel).
    type: str
  cmdline:
    description:
      - The command line for O(kernel).
    type: str
  features:
    description:
      - What the machine and its hypervisor have. A new domain has acpi and apic.
    type: dict
    suboptions:
      acpi:
        description: Power management; without it nothing shuts down when it is asked to.
        type: bool
      apic:
        description: Interrupts that more than one vcpu needs.
        type: bool
      pae:
        description: More than 4 GiB of memory for 32-bit guests.
        type: bool
      smm:
        description: System management mode.
        type: bool
      vmport:
        description: The port of VMware.
        type: bool
      kvm_hidden:
        description: Hide from the guest that it runs on KVM.
        type: bool
      hyperv:
        description: What makes Windows faster, as V(relaxed), V(vapic), V(spinlocks). Others go.
        type: list
        elements: str
  clock:
    description:
      - What its clock begins with.
    type: dict
    suboptions:
      offset:
        description: V(localtime) for Windows.
        type: str
        choices: [utc, localtime, timezone]
      timezone:
        description: Which one, with O(clock.offset=timezone).
        type: str
      timers:
        description: Its timers. Others go.
        type: list
        elements: dict
        suboptions:
          name:
            description: Which one, as V(hpet), V(rtc), V(kvmclock) or V(hypervclock).
            type: str
            required: true
          present:
            description: Whether the guest has it.
            type: bool
          tick_policy:
            description: What becomes of ticks that the guest missed.
            type: str
            choices: [delay, catchup, merge, discard]
  on_poweroff:
    description:
      - What becomes of it when it turns itself off.
    type: str
    choices: [destroy, restart, preserve, rename-restart]
  on_reboot:
    description:
      - What becomes of it when it reboots itself.
    type: str
    choices: [destroy, restart, preserve, rename-restart]
  on_crash:
    description:
      - What becomes of it when it crashes.
    type: str
    choices: [destroy, restart, preserve, rename-restart, coredump-destroy, coredump-restart]
"""
