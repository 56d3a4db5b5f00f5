# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that put a file into a container have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  container:
    description:
      - The name or ID of the container.
    type: str
    required: true
  path:
    description:
      - The file of the managed host.
    type: str
  content:
    description:
      - The content itself. Needs O(mode). The diff shows it, unless the task says C(no_log=true).
    type: str
  content_is_b64:
    description:
      - Whether O(content) is in Base64, for what is no text.
    type: bool
    default: false
  mode:
    description:
      - The permissions, in octal digits and in quotes. Those of the file O(path) where they are not given.
    type: raw
  group_id:
    description:
      - The number of the group in the container, likewise.
    type: int
  follow:
    description:
      - Whether a link at O(container_path) is followed, inside the container. Else a link that is there makes way for
        the file.
    type: bool
    default: false
  local_follow:
    description:
      - Whether a link at O(path) is followed. Else it is put into the container as a link.
    type: bool
    default: true
  force:
    description:
      - V(true) puts it there each time, V(false) only where nothing is there.
    type: bool
"""
