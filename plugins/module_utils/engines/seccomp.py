# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seccomp filters in words of no engine, and what of them is a host's own: names, groups, the profile of containers."""

from __future__ import annotations

import ctypes
import difflib
import errno
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core import command
from ..core.errors import StrataError

ALLOW, EPERM = "allow", "EPERM"
PLAIN = ("allow", "kill_process", "kill_thread", "log", "notify", "trap")
"""Actions that are a word of their own (seccomp_init(3)); every other one is the errno that a call fails with."""

_COMPARED = re.compile(r"\(?\s*arg([0-5])\s*(?:&\s*(\w+)\s*\))?\s*(==|!=|<=|>=|<|>)\s*(\w+)")
_CAPABILITY = re.compile(r"CAP_[A-Z_]+")
_KERNEL = re.compile(r"linux-(\d+)\.(\d+)")
_RULE = re.compile(r"(\w+)(?: if (.+?))?(?: includes (\S+))?(?: excludes (\S+))?")

ARCHITECTURES = {
    "x86_64": ("amd64", "x86-64"),
    "x86": ("x86", "x86"),
    "x32": ("x32", "x32"),
    "aarch64": ("arm64", "arm64"),
    "arm": ("arm", "arm"),
    "ppc64le": ("ppc64le", "ppc64-le"),
    "s390x": ("s390x", "s390x"),
    "s390": ("s390", "s390"),
    "riscv64": ("riscv64", "riscv64"),
}
"""libseccomp's words (seccomp_arch_add(3)), with those of container engines (Go's) and of systemd (systemd.exec(5))."""


def parse_action(value: Any) -> str:
    """A word of PLAIN, or the name of an errno; numbers become names."""
    text = str(value).strip()
    if text.lower() in PLAIN:
        return text.lower()
    if text.isdigit() and 0 < int(text) < 4096:  # SECCOMP_RET_DATA, and the kernel's MAX_ERRNO
        return errno.errorcode.get(int(text), text)
    name = text.upper()
    if not isinstance(getattr(errno, name, None), int):
        raise ValueError(f"is neither one of {', '.join(PLAIN)} nor the name of an errno such as EPERM or ENOSYS")
    return errno.errorcode[getattr(errno, name)]


def number(action: str) -> int | None:
    """The errno that a call fails with; None where the action is another one."""
    if action in PLAIN:
        return None
    return int(action) if action.isdigit() else int(getattr(errno, action))


@dataclass(frozen=True)
class Argument:
    """What one argument of a call is compared with: unsigned numbers of 64 bits."""

    index: int
    op: str
    value: int
    mask: int | None = None

    @classmethod
    def parse(cls, text: str) -> Argument:
        """``arg0 == 8``, or ``(arg0 & 0x7e020000) == 0``."""
        found = _COMPARED.fullmatch(text.strip())
        try:
            if found is None:
                raise ValueError
            mask = None if found[2] is None else int(found[2], 0)
            value = int(found[4], 0)
        except ValueError:
            hint = "write arg0 == 8, or (arg0 & 0x7e020000) == 0; arguments are arg0 to arg5"
            raise ValueError(f"has {text!r}: {hint}") from None
        if not all(0 <= one < 2**64 for one in (value, mask or 0)):
            raise ValueError(f"has {text!r}, whose numbers don't fit into 64 bits without a sign")
        if mask is not None and found[3] != "==":
            raise ValueError(f"has {text!r}: what is masked can only be compared by ==")
        return cls(int(found[1]), found[3], value, mask)

    def __str__(self) -> str:
        left = f"arg{self.index}" if self.mask is None else f"(arg{self.index} & {self.mask:#x})"
        return f"{left} {self.op} {self.value:#x}"


def parse_condition(text: str) -> str:
    """What decides over a rule when a container is made: a capability, an architecture, or ``linux-4.8``."""
    word = str(text).strip()
    if _CAPABILITY.fullmatch(word.upper()):
        return word.upper()
    if _KERNEL.fullmatch(word) or re.fullmatch(r"[a-z0-9]+", word):
        return word
    raise ValueError(
        f"has {word!r}, which is no capability (CAP_SYS_ADMIN), architecture (amd64) or kernel (linux-4.8)"
    )


@dataclass(frozen=True)
class Rule:
    """What happens to a call, and when."""

    action: str = ALLOW
    arguments: tuple[Argument, ...] = ()
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Rule:
        """The rule that ``str`` has printed."""
        found = _RULE.fullmatch(text)
        if found is None:
            raise ValueError(f"is no rule: {text!r}")
        compared = found[2].split(" and ") if found[2] else []
        includes, excludes = (tuple(words.split(",")) if words else () for words in (found[3], found[4]))
        return cls(found[1], tuple(Argument.parse(one) for one in compared), includes, excludes)

    def __str__(self) -> str:
        text = self.action
        if self.arguments:
            text += " if " + " and ".join(sorted(str(one) for one in self.arguments))
        for word, conditions in (("includes", self.includes), ("excludes", self.excludes)):
            if conditions:
                text += f" {word} {','.join(sorted(conditions))}"
        return text

    def settled(self, machine: str, kernel: tuple[int, int]) -> Rule | None:
        """The rule on one host, for a workload without capabilities; None where it doesn't hold there."""

        def holds(word: str) -> bool:
            needed = _KERNEL.fullmatch(word)
            if needed is not None:
                return kernel >= (int(needed[1]), int(needed[2]))
            return word == machine

        arches = [word for word in self.includes if not word.startswith(("CAP_", "linux-"))]
        others = [word for word in self.includes if word not in arches]
        if (arches and machine not in arches) or not all(holds(word) for word in others):
            return None
        if any(holds(word) for word in self.excludes):
            return None
        return Rule(self.action, self.arguments)


