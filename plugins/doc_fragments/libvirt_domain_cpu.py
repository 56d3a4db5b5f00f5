# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What processors and what memory a domain has, and where they run."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  cpu:
    description:
      - The processor that the guest sees. A change takes a restart.
    type: dict
    suboptions:
      mode:
        description:
          - V(custom) is a O(cpu.model) by name, V(host-model) the one that is nearest to the host's and can be moved,
            V(host-passthrough) the host's own, V(maximum) all that the hypervisor can.
          - V(host-passthrough) needs KVM.
        type: str
        choices: [custom, host-model, host-passthrough, maximum]
      model:
        description: The model, as C(virsh cpu-models x86_64) lists them.
        type: str
      topology:
        description: How they are laid out. It multiplies to the most that O(vcpus) can become.
        type: dict
        suboptions:
          sockets:
            description: How many sockets.
            type: int
            default: 1
          dies:
            description: How many dies in each socket.
            type: int
            default: 1
          clusters:
            description: How many clusters in each die. More than 1 takes libvirt 10.1.
            type: int
            default: 1
          cores:
            description: How many cores in each cluster.
            type: int
            default: 1
          threads:
            description: How many threads in each core.
            type: int
            default: 1
      features:
        description:
          - Features on top of the model, each by its name, as C(vmx), with V(force), V(require), V(optional),
            V(disable) or V(forbid). Others go.
        type: dict
      migratable:
        description: Leave out what a guest can't take along when it moves, with O(cpu.mode=host-passthrough).
        type: bool
  numa_cells:
    description:
      - The NUMA nodes that the guest sees. Their memory adds up to the most that the domain can have.
    type: list
    elements: dict
    suboptions:
      id:
        description: Its number, from 0.
        type: int
        required: true
      cpus:
        description: Its vcpus, as V(0-1).
        type: str
        required: true
      memory:
        description: Its memory, with a unit.
        type: str
        required: true
      memory_access:
        description: Whether other processes may share it.
        type: str
        choices: [private, shared]
  numa_tune:
    description:
      - Which NUMA nodes of the host its memory comes from.
    type: dict
    suboptions:
      mode:
        description: How strictly.
        type: str
        choices: [strict, preferred, interleave, restrictive]
      nodeset:
        description: The nodes, as V(0) or V(0-1).
        type: str
        required: true
  memory_backing:
    description:
      - What its memory is made of on the host.
    type: dict
    suboptions:
      hugepages:
        description:
          - The size of its pages, as V(2M) or V(1G); V(default) is the host's own. The host must have set them aside.
        type: str
      source:
        description: What holds it.
        type: str
        choices: [anonymous, file, memfd]
      access:
        description: V(shared) lets others see it, as virtiofs and vhost-user need.
        type: str
        choices: [private, shared]
      allocation:
        description: Whether all of it is there from the start.
        type: str
        choices: [ondemand, immediate]
      locked:
        description: The host never swaps it out.
        type: bool
      nosharepages:
        description: The host doesn't merge pages that are the same (KSM).
        type: bool
      discard:
        description: What it had is thrown away when it stops, instead of being written to its file.
        type: bool
  iothreads:
    description:
      - How many threads there are for disks, numbered from 1. They come and go while it runs.
    type: int
  cpu_tune:
    description:
      - Where its threads run, and how much time they get. All of it changes while it runs; taking a value away takes a
        restart.
      - The filter P(strata.virt.vcpu_pins#filter) works pins out.
    type: dict
    suboptions:
      vcpu_pins:
        description: The host's cpus of each vcpu, as V(2-3), by its number from 0. Others aren't pinned.
        type: dict
      emulator_pin:
        description: The host's cpus for all that isn't a vcpu or an iothread.
        type: str
      iothread_pins:
        description: The host's cpus of each iothread, by its number from 1.
        type: dict
      shares:
        description: Its weight against others, relative to that of the host's other domains.
        type: int
      period:
        description: The period of O(cpu_tune.quota), in microseconds.
        type: int
      quota:
        description: The time of each vcpu in a period, in microseconds; V(-1) is no limit.
        type: int
      global_period:
        description: The period of O(cpu_tune.global_quota), in microseconds.
        type: int
      global_quota:
        description: The time of the whole domain in a period, in microseconds; V(-1) is no limit.
        type: int
      emulator_period:
        description: The period of O(cpu_tune.emulator_quota), in microseconds.
        type: int
      emulator_quota:
        description: The time of the emulator in a period, in microseconds; V(-1) is no limit.
        type: int
      iothread_period:
        description: The period of O(cpu_tune.iothread_quota), in microseconds.
        type: int
      iothread_quota:
        description: The time of each iothread in a period, in microseconds; V(-1) is no limit.
        type: int
"""
