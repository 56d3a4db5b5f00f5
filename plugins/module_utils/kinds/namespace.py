# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pinned sets of namespaces, of any kinds, which programs enter with nsenter(1)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import policy
from ..core.codec import SETTINGS, Codec, parse_name
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Layer, Plan, State
from ..core.resource import Resource, Thing
from ..engines import pinned, systemd, unshare
from . import namespace_fields

_SHOWN = 5  # how many processes an error names
_FIXED = ("kinds", "uid_map", "gid_map", "time_offsets")  # what only a new set can have


class Namespace(Resource):
    kind = "namespace"
    rank = 10
    fields = (
        policy.name(Codec(parse_name)),
        policy.state("present", "absent"),
        policy.recreate(),
        *namespace_fields.FIELDS,
        # What the unit says that makes it at boot, beside what is there.
        Field("stored", SETTINGS, effect=Effect.NEXT_BOOT, default={}, role=Role.DERIVED),
    )
    states = {"present": "present", "absent": "absent"}
    busy = frozenset({"present"})

    # What was declared.

    def check(self) -> None:
        if self.target != "absent" and "kinds" in self.spec:
            namespace_fields.check(self.spec["kinds"], self.spec)

    def provides(self) -> Iterable[Thing]:
        yield "namespace", self.name

    def settings(self, state: State) -> dict[str, Any]:
        want = super().settings(state)
        kinds = want.get("kinds") or state.config.get("kinds")
        if not kinds:
            raise StrataError("is required to make a set that isn't there", option="kinds")
        namespace_fields.check(kinds, want)
        self._refuse(kinds, want, state)
        if "net" not in kinds:
            want.pop("loopback", None)
        if "persistent" in want:
            stored = self._stored(want, state) if want["persistent"] else {}
            want["stored"] = {**dict.fromkeys(state.config.get("stored", {})), **stored}
        if want.get("hostname", "") is None:  # no longer declared: as a new one has it
            want["hostname"] = state.facts["host"] if "uts" in kinds else state.config.get("hostname")
        return want

    def _refuse(self, kinds: Iterable[str], want: Mapping[str, Any], state: State) -> None:
        """What this host can't do."""
        if state.facts["lacking"]:
            raise StrataError(
                f"this kernel has no namespaces of kind {', '.join(state.facts['lacking'])}", option="kinds"
            )
        held = [kind for kind in kinds if kind in unshare.HELD]
        if not state.facts["booted"] and (held or want.get("persistent")):
            what = f"a namespace of kind {held[0]} is held" if held else "the set is made again at boot"
            raise StrataError(
                f"{what} by a unit of systemd, which does not run this host", option="kinds" if held else "persistent"
            )

    def _stored(self, want: Mapping[str, Any], state: State) -> dict[str, str]:
        """The words of the unit; those of options that nobody declares stay as they are."""
        kept = {key: state.config.get(key) for key in _FIXED}
        words = pinned.words(namespace_fields.fitting({**kept, **want}))
        for word in ("hostname", "loopback"):
            there = state.config.get("stored", {}).get(word)
            if word not in want and there is not None:
                words[word] = there
        return words

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> None:
        return None

    @classmethod
    def read_many(cls, engine: None, names: Iterable[str] | None) -> dict[str, State]:
        seen = pinned.read(pinned.names() if names is None else names)
        return {name: cls._state(name, one) for name, one in seen.items() if one.noted is not None or one.unit}

    @classmethod
    def _state(cls, name: str, seen: pinned.Seen) -> State:
        stored = dict(seen.unit or {})
        owner = stored.pop("owner", None)
        if seen.noted is None:  # it will be there at the next boot
            return State(config={"stored": stored}, facts={"unit": pinned.unit(name)}, owner=owner)
        made = pinned.values(seen.noted["words"])
        kinds = tuple(kind for kind in namespace_fields.KINDS if kind in seen.kinds)
        config = {**made, **seen.live, "kinds": kinds, "persistent": seen.enabled, "stored": stored}
        ids = seen.noted["ids"]
        facts = {
            "path": unshare.path(name),
            "namespaces": {kind: int(ids[kind].partition(":")[2]) for kind in kinds},
            "holder": int(seen.noted["holder"]) if unshare.HELD & set(kinds) else None,
            "unit": pinned.unit(name) if seen.unit is not None else None,
            "processes": None if seen.hidden else len(seen.processes),
            "users": seen.processes,
        }
        return State("present", config, facts=facts, owner=seen.noted.get("owner"))

    def observe(self, engine: None, state: State) -> State:
        lacking = pinned.lacking(self.spec.get("kinds", ()))
        about = {"host": os.uname().nodename, "lacking": lacking, "booted": systemd.booted()}
        return replace(state, facts={**state.facts, **about})

    # What is to be done.

    def plan(self, state: State) -> Plan:
        if self.target == "absent" and not state.exists and state.facts.get("unit"):
            told = Change("stored", state.facts["unit"], None, Effect.REMOVE)
            return Plan((told,), steps=("remove",), state=state)
        plan = super().plan(state)
        if {"recreate", "remove"} & set(plan.steps):
            self._spare(state)
        return plan

    def _spare(self, state: State) -> None:
        """Nothing that runs is killed, nor left behind in namespaces without a name."""
        users = state.facts["users"]
        if users:
            more = f" and {len(users) - _SHOWN} more" if len(users) > _SHOWN else ""
            raise StrataError(
                f"is in use by {', '.join(users[:_SHOWN])}{more}",
                hint="End them, and run this again",
            )
        if state.facts["processes"] is None and "pid" in state.config["kinds"]:  # they would be killed with it
            raise StrataError(
                "/proc doesn't tell whether a process is in it",
                hint="Run it with the capability CAP_SYS_PTRACE",
            )

    def create(self, engine: None, plan: Plan) -> None:
        self._make({**plan.state.config, **plan.want})

    def _make(self, values: Mapping[str, Any]) -> None:
        words = {**pinned.words(namespace_fields.fitting(values)), "owner": self.owner}
        boot = bool(values.get("persistent"))
        if boot or unshare.HELD & set(values["kinds"]):
            pinned.keep(self.name, words, boot=boot)
            pinned.start(self.name)
        else:
            pinned.make(self.name, words)

    def update(self, engine: None, plan: Plan) -> None:
        values = plan.of(Layer.CONFIG)
        if "hostname" in values:
            pinned.set_hostname(self.name, values["hostname"])
        if "loopback" in values:
            pinned.set_loopback(self.name, values["loopback"])
        if "persistent" in values or "stored" in values:
            self._keep(plan)

    def _keep(self, plan: Plan) -> None:
        owner = {} if plan.state.owner is None else {"owner": plan.state.owner}
        if plan.want["persistent"]:
            words = {key: text for key, text in plan.want["stored"].items() if text is not None}
            pinned.keep(self.name, {**words, **owner})
        elif unshare.HELD & set(plan.state.config["kinds"]):
            words = pinned.words({**plan.state.config, **plan.want})
            pinned.keep(self.name, {**words, **owner}, boot=False)
        else:
            pinned.keep(self.name, None)

    def recreate(self, engine: None, plan: Plan) -> None:
        pinned.remove(self.name)
        try:
            self.create(engine, plan)
        except StrataError as error:
            if not plan.state.config["kinds"]:
                raise
            pinned.remove(self.name)
            self._make(plan.state.config)
            raise StrataError(
                f"could not be made anew, so one as before is there: {error.message}", hint=error.hint
            ) from None

    def remove(self, engine: None, plan: Plan) -> None:
        pinned.remove(self.name)
        pinned.forget_program()
