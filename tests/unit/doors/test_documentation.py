# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each door's documentation says what its Fields say: no more, no less."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

from ansible_collections.strata.virt.plugins.module_utils.acts import (
    docker_exec,
    docker_host,
    isolation_audit,
    podman_exec,
    probe,
    troubleshoot,
    workload_info,
)
from ansible_collections.strata.virt.plugins.module_utils.core import doors
from ansible_collections.strata.virt.plugins.module_utils.core.converge import info_fields
from ansible_collections.strata.virt.plugins.module_utils.core.field import arguments
from ansible_collections.strata.virt.plugins.module_utils.core.resource import Resource
from ansible_collections.strata.virt.plugins.module_utils.host.registry import SUBJECTS
from ansible_collections.strata.virt.plugins.module_utils.kinds.registry import GUESTS

ROOT = Path(__file__).resolve().parents[3]
BASE = "ansible_collections.strata.virt.plugins"
DOORS = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
DOORS_WITHOUT_A_KIND = {
    "stack": doors.STACK_OPTIONS,
    "stack_export": doors.EXPORT_OPTIONS,
    "guests_info": doors.guests_options(GUESTS),
    "host_info": doors.survey_options(SUBJECTS),
    "docker_container_exec": arguments(docker_exec.FIELDS),
    "docker_host_info": arguments(docker_host.FIELDS),
    "podman_container_exec": arguments(podman_exec.FIELDS),
    "probe": arguments(probe.FIELDS),
    "troubleshoot": arguments(troubleshoot.FIELDS),
    "isolation_audit": arguments(isolation_audit.FIELDS),
    "workload_info": arguments(workload_info.FIELDS),
}


def documented(door: str) -> dict:
    module = importlib.import_module(f"{BASE}.modules.{door}")
    text = yaml.safe_load(module.DOCUMENTATION)
    options: dict = {}
    for name in text.get("extends_documentation_fragment", ()):
        file, _dot, part = name.removeprefix("strata.virt.").partition(".")
        fragment = importlib.import_module(f"{BASE}.doc_fragments.{file}").ModuleDocFragment
        options.update(yaml.safe_load(getattr(fragment, part.upper() or "DOCUMENTATION")).get("options") or {})
    options.update(text.get("options") or {})
    return options


def declared(door: str) -> dict:
    if door in DOORS_WITHOUT_A_KIND:
        return DOORS_WITHOUT_A_KIND[door]
    module = importlib.import_module(f"{BASE}.modules.{door}")
    kinds = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Resource)]
    assert len(kinds) == 1, "a door opens on one kind"
    return arguments(info_fields(kinds[0])) if door.endswith("_info") else kinds[0].argument_spec()


def told(options: dict) -> dict:
    """What documentation and argument_spec both say of options."""
    words = ("type", "elements", "required", "default", "choices", "aliases")
    shown = {}
    for name, option in options.items():
        facts = {word: option[word] for word in words if option.get(word) not in (None, False, [])}
        if option.get("default") is False:
            facts["default"] = False
        below = option.get("suboptions") or option.get("options")
        if below:
            facts["suboptions"] = told(below)
        shown[name] = facts
    return shown


@pytest.mark.parametrize("door", DOORS)
def test_options_are_documented_as_they_are(door):
    assert told(documented(door)) == told(declared(door))


@pytest.mark.parametrize("door", DOORS)
def test_a_door_has_no_logic(door):
    text = (ROOT / "plugins" / "modules" / f"{door}.py").read_text()
    code = text.rpartition('"""')[2]
    assert len(code.strip().splitlines()) <= 14
    assert not any(word in code for word in ("    if ", "for ", "try:"))


@pytest.mark.parametrize("door", DOORS)
def test_examples_are_yaml_with_full_names(door):
    module = importlib.import_module(f"{BASE}.modules.{door}")
    tasks = yaml.safe_load(module.EXAMPLES)
    assert any(f"strata.virt.{door}" in task for task in tasks)


def test_every_door_is_in_the_action_group():
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    assert sorted(runtime["action_groups"]["all"]) == DOORS
