# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A QEMU process of our own: its command line, its files, its monitor."""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core import command, files
from ..core.errors import StrataError
from ..core.waiting import until
from .qmp import LONGEST_PATH, Monitor

PROGRAM = "qemu-system-x86_64"
UNITS = "strata-qemu-"
BRIDGES = "/etc/qemu/bridge.conf"
_DEEPEST = 5  # files that include others
_PACKAGE = "qemu-system-x86"


def accelerator() -> str:
    """``kvm`` where the processor has it and the device opens, else ``tcg``.

    A /dev/kvm alone says nothing: some clouds show one that runs no ordinary kernel.
    """
    flags = files.read("/proc/cpuinfo") or ""
    if " vmx" not in flags and " svm" not in flags:
        return "tcg"
    return "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg"


@functools.lru_cache(maxsize=1)
def _version() -> str:
    return command.run([program(), "--version"]).stdout


def program() -> str:
    return command.need(PROGRAM, _PACKAGE)


def emulation() -> str:
    """QEMU's ``-accel`` where there is no KVM.

    Before 8.1, a thread could translate code that another was just changing, and went on running the old: kernels, who
    change their own at run time (static keys), die of it by an int3. So all vcpus share one thread there.
    """
    said = _version()
    version = re.search(r"version (\d+)\.(\d+)", said)
    safe = version is not None and tuple(map(int, version.groups())) >= (8, 1)
    return f"tcg,thread={'multi' if safe else 'single'},tb-size=1024"


def default_folder() -> str:
    """Where VMs are kept: for root under /var/lib, for others in the state folder of the XDG base directories."""
    if os.geteuid() == 0:
        return "/var/lib/strata/qemu"
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return f"{home}/strata/qemu"


def check_bridge(bridge: str) -> None:
    """Make sure that QEMU's helper lets VMs onto a bridge: it asks a file, of root's VMs, too (qemu-bridge-helper.c).

    Raises:
        StrataError: It doesn't.
    """
    rules = _rules(BRIDGES, 0)
    for verb, name in rules:
        if name in (bridge, "all"):
            if verb == "allow":
                return
            break
    raise StrataError(
        "is not for VMs",
        option="networks.device",
        value=bridge,
        hint=f"Write 'allow {bridge}' into {BRIDGES}, or give a tap device that is in the bridge (type: tap)",
    )


def _rules(path: str, depth: int) -> list[tuple[str, str]]:
    """The lines of the helper's file, those of included ones in their place; denials count before all else."""
    found: list[tuple[str, str]] = []
    for line in (files.read(path) or "").splitlines():
        verb, _space, name = line.partition("#")[0].strip().partition(" ")
        if verb == "include" and depth < _DEEPEST:
            found += _rules(name.strip(), depth + 1)
        elif verb in ("allow", "deny"):
            found.append((verb, name.strip()))
    return sorted(found, key=lambda rule: rule[0] == "allow")


