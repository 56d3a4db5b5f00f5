# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seccomp profiles: one list of allowed system calls, in the form that an engine reads."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core import files, policy
from ..core.codec import PATH, WORDS, Codec, parse_path
from ..core.errors import StrataError
from ..core.field import Field, Role, encode, table
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource, Thing
from ..engines import seccomp, seccomp_files
from ..engines.seccomp import ALLOW, EPERM, Argument, Profile, Rule

FOLDER = "/etc/strata/seccomp"
"""Where profiles are looked for when nobody says which."""

CONTAINERS = "/usr/share/containers/seccomp.json"
"""The default profile of containers/common: Docker's, kept on by the makers of Podman (containers-common(5))."""

SUFFIXES = {".json": "oci", ".conf": "systemd", ".seccomp": "lxc"}
SYSTEM_SERVICE = "@system-service"


def _parse_base(value: Any) -> str:
    word = str(value)
    if word in ("docker-default", "systemd-service", "empty"):
        return word
    if not word.startswith("/"):
        raise ValueError("is none of docker-default, systemd-service, empty, and no absolute path of a profile")
    return parse_path(word)


def _arguments(texts: Any) -> tuple[str, ...]:
    found = [Argument.parse(str(text)) for text in texts]
    if len({one.index for one in found}) < len(found):
        raise ValueError("compares an argument twice, which libseccomp refuses: write a rule for each")
    return tuple(sorted(str(one) for one in found))


def _conditions(words: Any) -> tuple[str, ...]:
    return tuple(sorted({seccomp.parse_condition(word) for word in words}))


def _architectures(words: Any) -> tuple[str, ...]:
    for word in words:
        if word not in seccomp.ARCHITECTURES:
            raise ValueError(f"has {word!r}: architectures are {', '.join(seccomp.ARCHITECTURES)}")
    return tuple(sorted(set(words)))


RULE = (
    Field("names", WORDS, required=True),
    Field("action", Codec(seccomp.parse_action), given=ALLOW),
    Field("args", Codec(_arguments, "list", list, "str")),
    Field("includes", Codec(_conditions, "list", list, "str")),
    Field("excludes", Codec(_conditions, "list", list, "str")),
)


@dataclass(frozen=True)
class _Seen(State):
    """What was observed, and what the declaration comes to on this host."""

    wanted: Profile | None = None


