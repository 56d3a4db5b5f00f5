# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""LXC: its folders, its programs, and what its running containers say of themselves.

What is stored is read from the files; what runs is asked through python3-lxc. The binding is opened for running
containers only, and never writes: its ``set_config_item`` reports failure by returning False.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

from ..core import command, files
from ..core.errors import StrataError
from ..core.libraries import library
from ..core.waiting import until
from . import cgroupfs
from .lxc_config import Config

DEFAULT_PATH = "/var/lib/lxc"
TEMPLATES = "/usr/share/lxc/templates"

_PAYLOAD = "lxc.payload."  # LXC: src/lxc/cgroups/cgroup.h, DEFAULT_PAYLOAD_CGROUP_PREFIX
_LONGEST = 100  # of a socket's path; LXC hashes longer ones (src/lxc/commands_utils.c)
_SETTLED = ("STOPPED", "RUNNING", "FROZEN")
_SETTLES_IN = 30  # seconds; what passes through STARTING or STOPPING does so in one or two
BOOT_UNIT = "lxc.service"
"""It runs lxc-autostart at boot, for all that have lxc.start.auto (LXC: config/init); ``lxc@`` starts one."""


class Lxc:
    """The containers below one ``lxc_path``.

    Raises:
        StrataError: LXC or its binding is not installed.
    """

    def __init__(self, lxc_path: str) -> None:
        command.need("lxc-start", "lxc")
        os.environ.update(command.session())  # the library looks for it, too
        self._lxc = library("lxc", "python3-lxc")
        self.rootless = os.geteuid() != 0
        own = self.rootless and lxc_path == DEFAULT_PATH  # nothing there is a plain user's
        self.path = str(self._lxc.get_global_config_item("lxc.lxcpath")) if own else lxc_path

    @property
    def version(self) -> int:
        """The first part of LXC's version."""
        return int(str(self._lxc.version).partition(".")[0])

    def folder(self, name: str) -> str:
        return f"{self.path}/{name}"

    def config_file(self, name: str) -> str:
        return f"{self.path}/{name}/config"

    def made_file(self, name: str) -> str:
        """The configuration as ``lxc-create`` made it: what options that are dropped go back to."""
        return f"{self.path}/{name}/config.created"

    def _argv(self, program: str, name: str, *options: str) -> list[str]:
        return [program, "-n", name, "-P", self.path, *options]

    # Reading.

    def names(self) -> list[str]:
        """The containers that there are, half-made ones included."""
        try:
            with os.scandir(self.path) as entries:
                return sorted(entry.name for entry in entries if self.read_config(entry.name) is not None)
        except OSError:
            return []

    def read_config(self, name: str) -> Config | None:
        return self.config_at(self.folder(name))

    @staticmethod
    def config_at(folder: str, name: str = "config") -> Config | None:
        """The configuration in a folder of a container, or of a snapshot of one."""
        text = files.read(f"{folder}/{name}")
        return None if text is None else Config(text)

    def defaults(self, name: str) -> Config:
        """What a container has where nobody declared anything."""
        text = files.read(self.made_file(name))
        return self.default_config() if text is None else Config(text)

    def default_config(self) -> Config:
        """What ``lxc-create`` starts from."""
        path = self._lxc.get_global_config_item("lxc.default_config")
        return Config(files.read(path) or "" if path else "")

    def half_made(self, name: str) -> bool:
        """Whether ``lxc-create`` has not finished: it keeps a file for that long (LXC: lxccontainer.c)."""
        return os.path.exists(f"{self.folder(name)}/partial")

    def in_the_making(self, name: str) -> bool:
        """Whether an ``lxc-create`` is at work on it right now: it holds a lock."""
        try:
            handle = os.open(f"{self.folder(name)}/partial", os.O_RDONLY)
        except OSError:
            return False
        try:
            lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, lock)
            return bool(struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK)
        finally:
            os.close(handle)

    def active(self, names: Iterable[str]) -> list[str]:
        """Those of the containers that may run: somebody listens for them. One read, however many."""
        listening = files.read("/proc/net/unix") or ""
        sockets = {line.rpartition(" ")[2] for line in listening.splitlines()}
        return [
            name for name in names if f"@{self.folder(name)}/command" in sockets or len(self.folder(name)) > _LONGEST
        ]

    def running(self, name: str) -> Running | None:
        """A container that runs, waiting for one that is just coming up or going down.

        Raises:
            StrataError: It does neither in half a minute.
        """
        container = self._lxc.Container(name, self.path)
        state = until(
            lambda: container.state if container.state in _SETTLED else None,
            f"{name}, which is {container.state}",
            _SETTLES_IN,
        )
        pid = int(container.init_pid) if state != "STOPPED" else -1
        return Running(container, pid) if pid > 0 else None

    def accepts(self, name: str, key: str, value: str) -> bool:
        """Whether LXC knows a key and takes its value. Nothing is stored."""
        container = self._lxc.Container(name, self.path)
        # The library's own function, in memory: the binding's wrapper compares and hides what it said.
        put = super(self._lxc.Container, container).set_config_item  # type: ignore[misc]
        return all(put(key, line) for line in value.split("\n"))

    def addresses(self, name: str) -> dict[str, list[str]]:
        """The addresses of a running container, by interface, without the loopback's."""
        container = self._lxc.Container(name, self.path)
        found = {link: list(container.get_ips(interface=link)) for link in container.get_interfaces() if link != "lo"}
        return {link: addresses for link, addresses in found.items() if addresses}

    def templates(self) -> list[str]:
        try:
            return sorted(file[4:] for file in os.listdir(TEMPLATES) if file.startswith("lxc-"))
        except OSError:
            return []

    def check_template(self, template: str) -> None:
        """Make sure that there is a template, by its name or its path.

        Raises:
            StrataError: There is none.
        """
        known = [*self.templates(), "none"]
        if not (os.path.isfile(template) if template.startswith("/") else template in known):
            hint = f"There are: {', '.join(known)}; the package lxc-templates has more"
            raise StrataError("is no template of this host", option="template", value=template, hint=hint)

    # Changing.

    def create(self, name: str, template: str, options: Sequence[str], marker: str, mapped: Sequence[str] = ()) -> None:
        """Make a container whose configuration begins with a marker from the first moment on.

        Args:
            name: The container.
            template: What it is made from.
            options: What the template is called with.
            marker: The comment.
            mapped: The map of the user namespace that a plain user's tree is made in.
        """
        lines = [marker, *(f"lxc.idmap = {line}" for line in mapped)]
        with tempfile.NamedTemporaryFile("w", prefix="strata-lxc-", suffix=".conf") as file:
            file.write("\n".join([*lines, self.default_config().text]))
            file.flush()
            more = ["--", *options] if options else []
            done = command.run(self._argv("lxc-create", name, "-t", template, "-f", file.name, *more), check=False)
        if done.returncode != 0:
            # Templates say there, too, what is wrong.
            said = [line.strip() for line in done.stdout.splitlines() if line.startswith("ERROR")]
            raise StrataError("; ".join([*said, command.failure(done)]))

    def begin(self, name: str, config: Config) -> None:
        """Make a container's folder, closed to others as LXC makes it, and its configuration."""
        os.makedirs(self.path, mode=0o711, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.folder(name), 0o770)
        self.write_config(name, config)

    def keep_made(self, name: str, config: Config) -> None:
        files.write(self.made_file(name), config.text, 0o600)

    def write_config(self, name: str, config: Config) -> None:
        files.write(self.config_file(name), config.text)

    def starting(self, name: str, *options: str) -> list[str]:
        """The program that starts a container."""
        argv = self._argv("lxc-start", name, "-d", *options)
        # A plain user has no control group to put it in but what the user's systemd hands over (lxc-unpriv-start).
        return (
            ["systemd-run", "--user", "--scope", "--quiet", "--property=Delegate=yes", "--", *argv]
            if self.rootless
            else argv
        )

    def attaching(self, name: str, *argv: str) -> list[str]:
        """The program that runs another one inside."""
        return self._argv("lxc-attach", name, "--clear-env", "--", *argv)

    def stop(self, name: str, timeout: float) -> None:
        """Ask a container to shut down; one that doesn't in time is killed."""
        # lxc-stop kills by itself after -t seconds; the rest is for the kernel to take it apart.
        done = command.run(
            self._argv("lxc-stop", name, "-t", str(int(timeout))), timeout=timeout + _SETTLES_IN, check=False
        )
        if done.returncode not in (0, 2):  # 2: it doesn't run (lxc-stop(1))
            raise StrataError(command.failure(done))
        until(lambda: not self.active([name]) or self.running(name) is None, f"{name} to stop", _SETTLES_IN)

    def set_frozen(self, name: str, frozen: bool) -> None:
        """Freeze or thaw. LXC remembers what it was told; whether it holds, the kernel knows."""
        running = self.running(name)
        group = running.group() if running else None
        if group is None or (cgroupfs.read(group, "cgroup.freeze") == "1") == frozen:
            return
        command.run(self._argv("lxc-freeze" if frozen else "lxc-unfreeze", name), check=False)
        if (cgroupfs.read(group, "cgroup.freeze") == "1") != frozen:
            cgroupfs.write(group, "cgroup.freeze", "1" if frozen else "0")

    def destroy(self, name: str) -> None:
        """Remove a stopped container, with its root file system where its configuration names one."""
        if self.read_config(name) is not None:
            command.run(self._argv("lxc-destroy", name))
        elif self.half_made(name):  # killed before it wrote anything else; lxc-create would stumble over it
            files.remove(f"{self.folder(name)}/partial")


