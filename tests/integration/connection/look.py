# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""look.py FOLDER DIGEST WITH-MODULES WITH-FILES GUEST…: what the host sees of what was done in guests.

Runs on the host, as root.
Each guest was left with a sleep(1) that the connection started, by which the host sees where commands run.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys

TEXT = "grüße, 'quotes' \"both\" $HOME `id` \\ *  \t two  spaces\r\n\nlast, no newline: 日本"
ENTERING = 1 << 6 | 1 << 7 | 1 << 18 | 1 << 19 | 1 << 21
KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "uts", "user", "time")
LEADERS = {
    "nspawn": ["machinectl", "show", "--property=Leader", "--value", "strata-nspawn"],
    "lxc": ["lxc-info", "--no-humanize", "--pid", "--name", "strata-lxc"],
    "docker": ["docker", "inspect", "--format", "{{.State.Pid}}", "strata-docker"],
    "podman": ["podman", "inspect", "--format", "{{.State.Pid}}", "strata-podman"],
}
TREES = {"chroot": "a 'tree'", "hostile": "hostile", "busybox": "busybox"}
PLACES = {
    "namespace": ("/run/strata/namespaces/strata-guest", ("net", "uts", "ipc", "mnt", "pid")),
    "netns": ("/run/netns/strata-guest-net", ("net",)),
}

folder, digest, modules, copied, guests = *sys.argv[1:5], sys.argv[5:]


def text(path: str) -> str:
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def status(pid: int | str, key: str) -> str:
    return next(line.split()[1] for line in text(f"/proc/{pid}/status").splitlines() if line.startswith(f"{key}:"))


def environment(pid: str) -> dict[str, str]:
    try:
        with open(f"/proc/{pid}/environ", encoding="utf-8", errors="replace") as file:
            return dict(entry.split("=", 1) for entry in file.read().split("\0") if "=" in entry)
    except OSError:  # it ended
        return {}


def same(one: str, other: str) -> bool:
    return os.path.samestat(os.stat(one), os.stat(other))


def leader(guest: str) -> int:
    """The process whose namespaces, cgroup and root are those of the guest."""
    if guest == "process":
        return int(text(f"{folder}/process.pid"))
    if guest in LEADERS:
        return int(subprocess.run(LEADERS[guest], check=True, capture_output=True, text=True).stdout)
    return os.getpid()


def look(guest: str, pid: str) -> None:
    own = leader(guest)
    place, pinned = PLACES.get(guest, ("", ()))
    for kind in KINDS:
        pin = f"{place}/{kind}" if len(pinned) > 1 else place
        expected = pin if kind in pinned else f"/proc/{own}/ns/{kind}"
        # ip-netns(8) makes a mount namespace for each command, in which /sys shows the network namespace.
        assert same(f"/proc/{pid}/ns/{kind}", expected) or (guest, kind) == ("netns", "mnt"), (guest, kind)
    root = f"{folder}/{TREES[guest]}" if guest in TREES else f"/proc/{own}/root"
    assert same(f"/proc/{pid}/root", root) or guest in PLACES, (guest, "root")
    if guest in LEADERS or guest == "process":
        group, theirs = (text(f"/proc/{number}/cgroup").strip() for number in (pid, own))
        # lxc-attach(1) may make a group below that of the container.
        grouped = guest != "podman" or os.path.exists("/sys/fs/cgroup/cgroup.controllers")  # see guests.sh
        below = guest == "lxc" and group.startswith(f"{theirs}/")
        assert not grouped or group == theirs or below, (guest, group, theirs)
        bounding, theirs = (int(status(number, "CapBnd"), 16) for number in (pid, own))
        assert bounding == theirs | (ENTERING if guest in ("nspawn", "process") else 0), (guest, hex(bounding))
    env = environment(pid)
    assert env["HOME"] == "/root", (guest, env)
    foreign = [
        name for name in env if name.startswith(("SSH_", "XDG_", "ANSIBLE", "SUDO", "LC_", "LANG", "STRATA_LEAK"))
    ]
    assert not foreign, (guest, foreign)
    assert guest not in ("docker", "podman") or env["FROM_IMAGE"] == "yes", (guest, env)


left = {}
for entry in filter(str.isdigit, os.listdir("/proc")):
    case = environment(entry).get("STRATA_CASE")
    if case and text(f"/proc/{entry}/comm").strip() in ("sleep", "busybox"):
        left[case] = entry

WRITTEN = {"other": set(guests) - {"busybox"}, "su": set(modules.split(","))}


def large(path: str) -> None:
    with open(path, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == digest, path


assert guests, "nothing to look at"
for guest in guests:
    outside = f"{folder}/{guest}"
    user, number = ("nobody", 65534) if guest in PLACES else ("app", 4321)
    look(guest, left[guest])
    os.kill(int(left[guest]), signal.SIGKILL)
    assert text(f"{outside}/a file, 'ünïcode'") == TEXT, guest
    large(f"{outside}/a 'large' file ö")
    written = [name for name, where in WRITTEN.items() if guest in where]
    for name in written:
        assert text(f"{outside}/{name}") == f"{user}\n", guest
        assert os.stat(f"{outside}/{name}").st_uid == number, guest
    if guest in copied.split(","):
        assert text(f"{outside}/script") == "grüße, 'quotes' $HOME", guest
        large(f"{outside}/a tree/ein 'Ordner'/groß")
        assert os.path.getsize(f"{outside}/a tree/leer") == 0, guest
        assert text(f"{outside}/a tree/汉语.txt") == "漢字\n", guest
        assert os.stat(f"{outside}/a tree/leer").st_mode & 0o777 == 0o640, guest

assert text(f"{folder}/victim") == "untouched\n", "a link of a guest led to the host"
assert os.listdir(f"{folder}/out") == [], "a folder of a guest is one of the host"
for guest in {"chroot", "hostile"} & set(guests):
    assert text(f"{folder}/{TREES[guest]}{folder}/victim") == "guest\n", guest
    assert os.listdir(f"{folder}/{TREES[guest]}{folder}/out") == ["汉语 'x'"], guest
