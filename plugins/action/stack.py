# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends no more of the collection to a host than a stack needs.

Ansible packs a module with what it sees imported in it, and parses all of that before: of every kind together that
takes as long as a whole playbook that does nothing. So a stack runs by a module that imports the kinds of its entries.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.plugins.action.normal import ActionModule as Normal
from ansible.plugins.loader import module_loader

from ansible_collections.strata.virt.plugins.module_utils.kinds.registry import KINDS

WHOLE = "strata.virt.stack"

_BASE = "ansible_collections.strata.virt.plugins.module_utils"
_SOURCE = f"""#!/usr/bin/python
from {_BASE}.core.doors import converge_stack
from {_BASE}.kinds import {{kinds}}
from {_BASE}.kinds.registry import KINDS, find

if __name__ == "__main__":
    converge_stack(find, KINDS)
"""


def declared(options: dict[str, Any]) -> list[str]:
    """The kinds of a stack's entries; none where there is something wrong with one of them."""
    entries = options.get("resources")
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        return []
    kinds = {str(kind) for entry in entries for kind in entry}
    return sorted(kinds) if kinds <= KINDS.keys() else []


def packed(kinds: Collection[str]) -> str:
    """The name of a module for a stack of some kinds, which Ansible can find from then on."""
    name = f"strata_stack_{hashlib.sha256(' '.join(kinds).encode()).hexdigest()[:12]}"
    # This run's own, and gone with it. Each in a folder of its own: Ansible looks into a folder once, and a loop's next
    # item may be of other kinds.
    folder = Path(C.DEFAULT_LOCAL_TMP, name)
    folder.mkdir(mode=0o700, exist_ok=True)
    # Other workers may be at it: what is found is whole.
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as file:
        file.write(_SOURCE.format(kinds=", ".join(kinds)))
    os.replace(file.name, folder / f"{name}.py")
    module_loader.add_directory(str(folder))
    return f"ansible.legacy.{name}"


class ActionModule(Normal):
    """What Ansible does with every module, but for which one it is."""

    def _execute_module(self, module_name: str | None = None, **more: Any) -> dict[str, Any]:
        run: Callable[..., dict[str, Any]] = super()._execute_module
        if module_name is not None:  # what Ansible itself needs beside it
            return run(module_name=module_name, **more)
        kinds = declared(self._task.args)
        # What runs in the background tells nobody here what it lacks.
        alone = self._task.args.get("prune") and more.get("wrap_async")
        result = run(module_name=packed(kinds) if kinds and not alone else WHOLE, **more)
        return run(module_name=WHOLE, **more) if result.get("unpacked") else result
