# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples in the doors' documentation.

    documented.py engines|guests

prints a playbook of some: on a host where all of them are as documented, over SSH, nothing is changed by any. Of what
makes something it has one door of each family, since each task takes seconds, and all of them come to a host in the
same way. The others, and what only looks and uses nothing of a play, are left to the tests inside the host.
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
# Its examples are about cards that no lab host has.
WITHOUT_HARDWARE = ("pci_passthrough", "pci_passthrough_info")
# What others need, and doesn't come before them by its name.
FIRST = ("docker_swarm",)
DOORS = sorted(
    (path.stem for path in MODULES.glob("*.py") if path.stem not in (*BUILT_ELSEWHERE, *WITHOUT_HARDWARE)),
    key=lambda door: (door not in FIRST, door),
)
# Where guests are emulated, they slow down whatever comes after: so their turn is last.
GUESTS = [door for door in DOORS if door.startswith(("libvirt_", "qemu_vm"))]
ENGINES = [door for door in DOORS if door not in GUESTS]
# Families that a container can't stand in for where control groups are of version 1, and no systemd-networkd runs.
MACHINES = (
    "apparmor",
    "cgroup",
    "host_info",
    "hugepages",
    "isolation",
    "link",
    "lxc",
    "netns",
    "nspawn",
    "rootfs",
    "stack",
    "systemd",
    "workload",
)
WORKLOADS_END = ("_container", "_domain", "_vm")
WORKLOADS = [door for door in GUESTS if door.endswith(WORKLOADS_END)]


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


def needs_a_machine(door: str, options: dict) -> bool:
    """Whether a container can't stand in for one: it has no network from which a plain user's could have its routes."""
    return door.startswith(MACHINES) or "user_scope" in options


def takes_away(options: dict) -> bool:
    return options.get("state") == "absent" or options.get("resources") == []


def declarations(doors: Iterable[str]) -> Iterator[tuple[str, str, dict]]:
    """What doors that change something are given, as written: door, name of the task, options."""
    for documented in doors:
        for task in examples(documented):
            door, options = called(task)
            if door and not looks_only(documented):
                yield door, task["name"], options


def looks(doors: Iterable[str]) -> Iterator[tuple[str, str, dict]]:
    """What looks only, and uses nothing of a play: door, name of the task, options."""
    for door in doors:
        if looks_only(door) and not needs_a_play(door):
            yield from ((door, task["name"], called(task)[1]) for task in examples(door))


def needs_a_play(door: str) -> bool:
    """Whether an example uses a template or a module that comes with Ansible."""
    return any(not called(task)[0] or "{{" in str(task) for task in examples(door))


def steps(doors: Iterable[str]) -> Iterator[dict]:
    """Every example that needs a play, and of each family the last that makes something: it still is there."""
    families = set()
    for door in sorted(doors, key=lambda door: not door.endswith(WORKLOADS_END)):
        tasks = examples(door)
        family = door.partition("_")[0]
        if looks_only(door):
            if needs_a_play(door):
                yield from tasks
        elif family not in families:
            families.add(family)
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
