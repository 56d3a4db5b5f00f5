#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_info
short_description: Everything that runs isolated on a host, of every engine, as the kernel has it
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Finds machines of systemd-nspawn, containers of LXC, Docker and Podman, virtual machines of libvirt and of QEMU
    alone, jails, pinned namespaces, and groups and units that are held to limits, whoever started them. Of each it
    tells who it runs as, its namespaces, capabilities, confinement, mounts, devices, limits and usage.
  - All of that is read from C(/proc) and from control groups, in one walk for all of them. No program is started, and
    no engine is asked but a Docker daemon that runs already, once, for the names of its containers. What is stopped
    isn't told of; M(strata.virt.guests_info) lists that, too.
  - What runs within a workload, a container in a machine for one, is part of that workload.
  - What this user may not read is told as V(null). Run it as root to see all.
extends_documentation_fragment:
  - strata.virt.informs
options:
  engines:
    description:
      - Of which engines; of all where it is not given.
      - V(qemu) are virtual machines without libvirt. V(chroot) are processes whose root is a tree of the host's.
      - V(namespace) are the pinned sets of M(strata.virt.namespace), and V(netns) those of C(ip netns), whoever is in
        them.
      - V(cgroup) are control groups below what systemd delegates, and V(unit) are its services, scopes and slices, as
        far as they are held to any limit of memory, cpu, io or cpus, or to another number of processes than is usual.
    type: list
    elements: str
    choices: [nspawn, lxc, docker, podman, libvirt, qemu, chroot, namespace, netns, cgroup, unit]
  names:
    description:
      - Only workloads of these names, in which C(*) and C(?) stand for any letters and for one.
      - A jail is named by its path, a control group by its path below the one of M(strata.virt.cgroup).
    type: list
    elements: str
  owner:
    description:
      - Only what this stack made.
    type: str
  facts:
    description:
      - What to tell of each; all where it is not given. The fewer, the faster.
      - V(mounts) are its root, what is mounted in it that leads to the host, and whether the kernel's settings can be
        written. V(devices) are the nodes of hardware in its C(/dev), whether its control group lets it open them or
        not, which the kernel doesn't tell.
    type: list
    elements: str
    choices: [user, namespaces, capabilities, confinement, mounts, devices, limits, usage]
seealso:
  - module: strata.virt.isolation_audit
  - module: strata.virt.guests_info
  - module: strata.virt.host_info
"""

EXAMPLES = r"""
- name: All that runs on the host
  strata.virt.workload_info:
  register: host

- name: Who has CAP_SYS_ADMIN
  ansible.builtin.debug:
    msg: "{{ item.engine }} {{ item.name }}"
  loop: >-
    {{ host.workloads | selectattr('capabilities')
       | selectattr('capabilities.bounding', 'contains', 'SYS_ADMIN') }}
  loop_control:
    label: "{{ item.name }}"

- name: What containers use, and nothing else
  strata.virt.workload_info:
    engines: [docker, podman, lxc, nspawn]
    facts: [limits, usage]

- name: The machines whose name begins with web
  strata.virt.workload_info:
    names: ["web*"]
    facts: [user, namespaces]
