# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits that mean the same everywhere, whatever they limit."""

from __future__ import annotations

from typing import Any

from .codec import CPUS, MAX, MEMORY, PIDS
from .field import Field
from .plan import Effect


def memory(at: Any = None, effect: Effect = Effect.LIVE) -> Field:
    """The most memory, in bytes; without swap, as in cgroup v2's memory.max."""
    return Field("memory", MEMORY, at, effect, default=MAX)


def cpus(at: Any = None, effect: Effect = Effect.LIVE) -> Field:
    """The most cpu time per time, in cpus."""
    return Field("cpus", CPUS, at, effect, default=MAX)


def pids_limit(at: Any = None, effect: Effect = Effect.LIVE) -> Field:
    """The most processes and threads."""
    return Field("pids_limit", PIDS, at, effect, default=MAX)
