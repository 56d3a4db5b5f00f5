# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test that every kind has to pass: whatever the host has, it becomes what is declared, and stays so."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from .driver import UTILS, Failed, Killed, call, touches_of

record = importlib.import_module(f"{UTILS}.core.record")


@dataclass(frozen=True)
class Case:
    """One kind's specs.

    Attributes:
        kind: The kind.
        a: A declaration, without a name.
        b: Another one of the same thing; options of ``a`` that it doesn't give go back to their defaults.
        look: What the host itself says of a named one, by the engine's own tools; None where there is none.
        seen_a: What ``look`` must say of ``a`` (those keys).
        seen_b: What ``look`` must say of ``b``.
        drifts: What somebody else does to it with the engine's own tools, by what it is called.
        touches: The functions that change the host, for killing a module between them.
        info: The ``_info`` door.
        same_process: What must not change when ``b`` is applied to ``a`` live (a PID); None: not checked.
        name: The name that the tests use.
        connect: Options that reach the engine (``lxc_path``), given to every call.
        idle: Options with which it is there at less cost, not running for one: for tests that don't need more.
        own: Options that each name has of its own, such as a tree that only one can run from.
        identity: The option that tells it from its siblings.
        another: The name of another one, from that of the first and a mark.
        bad: Options with values that are refused; the message names the option.
        bad_names: Values of ``identity`` that are refused.
    """

    kind: str
    a: dict
    b: dict
    look: Callable[[str], dict | None]
    seen_a: dict
    seen_b: dict
    info: str
    drifts: dict[str, Callable[[str], object]] = field(default_factory=dict)
    touches: tuple[str, ...] = ()
    name: str = "strata-test"
    same_process: Callable[[str], object] | None = None
    connect: dict = field(default_factory=dict)
    idle: dict = field(default_factory=dict)
    own: Callable[[str], dict] = lambda name: {}
    identity: str = "name"
    another: Callable[[str, str], str] = lambda name, mark: f"{name}{mark}"
    bad: tuple[tuple[str, object], ...] = (("memory", "12X"), ("cpus", "-1"), ("nonsense", "1"))
    bad_names: tuple[str, ...] = ("", "a/../b", "..", "-x", "x y")

    def options(self, name: str, spec: dict) -> dict:
        """All that a call gives for one name."""
        own = {} if spec.get("state") == "absent" else self.own(name)
        return {self.identity: name, **self.connect, **own, **spec}


class Harness:
    """What tests of a ``case`` have at hand. Mix it into a test class.

    What many resources can go through together goes through one ``stack``: under emulation, a call costs.
    """

    case: Case

    @property
    def owner(self) -> str:
        return f"test-{self.case.kind}"

    @pytest.fixture(autouse=True)
    def _clean(self):
        self.made = {self.case.name}
        yield
        self._forget()
        self.together({"state": "absent"}, self.made)
        self._forget()

    def _forget(self) -> None:
        """What a stack applied last: without it, every option that isn't given stays as it is.

        A record of nothing, and not none: then every engine would be asked for what is this stack's, each time.
        """
        record.save(self.owner, {}, whole=True)

    def apply(self, spec: dict, name: str | None = None, **more) -> dict:
        name = self.case.name if name is None else name
        self.made.add(name)
        return call(self.case.kind, self.case.options(name, spec), **more)

    def together(self, spec: dict, names, **more) -> dict:
        """Apply one declaration to many names, in one stack."""
        self.made.update(names)
        entries = [{self.case.kind: self.case.options(name, spec)} for name in sorted(names)]
        return call("stack", {"name": self.owner, "resources": entries}, **more)

    def names(self, count: int) -> list[str]:
        return [self.case.another(self.case.name, f"-{number}") for number in range(1, count + 1)]

    def stack(self, spec: dict | None, name: str | None = None, **more) -> dict:
        """The one resource of a stack, or none at all."""
        name = name or self.case.name
        self.made.add(name)
        entries = [] if spec is None else [{self.case.kind: self.case.options(name, spec)}]
        return call("stack", {"name": self.owner, "prune": True, "resources": entries}, **more)

    def sees(self, expected: dict, name: str | None = None) -> None:
        seen = self.case.look(name or self.case.name)
        assert seen is not None, "the host has no such thing"
        assert {key: seen.get(key) for key in expected} == expected

    def foretold(self, spec: dict) -> dict:
        """Apply, having asked before what would happen: both must say the same."""
        before = self.case.look(self.case.name)
        forecast = self.apply(spec, check=True)
        assert self.case.look(self.case.name) == before, "check mode touched the host"
        done = self.apply(spec)
        for key in ("changed", "changes", "diff", "restart_required"):
            assert forecast[key] == done[key], f"check mode foretold another {key}"
        return done

    def unchanged(self, spec: dict) -> None:
        for check in (True, False):
            again = self.apply(spec, check=check)
            assert (again["changed"], again["changes"]) == (False, []), again["changes"]


