# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows what ``qemu_image`` is doing while it does it."""

from __future__ import annotations

from ansible_collections.strata.virt.plugins.plugin_utils.progress import LongAction


class ActionModule(LongAction):
    """Only copying a disk takes long."""

    def takes_long(self) -> bool:
        return bool(self._task.args.get("convert_from"))