class SeccompProfile(Resource):
    kind = "seccomp_profile"
    identity = "path"
    sample = "/"
    rank = 15
    listed = False
    fields = (
        Field("path", PATH, role=Role.NAME, required=True),
        policy.state("present", "absent"),
        Field("format", effect=Effect.LIVE, choices=tuple(seccomp_files.FORMATS)),
        Field("base", Codec(_parse_base), effect=Effect.LIVE),
        Field("allow", WORDS, effect=Effect.LIVE, default=()),
        Field("deny", WORDS, effect=Effect.LIVE, default=()),
        Field("rules", table(*RULE), effect=Effect.LIVE, default=()),
        Field("default_action", Codec(seccomp.parse_action), effect=Effect.LIVE),
        Field("architectures", Codec(_architectures, "list", list, "str"), effect=Effect.LIVE, default=()),
        Field("syscalls", Codec(dict, "dict", dict, partial=True), role=Role.DERIVED, effect=Effect.LIVE),
    )
    states = {"present": "present", "absent": "absent"}

    def check(self) -> None:
        if self.target == "absent":
            return
        if "base" not in self.spec:
            raise StrataError(
                "must be given", option="base", hint="Write docker-default, systemd-service, empty or a profile's path"
            )
        rows = self.spec.get("rules", ())
        if self.format != "oci" and any(row.get("includes") or row.get("excludes") for row in rows):
            raise StrataError(f"the format {self.format} knows no includes and no excludes", option="rules")
        if self.format == "systemd" and any(row.get("action", ALLOW) != ALLOW for row in rows):
            raise StrataError("systemd refuses all calls alike, as default_action says", option="rules")
        if self.format == "lxc" and self.spec.get("architectures"):
            raise StrataError("LXC filters all architectures of the host alike", option="architectures")
        named = {
            "allow": {name for name in self.spec.get("allow", ()) if not name.startswith("@")},
            "deny": {name for name in self.spec.get("deny", ()) if not name.startswith("@")},
            "rules": {name for row in rows for name in row["names"]},
        }
        for one, other in (("allow", "deny"), ("allow", "rules"), ("deny", "rules")):
            for name in sorted(named[one] & named[other]):
                raise StrataError(f"is named in {one}, too", option=other, value=name)

    @property
    def format(self) -> str:
        suffix = os.path.splitext(self.name)[1]
        return str(self.spec.get("format") or SUFFIXES.get(suffix, "oci"))

    def provides(self) -> list[Thing]:
        return [("path", self.name)]

    def files(self) -> list[tuple[str, str]]:
        base = str(self.spec.get("base", ""))
        return [("base", base)] if base.startswith("/") else []

    # Reading.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> seccomp.Host:
        return seccomp.Host()

    @classmethod
    def read_many(cls, engine: seccomp.Host, names: Iterable[str] | None) -> dict[str, State]:
        if names is None:
            names = [path for path in glob.glob(f"{FOLDER}/*") if os.path.isfile(path)]
        return {path: cls._read(engine, path) for path in names}

    @staticmethod
    def _read(engine: seccomp.Host, path: str) -> State:
        if os.path.isdir(path):
            return State("present", facts={"unreadable": "is a directory"})
        text = files.read(path)
        if text is None:
            return State()
        owner = files.owner(path)
        try:
            format, profile = seccomp_files.read(text, engine.architecture)
        except ValueError as error:
            return State("present", facts={"unreadable": str(error)}, owner=owner)
        config = {
            "format": format,
            "default_action": profile.default,
            "architectures": profile.architectures,
            "syscalls": profile.printed(),
        }
        return State("present", config, owner=owner)

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        """Nothing but calls: what they came from is in no file."""
        options: dict[str, Any] = {cls.identity: name, "state": "present", "base": "empty"}
        if not state.config:
            return options
        found = Profile.parse(state.config["default_action"], state.config["architectures"], state.config["syscalls"])
        plain = (Rule(),)
        named: dict[str, tuple[Rule, list[str]]] = {}
        for call, rules in found.rules.items():
            for rule in rules if rules != plain else ():
                named.setdefault(str(rule), (rule, []))[1].append(call)
        values = {
            "format": state.config["format"],
            "default_action": found.default,
            "architectures": found.architectures,
            "allow": tuple(call for call, rules in found.rules.items() if rules == plain),
            "rules": [_row(rule, calls) for _text, (rule, calls) in sorted(named.items())],
        }
        return {**options, **encode(cls.fields, {key: value for key, value in values.items() if value})}

    # Planning.

    def observe(self, engine: seccomp.Host, state: State) -> State:
        if self.target == "absent":
            return state
        return _Seen(**vars(state), wanted=self._compiled(engine, state))

    def _compiled(self, host: seccomp.Host, state: State) -> Profile:
        """What the declaration comes to on this host: names over groups, groups over the base."""
        base = self._base(host)
        known = {*base.rules, *state.config.get("syscalls", ())}
        default = self.spec.get("default_action", base.default)
        given = {ALLOW: self.spec.get("allow", ()), "deny": self.spec.get("deny", ())}
        actions = {ALLOW: ALLOW, "deny": self.spec.get("default_action", EPERM)}
        rules = dict(base.rules)
        for option, words in given.items():
            for word in (word for word in words if word.startswith("@")):
                with _of(option):
                    rules.update(dict.fromkeys(host.group(word), (Rule(actions[option]),)))
        for option, words in given.items():
            names = [word for word in words if not word.startswith("@")]
            with _of(option):
                host.check(names, known)
            rules.update(dict.fromkeys(names, (Rule(actions[option]),)))
        rules.update(self._ruled(host, known))
        profile = Profile(default, rules, self.spec.get("architectures", base.architectures)).normal()
        form = seccomp_files.FORMATS[self.format]
        if form.conditions:
            return profile
        settled = profile.settled(host.machine, host.kernel)
        if not form.actions:
            settled = settled.allowing()
        settled = replace(settled, architectures=self.spec.get("architectures", ()))
        form.write(settled)  # what can't be written is refused before anything is touched
        return settled

    def _ruled(self, host: seccomp.Host, known: set[str]) -> dict[str, tuple[Rule, ...]]:
        ruled: dict[str, tuple[Rule, ...]] = {}
        for row in self.spec.get("rules", ()):
            with _of("rules"):
                host.check(row["names"], known)
            compared = tuple(Argument.parse(text) for text in row.get("args", ()))
            rule = Rule(row.get("action", ALLOW), compared, row.get("includes", ()), row.get("excludes", ()))
            for name in row["names"]:
                ruled[name] = (*ruled.get(name, ()), rule)
        return ruled

    def _base(self, host: seccomp.Host) -> Profile:
        word = self.spec["base"]
        if word == "empty":
            return Profile(EPERM)
        if word == "systemd-service":
            with _of("base"):
                return Profile(EPERM, dict.fromkeys(host.group(SYSTEM_SERVICE), (Rule(),)))
        path = CONTAINERS if word == "docker-default" else word
        if ("path", path) in self.promised:
            raise StrataError(
                "is made by the same stack, and must be there before it is read",
                option="base",
                value=path,
                hint="Make it by a task before this one",
            )
        text = files.read(path)
        if text is None and word == "docker-default":
            raise StrataError(
                f"this host has no {CONTAINERS}, from which docker-default is read",
                option="base",
                hint="Install the package golang-github-containers-common (Debian, Ubuntu) or containers-common "
                "(Fedora, RHEL), or give the path of a profile",
            )
        if text is None:
            raise StrataError("is not there", option="base", value=path)
        try:
            return seccomp_files.read(text, host.architecture)[1]
        except ValueError as error:
            raise StrataError(f"is no seccomp profile: {error}", option="base", value=path) from None

    def settings(self, state: State) -> dict[str, Any]:
        wanted = state.wanted if isinstance(state, _Seen) else None
        if wanted is None:
            return {}
        gone: dict[str, str | None] = dict.fromkeys(state.config.get("syscalls", ()))
        return {
            "format": self.format,
            "default_action": wanted.default,
            "architectures": wanted.architectures,
            "syscalls": {**gone, **wanted.printed()},
        }

    def plan(self, state: State) -> Plan:
        why = state.facts.get("unreadable")
        if why is not None and state.owner is None:
            raise StrataError(
                f"something else is there, which is no seccomp profile: {why}",
                option="path",
                value=self.name,
                hint="Move it out of the way, or name another path",
            )
        return super().plan(state)

    # Doing.

    def _write(self, plan: Plan, owner: str | None) -> None:
        want = plan.want
        profile = Profile.parse(want["default_action"], want["architectures"], want["syscalls"])
        files.write(self.name, seccomp_files.FORMATS[want["format"]].write(profile), owned_by=owner)

    def create(self, engine: seccomp.Host, plan: Plan) -> None:
        self._write(plan, self.owner)

    def update(self, engine: seccomp.Host, plan: Plan) -> None:
        self._write(plan, plan.state.owner)

    def remove(self, engine: seccomp.Host, plan: Plan) -> None:
        files.remove(self.name)


def _row(rule: Rule, calls: list[str]) -> dict[str, Any]:
    values = {
        "names": tuple(calls),
        "action": rule.action,
        "args": tuple(str(one) for one in rule.arguments),
        "includes": rule.includes,
        "excludes": rule.excludes,
    }
    return {name: value for name, value in values.items() if value}


@contextlib.contextmanager
def _of(option: str) -> Iterator[None]:
    """Errors within are about this option."""
    try:
        yield
    except StrataError as error:
        error.option = error.option or option
        raise
