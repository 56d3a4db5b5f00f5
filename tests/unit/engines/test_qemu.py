# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a QEMU that ends looks like to somebody who speaks to it."""

from __future__ import annotations

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.engines import qemu


def answering(error: BaseException):
    def open_monitor(_path):
        raise error

    return open_monitor


@pytest.mark.parametrize("error", [FileNotFoundError, ConnectionRefusedError, ConnectionResetError, BrokenPipeError])
def test_one_that_ends_while_it_is_spoken_to_is_gone(tmp_path, monkeypatch, error):
    monkeypatch.setattr(qemu, "Monitor", answering(error()))
    assert qemu.Machine(str(tmp_path)).gone()


@pytest.mark.parametrize(
    ("error", "words"),
    [(TimeoutError(), "somebody else may be speaking to it"), (PermissionError(13, "Permission denied"), "Permission")],
)
def test_one_that_cannot_be_spoken_to_is_not_gone(tmp_path, monkeypatch, error, words):
    monkeypatch.setattr(qemu, "Monitor", answering(error))
    with pytest.raises(StrataError, match=words):
        qemu.Machine(str(tmp_path)).gone()
