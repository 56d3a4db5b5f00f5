# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of images have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - The image, as V(web), V(web:1.0) or V(registry.example.com:5000/team/web:1.0).
    type: str
    required: true
  tag:
    description:
      - The tag, where O(name) has none.
    type: str
    default: latest
  state:
    description:
      - V(present) makes it, V(absent) takes this tag away, and the image with its last one. An image that a container
        was made from is refused, and the containers are named.
    type: str
    choices: [present, absent]
    default: present
  force_source:
    description:
      - Builds or loads on every run; pulls where the registry has another digest than the host.
    type: bool
    default: false
  repository:
    description:
      - Further references of the same image. Others that it has stay.
    type: list
    elements: str
  archive_path:
    description:
      - A file on the managed host that it is saved to, unless that has the same image under the same name.
    type: str
"""
