# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host can do, and of what it can't: why not, and what helps. Knows no technology.

A subject reads its facts, and then holds its needs against them: pure functions, so that each "no" has its reason from
what was read and from nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Facts = dict[str, Any]


def _itself(facts: Facts) -> Iterable[Facts]:
    return (facts,)


@dataclass(frozen=True)
class Why:
    """One reason why a need isn't met.

    Attributes:
        holds: Whether it is this one.
        reason: In one line; ``{name}`` stands for a fact.
        remedy: What helps, likewise.
    """

    holds: Callable[[Facts], bool]
    reason: str
    remedy: str


@dataclass(frozen=True)
class Need:
    """Something that a host should be able to do.

    Attributes:
        what: Its name; ``{name}`` stands for a fact.
        whys: What may stand in its way; the first that holds is the one that is told.
        each: The rows that it is asked of, each of them facts; the subject's facts where it isn't given.
    """

    what: str
    whys: tuple[Why, ...]
    each: Callable[[Facts], Iterable[Facts]] = _itself


@dataclass(frozen=True)
class Subject:
    """A part of a host that can be told of.

    Attributes:
        read: Its facts: texts, numbers, lists and mappings, all fit for JSON.
        needs: What it should be able to do.
    """

    read: Callable[[Any], Facts]
    needs: tuple[Need, ...] = ()


def lacks(subject: Subject, facts: Facts) -> list[dict[str, str]]:
    """Each need that isn't met, with its reason and its remedy."""
    found = []
    for need in subject.needs:
        for row in need.each(facts):
            why = next((why for why in need.whys if why.holds(row)), None)
            if why is not None:
                texts = {"what": need.what, "reason": why.reason, "remedy": why.remedy}
                found.append({name: text.format(**row) for name, text in texts.items()})
    return found


def survey(subjects: Mapping[str, Subject], host: Any) -> dict[str, Any]:
    """The facts of each subject, each "no" once among them and once in a flat list."""
    told: dict[str, Facts] = {}
    missing: list[dict[str, str]] = []
    for name, subject in subjects.items():
        facts = subject.read(host)
        found = lacks(subject, facts)
        told[name] = {**facts, "why_not": {lack["what"]: lack["reason"] for lack in found}}
        missing += [{"subject": name, **lack} for lack in found]
    return {"host": told, "lacks": missing}
