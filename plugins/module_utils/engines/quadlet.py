# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quadlets: files from which Podman's generator makes services of systemd (podman-systemd.unit(5))."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..core import command, files
from ..core.errors import StrataError
from . import podman_service, systemd
from .unitfile import UnitFile

SORTS = {
    "container": ("Container", ""),
    "pod": ("Pod", "-pod"),
    "kube": ("Kube", ""),
    "volume": ("Volume", "-volume"),
    "network": ("Network", "-network"),
    "image": ("Image", "-image"),
    "build": ("Build", "-build"),
}
"""Each sort's own section, and what follows its name in that of its service."""

NOTES = "X-Strata"  # left alone by the generator and by systemd (systemd.unit(5))
_HEADER = "# Written by strata.virt.\n"
_SYSTEM = "/etc/containers/systemd"
_GENERATORS = ("/usr/libexec/podman/quadlet", "/usr/lib/podman/quadlet", "/usr/local/libexec/podman/quadlet")
_ASKED = ("ActiveState", "SubState", "Result", "MainPID", "InactiveExitTimestampMonotonic", "LoadState")

Content = Mapping[str, Sequence[str]]
"""Everything that a file assigns, by ``Section.Key``."""


def service(name: str, sort: str) -> str:
    return f"{name}{SORTS[sort][1]}.service"


def render(content: Content, owner: str) -> str:
    """The text of a file; its values are taken literally."""
    file = UnitFile(_HEADER)
    for place, values in content.items():
        section, _dot, key = place.partition(".")
        file.set(section, key, [value.replace("%", "%%") for value in values])
    file.set(NOTES, "Owner", [owner])
    return file.text


def read(text: str) -> tuple[dict[str, tuple[str, ...]], str | None]:
    """What a file assigns, and whose it is; None: somebody else's."""
    file = UnitFile(text)
    content = {
        f"{section}.{key}": tuple(value.replace("%%", "%") for value in file.all(section, key))
        for section, key in file.assigned()
        if section != NOTES
    }
    return content, file.last(NOTES, "Owner") or "" if text.startswith(_HEADER) else None


