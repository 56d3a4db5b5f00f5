# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of a stack, validated as Ansible validates the options of a task."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .errors import StrataError
from .resource import Resource

Kinds = Callable[[str], "type[Resource] | None"]


class Entries:
    """What reads entries: ``{kind: options}``.

    Args:
        kinds: Finds a kind by its name; None where there is none.
        known: The names of all kinds, for the error message.
    """

    def __init__(self, kinds: Kinds, known: Sequence[str]) -> None:
        self.kinds = kinds
        self.known = known
        self.validators: dict[Hashable, ArgumentSpecValidator] = {}
        self.tables: dict[type[Resource], frozenset[str]] = {}

    def read(self, entry: Any) -> tuple[type[Resource], dict[str, Any]]:
        """The kind that an entry is of, and its options.

        Raises:
            StrataError: It isn't a kind with options, or some of them are wrong.
        """
        if not isinstance(entry, Mapping) or len(entry) != 1:
            raise StrataError("an entry is one kind and its options", value=entry, hint="Write {kind: {name: ...}}")
        ((word, options),) = entry.items()
        kind = self.kinds(str(word))
        if kind is None:
            raise StrataError(f"there is no kind {word!r}", hint=f"Kinds are: {', '.join(self.known)}")
        if not isinstance(options, Mapping):
            raise StrataError("the options of an entry are a mapping", entry=str(word), value=options)
        checked = self._validator(kind, options).validate(_Uncopied(options))
        if checked.error_messages:
            raise StrataError("; ".join(checked.error_messages), entry=f"{word}/{options.get(kind.identity)}")
        return kind, checked.validated_parameters

    def _validator(self, kind: type[Resource], options: Mapping[str, Any]) -> ArgumentSpecValidator:
        """One for all entries that give the same options: it looks at each option that it knows a dozen times."""
        if kind not in self.tables:
            self.tables[kind] = _tables(kind)
        tables = self.tables[kind]
        given = {name: _inner(value) if name in tables else frozenset() for name, value in options.items()}
        key = kind, frozenset(given.items())
        if key not in self.validators:
            spec = _asked_for(kind.argument_spec(), given, kind.identity)
            for name, entry in spec.items():
                words = {name, *entry.get("aliases", ())} & given.keys()
                rows = frozenset().union(*(given[word] for word in words))
                if "options" in entry and rows:
                    inner = entry["options"]
                    preset = [one for one, its in inner.items() if "default" in its]
                    spec[name] = {**entry, "options": _asked_for(inner, rows, *preset)}
            self.validators[key] = ArgumentSpecValidator(spec)
        return self.validators[key]


class _Uncopied(dict[str, Any]):
    """Options that are the stack's own. The validator copies what it is given, at a third of its whole cost."""

    def __deepcopy__(self, _memo: object) -> dict[str, Any]:
        return dict(self)


def _tables(kind: type[Resource]) -> frozenset[str]:
    """The words for those options of a kind whose values have options of their own."""
    return frozenset(word for one in kind.fields if one.codec.row for word in (one.name, *one.aliases))


def _inner(value: Any) -> frozenset[str]:
    """The names of what is given within an option: of an entry, or of all rows of a list."""
    rows = value if isinstance(value, (list, tuple)) else [value]
    return frozenset().union(*(row for row in rows if isinstance(row, Mapping)))


def _asked_for(spec: Mapping[str, Any], given: Collection[str], *needed: str) -> dict[str, Any]:
    """What an argument_spec has to say of options that are given, and of those that count where they aren't."""
    known = {name: {name, *entry.get("aliases", ())}.intersection(given) for name, entry in spec.items()}
    if not frozenset(given) <= frozenset().union(*known.values()):
        return dict(spec)  # the complaint names all that there are
    return {name: entry for name, entry in spec.items() if known[name] or entry.get("required") or name in needed}
