# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work shows where it is: the one action plugin of all modules that take long.

The module runs in the background on the host, as ``async`` does it, and keeps a line in a file there
(``module_utils/core/progress.py``). Meanwhile the line is fetched now and then, and shown when it is another one.
"""

from __future__ import annotations

import json
import shlex
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.strata.virt.plugins.module_utils.core.progress import VARIABLE

display = Display()

LONGEST = 24 * 3600
"""Seconds after which a module is ended that is still at work."""

_PAUSES = (0.2, 0.3, 0.5, 1, 1, 2)  # seconds between looks; the last one again and again
_QUIET = 3  # seconds from one line to the next, at least
_MARK = "--strata--"
_JOB = ("ansible_job_id", "finished", "started", "results_file")


class LongAction(ActionBase):
    """Runs the module of its own name; a subclass may say which tasks take long."""

    _supports_async = True

    def takes_long(self) -> bool:
        return True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(None, task_vars)
        del tmp
        watched = not self._task.async_val and not self._task.check_mode and self.takes_long()
        if watched:
            result.update(self._watch(task_vars or {}))
        else:
            result.update(self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val))
        return result

    def _watch(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        folder = self._remote_expand_user(self.get_shell_option("async_dir", default="~/.ansible_async"))
        line = f"{folder}/strata-{uuid.uuid4().hex}"
        with self._background({VARIABLE: line}):
            job: dict[str, Any] = self._execute_module(task_vars=task_vars, wrap_async=True)
        if "ansible_job_id" not in job:
            return job
        self._show_until_done(job["results_file"], line, task_vars.get("inventory_hostname", ""))
        result: dict[str, Any] = self._execute_module(
            "ansible.legacy.async_status",
            {"jid": job["ansible_job_id"], "mode": "status", "_async_dir": folder},
            task_vars=task_vars,
        )
        self._shell(f"rm -f {shlex.quote(job['results_file'])} {shlex.quote(line)}")
        return {key: value for key, value in result.items() if key not in _JOB}

    @contextmanager
    def _background(self, variables: Mapping[str, str]) -> Iterator[None]:
        """What the task would be with ``async``."""
        environment = self._task.environment
        self._task.environment = [*(environment or ()), dict(variables)]
        self._task.async_val = LONGEST
        try:
            yield
        finally:
            self._task.async_val = 0
            self._task.environment = environment

    def _shell(self, words: str) -> str:
        return str(self._low_level_execute_command(words).get("stdout") or "")

    def _show_until_done(self, results: str, line: str, host: str) -> None:
        pauses = iter(_PAUSES)
        pause = next(pauses)
        shown, last = "", 0.0
        look = f"cat {shlex.quote(results)}; echo; echo {_MARK}; cat {shlex.quote(line)} 2>/dev/null || true"
        while True:
            told, _mark, text = self._shell(look).partition(_MARK)
            if _is_done(told):
                return
            text = text.strip()
            if text not in ("", shown) and time.monotonic() - last >= _QUIET:
                display.display(f"[{host}] {text}")
                shown, last = text, time.monotonic()
            time.sleep(pause)
            pause = next(pauses, pause)


def _is_done(told: str) -> bool:
    """Whether the file of a background job has the result of its module, and not only that it has begun."""
    try:
        job = json.loads(told)
    except ValueError:
        # Not there: it was taken away, or the host was started again. ``async_status`` has the words for that.
        return not told.strip()
    return "started" not in job or bool(job.get("finished"))
