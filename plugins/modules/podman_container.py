#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_container
short_description: Containers of Podman, root's or a plain user's
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a container, keeps it as declared, starts, stops and removes it.
  - No daemon is needed, and no login session of the user. All containers of a task are read over one connection.
  - Limits of cpu, memory and processes, the restart policy and networks change while it runs. Everything else needs a
    new container, which takes over only once it is made, and has to prove itself before the old one goes. If it
    fails, the old one is back.
  - What a task doesn't name is carried over to the new container, volumes without a name and networks above all.
  - What the image gives counts as not set, so that it follows the image.
  - The options are those of M(strata.virt.docker_container), with the same meaning. What Podman can't honour is an
    error.
extends_documentation_fragment:
  - strata.virt.container
  - strata.virt.over_podman
  - strata.virt.limits
  - strata.virt.docker_container_process
  - strata.virt.docker_healthcheck
  - strata.virt.docker_container_limits
  - strata.virt.docker_container_networks
  - strata.virt.docker_container_storage
  - strata.virt.docker_mounts
  - strata.virt.docker_container_security
  - strata.virt.converges
options:
  pull:
    description:
      - V(missing) or V(false) pulls an image that the user doesn't have, V(never) doesn't. V(always) or V(true) asks
        the registry whether it has another one under that name, for which the host needs C(skopeo).
      - An image that is named by its whole ID is never pulled.
    type: str
    default: missing
  linger:
    description:
      - Whether to let the user's processes go on without a login session, where it is to run and the user isn't root.
        Without it, it ends with the user's last session.
    type: bool
    default: true
  pod:
    description:
      - The pod that it is in.
    type: str
  pids_limit:
    description:
      - The most processes and threads, or V(max). Podman's own is 2048.
    type: str
  network_mode:
    description:
      - What it is connected to, in one word. V(bridge) or V(default) for the network C(podman), the name of a
        network,
        V(host), V(none), V(pasta), C(pasta:OPTIONS), or C(container:NAME) for another container's network.
      - By itself, a container of root is on C(podman), one of a plain user is reached by C(pasta).
      - O(networks) says it for single networks, with addresses, and live.
    type: str
  userns_mode:
    description:
      - How the users in the container are mapped to those of the host. V(keep-id) has the user who owns the container
        be the same one within it, C(keep-id:uid=1000,gid=1000) be that one, V(nomap) be nobody within it. V(auto) gives
        a container of root a range of its own. V(host) or empty maps no further.
    type: str
  security_opts:
    description:
      - Security options, as for C(podman run --security-opt). A seccomp profile is given as its path on the host.
    type: list
    elements: str
  volumes:
    description:
      - What to mount, as C(/host/path:/path[:ro,Z]), C(volume:/path) or C(/path) for a volume without a name.
        V(Z) and V(z) give what is mounted the container's SELinux label, for itself alone or for all, and V(U) its
        user.
      - Podman doesn't tell O(mounts) from it. Either of them is compared with all that is mounted.
    type: list
    elements: str
notes:
  - A run that was cut short leaves at most containers named C(NAME.strata-next) and C(NAME.strata-previous), which
    the next
    run recognises, tells of and clears up.
  - O(kernel_memory), O(memory_swappiness), O(oom_killer), O(domainname), O(links), O(volume_driver),
    O(device_requests), O(storage_opts) and some parts of O(networks), O(mounts) and O(healthcheck) are errors. Podman
    has nothing of the kind.
seealso:
  - module: strata.virt.podman_container_info
  - module: strata.virt.docker_container
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: A web server of a plain user, that can do nothing else
  strata.virt.podman_container:
    name: web
    image: localhost/myweb:1.0
    user_scope: deploy
    userns_mode: keep-id
    published_ports: ["8081:8080"]
    read_only: true
    cap_drop: [ALL]
    volumes: ["/srv/www:/srv/www:ro,Z"]
  become: true

- name: The same profile as for Docker, in root's Podman
  strata.virt.podman_container:
    name: api
    image: localhost/myweb:1.0
    hardening: restricted
    memory: 256M
    cpus: 1.5

- name: One to look around in
  strata.virt.podman_container: {name: tools, image: "localhost/myweb:1.0", network_mode: none}

- name: Take it away
  strata.virt.podman_container:
    name: api
    state: absent

- name: Take away that of the plain user
  strata.virt.podman_container:
    name: web
    user_scope: deploy
    state: absent
  become: true
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: memory, before: 256M, after: 512M, effect: live, layer: config}
restart_required:
  description: Options that only a new container can take, where O(recreate=never) forbids one.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: web
    status: running
    owner: ""
    options: {name: web, image: "localhost/myweb:1.0", memory: 512M, cpus: 1.5, pids_limit: 256, state: started}
    running: null
    facts: {pid: 2809, health: null, exit_code: null}
container:
  description: What C(podman inspect) says of it, and its output as C(Output) where O(detach=false).
  returned: always
  type: dict
  sample: {Id: 1fa3b605c78e, Name: web, State: {Status: running}}
status:
  description: The status that it left with.
  returned: where O(detach=false)
  type: int
  sample: 0
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_container import PodmanContainer


def main() -> None:
    converge(PodmanContainer)


if __name__ == "__main__":
    main()
