# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that run a program in a container have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  container:
    description:
      - The name or ID of the container.
    type: str
    required: true
  argv:
    description:
      - The program and its arguments.
    type: list
    elements: str
  command:
    description:
      - The same in one line, split into words as a shell does it, but for anything else that a shell does.
    type: str
  chdir:
    description:
      - The folder in the container to run it in. That of the container where it is not given.
    type: str
  user:
    description:
      - Who runs it, as C(user) or C(user:group), by name or number. The user of the container where it is not given.
    type: str
  env:
    description:
      - Variables on top of those of the container.
    type: dict
  stdin:
    description:
      - What it reads.
    type: str
  stdin_add_newline:
    description:
      - Whether a newline is added to O(stdin).
    type: bool
    default: true
  strip_empty_ends:
    description:
      - Whether newlines at the end of what it writes are left out.
    type: bool
    default: true
  tty:
    description:
      - Whether it has a terminal. Its errors are among its output then.
    type: bool
    default: false
  detach:
    description:
      - Whether it is left to itself, and its status is not waited for.
    type: bool
    default: false
  removes:
    description:
      - A path in the container. Where it doesn't exist, nothing runs.
    type: str
"""
