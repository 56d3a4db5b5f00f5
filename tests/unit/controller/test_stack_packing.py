# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which module a stack runs by, and what Ansible packs with it: what it sees imported."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible import constants
from ansible.plugins.action.normal import ActionModule as Normal
from ansible.plugins.loader import module_loader

from ansible_collections.strata.virt.plugins.action.stack import WHOLE, ActionModule, declared, packed
from ansible_collections.strata.virt.plugins.module_utils.core import doors, record, turns
from ansible_collections.strata.virt.plugins.module_utils.kinds import registry
from ansible_collections.strata.virt.plugins.module_utils.kinds.registry import GUESTS, KINDS

FOLDER = Path(registry.__file__).parent
NETNS, LINK = {"netns": {"name": "blue"}}, {"link": {"name": "br0"}}
WEB = {"docker_container": {"name": "web"}}


@pytest.fixture(autouse=True)
def local_tmp(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    monkeypatch.setattr(module_loader, "_extra_dirs", [])
    yield tmp_path
    module_loader._clear_caches()


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({"resources": [NETNS, LINK]}, ["link", "netns"]),
        ({"resources": [WEB, WEB, NETNS], "prune": True}, ["docker_container", "netns"]),
        ({"resources": []}, []),
        ({"resources": [WEB, {"nonsense": {}}]}, []),
        ({"resources": "nonsense"}, []),
        ({"resources": [WEB, "nonsense"]}, []),
        ({}, []),
    ],
)
def test_the_kinds_of_a_stack_are_those_of_its_entries(options, kinds):
    assert declared(options) == kinds


def imported(text: str, folder: str | None) -> set[str]:
    """What is imported from a folder, never run or not."""
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.module == folder]
    return {name.name for node in found for name in node.names}


def found(name: str) -> Path:
    return Path(module_loader.find_plugin_with_context(name, ".py").plugin_resolved_path)


def test_ansible_finds_the_module_of_some_kinds_which_imports_those(local_tmp):
    both = packed(["link", "netns"])
    module = found(both)
    assert module.is_relative_to(local_tmp)
    assert imported(module.read_text(), registry.__package__) == {"link", "netns"}
    assert packed(["link", "netns"]) == both
    assert list(module.parent.iterdir()) == [module], "nothing half-written stays"


def test_ansible_finds_the_next_one_too_where_a_loop_has_items_of_other_kinds():
    first, second = found(packed(["netns"])), found(packed(["link"]))
    assert imported(first.read_text(), registry.__package__) == {"netns"}
    assert imported(second.read_text(), registry.__package__) == {"link"}


@pytest.fixture
def runs(monkeypatch):
    """What Ansible is asked to run, and what the next runs answer."""
    asked, answers = [], []

    def execute(_self, **options):
        asked.append(options)
        return answers.pop(0) if answers else {"changed": True}

    monkeypatch.setattr(Normal, "_execute_module", execute)

    def run(answer=(), *, resources=(NETNS,), prune=False, **more):
        asked.clear()
        answers[:] = answer
        action = ActionModule.__new__(ActionModule)
        action._task = type("Task", (), {"args": {"resources": list(resources), "prune": prune}})
        return action._execute_module(**more), [one.pop("module_name") for one in asked], asked

    return run


def test_the_action_asks_for_that_module_and_leaves_all_else_to_ansible(runs):
    exact = packed(["netns"])
    more = {"task_vars": {"a": 1}, "wrap_async": 3}
    assert runs(**more) == ({"changed": True}, [exact], [more])
    assert runs(prune=True, task_vars={}) == ({"changed": True}, [exact], [{"task_vars": {}}])
    assert runs(resources=[{"nonsense": {}}])[1] == [WHOLE]
    assert runs(module_name="ansible.legacy.async_status", task_vars={})[1] == ["ansible.legacy.async_status"]


def test_where_a_kind_is_missing_all_of_them_follow(runs):
    result, modules, asked = runs([{"changed": False, "unpacked": "link"}, {"changed": True}], prune=True, task_vars={})
    assert (result, modules) == ({"changed": True}, [packed(["netns"]), WHOLE])
    assert asked == [{"task_vars": {}}] * 2


def test_what_prunes_in_the_background_has_all_from_the_start(runs):
    assert runs(prune=True, wrap_async=True)[1] == [WHOLE]


class Sent(SimpleNamespace):
    """AnsibleModule, as far as a door needs it."""

    check_mode = False

    def exit_json(self, **result):
        self.told.update(result)


def test_a_kind_that_was_not_sent_is_missed_before_anything_is_touched(monkeypatch, tmp_path):
    records, file, told = tmp_path / "records", tmp_path / "seed.iso", {}
    monkeypatch.setattr(record, "FOLDER", str(records))
    monkeypatch.setattr(turns, "FOLDER", str(tmp_path))
    record.save("demo", {"overlay//gone": {"path": "/gone"}})
    before = (records / "demo.json").read_text()
    monkeypatch.setitem(sys.modules, f"{registry.__package__}.overlay", None)  # as on a host that wasn't sent it
    entry = {"cloud_init_seed": {"path": str(file), "user_data": {"hostname": "one"}}}
    params = {"name": "demo", "resources": [entry], "prune": True, "parallel": 1}
    monkeypatch.setattr(doors, "AnsibleModule", lambda **_spec: Sent(params=params, told=told))
    doors.converge_stack(registry.find, KINDS)
    assert told == {"changed": False, "unpacked": "overlay"}
    assert not file.exists()
    assert (records / "demo.json").read_text() == before


def test_a_library_that_a_kind_lacks_is_no_kind_that_was_not_sent(monkeypatch):
    def fails(_name):
        raise ModuleNotFoundError("no module named xyz", name="xyz")

    monkeypatch.setattr(registry, "import_module", fails)
    with pytest.raises(ModuleNotFoundError, match="xyz"):
        registry.find("overlay")


def test_all_is_packed_with_all_and_guests_with_theirs():
    assert imported((FOLDER / "pack_all.py").read_text(), None) == KINDS.keys()
    assert imported((FOLDER / "pack_guests.py").read_text(), None) == set(GUESTS.values())
