# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardening profiles, held against what runs. Knows no technology.

Facts are read first; each measure then is a pure function of them. What could not be seen is neither met nor unmet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from . import hardening

Facts = Mapping[str, Any]
Seen = tuple[Optional[bool], str]
"""Whether it is so, None where that can't be told, and what was found, in one sentence."""


@dataclass(frozen=True)
class Measure:
    """Something that a profile declares, and how it is seen on what runs.

    Attributes:
        name: What it is called, in results and among exceptions.
        aspect: Which of the profiles' rules it measures.
        what: What is to be so, in one sentence.
        look: Whether it is so, of the facts of a workload that could all be read.
        needs: The facts that it looks at.
        engines: Of whose workloads it is measured.
        why: Why it matters, in one sentence; where not given, as the rule has it.
    """

    name: str
    aspect: str
    what: str
    look: Callable[[Facts], Seen]
    needs: tuple[str, ...]
    engines: tuple[str, ...]
    why: str = ""

    @property
    def rule(self) -> hardening.Rule:
        return next(rule for rule in hardening.RULES if rule.aspect == self.aspect)

    def row(self, facts: Facts) -> dict[str, Any]:
        """What is told of it."""
        unseen = [need for need in self.needs if facts.get(need) is None]
        met, found = (None, f"Its {unseen[0]} could not be read.") if unseen else self.look(facts)
        why = self.why or f"Otherwise it {self.rule.reason}."
        return {
            "check": self.name,
            "profile": self.rule.profile,
            "met": met,
            "what": self.what,
            "found": found,
            "why": why,
        }


def held(measures: Iterable[Measure], profile: str, facts: Facts) -> list[dict[str, Any]]:
    """A row for each measure of a profile that there is for the workload's engine."""
    aspects = hardening.rules(profile)
    return [one.row(facts) for one in measures if one.aspect in aspects and facts["engine"] in one.engines]
