# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a playbook of the examples in the doors' documentation: each runs as written, as check mode foretold it, and
again, changing nothing.

What an example takes away is taken away at the end. Those of guests come last. Doors are named on the command line.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

# Guests run on until the end, and where they are emulated they slow down whatever comes after.
GUESTS = ("libvirt_", "qemu_vm")
DOORS = Path(__file__).resolve().parents[2] / "plugins" / "modules"


def examples(door: str) -> list[dict]:
    """The tasks in a door's EXAMPLES, without importing it."""
    text = (DOORS / f"{door}.py").read_text()
    tasks: list[dict] = yaml.safe_load(text.split('EXAMPLES = r"""', 1)[1].split('"""', 1)[0])
    return tasks


def takes_away(task: dict) -> bool:
    return any(isinstance(options, dict) and options.get("state") == "absent" for options in task.values()) or any(
        isinstance(options, dict) and options.get("resources") == [] for options in task.values()
    )


def settled(task: dict) -> list[dict]:
    """A task, foretold in check mode, done, and done again; and the proof that what was foretold was done, once."""
    foretold = {**task, "name": f"{task['name']}, foretold", "check_mode": True, "register": "foretold"}
    name = task.get("register", "done")
    done = {**task, "register": name}
    again = {**task, "name": f"{task['name']}, again", "register": "again"}
    holds = [
        f"(foretold is changed) == ({name} is changed)",
        f"foretold.diff | default('') == {name}.diff | default('')",
        "again is not changed",
    ]
    proof = {"name": "As foretold, and once", "ansible.builtin.assert": {"that": holds, "quiet": True}}
    return [foretold, done, again, proof]


class _Plain(yaml.SafeDumper):
    """Writes a task out each time, so that the playbook reads like one."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def main() -> None:
    doors = sorted(sys.argv[1:], key=lambda door: (door.startswith(GUESTS), door))
    tasks = [task for door in doors for task in examples(door)]
    ordered = [task for task in tasks if not takes_away(task)] + [task for task in tasks if takes_away(task)]
    play = {
        "name": "Examples of the documentation",
        "hosts": "all",
        "gather_facts": False,
        "tasks": [step for task in ordered for step in settled(task)],
    }
    yaml.dump([play], sys.stdout, Dumper=_Plain, sort_keys=False, width=120)


if __name__ == "__main__":
    main()
