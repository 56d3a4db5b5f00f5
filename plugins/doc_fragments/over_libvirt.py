# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module of libvirt reaches a hypervisor."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  uri:
    description:
      - The hypervisor to connect to.
    type: str
    default: qemu:///system
"""
