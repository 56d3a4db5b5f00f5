#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxc_container
short_description: LXC containers, their configuration and what of it changes while they run
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes an LXC container from a template, a root file system, another container or a snapshot, keeps its
    configuration file, and starts, stops and freezes it.
  - The configuration is written before the first start. Of an existing one only what is declared changes; comments,
    other keys, their order and C(lxc.include) stay.
  - The limits change while the container runs. O(autostart), O(start_order) and O(start_delay) are for the next boot.
    Everything else takes effect when the container is started again, see O(restart).
extends_documentation_fragment:
  - strata.virt.limits
  - strata.virt.converges
requirements:
  - LXC 4 or newer on cgroup v2; LXC 5 and Linux 5.12 for O(unprivileged) by root
  - python3-lxc
options:
  name:
    description:
      - The container.
    type: str
    required: true
  state:
    description:
      - V(started) makes it, starts it and waits until it is up; a frozen one is thawed. It is up when its own first
        program runs and, where that is systemd, when systemd has finished its boot.
      - V(present) makes it and leaves it running or stopped.
      - V(stopped) shuts it down; what doesn't go in O(timeout) is killed.
      - V(frozen) has it running, with all its processes halted.
      - V(restarted) is V(started), and a running one is stopped before, on every run.
      - V(absent) shuts it down and removes it with its root file system, where that is a plain folder below its own;
        one that lies anywhere else stays. A container that has snapshots is not removed.
    type: str
    choices: [started, present, stopped, frozen, restarted, absent]
    default: started
  template:
    description:
      - What C(lxc-create) makes the container from, a template's name as V(busybox) or V(download), or the path of a
        script.
      - This or O(source) is needed to make a container, and neither is looked at afterwards.
    type: str
  template_options:
    description:
      - What the template is called with.
    type: list
    elements: str
  source:
    description:
      - What the container is made from, one of O(source.rootfs), O(source.container), O(source.download),
        O(source.local) and O(source.oci).
      - A tree is copied as it is, without LXC's hooks and through no link in it. Where the file system can (btrfs,
        xfs), the copy shares blocks and takes no time.
    type: dict
    suboptions:
      rootfs:
        description: A root file system, as M(strata.virt.rootfs) makes them. It isn't changed.
        type: str
      container:
        description:
          - Another container of the same O(lxc_path), which doesn't run. Its configuration is taken over, without its
            hardware addresses.
        type: str
      snapshot:
        description: The snapshot of O(source.container) to take instead of what it has now; then it may run.
        type: str
      download:
        description: An image of an image server, by LXC's template C(download).
        type: dict
        suboptions:
          distribution:
            description: The distribution, as V(debian).
            type: str
            required: true
          release:
            description: Its release, as V(trixie).
            type: str
            required: true
          architecture:
            description: The architecture, as V(amd64).
            type: str
            required: true
          variant:
            description: The variant, as V(cloud).
            type: str
          server:
            description: The server; LXC's own is V(images.linuxcontainers.org).
            type: str
      local:
        description: An image of an image server in two files, by LXC's template C(local).
        type: dict
        suboptions:
          metadata:
            description: The archive C(meta.tar.xz).
            type: str
            required: true
          tree:
            description: The archive C(rootfs.tar.xz).
            type: str
            required: true
      oci:
        description:
          - An OCI image, as V(docker://registry.example.com/web:1) or V(oci:/srv/images:web), by LXC's template
            C(oci). It needs skopeo, umoci and jq.
        type: str
  unprivileged:
    description:
      - Whether the container has a user namespace, so that its root is nobody on the host.
      - For root, the tree stays as it is and is shifted by its mount, so that this can be changed at any time. For a
        plain user, the tree is shifted on the disk when it is made, and this must be V(true).
    type: bool
  id_map:
    description:
      - The first ID of the host that the container's IDs are, and how many, as V(100000:65536).
      - Where it is not given, the one that there is stays; else it is the first 65536 that C(/etc/subuid) and
        C(/etc/subgid) both give who runs this.
    type: str
  read_only:
    description:
      - Whether the root is mounted read-only. What O(mounts) need is made in it before.
    type: bool
  networks:
    description:
      - The network interfaces, in order, C(lxc.net.0) first. V([]) leaves the container nothing but a loopback
        interface.
      - An interface that is there already, by its name, by its type and link, or by its place, keeps the keys that
        are not given, such as its hardware address.
      - Where the option is not given for a new container, it has what C(lxc.default_config) says.
    type: list
    elements: dict
    suboptions:
      type:
        description:
          - The kind of interface. V(none) shares the host's network, V(empty) has a loopback interface only.
        type: str
        required: true
        choices: [veth, macvlan, ipvlan, vlan, phys, none, empty]
      link:
        description:
          - The host's bridge or interface.
        type: str
      name:
        description:
          - What the interface is called inside.
        type: str
      hwaddr:
        description:
          - Its hardware address.
        type: str
      flags:
        description:
          - V(up) has LXC bring it up.
        type: str
        default: up
      mtu:
        description:
          - The largest packet, in bytes.
        type: int
      addresses:
        description:
          - Its addresses, with their prefix, as V(10.0.3.20/24). V([]) is none.
        type: list
        elements: str
      gateway:
        description:
          - Where packets go that are not for its own networks. V(auto) is the bridge's own address, V(dev) the
            interface itself.
        type: str
      gateway6:
        description:
          - The same for IPv6.
        type: str
      vlan_id:
        description:
          - The VLAN, for O(networks[].type=vlan).
        type: int
      mode:
        description:
          - V(bridge) or V(router) of a veth; V(private), V(vepa), V(bridge) or V(passthru) of a macvlan; V(l2), V(l3)
            or V(l3s) of an ipvlan.
        type: str
      host_name:
        description:
          - What the host's end of a veth is called.
        type: str
  mounts:
    description:
      - What is mounted in it, exactly; what the template or an included file brought along stays.
      - Where the place isn't there, it is made. LXC goes through no link that a guest has put on the way to it.
    type: list
    elements: dict
    suboptions:
      target:
        description:
          - The place below the container's root, as V(srv/www). A slash before it means the same.
        type: str
        required: true
      source:
        description:
          - The host's directory or file, an absolute path; what a file system of another type is mounted from.
        type: str
      type:
        description:
          - V(bind), or a type of file system as V(tmpfs).
        type: str
        default: bind
      read_only:
        description:
          - Whether it can't be written.
        type: bool
        default: false
      options:
        description:
          - More options, one an entry, as V(nosuid), V(size=64m), or V(optional), with which the container starts
            without it.
        type: list
        elements: str
  devices:
    description:
      - The host's devices that it may use, exactly, besides those of LXC's own files.
    type: list
    elements: dict
    suboptions:
      path:
        description:
          - A device below C(/dev), which is there under the same name inside.
        type: str
      permissions:
        description:
          - What is allowed, letters of V(rwm). It is V(rwm) where it is not given.
        type: str
      rule:
        description:
          - Devices by their numbers, as V(c 10:* rwm), without anything in C(/dev).
        type: str
  cap_drop:
    description:
      - The capabilities that the container doesn't have, as V(sys_module) or V(CAP_SYS_MODULE), exactly;
        C(lxc.cap.drop).
      - The templates' own lists are replaced by it, also where they are included.
    type: list
    elements: str
  cap_keep:
    description:
      - The capabilities that the container has, and no others; C(lxc.cap.keep). V([]) is none at all.
    type: list
    elements: str
  no_new_privileges:
    description:
      - Whether no program can gain rights, as set-user-ID programs do.
    type: bool
  apparmor_profile:
    description:
      - The AppArmor profile; V(generated) is one that LXC makes for this container alone.
    type: str
  seccomp_profile:
    description:
      - A file of system calls, as M(strata.virt.seccomp_profile) writes them for LXC; V('') is none.
    type: str
  hardening:
    description:
      - What the container is held to, see the guide. V(privileged) says nothing. V(baseline) has nothing that is known
        to lead out. V(restricted) adds a user namespace, a read-only root with C(/tmp), C(/run) and C(/dev/shm) to
        write to, no new privileges, no capabilities but those of O(cap_keep), and limits.
      - It counts as giving all those options; what is given besides and breaks it is refused.
    type: str
    choices: [privileged, baseline, restricted]
  hardening_exceptions:
    description:
      - Options that the profile leaves alone.
    type: list
    elements: str
  autostart:
    description:
      - Whether it is started at boot, by C(lxc.service), which is enabled for it. Only for containers in
        C(/var/lib/lxc).
    type: bool
  start_order:
    description:
      - Those with higher numbers are started first.
    type: int
  start_delay:
    description:
      - How many seconds to wait after it before the next one is started at boot.
    type: int
  cpu_weight:
    description:
      - The share of cpu time against siblings when there is too little of it, from V(1) to V(10000); the kernel's own
        is V(100).
    type: str
  memory_high:
    description:
      - The memory above which the processes are slowed down and memory is taken back from them; nothing is killed for
        it.
    type: str
  memory_low:
    description:
      - The memory that is taken back only if there is none to be had elsewhere. V(0) is no protection.
    type: str
  memory_swap:
    description:
      - The most swap, besides O(memory) and not counting it. V(0) is none, V(max) no limit.
    type: str
  io_weight:
    description:
      - The share of io against siblings, from V(1) to V(10000).
    type: int
  cpuset_cpus:
    description:
      - The cpus to run on, as V(0-3,8); V('') is all that there are. Compared as a set.
    type: str
  cpuset_mems:
    description:
      - The memory nodes to take memory from, as V(0-1); V('') is all that there are.
    type: str
  config:
    description:
      - Other keys of the configuration, as in C(lxc.container.conf(5)).
      - Only the keys that are given are managed. A list is for keys that may stand there several times, such as
        C(lxc.mount.entry), and replaces the lines of the container's own file; V(null) takes a key away.
      - A key that a given option owns is refused.
    type: dict
  lxc_path:
    description:
      - Where the containers are. For a plain user, the default is what LXC has as that user's own.
    type: str
    default: /var/lib/lxc
  restart:
    description:
      - Whether a running container is restarted for a change that it can't take while it runs. V(never) stores the
        change and names it in RV(restart_required). V(always) restarts it on every run.
    type: str
    choices: [never, if_needed, always]
    default: never
  timeout:
    description:
      - How long to wait for it to start or to stop, in seconds or as V(5m).
    type: str
    default: "120"
seealso:
  - module: strata.virt.lxc_snapshot
  - module: strata.virt.lxc_info
  - module: strata.virt.rootfs
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: A container with limits and few capabilities
  strata.virt.lxc_container:
    name: myct
    template: busybox
    state: started
    memory: 256M
    cpus: 0.5
    pids_limit: 128
    networks: [{type: veth, link: lxcbr0}]
    cap_drop: [sys_module, mac_admin, mac_override]
    apparmor_profile: generated

- name: A web server's system, held to as little as it needs, and there after a boot
  strata.virt.lxc_container:
    name: web1
    source: {rootfs: /var/lib/machines/deb}
    unprivileged: true
    state: started
    autostart: true
    memory: 1G
    cpus: 2
    pids_limit: 256
    hardening: restricted
    networks: [{type: veth, link: lxcbr0, addresses: [10.0.3.20/24]}]
    mounts: [{source: /srv/www, target: srv/www, read_only: true}]
    timeout: 5m

- name: A container to copy others from
  strata.virt.lxc_container:
    name: worker-base
    source: {rootfs: /srv/trees/worker}
    state: stopped

- name: A copy of it
  strata.virt.lxc_container:
    name: worker1
    source: {container: worker-base}
    state: stopped

- name: Take it away
  strata.virt.lxc_container:
    name: myct
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: memory, before: 256M, after: 512M, effect: next_boot, layer: config}
    - {field: memory, before: 256M, after: 512M, effect: live, layer: running}
restart_required:
  description: Options that are stored and that the running container takes only when it is started again.
  returned: always
  type: list
  elements: str
  sample: ["networks[0]"]
resource:
  description: What the host has now. C(running) is what the running container runs with.
  returned: always
  type: dict
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.lxc_container import LxcContainer


def main() -> None:
    converge(LxcContainer)


if __name__ == "__main__":
    main()
