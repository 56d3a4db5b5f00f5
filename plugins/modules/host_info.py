#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: What a host can do for isolation and virtualisation, and why not
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Tells what the kernel, the processor, the firmware and the engines of a host can do. Each thing that it can't do
    comes with the reason and with what helps.
  - Reads files, device nodes and sockets. A program is started only to learn the version of an engine that tells it
    nowhere else; one that is missing is no error.
  - What this user may not read is told as V(null) or empty. Run it as root to see all.
  - A socket that systemd holds for an engine starts that engine, for this module as for everybody who connects to it.
extends_documentation_fragment:
  - strata.virt.informs
options:
  gather:
    description:
      - The subjects to tell of; all where it is not given.
      - V(kernel) is its release and command line.
      - V(systemd) is its version, and whether it booted the host.
      - V(cgroup) is the hierarchy that is mounted, its controllers, what of it is delegated to users, and pressure
        (PSI).
      - V(namespaces) are the kinds that the kernel has, and who may make user namespaces.
      - V(limits) are the numbers of namespaces, and the ranges of IDs in C(/etc/subuid) and C(/etc/subgid).
      - V(security) are the Linux security modules, AppArmor, SELinux, and seccomp.
      - V(kvm) is whether guests can run at full speed, and have guests of their own.
      - V(iommu) are the groups of devices that can be handed to a guest.
      - V(sriov) are the devices that can divide themselves.
      - V(numa) are the nodes, with their cpus, memory and distances.
      - V(hugepages) are the huge pages by size and node, and transparent ones.
      - V(cpu) is the model, its topology, isolated cpus, and vulnerabilities with their mitigations.
      - V(file_systems) are those that the kernel knows, and whether it can have those that engines use.
      - V(network) are the types of links that the kernel can make, and C(vhost_net) and C(vfio_pci).
      - V(engines) are systemd-nspawn, LXC, Docker, Podman, QEMU, libvirt and Incus.
    type: list
    elements: str
    choices:
      - kernel
      - systemd
      - cgroup
      - namespaces
      - limits
      - security
      - kvm
      - iommu
      - sriov
      - numa
      - hugepages
      - cpu
      - file_systems
      - network
      - engines
seealso:
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: All that the host can do
  strata.virt.host_info:
  register: seen

- name: What it can't, and what helps
  ansible.builtin.debug:
    msg: "{{ item.subject }}, {{ item.what }}: {{ item.reason }}. {{ item.remedy }}"
  loop: "{{ seen.lacks }}"
  loop_control:
    label: "{{ item.subject }}"

- name: Whether this host has KVM, in a word
  ansible.builtin.debug:
    msg: "{{ 'KVM works' if seen.host.kvm.usable else seen.host.kvm.why_not.usable }}"

- name: Only go on with what this play needs
  ansible.builtin.assert:
    that:
      - seen.host.cgroup.mode == 'unified'
      - seen.host.engines.docker.reachable
    fail_msg: >-
      {{ seen.lacks | selectattr('subject', 'in', ['cgroup', 'engines']) | map(attribute='reason') | join('; ') }}

- name: KVM alone
  strata.virt.host_info:
    gather: [kvm]
  register: seen

- name: Stop where there is no KVM, and say why
  ansible.builtin.assert:
    that: seen.host.kvm.usable
    fail_msg: "No KVM: {{ seen.lacks | map(attribute='reason') | join('; ') }}"
  when: kvm_wanted | default(false)
