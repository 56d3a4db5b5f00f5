#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qemu_vm
short_description: Virtual machines on QEMU alone
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Starts a QEMU process with what is declared and speaks to it through its monitor. Needs neither libvirt nor root.
  - Where systemd runs the host, root's VMs are services of their own, C(strata-qemu-NAME.service), whose guests power
    off before the host does. Elsewhere, and for others than root, QEMU goes on in the background.
  - Uses KVM where the processor has it and C(/dev/kvm) opens, else emulation.
  - What a running VM can take is brought in live, which are O(balloon), the media of cdroms, drives and networks that
    can be plugged in, and forwards of ports. The rest waits for a restart.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - qemu-system-x86_64
  - swtpm for O(tpm), virtiofsd for O(filesystems), OVMF for O(firmware)
options:
  name:
    description:
      - The VM.
    type: str
    required: true
  state:
    description:
      - V(running) starts it, V(stopped) has its guest power off, V(present) leaves it as it is, V(absent) stops it
        and forgets it.
        Disks are never removed.
    type: str
    choices: [running, stopped, present, absent]
    default: running
  restart:
    description:
      - Whether a change that the running VM can't take may restart it. RV(restart_required) names what waits for that.
    type: str
    choices: [never, if_needed, always]
    default: never
  timeout:
    description:
      - How long to wait for QEMU to answer, and for the guest to power off; seconds, or V(2m).
    type: str
    default: "120"
  force:
    description:
      - End QEMU at once instead of asking the guest to power off.
    type: bool
    default: false
  folder:
    description:
      - Where VMs are kept. Without it C(/var/lib/strata/qemu), and for others than root C($XDG_STATE_HOME/strata/qemu).
    type: str
  machine:
    description:
      - The machine that QEMU emulates, V(q35) where it isn't given. C(qemu-system-x86_64 -machine help) lists them.
    type: str
  firmware:
    description:
      - What boots it. V(uefi) and V(secure), which starts signed systems only, are found by their descriptions in
        C(/usr/share/qemu/firmware), and keep their variables beside the VM.
    type: str
    choices: [bios, uefi, secure]
  accel:
    description:
      - V(kvm), V(tcg) for emulation, or V(auto) for whichever works.
    type: str
    choices: [auto, kvm, tcg]
  cpu:
    description:
      - The model of the processor and its features, as V(Nehalem,+aes). V(auto) is the host's own under KVM, and all
        that can be emulated else.
    type: str
  smp:
    description:
      - The guest's cpus.
    type: int
  topology:
    description:
      - How they are laid out. Their product is O(smp).
    type: dict
    suboptions:
      sockets:
        description:
          - Sockets.
        type: int
      cores:
        description:
          - Cores of a socket.
        type: int
      threads:
        description:
          - Threads of a core.
        type: int
  memory:
    description:
      - The guest's memory, such as V(2G).
    type: str
  balloon:
    description:
      - What the guest is asked to make do with of O(memory), live. What it has given back says RV(resource), under
        C(facts.balloon); without a driver in it, nothing.
    type: str
  kernel:
    description:
      - A kernel to boot directly, without a boot loader.
    type: str
  initrd:
    description:
      - Its initial file system.
    type: str
  cmdline:
    description:
      - Its command line.
    type: str
  drives:
    description:
      - The disks. The guest sees them in the order of their O(drives[].id) or O(drives[].file).
      - While it runs, V(scsi) ones come and go if it was started with one, and V(virtio) ones if it has a port
        (O(hotplug_ports)). What was there at its start on PCI stays until a restart.
    type: list
    elements: dict
    suboptions:
      id:
        description:
          - What tells it from the others, if not its file.
        type: str
      file:
        description:
          - The image. An empty text is a cdrom with nothing in it.
        type: str
      format:
        description:
          - Its format.
        type: str
        choices: [qcow2, raw]
        default: qcow2
      interface:
        description:
          - How the guest sees it.
        type: str
        choices: [virtio, ide, scsi]
        default: virtio
      cache:
        description:
          - How the host caches it. V(unsafe) ignores the guest's flushes, for what may be lost.
        type: str
        choices: [none, writeback, writethrough, directsync, unsafe]
        default: writeback
      media:
        description:
          - A V(cdrom) needs O(drives[].id), and the interface V(ide) or V(scsi). Its medium changes live.
        type: str
        choices: [disk, cdrom]
      readonly:
        description:
          - The guest can't write to it.
        type: bool
      discard:
        description:
          - Whether what the guest trims is given back to the host.
        type: str
        choices: [ignore, unmap]
      aio:
        description:
          - How the host reads and writes it. V(native) needs the cache V(none) or V(directsync).
        type: str
        choices: [threads, native, io_uring]
      serial:
        description:
          - Its serial number, by which the guest can find it in C(/dev/disk/by-id).
        type: str
      boot_index:
        description:
          - Its turn when the firmware looks for something to boot.
        type: int
  networks:
    description:
      - The network cards. With O(hotplug_ports), more come live, and the last ones that came so go live.
    type: list
    elements: dict
    suboptions:
      type:
        description:
          - V(user) needs no rights, V(tap) and V(bridge) take O(networks[].device).
        type: str
        choices: [user, tap, bridge]
        default: user
      forwards:
        description:
          - Ports of the host that lead into the guest, as V(tcp:127.0.0.1:2222:22). They change live. The port 0 is any
            that is free; RV(resource) tells which it is, under C(facts.ports).
        type: list
        elements: str
      device:
        description:
          - The tap device or the bridge.
        type: str
      mac:
        description:
          - The card's address. Without it, V(tap) and V(bridge) have one that follows from the VM's name.
        type: str
      model:
        description:
          - The card.
        type: str
        choices: [virtio, e1000, e1000e, rtl8139]
      restrict:
        description:
          - The guest reaches nothing, and is reached through O(networks[].forwards) alone.
        type: bool
  filesystems:
    description:
      - Folders of the host that the guest can mount.
    type: list
    elements: dict
    suboptions:
      tag:
        description:
          - What the guest mounts it by, as C(mount -t virtiofs TAG /mnt).
        type: str
        required: true
      path:
        description:
          - The folder.
        type: str
        required: true
      type:
        description:
          - V(virtiofs) is fast, and has a program of its own. V(9p) needs none.
        type: str
        choices: [virtiofs, 9p]
        default: virtiofs
      readonly:
        description:
          - The guest can't write to it.
        type: bool
      security:
        description:
          - How V(9p) keeps owners and modes of what the guest makes.
        type: str
        choices: [mapped-xattr, mapped-file, none]
  hotplug_ports:
    description:
      - Ports of PCI Express that drives and network cards can be plugged into while the VM runs, up to 16. The machine
        V(pc) needs none.
    type: int
  serial:
    description:
      - The serial console.
    type: dict
    suboptions:
      type:
        description:
          - Where it goes. To a V(socket), C(socat - UNIX-CONNECT:PATH) speaks with it.
        type: str
        choices: [file, socket]
        default: file
      path:
        description:
          - The file or the socket.
        type: str
        required: true
  tpm:
    description:
      - A TPM 2.0, which swtpm keeps beside the VM.
    type: bool
  cloud_init:
    description:
      - What cloud-init is told, as by M(strata.virt.cloud_init_seed), on a drive of its own. It is compared by its
        digest, and another one is read at the next start.
    type: dict
    suboptions:
      user_data:
        description:
          - A mapping is cloud-config; a text begins with a line that says what it is. Login over SSH with a password is
            off, unless it says otherwise.
        type: raw
        required: true
      vendor_data:
        description:
          - The same, of less weight.
        type: raw
      meta_data:
        description:
          - More of what the machine is, such as C(local-hostname).
        type: dict
      network_config:
        description:
          - Its network, in version 1 or 2 of cloud-init's format.
        type: dict
      instance_id:
        description:
          - What tells cloud-init whether it is a new machine. Without it, it follows from the content.
        type: str
  arguments:
    description:
      - More arguments of QEMU, verbatim.
    type: list
    elements: str
  autostart:
    description:
      - Whether the host starts it when it boots. Needs systemd, and root.
    type: bool
  snapshots:
    description:
      - The VM's snapshots, memory included. Missing ones are taken now, if it runs; others are removed.
    type: list
    elements: str
  start_from:
    description:
      - A snapshot to start from, where the VM is started. Not looked at where it runs.
    type: str
