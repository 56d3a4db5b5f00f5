# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the documentation, as written: each is foretold, is done, and done again it changes nothing."""

from __future__ import annotations

import importlib
import json
import socket
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.integration.examples.documented import (
    ENGINES,
    GUESTS,
    WORKLOADS,
    declarations,
    looks,
    needs_a_machine,
    takes_away,
)
from tests.lab.driver import UTILS, call, run

HOST = Path(__file__).with_name("host.sh")


def of_each(examples: Iterable[tuple[str, str, dict]]):
    cases = [
        pytest.param(
            door, options, id=f"{door}: {task}", marks=[pytest.mark.machine] if needs_a_machine(door, options) else []
        )
        for door, task, options in examples
    ]
    return pytest.mark.parametrize(("door", "options"), cases)


def each(doors: list[str], *, gone: bool = False):
    return of_each(one for one in declarations(doors) if takes_away(one[2]) == gone)


@pytest.fixture(scope="module")
def _surroundings():
    run("sh", str(HOST))


def filled_in(options: dict) -> dict:
    """Options with what a play would know of this host."""
    return json.loads(json.dumps(options).replace("{{ inventory_hostname }}", socket.gethostname()))


def foretold_and_done_once(door: str, options: dict) -> None:
    options = filled_in(options)
    foretold = call(door, options, check=True)
    done = call(door, options)
    assert (foretold["changed"], foretold.get("diff")) == (done["changed"], done.get("diff"))
    assert call(door, options)["changed"] is False


@each(ENGINES)
@pytest.mark.usefixtures("_surroundings")
def test_made(door, options):
    foretold_and_done_once(door, options)


def tells_of_something(door: str, options: dict) -> None:
    told = call(door, options)
    assert not told.get("changed")
    assert any(isinstance(value, list) and value for value in told.values()), told


@of_each(looks(ENGINES))
def test_made_is_seen(door, options):
    tells_of_something(door, options)


@each(GUESTS)
def test_guests_made(door, options):
    foretold_and_done_once(door, options)


@of_each(looks(GUESTS))
def test_guests_made_are_seen(door, options):
    tells_of_something(door, options)


@each([*GUESTS, *ENGINES], gone=True)
def test_taken_away(door, options):
    foretold_and_done_once(door, options)


@each(WORKLOADS)
def test_taken_away_what_still_runs(door, options):
    """What no example takes away: it would slow down whatever the host is used for next."""
    kind = importlib.import_module(f"{UTILS}.kinds.registry").find(door)
    reached = [field.name for field in kind.fields if field.role.name in ("NAME", "CONNECT")]
    gone = {**{name: options[name] for name in reached if name in options}, "state": "absent"}
    call(door, gone)
    assert call(door, gone)["changed"] is False
