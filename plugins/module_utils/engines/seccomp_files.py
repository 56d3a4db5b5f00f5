# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seccomp profiles as the engines read them: OCI and Docker JSON, LXC policies, drop-ins of systemd units.

Sources: moby profiles/seccomp, containers/common pkg/seccomp (JSON); LXC src/lxc/seccomp.c (policies, version 2);
systemd.exec(5) SystemCallFilter=.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import StrataError
from .seccomp import ALLOW, ARCHITECTURES, Argument, Profile, Rule, number, parse_action
from .unitfile import UnitFile

_PLAIN = {
    "SCMP_ACT_ALLOW": "allow",
    "SCMP_ACT_KILL": "kill_thread",
    "SCMP_ACT_KILL_THREAD": "kill_thread",
    "SCMP_ACT_KILL_PROCESS": "kill_process",
    "SCMP_ACT_LOG": "log",
    "SCMP_ACT_NOTIFY": "notify",
    "SCMP_ACT_TRAP": "trap",
}
_COMPARISONS = {"EQ": "==", "NE": "!=", "LE": "<=", "GE": ">=", "LT": "<", "GT": ">"}
_OPERATORS = {word: f"SCMP_CMP_{key}" for key, word in _COMPARISONS.items()}
_MASKED = "SCMP_CMP_MASKED_EQ"
_ARCH = "SCMP_ARCH_"

Call = tuple[str, Rule]


def _profile(default: str, calls: Iterable[Call], architectures: Iterable[str] = ()) -> Profile:
    rules: dict[str, tuple[Rule, ...]] = {}
    for name, rule in calls:
        rules[name] = (*rules.get(name, ()), rule)
    return Profile(default, rules, tuple(sorted(architectures))).normal()


def _each(profile: Profile) -> Iterable[Call]:
    return ((name, rule) for name, rules in profile.rules.items() for rule in rules)


# Docker, Podman and whatever else takes the JSON of the OCI runtime specification, with Docker's additions.


def _action(word: str, code: int | None) -> str:
    if word in _PLAIN:
        return _PLAIN[word]
    if word != "SCMP_ACT_ERRNO":
        raise ValueError(f"it has the action {word!r}")
    return parse_action(1 if code is None else code)  # EPERM is what engines take where there is none


def _json_argument(entry: Mapping[str, Any]) -> Argument:
    index, value, op = int(entry["index"]), int(entry["value"]), str(entry["op"])
    if op == _MASKED:
        return Argument(index, "==", int(entry.get("valueTwo", 0)), value)
    return Argument(index, _COMPARISONS[op[len("SCMP_CMP_") :]], value)


def _json_conditions(entry: Mapping[str, Any] | None) -> tuple[str, ...]:
    entry = entry or {}
    kernel = [f"linux-{entry['minKernel']}"] if entry.get("minKernel") else []
    return (*(entry.get("caps") or ()), *(entry.get("arches") or ()), *kernel)


def read_json(text: str, architecture: str) -> Profile:
    """A profile in JSON, for a host of one architecture."""
    document = json.loads(text)
    default = _action(document["defaultAction"], document.get("defaultErrnoRet"))
    calls: list[Call] = []
    for entry in document.get("syscalls") or ():
        rule = Rule(
            _action(entry["action"], entry.get("errnoRet")),
            tuple(_json_argument(argument) for argument in entry.get("args") or ()),
            _json_conditions(entry.get("includes")),
            _json_conditions(entry.get("excludes")),
        )
        calls += [(name, rule) for name in entry.get("names") or [entry["name"]]]
    architectures = [_word(name) for name in document.get("architectures") or ()]
    for entry in document.get("archMap") or ():
        if _word(entry["architecture"]) == architecture:
            architectures = [architecture, *(_word(name) for name in entry.get("subArchitectures") or ())]
    return _profile(default, calls, architectures)


def _word(architecture: str) -> str:
    return architecture[len(_ARCH) :].lower() if architecture.startswith(_ARCH) else architecture


