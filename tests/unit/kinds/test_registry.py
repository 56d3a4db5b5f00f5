# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stacks take for granted of every kind."""

from __future__ import annotations

import pytest

from ansible_collections.strata.virt.plugins.module_utils.kinds.registry import KINDS, find


@pytest.mark.parametrize("word", KINDS)
def test_a_stack_can_ask_after_it_without_knowing_its_options(word):
    """As pruning does where the record is lost, and an export."""
    kind = find(word)
    probe = kind({kind.identity: kind.sample, "state": "absent"})
    assert kind({kind.identity: probe.name, "state": "absent"}).name == probe.name
    kind.connection({})
