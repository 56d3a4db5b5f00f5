# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting QEMU and the programs that serve one: as services of systemd's, or in the background where there is none.

systemd runs what root starts: it knows the VM, has its guest power off before the host does, and starts it again at the
next boot where that is wanted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..core import command, files
from ..core.errors import StrataError
from ..core.waiting import until
from . import bootunit, systemd
from .qemu import Machine

_DIGEST = "X-Strata"  # systemd ignores what begins with X- (systemd.unit(5))
_HELPER_TIMEOUT = 20  # seconds
_VIRTIOFSD = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd")

# Says something to QEMU, and waits for its answers or, where that ends it, for its end. $1 is the socket, $2… commands
_SAY = """\
import json, socket, sys
speak = socket.socket(socket.AF_UNIX)
if speak.connect_ex(sys.argv[1]): sys.exit()
lines = speak.makefile("rw")
for command in ('{"execute": "qmp_capabilities"}', *sys.argv[2:]):
    print(command, file=lines, flush=True)
    while command and (answer := lines.readline()):
        command = not {"return", "error"} & set(json.loads(answer))
if "system_powerdown" in sys.argv[-1]:
    lines.read()
"""
_POWER_DOWN = '{"execute": "system_powerdown"}'
# Waits until there are sockets: the programs behind them say so in no other way. $1 seconds, $2… paths
_WAIT = """\
import os, sys, time
while not all(map(os.path.exists, sys.argv[2:])):
    sys.argv[1] = int(sys.argv[1]) - 1
    if sys.argv[1] < 0: sys.exit("waited too long for " + " ".join(sys.argv[2:]))
    time.sleep(0.1)
"""


@dataclass(frozen=True)
class Helper:
    """A program that QEMU speaks to through a socket. It ends when QEMU does."""

    name: str
    argv: tuple[str, ...]
    socket: str


@dataclass(frozen=True)
class Service:
    """What systemd is told of a VM.

    Attributes:
        argv: What starts QEMU.
        helpers: What it speaks to.
        paths: What it needs of the host's file systems.
        timeout: Seconds that its guest has to power off before the host does.
        balloon: The bytes that the guest is asked to make do with.
    """

    argv: Sequence[str]
    helpers: Sequence[Helper]
    paths: Sequence[str]
    timeout: int
    balloon: int | None


def supervised() -> bool:
    """Whether systemd runs what is started: where it runs the host, and root asks."""
    return os.geteuid() == 0 and systemd.booted()


def tpm(machine: Machine) -> Helper:
    """A TPM 2.0 (swtpm(8)).

    Raises:
        StrataError: swtpm isn't installed.
    """
    keeps, control = f"dir={machine.tpm}", f"type=unixio,path={machine.tpm_socket}"
    log = f"file={machine.folder}/tpm.log,level=1"
    program = command.need("swtpm", "swtpm")
    argv = (program, "socket", "--tpm2", "--tpmstate", keeps, "--ctrl", control, "--log", log, "--terminate")
    return Helper("tpm", argv, machine.tpm_socket)


def share(machine: Machine, tag: str, path: str, readonly: bool) -> Helper:
    """A folder of the host's for the guest (virtiofsd(1)).

    Raises:
        StrataError: virtiofsd isn't installed.
    """
    there = [place for place in _VIRTIOFSD if os.access(place, os.X_OK)]
    program = there[0] if there else command.need("virtiofsd", "virtiofsd")
    argv = (program, "--socket-path", machine.share_socket(tag), "--shared-dir", path)
    return Helper(f"fs-{tag}", (*argv, "--readonly") if readonly else argv, machine.share_socket(tag))


# As services.


def enabled(machine: Machine) -> bool:
    """Whether the next boot starts it, as it is declared now; no program is run."""
    unit = bootunit.read(machine.unit)
    return unit is not None and bootunit.enabled(machine.unit) and unit.last("Unit", _DIGEST) == machine.digest


def exists(machine: Machine) -> bool:
    """Whether it has a service, for each boot or for this one."""
    return any(bootunit.read(machine.unit, folder) for folder in (systemd.UNITS, bootunit.RUNTIME))


def _helper_unit(machine: Machine, helper: Helper) -> str:
    return f"{machine.unit[: -len('.service')]}:{helper.name}.service"


def write(machine: Machine, service: Service, *, autostart: bool) -> None:
    """Have its service be as declared, for each boot or only until the next one. What runs isn't touched.

    Raises:
        StrataError: systemd doesn't run this host, or a unit of that name is somebody else's.
    """
    needs = {_helper_unit(machine, helper): helper for helper in service.helpers}
    for unit in _helper_units(machine):
        if unit not in needs:
            systemd.unwant(unit)  # and no more than that: what runs may speak to it
    changed = []
    for unit, helper in needs.items():
        if bootunit.write(unit, _helper_text(machine, helper), (machine.unit,) if autostart else ()):
            changed.append(unit)
    text = _text(machine, service, needs)
    if bootunit.write(machine.unit, text, bootunit.BOOT if autostart else ()):
        changed.append(machine.unit)
    if changed:
        systemd.refresh(*changed)


