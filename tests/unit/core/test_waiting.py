# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that many threads share."""

from __future__ import annotations

import threading

from ansible_collections.strata.virt.plugins.module_utils.core.waiting import Shared


def test_those_who_ask_while_it_is_done_share_the_next_time():
    begun, go_on, done = threading.Semaphore(0), threading.Semaphore(0), []

    def work():
        begun.release()
        go_on.acquire()
        done.append(1)

    shared = Shared(work)
    first = threading.Thread(target=shared)
    first.start()
    begun.acquire()
    others = [threading.Thread(target=shared) for _number in range(3)]
    for thread in others:
        thread.start()
    while shared._asked < 4:  # until all have asked
        pass
    go_on.release()
    go_on.release()
    for thread in [first, *others]:
        thread.join()
    assert done == [1, 1]


def test_who_fails_fails_alone():
    tries = []

    def work():
        tries.append(1)
        if len(tries) == 1:
            raise ValueError

    shared = Shared(work)
    try:
        shared()
    except ValueError:
        shared()
    assert len(tries) == 2