class Quadlets:
    """The quadlets of one user, and the services that are made of them.

    Args:
        user: Whose they are; None for whoever runs this.

    Raises:
        StrataError: Podman or systemd is missing, or that user can't have any.
    """

    def __init__(self, user: str | None) -> None:
        systemd.need()
        command.need("podman", "podman")
        self.user = podman_service.account(user)
        if self.user.uid:
            podman_service.need_runtime(self.user)

    @property
    def folder(self) -> str:
        """Where files go. Root writes those of another user where that one can't, and not below their home."""
        if self.user.uid == os.geteuid() != 0:
            return f"{self.user.home}/.config/containers/systemd"
        return f"{_SYSTEM}/users/{self.user.uid}" if self.user.uid else _SYSTEM

    def path(self, name: str, sort: str) -> str:
        return f"{self.folder}/{name}.{sort}"

    def names(self) -> dict[str, list[str]]:
        """The sorts of each name that there are files of."""
        found: dict[str, list[str]] = {}
        try:
            listed = sorted(os.listdir(self.folder))
        except OSError:
            return found
        for file in listed:
            name, _dot, sort = file.rpartition(".")
            if sort in SORTS and name:
                found.setdefault(name, []).append(sort)
        return found

    def text(self, name: str, sort: str) -> str | None:
        return files.read(self.path(name, sort))

    def written(self, name: str, sort: str) -> float:
        """When a file was written, in seconds since boot as services count them."""
        age = time.time() - os.stat(self.path(name, sort)).st_mtime
        return time.clock_gettime(time.CLOCK_MONOTONIC) - age

    def show(self, units: Sequence[str]) -> dict[str, dict[str, str]]:
        """What systemd says of services, in one call."""
        if not units:
            return {}
        done = self._systemctl("show", "--no-pager", f"--property={','.join(('Id', *_ASKED))}", "--", *units)
        blocks = [block for block in done.split("\n\n") if block.strip()]
        return {
            unit: dict(line.split("=", 1) for line in block.strip().splitlines() if "=" in line)
            for unit, block in zip(units, blocks)
        }

    def check(self, name: str, sort: str, text: str) -> None:
        """Have the generator read a file that isn't there yet.

        Raises:
            StrataError: It refuses it; the message is its own.
        """
        generator = next((path for path in _GENERATORS if os.path.exists(path)), None)
        if generator is None:
            raise StrataError("this Podman has no generator for quadlets", hint="Podman has one from 4.4 on")
        with tempfile.TemporaryDirectory(prefix="strata-quadlet-") as folder:
            os.chmod(folder, 0o755)
            with open(f"{folder}/{name}.{sort}", "w", encoding="utf-8") as file:
                file.write(text)
            # What it names of other quadlets has to be there, too.
            for other, sorts in self.names().items():
                for one in sorts:
                    if (other, one) != (name, sort):
                        with open(f"{folder}/{other}.{one}", "w", encoding="utf-8") as file:
                            file.write(self.text(other, one) or "")
            mode = ["-user"] if self.user.uid else []
            done = command.run([generator, "-dryrun", *mode], env={"QUADLET_UNIT_DIRS": folder}, check=False)
        said = [line for line in done.stderr.splitlines() if f"{name}.{sort}" in line and "Loading" not in line]
        if said:
            words = "; ".join(line.partition("quadlet-generator")[2].lstrip("[0123456789]: ") or line for line in said)
            raise StrataError(f"the generator of Podman refuses it: {words}")

    def write(self, name: str, sort: str, text: str) -> None:
        """Write a file, and have systemd know the service that comes of it."""
        files.write(self.path(name, sort), text)
        self.reload()

    def drop(self, name: str, sort: str) -> None:
        """Take a file away, and the service with it."""
        files.remove(self.path(name, sort))
        self.reload()
        self._systemctl("reset-failed", "--", service(name, sort), check=False)

    def reload(self) -> None:
        """Have systemd run the generators and read what they make."""
        self._systemctl("daemon-reload")

    def do(self, verb: str, unit: str, timeout: float) -> None:
        """Start, stop or restart a service, and wait until it has."""
        self._systemctl(verb, "--", unit, timeout=timeout)

    def _systemctl(self, *words: str, check: bool = True, timeout: float | None = None) -> str:
        """What systemctl says, of the user's own systemd.

        Raises:
            StrataError: It failed, or took too long.
        """
        scope = ["--user"] if self.user.uid else []
        argv = ["systemctl", *scope, *words]
        done = podman_service.run_as(self.user, argv, timeout)
        if check and done.returncode != 0:
            raise StrataError(command.failure(done))
        return done.stdout

    def starter(self, container: str) -> str | None:
        """The service that started a container, empty if none did; None: there is no such container.

        Podman notes it on what is started with ``PODMAN_SYSTEMD_UNIT`` in the environment, which the generator sets.
        """
        form = '{{index .Config.Labels "PODMAN_SYSTEMD_UNIT"}}'
        done = podman_service.run_as(self.user, ["podman", "container", "inspect", f"--format={form}", "--", container])
        return done.stdout.strip() if done.returncode == 0 else None

    def last_words(self, unit: str, lines: int = 5) -> str:
        """The end of what a service wrote to the journal, in one line."""
        sort = "--user-unit" if self.user.uid else "--unit"
        argv = ["journalctl", f"{sort}={unit}", "--output=cat", f"--lines={lines}", "--no-pager", "--quiet"]
        said = command.run(argv, check=False).stdout
        return "; ".join(line.strip() for line in said.splitlines() if line.strip())


def units(names: Iterable[tuple[str, str]]) -> list[str]:
    return [service(name, sort) for name, sort in names]


def started(shown: Mapping[str, Any]) -> float:
    """When a service was started, in seconds since boot."""
    return int(shown.get("InactiveExitTimestampMonotonic") or 0) / 1_000_000
