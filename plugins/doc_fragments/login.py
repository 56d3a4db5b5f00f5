# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of logins to registries have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  state:
    description:
      - V(present) logs in, V(absent) logs out.
    type: str
    choices: [present, absent]
    default: present
  username:
    description:
      - Who logs in. Required where nobody is logged in yet, or somebody else is.
    type: str
  password:
    description:
      - The password, or a token in its place. Not given, it is not compared.
    type: str
  reauthorize:
    description:
      - Whether the registry is asked on every run if it still takes what is kept. If not, the task fails.
    type: bool
    default: false
    aliases: [reauth]
"""
