# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of secrets and configs of a swarm have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  state:
    description:
      - V(present) keeps it, V(absent) forgets it.
    type: str
    choices: [present, absent]
    default: present
  data:
    description:
      - What is kept, 500 KiB at most. A new one needs it, or O(data_src).
    type: str
  data_is_b64:
    description:
      - Whether O(data) is encoded in Base64, for what is no text.
    type: bool
    default: false
  data_src:
    description:
      - A file on the managed host with what is kept.
    type: str
  recreate:
    description:
      - Whether it may be made anew. V(never) tells of changes in RV(restart_required).
    type: str
    choices: [never, if_needed, always]
    default: if_needed
  labels:
    description:
      - Labels to set. Others stay as they are.
    type: dict
"""
