# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Something of every engine that really runs, made by this collection as hardened as it goes, and by hand as not."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import docker_api, podman_api
from tests.lab.accounts import account
from tests.lab.docker_containers import tree
from tests.lab.driver import call, run

OWNER = "strata-seen"
USER = "strata-seer"
TOP = Path("/srv/strata-seen")
IMAGE = "strata-seen:1"
SLEEP = ["/bin/busybox", "sleep", "9999"]
LIMITS = {"memory": "64M", "cpus": 0.5, "pids_limit": 32}
HARD = {"hardening": "restricted", **LIMITS}
DOMAIN = """
<domain type='qemu'>
  <name>strata-seen-vm</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices/>
</domain>
"""
BY_HAND = {
    "strata-seen-plain": (),
    "strata-seen-open": ("--privileged", "--volume=/:/host"),
    "strata-seen-socket": ("--volume=/run/docker.sock:/docker.sock", "--pid=host", "--network=host", "--ipc=host"),
}


def busybox(name: str) -> str:
    """A tree of its own."""
    top = TOP / name
    for folder in ("bin", "usr/lib", "etc", "dev", "proc", "sys", "tmp", "root", "run", "lib", "sbin", "var"):
        (top / folder).mkdir(parents=True)
    shutil.copy("/usr/bin/busybox", top / "bin/busybox")
    (top / "usr/lib/os-release").write_text("ID=tiny\n")
    (top / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (top / "sbin/init").symlink_to("../bin/busybox")
    (top / "etc/inittab").write_text("::sysinit:/bin/true\n")
    return str(top)


def resources() -> list[dict]:
    """One of each engine, and the least that holds it to its profile."""
    podman = {"image": f"localhost/{IMAGE}", "command": SLEEP, **HARD}
    return [
        {"cgroup": {"name": "strata-seen", "memory": "32M"}},
        {"namespace": {"name": "strata-seen", "kinds": ["net", "uts"]}},
        {"chroot": {"path": busybox("jail"), "mounts": ["proc"]}},
        {"docker_container": {"name": "strata-seen-hard", "image": IMAGE, "command": SLEEP, **HARD}},
        {"podman_container": {"name": "strata-seen-pod", **podman}},
        {"podman_container": {"name": "strata-seen-mine", "user_scope": USER, **podman}},
        {
            "nspawn_container": {
                "name": "strata-seen",
                "image": busybox("machine"),
                "boot": False,
                "command": SLEEP,
                **HARD,
            }
        },
        {
            "lxc_container": {
                "name": "strata-seen",
                "source": {"rootfs": busybox("container")},
                "unprivileged": True,
                "networks": [{"type": "veth", "link": "lxcbr0"}],
                "config": {"lxc.signal.halt": "SIGUSR1"},
                **HARD,
            }
        },
        {
            "qemu_vm": {
                "name": "strata-seen",
                "memory": "64M",
                "accel": "tcg",
                "arguments": ["-S"],
                "force": True,  # nothing in it powers off
                "timeout": "15s",
            }
        },
    ]


@contextlib.contextmanager
def process(*argv: str) -> Iterator[int]:
    started = subprocess.Popen(argv)
    try:
        yield started.pid
    finally:
        started.kill()
        started.wait()


@pytest.fixture(scope="session")
def running():
    """The processes that no engine knows of, by what they run in."""
    with contextlib.ExitStack() as stack:
        number = stack.enter_context(account(USER))
        stack.callback(shutil.rmtree, TOP)
        run("systemctl", "start", f"user@{number}.service")
        docker_api.make_image(IMAGE, tree(), ())
        stack.callback(run, "docker", "rmi", "-f", IMAGE)
        for user in ("root", USER):
            at = stack.enter_context(podman_api.service(user))
            podman_api.make_image(f"localhost/{IMAGE}", tree(), (), at)
        stack.callback(run, "podman", "rmi", "-f", f"localhost/{IMAGE}")
        stack.callback(call, "stack", {"name": OWNER, "resources": [], "prune": True})
        call("stack", {"name": OWNER, "resources": resources()})
        for name, options in BY_HAND.items():
            stack.callback(run, "docker", "rm", "-f", name)
            run("docker", "run", "--detach", f"--name={name}", *options, IMAGE, *SLEEP)
        file = TOP / "domain.xml"
        file.write_text(DOMAIN)
        stack.callback(run, "virsh", "destroy", "strata-seen-vm")
        run("virsh", "create", "--paused", str(file))
        jail = stack.enter_context(process("chroot", str(TOP / "jail"), *SLEEP))
        entered = stack.enter_context(
            process("nsenter", "--net=/run/strata/namespaces/strata-seen/net", "busybox", "sleep", "9999")
        )
        end = time.monotonic() + 60
        while any(Path(f"/proc/{pid}/comm").read_text().strip() != "busybox" for pid in (jail, entered)):
            assert time.monotonic() < end, "they don't begin"
            time.sleep(0.1)
        yield {"jail": jail, "entered": entered, "socket": at}
