# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples in the doors' documentation.

    documented.py engines|guests

prints a playbook of some: on a host where all of them are as documented, over SSH, nothing is changed by any.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

MODULES = Path(__file__).resolve().parents[3] / "plugins" / "modules"
NAMESPACE = "strata.virt."
# Its examples are built from a distribution's packages, which takes many minutes; the lab itself is built with it.
BUILT_ELSEWHERE = ("rootfs",)
DOORS = sorted(path.stem for path in MODULES.glob("*.py") if path.stem not in BUILT_ELSEWHERE)
# Where guests are emulated, they slow down whatever comes after: so their turn is last.
GUESTS = [door for door in DOORS if door.startswith(("libvirt_", "qemu_vm"))]
ENGINES = [door for door in DOORS if door not in GUESTS]
WORKLOADS = [door for door in GUESTS if door.endswith(("_domain", "_vm"))]


def examples(door: str) -> list[dict]:
    """The tasks in a door's EXAMPLES, without importing it."""
    text = (MODULES / f"{door}.py").read_text()
    tasks: list[dict] = yaml.safe_load(text.split('EXAMPLES = r"""', 1)[1].split('"""', 1)[0])
    return tasks


def called(task: dict) -> tuple[str, dict]:
    """The door that a task calls, and its options; no door: a module that comes with Ansible."""
    for word, options in task.items():
        if word.startswith(NAMESPACE):
            return word[len(NAMESPACE) :], options or {}
    return "", {}


def looks_only(door: str) -> bool:
    return door.endswith("_info") or door == "stack_export"


def takes_away(options: dict) -> bool:
    return options.get("state") == "absent" or options.get("resources") == []


def declarations(doors: Iterable[str]) -> Iterator[tuple[str, str, dict]]:
    """What doors that change something are given, as written: door, name of the task, options."""
    for documented in doors:
        for task in examples(documented):
            door, options = called(task)
            if door and not looks_only(documented):
                yield door, task["name"], options


def steps(doors: Iterable[str]) -> Iterator[dict]:
    """Every example of a door that looks only; of another one the last that makes something: it still is so."""
    for door in doors:
        tasks = examples(door)
        if looks_only(door):
            yield from tasks
        else:
            yield [task for task in tasks if called(task)[0] == door and not takes_away(called(task)[1])][-1]


class _Plain(yaml.SafeDumper):
    """Writes a task out each time, so that the playbook reads like one."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def main() -> None:
    play = {
        "name": "Examples of the documentation",
        "hosts": "all",
        "gather_facts": False,
        "tasks": list(steps({"engines": ENGINES, "guests": GUESTS}[sys.argv[1]])),
    }
    yaml.dump([play], sys.stdout, Dumper=_Plain, sort_keys=False, width=120)


if __name__ == "__main__":
    main()
