# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stack applied last, per resource: a plain file that may be deleted at any time.

It is what tells "no longer declared" from "never declared". Without it, options that were dropped stay as they are, and
every engine is asked for what is the stack's. One that is there and empty says that nothing is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from . import files
from .field import Field, table_of
from .plan import hidden
from .resource import Resource

FOLDER = "/var/lib/strata/stacks"


def path(stack: str) -> str:
    return f"{FOLDER}/{stack}.json"


def load(stack: str) -> dict[str, dict[str, Any]] | None:
    """The options applied last, by entry; None where there is no record or it can't be read."""
    try:
        return dict(json.loads(files.read(path(stack)) or "{}")["resources"])
    except (ValueError, KeyError, TypeError):
        return None


def save(stack: str, resources: Mapping[str, Mapping[str, Any]], *, whole: bool = False) -> None:
    """Keep the record, if it says anything new. Secrets are in it as hashes only.

    Args:
        stack: The stack.
        resources: The options, by entry.
        whole: It is known that nothing else is this stack's, so that a record of nothing is one, too.
    """
    # One line a resource: read easily, and written ten times faster than with indent=1.
    lines = [f"{json.dumps(entry)}: {json.dumps(resources[entry], sort_keys=True)}" for entry in sorted(resources)]
    text = '{"version": 1, "resources": {\n' + ",\n".join(lines) + "\n}}\n"
    if (resources or whole) and files.read(path(stack)) != text:
        files.write(path(stack), text, 0o600)


def names(resources: Mapping[str, Mapping[str, Any]], kind: type[Resource]) -> list[str]:
    """The names of one kind in a record."""
    identity = kind.field(kind.identity)
    kept = [options for key, options in resources.items() if key.startswith(f"{kind.kind}/")]
    return [str(identity.decode(options[kind.identity])) for options in kept if kind.identity in options]


def options(resource: Resource) -> dict[str, Any]:
    """A resource's options as they are kept."""
    return _kept(resource.table, resource.options)


def _kept(fields: Iterable[Field], given: Mapping[str, Any]) -> dict[str, Any]:
    words = table_of(fields).words
    return {name: _as_kept(words.get(name), value) for name, value in given.items()}


def _as_kept(field: Field | None, value: Any) -> Any:
    if field is None or value is None:
        return value
    if field.secret:
        return hidden(value)
    if field.codec.row and isinstance(value, Mapping):
        return _kept(field.codec.row, value)
    if field.codec.row and isinstance(value, (list, tuple)):
        return [_kept(field.codec.row, entry) if isinstance(entry, Mapping) else entry for entry in value]
    return field.recorded(value)
