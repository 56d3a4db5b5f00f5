# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stacks of all kinds and those of one family have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - The owner of what is created. It is noted in each engine's own metadata.
      - The stack keeps a record of what it applied last, C(/var/lib/strata/stacks/NAME.json). An option that an entry
        gave before and gives no longer goes back to its default.
    type: str
    required: true
  resources:
    description:
      - The entries, each one kind with its options, the same as those of the module of that name.
    type: list
    elements: dict
    required: true
  prune:
    description:
      - Remove what this stack made and no longer declares.
    type: bool
    default: false
  parallel:
    description:
      - How many independent resources are changed at a time.
    type: int
    default: 4
"""
