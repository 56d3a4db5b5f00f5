# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every kind of this collection promises."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
notes:
  - An option that is not given is not compared and not touched.
  - Check mode and diff mode show exactly what a run does, because both come from the same plan.
attributes:
  check_mode:
    description: Can run in check mode and predict changes without making any.
    support: full
  diff_mode:
    description: Returns what changed, or would.
    support: full
options: {}
"""
