#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: probe
short_description: Wait until what a host runs does what it is there for
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Asks over HTTP, TCP, or by a command on the host or in a guest of it, until each answers as it should. All are asked
    at the same time, from the host itself.
  - The task fails where one of them never does, and tells of each what it found instead.
  - It changes nothing, as long as the commands that it is given don't.
  - In check mode the options are looked at, and nothing is asked.
attributes:
  check_mode:
    description: Can run in check mode and predict changes without making any.
    support: full
  diff_mode:
    description: Returns what changed, or would.
    support: N/A
options:
  probes:
    description: What is asked. Each has one of O(probes[].http), O(probes[].tcp) and O(probes[].command).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What it is called in errors. What it asks, where it is not given.
        type: str
      http:
        description: A request (GET), past any proxy. A redirection is not followed, but an answer like any other.
        type: dict
        suboptions:
          url:
            description: The address, beginning with C(http://) or C(https://).
            type: str
            required: true
          status:
            description: The statuses that are right.
            type: list
            elements: int
            default: [200]
          body:
            description: A regular expression that something in the first mebibyte of the answer matches.
            type: str
          headers:
            description: Headers of the request. They are never shown.
            type: dict
          validate_certs:
            description: Whether the certificate has to be one that the host trusts.
            type: bool
            default: true
      tcp:
        description: A connection, which is closed at once.
        type: dict
        suboptions:
          host:
            description: The name or the address.
            type: str
            default: 127.0.0.1
          port:
            description: The port.
            type: int
            required: true
      command:
        description: A program, which has to leave with status 0. No shell is between, unless the program is one.
        type: dict
        suboptions:
          argv:
            description: The program and its arguments.
            type: list
            elements: str
            required: true
          engine:
            description: The engine of the guest that it runs in, entered as by P(strata.virt.guest#connection).
            type: str
            default: host
            choices: [host, chroot, process, namespace, netns, nspawn, lxc, docker, podman, libvirt]
          guest:
            description: The guest, as its engine knows it. Needed with all engines but V(host).
            type: str
          user:
            description: The user of the guest who runs it.
            type: str
            default: root
          stdout:
            description: A regular expression that something in its standard output matches.
            type: str
      retries:
        description: How many more times it is asked when it was not as it should be.
        type: int
        default: 10
      delay:
        description: How long to wait between two times, as V(3s) or V(1m30s).
        type: str
        default: 3s
      timeout:
        description: How long one answer may take. A program that takes longer is killed.
        type: str
        default: 10s
seealso:
  - module: strata.virt.stack
  - plugin: strata.virt.guest
    plugin_type: connection
"""

EXAMPLES = r"""
- name: The registry answers, though not to everybody, and nothing has failed
  strata.virt.probe:
    probes:
      - name: registry
        http: {url: "http://127.0.0.1:5019/v2/", status: [401], body: authentication required}
      - tcp: {port: 22}
      - command: {argv: [systemctl, is-active, docker.service], stdout: ^active$}
        retries: 3
        delay: 1s
"""

RETURN = r"""
probes:
  description: What was asked, and how often until it was as it should be. Nothing in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: registry, tries: 1}
    - {name: "127.0.0.1:22", tries: 1}
msg:
  description: What was found instead, of each that was not as it should be.
  returned: on failure
  type: str
  sample: "registry: answered with status 503, and not 401 (tried 11 times)"
"""

from ansible_collections.strata.virt.plugins.module_utils.acts import probe
from ansible_collections.strata.virt.plugins.module_utils.core.doors import act


def main() -> None:
    act(probe.FIELDS, probe.run)


if __name__ == "__main__":
    main()
