#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_quadlet
short_description: Containers, pods, networks and volumes of Podman as services of systemd
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Writes a quadlet, has Podman's generator look at it first, and starts, restarts and stops the service that
    comes of it, root's or a plain user's, who needs no login session.
  - The file is this module's alone. One of the same name that somebody else wrote is refused.
  - A service that runs from an older file goes on until a restart is allowed, and is told of in RV(restart_required).
extends_documentation_fragment:
  - strata.virt.converges
requirements:
  - Podman 5.0 or newer and systemd on the managed host
options:
  name:
    description:
      - The quadlet. The service of a container is called so, too; that of other sorts has the sort at its end. The
        container itself is called C(systemd-NAME), unless O(settings) give it a C(ContainerName).
    type: str
    required: true
  state:
    description:
      - V(started) writes it and starts its service, and with O(container.healthcheck) waits until it is healthy.
        V(stopped) stops it, V(present) leaves it as it is, V(absent) stops it and takes the file away.
    type: str
    choices: [started, stopped, present, absent]
    default: started
  restart:
    description:
      - Whether a service that runs from an older file may be restarted. V(never) tells of it in RV(restart_required).
    type: str
    choices: [never, if_needed, always]
    default: never
  timeout:
    description:
      - How long a start or a stop may take, as V(120) or V(2m).
    type: str
    default: "120"
  user_scope:
    description:
      - Whose quadlet it is. Not given, that of the user who runs the module. For another user than oneself, root is
        needed, and the file goes where that user can't write.
    type: str
  sort:
    description:
      - What it is of. It need not be given with one of the options of that name.
    type: str
    choices: [container, pod, kube, volume, network, image, build]
  enabled:
    description:
      - Whether the service of a container, a pod or of Kubernetes' YAML starts at boot.
    type: bool
    default: true
  linger:
    description:
      - Whether the services of a plain user go on, and start at boot, without a login session.
    type: bool
    default: true
  container:
    description:
      - A container, in the words of M(strata.virt.podman_container). All of it is compared.
    type: dict
    suboptions:
      image:
        description: What it is made from.
        type: str
      command:
        description: What is run, with its arguments. A string is taken apart as a shell would.
        type: raw
      entrypoint:
        description: What runs it, in place of the image's own entry point.
        type: list
        elements: str
      env:
        description: All variables. Quote numbers and truths.
        type: dict
      labels:
        description: All labels.
        type: dict
      published_ports:
        description: Ports to publish, as C([address:][port:]container[/protocol]).
        type: list
        elements: str
      volumes:
        description:
          - What to mount, as C(/host/path:/path[:ro,Z]) or C(volume:/path). A volume of a quadlet is
            C(NAME.volume).
        type: list
        elements: str
      tmpfs:
        description: Empty file systems in memory, as C(/path[:options]).
        type: list
        elements: str
      networks:
        description: Its networks. One of a quadlet is C(NAME.network).
        type: list
        elements: dict
        suboptions:
          name:
            description: The network.
            type: str
            required: true
          ipv4_address:
            description: A fixed address on it.
            type: str
          ipv6_address:
            description: A fixed address on it.
            type: str
          mac_address:
            description: A fixed hardware address.
            type: str
          aliases:
            description: Further names on it.
            type: list
            elements: str
      network_mode:
        description: V(host), V(none), V(pasta) or C(container:NAME).
        type: str
      hostname:
        description: The name that it has for itself.
        type: str
      user:
        description: Whom it runs as.
        type: str
      groups:
        description: Further groups.
        type: list
        elements: str
      working_dir:
        description: Where its program starts.
        type: str
      read_only:
        description: Whether the root file system is read-only, with C(/run) and C(/tmp).
        type: bool
      capabilities:
        description: Capabilities to add.
        type: list
        elements: str
      cap_drop:
        description: Capabilities to take away; V(ALL) for all.
        type: list
        elements: str
      security_opts:
        description: Further options of security, as V(no-new-privileges).
        type: list
        elements: str
      userns_mode:
        description: Its user namespace, as V(keep-id) or V(auto).
        type: str
      devices:
        description: Devices, as C(/dev/fuse[:path[:rwm]]).
        type: list
        elements: str
      sysctls:
        description: Kernel parameters of its namespaces.
        type: dict
      ulimits:
        description: Limits of resources, as V(nofile:1024:2048).
        type: list
        elements: str
      dns_servers:
        description: Name servers.
        type: list
        elements: str
      dns_search_domains:
        description: Search domains.
        type: list
        elements: str
      dns_opts:
        description: Options of the resolver.
        type: list
        elements: str
      etc_hosts:
        description: Further names in C(/etc/hosts), with their addresses.
        type: dict
      init:
        description: Whether a small init reaps processes in it.
        type: bool
      stop_signal:
        description: The signal that stops it.
        type: str
      stop_timeout:
        description: Seconds between that signal and SIGKILL.
        type: int
      healthcheck:
        description: How it is found out whether it is healthy. Its service has started once it is.
        type: dict
        suboptions:
          test:
            description: The command. A string is run by a shell; a list begins with V(CMD), V(CMD-SHELL) or V(NONE).
            type: raw
          interval:
            description: The time between two checks, as V(30s).
            type: str
          timeout:
            description: How long one check may take.
            type: str
          start_period:
            description: How long failures don't count after the start.
            type: str
          retries:
            description: How many failures in a row make it unhealthy.
            type: int
      log_driver:
        description: Where its output goes, as V(journald).
        type: str
      shm_size:
        description: The size of C(/dev/shm).
        type: str
      pids_limit:
        description: The most processes; V(max) for no limit.
        type: str
      memory:
        description: The most memory, as V(512m); V(max) for no limit.
        type: str
      memory_reservation:
        description: The memory that it is left with when the host is short of it.
        type: str
      cpus:
        description: The most processors, as V(1.5); V(max) for no limit.
        type: str
      cpu_shares:
        description: Its share of the processors, relative to others.
        type: int
      cpuset_cpus:
        description: The processors that it may use, as V(0-1).
        type: str
      pod:
        description: The pod that it is in, one of another quadlet.
        type: str
  pod:
    description:
      - A pod, by the keys of the section C([Pod]), such as C(PublishPort). A list repeats a key.
    type: dict
  kube:
    description:
      - Kubernetes' YAML, by the keys of the section C([Kube]), such as C(Yaml).
    type: dict
  volume:
    description:
      - A volume, by the keys of the section C([Volume]).
    type: dict
  network:
    description:
      - A network, by the keys of the section C([Network]), such as C(Subnet).
    type: dict
  image:
    description:
      - An image to pull, by the keys of the section C([Image]).
    type: dict
  build:
    description:
      - An image to build, by the keys of the section C([Build]).
    type: dict
  settings:
    description:
      - Further sections with their keys, such as C(Restart) of C(Service). A list repeats a key; what is given
        here comes
        in the place of what other options say.
    type: dict
