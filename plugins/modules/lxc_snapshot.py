#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxc_snapshot
short_description: Snapshots of LXC containers, how many are kept, and restoring one
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes, restores and removes copies of a container's root file system and configuration, where LXC keeps them, so
    that C(lxc-snapshot) lists them too.
  - A container that runs is frozen while it is copied, and goes on afterwards. What its programs had not written yet is
    not in the copy, as after a power cut.
  - The copy is made without LXC's hooks and goes through no link of the guest. Where the file system can (btrfs, xfs),
    it shares blocks and takes no time.
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - LXC 4 or newer on cgroup v2
  - python3-lxc
options:
  name:
    description:
      - The snapshot.
    type: str
    required: true
  container:
    description:
      - The container that it is one of. Its root file system must be a plain directory.
    type: str
    required: true
  state:
    description:
      - V(present) makes it, where there is none of that name. One that is there is not made anew.
      - V(restored) puts it in the place of what the container has, once for each O(restore_id). What the container had
        is gone. Snapshots stay.
      - V(absent) removes it.
    type: str
    choices: [present, restored, absent]
    default: present
  comment:
    description:
      - What C(lxc-snapshot --showcomments) tells of it.
    type: str
  keep:
    description:
      - How many snapshots of this container stay, this one included. The oldest of those that this module made go;
        those of C(lxc-snapshot) are not counted and stay.
    type: int
  restore_id:
    description:
      - Any word. A snapshot that was restored is restored again when the word is another one.
    type: str
    default: ""
  restart:
    description:
      - Whether a running container may be stopped for V(state=restored), and started again.
    type: str
    choices: [never, if_needed]
    default: never
  timeout:
    description:
      - How long to wait for the container to stop and to start, in seconds or as V(5m).
    type: str
    default: "120"
  lxc_path:
    description:
      - Where the containers are.
    type: str
    default: /var/lib/lxc
seealso:
  - module: strata.virt.lxc_container
  - module: strata.virt.lxc_snapshot_info
  - module: strata.virt.lxc_info
"""

EXAMPLES = r"""
- name: A snapshot before the upgrade, and no more than five of them
  strata.virt.lxc_snapshot: {container: web1, name: before-upgrade, keep: 5}

- name: Back to what it was
  strata.virt.lxc_snapshot:
    container: web1
    name: before-upgrade
    state: restored
    restart: if_needed

- name: No need for it any more
  strata.virt.lxc_snapshot: {container: web1, name: before-upgrade, state: absent}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value. C(keep) lists the snapshots that go.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: state, before: absent, after: present, effect: create, layer: config}
    - {field: keep, before: [monday], after: null, effect: remove, layer: config}
resource:
  description: The snapshot that the host has now. C(facts.created) is when it was made.
  returned: always
  type: dict
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.lxc_snapshot import LxcSnapshot


def main() -> None:
    converge(LxcSnapshot)


if __name__ == "__main__":
    main()