"""

RETURN = r"""
host:
  description:
    - The facts, by subject. In each of them C(why_not) names what the host can't do, with the reason.
    - What is not there, or not for this user, is V(null) or empty.
  returned: always
  type: dict
  contains:
    kernel:
      description: Release, version, machine and command line, and whether loading of modules is turned off.
      type: dict
      returned: when gathered
      sample:
        release: 6.12.48+deb13-amd64
        version: "#1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1 (2025-09-20)"
        machine: x86_64
        command_line: BOOT_IMAGE=/boot/vmlinuz-6.12.48+deb13-amd64 root=/dev/vda1 ro quiet
        modules_disabled: false
        why_not: {}
    systemd:
      description: Its version, whether it booted the host, and what the first process calls itself.
      type: dict
      returned: when gathered
      sample: {version: "257", pid1: true, init: systemd, why_not: {}}
    cgroup:
      description:
        - C(mode) is V(unified), V(hybrid) or V(legacy), as systemd calls them; C(version) is 2 for the first of them
          and 1 for the others.
        - C(mount) is where cgroup2 is, with the controllers of its root, and those that are passed on from there;
          C(mounts_v1) are the controllers that cgroup v1 holds, and where; C(disabled) are those that the kernel was
          told to leave out.
        - C(delegated) are the groups of the users' own managers, with what was passed on to them.
        - C(pressure) is what the kernel tells pressure (PSI) of.
      type: dict
      returned: when gathered
      sample:
        mode: unified
        version: 2
        mount: /sys/fs/cgroup
        mounts_v1: {}
        controllers: [cpuset, cpu, io, memory, hugetlb, pids, rdma, misc, dmem]
        passed_on: [cpuset, cpu, io, memory, pids]
        disabled: []
        delegated:
          - uid: 1000
            group: /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service
            controllers: [cpu, memory, pids]
            marked_by: [user.delegate, trusted.delegate]
        pressure: [cpu, io, memory]
        why_not: {}
    namespaces:
      description:
        - The kinds that the kernel has, the settings that decide over user namespaces (V(null) where this kernel has
          no such setting), and what follows from them.
      type: dict
      returned: when gathered
      sample:
        kinds: [cgroup, ipc, mnt, net, pid, time, user, uts]
        max_user_namespaces: 15442
        unprivileged_userns_clone: 1
        apparmor_restrict_unprivileged_userns: null
        unprivileged_user_namespaces: true
        why_not: {}
    limits:
      description:
        - How many namespaces of each kind a user may make, the ranges of C(/etc/subuid) and C(/etc/subgid), ranges of
          different users that overlap, and of root and the users who log in those that lack a range.
      type: dict
      returned: when gathered
      sample:
        max_namespaces: {cgroup: 15442, ipc: 15442, mnt: 15442, net: 15442, pid: 15442, user: 15442, uts: 15442}
        subuid: [{user: alice, start: 100000, count: 65536}]
        subgid: [{user: alice, start: 100000, count: 65536}]
        overlaps: {subuid: [], subgid: []}
        without_ranges: [root]
        why_not:
          ranges of root: "root has no range in /etc/subuid, or none in /etc/subgid: no containers in user namespaces"
    security:
      description:
        - The security modules in their order, AppArmor with the number of its profiles by mode, the mode of SELinux,
          the actions that seccomp filters have, and the parameters of the kernel's command line that decide over
          these.
      type: dict
      returned: when gathered
      sample:
        lsm: [lockdown, capability, landlock, yama, apparmor, tomoyo, bpf, ipe, ima, evm]
        apparmor: {enabled: true, profiles: {enforce: 9, complain: 1, unconfined: 92}}
        selinux: {mode: disabled}
        seccomp: {actions: [kill_process, kill_thread, trap, errno, user_notif, trace, log, allow]}
        parameters: []
        why_not: {}
    kvm:
      description:
        - C(usable) is whether the processor shows virtualisation (where processors show it, on x86), C(/dev/kvm) can
          be opened, and the kernel answers there.
        - C(extension) is V(vmx) or V(svm); C(driver) is whether the kernel's module has started; C(virtual_machine)
          is whether this host is a virtual machine itself; C(nested) is whether its guests may have guests.
      type: dict
      returned: when gathered
      sample:
        extension: null
        processor: false
        virtual_machine: true
        module: kvm
        driver: false
        device: true
        api_version: null
        error: null
        nested: null
        usable: false
        why_not: {usable: "this is a virtual machine, and its processor shows neither vmx nor svm"}
    iommu:
      description:
        - The groups with their devices, the units that make them, the ACPI tables by which the firmware tells of
          them, and the parameters of the kernel's command line that decide over them.
      type: dict
      returned: when gathered
      sample:
        units: [dmar0]
        groups:
          "14":
            - {address: "0000:01:00.0", vendor: "0x8086", device: "0x1563", class: "0x020000", driver: ixgbe}
        firmware_tables: [DMAR]
        parameters: [intel_iommu=on]
        why_not: {}
    sriov:
      description: The devices that can divide themselves, with how many virtual functions they have, and could have.
      type: dict
      returned: when gathered
      sample:
        devices:
          - address: "0000:01:00.0"
            vendor: "0x8086"
            device: "0x1563"
            class: "0x020000"
            driver: ixgbe
            functions: 0
            functions_most: 63
            interfaces: [enp1s0f0]
        why_not: {}
    numa:
      description: The nodes, with memory in bytes, and whether the kernel moves memory to where it is used.
      type: dict
      returned: when gathered
      sample:
        nodes:
          "0": {cpus: [0, 1], memory: 8316186624, memory_free: 6121893888, distances: [10, 20]}
          "1": {cpus: [2, 3], memory: 8321499136, memory_free: 7301234688, distances: [20, 10]}
        balancing: true
        why_not: {}
    hugepages:
      description:
        - Huge pages by size, of the host and of each node; where they are mounted; and when the kernel makes
          transparent ones.
      type: dict
      returned: when gathered
      sample:
        sizes:
          2M:
            total: 512
            free: 512
            surplus: 0
            reserved: 0
            overcommit: 0
            nodes:
              "0": {total: 512, free: 512, surplus: 0}
        mounts: [/dev/hugepages]
        transparent: {enabled: always, defrag: madvise}
        why_not: {}
    cpu:
      description:
        - The model, how many sockets, cores and threads there are in all, the cpus that are online, isolated, and
          free of the kernel's tick, whether threads share cores, and what the kernel says of each vulnerability.
      type: dict
      returned: when gathered
      sample:
        model: AMD EPYC 9354P 32-Core Processor
        sockets: 1
        cores: 2
        threads: 4
        online: [0, 1, 2, 3]
        isolated: []
        nohz_full: []
        smt: true
        vulnerabilities: {meltdown: Not affected, spec_store_bypass: Vulnerable}
        mitigations: []
        why_not: {mitigation of spec_store_bypass: "the kernel says: Vulnerable"}
    file_systems:
      description:
        - Those that the kernel has right now, and how it has those that engines use. V(loaded), V(builtin),
          V(loadable) where it loads the module when it is needed, V(missing), or V(unknown) where nothing on this
          host tells.
      type: dict
      returned: when gathered
      sample:
        known: [bpf, cgroup2, devpts, ext4, fuse, overlay, proc, squashfs, sysfs, tmpfs]
        states: {overlay: loaded, btrfs: loadable, zfs: missing, xfs: loadable, fuse: loaded}
        modules: {release: 6.12.48+deb13-amd64, loading_disabled: false, other_releases: []}
        why_not: {zfs: "the kernel 6.12.48+deb13-amd64 has no module zfs, which is no part of Linux"}
    network:
      description: How the kernel has the types of links, and what guests' devices are made of, in the same words.
      type: dict
      returned: when gathered
      sample:
        link_types:
          bridge: loaded
          veth: loaded
          macvlan: loadable
          ipvlan: loadable
          vxlan: loadable
          bonding: loadable
          tun: loaded
          8021q: loadable
          dummy: loadable
        devices: {vhost_net: loadable, vfio_pci: loadable}
        modules: {release: 6.12.48+deb13-amd64, loading_disabled: false, other_releases: []}
        why_not: {}
    engines:
      description:
        - Of each engine whether its program is installed, and which; its version; the socket that it listens at, and
          whether it answers there (V(null) for an engine without a daemon), or else with which error.
        - Docker, Podman and Incus also tell of their storage driver.
      type: dict
      returned: when gathered
      sample:
        docker:
          installed: true
          program: /usr/sbin/dockerd
          socket: /run/docker.sock
          reachable: true
          error: null
          version: 26.1.5+dfsg1
          api_version: "1.45"
          storage_driver: overlay2
          cgroup_driver: systemd
          cgroup_version: "2"
        lxc: {installed: true, program: /usr/bin/lxc-start, socket: null, reachable: null, error: null, version: 6.0.4}
        why_not: {incus: "it is not installed: there is no incusd"}
lacks:
  description: Each thing that the host can't do, with the reason, and with what helps.
  returned: always
  type: list
  elements: dict
  sample:
    - subject: kvm
      what: usable
      reason: this is a virtual machine, and its processor shows neither vmx nor svm
      remedy: On the host of this virtual machine turn on nested virtualisation
"""

from ansible_collections.strata.virt.plugins.module_utils.core.doors import survey_host
from ansible_collections.strata.virt.plugins.module_utils.engines.hostfiles import Host
from ansible_collections.strata.virt.plugins.module_utils.host.registry import SUBJECTS


def main() -> None:
    survey_host(SUBJECTS, Host())


if __name__ == "__main__":
    main()