def _text(machine: Machine, service: Service, needs: Mapping[str, Helper]) -> str:
    python, sockets = sys.executable, [helper.socket for helper in needs.values()]
    balloon = {"execute": "balloon", "arguments": {"value": service.balloon}}
    after = [json.dumps(balloon)] if service.balloon else []
    said = [python, "-c", _line(_SAY), machine.socket]
    before = [bootunit.quoted([command.need("cp", "coreutils"), machine.declared, machine.started])]
    if sockets:
        before.append(bootunit.quoted([python, "-c", _line(_WAIT), str(_HELPER_TIMEOUT * 10), *sockets]))
    return bootunit.render(
        [
            ("Unit", "Description", [f"Virtual machine {machine.name}"]),
            ("Unit", "Documentation", ["https://www.qemu.org/docs/master/system/invocation.html"]),
            ("Unit", "After", ["network.target", *needs]),
            ("Unit", "Requires", list(needs)),
            ("Unit", "RequiresMountsFor", [bootunit.quoted([machine.folder, *service.paths])]),
            ("Unit", _DIGEST, [machine.digest]),
            ("Service", "Type", ["forking"]),
            ("Service", "PIDFile", [machine.pid]),
            ("Service", "UMask", ["0077"]),
            ("Service", "StandardError", [f"append:{machine.log}"]),
            ("Service", "ExecStartPre", before),
            ("Service", "ExecStart", [bootunit.quoted([*service.argv, "-pidfile", machine.pid])]),
            ("Service", "ExecStartPost", [bootunit.quoted([*said, *after])] if after else []),
            ("Service", "ExecStop", [bootunit.quoted([*said, _POWER_DOWN])]),
            ("Service", "TimeoutStopSec", [str(service.timeout)]),
            ("Install", "WantedBy", list(bootunit.BOOT)),
        ]
    )


def _line(program: str) -> str:
    """A program as one line of a unit, which has no others."""
    return f"exec({program!r})"


def _helper_text(machine: Machine, helper: Helper) -> str:
    return bootunit.render(
        [
            ("Unit", "Description", [f"{os.path.basename(helper.argv[0])} of the virtual machine {machine.name}"]),
            # Who waits for it must not see that of the last time.
            ("Service", "ExecStartPre", [bootunit.quoted([command.need("rm", "coreutils"), "-f", helper.socket])]),
            ("Service", "ExecStart", [bootunit.quoted(helper.argv)]),
        ]
    )


def _helper_units(machine: Machine) -> list[str]:
    stem = machine.unit[: -len(".service")]
    found = set()
    for folder in (systemd.UNITS, bootunit.RUNTIME):
        names = os.listdir(folder) if os.path.isdir(folder) else ()
        found |= {
            name for name in names if name.startswith((f"{stem}:tpm.", f"{stem}:fs-")) and name.endswith(".service")
        }
    return sorted(found)


def drop(machine: Machine) -> None:
    """Take its services away."""
    for unit in (machine.unit, *_helper_units(machine)):
        bootunit.drop(unit)


# Started.


def start(machine: Machine, argv: Sequence[str], helpers: Iterable[Helper], timeout: float) -> None:
    """Start QEMU and wait until it answers.

    Where systemd runs it, ``write`` comes before.

    Raises:
        StrataError: It refused its command line or didn't come up; the message has its own words.
    """
    files.remove(machine.log)
    helpers = tuple(helpers)
    for helper in helpers:
        files.remove(helper.socket)
    try:
        if supervised():
            _clear(machine, helpers)
            systemd.start(machine.unit, timeout)
        else:
            files.remove(machine.socket)
            for helper in helpers:
                _background(machine, helper)
            command.run(argv, timeout=timeout)
    except StrataError as error:
        raise StrataError(f"{error.message}: {(files.read(machine.log) or '').strip()}") from None
    until(lambda: not machine.gone(), f"QEMU to answer at {machine.socket}", timeout)


def _clear(machine: Machine, helpers: Iterable[Helper]) -> None:
    """Nothing of an earlier start serves the VM, which starts what it needs."""
    needed = [_helper_unit(machine, helper) for helper in helpers]
    for unit in _helper_units(machine):
        if unit not in needed:
            bootunit.drop(unit)
    if needed:
        command.run(["systemctl", "stop", "--", *needed])


def _background(machine: Machine, helper: Helper) -> None:
    """Start a program that goes on without us, and wait for its socket."""
    log = f"{machine.folder}/{helper.name}.log"
    with open(log, "ab") as out:
        # AnsibleModule.run_command waits for it.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function,consider-using-with
            list(helper.argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env=command.environment(),
        )

    def ready() -> bool:
        if process.poll() is not None:
            said = (files.read(log) or "").strip().splitlines()[-3:]
            raise StrataError(f"{os.path.basename(helper.argv[0])} ended at once: {'; '.join(said)}")
        return os.path.exists(helper.socket)

    until(ready, f"{os.path.basename(helper.argv[0])} to listen at {helper.socket}", _HELPER_TIMEOUT)
