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
  - Limits of cpu, memory and processes, the restart policy and networks change while it runs. Everything else needs a
    new container, which takes over only once it is made, and has to prove itself before the old one goes. If it
    fails, the old one is back.
  - What a task doesn't name is carried over to the new container, volumes without a name and networks above all.
  - What the image gives counts as not set, so that it follows the image.
  - Tasks for C(community.docker.docker_container) run as they are. What differs is told in the collection's
    C(docs/migrating.md).
extends_documentation_fragment:
  - strata.virt.over_docker
  - strata.virt.limits
  - strata.virt.docker_container_process
  - strata.virt.docker_healthcheck
  - strata.virt.docker_container_limits
  - strata.virt.docker_container_networks
  - strata.virt.docker_container_storage
  - strata.virt.docker_mounts
  - strata.virt.docker_container_security
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
      - V(healthy) starts it, too, and waits for its health check. One without a health check counts as healthy.
    type: str
    choices: [started, present, healthy, stopped, absent]
    default: started
  healthy_wait_timeout:
    description:
      - How many seconds O(state=healthy) waits. V(0) is for ever.
    type: float
    default: 300
  paused:
    description:
      - Whether its processes are frozen, where it is to be started. Not given, it is not.
    type: bool
  pull:
    description:
      - V(missing) or V(false) pulls an image that isn't on the host, V(never) doesn't. V(always) or V(true) asks the
        registry whether it has another one under that name.
      - An image that is named by its whole ID is never pulled.
    type: str
    default: missing
  pull_check_mode_behavior:
    description:
      - Has no effect. Check mode asks the registry, too, and tells what it has.
    type: str
    choices: [image_not_present, always]
    default: image_not_present
  image_comparison:
    description:
      - Which image says what counts as given by it, the one that is declared or the one that the container has.
    type: str
    choices: [desired-image, current-image]
    default: desired-image
  image_label_mismatch:
    description:
      - V(fail) has it fail where O(comparisons) says V(strict) of labels and the image has others than declared.
    type: str
    choices: [ignore, fail]
    default: ignore
  image_name_mismatch:
    description:
      - Whether a container of the same image under another name is replaced.
    type: str
    choices: [ignore, recreate]
    default: ignore
  comparisons:
    description:
      - How options are compared otherwise than usual, by their names; C(*) stands for all that aren't named.
      - V(strict) has a list or a mapping be exactly as declared, V(allow_more_present) leaves more of it as it is, and
        V(ignore) leaves the option as it is.
      - Once a new container is needed for another reason, it is as declared in what is ignored, too.
      - What O(hardening) gives is always compared.
    type: dict
  container_default_behavior:
    description:
      - V(compatibility) has O(auto_remove), O(init), O(interactive), O(paused), O(privileged), O(read_only) and O(tty)
        be V(false) and O(memory) unlimited where they are not given. It is there for old tasks.
    type: str
    choices: [compatibility, no_defaults]
    default: no_defaults
  detach:
    description:
      - V(false) waits until it has left, and fails unless its status is 0. Its output is C(Output) in RV(container). It
        runs anew each time.
    type: bool
  cleanup:
    description:
      - Whether it is removed then.
    type: bool
    default: false
  output_logs:
    description:
      - Has no effect. The output is always in the result of O(detach=false).
    type: bool
    default: false
  recreate:
    description:
      - Whether it is replaced. V(if_needed) or V(false) does so for changes that it can't take live, V(never) tells of
        them in RV(restart_required), and V(always) or V(true) replaces it even if nothing changed.
    type: str
    default: if_needed
  restart:
    description:
      - V(always) or V(true) restarts it even if nothing changed, where it is to be started. Else V(never).
    type: str
    default: never
  timeout:
    description:
      - How long a new container may take to become healthy, in seconds or as V(5m). One without a health check has
        to run
        for two seconds.
    type: str
    default: "60"
  force_kill:
    description:
      - Whether it is killed instead of stopped.
    type: bool
    default: false
    aliases: [forcekill]
  kill_signal:
    description:
      - The signal for that, SIGKILL where it is not given.
    type: str
  keep_volumes:
    description:
      - Whether volumes without a name stay when it is removed, and go over to the new container when it is replaced.
    type: bool
    default: true
  removal_wait_timeout:
    description:
      - How many seconds to wait for a removal that is under way already. Not given, for 60.
    type: float
notes:
  - A run that was cut short leaves at most containers named C(NAME.strata-next) and C(NAME.strata-previous), which
    the next
    run recognises, tells of and clears up.
seealso:
  - module: strata.virt.docker_container_info
  - module: strata.virt.docker_image
  - module: strata.virt.docker_network
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

- name: One that is up only once it answers
  strata.virt.docker_container:
    name: api
    image: web:1.0
    healthcheck:
      test: [CMD, /bin/busybox, wget, -qO-, "http://127.0.0.1:8080/"]
      interval: 30s
      start_period: 30s
      start_interval: 1s
    restart_policy: unless-stopped
    log_driver: json-file
    log_options: {max-size: 10m, max-file: "3"}
    ulimits: ["nofile:1024:4096"]
    mounts:
      - {type: bind, source: /srv/www, target: /srv/www, read_only: true}
      - {type: tmpfs, target: /scratch, tmpfs_size: 16m, tmpfs_mode: "1777"}
    state: healthy

- name: Take it away
  strata.virt.docker_container:
    name: web
    state: absent

- name: Take it away at once, with its volumes without a name
  strata.virt.docker_container:
    name: api
    state: absent
    force_kill: true
    keep_volumes: false
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
container:
  description: What C(docker inspect) says of it, and its output as C(Output) where O(detach=false).
  returned: always
  type: dict
  sample: {Id: 1fa3b605c78e, Name: /web, State: {Status: running}}
status:
  description: The status that it left with.
  returned: where O(detach=false)
  type: int
  sample: 0
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_container import DockerContainer


def main() -> None:
    converge(DockerContainer)


if __name__ == "__main__":
    main()