def _json_action(action: str, word: str, code: str) -> dict[str, Any]:
    errno = number(action)
    if errno is not None:
        return {word: "SCMP_ACT_ERRNO", code: errno}
    return {word: f"SCMP_ACT_{action.upper()}"}


def _json_rule(names: list[str], rule: Rule) -> dict[str, Any]:
    entry: dict[str, Any] = {"names": names, **_json_action(rule.action, "action", "errnoRet")}
    if rule.arguments:
        entry["args"] = [
            {"index": one.index, "value": one.value, "op": _OPERATORS[one.op]}
            if one.mask is None
            else {"index": one.index, "value": one.mask, "valueTwo": one.value, "op": _MASKED}
            for one in rule.arguments
        ]
    for key, words in (("includes", rule.includes), ("excludes", rule.excludes)):
        kernel = [word[len("linux-") :] for word in words if word.startswith("linux-")]
        caps = [word for word in words if word.startswith("CAP_")]
        arches = [word for word in words if not word.startswith(("CAP_", "linux-"))]
        said = {"caps": caps, "arches": arches, "minKernel": kernel[0] if kernel else None}
        if words:
            entry[key] = {name: value for name, value in said.items() if value}
    return entry


def write_json(profile: Profile) -> str:
    groups: dict[str, tuple[Rule, list[str]]] = {}
    for name, rule in _each(profile):
        groups.setdefault(str(rule), (rule, []))[1].append(name)
    document: dict[str, Any] = _json_action(profile.default, "defaultAction", "defaultErrnoRet")
    if profile.architectures:
        document["architectures"] = [f"{_ARCH}{word.upper()}" for word in profile.architectures]
    document["syscalls"] = [_json_rule(names, rule) for _text, (rule, names) in sorted(groups.items())]
    return json.dumps(document, indent=2) + "\n"


# LXC.

_LXC_PLAIN = {"allow": "allow", "kill": "kill_thread", "trap": "trap", "notify": "notify"}
_LXC_LINE = re.compile(r"(\S+)(?: +(allow|kill|trap|notify|errno +\d+))? *((?:\[[^\]]*\] *,? *)*)")


def _lxc_action(words: str) -> str:
    return parse_action(words.split()[1]) if words.startswith("errno") else _LXC_PLAIN[words]


def _lxc_argument(text: str) -> Argument:
    index, value, op, *mask = (word.strip() for word in text.split(","))
    op = _COMPARISONS.get(op[len("SCMP_CMP_") :], op)
    if op in (_MASKED, "MASKED_EQ", "&="):
        return Argument(int(index, 0), "==", int(value, 0), int(mask[0], 0))
    return Argument(int(index, 0), op, int(value, 0))


def read_lxc(text: str, architecture: str) -> Profile:
    lines = text.splitlines()
    style, _blank, rest = lines[1].partition(" ")
    lists = {"allowlist": "kill_thread", "whitelist": "kill_thread", "denylist": "allow", "blacklist": "allow"}
    if lines[0].strip() != "2" or style not in lists:
        raise ValueError("it is no LXC policy of version 2")
    default = _lxc_action(rest.strip()) if rest.strip() else lists[style]
    listed = ALLOW if lists[style] != ALLOW else "kill_thread"
    calls: list[Call] = []
    for line in lines[2:]:
        said = line.partition("#")[0].strip()
        if not said or re.fullmatch(r"\[\w+\]", said):  # LXC gives every rule to all architectures that it knows
            continue
        found = _LXC_LINE.fullmatch(said)
        if found is None:
            raise ValueError(f"it has the line {said!r}")
        action = _lxc_action(found[2]) if found[2] else listed
        calls.append((found[1], Rule(action, tuple(map(_lxc_argument, re.findall(r"\[([^\]]*)\]", found[3]))))))
    return _profile(default, calls)


