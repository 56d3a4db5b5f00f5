# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that take away what nobody uses have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  containers:
    description:
      - Whether containers go that ended, or were made and never started. Their volumes stay.
    type: bool
    default: false
  containers_filters:
    description:
      - Which of them. C(label) and C(label!) are labels, as C(key) or C(key=value), that they must or must not have,
        one or a list. C(until) lets only those through that were made before, as C(24h), a date, or a time.
    type: dict
  networks:
    description:
      - Whether networks go that no container is on. One that a stopped container is on stays, because that one could
        not start again without.
    type: bool
    default: false
  networks_filters:
    description:
      - Which of them, by C(label), C(label!) and C(until), as in O(containers_filters).
    type: dict
  volumes:
    description:
      - Whether volumes without a name go that no container has mounted, running or not, and what is in them.
    type: bool
    default: false
  volumes_filters:
    description:
      - Which of them, by C(label) and C(label!), as in O(containers_filters). With C(all=true), also those with a name.
    type: dict
  images:
    description:
      - Whether images go that have no name and that no container was made from.
    type: bool
    default: false
  images_filters:
    description:
      - Which of them, by C(label), C(label!) and C(until), as in O(containers_filters). With C(dangling=false), also
        those with a name.
    type: dict
"""
