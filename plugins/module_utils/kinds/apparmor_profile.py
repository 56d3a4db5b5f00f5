# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""AppArmor profiles: a file in AppArmor's folder, beside what the kernel has loaded from it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import files, policy
from ..core.codec import BOOL, LINE, PATH, TEXTS, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource, Thing
from ..engines import apparmor

THIS, OTHER = "this file", "something else"


def _parse_content(value: Any) -> str:
    text = str(value)
    if not text.strip():
        raise ValueError("must not be empty")
    if "\0" in text:
        raise ValueError("must not hold NUL")
    return _text(text.splitlines())


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


class ApparmorProfile(Resource):
    kind = "apparmor_profile"
    rank = 15
    layered = True
    states = {"loaded": "loaded", "disabled": "disabled", "absent": "absent"}
    moves = {("disabled", "loaded"): ("start",), ("loaded", "disabled"): ("stop",)}
    busy = frozenset({"loaded"})
    fresh_status = "disabled"
    fields = (
        policy.name(),
        policy.state("loaded", "disabled", "absent"),
        Field("content", Codec(_parse_content), role=Role.POLICY),
        Field("src", PATH, role=Role.POLICY),
        Field("text", TEXTS, role=Role.DERIVED, effect=Effect.LIVE, default=()),
        Field("mode", LINE, effect=Effect.LIVE, default="enforce", choices=("enforce", "complain")),
        Field("enabled", BOOL, role=Role.DERIVED, effect=Effect.NEXT_BOOT, default=True),
        Field("loaded_from", LINE, role=Role.DERIVED, effect=Effect.LIVE, default=THIS),
    )

    def check(self) -> None:
        if "content" in self.spec and "src" in self.spec:
            raise StrataError("can't go with content", option="src", value=self.spec["src"])

    def provides(self) -> list[Thing]:
        return [("path", apparmor.path(self.name))]

    def files(self) -> list[tuple[str, str]]:
        return [("src", self.spec["src"])] if "src" in self.spec else []

    # Reading: the kernel's list once, and of each name its file, its two links, its note and the kernel's hashes.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> apparmor.Kernel:
        apparmor.need()
        return apparmor.Kernel()

    @classmethod
    def read_many(cls, engine: apparmor.Kernel, names: Iterable[str] | None) -> dict[str, State]:
        engine.read()
        if names is None:
            there = os.listdir(apparmor.FOLDER) if os.path.isdir(apparmor.FOLDER) else []
            ours = {name for name in there if files.owner(apparmor.path(name)) is not None}
            names = sorted(ours.union(apparmor.noted()))
        return {name: cls._read(engine, name) for name in names}

    @classmethod
    def _read(cls, kernel: apparmor.Kernel, name: str) -> State:
        path, note = apparmor.path(name), apparmor.note(name)
        if os.path.isdir(path):
            return State(facts={"folder": True})
        text = files.read(path)
        facts: dict[str, Any] = {"profiles": [], "noted": note is not None}
        profiles: dict[str, str | None] = note["profiles"] if note is not None else {}
        if note is None and text is not None:
            try:
                profiles = dict.fromkeys(apparmor.names(text))
            except StrataError as error:
                facts["broken"] = error.message
        # What somebody loaded within one of them goes and comes with it.
        loaded = {one: kernel.modes[one] for one in kernel.modes if {one, one.partition("//")[0]} & profiles.keys()}
        if text is None and not loaded:
            return State()
        facts["profiles"] = sorted({*profiles, *loaded})
        config: dict[str, Any] = {
            "mode": "complain" if apparmor.linked(apparmor.COMPLAIN, name) else "enforce",
            "enabled": not apparmor.linked(apparmor.DISABLE, name),
            "loaded_from": THIS,
        }
        if text is not None:
            config["text"] = tuple(text.splitlines())
        owner = files.owner(path)
        if owner is None and note is not None:
            owner = note["owner"]
        if not loaded:
            return State("disabled", config, facts=facts, owner=owner)
        complaining = [mode == "complain" for mode in loaded.values()]
        mode = "complain" if all(complaining) else "mixed" if any(complaining) else "enforce"
        source = None if text is None else apparmor.source(_text(text.splitlines()))
        same = note is None or (
            note["source"] == source and loaded.keys() == profiles.keys() and kernel.digests(profiles) == profiles
        )
        return State("loaded", config, {"mode": mode, "loaded_from": THIS if same else OTHER}, facts, owner)

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        text = state.config.get("text")
        return {**super().export(name, state), **({} if text is None else {"content": _text(text)})}

    # Planning.

    def observe(self, engine: apparmor.Kernel, state: State) -> State:
        text = None if self.target == "absent" else self._wanted()
        if text is None:
            return state
        facts: dict[str, Any] = {**state.facts, "wanted": text.splitlines()}
        if tuple(facts["wanted"]) != state.config.get("text"):
            try:
                defined = apparmor.check(text)
                if not defined:
                    raise StrataError("has no profile in it")
            except StrataError as error:
                option = error.option or ("src" if "src" in self.spec else "content")
                raise StrataError(error.message, option=option, hint=error.hint) from None
            facts["defined"] = sorted(defined)
            facts["taken"] = sorted(set(defined) & engine.modes.keys() - set(state.facts.get("profiles", ())))
        live = state.live
        if live is not None and not facts["noted"]:
            live = {**live, "loaded_from": OTHER}  # from which text it was loaded, nobody can tell
        return replace(state, facts=facts, live=live)

    def _wanted(self) -> str | None:
        if "src" not in self.spec:
            return self.spec.get("content")
        source = self.spec["src"]
        if ("path", source) in self.promised:
            raise StrataError(
                "is made by the same stack, and must be there before it is read",
                option="src",
                value=source,
                hint="Make it by a task before this one",
            )
        text = files.read(source)
        if text is None:
            raise StrataError("is not there", option="src", value=source)
        return _text(text.splitlines())

    def settings(self, state: State) -> dict[str, Any]:
        values = {**super().settings(state), "enabled": self.target != "disabled", "loaded_from": THIS}
        if "wanted" in state.facts:
            values["text"] = tuple(state.facts["wanted"])
        return values

    def plan(self, state: State) -> Plan:
        self._refuse(state)
        return super().plan(state)

    def _refuse(self, state: State) -> None:
        path = apparmor.path(self.name)
        option = "src" if "src" in self.spec else "content"
        if state.facts.get("folder"):
            raise StrataError(f"{path} is a folder of AppArmor's own", option="name", value=self.name)
        if self.target == "absent":
            if state.exists and state.owner is None:
                raise StrataError(
                    f"{path} was not made by this collection",
                    option="state",
                    value="absent",
                    hint="Declare state: disabled, or remove the package that it belongs to",
                )
            return
        wanted = state.facts.get("wanted", state.config.get("text"))
        if wanted is None:
            raise StrataError(f"must be given: there is no {path}", option="content")
        if "wanted" not in state.facts and "broken" in state.facts:
            raise StrataError(f"{path}: {state.facts['broken']}", option="name", value=self.name)
        if state.facts.get("taken"):
            raise StrataError(
                f"has the profile {state.facts['taken'][0]}, which is loaded, and not from {path}",
                option=option,
                hint="Give it another name, or unload that one first (apparmor_parser --remove, or aa-disable)",
            )
        if self.declared.get("mode") == "enforce" and apparmor.complains(_text(wanted)):
            raise StrataError(
                "can't be enforce where the profile itself has the flag complain",
                option="mode",
                value="enforce",
                hint="Take the flag out of it (aa-enforce does), or declare mode: complain",
            )

    # Doing.

    def create(self, engine: apparmor.Kernel, plan: Plan) -> None:
        self._store(plan, self.owner)

    def configure(self, engine: apparmor.Kernel, plan: Plan) -> None:
        self._store(plan, plan.state.owner)

    def _store(self, plan: Plan, owner: str | None) -> None:
        """The note comes first: what is loaded is then known not to come from the file, until it does."""
        have, want = plan.state.config, {**plan.state.config, **plan.want}
        if want["text"] != have.get("text"):
            apparmor.set_note(self.name, owner, None, self._known(plan))
            files.write(apparmor.path(self.name), _text(want["text"]), owned_by=owner)
        for folder, wanted in (
            (apparmor.COMPLAIN, want.get("mode") == "complain"),
            (apparmor.DISABLE, not want["enabled"]),
        ):
            (apparmor.link if wanted else apparmor.unlink)(folder, self.name)

    def _known(self, plan: Plan) -> dict[str, str | None]:
        """The profiles that are loaded, or may be before this is over, with no hash that could be theirs."""
        return dict.fromkeys([*plan.state.facts.get("profiles", ()), *plan.state.facts.get("defined", ())])

    def start(self, engine: apparmor.Kernel, plan: Plan) -> None:
        self.update(engine, plan)

    def update(self, engine: apparmor.Kernel, plan: Plan) -> None:
        apparmor.load(self.name)
        facts = plan.state.facts
        text = _text({**plan.state.config, **plan.want}["text"])
        fresh = facts["defined"] if "defined" in facts else apparmor.names(text)
        apparmor.unload(set(facts.get("profiles", ())) - set(fresh))
        owner = plan.state.owner if plan.state.exists else self.owner
        apparmor.set_note(self.name, owner, text, apparmor.Kernel().digests(fresh))

    def stop(self, engine: apparmor.Kernel, plan: Plan) -> None:
        apparmor.unload(plan.state.facts["profiles"])

    def remove(self, engine: apparmor.Kernel, plan: Plan) -> None:
        self.stop(engine, plan)
        for folder in (apparmor.COMPLAIN, apparmor.DISABLE):
            apparmor.unlink(folder, self.name)
        files.remove(apparmor.path(self.name))
        apparmor.forget(self.name)
