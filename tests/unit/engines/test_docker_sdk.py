# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the SDK of Docker is imported."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from ansible_collections.strata.virt.plugins.module_utils.engines import docker


@pytest.mark.parametrize(("version", "taken_away"), [((3, 11), 1), ((3, 12), 0)])
def test_setuptools_is_left_out_where_python_has_distutils_itself(monkeypatch, version, taken_away):
    order = []
    shim = SimpleNamespace(remove_shim=lambda: order.append("shim"))
    monkeypatch.setitem(sys.modules, "_distutils_hack", shim)
    monkeypatch.setattr(docker, "sys", SimpleNamespace(modules=sys.modules, version_info=version))
    monkeypatch.setattr(docker, "library", lambda name, _package: order.append(name))
    docker._sdk()
    assert order == ["shim"] * taken_away + ["docker"]


def test_without_setuptools_there_is_nothing_to_leave_out(monkeypatch):
    monkeypatch.delitem(sys.modules, "_distutils_hack", raising=False)
    monkeypatch.setattr(docker, "library", lambda name, package: (name, package))
    assert docker._sdk() == ("docker", "python3-docker")
