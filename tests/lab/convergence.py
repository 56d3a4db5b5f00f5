# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test that every kind has to pass: whatever the host has, it becomes what is declared, and stays so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .driver import Failed, Killed, call

MOST_TOUCHES = 40


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


class Convergence:
    """Mix it into a test class that has a ``case``."""

    case: Case

    @property
    def owner(self) -> str:
        return f"test-{self.case.kind}"

    @pytest.fixture(autouse=True)
    def _clean(self):
        self._absent()
        yield
        self._absent()

    def _absent(self) -> None:
        Path(f"/var/lib/strata/stacks/{self.owner}.json").unlink(missing_ok=True)
        for name in (self.case.name, f"{self.case.name}2"):
            call(self.case.kind, {"name": name, "state": "absent", **self.case.connect})

    def apply(self, spec: dict, name: str | None = None, **more) -> dict:
        return call(self.case.kind, {"name": name or self.case.name, **self.case.connect, **spec}, **more)

    def stack(self, spec: dict | None, name: str | None = None, **more) -> dict:
        entry = {"name": name or self.case.name, **self.case.connect, **(spec or {})}
        entries = [] if spec is None else [{self.case.kind: entry}]
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
            assert (again["changed"], again["changes"]) == (False, [])

    def test_create_and_settle(self):
        assert self.foretold(self.case.a)["changed"]
        self.sees(self.case.seen_a)
        self.unchanged(self.case.a)

    def test_change_and_settle(self):
        self.apply(self.case.a)
        process = self.case.same_process and self.case.same_process(self.case.name)
        assert self.foretold(self.case.b)["changed"]
        self.sees(self.case.seen_b)
        self.unchanged(self.case.b)
        if self.case.same_process:
            assert self.case.same_process(self.case.name) == process, "it was restarted for a change that needs none"

    def test_info_and_export_declare_what_is_there(self):
        self.apply(self.case.a)
        (told,) = call(self.case.info, {"name": [self.case.name], **self.case.connect})["resources"]
        again = call(self.case.kind, {**told["options"], **self.case.connect})
        assert again["changes"] == []
        exported = call("stack_export", {"kinds": [self.case.kind]})["resources"] if not self.case.connect else []
        mine = [entry for entry in exported if entry[self.case.kind]["name"] == self.case.name]
        assert call("stack", {"name": "strata-other", "resources": mine})["changed"] is False

    def test_drift_is_seen_and_repaired(self):
        for what, drift in self.case.drifts.items():
            self.apply(self.case.a)
            drift(self.case.name)
            assert self.foretold(self.case.a)["changed"], what
            self.sees(self.case.seen_a)
            self.unchanged(self.case.a)

    def test_a_then_b_equals_a_fresh_b(self):
        self.stack(self.case.a)
        self.stack(self.case.b)
        assert self.stack(self.case.b)["changed"] is False
        grown = self.case.look(self.case.name)
        self.stack(self.case.b, f"{self.case.name}2")
        assert self.case.look(self.case.name) is None, "prune left the old one"
        self.stack(None)
        self.stack(self.case.b)
        assert self.case.look(self.case.name) == grown

    @pytest.mark.parametrize("step", ["create", "change"])
    def test_killed_anywhere_it_converges_again(self, step):
        for touch in range(1, MOST_TOUCHES):
            self.apply({"state": "absent"})
            if step == "change":
                self.apply(self.case.a)
            wanted, seen = (self.case.a, self.case.seen_a) if step == "create" else (self.case.b, self.case.seen_b)
            try:
                self.apply(wanted, touches=self.case.touches, die_at=touch)
            except Killed:
                self.apply(wanted)
                self.sees(seen)
                assert self.apply(wanted, check=True)["changes"] == []
            else:
                assert touch > 1, "no touch was counted: the case names the wrong functions"
                return
        raise AssertionError(f"more than {MOST_TOUCHES} touches")

    def test_absent_twice(self):
        self.apply(self.case.a)
        gone = {"state": "absent"}
        assert self.foretold(gone)["changed"]
        assert self.case.look(self.case.name) is None
        self.unchanged(gone)

    def test_somebody_elses_stack_is_respected(self):
        self.stack(self.case.a)
        entry = {"name": self.case.name, **self.case.connect, **self.case.b}
        with pytest.raises(Failed, match="belongs to the stack"):
            call("stack", {"name": "strata-other", "resources": [{self.case.kind: entry}]})
        self.sees(self.case.seen_a)

    @pytest.mark.parametrize("name", ["", "a/../b", "..", "-x", "x y"])
    def test_bad_names_are_refused(self, name):
        with pytest.raises(Failed) as failed:
            self.apply(self.case.a, name=name) if name else call(self.case.kind, {**self.case.a, "name": ""})
        assert "name" in failed.value.result["msg"]

    @pytest.mark.parametrize(("option", "value"), [("memory", "12X"), ("cpus", "-1"), ("nonsense", "1")])
    def test_bad_values_are_refused(self, option, value):
        with pytest.raises(Failed) as failed:
            self.apply({**self.case.a, option: value})
        assert option in failed.value.result["msg"]
        assert self.case.look(self.case.name) is None
