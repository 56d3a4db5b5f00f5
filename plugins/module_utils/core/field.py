# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Field: one option is one line.

From a kind's table of Fields come its argument_spec, its validation, its comparison, its diff and its export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from .codec import TEXT, Codec
from .errors import StrataError
from .plan import Change, Effect, Layer


class Role(Enum):
    """What an option is for."""

    NAME = "name"  # tells the resource from its siblings
    SETTING = "setting"  # compared, changed, exported
    POLICY = "policy"  # how to converge: state, restart, timeouts
    CONNECT = "connect"  # which engine to speak to
    DERIVED = "derived"  # compared, but no option: the kind works it out


@dataclass(frozen=True)
class Field:
    """One option of a kind.

    Attributes:
        name: The option.
        codec: How its values are read, normalised and printed.
        at: Where it lives, in the words of the kind's engine (a file, a key, a path in a document).
        effect: What changing it costs a running workload.
        default: The canonical value that the engine has where nobody declared one. An option that a stack
            declared before and no longer does goes back to it.
        given: The value of the option in a task that doesn't give it; None: unmanaged.
        role: What the option is for.
        required: A task must give it.
        choices: The values that are allowed.
        aliases: Other names of the option.
        secret: Never shown.
        public: Shown, though its name sounds like that of a secret; Ansible wants to be told.
        export: Whether an export writes it; off for what the engine derives.
        check: Raises ValueError for canonical values that are not allowed.
    """

    name: str
    codec: Codec = TEXT
    at: Any = None
    effect: Effect = Effect.RECREATE
    default: Any = None
    given: Any = None
    role: Role = Role.SETTING
    required: bool = False
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    secret: bool = False
    public: bool = False
    export: bool = True
    check: Callable[[Any], None] | None = None

    def argument(self) -> dict[str, Any]:
        """The option's entry in an argument_spec."""
        entry: dict[str, Any] = {"type": self.codec.type}
        if self.codec.elements:
            entry["elements"] = self.codec.elements
        if self.codec.row:
            entry["options"] = arguments(self.codec.row)
        if self.required:
            entry["required"] = True
        if self.given is not None:
            entry["default"] = self.given
        if self.choices:
            entry["choices"] = list(self.choices)
        if self.aliases:
            entry["aliases"] = list(self.aliases)
        if self.secret or self.public:
            entry["no_log"] = self.secret
        return entry

    def decode(self, value: Any) -> Any:
        """The canonical value of what a user gave.

        Raises:
            StrataError: It names the option, the value and the reason.
        """
        try:
            decoded = self.codec.parse(value)
            if self.check is not None:
                self.check(decoded)
        except StrataError as error:
            error.option = f"{self.name}.{error.option}" if error.option else self.name
            raise
        except ValueError as error:
            shown = None if self.secret else value
            raise StrataError(str(error), option=self.name, value=shown) from None
        return decoded

    def show(self, value: Any) -> Any:
        """The printable form of a canonical value."""
        if value is None:
            return None
        if self.codec.single:
            return encode(self.codec.row, value)
        if self.codec.row:
            return [encode(self.codec.row, row) for row in value]
        return self.codec.show(value)

    def recorded(self, value: Any) -> Any:
        """What a record has of an option that isn't a secret as a whole."""
        return value

    def stands(self, value: Any) -> Any:
        """The value that holds where ``value`` was read: the engine's default where it said nothing."""
        return self.default if value is None else value

    def changes(self, before: Any, after: Any, effect: Effect, layer: Layer) -> Iterator[Change]:
        """What tells ``before`` from ``after``, entry by entry where the field has entries."""
        before = self.stands(before)
        if self.codec.single:
            yield from self._leaf_changes(before or {}, after, effect, layer)
        elif self.codec.row:
            yield from self._row_changes(before or (), after or (), effect, layer)
        elif self.codec.partial:
            for key in sorted(after or {}):
                old, new = (before or {}).get(key), after[key]
                if old != new:
                    yield Change(self.name, old, new, effect, layer, key, self.secret)
        elif before != after:
            yield Change(self.name, self.show(before), self.show(after), effect, layer, None, self.secret)

    def _leaf_changes(self, before: Any, after: Any, effect: Effect, layer: Layer) -> Iterator[Change]:
        for leaf in self.codec.row:
            if after is not None and leaf.name not in after:
                continue
            wanted = leaf.default if after is None else after[leaf.name]
            had = leaf.stands(before.get(leaf.name))
            if had != wanted:
                shown = (leaf.show(had), leaf.show(wanted))
                yield Change(self.name, *shown, effect, layer, leaf.name, self.secret or leaf.secret)

    def _row_changes(
        self, before: Iterable[Any], after: Iterable[Any], effect: Effect, layer: Layer
    ) -> Iterator[Change]:
        old, new = self.keyed(before), self.keyed(after)
        for key in sorted(old.keys() | new.keys()):
            had, has = old.get(key), new.get(key)
            # Within an entry, too, what isn't given isn't managed.
            seen = None if had is None else {name: had.get(name) for name in (has or had)}
            wanted = None if has is None else dict(has)
            if seen is not None and wanted is not None:
                for leaf in self.codec.row:
                    if leaf.name in seen:
                        seen[leaf.name] = leaf.stands(seen[leaf.name])
            if seen != wanted:
                shown = [None if row is None else encode(self.codec.row, row) for row in (seen, wanted)]
                yield Change(self.name, shown[0], shown[1], effect, layer, key, self.secret)

    def renewed(self, now: Any, last: Any) -> Any:
        """What is given now, and within its entries the defaults of what they gave last time and give no more."""
        if not self.codec.row or self.secret or not last:
            return now
        if self.codec.single:
            return _renewed(self.codec.row, now, _recorded(self.codec.row, last))
        if self.codec.key is None:
            return now
        before = self.keyed(_recorded(self.codec.row, entry) for entry in last)
        return tuple(_renewed(self.codec.row, row, before.get(self.codec.key(row), {})) for row in now)

    def keyed(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """The rows of a table by their natural key."""
        key = self.codec.key
        return {str(place) if key is None else key(row): row for place, row in enumerate(rows)}


class Fields(tuple[Field, ...]):
    """A table of Fields.

    Few of a table's options are given, and many resources give the same ones: nobody goes through all of it for each.
    """

    @cached_property
    def words(self) -> dict[str, Field]:
        """The Fields by their names and their aliases."""
        return {word: field for field in self for word in (field.name, *field.aliases)}

    @cached_property
    def _asked(self) -> dict[tuple[str, ...], tuple[Field, ...]]:
        return {}

    def of(self, names: Iterable[str]) -> tuple[Field, ...]:
        """The Fields of some names, in the table's order; names of others are passed over."""
        key = tuple(names)
        if key not in self._asked:
            self._asked[key] = tuple(field for field in self if field.name in key)
        return self._asked[key]


def table_of(fields: Iterable[Field]) -> Fields:
    """Fields to be found by their words."""
    return fields if isinstance(fields, Fields) else Fields(fields)


def _recorded(row: Iterable[Field], entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a record, in which secrets are not themselves: only that they were given counts."""
    row = tuple(row)
    secrets = {leaf.name: None for leaf in row if leaf.secret and entry.get(leaf.name) is not None}
    return {**decode([leaf for leaf in row if not leaf.secret], entry), **secrets}


def _renewed(row: Iterable[Field], now: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    """An entry, with the defaults of the leaves that ``last`` has and ``now`` has not."""
    renewed = dict(now)
    for leaf in row:
        if leaf.name not in last:
            continue
        if leaf.name not in now and leaf.default is not None:
            renewed[leaf.name] = leaf.default
        elif leaf.name in now and leaf.codec.single:
            renewed[leaf.name] = _renewed(leaf.codec.row, now[leaf.name], last[leaf.name])
    return renewed


def table(*leaves: Field, key: Callable[[Mapping[str, Any]], str] | None = None) -> Codec:
    """A codec for a list of entries, each with Fields of its own, told apart by a natural key."""
    row = Fields(leaves)

    def parse(entries: Any) -> tuple[dict[str, Any], ...]:
        rows = [decode(row, entry) for entry in entries]
        if key is None:
            return tuple(rows)
        keys = [key(entry) for entry in rows]
        twice = sorted({one for one in keys if keys.count(one) > 1})
        if twice:
            raise ValueError(f"names {', '.join(twice)} twice")
        return tuple(sorted(rows, key=key))

    return Codec(parse, "list", list, "dict", row=row, key=key)


def structure(*leaves: Field) -> Codec:
    """A codec for one mapping with Fields of its own; leaves that aren't given aren't managed."""
    row = Fields(leaves)
    return Codec(lambda entry: decode(row, entry), "dict", dict, row=row, single=True)


def arguments(fields: Iterable[Field]) -> dict[str, Any]:
    """The argument_spec of a table of Fields."""
    return {field.name: field.argument() for field in fields if field.role is not Role.DERIVED}


def decode(fields: Iterable[Field], options: Mapping[str, Any]) -> dict[str, Any]:
    """Canonical values of the options that were given; None and missing mean unmanaged."""
    given = [name for name, value in options.items() if value is not None]
    return {field.name: field.decode(options[field.name]) for field in table_of(fields).of(given)}


def encode(fields: Iterable[Field], values: Mapping[str, Any]) -> dict[str, Any]:
    """Printable options from canonical values."""
    return {field.name: field.show(values[field.name]) for field in fields if values.get(field.name) is not None}
