# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong on a host, how one sees it, why it matters, and what helps. Knows no technology.

Facts are read first; each check then is a pure function of them, so that nothing is found but what was seen, and
nothing passes that could not be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Facts = dict[str, Any]

ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")
"""It does not work; it will fail for some; it is so, and explains what one may see."""

UNREAD = "unread"
"""The fact that names the facts that could not be read, each with the reason."""


@dataclass(frozen=True)
class Check:
    """Something that may be wrong. In texts, ``{name}`` stands for a value of a row.

    Attributes:
        name: What is looked for, in a few words.
        severity: One of ``SEVERITIES``.
        find: A row for each time that it is so; none: nothing is wrong.
        what: What is wrong, in one sentence.
        evidence: What was seen, and where.
        why: What comes of it.
        remedy: What helps: a command, or a module with its options.
        needs: The facts that it looks at; where one could not be read, the check says nothing.
    """

    name: str
    severity: str
    find: Callable[[Facts], Iterable[Facts]]
    what: str
    evidence: str
    why: str
    remedy: str
    needs: tuple[str, ...] = ()

    def findings(self, facts: Facts) -> list[dict[str, str]]:
        texts = {"what": self.what, "evidence": self.evidence, "why": self.why, "remedy": self.remedy}
        head = {"check": self.name, "severity": self.severity}
        return [{**head, **{name: text.format(**row) for name, text in texts.items()}} for row in self.find(facts)]


@dataclass(frozen=True)
class Topic:
    """What people come with when something doesn't work.

    Attributes:
        read: Facts of a host, given the options: all fit for JSON.
        checks: What they are held against, the cause before what follows from it.
        options: The options that narrow it down.
    """

    read: Callable[[Any, Mapping[str, Any]], Facts]
    checks: tuple[Check, ...]
    options: tuple[str, ...]


def diagnose(checks: Iterable[Check], facts: Facts) -> dict[str, Any]:
    """Findings, the worst first; the names of the checks that found nothing; those that could not look, and why."""
    unread: Mapping[str, str] = facts.get(UNREAD, {})
    findings: list[dict[str, str]] = []
    passed: list[str] = []
    unchecked: dict[str, str] = {}
    for check in checks:
        reason = next((unread[name] for name in check.needs if name in unread), None)
        if reason is not None:
            unchecked[check.name] = reason
            continue
        found = check.findings(facts)
        findings += found
        if not found:
            passed.append(check.name)
    findings.sort(key=lambda finding: SEVERITIES.index(finding["severity"]))
    return {"findings": findings, "passed": passed, "unchecked": unchecked}
