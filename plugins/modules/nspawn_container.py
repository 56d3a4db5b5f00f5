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
      - V(stopped) powers it off and waits until it is off.
      - V(absent) powers it off and takes its settings, its drop-in and its place at boot away. The tree stays.
    type: str
    choices: [started, present, stopped, absent]
    default: started
  image:
    description:
      - The tree to run, as an absolute path, or the name of one in C(/var/lib/machines).
      - A new machine for which it is not given has the one of its own name.
      - For a tree that is somewhere else, C(/var/lib/machines/NAME) becomes a symbolic link to it.
      - The tree must be there. It is never changed and never removed.
    type: str
  enabled:
    description:
      - Whether it is started when the host boots.
    type: bool
  boot:
    description:
      - Whether the tree's init is started, C([Exec] Boot=). A machine that nobody declared otherwise for boots.
      - Where it doesn't, give what to run in O(settings), as the key C(Parameters) of C(Exec).
    type: bool
  network_bridge:
    description:
      - The bridge that the host's end of the machine's interface joins, C([Network] Bridge=). Implies O(network_veth).
    type: str
  network_veth:
    description:
      - Whether the machine has a network of its own and an interface in it, C([Network] VirtualEthernet=).
      - V(false) leaves it in the host's network, unless O(settings) say otherwise.
    type: bool
  private_users:
    description:
      - The machine's user namespace, C([Exec] PrivateUsers=). V(pick) finds a free range of IDs, V(identity) maps IDs
        to themselves, V(no) uses none; a number, or two joined by V(:), is the first ID and how many there are.
      - A machine that nobody declared otherwise for has V(pick).
    type: str
  settings:
    description:
      - Other settings of the .nspawn file, as sections with their keys; see C(systemd.nspawn(5)).
      - Only the keys that are given are managed. A list assigns a key several times, V(null) takes it away.
      - Keys that have an option of their own are refused.
    type: dict
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

- name: One program in a tree, with a host name of its own
  strata.virt.nspawn_container:
    name: worker
    image: /srv/trees/worker
    boot: false
    settings:
      Exec:
        Parameters: /usr/bin/worker --verbose
        Hostname: worker
      Files:
        BindReadOnly: [/srv/data, /etc/ssl/certs]

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
