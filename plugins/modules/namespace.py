#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: namespace
short_description: Pinned sets of namespaces, of any kinds
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a set of namespaces as C(unshare) does, and pins each to a file C(/run/strata/namespaces/NAME/KIND), so that
    it stays when nothing runs in it. Programs enter them with C(nsenter).
  - For network namespaces with links, addresses and routes in them, see M(strata.virt.netns).
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - systemd, for namespaces of kind V(pid) and V(cgroup), and for O(persistent)
options:
  name:
    description:
      - The set.
    type: str
    required: true
  state:
    description:
      - V(present) makes the set and keeps it as it is to be.
      - V(absent) takes it away. It is an error while a process is in it.
    type: str
    choices: [present, absent]
    default: present
  recreate:
    description:
      - Whether a set is made anew for what only a new one can have, O(kinds), O(uid_map), O(gid_map) and
        O(time_offsets).
      - It is never made anew while a process is in it; that is an error, which names the processes.
    type: str
    choices: [never, if_needed, always]
    default: if_needed
  kinds:
    description:
      - The kinds of namespaces. V(net), V(uts), V(ipc), V(user), V(cgroup), V(time), V(mnt), V(pid). Needed to make a
        set.
      - With V(user), that namespace owns the others.
      - V(pid) and V(cgroup) are held by a unit C(strata-namespace-NAME.service), in which C(sleep infinity) runs. With
        V(mnt), too, C(/proc) in it is that of the V(pid) namespace.
    type: list
    elements: str
  hostname:
    description:
      - The host name in it. It is set live. Needs the kind V(uts).
    type: str
  loopback:
    description:
      - Whether C(lo) is set up, where there is a namespace of kind V(net). It is set live.
    type: bool
    default: true
  uid_map:
    description:
      - The users of its V(user) namespace, and which users of the host they are. Users that no line has are nobody in
        it.
      - Lines must not overlap, on either side.
    type: list
    elements: dict
    suboptions:
      inside:
        description:
          - The first id in the namespace.
        type: int
        required: true
      outside:
        description:
          - The id of the host that it is.
        type: int
        required: true
      count:
        description:
          - How many ids, from these two on.
        type: int
        required: true
  gid_map:
    description:
      - The same for groups.
    type: list
    elements: dict
    suboptions:
      inside:
        description:
          - The first id in the namespace.
        type: int
        required: true
      outside:
        description:
          - The id of the host that it is.
        type: int
        required: true
      count:
        description:
          - How many ids, from these two on.
        type: int
        required: true
  time_offsets:
    description:
      - How far the clocks of its V(time) namespace are ahead of the host's, in seconds; less than 0 is behind.
    type: dict
    suboptions:
      monotonic:
        description:
          - The clock that begins anywhere, and does not count time asleep.
        type: int
      boottime:
        description:
          - The clock that begins at boot. It is what C(uptime) shows.
        type: int
  persistent:
    description:
      - Whether it is made again at boot, by the unit C(strata-namespace-NAME.service).
    type: bool
seealso:
  - module: strata.virt.namespace_info
  - module: strata.virt.netns
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: A set of namespaces to run something in
  strata.virt.namespace: {name: isolated, kinds: [net, uts, ipc, mnt, pid], hostname: isolated}

- name: Where root is nobody of the host, and time is another one, after a reboot too
  strata.virt.namespace:
    name: tenant
    kinds: [user, net, uts, mnt, time]
    uid_map: [{inside: 0, outside: 100000, count: 65536}]
    gid_map: [{inside: 0, outside: 100000, count: 65536}]
    time_offsets: {boottime: 86400}
    persistent: true

- name: Take the one away again
  strata.virt.namespace: {name: isolated, state: absent}

- name: Take the other away again
  strata.virt.namespace: {name: tenant, state: absent}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: hostname, before: build, after: isolated, effect: live, layer: config}
restart_required:
  description: What only a new set can have, where O(recreate) is V(never).
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now, as M(strata.virt.namespace_info) tells it.
  returned: always
  type: dict
  sample:
    name: isolated
    status: present
    owner: ""
    options: {name: isolated, kinds: [net, uts, ipc, mnt, pid], hostname: isolated, loopback: true, state: present}
    running: null
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.namespace import Namespace


def main() -> None:
    converge(Namespace)


if __name__ == "__main__":
    main()