"""

EXAMPLES = r"""
- name: A small VM, reached over SSH at port 2222
  strata.virt.qemu_vm:
    name: tiny
    memory: 512M
    smp: 2
    drives: [{file: /srv/tiny.qcow2, interface: virtio, cache: none}]
    networks: [{type: user, forwards: ["tcp:127.0.0.1:2222:22"]}]
    serial: {type: file, path: /var/log/tiny.log}
    state: running

- name: Another port of it, while it runs
  strata.virt.qemu_vm:
    name: tiny
    networks: [{type: user, forwards: ["tcp:127.0.0.1:2222:22", "tcp:127.0.0.1:2280:80"]}]

- name: A VM that is told what it is, starts with the host, and can get more disks while it runs
  strata.virt.qemu_vm:
    name: web
    memory: 512M
    balloon: 256M
    drives:
      - {id: system, file: /srv/web.qcow2, interface: scsi, discard: unmap}
      - {id: cd, file: "", interface: ide, media: cdrom}
    networks: [{type: user, forwards: ["tcp:127.0.0.1:0:22"]}]
    cloud_init:
      user_data:
        hostname: web
        ssh_authorized_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample admin@example.com"]
    autostart: true

- name: Take it away, whether its guest heeds the power button or not
  strata.virt.qemu_vm:
    name: tiny
    state: absent
    force: true

- name: The other one, too
  strata.virt.qemu_vm:
    name: web
    state: absent
    force: true
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
restart_required:
  description: Options that take effect only after an interruption that wasn't allowed.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: tiny
    status: running
    owner: ""
    options: {name: tiny, memory: 512M, smp: 2, state: running}
    running: {memory: 512M, smp: 2}
    facts:
      folder: /var/lib/strata/qemu/tiny
      accelerator: tcg
      unit: strata-qemu-tiny.service
      ports: [{protocol: tcp, address: 127.0.0.1, port: 2222, guest_port: 22}]
      slots: []
      scsi: false
      removable: []
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.qemu_vm import QemuVm


def main() -> None:
    converge(QemuVm)


if __name__ == "__main__":
    main()
