#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: troubleshoot
short_description: What is wrong with networks, permissions or a virtual machine, and what helps
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Looks at a host, and tells what is wrong. Each finding has what was seen and where, what comes of it, and a command
    or a module with its options that helps.
  - It changes nothing. It reads files, asks C(ip), C(nft), C(virsh) and the daemons that are there, and starts
    nothing; a socket that systemd holds for an engine starts that engine, for this module as for everybody who
    connects to it.
  - What could not be looked at is no pass - it is in RV(unchecked) with the reason. Run it as root to see all.
  - The playbooks C(strata.virt.troubleshoot_network), C(strata.virt.troubleshoot_permissions) and
    C(strata.virt.troubleshoot_vm) show what it finds.
extends_documentation_fragment:
  - strata.virt.informs
requirements:
  - iproute2 for the topic V(network); nftables, or iptables where that is in use
  - virsh (libvirt-clients) for the topic V(vm)
options:
  topic:
    description:
      - What does not work.
      - V(network) is forwarding, firewalls, bridges, routes, resolvers, MTUs, subnets, libvirt's networks, published
        ports, and the network of a O(workload).
      - V(permissions) is the way to a O(path), its mount, maps of IDs, what AppArmor, SELinux and seccomp refused in
        the last hour, user namespaces, delegation, sockets of engines, and the rights of a O(workload).
      - V(vm) is KVM, libvirt, and of a O(vm) its state, its log, disks, memory, networks, and what makes it slow.
    type: str
    required: true
    choices: [network, permissions, vm]
  path:
    description:
      - The absolute path on the host that somebody can't open, for the topic V(permissions).
    type: str
  user:
    description:
      - Who is to open the O(path) and the engines' sockets, by name or number, for the topic V(permissions).
      - A number together with a O(workload) is what that user is called in the workload's user namespace.
    type: str
  vm:
    description:
      - The domain of libvirt, for the topic V(vm). Without it only what all machines stand on is looked at.
    type: str
  workload:
    description:
      - A container of Docker, Podman or LXC, a machine of nspawn, a domain of libvirt, or a unit of systemd that runs,
        by its name, or any process by its number. Its first process is looked at, for the topics V(network) and
        V(permissions).
    type: str
seealso:
  - module: strata.virt.host_info
"""

EXAMPLES = r"""
- name: Why do guests have no network?
  strata.virt.troubleshoot:
    topic: network
  register: trouble

- name: Show what does not work
  ansible.builtin.debug:
    msg: "{{ trouble.findings | selectattr('severity', 'eq', 'error') }}"

- name: Why may QEMU not read this folder?
  strata.virt.troubleshoot:
    topic: permissions
    path: /var/lib/libvirt/images
    user: libvirt-qemu
"""

RETURN = r"""
findings:
  description: What is wrong, the worst first.
  returned: always
  type: list
  elements: dict
  contains:
    check:
      description: What was looked for.
      type: str
    severity:
      description:
        - V(error) does not work, V(warning) fails for some, V(note) is so and explains what one may see.
      type: str
    what:
      description: What is wrong.
      type: str
    evidence:
      description: What was seen, and where.
      type: str
    why:
      description: What comes of it.
      type: str
    remedy:
      description: What helps.
      type: str
  sample:
    - check: host forwards for its bridges
      severity: error
      what: This host does not forward what comes from br0
      evidence: net.ipv4.ip_forward is 0, and br0 has 192.0.2.1/24, the gateway of its guests
      why: Guests reach this host and each other, and nothing else.
      remedy: >-
        sysctl -w net.ipv4.ip_forward=1, and the same line in /etc/sysctl.d; the role strata.virt.host does both
        (host_sysctls)
passed:
  description: The checks that found nothing.
  returned: always
  type: list
  elements: str
  sample: [bridges are up, there is a resolver]
unchecked:
  description: The checks that could not look, each with the reason.
  returned: always
  type: dict
  sample: {links of the workload are up: no workload was named}
seen:
  description: What was read and held against the checks.
  returned: always
  type: dict
  sample: {forwarding: 0, nameservers: [192.0.2.53]}
"""

from ansible_collections.strata.virt.plugins.module_utils.acts import troubleshoot
from ansible_collections.strata.virt.plugins.module_utils.core.doors import act


def main() -> None:
    act(troubleshoot.FIELDS, troubleshoot.tell)


if __name__ == "__main__":
    main()