class Convergence(Harness):
    """The tests that every ``case`` has to pass."""

    def test_create_change_and_absent(self):
        assert self.foretold(self.case.a)["changed"]
        self.sees(self.case.seen_a)
        self.unchanged(self.case.a)
        process = self.case.same_process and self.case.same_process(self.case.name)
        assert self.foretold(self.case.b)["changed"]
        self.sees(self.case.seen_b)
        self.unchanged(self.case.b)
        if self.case.same_process:
            assert self.case.same_process(self.case.name) == process, "it was restarted for a change that needs none"
        gone = {"state": "absent"}
        assert self.foretold(gone)["changed"]
        assert self.case.look(self.case.name) is None
        self.unchanged(gone)

    def test_info_and_export_declare_what_is_there(self):
        self.apply({**self.case.a, **self.case.idle})
        (told,) = call(self.case.info, {"name": [self.case.name], **self.case.connect})["resources"]
        again = call(self.case.kind, {**told["options"], **self.case.connect})
        assert again["changes"] == []
        exported = call("stack_export", {"kinds": [self.case.kind]})["resources"] if not self.case.connect else []
        mine = [entry for entry in exported if entry[self.case.kind][self.case.identity] == self.case.name]
        assert call("stack", {"name": "strata-other", "resources": mine})["changed"] is False

    def test_drift_is_seen_and_repaired(self):
        """One resource for each drift."""
        drifts = dict(zip(self.names(len(self.case.drifts)), self.case.drifts.items()))
        self.together(self.case.a, drifts)
        for name, (_what, drift) in drifts.items():
            drift(name)
        before = {name: self.case.look(name) for name in drifts}
        forecast = self.together(self.case.a, drifts, check=True)
        assert {name: self.case.look(name) for name in drifts} == before, "check mode touched the host"
        unseen = [drifts[one["name"]][0] for one in forecast["resources"] if not one["changed"]]
        assert unseen == []
        done = self.together(self.case.a, drifts)
        for key in ("resources", "diff"):
            assert forecast[key] == done[key], f"check mode foretold other {key}"
        for name in drifts:
            self.sees(self.case.seen_a, name)
        again = self.together(self.case.a, drifts)
        assert [one for one in again["resources"] if one["changed"]] == []

    def test_a_then_b_equals_a_fresh_b(self):
        a, b = ({**spec, **self.case.idle} for spec in (self.case.a, self.case.b))
        self.stack(a)
        self.stack(b)
        assert self.stack(b)["changed"] is False
        grown = self.case.look(self.case.name)
        self.stack(b, self.case.another(self.case.name, "2"))
        assert self.case.look(self.case.name) is None, "prune left the old one"
        self.stack(None)
        self.stack(b)
        assert self.case.look(self.case.name) == grown

    @pytest.mark.parametrize("step", ["create", "change"])
    def test_killed_anywhere_it_converges_again(self, step):
        """One resource for each touch of the host, the module killed right after it."""
        wanted, seen = (self.case.a, self.case.seen_a) if step == "create" else (self.case.b, self.case.seen_b)
        if step == "change":
            self.apply(self.case.a)
        count = touches_of(self.case.kind, self.case.options(self.case.name, wanted), self.case.touches)
        assert count, "no touch was counted: the case names the wrong functions"
        names = self.names(count)
        if step == "change":
            self.together(self.case.a, names)
            self._forget()
        for touch, name in enumerate(names, start=1):
            with pytest.raises(Killed):
                self.apply(wanted, name, touches=self.case.touches, die_at=touch)
        self.together(wanted, names)
        for name in names:
            self.sees(seen, name)
        again = self.together(wanted, names, check=True)
        assert [one for one in again["resources"] if one["changed"]] == []

    def test_somebody_elses_stack_is_respected(self):
        self.stack({**self.case.a, **self.case.idle})
        before = self.case.look(self.case.name)
        assert before is not None
        entry = self.case.options(self.case.name, self.case.b)
        with pytest.raises(Failed, match="belongs to the stack"):
            call("stack", {"name": "strata-other", "resources": [{self.case.kind: entry}]})
        assert self.case.look(self.case.name) == before

    def test_bad_input_is_refused(self):
        for name in self.case.bad_names:
            with pytest.raises(Failed) as failed:
                call(self.case.kind, {**self.case.a, **self.case.connect, self.case.identity: name})
            assert self.case.identity in failed.value.result["msg"]
        for option, value in self.case.bad:
            with pytest.raises(Failed) as failed:
                self.apply({**self.case.a, option: value})
            assert option in failed.value.result["msg"]
        assert self.case.look(self.case.name) is None
