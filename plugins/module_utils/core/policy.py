# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that every kind spells alike and that say how to converge, not what."""

from __future__ import annotations

from .codec import NAME, SECONDS, TEXT, Codec
from .field import Field, Role


def name(codec: Codec = NAME) -> Field:
    """What tells the resource from its siblings."""
    return Field("name", codec, role=Role.NAME, required=True)


def state(*words: str) -> Field:
    """The status to lead to; the first word is the default."""
    return Field("state", TEXT, role=Role.POLICY, given=words[0], choices=words)


def restart() -> Field:
    """Whether a change that a running workload can't take live may restart it."""
    return Field("restart", TEXT, role=Role.POLICY, given="never", choices=("never", "if_needed", "always"))


def recreate() -> Field:
    """Whether a change that an existing workload can't take may recreate it."""
    return Field("recreate", TEXT, role=Role.POLICY, given="if_needed", choices=("never", "if_needed", "always"))


def timeout(seconds: int = 60) -> Field:
    """How long to wait for a workload to come up or go down."""
    return Field("timeout", SECONDS, role=Role.POLICY, given=str(seconds))
