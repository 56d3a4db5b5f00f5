# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the documentation, as written: each is foretold, is done, and done again it changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.examples.documented import declarations, takes_away
from tests.lab.driver import call, run

HOST = Path(__file__).with_name("host.sh")
MADE = [one for one in declarations() if not takes_away(one[2])]


@pytest.fixture(scope="module", autouse=True)
def _surroundings():
    run("sh", str(HOST))


@pytest.mark.parametrize(("door", "_task", "options"), MADE, ids=[f"{door}: {task}" for door, task, _options in MADE])
def test_it_is_foretold_and_done_once(door, _task, options):
    foretold = call(door, options, check=True)
    done = call(door, options)
    assert (foretold["changed"], foretold["diff"]) == (done["changed"], done["diff"])
    assert call(door, options)["changed"] is False