@dataclass(frozen=True)
class Profile:
    """A filter: what happens to calls, and to those that nothing is said of.

    Attributes:
        default: The action for calls without a rule.
        rules: The rules of each call; of several the one that holds.
        architectures: Whose calls it filters, beside the host's own; empty where it doesn't say.
    """

    default: str
    rules: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    architectures: tuple[str, ...] = ()

    def normal(self) -> Profile:
        """Without rules that say what the default says, which libseccomp refuses (seccomp_rule_add(3): EACCES)."""
        kept = {
            name: _unique(rule for rule in rules if rule.action != self.default) for name, rules in self.rules.items()
        }
        return Profile(self.default, {name: kept[name] for name in sorted(kept) if kept[name]}, self.architectures)

    def settled(self, machine: str, kernel: tuple[int, int]) -> Profile:
        """As it is on one host, for engines that know no conditions."""
        rules: dict[str, tuple[Rule, ...]] = {}
        for name, found in self.rules.items():
            settled = [rule for rule in (one.settled(machine, kernel) for one in found) if rule is not None]
            refused = [rule for rule in settled if not rule.arguments and rule.action != ALLOW]
            # Profiles allow some calls here and refuse them there, for want of a capability, say: refused is refused.
            rules[name] = tuple(refused[:1] or settled)
        return Profile(self.default, rules).normal()

    def allowing(self) -> Profile:
        """Without what is refused in other ways than by default: it is refused by default, then."""
        rules = {name: tuple(rule for rule in found if rule.action == ALLOW) for name, found in self.rules.items()}
        return Profile(self.default, rules).normal()

    def printed(self) -> dict[str, str]:
        return {name: "; ".join(str(rule) for rule in rules) for name, rules in self.rules.items()}

    @classmethod
    def parse(cls, default: str, architectures: Iterable[str], printed: Mapping[str, str | None]) -> Profile:
        """The profile of which ``printed`` tells; a call that is None has no rule."""
        rules = {
            name: tuple(Rule.parse(one) for one in text.split("; "))
            for name, text in sorted(printed.items())
            if text is not None
        }
        return cls(default, rules, tuple(architectures))


def _unique(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    found = {str(rule): rule for rule in rules}
    return tuple(found[text] for text in sorted(found))


def parse_groups(text: str) -> dict[str, tuple[str, ...]]:
    """The groups that ``systemd-analyze syscall-filter`` tells of; groups within groups as they are."""
    groups: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        word = line.strip()
        if line.startswith("@"):
            name = word
            groups[name] = []
        elif not line.startswith(" "):
            name = ""  # systemd compares its groups with the kernel's calls, and tells what is in none
        elif name and word and not word.startswith("#"):
            groups[name].append(word)
    return {name: tuple(words) for name, words in groups.items()}


def _library() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libseccomp.so.2")
    except OSError:
        raise StrataError(
            "this host has no libseccomp, which knows the names of system calls",
            hint="Install the package libseccomp2 (Debian, Ubuntu) or libseccomp (Fedora, RHEL)",
        ) from None


class Host:
    """A host's own names and groups of system calls, each asked for once."""

    def __init__(self) -> None:
        uname = os.uname()
        release = re.match(r"(\d+)\.(\d+)", uname.release)
        self.architecture = {"i686": "x86", "i386": "x86", "armv7l": "arm"}.get(uname.machine, uname.machine)
        self.machine = ARCHITECTURES.get(self.architecture, (self.architecture,))[0]
        self.kernel = (int(release[1]), int(release[2])) if release else (0, 0)
        self._groups: dict[str, tuple[str, ...]] | None = None

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        if self._groups is None:
            command.need("systemd-analyze", "systemd")
            self._groups = parse_groups(command.run(["systemd-analyze", "--no-pager", "syscall-filter"]).stdout)
        return self._groups

    def group(self, name: str) -> set[str]:
        """The calls of a group, and of those in it.

        Raises:
            StrataError: There is no such group on this host.
        """
        if name not in self.groups:
            raise StrataError(
                f"systemd of this host has no group {name}; it has {', '.join(sorted(self.groups))}", value=name
            )
        calls: set[str] = set()
        for word in self.groups[name]:
            calls |= self.group(word) if word.startswith("@") else {word}
        return calls

    def check(self, names: Iterable[str], known: Iterable[str]) -> None:
        """Refuse names that are no system calls, on whatever architecture.

        Args:
            names: The names.
            known: Names that are taken as they are: they may be newer than the host's libseccomp.

        Raises:
            StrataError: Nothing on this host knows one of them.
        """
        library = _library()
        # -1 is __NR_SCMP_ERROR; other negative numbers are calls of other architectures (seccomp.h).
        unknown = [name for name in names if library.seccomp_syscall_resolve_name(name.encode()) == -1]
        known = set(known)
        if not known.issuperset(unknown) and command.find("systemd-analyze"):
            known.update(word for words in self.groups.values() for word in words)
        for name in unknown:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"Did you mean {near[0]}?" if near else "Names are those of syscalls(2), without the arguments"
                raise StrataError("no library of this host knows such a system call", value=name, hint=hint)
