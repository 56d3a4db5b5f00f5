# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""roles/deploy: its gates are the probes of the module, so that a wrong one is told before anything is deployed."""

from __future__ import annotations

from pathlib import Path

import yaml

from ansible_collections.strata.virt.plugins.module_utils.acts import probe
from ansible_collections.strata.virt.plugins.module_utils.core.field import arguments

ROLE = Path(__file__).resolve().parents[3] / "roles" / "deploy"
SPEC = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]


def told(options: dict) -> dict:
    """Options without their descriptions."""
    facts = {name: {key: option[key] for key in option if key != "description"} for name, option in options.items()}
    return {
        name: {**one, **({"options": told(one["options"])} if "options" in one else {})} for name, one in facts.items()
    }


def test_gates_are_probes():
    assert told(SPEC["deploy_gates"]["options"]) == told(arguments(probe.PROBE))


def test_defaults_are_documented_as_they_are():
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    documented = {name: option["default"] for name, option in SPEC.items() if "default" in option}
    required = {name for name, option in SPEC.items() if option.get("required")}
    assert {name: value for name, value in defaults.items() if name != "deploy_keep"} == documented
    assert defaults.keys() | required == SPEC.keys()
