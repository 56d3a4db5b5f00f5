#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_pod
short_description: Pods of Podman, root's or a plain user's
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a pod, starts and stops it with all that is in it, and removes it.
  - Podman can't change a pod. What is otherwise is told of in RV(restart_required), unless O(recreate) lets an
    empty one
    be made anew.
extends_documentation_fragment:
  - strata.virt.over_podman
  - strata.virt.converges
options:
  name:
    description:
      - The pod.
    type: str
    required: true
  state:
    description:
      - V(started) makes it and starts it with all that is in it, V(stopped) stops it, V(present) only makes it,
        V(absent) removes it. One that holds containers is refused, and they are named.
    type: str
    choices: [started, stopped, present, absent]
    default: started
  recreate:
    description:
      - Whether it may be made anew for a change, V(always) even without one. One that holds containers is refused.
    type: str
    choices: [never, if_needed, always]
    default: never
  force:
    description:
      - Whether the containers that it holds are removed with it.
    type: bool
    default: false
  linger:
    description:
      - Whether that of a plain user goes on without a login session.
    type: bool
    default: true
  hostname:
    description:
      - The name that its containers have for themselves.
    type: str
  labels:
    description:
      - Labels to set. Others stay as they are.
    type: dict
  share:
    description:
      - All namespaces that its containers share, of V(cgroup), V(ipc), V(net), V(pid), V(uts). V(ipc), V(net) and
        V(uts)
        where nobody says otherwise.
    type: list
    elements: str
  published_ports:
    description:
      - All ports to publish, as C([address:][port:]container[/protocol]).
    type: list
    elements: str
    aliases: [ports]
  networks:
    description:
      - All networks that it is on. Podman's own where it is not given.
    type: list
    elements: str
  dns_servers:
    description:
      - All name servers.
    type: list
    elements: str
  dns_search_domains:
    description:
      - All search domains.
    type: list
    elements: str
  dns_opts:
    description:
      - All options of the resolver.
    type: list
    elements: str
  etc_hosts:
    description:
      - All further names in C(/etc/hosts), with their addresses.
    type: dict
  memory:
    description:
      - The most that all its containers may use together, as V(512m); V(max) for no limit.
    type: str
  cpus:
    description:
      - The most processors that all its containers may use together, as V(1.5); V(max) for no limit.
    type: str
  restart_policy:
    description:
      - When Podman starts its containers again, V(no) in quotes, V(always) or V(on-failure).
    type: str
  exit_policy:
    description:
      - What becomes of it when the last container leaves.
    type: str
    choices: [continue, stop]
seealso:
  - module: strata.virt.podman_pod_info
  - module: strata.virt.podman_container
"""

EXAMPLES = r"""
- name: What an application and its helper share
  strata.virt.podman_pod: {name: shop, published_ports: ["127.0.0.1:8084:8080"], memory: 256M}

- name: Take it away
  strata.virt.podman_pod: {name: shop, state: absent}
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: state, before: absent, after: running, effect: create, layer: config}
restart_required:
  description: What only a new pod can have, where O(recreate=never) forbids one.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: shop
    status: running
    owner: ""
    options: {name: shop, published_ports: ["127.0.0.1:8084:8080"], memory: 256M, networks: [podman], state: started}
    running: null
    facts: {id: 448af850..., containers: {web: running}, cgroup: machine.slice/machine-libpod_pod_448af850....slice}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_pod import PodmanPod


def main() -> None:
    converge(PodmanPod)


if __name__ == "__main__":
    main()
