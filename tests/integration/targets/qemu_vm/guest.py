# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that is nothing but the host's own kernel and busybox: it tells on its console what it has, once a second."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.lab.driver import run

_MODULES = (
    *("virtio_pci", "virtio_balloon", "virtio_blk", "virtio_scsi", "sd_mod", "sr_mod", "ata_piix", "ahci"),
    *("virtio_net", "button", "evdev", "virtiofs", "9p", "9pnet_virtio", "isofs", "tpm_crb"),
)
_INIT = Path(__file__).with_name("init")


def build(folder: Path) -> dict:
    """The options that boot it."""
    tree = folder / "tree"
    for name in ("bin", "proc", "sys", "dev", "modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), tree / "bin/busybox")
    for applet in run(str(tree / "bin/busybox"), "--list").splitlines():
        if applet != "busybox":
            os.symlink("busybox", tree / "bin" / applet)
    shutil.copy(_INIT, tree / "init")
    kernel = max(Path("/boot").glob("vmlinuz-*"))
    version = kernel.name.removeprefix("vmlinuz-")
    order: list[str] = []
    for module in _MODULES:
        depends = subprocess.run(
            ["modprobe", "--show-depends", "--ignore-install", "--set-version", version, module],
            capture_output=True,
            text=True,
            check=False,
        )
        order += [line.split()[1] for line in depends.stdout.splitlines() if line.startswith("insmod")]
    order = list(dict.fromkeys(order))
    for place, path in enumerate(order):
        name = f"{place:02}-{Path(path).name.partition('.ko')[0]}.ko"
        data = subprocess.run(["xz", "-dc", path], capture_output=True, check=True).stdout if ".xz" in path else None
        (tree / "modules" / name).write_bytes(Path(path).read_bytes() if data is None else data)
    names = sorted(path.name for path in (tree / "modules").iterdir())
    (tree / "modules/order").write_text("\n".join(names) + "\n")
    files = "\n".join(str(path.relative_to(tree)) for path in tree.rglob("*"))
    with (folder / "initrd").open("wb") as out:
        command = ["cpio", "--quiet", "--create", "--format=newc"]
        subprocess.run(command, input=files.encode(), stdout=out, cwd=tree, check=True)
    return {
        "kernel": str(kernel),
        "initrd": str(folder / "initrd"),
        "cmdline": "console=ttyS0 panic=-1 quiet",
    }
