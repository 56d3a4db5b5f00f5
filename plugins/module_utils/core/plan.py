# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was observed, what is to change and what that costs: data only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Effect(Enum):
    """What a change costs the workload, from cheapest to dearest."""

    LIVE = "live"
    NEXT_BOOT = "next_boot"
    RESTART = "restart"
    RECREATE = "recreate"
    CREATE = "create"
    REMOVE = "remove"


class Layer(Enum):
    """Where a value lives: what the engine has stored, or what runs right now."""

    CONFIG = "config"
    LIVE = "running"


HIDDEN = "********"


def hidden(value: Any) -> str:
    """What stands for a secret in a record: it tells another one, and nothing else."""
    return f"{HIDDEN} sha256:{hashlib.sha256(repr(value).encode()).hexdigest()}"


@dataclass(frozen=True)
class Change:
    """One value that is not as declared. ``before`` and ``after`` are printable.

    ``key`` names the entry where the field is a table (a port, a disk, a network).
    """

    field: str
    before: Any
    after: Any
    effect: Effect
    layer: Layer = Layer.CONFIG
    key: str | None = None
    secret: bool = False

    @property
    def name(self) -> str:
        return self.field if self.key is None else f"{self.field}[{self.key}]"

    def as_result(self) -> dict[str, Any]:
        hide = self.secret
        return {
            "field": self.name,
            "before": HIDDEN if hide and self.before is not None else self.before,
            "after": HIDDEN + " (new)" if hide and self.after is not None else self.after,
            "effect": self.effect.value,
            "layer": self.layer.value,
        }


@dataclass(frozen=True)
class State:
    """What a host has, in canonical values.

    Attributes:
        status: ``absent``, ``present``, ``stopped``, ``running`` or a word of the kind's own.
        config: What the engine has stored, by field name.
        live: What runs right now, by field name; None where nothing runs or the engine keeps one layer only.
        facts: Other things a plan or a report needs (image IDs, paths, capabilities of the host).
        owner: The stack that made it, ``""`` for one made by a single task, None for somebody else's.
        document: What the engine itself said, for kinds that hand it on in their result.
    """

    status: str = "absent"
    config: Mapping[str, Any] = field(default_factory=dict)
    live: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    owner: str | None = None
    document: Any = None

    @property
    def exists(self) -> bool:
        return self.status != "absent"


ABSENT = State()


@dataclass(frozen=True)
class Plan:
    """What has to be done, and in which steps.

    Attributes:
        changes: Everything that will be different afterwards.
        deferred: What runs otherwise than declared, and policy forbids to interrupt it for.
        steps: The verbs of the resource that bring it about, in order.
        state: What the plan was made from.
        want: The canonical values that it leads to, by field name.
        target: The status that it leads to.
    """

    changes: tuple[Change, ...] = ()
    deferred: tuple[Change, ...] = ()
    steps: tuple[str, ...] = ()
    state: State = ABSENT
    want: Mapping[str, Any] = field(default_factory=dict)
    target: str = "absent"

    def __bool__(self) -> bool:
        return bool(self.changes)

    def of(self, layer: Layer) -> dict[str, Any]:
        """The canonical values to bring into one layer, by field name."""
        fields = {change.field for change in self.changes if change.layer is layer}
        return {name: self.want[name] for name in self.want if name in fields}

    @property
    def restart_required(self) -> list[str]:
        return sorted({change.name for change in self.deferred})

    def diff(self, title: str) -> dict[str, Any]:
        """The before and after that Ansible's ``--diff`` prints."""
        sides: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        for change in self.changes:
            shown = change.as_result()
            prefix = "running." if change.layer is Layer.LIVE else ""
            for side, value in zip(sides, (shown["before"], shown["after"])):
                if value is not None:
                    side[prefix + change.name] = value
        return {"before_header": title, "after_header": title, "before": sides[0], "after": sides[1]}
