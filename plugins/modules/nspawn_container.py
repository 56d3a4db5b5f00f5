#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nspawn_container
short_description: Containers of systemd-nspawn, run as systemd's own units
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Keeps a machine of systemd-nspawn on a directory tree that is there already.
  - The machine is an instance of systemd's template unit C(systemd-nspawn@.service). Its settings are in
    C(/etc/systemd/nspawn/NAME.nspawn), its limits in a drop-in of the unit. What other people have written there stays.
  - O(memory), O(cpus) and O(pids_limit) change while the machine runs. Everything else takes effect when it is started
    again, see O(restart).
extends_documentation_fragment:
  - strata.virt.limits
  - strata.virt.converges
requirements:
  - systemd 247 or newer on cgroup v2
  - systemd-nspawn (package systemd-container)
options:
  name:
    description:
      - The machine, a host name of at most 64 letters, digits, V(-) and V(.).
    type: str
    required: true
  state:
    description:
      - V(started) makes it and starts it. Where it boots, that is done when the guest's systemd has finished its boot.
      - V(present) makes it and leaves it running or stopped.
      - V(restarted) is V(started), and starts it anew on every run.
      - V(stopped) powers it off and waits until it is off.
      - V(absent) powers it off and takes its settings, its drop-in and its place at boot away. The tree stays,
        unless it is a clone that was made for the machine, see O(image).
    type: str
    choices: [started, present, stopped, restarted, absent]
    default: started
  image:
    description:
      - The tree to run, as an absolute path, or the name of an image in C(/var/lib/machines), a tree or a disk.
      - A new machine for which it is not given has the one of its own name.
      - For a tree that is somewhere else, C(/var/lib/machines/NAME) becomes a symbolic link to it.
      - Of an image that is read-only, see M(strata.virt.nspawn_image), the machine gets a clone of its own at
        C(/var/lib/machines/NAME), once, and O(state=absent) takes that away. With O(read_only) or O(ephemeral) it runs
        from the image itself, and so can many at once.
      - The tree must be there. It is never changed and never removed.
    type: str
  enabled:
    description:
      - Whether it is started when the host boots.
    type: bool
  boot:
    description:
      - Whether the tree's init is started, C([Exec] Boot=). A machine that nobody declared otherwise for boots.
      - Where it doesn't, give what to run in O(command).
    type: bool
  command:
    description:
      - The program to run and its arguments, one entry a word; with O(boot), arguments of the init.
    type: list
    elements: str
  env:
    description:
      - Variables of its environment, as V(NAME=value).
    type: list
    elements: str
  user:
    description:
      - The user of the tree that the command runs as. An init is always root's.
    type: str
  working_directory:
    description:
      - The directory of the tree that the command begins in.
    type: str
  hostname:
    description:
      - Its host name; V('') is the machine's name.
    type: str
  ephemeral:
    description:
      - Whether it runs from a snapshot of the tree that is gone when it stops. Several machines can then have one
        O(image).
    type: bool
  private_users:
    description:
      - The machine's user namespace, C([Exec] PrivateUsers=). V(pick) finds a free range of IDs, V(identity) maps IDs
        to themselves, V(no) uses none; a number, or two joined by V(:), is the first ID and how many there are.
      - A machine that nobody declared otherwise for has V(pick).
    type: str
  capabilities:
    description:
      - Capabilities that it has besides those that systemd-nspawn gives, such as V(NET_ADMIN); V(ALL) is all.
    type: list
    elements: str
  cap_drop:
    description:
      - Capabilities that it doesn't have; V(ALL) is all.
    type: list
    elements: str
  ambient_capabilities:
    description:
      - Capabilities that its command has although it isn't root's.
    type: list
    elements: str
  no_new_privileges:
    description:
      - Whether programs can't gain rights from set-user-ID bits and capabilities of files.
    type: bool
  system_call_filter:
    description:
      - System calls, and groups of them such as V(@keyring), that it may use besides those that systemd-nspawn lets
        it; with V(~) before one, that it may not.
    type: list
    elements: str
  resolv_conf:
    description:
      - How its C(/etc/resolv.conf) comes about, see C(systemd-nspawn(1)).
      - One of V(off), V(copy-host), V(copy-static), V(copy-uplink), V(copy-stub), the same four with V(replace-) or
        V(bind-), V(delete), V(auto).
    type: str
  timezone:
    description:
      - How its C(/etc/localtime) comes about. One of V(off), V(copy), V(bind), V(symlink), V(delete), V(auto).
    type: str
  link_journal:
    description:
      - Whether its journal is seen by the host's C(journalctl).
      - One of V(no), V(host), V(try-host), V(guest), V(try-guest), V(auto). A machine that nobody declared otherwise
        for has V(try-guest).
    type: str
  read_only:
    description:
      - Whether the tree is mounted read-only. O(tmpfs) is where it can write then.
    type: bool
  binds:
    description:
      - Files and directories of the host that are seen in the machine; V([]) takes all of them away.
      - A device is let through by the unit's device policy, too.
    type: list
    elements: dict
    suboptions:
      source:
        description:
          - The path on the host. With V(+) before it, a path of the tree; V('') is a directory that is gone when the
            machine stops.
        type: str
        required: true
      path:
        description: Where it is seen; where it is not given, the path is the same.
        type: str
      read_only:
        description: Whether it can't be written to.
        type: bool
      options:
        description: Options of the mount, such as V(idmap), V(rootidmap) or V(norbind), joined by V(,).
        type: str
  overlays:
    description:
      - Directories laid over each other; V([]) takes all of them away.
    type: list
    elements: dict
    suboptions:
      path:
        description: Where it is seen.
        type: str
        required: true
      lower:
        description: The directories to read from, the uppermost first. With V(+) before it, one is of the tree.
        type: list
        elements: str
        required: true
      upper:
        description:
          - The directory that takes what is written. Without one, the overlay is read-only; V('') is a directory that
            is gone when the machine stops.
        type: str
  tmpfs:
    description:
      - Directories that are in memory, with options of the mount after a V(:), as V(/tmp:size=64m).
    type: list
    elements: str
  inaccessible:
    description:
      - Paths of the tree that nobody in the machine gets at.
    type: list
    elements: str
  network_bridge:
    description:
      - The bridge that the host's end of the machine's interface joins, C([Network] Bridge=). Implies O(network_veth).
      - V('') is none.
    type: str
  network_zone:
    description:
      - The zone that it joins, C([Network] Zone=), a bridge that systemd-nspawn makes for those who name it. Implies
        O(network_veth). V('') is none.
    type: str
  network_veth:
    description:
      - Whether the machine has a network of its own and an interface in it, C([Network] VirtualEthernet=).
      - V(false) leaves it in the host's network, unless another option gives it one of its own.
    type: bool
  network_veth_extra:
    description:
      - More pairs of interfaces, as V(HOST) or V(HOST:CONTAINER).
    type: list
    elements: str
  network_interfaces:
    description:
      - Interfaces of the host that are moved into the machine while it runs.
    type: list
    elements: str
  network_macvlan:
    description:
      - Interfaces of the host on which the machine gets a macvlan, called C(mv-) and the name.
    type: list
    elements: str
  network_ipvlan:
    description:
      - Interfaces of the host on which the machine gets an ipvlan, called C(iv-) and the name.
    type: list
    elements: str
  network_namespace:
    description:
      - The network namespace that it runs in, by its name (M(strata.virt.netns), C(ip netns)) or by a path.
      - Nothing else that gives a machine a network goes with it. V('') is none.
    type: str
  ports:
    description:
      - Ports of the host that lead into the machine, as V(tcp:8080:80), the host's first. V(tcp) where no protocol is
        given, and the same port inside where no second one is.
      - They follow the machine's first address, so it needs one.
    type: list
    elements: str
  settings:
    description:
      - Other settings, as sections with their keys. C([Exec]), C([Files]) and C([Network]) go into the .nspawn file,
        see C(systemd.nspawn(5)); C([Unit]) and C([Service]), such as C(Restart) or C(After), into the unit's drop-in,
        where they hold at once.
      - Only the keys that are given are managed. A list assigns a key several times, V(null) takes it away.
      - A key that has an option of its own counts as that option.
    type: dict
  hardening:
    description:
      - What the machine is held to, see the guide. V(privileged) says nothing. V(baseline) has nothing that is known to
        lead out. V(restricted) adds a user namespace, a read-only root with C(/tmp) and C(/run) to write to, no new
        privileges, no capabilities but those of O(capabilities), and limits.
      - It counts as giving all those options; what is given besides and breaks it is refused.
    type: str
    choices: [privileged, baseline, restricted]
  hardening_exceptions:
    description:
      - Options that the profile leaves alone.
    type: list
    elements: str
  restart:
    description:
      - Whether a running machine is restarted for a change that it can't take while it runs. V(never) stores the change
        and names it in RV(restart_required). V(always) restarts it on every run.
    type: str
    choices: [never, if_needed, always]
    default: never
  timeout:
    description:
      - How long to wait for it to start or to stop, in seconds or as V(5m).
    type: str
    default: "120"
