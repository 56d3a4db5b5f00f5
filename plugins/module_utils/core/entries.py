# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of a stack, ``{kind: options}``, validated as Ansible validates the options of a task."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .errors import StrataError
from .resource import Resource

Kinds = Callable[[str], "type[Resource] | None"]


class Entry(NamedTuple):
    """One entry: the word that it says for its kind, the kind, and its options."""

    word: str
    kind: type[Resource]
    options: Mapping[str, Any]


def read_entries(entries: Sequence[Any], kinds: Kinds, known: Sequence[str]) -> list[Entry | StrataError]:
    """What each entry says, its options validated; or what is wrong with it.

    Args:
        entries: As they are given.
        kinds: Finds a kind by its name; None where there is none.
        known: The names of all kinds, for the error message.
    """
    said: list[Entry | StrataError] = []
    places: dict[type[Resource], list[int]] = defaultdict(list)
    for place, given in enumerate(entries):
        try:
            entry = _opened(given, kinds, known)
        except StrataError as error:
            said.append(error)
            continue
        said.append(entry)
        places[entry.kind].append(place)
    for kind, its in places.items():
        for place, one in zip(its, _validated(kind, [said[place] for place in its])):
            said[place] = one
    return said


def _opened(given: Any, kinds: Kinds, known: Sequence[str]) -> Entry:
    if not isinstance(given, Mapping) or len(given) != 1:
        raise StrataError("an entry is one kind and its options", value=given, hint="Write {kind: {name: ...}}")
    ((word, options),) = given.items()
    kind = kinds(str(word))
    if kind is None:
        raise StrataError(f"there is no kind {word!r}", hint=f"Kinds are: {', '.join(known)}")
    if not isinstance(options, Mapping):
        raise StrataError("the options of an entry are a mapping", entry=str(word), value=options)
    return Entry(str(word), kind, options)


def _validated(kind: type[Resource], entries: Sequence[Any]) -> Iterator[Entry | StrataError]:
    """Entries of a kind.

    The validator goes through them as through the rows of one option: one by one they cost it half as much again.
    """
    spec = _asked_for(kind.argument_spec(), [entry.options for entry in entries], kind.identity, preset=False)
    whole = ArgumentSpecValidator({"rows": {"type": "list", "elements": "dict", "options": spec}})
    checked = whole.validate(_Copied(rows=[_copied(entry.options) for entry in entries]))
    if not checked.error_messages:
        yield from (entry._replace(options=row) for entry, row in zip(entries, checked.validated_parameters["rows"]))
        return
    single = ArgumentSpecValidator(spec)  # tells which of them is wrong
    for entry in entries:
        checked = single.validate(_Copied(_copied(entry.options)))
        text = "; ".join(checked.error_messages)
        name = f"{entry.word}/{entry.options.get(kind.identity)}"
        yield StrataError(text, entry=name) if text else entry._replace(options=checked.validated_parameters)


class _Copied(dict[str, Any]):
    """What the validator, which writes into it, need not copy: that would be a third of its whole cost."""

    def __deepcopy__(self, _memo: object) -> dict[str, Any]:
        return dict(self)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied(one) for name, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, (list, tuple)) else value


def _asked_for(spec: Mapping[str, Any], rows: Sequence[Any], *needed: str, preset: bool = True) -> dict[str, Any]:
    """What an argument_spec has to say of what rows give.

    The validator looks at each option that it knows a dozen times, whether it is given or not.

    Args:
        spec: All of it.
        rows: What was given.
        needed: Options that count where they aren't given, too.
        preset: Whether those that have a default do.
    """
    given = set().union(*(row for row in rows if isinstance(row, Mapping)))
    words = {name: {name, *option.get("aliases", ())} & given for name, option in spec.items()}
    if not given <= set().union(*words.values()):
        return dict(spec)  # the complaint names all that there are
    asked = {}
    for name, option in spec.items():
        if words[name] or name in needed or option.get("required") or (preset and "default" in option):
            inner = [value for row in rows for word in words[name] for value in _rows(row, word)]
            asked[name] = {**option, "options": _asked_for(option["options"], inner)} if "options" in option else option
    return asked


def _rows(row: Any, word: str) -> Sequence[Any]:
    value = row.get(word) if isinstance(row, Mapping) else None
    return value if isinstance(value, (list, tuple)) else [value]