@dataclass(frozen=True)
class Machine:
    """The files of one VM, in a folder of its own."""

    folder: str

    @property
    def name(self) -> str:
        return os.path.basename(self.folder)

    @property
    def declared(self) -> str:
        """What it is to be at its next start."""
        return f"{self.folder}/vm.json"

    @property
    def started(self) -> str:
        """What it was at its last start."""
        return f"{self.folder}/started.json"

    @property
    def socket(self) -> str:
        return f"{self.folder}/qmp.sock"

    @property
    def log(self) -> str:
        return f"{self.folder}/qemu.log"

    @property
    def pid(self) -> str:
        """Where systemd finds its number: it guesses that of a program in the background else."""
        return f"{self.folder}/qemu.pid"

    @property
    def tpm(self) -> str:
        """The folder of what its TPM keeps."""
        return f"{self.folder}/tpm"

    @property
    def tpm_socket(self) -> str:
        return f"{self.folder}/tpm.sock"

    def share_socket(self, tag: str) -> str:
        return f"{self.folder}/fs-{tag}.sock"

    def nvram(self, firmware: str) -> str:
        """The variables of its firmware."""
        return f"{self.folder}/nvram.{firmware}.fd"

    def seed(self, digest: str) -> str:
        """What tells it what it is. Another content is another file: one that runs keeps that which it has."""
        return f"{self.folder}/seed.{digest}.iso"

    @property
    def unit(self) -> str:
        """Its service, where systemd runs it. The same name in another folder is another VM; no name has a colon."""
        folder = os.path.dirname(self.folder)
        other = "" if folder == default_folder() else f":{hashlib.sha256(folder.encode()).hexdigest()[:8]}"
        return f"{UNITS}{self.name}{other}.service"

    @property
    def digest(self) -> str:
        """What stands for all that is declared of it."""
        return hashlib.sha256((files.read(self.declared) or "").encode()).hexdigest()

    def load(self, path: str) -> dict[str, Any] | None:
        """A description as it was kept, None where there is none.

        Raises:
            StrataError: Somebody broke the file.
        """
        text = files.read(path)
        try:
            return None if text is None else dict(json.loads(text))
        except ValueError:
            raise StrataError(f"{path} is no JSON", hint="Repair or remove it") from None

    def save(self, path: str, values: Mapping[str, Any]) -> None:
        files.write(path, json.dumps(values, indent=1, sort_keys=True) + "\n", 0o600)

    def monitor(self) -> Monitor | None:
        """A conversation with the running VM, None where it doesn't run.

        Raises:
            StrataError: It runs and doesn't answer, or belongs to somebody else.
        """
        for pause in (0.1, 0):
            try:
                return Monitor(self.socket)
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            except (ConnectionResetError, BrokenPipeError):  # it just ends, or is done with somebody else
                time.sleep(pause)
            except TimeoutError:
                raise StrataError(
                    f"QEMU doesn't answer at {self.socket}; somebody else may be speaking to it"
                ) from None
            except OSError as error:
                raise StrataError(f"could not speak to QEMU at {self.socket}: {error.strerror}") from None
        return None

    def check(self) -> None:
        """Refuse a folder that no monitor can be in.

        Raises:
            StrataError: It names the folder.
        """
        if len(os.fsencode(self.socket)) > LONGEST_PATH:
            raise StrataError(
                f"a socket's path can't be longer than {LONGEST_PATH} bytes", option="folder", value=self.folder
            )

    def words(self) -> list[str]:
        """The beginning of its command line: QEMU goes into the background when it is ready."""
        control = ["-name", self.name, "-daemonize", "-D", self.log, "-qmp", f"unix:{self.socket},server=on,wait=off"]
        return [program(), *control]

    def tidy(self, digest: str | None) -> None:
        """Take away what told it something else."""
        for path in glob.glob(f"{glob.escape(self.folder)}/seed.*.iso"):
            if digest is None or path != self.seed(digest):
                files.remove(path)

    def own_files(self) -> list[str]:
        """What we, and the programs that we start, put into its folder."""
        places = [self.socket, self.log, self.pid, self.started, self.declared, self.tpm_socket]
        patterns = ("seed.*.iso", "nvram.*.fd", "fs-*.sock", "fs-*.sock.pid", "fs-*.log", "tpm.log")
        return places + [path for one in patterns for path in glob.glob(f"{glob.escape(self.folder)}/{one}")]

    def remove(self) -> None:
        """Forget the VM. What others put into its folder stays there."""
        try:
            shutil.rmtree(self.tpm)
        except FileNotFoundError:
            pass  # it had none
        except OSError as error:
            raise StrataError(f"could not remove {self.tpm}: {error.strerror}") from None
        # The declaration goes last: as long as it is there, so is the VM.
        for path in sorted(self.own_files(), key=lambda path: path == self.declared):
            files.remove(path)
        if os.path.isdir(self.folder) and not os.listdir(self.folder):
            os.rmdir(self.folder)

    def gone(self) -> bool:
        monitor = self.monitor()
        if monitor is None:
            return True
        with monitor:
            return False

    def power_down(self, force: bool, timeout: float) -> None:
        """Ask the guest to power off, or end QEMU at once.

        Raises:
            StrataError: The guest didn't power off in time.
        """
        monitor = self.monitor()
        if monitor is None:
            return
        # It may be gone before it has answered.
        with monitor, contextlib.suppress(ConnectionResetError, BrokenPipeError):
            monitor.execute("quit" if force else "system_powerdown")
        until(self.gone, "the guest to power off (force: true ends it at once)", timeout)