seealso:
  - module: strata.virt.podman_quadlet_info
  - module: strata.virt.podman_container
"""

EXAMPLES = r"""
- name: A web server of a plain user, from boot on
  strata.virt.podman_quadlet:
    name: web
    user_scope: deploy
    container: {image: "localhost/myweb:1.0", published_ports: ["8082:8080"]}
    settings: {Service: {Restart: always}}
    state: started
  become: true

- name: A network for others, as root
  strata.virt.podman_quadlet: {name: back, network: {Subnet: 10.89.5.0/24}}

- name: Take them away
  strata.virt.podman_quadlet: {name: web, user_scope: deploy, state: absent}
  become: true
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - field: "content[Container.Image]"
      before: ["localhost/myweb:1.0"]
      after: ["localhost/myweb:1.1"]
      effect: restart
      layer: running
restart_required:
  description: What runs otherwise than its file says, where O(restart) forbids a restart.
  returned: always
  type: list
  elements: str
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: web.container
    status: running
    owner: ""
    options: {name: web, sort: container, settings: {Container: {Image: "localhost/myweb:1.0"}}, state: started}
    running: {outdated: false}
    facts:
      path: /etc/containers/systemd/users/1001/web.container
      service: web.service
      active: active
      sub: running
      result: success
      pid: 2711
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_quadlet import PodmanQuadlet


def main() -> None:
    converge(PodmanQuadlet)


if __name__ == "__main__":
    main()
