# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains that drop what is forwarded, and whom they let through: of nftables (libnftables-json(5)) and of iptables.

Only chains whose policy is drop are told of. What other chains do by their rules alone, nobody can tell from outside.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..core.diagnosis import Facts
from ..engines.hostfiles import Host

_FAMILIES = ("ip", "inet")
_LEGACY = "/proc/net/ip_tables_names"  # there once iptables of the old kind was used; asking it before would load it


@dataclass
class _Rule:
    """What a rule lets through, as far as it is told by where a packet comes from."""

    verdict: str = ""
    target: str = ""
    link: str = ""
    source: str = ""
    narrow: bool = False  # it matches something else, too
    answers: bool = False  # only what belongs to a connection that is there already


@dataclass
class _Table:
    name: str
    drops: list[str] = field(default_factory=list)
    rules: dict[str, list[_Rule]] = field(default_factory=lambda: defaultdict(list))

    def reached(self, chain: str, seen: set[str]) -> Iterator[_Rule]:
        """The rules of a chain, and of those that it leads to."""
        seen.add(chain)
        for rule in self.rules[chain]:
            yield rule
            if rule.target and rule.target not in seen:
                yield from self.reached(rule.target, seen)

    def told(self) -> Iterator[Facts]:
        for chain in self.drops:
            accepting = [rule for rule in self.reached(chain, set()) if rule.verdict == "accept" and not rule.answers]
            yield {
                "table": self.name,
                "chain": chain,
                "links": sorted({rule.link for rule in accepting if rule.link}),
                "sources": sorted({rule.source for rule in accepting if rule.source and not rule.link}),
                "all": any(not (rule.link or rule.source or rule.narrow) for rule in accepting),
            }


def _texts(right: Any) -> str:
    return right if isinstance(right, str) else json.dumps(right)


def _match(rule: _Rule, match: dict[str, Any]) -> None:
    left, right, equal = match["left"], match["right"], match["op"] in ("==", "in")
    key = left.get("meta", {}).get("key") if isinstance(left, dict) else None
    payload = left.get("payload", {}) if isinstance(left, dict) else {}
    if key in ("iifname", "iif") and equal and isinstance(right, str):
        rule.link = right
    elif payload.get("field") == "saddr" and payload.get("protocol") == "ip" and equal:
        prefix = right.get("prefix") if isinstance(right, dict) else None
        rule.source = f"{prefix['addr']}/{prefix['len']}" if prefix else _texts(right)
    elif isinstance(left, dict) and left.get("ct", {}).get("key") == "state":
        rule.answers, rule.narrow = "new" not in _texts(right), True
    else:
        rule.narrow = True


def _nft_rule(expressions: Iterable[dict[str, Any]]) -> _Rule:
    rule = _Rule()
    for expression in expressions:
        for word, value in expression.items():
            if word == "match":
                _match(rule, value)
            elif word in ("jump", "goto"):
                rule.target = value["target"]
            elif word in ("accept", "drop"):
                rule.verdict = word
            elif word == "xt":  # a match of iptables that nftables has no words for
                rule.narrow, rule.answers = True, rule.answers or value.get("name") in ("conntrack", "state")
            elif word != "counter":
                rule.narrow = True
    return rule


def of_nft(text: str) -> list[Facts]:
    """The chains of ``nft --json list ruleset``."""
    tables: dict[str, _Table] = {}
    for entry in json.loads(text).get("nftables", ()):
        for sort, row in entry.items():
            if sort not in ("chain", "rule") or row["family"] not in _FAMILIES:
                continue
            name = f"{row['family']} {row['table']}"
            table = tables.setdefault(name, _Table(name))
            if sort == "rule":
                table.rules[row["chain"]].append(_nft_rule(row["expr"]))
            elif row.get("hook") == "forward" and row.get("policy") == "drop":
                table.drops.append(row["name"])
    return [told for table in tables.values() for told in table.told()]


def _iptables_rule(words: list[str]) -> _Rule:
    rule = _Rule()
    for before, word, value in zip(["", *words], words, [*words[1:], ""]):
        if word == "-i" and before != "!":
            rule.link = re.sub(r"\+$", "*", value)
        elif word == "-s" and before != "!":
            rule.source = value
        elif word in ("-m", "-o", "-d", "-p", "!"):
            rule.narrow = True
        elif word in ("--ctstate", "--state"):
            rule.answers = "NEW" not in value
        elif word in ("-j", "-g"):
            rule.verdict = {"ACCEPT": "accept", "DROP": "drop"}.get(value, "")
            rule.target = "" if rule.verdict else value
    return rule


def of_iptables(text: str, sort: str) -> list[Facts]:
    """The chains of ``iptables-save``; ``sort`` is which of the two kinds of iptables said it."""
    table = _Table(f"{sort} filter")
    mine = False
    for line in text.splitlines():
        if line.startswith("*"):
            mine = line == "*filter"
        elif mine and line.startswith(":FORWARD DROP"):
            table.drops.append("FORWARD")
        elif mine and line.startswith("-A "):
            _append, chain, *words = line.split()
            table.rules[chain].append(_iptables_rule(words))
    return list(table.told())


def dropping(host: Host) -> list[Facts] | None:
    """The chains that drop what no rule lets through; None where nothing tells of any."""
    found: list[Facts] = []
    nft = host.program("nft")
    said = host.said("nft", "--json", "list", "ruleset") if nft else ""
    legacy = "filter" in (host.text(_LEGACY) or "")
    if nft:
        try:
            found += of_nft(said)
        except ValueError:  # it failed, or knows no JSON
            return None
    if legacy or not nft:
        program = "iptables-legacy-save" if legacy else "iptables-save"
        if not host.program(program):
            return found if nft and not legacy else None
        found += of_iptables(host.said(program), "iptables")
    return found
