#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_container
short_description: Containers of a Docker daemon
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a container, keeps it as declared, starts, stops and removes it.
  - Limits of cpu, memory and processes and the restart policy change while it runs. Everything else needs a new
    container,
    which takes over only once it is made, and has to prove itself before the old one goes. If it fails, the old one
    is back.
  - What a task doesn't name is carried over to the new container, volumes without a name and networks above all.
  - What the image gives counts as not set, so that it follows the image.
extends_documentation_fragment:
  - strata.virt.over_docker
  - strata.virt.limits
  - strata.virt.converges
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  name:
    description:
      - The container.
    type: str
    required: true
  state:
    description:
      - V(started) makes, repairs and starts it, V(stopped) makes, repairs and stops it, V(present) makes and
        repairs it and
        leaves it running or not, V(absent) stops and removes it, and keeps its image and all of its volumes.
    type: str
    choices: [started, present, stopped, absent]
    default: started
  image:
    description:
      - The image to run, by name or ID. Images are compared by ID. It has to be on the host already.
      - Required unless O(state=absent).
    type: str
  command:
    description:
      - The command to run, as a list or as a string that is split as a shell does it. Empty means that of the image.
    type: raw
  env:
    description:
      - Environment variables on top of those of the image. Others are taken away. Quote numbers and booleans.
    type: dict
  labels:
    description:
      - Labels to set. Others stay as they are.
    type: dict
  user:
    description:
      - Who it runs as, C(user[:group]) by name or number. Empty means whom the image says.
    type: str
  restart_policy:
    description:
      - When the daemon starts it again. Put V(no) in quotes.
    type: str
    choices: ["no", on-failure, always, unless-stopped]
  published_ports:
    description:
      - Ports to publish on the host, as C([address:][port:]container[/protocol]), ports or ranges of them.
    type: list
    elements: str
  volumes:
    description:
      - What to mount, as C(/host/path:/path[:ro]), C(volume:/path) or C(/path) for a volume without a name.
    type: list
    elements: str
  networks:
    description:
      - The networks that it is connected to, and no others. An empty list means none at all, not even the daemon's
        C(bridge).
      - They change while it runs, unless it shares the host's or another container's network, or is to have none.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The network, such as M(strata.virt.docker_network) makes it.
        type: str
        required: true
      ipv4_address:
        description:
          - A fixed address on it.
        type: str
      ipv6_address:
        description:
          - A fixed IPv6 address on it.
        type: str
      aliases:
        description:
          - Further names by which others on the network find it.
        type: list
        elements: str
  tmpfs:
    description:
      - Where to mount empty file systems in memory, as C(/path[:options]).
    type: list
    elements: str
  capabilities:
    description:
      - Capabilities to add. With O(hardening=restricted), the only ones that it has.
    type: list
    elements: str
  cap_drop:
    description:
      - Capabilities to drop.
    type: list
    elements: str
  security_opts:
    description:
      - Security options, as for C(docker run --security-opt). A seccomp profile is given as its JSON.
    type: list
    elements: str
  read_only:
    description:
      - Whether the root file system is read-only.
    type: bool
  hardening:
    description:
      - A profile that gives every security option, so that whatever somebody loosened is seen and repaired.
      - V(privileged) has no opinion.
      - V(baseline) lets nothing through that is known to lead to the host. No privileged mode, no namespaces or
        devices of the
        host, no added capabilities but those named, no lifted confinement, no engine's socket, no writable
        C(/proc), C(/sys)
        or C(/dev).
      - V(restricted) adds to it. No capabilities but those named, no new privileges, a read-only root with C(/tmp) and
        C(/run) in memory, the image's own user if it isn't root, else 65534:65534, and limits of memory, cpu and
        processes,
        which are 512M, 1 and 256 where they aren't given.
      - An option that breaks the profile is an error, unless O(hardening_exceptions) names it.
    type: str
    choices: [privileged, baseline, restricted]
  hardening_exceptions:
    description:
      - Options that the profile has no opinion on; C(privileged), C(host_namespaces) and C(devices), too.
    type: list
    elements: str
  recreate:
    description:
      - Whether it is replaced. V(if_needed) does so for changes that it can't take live, V(never) tells of them in
        RV(restart_required), and V(always) replaces it even if nothing changed.
    type: str
    choices: [never, if_needed, always]
    default: if_needed
  timeout:
    description:
      - How long a new container may take to become healthy, in seconds or as V(5m). One without a health check has
        to run
        for two seconds.
    type: str
    default: "60"
notes:
  - A run that was cut short leaves at most containers named C(NAME.strata-next) and C(NAME.strata-previous), which
    the next
    run recognises, tells of and clears up.
seealso:
  - module: strata.virt.docker_container_info
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: A web server that can do nothing else
  strata.virt.docker_container:
    name: web
    image: web:1.0
    hardening: restricted
    capabilities: [NET_BIND_SERVICE]
    tmpfs: [/tmp]
    memory: 512m
    cpus: 1.5
    pids_limit: 256
    published_ports: ["127.0.0.1:8080:8080"]
    volumes: ["/srv/www:/srv/www:ro"]

- name: The same profile, with its own defaults
  strata.virt.docker_container: {name: web, image: web:1.0, hardening: restricted}

- name: Take it away
  strata.virt.docker_container:
    name: web
    state: absent
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
    options: {name: web, image: "web:1.0", memory: 512M, cpus: 1.5, pids_limit: 256, state: started}
    running: null
    facts: {pid: 2809, health: null, exit_code: null}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_container import DockerContainer


def main() -> None:
    converge(DockerContainer)


if __name__ == "__main__":
    main()
