# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a virtual machine boots that has busybox and QEMU's guest agent, and nothing else: up in seconds without KVM."""

from __future__ import annotations

import lzma
import os
import shutil
from pathlib import Path

from tests.lab.driver import run

INIT = """\
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod "$module"; done
for port in /sys/class/virtio-ports/*; do
    [ "$(cat "$port/name")" != org.qemu.guest_agent.0 ] || exec=/dev/${port##*/}
done
while :; do qemu-ga --method=virtio-serial --path="$exec"; sleep 1; done
"""


def make(folder: Path) -> tuple[Path, Path]:
    """A kernel and an initial RAM file system, of what this host has."""
    (kernel,) = Path("/boot").glob("vmlinuz-*")
    version = kernel.name.removeprefix("vmlinuz-")
    tree = folder / "tree"
    for name in ("bin", "dev", "proc", "sys", "tmp", "root", "etc", "modules", "run", "var"):
        (tree / name).mkdir(parents=True)
    (tree / "var/run").symlink_to("/run")
    shutil.copy("/usr/bin/busybox", tree / "bin/busybox")
    for applet in run("/usr/bin/busybox", "--list").split():
        if applet != "busybox":
            (tree / "bin" / applet).symlink_to("busybox")
    (tree / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nworker:x:1000:1000::/tmp:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\nworker:x:1000:\n")
    needed: list[str] = []
    for module in ("virtio_pci", "virtio_console"):
        lines = run("modprobe", "--show-depends", "--set-version", version, module).splitlines()
        needed += [line.split()[1] for line in lines if line.startswith("insmod")]
    for number, path in enumerate(dict.fromkeys(needed)):
        data = Path(path).read_bytes()
        name = Path(path).name.removesuffix(".xz")
        (tree / "modules" / f"{number:02}-{name}").write_bytes(lzma.decompress(data) if path.endswith(".xz") else data)
    agent = shutil.which("qemu-ga", path="/usr/sbin:/usr/bin")
    assert agent, "the package qemu-guest-agent is not there"
    shutil.copy(agent, tree / "bin/qemu-ga")
    for line in run("ldd", agent).splitlines():
        library = next((word for word in line.split() if word.startswith("/")), None)
        if library:
            place = tree / library.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(library), place)
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    initrd = folder / "initrd"
    run("cpio", "--quiet", "--create", "--format=newc", f"--directory={tree}", f"--file={initrd}", stdin=names)
    shutil.rmtree(tree)
    return Path(shutil.copy(kernel, folder / "kernel")), initrd
