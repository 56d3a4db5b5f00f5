# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""look.py HOST GUESTS: what a host sees of what was written in its guests, given as JSON. Runs on the host, as root."""

from __future__ import annotations

import glob
import json
import os
import subprocess
import sys

LEADER = {
    "nspawn": ["machinectl", "show", "--property=Leader", "--value"],
    "lxc": ["lxc-info", "--no-humanize", "--pid", "--name"],
    "docker": ["docker", "inspect", "--format", "{{.State.Pid}}"],
    "podman": ["podman", "inspect", "--format", "{{.State.Pid}}"],
}


def places(engine: str, guest: str) -> tuple[str, str]:
    """The root of a guest and its network namespace, as files of the host."""
    if engine in LEADER:
        done = subprocess.run([*LEADER[engine], guest], check=True, capture_output=True, text=True)
        process = f"/proc/{int(done.stdout)}"
        return f"{process}/root", f"{process}/ns/net"
    return {"chroot": (guest, "/proc/self/ns/net"), "netns": ("", f"/run/netns/{guest}")}[engine]


host, guests = sys.argv[1], json.loads(sys.argv[2])
assert guests, "nothing to look at"
inodes = set()
for one in guests:
    root, net = places(one["engine"], one["guest"])
    inode = os.stat(net).st_ino
    with open(f"{root}/var/strata-fleet.{one['name']}", encoding="utf-8") as file:
        text = file.read()
    assert text == f"{one['name']}.{one['engine']}.{host} net:[{inode}]\n", (one, text, inode)
    inodes.add((one["engine"], inode))
others = {path.rpartition(".")[2] for path in glob.glob("/var/strata-fleet.*")}
assert others == {one["name"] for one in guests if one["engine"] == "netns"}, others
# Namespaces, containers of LXC, Docker and Podman have networks of their own.
own = [one for one in guests if one["engine"] in ("netns", "lxc", "docker", "podman")]
assert len([engine for engine, _inode in inodes if engine in ("netns", "lxc", "docker", "podman")]) == len(own), inodes
print(f"{host}: {len(guests)} guests")
