#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: seccomp_profile
short_description: Seccomp profiles for Docker, Podman, LXC and systemd
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Keeps a file that says which system calls a workload may make, made from a base, from what is allowed beyond it
    and from what is taken off, in the form that an engine reads.
  - Files are compared by what they mean. The order of names, comments and how they are grouped make no difference.
  - The file is made whole. What it says beyond the declaration, whoever wrote that, goes.
  - A filter is loaded when a workload starts, and stays until it ends. A running workload has to be restarted for a
    change.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - libseccomp
  - a profile of containers/common (package golang-github-containers-common or containers-common), for
    O(base=docker-default)
  - systemd, for groups of system calls
options:
  path:
    description:
      - The file, an absolute path. Its folder is made where it is missing.
      - A file that is there, was not made by this collection and is no seccomp profile is refused, and not removed
        either.
    type: str
    required: true
  state:
    description:
      - V(present) writes the file, V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
  format:
    description:
      - V(oci) is the JSON that Docker, Podman and the OCI runtimes read, V(lxc) a policy of version 2 for
        C(lxc.seccomp.profile), V(systemd) a drop-in for a service.
      - Where it is not given, the name decides, V(systemd) for C(.conf), V(lxc) for C(.seccomp), and otherwise V(oci).
    type: str
    choices: [oci, lxc, systemd]
  base:
    description:
      - What the profile is made from. It must be given, but for O(state=absent).
      - V(docker-default) is what containers may do by default, as C(/usr/share/containers/seccomp.json) of the host
        says. That file descends from Docker's own profile, which no daemon tells.
      - V(systemd-service) is the group C(@system-service) of the host's systemd.
      - V(empty) allows nothing.
      - An absolute path is a profile on the host, in any of the formats. It is read on each run.
    type: str
  allow:
    description:
      - System calls that are allowed, by name, or groups of systemd such as V(@mount), as C(systemd-analyze
        syscall-filter) lists them. A name that the host doesn't know is refused.
      - A name counts for more than a group, and a group for more than the base. Of groups, O(deny) counts for more.
    type: list
    elements: str
  deny:
    description:
      - System calls that are taken off, by name or group. They fail as O(default_action) says, or with V(EPERM) where
        it is not given. systemd refuses all calls alike, as the default says, whatever O(base) has for single ones.
    type: list
    elements: str
  rules:
    description:
      - System calls that are allowed under conditions. The rules for a call replace all that the base says of it.
    type: list
    elements: dict
    suboptions:
      names:
        description:
          - The system calls.
        type: list
        elements: str
        required: true
      action:
        description:
          - What happens to a call for which the conditions hold. V(allow), V(log), V(trap), V(notify), V(kill_thread),
            V(kill_process), or the name of an errno.
        type: str
        default: allow
      args:
        description:
          - Conditions on arguments that have to hold together, such as V(arg0 == 1) or V((arg0 & 0x7e020000) == 0),
            with the operators V(==), V(!=), V(<), V(<=), V(>), V(>=). Each argument once. systemd knows none.
        type: list
        elements: str
      includes:
        description:
          - Capabilities of the container, architectures in Go's words (V(amd64)) or a kernel (V(linux-4.8)) that the
            rule is for. For O(format=oci) only, and decided by the engine.
        type: list
        elements: str
      excludes:
        description:
          - Those that the rule is not for.
        type: list
        elements: str
  default_action:
    description:
      - What happens to calls that nothing is said of. The name of an errno, V(EPERM) or V(ENOSYS) as a rule, or
        V(kill_process), V(kill_thread), V(trap), V(log). Where it is not given, what the base says; V(EPERM) for
        V(systemd-service) and V(empty).
    type: str
  architectures:
    description:
      - Architectures whose calls are filtered, beside the host's own, in libseccomp's words, such as V(x86_64),
        V(x86), V(aarch64). Calls of others end the process. Where it is not given, what the base says, for
        O(format=oci), and otherwise nothing.
      - LXC filters all architectures of the host alike.
    type: list
    elements: str
seealso:
  - module: strata.virt.seccomp_profile_info
  - module: strata.virt.docker_container
  - module: strata.virt.lxc_container
  - module: strata.virt.apparmor_profile
"""

EXAMPLES = r"""
- name: Docker's default, and neither keys nor tracing
  strata.virt.seccomp_profile:
    path: /etc/strata/seccomp/web.json
    base: docker-default
    deny: [keyctl, add_key, ptrace]

- name: The same for LXC
  strata.virt.seccomp_profile:
    path: /etc/strata/seccomp/web.seccomp
    base: docker-default
    deny: [keyctl, add_key, ptrace]

- name: A service of systemd that opens no sockets, and ends where it tries
  strata.virt.seccomp_profile:
    path: /etc/systemd/system/worker.service.d/50-seccomp.conf
    base: systemd-service
    deny: ["@network-io", "@keyring", "@aio"]
    default_action: kill_process
    architectures: [x86_64]

- name: Little by name, and sockets of one family only
  strata.virt.seccomp_profile:
    path: /etc/strata/seccomp/tiny.json
    base: empty
    default_action: ENOSYS
    allow: ["@default", "@basic-io", "@signal", "@file-system", "@process"]
    rules:
      - names: [socket, socketpair]
        args: ["arg0 == 1"]

- name: Take one away
  strata.virt.seccomp_profile:
    path: /etc/strata/seccomp/web.json
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value and one a system call.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: "syscalls[keyctl]", before: allow, after: EPERM, effect: live, layer: config}
restart_required:
  description: Always empty. A file waits for nobody; the workloads that read it do.
  returned: always
  type: list
  elements: str
  sample: []
resource:
  description: What the host has now. Whatever it was made from, C(options) say it call by call, from the base V(empty).
  returned: always
  type: dict
  sample:
    name: /etc/strata/seccomp/tiny.json
    status: present
    owner: ""
    options:
      path: /etc/strata/seccomp/tiny.json
      state: present
      base: empty
      format: oci
      default_action: ENOSYS
      allow: [exit_group, read, write]
      rules: [{names: [socket], action: allow, args: ["arg0 == 0x1"]}]
    running: null
    facts: {}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.seccomp_profile import SeccompProfile


def main() -> None:
    converge(SeccompProfile)


if __name__ == "__main__":
    main()
