# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What N namespaces, control groups and machines cost: made, found unchanged, and taken away, each by one ``stack``.

scripts/bench makes the surroundings, and names what can be measured there: namespaces anywhere, control groups and
machines on a host that has nothing else to do, because they are made below systemd's own.
"""

from __future__ import annotations

import argparse
import atexit
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import TIMES_RAW, Bench, Failed, seconds, verdict

# What is asked of strata.virt for a hundred namespaces, in seconds of a machine that does nothing else.
MADE, UNCHANGED = 10, 1.5

STARTED = 20  # how many are started in one stack

LIMITS = {"memory": "64M", "cpus": 0.5, "pids_limit": 64}


def pairs(count: int, _folder: Path) -> list[dict]:
    """A bridge, and namespaces that are on it: each with a pair, an address and a route."""
    entries: list[dict] = [{"link": {"name": "br0", "type": "bridge", "addresses": ["10.90.0.1/16"]}}]
    for number in range(count):
        peer = {"name": f"veth{number}", "master": "br0"}
        address = f"10.90.{1 + number // 250}.{number % 250 + 1}/16"
        eth0 = {"name": "eth0", "type": "veth", "peer": peer, "addresses": [address]}
        routes = [{"to": "default", "via": "10.90.0.1"}]
        entries.append({"netns": {"name": f"bench{number}", "links": [eth0], "routes": routes}})
    return entries


def sets(count: int, _folder: Path) -> list[dict]:
    """Pinned sets of four kinds."""
    kinds = ["net", "uts", "ipc", "mnt"]
    return [{"namespace": {"name": f"bench{number}", "kinds": kinds, "hostname": "bench"}} for number in range(count)]


def groups(count: int, _folder: Path) -> list[dict]:
    return [{"cgroup": {"name": f"bench{number}", **LIMITS}} for number in range(count)]


def nspawns(count: int, folder: Path) -> list[dict]:
    """Machines that don't run, each on a tree of its own."""
    entries = []
    for number in range(count):
        tree = folder / "trees" / f"bench{number}"
        (tree / "usr").mkdir(parents=True, exist_ok=True)
        machine = {"name": f"bench{number}", "image": str(tree), "hostname": "bench", "state": "stopped"}
        entries.append({"nspawn_container": {**machine, **LIMITS}})
    return entries


def lxcs(count: int, folder: Path) -> list[dict]:
    """Containers that don't run, each with a copy of one tree."""
    (folder / "trees" / "lxc" / "usr").mkdir(parents=True, exist_ok=True)
    container = {"source": {"rootfs": str(folder / "trees" / "lxc")}, "state": "stopped", **LIMITS}
    return [{"lxc_container": {"name": f"bench{number}", **container}} for number in range(count)]


PODMAN = "/run/podman/podman.sock"


def podmans(count: int, folder: Path) -> list[dict]:
    """Containers that were never started, and a service to ask for them: its start is no part of what is measured."""
    if not Path(PODMAN).exists():
        Path(PODMAN).parent.mkdir(exist_ok=True)
        service = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{PODMAN}"])
        atexit.register(lambda: (service.terminate(), service.wait(), Path(PODMAN).unlink(missing_ok=True)))
        while not Path(PODMAN).exists():
            time.sleep(0.1)
        tree = shutil.make_archive(str(folder / "tree"), "tar", running_tree(folder, "podman"))
        subprocess.run(["podman", "import", "--quiet", tree, "localhost/bench:1"], check=True, capture_output=True)
    container = {"image": "localhost/bench:1", "command": SLEEP, "network_mode": "none", "state": "present", **LIMITS}
    return [{"podman_container": {"name": f"bench{number}", **container}} for number in range(count)]


def running_tree(folder: Path, name: str) -> str:
    """A tree of one program."""
    tree = folder / "trees" / name
    for below in ("bin", "dev", "proc", "sys", "tmp", "run", "usr/lib"):
        (tree / below).mkdir(parents=True, exist_ok=True)
    if not (tree / "bin/busybox").exists():
        shutil.copy("/usr/bin/busybox", tree / "bin/busybox")
        (tree / "usr/lib/os-release").write_text("ID=bench\n")
    return str(tree)


SLEEP = ["/bin/busybox", "sleep", "infinity"]


def running_nspawns(count: int, folder: Path) -> list[dict]:
    machine = {"boot": False, "command": SLEEP, "timezone": "off"}
    names = [f"bench{number}" for number in range(count)]
    return [
        {"nspawn_container": {"name": name, "image": running_tree(folder, f"runs-{name}"), **machine, **LIMITS}}
        for name in names
    ]


def running_lxcs(count: int, folder: Path) -> list[dict]:
    container = {
        "source": {"rootfs": running_tree(folder, "runs")},
        "networks": [{"type": "empty"}],
        "apparmor_profile": "unconfined",
        "config": {"lxc.init.cmd": " ".join(SLEEP), "lxc.signal.halt": "SIGKILL"},
        **LIMITS,
    }
    return [{"lxc_container": {"name": f"bench{number}", **container}} for number in range(count)]


@dataclass(frozen=True)
class Subject:
    noun: str
    declare: Callable[[int, Path], list[dict]]
    counts: tuple[int, int] = (10, 100)
    raw: str | None = None  # what target.py reads beside it
    read: str = ""  # what that is
    playbook: bool = True  # whether there is a controller where it is measured
    running: Callable[[int, Path], list[dict]] | None = None  # those that can be started


