# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""proofs.py WANTED: proves each workload of the demonstration from outside, by what the kernel, the network and the
guests themselves say, not by what a module returned. One JSON object a line; fails where a proof does.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

CGROUP = "/sys/fs/cgroup"
MIB = 1024**2
GIB = 1024**3
SYS_MODULE, MAC_OVERRIDE, MAC_ADMIN, NET_BIND_SERVICE = 16, 32, 33, 10  # linux/capability.h

# Joins a group, locks what it has and will have into memory, so that swap is no way out, and wants 128 MiB.
HOG = """
import ctypes, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as file:
    file.write("0")
ctypes.CDLL(None).mlockall(3)
bytearray(128 * 1024**2)
"""


class Disproof(Exception):
    """Something is not as declared."""


def expect(what: str, seen: Any, wanted: Any) -> None:
    if seen != wanted:
        raise Disproof(f"{what} is {seen!r}, not {wanted!r}")


def text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().strip()


def run(*argv: str, timeout: float = 60) -> str:
    """What a program prints, whether it succeeds or not."""
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    done = subprocess.run(argv, stdin=null, stdout=pipe, stderr=null, timeout=timeout, text=True, check=False)
    return done.stdout.strip()


def until(seconds: float, look: Callable[[], Any], what: str) -> Any:
    """What ``look`` finds; waits for it."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise Disproof(f"no {what} within {seconds:.0f} s")
        time.sleep(0.5)


def limits(group: str, memory: int | None, cpus: float | None, pids: int | None) -> str:
    """The limits that the kernel reports for a group, in words."""
    shown = []
    if memory is not None:
        expect(f"{group}/memory.max", text(f"{group}/memory.max"), str(memory))
        shown.append(f"{memory // MIB}M")
    if cpus is not None:
        quota, period = text(f"{group}/cpu.max").split()
        expect(f"{group}/cpu.max, in cpus,", quota if quota == "max" else int(quota) / int(period), cpus)
        shown.append(f"{cpus:g} cpus")
    if pids is not None:
        expect(f"{group}/pids.max", text(f"{group}/pids.max"), str(pids))
        shown.append(f"{pids} pids")
    return ", ".join(shown)


def group_of(pid: int, ending: str = "") -> str:
    """The cgroup that a process is in; up to the part that ends so."""
    path = next(line[3:] for line in text(f"/proc/{pid}/cgroup").splitlines() if line.startswith("0::"))
    if ending:
        while path != "/" and not re.search(ending, path):
            path = os.path.dirname(path)
    return CGROUP + path


def status(pid: int) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in text(f"/proc/{pid}/status").splitlines() if ":\t" in line)


def kills(group: str) -> int:
    return int(re.findall(r"^oom_kill (\d+)", text(f"{group}/memory.events"), re.MULTILINE)[0])


def cgroup() -> str:
    """A process in it that wants more than the limit is killed by the kernel, and nothing else is."""
    batch = f"{CGROUP}/strata.slice/strata.service/batch"
    shown = limits(batch, GIB, 2, 512)
    hog = f"{batch}/hog"
    limits(hog, 32 * MIB, None, None)
    before = kills(hog), kills(batch)
    ended = subprocess.run([sys.executable, "-c", HOG, hog], check=False).returncode
    if ended != -signal.SIGKILL:
        raise Disproof(f"the process that wanted 128M ended with {ended}")
    after = kills(hog), kills(batch)
    if after[0] <= before[0] or after[1] <= before[1]:
        raise Disproof(f"oom_kill stayed at {before}")
    return f"{shown}; OOM kills at 32M: {before[0]} -> {after[0]}"


def nspawn() -> str:
    """The systemd inside says that it is up, and its processes are nobody on the host."""

    def up() -> str | None:
        state = run("systemctl", "-M", "deb", "is-system-running")
        return state if state in ("running", "degraded") else None

    state = until(120, up, "answer of the systemd inside that it is up")
    leader = int(run("machinectl", "show", "deb", "--property=Leader", "--value"))
    shown = limits(group_of(leader, r"/systemd-nspawn@deb\.service$"), 2 * GIB, 1.5, None)
    user = int(status(leader)["Uid"].split()[0])
    if user < 65536:
        raise Disproof(f"its root is the user {user} of the host")
    if not os.path.exists("/sys/class/net/br0/brif/vb-deb"):
        raise Disproof("vb-deb is no port of br0")
    return f"{shown}; its systemd is {state}, its root is user {user}, on br0"


def lxc() -> str:
    """Its init's limits and rights, as the kernel reports them."""
    pid = int(run("lxc-info", "-n", "myct", "-p", "-H"))
    shown = limits(group_of(pid, r"/lxc\.payload\.[^/]*$"), 256 * MIB, 0.5, 128)
    bounds = int(status(pid)["CapBnd"], 16)
    for name, bit in (("SYS_MODULE", SYS_MODULE), ("MAC_ADMIN", MAC_ADMIN), ("MAC_OVERRIDE", MAC_OVERRIDE)):
        expect(f"CAP_{name}", bounds >> bit & 1, 0)
    if os.path.exists("/sys/module/apparmor/parameters/enabled"):
        label = text(f"/proc/{pid}/attr/current").strip("\0")
        if not label.startswith("lxc-myct"):
            raise Disproof(f"its AppArmor profile is {label}")
    return f"{shown}; without CAP_SYS_MODULE and CAP_MAC_*"


