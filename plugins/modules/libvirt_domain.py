#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_domain
short_description: Virtual machines of libvirt
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a virtual machine (a domain) and keeps it as declared.
  - Changes only what is declared. Everything else in the domain's XML stays, whoever put it there.
  - Memory and virtual cpus up to their maxima, virtio disks and network cards are changed while it runs.
extends_documentation_fragment:
  - strata.virt.over_libvirt
  - strata.virt.converges
requirements:
  - libvirt-python (python3-libvirt)
  - libvirt 7.2 or newer
options:
  name:
    description:
      - The domain.
    type: str
    required: true
  state:
    description:
      - V(running) makes it and starts it, V(shutdown) makes it and shuts it down, V(present) leaves it running or not.
      - V(destroyed) is V(shutdown), turned off at once.
      - V(absent), or V(undefined), turns it off and forgets it, with its saved memory, NVRAM, and the metadata of its
        snapshots and checkpoints. Disks are never deleted.
    type: str
    choices: [running, shutdown, destroyed, present, absent, undefined]
    default: running
  restart:
    description:
      - Whether it may be restarted for what it can't take while it runs. Where it may not, the change is stored, takes
        effect at its next start, and RV(restart_required) names it.
    type: str
    choices: [never, if_needed, always]
    default: never
  timeout:
    description:
      - How long to wait for it to shut down, or to let go of a device, as seconds or V(1m30s).
    type: str
    default: '60'
  force:
    description:
      - Turn it off where it does not shut down within O(timeout). Otherwise that is an error.
    type: bool
  domain_type:
    description:
      - V(kvm) runs it on the processor, V(qemu) emulates one. V(auto) is V(kvm) where it works, and what a new domain
        gets.
    type: str
    choices: [auto, kvm, qemu]
  memory:
    description:
      - What it has, with a unit of V(k), V(m) or V(g), powers of 1024. Needed to make one.
      - Rounded up to whole MiB, as libvirt does it. While it runs it changes up to the maximum it was started with.
    type: str
  memory_max:
    description:
      - How much O(memory) can become while it runs. As much as O(memory) where it was never set apart.
    type: str
  vcpus:
    description:
      - How many virtual cpus it has. A new one has 1.
      - While it runs, those that it was started with stay, and others come and go up to the maximum it was started
        with.
    type: int
  vcpus_max:
    description:
      - How many O(vcpus) can become while it runs. As many as O(vcpus) where it was never set apart.
    type: int
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
  disks:
    description:
      - Its disks of files and block devices, in the order that new ones are named in. Other disks, as of a storage
        network, are left alone.
      - Taking a disk out of the list takes it from the domain; the file stays.
    type: list
    elements: dict
    suboptions:
      file:
        description: The image, or a block device below C(/dev). It must exist. Tells the disk from the others.
        type: str
        required: true
      bus:
        description: A new disk is V(virtio), a new V(cdrom) V(sata).
        type: str
        choices: [virtio, scsi, sata, ide, usb]
      cache:
        description: How the host caches it.
        type: str
        choices: [default, none, writeback, writethrough, directsync, unsafe]
      discard:
        description: Whether blocks that the guest discards are given back.
        type: str
        choices: [ignore, unmap]
      io:
        description: How requests are passed to the host.
        type: str
        choices: [threads, native, io_uring]
      device:
        description: A new one is a V(disk).
        type: str
        choices: [disk, cdrom]
      format:
        description: A new one is V(qcow2) where the name ends so, else V(raw). What is in the file is never looked at.
        type: str
        choices: [qcow2, raw]
      read_only:
        description: The guest can't write.
        type: bool
      target:
        description: The name within libvirt, such as V(vda). A new one gets the first that is free.
        type: str
  networks:
    description:
      - Its cards on libvirt's networks and on bridges of the host. Other cards are left alone.
    type: list
    elements: dict
    suboptions:
      network:
        description: A network of libvirt's. It must be active when the domain starts.
        type: str
      bridge:
        description: A bridge of the host.
        type: str
      model:
        description: The card. A new one is V(virtio).
        type: str
      mac:
        description:
          - Its address, which tells it from the others. Where it is not given, a card that is there keeps its own, and
            a new one gets an address made from the host, the domain's name, the source and the place among the cards of
            that source.
        type: str
  console_log:
    description:
      - A file on the host that the first serial port is logged to.
    type: str
  autostart:
    description:
      - Start it when the host boots.
    type: bool
seealso:
  - module: strata.virt.libvirt_info
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: A virtual machine
  strata.virt.libvirt_domain:
    name: vm1
    memory: 512M
    vcpus: 1
    disks: [{file: /var/lib/libvirt/images/vm1.qcow2, bus: virtio, cache: none, discard: unmap}]
    networks: [{network: default, model: virtio}]
    state: running

- name: Room to grow while it runs
  strata.virt.libvirt_domain: {name: vm2, memory: 512M, memory_max: 2G, vcpus: 1, vcpus_max: 4}

- name: Boot a kernel directly, and keep what it says
  strata.virt.libvirt_domain:
    name: tiny
    memory: 256M
    kernel: /var/lib/libvirt/images/vmlinuz
    initrd: /var/lib/libvirt/images/tiny.cpio
    cmdline: console=ttyS0
    console_log: /var/log/libvirt/qemu/tiny-console.log

- name: Forget the domain, keep its disks
  strata.virt.libvirt_domain:
    name: vm1
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value, as stored (C(config)) or as run (C(running)).
  returned: always
  type: list
  elements: dict
  sample:
    - {field: memory, before: 256M, after: 384M, effect: next_boot, layer: config}
    - {field: memory, before: 256M, after: 384M, effect: live, layer: running}
restart_required:
  description: Options that are stored and take effect at the next start, because O(restart) didn't allow one.
  returned: always
  type: list
  elements: str
  sample: [memory_max]
resource:
  description: What the host has now. C(options) are as stored, C(running) as it runs.
  returned: always
  type: dict
  sample:
    name: vm1
    status: running
    owner: ""
    options: {name: vm1, state: running, memory: 512M, domain_type: kvm}
    running: {memory: 512M, vcpus: 1}
    facts: {id: "1", machine: pc-i440fx-10.0, memory_most: 536870912}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_domain import LibvirtDomain


def main() -> None:
    converge(LibvirtDomain)


if __name__ == "__main__":
    main()