"""

RETURN = r"""
workloads:
  description: What runs, engine by engine, by name.
  returned: always
  type: list
  elements: dict
  contains:
    engine:
      description: One of O(engines).
      type: str
    name:
      description: As its engine calls it; of a container whose engine doesn't tell, the first digits of its ID.
      type: str
    id:
      description: The ID of a container of Docker or Podman.
      type: str
    owner:
      description:
        - The stack that made it, empty for a single task; V(null) where nobody noted one. Of network namespaces it
          isn't looked up.
      type: str
    labels:
      description: The labels of a container of Docker or Podman.
      type: dict
    pid:
      description: Its first process, as the host numbers it; V(null) where none is in it.
      type: int
    command:
      description: What that process is called, as far as 15 bytes go.
      type: str
    running_seconds:
      description: For how long that process has been there.
      type: int
    processes:
      description: How many processes it has.
      type: int
    cgroup:
      description: Its control group, below C(/sys/fs/cgroup).
      type: str
    cgroup_shared:
      description: Whether others are in that group, too. Then limits and usage are those of all of them together.
      type: bool
    user:
      description:
        - User and group of its first process, as the host and as the workload numbers them, supplementary groups, and
          the maps of IDs, first ID inside, first ID of the host, how many.
      type: dict
      returned: when asked for
      sample:
        uid: 65534
        gid: 65534
        uid_inside: 65534
        gid_inside: 65534
        groups: [65534]
        uid_map: [[0, 0, 4294967295]]
        gid_map: [[0, 0, 4294967295]]
    namespaces:
      description: Its namespaces by kind, the number of each, and whether it is the host's own.
      type: dict
      returned: when asked for
      sample:
        net: {id: 4026532301, host: false}
        user: {id: 4026531837, host: true}
    capabilities:
      description:
        - The sets of its first process (capabilities(7)), by names without CAP_, and whether C(all) that the kernel
          has are in the bounding set.
      type: dict
      returned: when asked for
      sample: {bounding: [NET_BIND_SERVICE], permitted: [], effective: [], inheritable: [], ambient: [], all: false}
    confinement:
      description:
        - Whether its first process has no_new_privs, how its system calls are filtered (V(off), V(strict) or V(filter))
          and by how many filters, and its label by AppArmor or SELinux.
      type: dict
      returned: when asked for
      sample:
        no_new_privileges: true
        seccomp: {mode: filter, filters: 1}
        lsm: {module: apparmor, label: docker-default (enforce), profile: docker-default, mode: enforce}
    mounts:
      description:
        - C(root) is how its root is mounted.
        - C(sensitive) is what is mounted in it and leads to the host, where that is on the host, and why.
        - C(kernel) is whether /proc/sys and /sys are read-only, which files of /proc are masked, and which file systems
          below /sys can be written.
      type: dict
      returned: when asked for
      sample:
        root: {read_only: false, type: overlay, source: overlay}
        sensitive:
          - path: /run/docker.sock
            source: /run/docker.sock
            read_only: false
            why: /run/docker.sock holds /run/docker.sock, by which anything can be started on the host
        kernel: {proc_sys_read_only: true, sys_read_only: true, masked: [/proc/kcore, /proc/keys], writable: []}
    devices:
      description: The nodes of hardware in its /dev.
      type: list
      returned: when asked for
      sample: [{path: /dev/sda, type: block, number: "8:0"}]
    limits:
      description:
        - What its control group is held to, as the options of M(strata.virt.cgroup) have it; C(held_to) is the least of
          that and of what the groups above it are held to.
        - V(null) where control groups are of version 1.
      type: dict
      returned: when asked for
      sample:
        memory: 64M
        memory_high: max
        memory_swap: 64M
        cpus: 0.5
        cpu_weight: 100
        cpuset_cpus: ""
        pids_limit: 32
        io: []
        held_to: {memory: 64M, cpus: 0.5, pids_limit: 32}
    usage:
      description: What its control group uses, what happened to it, and for how long it waited (PSI).
      type: dict
      returned: when asked for
      sample:
        cpu: {usage_usec: 41873, user_usec: 12510, system_usec: 29363}
        memory: {current_bytes: 462848, peak_bytes: 4132864, anon_bytes: 53248, events: {oom_kill: 0}}
        pids: {current: 1, peak: 9, events: {max: 0}}
        io: {/dev/vda: {read_bytes: 409600, written_bytes: 0, reads: 14, writes: 0}}
        pressure: {cpu: {some: {avg10_percent: 0.0, total_usec: 3127}}}
        events: {populated: true, frozen: false}
        processes: 1
        groups: 0
missing:
  description: Those of the O(names) of which nothing runs.
  returned: always
  type: list
  elements: str
  sample: []
"""

from ansible_collections.strata.virt.plugins.module_utils.acts import workload_info
from ansible_collections.strata.virt.plugins.module_utils.core.doors import act


def main() -> None:
    act(workload_info.FIELDS, workload_info.tell)


if __name__ == "__main__":
    main()
