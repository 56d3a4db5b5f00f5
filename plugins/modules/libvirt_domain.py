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
  - Memory and virtual cpus up to their maxima, pins and iothreads, virtio disks and network cards and what may go
    through them are changed while it runs.
extends_documentation_fragment:
  - strata.virt.libvirt_domain_cpu
  - strata.virt.libvirt_domain_machine
  - strata.virt.libvirt_domain_disks
  - strata.virt.libvirt_domain_networks
  - strata.virt.libvirt_domain_devices
  - strata.virt.over_libvirt
  - strata.virt.converges
requirements:
  - libvirt-python (python3-libvirt)
  - osinfo-db, for O(os_variant)
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
      - V(paused) makes it, starts it and stops its cpus; its memory stays where it is. V(saved) writes its memory to
        the host's disk and turns it off; with V(running) it goes on from there. V(shutdown) lets what is saved go on
        and shut down, V(destroyed) throws away what was saved.
      - V(absent), or V(undefined), turns it off and forgets it, with its saved memory, NVRAM, and the metadata of its
        snapshots and checkpoints. Disks are never deleted; the seed of O(cloud_init) is.
    type: str
    choices: [running, shutdown, destroyed, paused, saved, present, absent, undefined]
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
  wait_for:
    description:
      - What to wait for after it was started. V(lease) is an address from a network of libvirt's, V(agent) its guest
        agent, V(cloud_init) the end of what cloud-init does, which its guest agent tells.
    type: list
    elements: str
  wait_timeout:
    description:
      - How long to wait for each of O(wait_for), as seconds or V(5m).
    type: str
    default: '300'
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
    aliases: [max_memory]
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
    aliases: [max_vcpus]
  os_variant:
    description:
      - The operating system that it is for, as C(osinfo-query os) names it (V(debian12), V(win11)), or its full ID.
      - A new domain gets what virt-install gives it for that system wherever nothing else is declared. V(q35) where
        the system knows it, UEFI where it needs it, disks and network cards that it has drivers for, its clock and
        timers, what a hypervisor tells Windows, a source of random numbers, with a screen the video card and a
        pointer that it can do with, and as much memory and as many cpus as are recommended for it.
      - It is noted in the domain's metadata, as by virt-install. For a domain that is there, another system changes
        the note, and what disks and network cards get that come after it; nothing else.
      - Less memory, or fewer cpus, than the system needs at least is warned of.
      - Needs the database of libosinfo (C(osinfo-db)) where the module runs. Beside O(xml) it is the note alone.
    type: str
  autostart:
    description:
      - Start it when the host boots.
    type: bool
  xml:
    description:
      - The domain as libvirt's XML, as people have it, for what has no option, too. A new domain is made of it.
      - Of a domain that is there, what is written there is kept as it is written; what it doesn't say is left alone. A
        device is told by what names it, such as the C(target) of a disk, the MAC of a card, the C(name) of a channel,
        or else by its type and its place among those like it. What libvirt tells of a running domain is passed over.
      - An option that is given besides wins over what is written there. A list, such as O(disks), has all that there
        is of its sort; a disk that is only in O(xml) is then an error.
      - Memory, cpus and iothreads, pins and weights, cards, virtio disks, media and the state of links change while it
        runs, as they do by their options. The rest takes a restart, see O(restart).
      - A password in it is never shown in changes, but Ansible shows options at verbosity 3 and above. Better give it
        in O(graphics).
    type: str
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

- name: Processors of its own, a thread for its disk, and a seed for cloud-init
  strata.virt.libvirt_domain:
    name: vm3
    memory: 512M
    vcpus: 2
    cpu: {mode: host-model}
    iothreads: 1
    cpu_tune: {vcpu_pins: {0: "0", 1: "1"}, emulator_pin: "0-1"}
    disks: [{file: /var/lib/libvirt/images/base.qcow2, cache: none, io: native, iothread: 1}]
    networks: [{network: default, queues: 2}]
    cloud_init: {user_data: {hostname: vm3, package_update: true}}
    guest_agent: true
    state: shutdown

- name: Boot a kernel directly, and keep what it says
  strata.virt.libvirt_domain:
    name: tiny
    memory: 256M
    kernel: /var/lib/libvirt/images/vmlinuz
    initrd: /var/lib/libvirt/images/tiny.cpio
    cmdline: console=ttyS0
    console_log: /var/log/libvirt/qemu/tiny-console.log

- name: What Windows 10 gets from virt-install
  strata.virt.libvirt_domain:
    name: desk
    os_variant: win10
    memory: 4G
    disks: [{file: /var/lib/libvirt/images/base.qcow2}]
    networks: [{network: default}]
    graphics: [{type: vnc}]
    state: shutdown

- name: A domain as its XML, emulated where the host has no KVM
  strata.virt.libvirt_domain:
    name: from-xml
    domain_type: auto
    state: shutdown
    xml: |
      <domain type='kvm'>
        <name>from-xml</name>
        <memory unit='MiB'>256</memory>
        <vcpu>1</vcpu>
        <os><type arch='x86_64' machine='q35'>hvm</type></os>
        <devices>
          <disk type='file' device='disk'>
            <driver name='qemu' type='qcow2' queues='2'/>
            <source file='/var/lib/libvirt/images/base.qcow2'/>
            <target dev='vda' bus='virtio'/>
          </disk>
          <panic model='isa'/>
        </devices>
      </domain>

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
advice:
  description: What is done as declared, and may not be what was meant; also shown as warnings.
  returned: where there is some
  type: list
  elements: str
  sample: ["memory is 128M: Debian 12 needs 1G at least"]
restart_required:
  description: Options that are stored and take effect at the next start, because O(restart) didn't allow one.
  returned: always
  type: list
  elements: str
  sample: [memory_max, "cpu[mode]"]
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
