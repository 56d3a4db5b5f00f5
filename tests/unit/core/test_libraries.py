# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.libraries import part


@pytest.fixture
def _collection(tmp_path, monkeypatch):
    """A library whose parts are of use without it, but one."""
    root = tmp_path / "strata_sample"
    root.mkdir()
    (root / "__init__.py").write_text("from . import free\nWHOLE = True\n")
    (root / "free.py").write_text("VALUE = 1\n")
    (root / "bound.py").write_text("from strata_sample import WHOLE as VALUE\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.startswith("strata_sample")]:
        del sys.modules[name]


@pytest.mark.usefixtures("_collection")
def test_a_part_is_imported_without_the_whole():
    assert part("strata_sample.free", "python3-sample").VALUE == 1
    assert not hasattr(sys.modules["strata_sample"], "WHOLE")


@pytest.mark.usefixtures("_collection")
def test_a_part_that_needs_the_whole_has_it():
    assert part("strata_sample.bound", "python3-sample").VALUE is True
    assert sys.modules["strata_sample"].WHOLE is True


@pytest.mark.usefixtures("_collection")
def test_what_was_imported_whole_stays_so():
    import strata_sample

    assert part("strata_sample.free", "python3-sample") is strata_sample.free
