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
  - Uses KVM where the processor has it and C(/dev/kvm) opens, else emulation.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - qemu-system-x86_64
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
  memory:
    description:
      - The guest's memory, such as V(2G).
    type: str
  smp:
    description:
      - The guest's cpus.
    type: int
  accel:
    description:
      - V(kvm), V(tcg) for emulation, or V(auto) for whichever works.
    type: str
    choices: [auto, kvm, tcg]
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
      - The disks.
    type: list
    elements: dict
    suboptions:
      file:
        description:
          - The image.
        type: str
        required: true
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
  networks:
    description:
      - The network cards.
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
          - Ports of the host that lead into the guest, as V(tcp:127.0.0.1:2222:22). The port 0 is any that is free;
            RV(resource)
            tells which it is, under C(facts.ports).
        type: list
        elements: str
      device:
        description:
          - The tap device or the bridge.
        type: str
  serial:
    description:
      - The serial console.
    type: dict
    suboptions:
      type:
        description:
          - Where it goes.
        type: str
        choices: [file]
        default: file
      path:
        description:
          - The file.
        type: str
        required: true
  arguments:
    description:
      - More arguments of QEMU, verbatim.
    type: list
    elements: str
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

- name: Take it away, whether its guest heeds the power button or not
  strata.virt.qemu_vm:
    name: tiny
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
      ports: [{protocol: tcp, address: 127.0.0.1, port: 2222, guest_port: 22}]
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.qemu_vm import QemuVm


def main() -> None:
    converge(QemuVm)


if __name__ == "__main__":
    main()
