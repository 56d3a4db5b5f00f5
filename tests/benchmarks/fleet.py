# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What many hosts cost, what it costs to go into guests, and what their inventory does.

    fleet.py --folder FOLDER local             200 hosts by local connections, by the number of forks
    fleet.py --folder FOLDER guests HOST       a task in a guest, and the same on its host over the same SSH
    fleet.py --folder FOLDER inventory HOST…   the inventory of guests beside the task that it is made of

The last two want hosts of the lab, or of the inventory that is given. scripts/bench makes the surroundings.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from statistics import median

from bench import Bench, Failed, seconds, verdict

HERE = Path(__file__).resolve().parent
GUESTS_OF_TESTS = HERE.parent / "integration" / "connection" / "guests.sh"
LAB = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local/state"), "strata/lab/inventory.yml")

HOSTS, FORKS = 200, (5, 10, 20, 50)
TURNS = 3
INTO_GUEST = 1.3  # what is asked, as a ratio to the host
GUESTS, ON_HOSTS = 50, 10  # of one host, and how many hosts, in the inventory that is parsed

# The same without this collection, on the host.
BY_HAND = {
    "chroot": """chroot "/var/tmp/strata-guests/a 'tree'" true""",
    "nspawn": "nsenter --target $(machinectl show --property=Leader --value strata-nspawn) --all true",
    "lxc": "lxc-attach --name strata-lxc -- true",
    "docker": "docker exec strata-docker true",
    "podman": "podman exec strata-podman true",
}

RAW = {"ansible.builtin.raw": "true"}
MODULE = {"ansible.builtin.command": {"argv": ["true"]}}


def run(bench: Bench, *argv: str, **more: str) -> tuple[float, str]:
    """The seconds that a program of Ansible's takes, and what it prints."""
    environment = {name: value for name, value in bench.environment.items() if name != "PYTHONPATH"} | more
    start = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    took = time.perf_counter() - start
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return took, done.stdout


def book(bench: Bench, hosts: str, tasks: list[dict]) -> str:
    path = bench.folder / "playbook.json"  # JSON is YAML
    path.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": tasks}]))
    return str(path)


# Many hosts.


def local(bench: Bench, _asked: argparse.Namespace) -> None:
    folder = bench.folder / "hosts"
    (folder / "group_vars").mkdir(parents=True)
    names = [f"host{number:03}" for number in range(HOSTS)]
    (folder / "hosts").write_text("\n".join(["[all]", *names, ""]))
    variables = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    (folder / "group_vars" / "all.json").write_text(json.dumps(variables))
    own = f"{folder}/{{{{ inventory_hostname }}}}"
    profiles = [
        {"seccomp_profile": {"path": f"{own}/{name}.json", "base": "empty", "allow": ["read", "write", name]}}
        for name in ("openat", "socket")
    ]
    stack = {"strata.virt.stack": {"name": "bench-{{ inventory_hostname }}", "resources": profiles}}

    def takes(task: dict, forks: int) -> float:
        took, said = run(
            bench, "ansible-playbook", "-i", str(folder / "hosts"), "-f", str(forks), book(bench, "all", [task])
        )
        if len(re.findall(r"ok=1 +changed=0 ", said)) != HOSTS:
            raise Failed(f"not all of {HOSTS} hosts are unchanged:\n{said[-2000:]}")
        return took

    bench.says(f"{HOSTS} hosts: making what they have")
    run(bench, "ansible-playbook", "-i", str(folder / "hosts"), "-f", "20", book(bench, "all", [stack]))
    rows: dict[str, list[float]] = {"a stack each, unchanged": [], "a task that does nothing (ping)": []}
    for forks in FORKS:
        bench.says(f"{HOSTS} hosts, {forks} forks")
        for row, task in zip(rows.values(), (stack, {"ansible.builtin.ping": {}})):
            row.append(takes(task, forks))
    print(f"\n{f'{HOSTS} hosts, whole playbook, by forks':<44}{''.join(f'{forks:>10}' for forks in FORKS)}")
    for name, row in rows.items():
        print(f"  {name:<42}{''.join(f'{seconds(value):>10}' for value in row)}")
    stacks = rows["a stack each, unchanged"]
    print(f"  {'  for each host':<42}{''.join(f'{seconds(value / HOSTS):>10}' for value in stacks)}")
    print(f"  {'  times as fast as with the fewest':<42}{''.join(f'{stacks[0] / value:>9.1f}x' for value in stacks)}\n")


