#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_nwfilter
short_description: Network filters of libvirt
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Makes a network filter and keeps it as declared. Cards of running domains that have it follow at once.
  - The filters that come with libvirt are never changed, and may be parts of others.
extends_documentation_fragment:
  - strata.virt.over_libvirt
  - strata.virt.converges
requirements:
  - libvirt-python (python3-libvirt)
  - libvirt 7.8 or newer
options:
  name:
    description:
      - The filter, as the cards of domains and other filters name it.
    type: str
    required: true
  state:
    description:
      - V(present) makes it.
      - V(absent) forgets it. Refused while a domain has it, running or not, and while it is a part of another one.
    type: str
    choices: [present, absent]
    default: present
  chain:
    description:
      - Where its rules are looked at, V(root), or a name that begins with V(mac), V(vlan), V(stp), V(arp), V(rarp),
        V(ipv4) or V(ipv6). A new one is in V(root).
    type: str
  priority:
    description:
      - When its chain is looked at among those of C(root), from -1000 to 1000, the lower one first. Where it is not
        given, that follows from the protocol.
    type: int
  rules:
    description:
      - Rules and references to other filters, in their order. Enforced whole.
    type: list
    elements: dict
    suboptions:
      filterref:
        description: Another filter, which counts as if it stood here. An entry has either this or an action.
        type: str
      parameters:
        description: Values for the variables of O(rules[].filterref), one or a list of them for each name.
        type: dict
      action:
        description:
          - What is done with a packet that fits. V(return) goes on where this filter was referred to, V(continue)
            with the next rule.
        type: str
        choices: [drop, reject, accept, return, continue]
      direction:
        description: V(in) to the guest, V(out) of it, or both.
        type: str
        choices: [in, out, inout]
      priority:
        description: From -1000 to 1000, the lower one first. It is 500 where it is not given.
        type: int
      statematch:
        description: Whether packets that belong to a known connection fit, too. They do where this is not given.
        type: bool
      protocol:
        description: What fits. Everything does where it is not given.
        type: str
        choices: [mac, vlan, stp, arp, rarp, ip, ipv6, tcp, udp, sctp, udplite, esp, ah, all,
          tcp-ipv6, udp-ipv6, sctp-ipv6, udplite-ipv6, esp-ipv6, ah-ipv6, all-ipv6, icmp, icmpv6, igmp]
      match:
        description: Whether packets fit that are as O(rules[].attributes) say; V(false) for all others.
        type: bool
      attributes:
        description:
          - What they say, by the attributes that libvirt has for O(rules[].protocol), as
            C(dstportstart), C(state) or C(srcipaddr). Variables are written as V($IP).
        type: dict
  xml:
    description:
      - The filter as libvirt's XML. What an option says besides wins.
    type: str
seealso:
  - module: strata.virt.libvirt_nwfilter_info
  - module: strata.virt.libvirt_domain
"""

EXAMPLES = r"""
- name: Web servers speak with nobody's address but their own, and answer on two ports
  strata.virt.libvirt_nwfilter:
    name: web
    rules:
      - {filterref: clean-traffic}
      - {action: accept, direction: in, protocol: tcp, attributes: {dstportstart: 443}}
      - action: accept
        direction: in
        protocol: tcp
        attributes: {dstportstart: 22, srcipaddr: 192.0.2.0, srcipmask: 24}
      - {action: drop, direction: in, priority: 1000, protocol: all}

- name: One from XML
  strata.virt.libvirt_nwfilter:
    name: no-mail
    xml: |
      <filter name='no-mail' chain='ipv4'>
        <rule action='drop' direction='out'>
          <tcp dstportstart='25'/>
        </rule>
      </filter>

- name: Forget it
  strata.virt.libvirt_nwfilter:
    name: no-mail
    state: absent
"""

RETURN = r"""
changes:
  description: What is different now, or would be, one entry a value.
  returned: always
  type: list
  elements: dict
  sample:
    - {field: "rules[1]", before: null, after: {action: drop, direction: in}, effect: live, layer: config}
resource:
  description: What the host has now.
  returned: always
  type: dict
  sample:
    name: web
    status: present
    owner: ""
    options: {name: web, rules: [{filterref: clean-traffic}], state: present}
    running: null
    facts: {uuid: 29cf53da-93c4-4e7f-832c-0914f09f059a}
"""

from ansible_collections.strata.virt.plugins.module_utils.core.converge import converge
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_nwfilter import LibvirtNwfilter


def main() -> None:
    converge(LibvirtNwfilter)


if __name__ == "__main__":
    main()
