# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter placement: needs in, a technology and its reasons out."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.strata.virt.plugins.module_utils.kinds.registry import KINDS
from ansible_collections.strata.virt.plugins.plugin_utils.placement import RULES, TECHNOLOGIES, place


@pytest.mark.parametrize(
    ("needs", "technology"),
    [
        ({}, "docker"),
        ({"image": "oci", "density": 100}, "docker"),
        ({"image": "oci", "rootless": True}, "podman"),
        ({"image": "oci", "isolation": "users"}, "podman"),
        ({"tenants": True, "density": 20}, "vm"),
        ({"os": "windows"}, "vm"),
        ({"os": "linux", "kernel_modules": True}, "vm"),
        ({"isolation": "kernel"}, "vm"),
        ({"system_test": True}, "nspawn"),
        ({"system_test": True, "rootless": True}, "lxc"),
        ({"devices": ["gpu"], "isolation": "kernel"}, "vm"),
        ({"audit": True, "system_test": True}, "nspawn"),
        ({"build": True}, "chroot"),
        ({"network_only": True}, "namespaces"),
        ({"compose": True}, "docker"),
        ({"live_migration": True}, "vm"),
    ],
)
def test_what_fits(needs, technology):
    found = place(needs)
    assert (found["technology"], found["kind"]) == (technology, TECHNOLOGIES[technology].kind)
    assert found["reasons"]
    assert {one["technology"] for one in found["instead"]} == TECHNOLOGIES.keys() - {technology}
    assert all(one["reasons"] or one["fits"] for one in found["instead"])


def test_why_others_do_not_fit_is_told():
    found = place({"tenants": True})
    assert all("one kernel for all tenants" in one["reasons"][0] for one in found["instead"])


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ({"os": "windows", "density": 500}, "nothing meets all of"),
        ({"image": "oci", "tenants": True}, "Give up one of them"),
        ({"speed": "much"}, "no such need: speed"),
        ({"isolation": "much"}, "isolation is one of"),
    ],
)
def test_what_can_not_be_met_is_refused_with_all_reasons(needs, said):
    with pytest.raises(AnsibleFilterError, match=said):
        place(needs)


def test_the_tables_speak_of_what_there_is():
    assert {technology.kind for technology in TECHNOLOGIES.values()} <= KINDS.keys()
    for rule in RULES:
        assert {*rule.cannot, *rule.favours} <= TECHNOLOGIES.keys()
        assert not set(rule.cannot) & set(rule.favours)