# Into guests.


def guests(bench: Bench, asked: argparse.Namespace) -> None:
    (carrier,) = asked.hosts
    hand = {engine: words for engine, words in BY_HAND.items() if engine in asked.engines}
    folder = "/var/tmp/strata-guests"  # guests.sh names what it makes there
    login = json.loads(run(bench, "ansible-inventory", "-i", str(asked.inventory), "--host", carrier)[1])
    names = {engine: f"{folder}/a 'tree'" if engine == "chroot" else f"strata-{engine}" for engine in hand}
    into = {
        engine: {**login, "ansible_connection": "strata.virt.guest", "strata_engine": engine, "strata_guest": name}
        for engine, name in names.items()
    }
    hosts_file, guests_file = bench.folder / "hosts.yml", bench.folder / "guests.yml"
    hosts_file.write_text(json.dumps({"all": {"hosts": {carrier: login, **into}}}))
    # As beside every inventory of guests: their connection is read once, and not by each task.
    guests_file.write_text(json.dumps({"plugin": "strata.virt.guests", "hosts": "all:!all"}))
    inventories = ("-i", str(hosts_file), "-i", str(guests_file))
    ssh = {"ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=600s", "ANSIBLE_PIPELINING": "1"}

    def on_carrier(words: str) -> None:
        argv = ("ansible", *inventories, carrier, "-m", "ansible.builtin.script", "-a", f"{GUESTS_OF_TESTS} {words}")
        run(bench, *argv, **ssh)

    def once(target: str, task: dict, times: int) -> float:
        argv = ("ansible-playbook", *inventories, book(bench, target, [task] * times))
        return run(bench, *argv, **ssh)[0]

    def takes(target: str, task: dict, times: int) -> float:
        """The seconds of one task: what more of them take, without the playbook's start and end."""
        return (once(target, task, 1 + times) - once(target, task, 1)) / times

    bench.says(f"guests on {carrier}")
    on_carrier(f"up {folder} {' '.join(hand)}")
    try:
        by_hand = [(carrier, {"ansible.builtin.raw": words}) for words in hand.values()]
        for name, task, times, beside in (("a raw command", RAW, 40, by_hand), ("a module", MODULE, 10, [])):
            turns = []
            for turn in range(TURNS):  # in turns, so that what disturbs one disturbs all
                bench.says(f"{name}: turn {turn + 1}")
                tasks = [(carrier, task), *((engine, task) for engine in hand), *beside]
                turns.append([takes(target, one, times) for target, one in tasks])
            report(name, hand, [median(column) for column in zip(*turns)])
    finally:
        on_carrier(f"down {folder}")


def report(name: str, engines: Collection[str], took: list[float]) -> None:
    """Seconds on the host, in each guest, and, where that was measured, by hand."""
    host, inside, by_hand = took[0], took[1 : 1 + len(engines)], took[1 + len(engines) :]
    rows = dict(zip(engines, zip(inside, by_hand or [0.0] * len(inside))))
    print(f"\n{name + ', over SSH':<24}{'seconds':>10}{'to the host':>14}{'by hand' if by_hand else '':>12}")
    print(f"  {'on the host':<22}{seconds(host):>10}{1:>13.2f}x")
    for engine, (value, hand) in rows.items():
        beside = f"{seconds(hand):>12}{value / hand:>8.2f}x" if hand else ""
        print(f"  {engine:<22}{seconds(value):>10}{value / host:>13.2f}x{beside}")
    print()
    for engine, (value, _hand) in rows.items():
        words = f"{name} in {engine}: {value / host:.2f}x as long as on the host; {INTO_GUEST}x is asked"
        verdict(value <= INTO_GUEST * host, words)


