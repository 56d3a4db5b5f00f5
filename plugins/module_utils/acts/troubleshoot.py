# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong, how one sees it, why it matters, and what helps: of one topic."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from ..core.codec import LINE
from ..core.diagnosis import UNREAD, diagnose
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..engines.hostfiles import Host
from ..troubles import network_checks, permissions_checks, vm_checks

TOPICS = {"network": network_checks.TOPIC, "permissions": permissions_checks.TOPIC, "vm": vm_checks.TOPIC}

_LATELY = 3600  # seconds that refusals and errors are looked for in logs


def _absolute(path: str) -> None:
    if not path.startswith("/"):
        raise ValueError("is no absolute path")


FIELDS = (
    Field("topic", LINE, role=Role.NAME, required=True, choices=tuple(TOPICS)),
    Field("path", LINE, check=_absolute),
    Field("user", LINE),
    Field("vm", LINE),
    Field("workload", LINE),
)


def tell(spec: Mapping[str, Any], _check_mode: bool) -> dict[str, Any]:
    topic = TOPICS[spec["topic"]]
    for field in FIELDS[1:]:
        if spec.get(field.name) is not None and field.name not in topic.options:
            others = " and ".join(name for name, other in TOPICS.items() if field.name in other.options)
            raise StrataError(
                f"is no option of the topic {spec['topic']}", option=field.name, hint=f"It is one of {others}"
            )
    now = time.time()
    about = {"root": os.geteuid() == 0, "now": now, "since": now - _LATELY}
    facts = topic.read(Host(), {**spec, **about})
    told = diagnose(topic.checks, facts)
    return {"changed": False, **told, "seen": {name: value for name, value in facts.items() if name != UNREAD}}
