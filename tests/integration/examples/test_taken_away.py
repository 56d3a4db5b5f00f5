# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the documentation that take something away: each is foretold, is done, and leaves nothing to do."""

from __future__ import annotations

import pytest

from tests.integration.examples.documented import declarations, takes_away
from tests.lab.driver import call

GONE = [one for one in declarations() if takes_away(one[2])]


@pytest.mark.parametrize(("door", "_task", "options"), GONE, ids=[f"{door}: {task}" for door, task, _options in GONE])
def test_it_is_foretold_and_gone(door, _task, options):
    foretold = call(door, options, check=True)
    done = call(door, options)
    assert (foretold["changed"], foretold["diff"]) == (done["changed"], done["diff"])
    assert call(door, options)["changed"] is False
