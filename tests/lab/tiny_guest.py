# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that is nothing but the host's own kernel, busybox, and one script: up in seconds without KVM."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.lab.driver import run


def build(folder: Path, init: Path, modules: Iterable[str], programs: Iterable[str] = ()) -> dict:
    """The options that boot it.

    Args:
        folder: Where its initial RAM file system goes.
        init: Its first program, in busybox's shell; ``/modules/order`` names what it is to load.
        modules: Modules of the kernel, without what they depend on.
        programs: Programs of this host, which bring their libraries.
    """
    tree = folder / "tree"
    for name in ("bin", "proc", "sys", "dev", "modules", "tmp", "root", "run", "etc"):
        (tree / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), tree / "bin/busybox")
    for applet in run(str(tree / "bin/busybox"), "--list").splitlines():
        if applet != "busybox":
            os.symlink("busybox", tree / "bin" / applet)
    shutil.copy(init, tree / "init")
    (tree / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nworker:x:1000:1000::/tmp:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\nworker:x:1000:\n")
    kernel = max(Path("/boot").glob("vmlinuz-*"))
    _load(tree, kernel.name.removeprefix("vmlinuz-"), modules)
    for program in programs:
        _bring(tree, program)
    files = "\n".join(str(path.relative_to(tree)) for path in tree.rglob("*"))
    with (folder / "initrd").open("wb") as out:
        command = ["cpio", "--quiet", "--create", "--format=newc"]
        subprocess.run(command, input=files.encode(), stdout=out, cwd=tree, check=True)
    shutil.rmtree(tree)
    return {
        "kernel": str(kernel),
        "initrd": str(folder / "initrd"),
        "cmdline": "console=ttyS0 panic=-1 quiet",
    }


def _load(tree: Path, version: str, modules: Iterable[str]) -> None:
    """Modules and what they depend on, in the order in which they go in; what is part of the kernel isn't needed."""
    order: list[str] = []
    for module in modules:
        ask = ["modprobe", "--show-depends", "--ignore-install", "--set-version", version, module]
        told = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
        order += [line.split()[1] for line in told.splitlines() if line.startswith("insmod")]
    names = []
    for place, path in enumerate(dict.fromkeys(order)):
        data = Path(path).read_bytes()
        names.append(f"{place:02}-{Path(path).name.partition('.ko')[0]}.ko")
        (tree / "modules" / names[-1]).write_bytes(lzma.decompress(data) if path.endswith(".xz") else data)
    (tree / "modules/order").write_text("\n".join(names) + "\n")


def _bring(tree: Path, program: str) -> None:
    found = shutil.which(program, path="/usr/sbin:/usr/bin")
    assert found, f"{program} is not on this host"
    shutil.copy(found, tree / "bin" / program)
    for line in run("ldd", found).splitlines():
        library = next((word for word in line.split() if word.startswith("/")), None)
        if library:
            place = tree / library.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(library), place)