SUBJECTS = {
    "netns": Subject("netns, each with a pair, an address and a route", pairs),
    "namespace": Subject("sets of four namespaces", sets),
    "cgroup": Subject(
        "control groups with three limits", groups, (20, 200), "cgroups", "reading their files", playbook=False
    ),
    "nspawn": Subject(
        "machines of systemd-nspawn",
        nspawns,
        (10, 50),
        "nspawn",
        "asking systemd, reading files",
        playbook=False,
        running=running_nspawns,
    ),
    "lxc": Subject(
        "containers of LXC", lxcs, (10, 50), "lxc", "asking LXC, reading files", playbook=False, running=running_lxcs
    ),
    "podman": Subject(
        "containers of Podman", podmans, (10, 100), "podman", "one list, and one inspect a container", playbook=False
    ),
}


def measure(bench: Bench, subject: Subject, count: int) -> dict[str, float]:
    arguments = bench.folder / "stack.json"

    def declare(resources: list[dict]) -> dict:
        stack = {"name": "bench", "prune": True, "resources": resources}
        arguments.write_text(json.dumps(stack))
        return stack

    def took(*words: str) -> float:
        start = time.perf_counter()
        bench.target(*words)
        return time.perf_counter() - start

    bench.says(f"{count} {subject.noun}")
    stack = declare(subject.declare(count, bench.folder))
    sample = {"made, whole process": took("apply", str(arguments))}
    if subject.playbook:
        kept = {**stack, "prune": False}  # what may be pruned can be of any kind: then all of them go to the host
        sample["unchanged, whole playbook"] = median(bench.play("strata.virt.stack", kept) for _turn in range(5))
    runs = []
    for _turn in range(bench.repeats):
        read = bench.target("raw", subject.raw, "")[0] if subject.raw else 0.0
        runs.append((read, *bench.target("stack", str(arguments))))
    read, inside, process = (min(column) for column in zip(*runs))
    if subject.raw:
        sample[subject.read] = read
        (bench.folder / "nothing.json").write_text(json.dumps({"name": "nothing", "resources": []}))
        starts = (bench.target("stack", str(bench.folder / "nothing.json"))[0] for _turn in range(bench.repeats))
        sample["a stack of nothing, inside the module"] = min(starts)
    sample["unchanged, inside the module"] = inside
    sample["unchanged, whole process"] = process
    sample["processes started"] = bench.processes("stack", str(arguments))
    declare([])
    return {**sample, "removed, whole process": took("apply", str(arguments))}


def starts(bench: Bench, subject: Subject, declare: Callable[[int, Path], list[dict]]) -> None:
    """What it costs to start many, one after another and as many at a time as a stack takes on."""
    arguments = bench.folder / "stack.json"
    entries = declare(STARTED, bench.folder)

    def all_of_them(state: str, **more: object) -> float:
        resources = [{kind: {**options, "state": state} for kind, options in entry.items()} for entry in entries]
        arguments.write_text(json.dumps({"name": "bench", "prune": True, "resources": resources, **more}))
        return bench.target("apply", str(arguments))[0]

    bench.says(f"{STARTED} {subject.noun}, started")
    took = {}
    for parallel in (1, 4, 8):
        all_of_them("stopped")
        took[parallel] = all_of_them("started", parallel=parallel)
    arguments.write_text(json.dumps({"name": "bench", "prune": True, "resources": []}))
    bench.target("apply", str(arguments))
    print(f"{STARTED} {subject.noun}, started")
    for parallel, spent in took.items():
        print(f"  {parallel} at a time{seconds(spent):>12}{took[1] / spent:>7.1f}x")
    print()


def report(subject: Subject, counts: Sequence[int], samples: list[dict[str, float]]) -> None:
    width = 56
    print(f"\n{subject.noun:<{width}}{''.join(f'{count:>10}' for count in counts)}   grows")
    for name in samples[0]:
        values = [sample[name] for sample in samples]
        shown = [f"{value:>10}" if isinstance(value, int) else f"{seconds(value):>10}" for value in values]
        print(f"  {name:<{width - 2}}{''.join(shown)}{values[-1] / values[0]:>7.1f}x")
    print()
    last, count = samples[-1], counts[-1]
    if subject.raw:
        inside, read = last["unchanged, inside the module"], last[subject.read]
        start = last["a stack of nothing, inside the module"]
        allowed = TIMES_RAW * read + start
        words = (
            f"{TIMES_RAW}x {subject.read}, {seconds(read)}, and the start of {seconds(start)} are {seconds(allowed)}"
        )
        verdict(inside <= allowed, f"inside the module: {seconds(inside)} for {count}; {words}")
    else:
        for what, limit in (("made, whole process", MADE), ("unchanged, whole playbook", UNCHANGED)):
            if what in last and count == 100:
                verdict(last[what] < limit, f"{what}: {seconds(last[what])} for {count}; less than {limit} s are asked")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder, for this run alone")
    parser.add_argument("--repeats", type=int, default=5, help="how often the short measurements are taken")
    parser.add_argument("subjects", choices=SUBJECTS, nargs="+", help="what is measured")
    options = parser.parse_args()
    bench = Bench(options.folder, options.repeats)
    try:
        for subject in map(SUBJECTS.__getitem__, options.subjects):
            report(subject, subject.counts, [measure(bench, subject, count) for count in subject.counts])
            if subject.running:
                starts(bench, subject, subject.running)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