class Running:
    """A container that runs."""

    def __init__(self, container: Any, pid: int) -> None:
        self._container = container
        self.pid = pid

    def get(self, key: str) -> str | None:
        """A value of the configuration that it was started with; of a list, one a line."""
        return _text(self._container.get_running_config_item(key))

    def stored(self, key: str) -> str | None:
        """The same value as it is stored now, in the same spelling."""
        try:
            return _text(self._container.get_config_item(key))
        except KeyError:
            return None

    def as_stored(self, key: str) -> bool:
        """Whether a key has the value that it was started with."""
        return self.get(key) == self.stored(key)

    def group(self) -> str | None:
        """Its cgroup, by path; None where it is gone.

        Its init may have moved into groups below, so the path ends where LXC's own name stands.
        """
        group = cgroupfs.of_process(self.pid)
        if group is None:
            return None
        parts = group.split("/")
        for place, part in enumerate(parts):
            if part.startswith(_PAYLOAD):
                return "/".join(parts[: place + 1])
        theirs = self.get("lxc.cgroup.dir.container")
        return f"{cgroupfs.MOUNT}/{theirs}" if theirs and theirs != "(null)" else group


def _text(value: Any) -> str | None:
    if isinstance(value, (list, tuple)):
        return "\n".join(value)
    return value.rstrip("\n") if isinstance(value, str) and value else None


def made_with(config: Config) -> str | None:
    """The template, from the comment that lxc-create leaves (LXC: lxccontainer.c, prepend_lxc_header)."""
    path = config.comment("# Template used to create this container:")
    return path.replace(f"{TEMPLATES}/lxc-", "") if path else None


def inside(rootfs: str | None, folder: str) -> bool:
    """Whether a root file system is a plain folder of the container's own, so that it goes with it."""
    if rootfs is None:
        return True
    path = rootfs[4:] if rootfs.startswith("dir:") else rootfs
    real = os.path.realpath(path)
    return real.startswith(os.path.realpath(folder) + "/") and not os.path.ismount(real)
