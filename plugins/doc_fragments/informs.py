# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every ``_info`` module of this collection promises."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and predict changes without making any.
    support: full
  diff_mode:
    description: Returns what changed, or would.
    support: N/A
options: {}
"""
