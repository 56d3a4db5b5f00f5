# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which module a stack runs by, and what Ansible packs with it: what it sees imported."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from ansible.plugins.action.normal import ActionModule as Normal

from ansible_collections.strata.virt.plugins.action.stack import ActionModule, door
from ansible_collections.strata.virt.plugins.module_utils.kinds import registry
from ansible_collections.strata.virt.plugins.module_utils.kinds.registry import FAMILIES, GUESTS

FOLDER = Path(registry.__file__).parent
NETNS, LINK = {"netns": {"name": "blue"}}, {"link": {"name": "br0"}}
WEB = {"docker_container": {"name": "web"}}


@pytest.mark.parametrize(
    ("options", "module"),
    [
        ({"resources": [NETNS, LINK]}, "stack_kernel"),
        ({"resources": [WEB], "prune": False}, "stack_docker"),
        ({"resources": [{"podman_pod": {}}, {"podman_secret": {}}]}, "stack_podman"),
        ({"resources": [{"lxc_container": {}}, {"libvirt_domain": {}}]}, "stack_machines"),
        ({"resources": [NETNS, WEB]}, "stack"),
        ({"resources": [NETNS], "prune": True}, "stack"),
        ({"resources": []}, "stack"),
        ({"resources": [{"nonsense": {}}]}, "stack"),
        ({"resources": "nonsense"}, "stack"),
        ({"resources": ["nonsense"]}, "stack"),
        ({}, "stack"),
    ],
)
def test_a_stack_of_one_family_runs_by_its_module(options, module):
    assert door(options) == f"strata.virt.{module}"


def test_the_action_asks_for_that_module_and_leaves_all_else_to_ansible(monkeypatch):
    asked = {}
    monkeypatch.setattr(Normal, "_execute_module", lambda _self, **options: asked.update(options) or {"changed": True})
    action = ActionModule.__new__(ActionModule)
    action._task = type("Task", (), {"args": {"resources": [NETNS]}})
    assert action._execute_module(task_vars={"a": 1}, wrap_async=3) == {"changed": True}
    assert asked == {"module_name": "strata.virt.stack_kernel", "task_vars": {"a": 1}, "wrap_async": 3}
    action._execute_module(module_name="ansible.legacy.async_status", task_vars={})
    assert asked["module_name"] == "ansible.legacy.async_status"


def imported(pack: str) -> set[str]:
    """What is imported from beside a file, never run or not."""
    found = ast.walk(ast.parse((FOLDER / f"{pack}.py").read_text()))
    return {name.name for node in found if isinstance(node, ast.ImportFrom) and not node.module for name in node.names}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_packed_with_its_kinds(family):
    assert imported(f"pack_{family}") == FAMILIES[family].keys()


def test_all_is_packed_with_all_and_guests_with_theirs():
    assert imported("pack_all") == {f"pack_{family}" for family in FAMILIES}
    assert imported("pack_guests") == set(GUESTS.values())
