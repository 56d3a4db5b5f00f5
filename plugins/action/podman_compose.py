# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows what ``podman_compose`` is doing while it does it."""

from __future__ import annotations

from ansible_collections.strata.virt.plugins.plugin_utils.progress import LongAction


class ActionModule(LongAction):
    """What only goes or stops is soon done."""

    def takes_long(self) -> bool:
        return self._task.args.get("state") not in ("absent", "stopped")
