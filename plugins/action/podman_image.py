# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows what ``podman_image`` is doing while it does it."""

from __future__ import annotations

from ansible_collections.strata.virt.plugins.plugin_utils.progress import LongAction


class ActionModule(LongAction):
    """All of it is shared."""