# The inventory.


def inventory(bench: Bench, asked: argparse.Namespace) -> None:
    pattern = ",".join(asked.hosts)
    source = bench.folder / "guests.yml"
    source.write_text(json.dumps({"plugin": "strata.virt.guests", "hosts": pattern}))
    lab = ("-i", str(asked.inventory))
    turns = []
    for turn in range(TURNS):
        bench.says(f"the guests of {pattern}: turn {turn + 1}")
        bare, _said = run(bench, "ansible-inventory", *lab, "--list")
        nothing, _said = run(bench, "ansible", *lab, pattern, "-m", "ansible.builtin.ping")
        task, _said = run(bench, "ansible", *lab, pattern, "-m", "strata.virt.guests_info")
        whole, said = run(bench, "ansible-inventory", *lab, "-i", str(source), "--list")
        turns.append((bare, nothing, task, whole))
    found = len(json.loads(said).get("strata_guests", {}).get("hosts", []))
    bare, nothing, task, whole = (median(column) for column in zip(*turns))
    width = 60
    print(f"\n{f'{found} guests on {pattern}':<{width}}{'seconds':>10}")
    print(f"  {'the inventory without them':<{width - 2}}{seconds(bare):>10}")
    print(f"  {'a task that does nothing (ping)':<{width - 2}}{seconds(nothing):>10}")
    print(f"  {'the one task that asks (guests_info)':<{width - 2}}{seconds(task):>10}")
    print(f"  {'the inventory with them':<{width - 2}}{seconds(whole):>10}")
    many = f"{ON_HOSTS} hosts with {GUESTS} guests each, once they have answered"
    print(f"  {many:<{width - 2}}{seconds(parsing(bench.folder)):>10}\n")
    verdict(whole <= task + bare, f"the inventory: {seconds(whole)}; the task and the rest are {seconds(task + bare)}")


def parsing(folder: Path) -> float:
    """What answers become hosts, groups and variables in, without asking for them."""
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader, inventory_loader

    init_plugin_loader()
    guest = {"engine": "docker", "state": "running", "owner": "web", "addresses": ["192.0.2.7"]}
    guest |= {"networks": ["front"], "labels": {"tier": "web"}}
    names = [f"host{number}" for number in range(ON_HOSTS)]
    answers = {name: [{**guest, "guest": f"web{number}"} for number in range(GUESTS)] for name in names}
    hosts, guests_of_them = folder / "hosts.yml", folder / "their-guests.yml"
    hosts.write_text(json.dumps({"all": {"hosts": {name: {"ansible_host": f"{name}.example.org"} for name in names}}}))
    guests_of_them.write_text(json.dumps({"plugin": "strata.virt.guests", "keyed_groups": [{"key": "strata_engine"}]}))
    type(inventory_loader.get("strata.virt.guests"))._ask = lambda *_about: answers
    took = []
    for _turn in range(5):
        start = time.perf_counter()
        found = InventoryManager(DataLoader(), [str(hosts), str(guests_of_them)]).get_hosts("strata_guests")
        took.append(time.perf_counter() - start)
        if len(found) != ON_HOSTS * GUESTS:
            raise Failed(f"{len(found)} guests became hosts")
    return median(took)


SUBJECTS: dict[str, Callable[[Bench, argparse.Namespace], None]] = {
    "local": local,
    "guests": guests,
    "inventory": inventory,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder, for this run alone")
    parser.add_argument("subject", choices=SUBJECTS, help="what is measured")
    parser.add_argument("hosts", nargs="*", help="hosts of the inventory")
    parser.add_argument("--inventory", type=Path, default=LAB, help="the lab's, unless another is named")
    parser.add_argument("--engines", nargs="+", choices=BY_HAND, default=list(BY_HAND), help="into whose guests")
    options = parser.parse_args()
    try:
        SUBJECTS[options.subject](Bench(options.folder, 0), options)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
