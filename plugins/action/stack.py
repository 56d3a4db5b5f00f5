# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends no more of the collection to a host than a stack needs."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action.normal import ActionModule as Normal

from ansible_collections.strata.virt.plugins.module_utils.kinds.registry import FAMILIES


def door(options: dict[str, Any]) -> str:
    """The module for a stack: that of the family that all its entries are of. Pruning asks after all that may be."""
    entries = options.get("resources")
    if options.get("prune") or not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        return "strata.virt.stack"
    kinds = {kind for entry in entries for kind in entry}
    found = (family for family, known in FAMILIES.items() if kinds and kinds <= known.keys())
    return next((f"strata.virt.stack_{family}" for family in found), "strata.virt.stack")


class ActionModule(Normal):
    """What Ansible does with every module, but for which one it is."""

    def _execute_module(self, module_name: str | None = None, **more: Any) -> dict[str, Any]:
        result: dict[str, Any] = super()._execute_module(module_name=module_name or door(self._task.args), **more)
        return result