seealso:
  - module: strata.virt.nspawn_image
  - module: strata.virt.nspawn_info
  - module: strata.virt.stack
"""

EXAMPLES = r"""
- name: A Debian tree on a bridge, with limits
  strata.virt.nspawn_container:
    name: deb
    image: /var/lib/machines/deb
    state: started
    boot: true
    network_bridge: br0
    memory: 2G
    cpus: 1.5
    private_users: pick

- name: One program, with little to do harm with, restarted when it fails
  strata.virt.nspawn_container:
    name: worker
    image: /srv/trees/worker
    boot: false
    command: [/usr/bin/worker, --verbose]
    hostname: worker
    tmpfs: ["/tmp:size=64m"]
    binds:
      - {source: /srv/data, read_only: true}
    cap_drop: [SYS_ADMIN, SYS_PTRACE]
    no_new_privileges: true
    settings:
      Service: {Restart: on-failure}

- name: An image that nobody writes to
  strata.virt.nspawn_image:
    name: golden
    source: {rootfs: /srv/trees/base}
    read_only: true

- name: A machine with a clone of it, and nothing that is known to lead out
  strata.virt.nspawn_container:
    name: build
    image: golden
    boot: false
    command: [/usr/bin/worker]
    memory: 1G
    cpus: 1
    pids_limit: 512
    hardening: baseline

- name: Take it away; the tree stays
  strata.virt.nspawn_container:
    name: deb
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: memory, before: 1G, after: 2G, effect: next_boot, layer: config}
    - {field: memory, before: 1G, after: 2G, effect: live, layer: running}
restart_required:
  description: Options that are stored and that the running machine takes only when it is started again.
  returned: always
  type: list
  elements: str
  sample: [network_bridge]
resource:
  description: What the host has now. C(running) is what the running machine runs with.
  returned: always
  type: dict
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.nspawn_container import NspawnContainer


def main() -> None:
    converge(NspawnContainer)


if __name__ == "__main__":
    main()
