# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""transfer: src dest back: a file into a guest and back, by what a connection itself does, without a module."""

from __future__ import annotations

import os

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _requires_connection = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        source, place, back = (self._task.args[name] for name in ("src", "dest", "back"))
        os.makedirs(os.path.dirname(back), exist_ok=True)
        self._connection.put_file(source, place)
        self._connection.fetch_file(place, back)
        return {**result, "changed": True}
