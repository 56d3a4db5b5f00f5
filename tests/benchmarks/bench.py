# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What N unchanged containers, of Docker and of LXC, and N domains, networks, pools and volumes of libvirt cost, by
every way there is to declare them.

Every number of a run is from the same minutes on the same daemons, so the ratios hold where the seconds don't.
scripts/bench makes the surroundings: namespaces, peers, packages.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import ansible
from declared import IMAGE, POOL, containers, domains, lxcs, networks, pools, volumes

HERE = Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"  # the one that the distribution's bindings are for

# What is asked of strata.virt, as ratios to what is measured beside it.
TIMES_RAW, BESIDE_RAW, TIMES_PEER = 3, 0.020, 15
MADE, MADE_TIMES_PEER = 50, 3


class Failed(Exception):
    """A step of the benchmark did not do what it is there for."""


@dataclass
class Bench:
    """Where everything is."""

    folder: Path
    repeats: int
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The target's Python has the bindings; of Ansible it gets what a managed host gets, and nothing else.
        library = self.folder / "library"
        library.mkdir()
        (library / "ansible").symlink_to(Path(ansible.__file__).parent)
        config = self.folder / "ansible.cfg"
        config.touch()  # Ansible as it comes, whatever the user's own settings
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            **{name: os.environ[name] for name in ("ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_HOME")},
            "ANSIBLE_CONFIG": str(config),
            "ANSIBLE_REMOTE_TEMP": str(self.folder / "remote"),
            "ANSIBLE_NOCOLOR": "1",
            "PYTHONPATH": f"{library}:{os.environ['ANSIBLE_COLLECTIONS_PATH'].partition(':')[0]}",
        }

    @property
    def docker(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    @property
    def libvirt(self) -> str:
        return "qemu:///system"  # its socket is below /run, which is the benchmark's own

    def target(self, *words: str, wrapper: tuple[str, ...] = ()) -> tuple[object, float]:
        """What target.py says, and the seconds that the whole process took."""
        start = time.perf_counter()
        argv = [*wrapper, PYTHON, str(HERE / "target.py"), *words]
        done = subprocess.run(argv, capture_output=True, text=True, env=self.environment, check=False)
        took = time.perf_counter() - start
        if done.returncode != 0:
            raise Failed(f"target.py {' '.join(words)}: {done.stderr or done.stdout}")
        return json.loads(done.stdout), took

    def play(self, module: str, options: dict, loop: list | None = None, *, unchanged: bool = True) -> float:
        """The seconds that a playbook of one task takes, from start to end."""
        task = {"name": module, module: options}
        if loop is not None:
            task |= {"loop": loop, "loop_control": {"label": "{{ item.name }}"}}
        book = self.folder / "playbook.json"  # JSON is YAML
        book.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
        argv = ["ansible-playbook", "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={PYTHON}"]
        environment = {**self.environment}
        del environment["PYTHONPATH"]
        start = time.perf_counter()
        done = subprocess.run([*argv, str(book)], capture_output=True, text=True, env=environment, check=False)
        took = time.perf_counter() - start
        if done.returncode != 0 or (unchanged and not re.search(r"ok=1 +changed=0 ", done.stdout)):
            raise Failed(f"{module} did not leave everything unchanged:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
        return took

    @staticmethod
    def says(words: str) -> None:
        print(f"-- {words}", file=sys.stderr, flush=True)

    def processes(self, *words: str) -> int:
        """How many processes a run of target.py starts, itself included: forks and program starts, not threads."""
        trace = self.folder / "trace"
        calls = "trace=execve,execveat,fork,vfork,clone,clone3"
        self.target(*words, wrapper=("strace", "-f", "-qq", "-o", str(trace), "-e", calls))
        started = [line for line in trace.read_text().splitlines() if re.search(r" = \d+$", line)]
        return sum("CLONE_THREAD" not in line for line in started)


@dataclass(frozen=True)
class Subject:
    """One engine: what is declared, how the peer declares the same."""

    noun: str
    kind: str
    peer: str
    declare: object

    @property
    def in_a_loop(self) -> str:
        """What the peer's way is called, with its version."""
        collection, _dot, module = self.peer.rpartition(".")
        return f"{module} in a loop, {collection} {version_of(collection)}"

    def url(self, bench: Bench) -> str:
        return {"containers": bench.docker, "lxc": ""}.get(self.noun, bench.libvirt)

    def for_peer(self, bench: Bench, declared: list[dict]) -> list[dict]:
        """The peer's options, where they are others than ours.

        The peer takes XML: it gets each one's own, which is the best case for it. It ignores a state that is given
        beside the definition of a domain, so that takes users a second task; here it is let off that one. Of a network,
        a pool, or a container of LXC that is there it compares nothing but the state, of a volume the size.
        """
        if self.noun == "lxc":
            return [{"name": one["name"], "state": "stopped"} for one in declared]
        if self.noun == "containers":
            return declared
        stored, _took = bench.target("xml", self.noun, bench.libvirt)
        common = {"state": "present", "uri": bench.libvirt}
        if self.noun == "domains":
            common = {"command": "define", "uri": bench.libvirt, "autostart": False}
        elif self.noun == "volumes":
            common["pool"] = POOL
        return [{**common, "name": one["name"], "xml": stored[one["name"]]} for one in declared]


SUBJECTS = (
    Subject("containers", "docker_container", "community.docker.docker_container", containers),
    Subject("domains", "libvirt_domain", "community.libvirt.virt", domains),
    Subject("networks", "libvirt_network", "community.libvirt.virt_net", networks),
    Subject("pools", "libvirt_pool", "community.libvirt.virt_pool", pools),
    Subject("volumes", "libvirt_volume", "community.libvirt.virt_volume", volumes),
    Subject("lxc", "lxc_container", "community.general.lxc_container", lxcs),
)


def by_item(loop: list[dict]) -> dict[str, str]:
    """The options of a task in a loop, each from the loop's item."""
    return {option: f"{{{{ item.{option} }}}}" for option in loop[0]}


@dataclass(frozen=True)
class Sample:
    """One subject at one size, in seconds."""

    peer: float  # whole playbooks …
    ours: float
    stack: float
    nothing: float
    inside: float  # … the module, imports done, …
    raw: float
    module: float  # … and whole processes
    script: float
    processes: int


def measure(bench: Bench, subject: Subject, count: int) -> Sample:
    declared = subject.declare(bench, count)
    stack = {"name": f"bench-{subject.noun}", "resources": [{subject.kind: options} for options in declared]}
    arguments = bench.folder / "stack.json"
    arguments.write_text(json.dumps(stack))
    bench.says(f"{count} {subject.noun}: making them")
    bench.play("strata.virt.stack", stack, unchanged=False)  # makes those that aren't there yet

    bench.says(f"{count} {subject.noun}: reading them")
    url, runs = subject.url(bench), []
    for _turn in range(bench.repeats):  # taken in turns, so that what disturbs one disturbs the other
        runs.append((*bench.target("raw", subject.noun, url), *bench.target("stack", str(arguments))))
    raw, script, inside, module = (min(column) for column in zip(*runs))  # noise only ever adds

    peers = subject.for_peer(bench, declared)
    bench.says(f"{count} {subject.noun}: playbooks")
    return Sample(
        # The loops are too long to be taken thrice; so for the short ones not the best counts, but the middle.
        nothing=median(bench.play("ansible.builtin.ping", {}) for _turn in range(3)),
        stack=median(bench.play("strata.virt.stack", stack) for _turn in range(3)),
        ours=bench.play(f"strata.virt.{subject.kind}", by_item(declared), declared),
        peer=bench.play(subject.peer, by_item(peers), peers),
        raw=raw,
        script=script,
        inside=inside,
        module=module,
        processes=bench.processes("stack", str(arguments)),
    )


def make(bench: Bench, subject: Subject) -> None:
    """Tell what it takes to create some, by the stack and by the peer's loop, which starts with none each time."""
    declared = subject.declare(bench, MADE)
    gone = [{subject.kind: {"name": one["name"], "docker_host": bench.docker, "state": "absent"}} for one in declared]
    took = []
    entries = [{subject.kind: one} for one in declared]
    for label, module, options, loop in (
        (subject.in_a_loop, subject.peer, by_item(declared), declared),
        ("strata.virt.stack, one task", "strata.virt.stack", {"name": "bench-made", "resources": entries}, None),
    ):
        bench.says(f"{MADE} {subject.noun}: created")
        bench.play("strata.virt.stack", {"name": f"bench-{subject.noun}", "resources": gone}, unchanged=False)
        took.append((label, bench.play(module, options, loop, unchanged=False)))
    print(f"\n{f'created {subject.noun}, whole playbook':<56}{MADE:>10}")
    for label, value in took:
        print(f"  {label:<54}{seconds(value):>10}")
    times = took[0][1] / took[1][1]
    print()
    verdict(times >= MADE_TIMES_PEER, f"{times:.1f}x as fast as the peer's loop; {MADE_TIMES_PEER}x is asked")


# What is printed.


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 10 else f"{value:.2f} s" if value >= 1 else f"{value * 1000:.1f} ms"


def version_of(collection: str) -> str:
    for path in os.environ["ANSIBLE_COLLECTIONS_PATH"].split(":"):
        folder = Path(path, "ansible_collections", *collection.split("."))
        if (folder / "MANIFEST.json").exists():
            return json.loads((folder / "MANIFEST.json").read_text())["collection_info"]["version"]
        if (folder / "galaxy.yml").exists():
            return re.search(r"^version: *(\S+)", (folder / "galaxy.yml").read_text(), re.MULTILINE)[1]
    return ""


def report(subject: Subject, counts: list[int], samples: list[Sample]) -> None:
    groups = (
        (
            "whole playbook",
            "stack",
            (
                ("peer", subject.in_a_loop),
                ("ours", f"strata.virt.{subject.kind} in a loop"),
                ("stack", "strata.virt.stack, one task"),
                ("nothing", "a task that does nothing (ping)"),
            ),
        ),
        ("imports done", "raw", (("raw", "the bare library reads them"), ("inside", "inside the module stack"))),
        ("whole process", "script", (("script", "the bare library reads them"), ("module", "the module stack"))),
    )
    width = 56
    heads = "".join(f"{count:>10}" for count in counts)
    print(f"\n{'unchanged ' + subject.noun:<{width}}{heads}   grows   ratio")
    for title, base, rows in groups:
        print(f"  {title}")
        for name, label in rows:
            values = [getattr(sample, name) for sample in samples]
            ratio = values[-1] / getattr(samples[-1], base)
            cells = "".join(f"{seconds(value):>10}" for value in values)
            print(f"    {label:<{width - 4}}{cells}{values[-1] / values[0]:>7.1f}x{ratio:>7.1f}x")
    cells = "".join(f"{sample.processes:>10}" for sample in samples)
    print(f"  {'processes started by the module stack':<{width - 2}}{cells}\n")

    last, count = samples[-1], counts[-1]
    allowed = TIMES_RAW * last.raw + BESIDE_RAW
    numbers = {sample.processes for sample in samples}
    verdict(
        last.inside <= allowed,
        f"inside the module: {seconds(last.inside)} for {count}; {TIMES_RAW}x the bare library's {seconds(last.raw)}"
        f" and {seconds(BESIDE_RAW)} are {seconds(allowed)}",
    )
    # With few, all that is measured is Ansible's own start.
    if count >= 100:
        verdict(
            last.peer / last.stack >= TIMES_PEER,
            f"whole playbook: {last.peer / last.stack:.1f}x as fast as the peer's loop; {TIMES_PEER}x is asked",
        )
    verdict(len(numbers) == 1, f"processes: {', '.join(map(str, sorted(numbers)))}, whatever the number of workloads")


def verdict(met: bool, words: str) -> None:
    print(f"  {'met   ' if met else 'MISSED'}  {words}")


# The daemons.


@contextlib.contextmanager
def daemon(argv: list[str], log: Path, ready: Path) -> Iterator[None]:
    """A daemon in the foreground of its own process, from when it listens to the end of the block."""
    with log.open("w") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{argv[0]} does not come up:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def dockerd(folder: Path) -> contextlib.AbstractContextManager[None]:
    config, socket = folder / "daemon.json", folder / "docker.sock"
    config.write_text("{}")  # not the system's, whose options would get in the way
    argv = ["dockerd", "--config-file", config, "--host", f"unix://{socket}", "--pidfile", folder / "docker.pid"]
    argv += ["--data-root", folder / "docker", "--exec-root", folder / "exec", "--bridge", "none"]
    argv += ["--iptables=false", "--ip-forward=false", "--ip-masq=false"]
    return daemon([str(word) for word in argv], folder / "dockerd.log", socket)


def libvirtd(folder: Path) -> contextlib.AbstractContextManager[None]:
    # /etc/libvirt, /var/lib/libvirt and /run are the benchmark's own, and empty.
    Path("/etc/libvirt/libvirtd.conf").write_text('auth_unix_ro = "none"\nauth_unix_rw = "none"\n')
    Path("/etc/libvirt/qemu.conf").write_text('user = "root"\ngroup = "root"\nsecurity_driver = "none"\n')
    return daemon(["libvirtd"], folder / "libvirtd.log", Path("/run/libvirt/libvirt-sock"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder, for this run alone")
    parser.add_argument("--repeats", type=int, default=15, help="how often the short measurements are taken")
    parser.add_argument("--only", action="append", choices=[subject.noun for subject in SUBJECTS], help="not all of it")
    parser.add_argument("counts", type=int, nargs="*", default=[10, 50, 100], help="how many workloads, rising")
    options = parser.parse_args()
    bench, counts = Bench(options.folder, options.repeats), options.counts
    subjects = [subject for subject in SUBJECTS if subject.noun in (options.only or [one.noun for one in SUBJECTS])]
    print(f"strata.virt {version_of('strata.virt')} on ansible-core {ansible.__version__}: seconds are this machine's")
    try:
        with contextlib.ExitStack() as daemons:
            if any(subject.noun == "containers" for subject in subjects):
                daemons.enter_context(dockerd(bench.folder))
                bench.target("image", bench.docker, IMAGE)
            daemons.enter_context(libvirtd(bench.folder))
            if bench.target("xml", "domains", bench.libvirt)[0]:
                raise Failed("this libvirtd already has domains: it is not the benchmark's own")
            for subject in subjects:
                report(subject, counts, [measure(bench, subject, count) for count in counts])
                if subject.noun == "containers":
                    make(bench, subject)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
