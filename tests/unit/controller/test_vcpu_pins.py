# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter vcpu_pins: no thread twice, no core between two guests, no guest across nodes."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.virt.plugins.plugin_utils.pinning import lay

# Two sockets of four cores with two threads each, numbered as Linux does on most of them.
CPU = {"online": list(range(16)), "siblings": [[core, core + 8] for core in range(8)]}
NUMA = {"nodes": {"0": {"cpus": [0, 1, 2, 3, 8, 9, 10, 11]}, "1": {"cpus": [4, 5, 6, 7, 12, 13, 14, 15]}}}


def guest(name: str, vcpus: int, **more) -> dict:
    return {"name": name, "vcpus": vcpus, **more}


def test_each_guest_has_whole_cores_of_one_node():
    placed = lay([guest("small", 1), guest("db", 6, iothreads=2), guest("web", 4)], CPU, NUMA)
    assert placed["db"] == {
        "node": 0,
        "vcpu_pins": {0: "1", 1: "9", 2: "2", 3: "10", 4: "3", 5: "11"},
        "emulator_pin": "0,8",
        "iothread_pins": {1: "0,8", 2: "0,8"},
    }
    assert (placed["web"]["node"], placed["web"]["vcpu_pins"]) == (1, {0: "5", 1: "13", 2: "6", 3: "14"})
    assert placed["small"]["vcpu_pins"] == {0: "7"}


def test_where_a_guest_wants_to_be_it_is():
    assert lay([guest("db", 2, node=1)], CPU, NUMA)["db"]["node"] == 1


def test_what_is_off_or_has_no_siblings_is_taken_as_it_is():
    cpu = {"online": [0, 1, 2, 3], "siblings": []}
    assert lay([guest("a", 2)], cpu)["a"]["vcpu_pins"] == {0: "1", 1: "2"}
    with pytest.raises(AnsibleFilterError, match="room for 1 on node 0"):
        lay([guest("a", 2)], {**CPU, "online": [0, 1, 8]})


@pytest.mark.parametrize(
    ("guests", "said"),
    [
        ([guest("db", 7)], "db has 7 vcpus, and there is room for 6 on node 0, 6 on node 1"),
        ([guest("a", 6), guest("b", 6), guest("c", 1)], "c has 1 vcpus, and there is room for 0 on node 0"),
        ([guest("db", 2, node=3)], "no such node"),
        ([guest("db", 0)], "vcpus is a number from 1 up"),
        ([guest("db", 1), guest("db", 2)], "db is there twice"),
        ([{"vcpus": 1}], "has no name"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_room_that_there_is(guests, said):
    with pytest.raises(AnsibleFilterError, match=said):
        lay(guests, CPU, NUMA)


def test_a_host_without_a_core_to_spare_is_refused():
    with pytest.raises(AnsibleFilterError, match="none is left"):
        lay([guest("a", 1)], {"online": [0, 1], "siblings": [[0, 1]]})


@given(st.lists(st.integers(1, 6), max_size=5))
def test_nothing_is_shared(sizes):
    guests = [guest(f"g{number}", size) for number, size in enumerate(sizes)]
    try:
        placed = lay(guests, CPU, NUMA)
    except AnsibleFilterError:
        return
    core_of = {thread: tuple(core) for core in CPU["siblings"] for thread in core}
    owners: dict[tuple[int, ...], set[str]] = {}
    for name, where in placed.items():
        threads = [int(thread) for thread in where["vcpu_pins"].values()]
        assert len(set(threads)) == len(threads)
        assert set(threads) <= set(NUMA["nodes"][str(where["node"])]["cpus"])
        for thread in threads:
            owners.setdefault(core_of[thread], set()).add(name)
    assert all(len(names) == 1 for names in owners.values())
    assert not owners.keys() & {(0, 8), (4, 12)}, "the host's own cores were taken"
