# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What N namespaces cost: made, read and found unchanged, and taken away, each by one call of the module stack.

    scripts/run python tests/benchmarks/namespaces.py [N…]

It takes root. The host's namespaces, mounts and links are not its own: it runs in a network and a mount namespace, with
an empty /run. No engine is needed, so that it is no part of scripts/bench.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import Bench, Failed, seconds

INSIDE = "STRATA_BENCH_INSIDE"
EMPTY = ("/run", "/var/lib/strata")


def pairs(count: int) -> list[dict]:
    """A bridge, and namespaces that are on it: each with a pair, an address and a route."""
    entries: list[dict] = [{"link": {"name": "br0", "type": "bridge", "addresses": ["10.90.0.1/16"]}}]
    for number in range(count):
        peer = {"name": f"veth{number}", "master": "br0"}
        address = f"10.90.{1 + number // 250}.{number % 250 + 1}/16"
        eth0 = {"name": "eth0", "type": "veth", "peer": peer, "addresses": [address]}
        routes = [{"to": "default", "via": "10.90.0.1"}]
        entries.append({"netns": {"name": f"bench{number}", "links": [eth0], "routes": routes}})
    return entries


def sets(count: int) -> list[dict]:
    """Pinned sets of four kinds."""
    kinds = ["net", "uts", "ipc", "mnt"]
    return [{"namespace": {"name": f"bench{number}", "kinds": kinds, "hostname": "bench"}} for number in range(count)]


def measure(bench: Bench, entries: list[dict]) -> list[float]:
    """Seconds of whole processes, and how many programs the unchanged one starts, itself included."""
    arguments = bench.folder / "stack.json"

    def declare(resources: list[dict]) -> str:
        arguments.write_text(json.dumps({"name": "bench", "prune": True, "resources": resources}))
        return str(arguments)

    _inside, made = bench.target("apply", declare(entries))
    unchanged = min(bench.target("stack", declare(entries))[1] for _turn in range(bench.repeats))
    trace = bench.folder / "trace"
    bench.target("stack", declare(entries), wrapper=("strace", "-f", "-qq", "-o", str(trace), "-e", "trace=execve"))
    programs = trace.read_text().count(" = 0\n")
    _inside, removed = bench.target("apply", declare([]))
    return [made, unchanged, removed, programs]


def main() -> int:
    if INSIDE not in os.environ:
        argv = ["unshare", "--net", "--mount", sys.executable, *sys.argv]
        return subprocess.run(argv, env={**os.environ, INSIDE: "1"}, check=False).returncode
    for place in EMPTY:
        Path(place).mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "bench", place], check=True)
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        bench = Bench(Path(folder), repeats=3)
        print(f"{'':<40}{'made':>10}{'unchanged':>12}{'removed':>10}{'programs':>10}")
        try:
            for count in map(int, sys.argv[1:] or ["10", "100"]):
                for what, declared in (("netns with a pair and a route", pairs), ("namespace of four kinds", sets)):
                    *took, programs = measure(bench, declared(count))
                    cells = "".join(f"{seconds(value):>{width}}" for value, width in zip(took, (10, 12, 10)))
                    print(f"{f'{count} x {what}':<40}{cells}{programs:>10}", flush=True)
        except Failed as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
