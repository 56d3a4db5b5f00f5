# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tiny things that trees are made from, made on the spot: archives, packages with their repositories, images."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from tests.lab.driver import run


def member(name: str, type_: bytes = tarfile.REGTYPE, link: str = "", text: str = "", **more) -> tuple:
    """One member of an archive, as its writer likes it."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode, entry.size = type_, link, 0o644, len(text)
    for key, value in more.items():
        setattr(entry, key, value)
    return entry, text.encode()


def archive(path: Path, *members: tuple, compress: str = "") -> str:
    with tarfile.open(path, f"w:{compress}") as file:
        for entry, content in members:
            file.addfile(entry, io.BytesIO(content))
    return str(path)


def deb(folder: Path, name: str, content: str) -> None:
    """A package with one file, and a repository with one package more."""
    tree = folder / f"{name}.tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/share/strata").mkdir(parents=True)
    (tree / f"usr/share/strata/{name}").write_text(content)
    control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: Lab <lab@example.com>\nDescription: tiny\n"
    (tree / "DEBIAN/control").write_text(control)
    package = folder / f"{name}.deb"
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(package))
    data = package.read_bytes()
    with (folder / "Packages").open("a") as index:
        index.write(f"{control}Filename: ./{name}.deb\nSize: {len(data)}\n")
        index.write(f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n")
    shutil.rmtree(tree)


def rpm(folder: Path, first: str, *more: str) -> None:
    """Packages with one file each, of one source, and their repository."""
    folder.mkdir()
    spec = [f"Name: {first}", "Version: 1", "Release: 1", "Summary: tiny", "License: MIT", "BuildArch: noarch"]
    spec += ["%description", "tiny"]
    for name in more:
        spec += [f"%package -n {name}", "Summary: tiny", f"%description -n {name}", "tiny"]
    spec += ["%install", "mkdir -p %{buildroot}/usr/share/strata"]
    spec += [f"echo {name} >%{{buildroot}}/usr/share/strata/{name}" for name in (first, *more)]
    for name in (first, *more):
        spec += [f"%files -n {name}", f"/usr/share/strata/{name}"]
    (folder / "spec").write_text("\n".join(spec) + "\n")
    run("rpmbuild", "-bb", "--define", f"_topdir {folder}/build", "--define", f"_rpmdir {folder}", str(folder / "spec"))
    run("createrepo_c", "--quiet", str(folder))


def image(layout: Path, tag: str, tree: Path) -> str:
    """An image of one layer."""
    if not layout.exists():
        run("umoci", "init", "--layout", str(layout))
    run("umoci", "new", "--image", f"{layout}:{tag}")
    run("umoci", "insert", "--image", f"{layout}:{tag}", str(tree), "/")
    return f"oci:{layout}:{tag}"


@contextlib.contextmanager
def server(log: Path, port: int, *argv: str):
    """A server of one's own on the loopback, as long as it lasts."""
    with log.open("w") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output)
    try:
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, "it takes no connection"
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def registry(folder: Path):
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
        "http: {addr: 127.0.0.1:5055}\n"
    )
    with server(folder / "registry.log", 5055, "docker-registry", "serve", str(config)) as name:
        yield name


@contextlib.contextmanager
def web_server(folder: Path):
    argv = (sys.executable, "-m", "http.server", "--bind=127.0.0.1", f"--directory={folder}", "5056")
    with server(folder / "web.log", 5056, *argv) as name:
        yield f"http://{name}"


@contextlib.contextmanager
def btrfs(folder: Path):
    """A btrfs of one's own, mounted."""
    disk, place = folder / "btrfs.img", folder / "btrfs"
    with disk.open("wb") as file:
        file.truncate(256 * 1024**2)
    run("mkfs.btrfs", "--quiet", str(disk))
    place.mkdir()
    run("mount", "-o", "loop", str(disk), str(place))
    try:
        yield place
    finally:
        run("umount", str(place))
        place.rmdir()
        disk.unlink()


def seen(path: str) -> dict | None:
    """What is at a path: of a tree, each file with what matters of it."""
    if not os.path.lexists(path):
        return None
    if not os.path.isdir(path):
        return {"size": os.stat(path).st_size}
    files = {}
    for folder, below, names in os.walk(path):
        for name in [*below, *names]:
            place = os.path.join(folder, name)
            info = os.lstat(place)
            what = os.readlink(place) if os.path.islink(place) else f"{info.st_mode:o} {info.st_uid}:{info.st_gid}"
            files[os.path.relpath(place, path)] = what
    return {"files": files, "mode": f"{os.stat(path).st_mode:o}"}