def docker(port: int) -> str:
    """It answers, and has no rights to speak of."""

    def answer() -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
                return int(page.status) if b"It runs" in page.read() else 0
        except OSError:
            return 0

    code = until(60, answer, f"page on port {port}")
    expect("HTTP status", code, 200)
    pid = int(run("docker", "inspect", "-f", "{{.State.Pid}}", "web"))
    shown = limits(group_of(pid), 512 * MIB, 1.5, 256)
    facts = status(pid)
    expect("NoNewPrivs", facts["NoNewPrivs"], "1")
    expect("Seccomp", facts["Seccomp"], "2")
    expect("CapBnd", int(facts["CapBnd"], 16), 1 << NET_BIND_SERVICE)
    user = int(facts["Uid"].split()[0])
    if user == 0:
        raise Disproof("it runs as root")
    root = next(line.split() for line in text(f"/proc/{pid}/mountinfo").splitlines() if line.split()[4] == "/")
    if "ro" not in root[5].split(","):
        raise Disproof(f"its root is mounted {root[5]}")
    return f"{shown}; HTTP {code}; user {user}, read-only, one capability, seccomp"


def libvirt(console: str) -> str:
    """The guest says on its console that it is alive, now, and with what."""
    expect("virsh domstate", run("virsh", "-q", "-c", "qemu:///system", "domstate", "vm1"), "running")
    line = re.compile(r"^strata-guest: alive, line (\d+), (\d+) cpu, (\d+) MiB", re.MULTILINE)
    known = os.path.getsize(console) if os.path.exists(console) else 0

    def news() -> tuple[str, str, str] | None:
        nonlocal known
        if not os.path.exists(console):
            return None
        if os.path.getsize(console) < known:  # a new log was begun
            known = 0
        with open(console, encoding="utf-8", errors="replace", newline="") as file:
            file.seek(known)
            found = line.findall(file.read().replace("\r", ""))
        return found[-1] if found else None

    number, cpus, memory = until(600, news, f"line of the guest's in {console}")
    expect("the guest's number of cpus", int(cpus), 1)
    if not 400 <= int(memory) <= 512:
        raise Disproof(f"the guest sees {memory} MiB")
    return f"its console says: alive, line {number}, {cpus} cpu, {memory} MiB"


def prove(technology: str, workload: str, proof: Callable[[], str]) -> dict[str, Any]:
    start = time.monotonic()
    try:
        shown, result = proof(), "ok"
    except Exception as error:
        shown, result = f"{error}" if isinstance(error, Disproof) else f"{type(error).__name__}: {error}", "FAILED"
    seconds = round(time.monotonic() - start, 1)
    return {"technology": technology, "workload": workload, "proof": shown, "result": result, "seconds": seconds}


def main() -> None:
    wanted = json.loads(sys.argv[1])
    proofs: list[tuple[str, str, Callable[[], str]]] = [
        ("cgroup v2", "batch", cgroup),
        ("systemd-nspawn", "deb", nspawn),
        ("LXC", "myct", lxc),
        ("Docker", "web", lambda: docker(wanted["port"])),
        ("libvirt", "vm1", lambda: libvirt(wanted["console"])),
    ]
    with ThreadPoolExecutor(len(proofs)) as pool:
        results = list(pool.map(lambda proof: prove(*proof), proofs))
    for result in results:
        print(json.dumps(result))
    sys.exit(any(result["result"] != "ok" for result in results))


if __name__ == "__main__":
    main()