def _lxc_word(action: str) -> str:
    errno = number(action)
    if errno is not None:
        return f"errno {errno}"
    words = {plain: word for word, plain in _LXC_PLAIN.items()}
    if action not in words:
        raise StrataError(f"LXC has no action {action}", hint="Use an errno such as EPERM, kill_thread or trap")
    return words[action]


def write_lxc(profile: Profile) -> str:
    lines = ["2", f"allowlist {_lxc_word(profile.default)}", "[all]"]
    for name, rule in _each(profile):
        compared = [
            f"[{one.index},{one.value:#x},{_OPERATORS[one.op]}]"
            if one.mask is None
            else f"[{one.index},{one.value:#x},{_MASKED},{one.mask:#x}]"
            for one in rule.arguments
        ]
        lines.append(" ".join([name, _lxc_word(rule.action), *compared]))
    return "\n".join(lines) + "\n"


# systemd.

_SERVICE, _FILTER, _ERRNO, _NATIVE = "Service", "SystemCallFilter", "SystemCallErrorNumber", "SystemCallArchitectures"


def read_systemd(text: str, architecture: str) -> Profile:
    file = UnitFile(text)
    values = file.all(_SERVICE, _FILTER)
    if not values:
        raise ValueError(f"it is no JSON, no LXC policy, and has no {_FILTER}= in [{_SERVICE}]")
    said = file.last(_SERVICE, _ERRNO)
    default = "kill_process" if said in (None, "kill") else parse_action(said)
    calls: dict[str, Rule] = {}
    for value in values:
        deny, words = value.startswith("~"), value.lstrip("~").split()
        for word in words:
            name, _colon, code = word.partition(":")
            calls[name] = Rule(parse_action(code) if code else default if deny else ALLOW)
        if not value:
            calls = {}
    known = {systemd: word for word, (_go, systemd) in ARCHITECTURES.items()}
    known["native"] = architecture
    architectures = (file.last(_SERVICE, _NATIVE) or "").split()
    return _profile(default, calls.items(), [known.get(word, word) for word in architectures])


def write_systemd(profile: Profile) -> str:
    if number(profile.default) is None and profile.default != "kill_process":
        raise StrataError(
            f"systemd can't {profile.default} calls that aren't allowed",
            hint="Use kill_process, or an errno such as EPERM",
        )
    compared = [name for name, rules in profile.rules.items() if len(rules) > 1 or rules[0].arguments]
    if compared:
        raise StrataError(
            f"systemd knows no conditions on arguments, as there are for {', '.join(compared)}",
            hint="Name these calls in allow or deny, or take systemd-service for the base",
        )
    calls = list(profile.rules)
    lines = [f"[{_SERVICE}]", f"{_FILTER}="]  # the empty one takes back what the unit itself says
    lines += [f"{_FILTER}={line}" for line in textwrap.wrap(" ".join(calls), 100, break_on_hyphens=False)]
    lines.append(f"{_ERRNO}={'kill' if profile.default == 'kill_process' else profile.default}")
    if profile.architectures:
        words = [ARCHITECTURES[word][1] for word in profile.architectures]
        lines.append(f"{_NATIVE}={' '.join(words)}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Format:
    """One way to write a profile.

    Attributes:
        read: The profile in a text, for a host of one architecture.
        write: The text of a profile.
        conditions: It can leave conditions to the engine.
        actions: It knows other actions for single calls than to allow them.
    """

    read: Callable[[str, str], Profile]
    write: Callable[[Profile], str]
    conditions: bool = False
    actions: bool = True


FORMATS = {
    "oci": Format(read_json, write_json, conditions=True),
    "lxc": Format(read_lxc, write_lxc),
    "systemd": Format(read_systemd, write_systemd, actions=False),
}


def read(text: str, architecture: str) -> tuple[str, Profile]:
    """The format that a file is in, and the profile.

    Raises:
        ValueError: It is in none of them; why not.
    """
    start = text.lstrip()[:1]
    name = "oci" if start == "{" else "lxc" if start.isdigit() else "systemd"
    try:
        return name, FORMATS[name].read(text, architecture)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"it lacks {error}") from None
