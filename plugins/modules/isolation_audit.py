#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: isolation_audit
short_description: Holds everything that runs on a host against a hardening profile
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Measures the rules of the profiles that C(hardening) declares on what really runs, of every engine, whoever started
    it. Each check that isn't met comes with what was found, why it matters, and the option that mends it.
  - It looks at the kernel alone, as M(strata.virt.workload_info) does, and changes nothing.
  - What could not be seen is no pass - it has C(met) V(null), and is in RV(unchecked). Run it as root to see all.
  - Of each engine there are the checks that it can meet. A virtual machine has a kernel of its own, so that it is the
    process of QEMU that is looked at, its user, its capabilities, its label and its filter of system calls.
extends_documentation_fragment:
  - strata.virt.informs
options:
  profile:
    description:
      - What to measure.
      - V(baseline) is that nothing is known to lead out - not privileged, no namespace of the host's, no device, no
        mount and no capability that leads to it, system calls filtered, AppArmor or SELinux, and the kernel's settings
        read-only.
      - V(restricted) is that, and no capability but those that are allowed, no new privileges, a read-only root, no
        root of the host, and limits of memory, cpus and processes.
    type: str
    choices: [baseline, restricted]
    default: restricted
  engines:
    description:
      - Of which engines; of all but V(unit) where it is not given.
      - V(unit) are services and scopes of systemd that are held to a limit, without those of workloads.
    type: list
    elements: str
    choices: [docker, podman, lxc, nspawn, chroot, unit, libvirt, qemu]
  names:
    description:
      - Only workloads of these names, in which C(*) and C(?) stand for any letters and for one.
      - It is an error if one of them fits nothing that runs.
    type: list
    elements: str
  owner:
    description:
      - Only what this stack made.
    type: str
  capabilities:
    description:
      - The capabilities that workloads may keep in the profile V(restricted).
    type: list
    elements: str
    default: [NET_BIND_SERVICE]
  exceptions:
    description:
      - What doesn't have to be met. It is told of all the same, in RV(excepted).
    type: list
    elements: dict
    suboptions:
      name:
        description: The name of the workloads, with C(*) and C(?).
        type: str
        required: true
      engine:
        description: Of which engine; of any where it is not given.
        type: str
        choices: [docker, podman, lxc, nspawn, chroot, unit, libvirt, qemu]
      checks:
        description: Which checks; all of them where it is not given.
        type: list
        elements: str
        choices:
          - privileged
          - host_namespaces
          - devices
          - mounts
          - capabilities
          - seccomp
          - lsm
          - kernel_settings
          - default_capabilities
          - no_new_privileges
          - read_only_root
          - user
          - memory
          - cpus
          - pids_limit
      reason:
        description: Why, for whoever reads it.
        type: str
  fail_on:
    description:
      - When the task fails. V(nothing) never; V(unmet) where a check isn't met that no exception names; V(unchecked)
        also where one could not be seen.
    type: str
    choices: [nothing, unmet, unchecked]
    default: nothing
seealso:
  - module: strata.virt.workload_info
  - module: strata.virt.troubleshoot
  - module: strata.virt.docker_container
"""

EXAMPLES = r"""
- name: What on this host is not as hardened as it could be
  strata.virt.isolation_audit:
  register: audit

- name: Show it
  ansible.builtin.debug:
    msg: "{{ item.found }} {{ item.why }} {{ item.remedy }}"
  loop: "{{ audit.findings }}"
  loop_control:
    label: "{{ item.engine }} {{ item.name }}: {{ item.check }}"

- name: Let nothing of this stack pass that leads out of a container
  strata.virt.isolation_audit:
    profile: baseline
    owner: shop
    exceptions:
      - name: node-exporter
        checks: [host_namespaces]
        reason: It measures the host.
    fail_on: unmet
"""

RETURN = r"""
passed:
  description: Whether every check is met, or named by an exception.
  returned: always
  type: bool
workloads:
  description: What runs, each with its checks.
  returned: always
  type: list
  elements: dict
  contains:
    engine:
      description: One of O(engines).
      type: str
    name:
      description: As its engine calls it.
      type: str
    id:
      description: The ID of a container of Docker or Podman.
      type: str
    owner:
      description: The stack that made it.
      type: str
    pid:
      description: Its first process.
      type: int
    cgroup:
      description: Its control group.
      type: str
    passed:
      description: Whether each of its checks is met, or named by an exception.
      type: bool
    checks:
      description: The checks of the profile that there are for its engine.
      type: list
      elements: dict
      contains:
        check:
          description: Its name.
          type: str
        profile:
          description: The first profile that it belongs to.
          type: str
        met:
          description: Whether it is so; V(null) where that could not be seen.
          type: bool
        what:
          description: What is to be so.
          type: str
        found:
          description: What was seen.
          type: str
        why:
          description: Why it matters.
          type: str
        excepted:
          description: Whether it isn't met, and an exception names it.
          type: bool
        module:
          description: The module whose options mend it, where it is one of this collection's.
          type: str
        options:
          description: Those options.
          type: list
          elements: str
        remedy:
          description: What mends it, in a sentence; V(null) where nothing has to be mended.
          type: str
  sample:
    - engine: docker
      name: web
      id: 4f1d5e
      owner: demo
      pid: 4711
      cgroup: /system.slice/docker-4f1d5e.scope
      passed: false
      checks:
        - check: no_new_privileges
          profile: restricted
          met: false
          what: No program in it gains rights.
          found: no_new_privs is not set.
          why: Otherwise it lets a set-user-ID program gain rights.
          excepted: false
          module: strata.virt.docker_container
          options: [security_opts]
          remedy: >-
            strata.virt.docker_container: security_opts; hardening: restricted declares it with all the rest of that
            profile.
findings:
  description: The checks that aren't met and that no exception names, of all workloads, each with its engine and name.
  returned: always
  type: list
  elements: dict
unchecked:
  description: The checks that could not be seen, in the same form.
  returned: always
  type: list
  elements: dict
excepted:
  description: The checks that aren't met and that an exception names.
  returned: always
  type: list
  elements: dict
unused_exceptions:
  description: The exceptions that nothing needed.
  returned: always
  type: list
  elements: dict
"""

from ansible_collections.strata.virt.plugins.module_utils.acts import isolation_audit
from ansible_collections.strata.virt.plugins.module_utils.core.doors import act


def main() -> None:
    act(isolation_audit.FIELDS, isolation_audit.tell)


if __name__ == "__main__":
    main()
