#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_init_seed
short_description: Seeds of cloud-init for virtual machines
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Writes the small disk (C(NoCloud)) that tells a virtual machine at its first boot who it is, and takes it away.
  - The same declaration makes the same bytes, on every host and every day, and is compared by them. No program is
    needed.
extends_documentation_fragment:
  - strata.virt.converges
options:
  path:
    description:
      - The image. A file that is something else is refused.
    type: str
    required: true
  state:
    description:
      - V(present) writes it, V(absent) takes it away.
    type: str
    choices: [present, absent]
    default: present
  user_data:
    description:
      - What the machine is told. A mapping is C(#cloud-config), and turns logins by password over SSH off unless
        it has
        C(ssh_pwauth) itself. A text begins with a line that cloud-init knows, such as C(#cloud-config) or C(#!).
      - Whoever can read the image can read it. Results and diffs have a digest of it.
    type: raw
  vendor_data:
    description:
      - What the provider adds, in the same forms.
    type: raw
  meta_data:
    description:
      - Further facts, such as C(local-hostname).
    type: dict
    default: {}
  network_config:
    description:
      - The network, in version 1 or 2 of cloud-init.
    type: dict
  instance_id:
    description:
      - Which instance it is. cloud-init does most of its work once an instance. From the content where it is not
        given, so
        that another content is another instance.
    type: str
  mode:
    description:
      - The permissions of the file, in quotes.
    type: str
    default: "0600"
seealso:
  - module: strata.virt.cloud_init_seed_info
  - module: strata.virt.libvirt_domain
  - module: strata.virt.qemu_vm
"""

EXAMPLES = r"""
- name: A machine that can be reached with a key, and only so
  strata.virt.cloud_init_seed:
    path: /var/lib/libvirt/images/lab1-seed.iso
    user_data:
      hostname: lab1
      ssh_authorized_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample admin@example.com"]
      packages: [qemu-guest-agent]
    network_config:
      version: 2
      ethernets: {lan: {match: {macaddress: "52:54:00:00:00:10"}, set-name: lan, dhcp4: true}}

- name: Take it away
  strata.virt.cloud_init_seed: {path: /var/lib/libvirt/images/lab1-seed.iso, state: absent}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: user-data, before: "sha256:5c1f...", after: "sha256:91ab...", effect: live, layer: config}
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: /var/lib/libvirt/images/lab1-seed.iso
    status: present
    owner: ""
    options:
      path: /var/lib/libvirt/images/lab1-seed.iso
      user_data: "#cloud-config\n{...}"
      instance_id: i-5c1f0a...
      mode: "0600"
    running: null
    facts: {label: cidata, size: 57344, files: [meta-data, network-config, user-data], instance_id: i-5c1f0a...}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.cloud_init_seed import CloudInitSeed


def main() -> None:
    converge(CloudInitSeed)


if __name__ == "__main__":
    main()
