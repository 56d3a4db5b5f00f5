# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""leftovers.py RESOURCES: fails where something of these entries of a stack is still on the host, and says what."""

from __future__ import annotations

import json
import os
import subprocess
import sys


def lines(*argv: str) -> list[str]:
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def exists(kind: str, name: str) -> bool:
    if kind == "cgroup":
        return os.path.exists(f"/sys/fs/cgroup/strata.slice/strata.service/{name}")
    if kind == "nspawn_container":
        files = (f"/etc/systemd/nspawn/{name}.nspawn", f"/etc/systemd/system/systemd-nspawn@{name}.service.d")
        return any(map(os.path.exists, files)) or name in lines("machinectl", "list")
    if kind == "lxc_container":
        return os.path.exists(f"/var/lib/lxc/{name}")
    if kind == "docker_container":
        return name in lines("docker", "ps", "--all", "--format", "{{.Names}}")
    if kind == "libvirt_domain":
        return name in lines("virsh", "--quiet", "--connect", "qemu:///system", "list", "--all", "--name")
    if kind == "link":
        return os.path.exists(f"/sys/class/net/{name}")
    if kind == "netns":
        return os.path.lexists(f"/run/netns/{name}")
    raise SystemExit(f"Don't know where to look for {kind}/{name}")


def main() -> None:
    entries = [(kind, options["name"]) for entry in json.loads(sys.argv[1]) for kind, options in entry.items()]
    left = [f"{kind}/{name}" for kind, name in entries if exists(kind, name)]
    print(f"Still there: {', '.join(left)}" if left else f"All {len(entries)} are gone")
    sys.exit(bool(left))


if __name__ == "__main__":
    main()
