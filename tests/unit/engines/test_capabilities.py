# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of capabilities as the kernel shows them."""

from __future__ import annotations

from ansible_collections.strata.virt.plugins.module_utils.engines.capabilities import NAMES, names


def test_names_are_at_the_place_of_their_numbers():
    assert [NAMES.index(name) for name in ("CHOWN", "NET_RAW", "SYS_ADMIN", "SETFCAP", "CHECKPOINT_RESTORE")] == [
        *(0, 13, 21, 31, 40),
    ]
    assert len(NAMES) == len(set(NAMES)) == 41


def test_sets():
    assert names("0000000000000000") == []
    assert names("0000000000000400") == ["NET_BIND_SERVICE"]
    # What Docker leaves to a container.
    assert len(names("00000000a80425fb")) == 14
    assert names("000001ffffffffff") == list(NAMES)
    assert names("0000020000000000") == ["CAP_41"]
