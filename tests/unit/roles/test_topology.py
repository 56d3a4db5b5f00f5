# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""roles/topology: what is documented, and the example, whose entries are those of a stack."""

from __future__ import annotations

from pathlib import Path

import yaml

from ansible_collections.strata.virt.plugins.module_utils.core.stack import Stack
from ansible_collections.strata.virt.plugins.module_utils.kinds.pack_all import KINDS, find

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "topology"
SPEC = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
LISTS = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["topology__lists"]


def test_defaults_are_documented_as_they_are():
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    assert defaults == {name: option["default"] for name, option in SPEC.items() if "default" in option}


def test_its_lists_are_documented():
    documented = SPEC["topology_declared"]["options"]
    assert documented.keys() == {"name", "hosts", *LISTS}


def test_the_example_is_what_its_kinds_take():
    example = yaml.safe_load((ROOT / "playbooks" / "files" / "topologies" / "mixed.yml").read_text())
    entries = [entry for name in LISTS for entry in example.get(name, [])]
    assert example.keys() <= {"name", *LISTS}
    items = Stack(example["name"], entries, find, KINDS).items
    assert {item.resource.kind for item in items} >= {"link", "netns", "lxc_container", "libvirt_domain"}
