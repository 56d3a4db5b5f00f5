# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit that hands a PCI device over at boot, before anything that uses it is started.

The driver of the host has mostly been there before, from the initramfs: so it is unbound, as is done by hand.
"""

from __future__ import annotations

from typing import Any

from ..engines import bootunit, mountunit, pcifs

_PREFIX = "strata-pci-"
_WANTED_BY = ("sysinit.target",)

# $1: the driver, $2...: the addresses.
_HAND_OVER = (
    'modprobe -- "$1" && driver=$1 && shift && for address; do '
    f'echo "$driver" >{pcifs.DEVICES}/$address/driver_override && '
    f'{{ test ! -e {pcifs.DEVICES}/$address/driver || echo "$address" >{pcifs.DEVICES}/$address/driver/unbind; }} && '
    f'echo "$address" >{pcifs.PROBE} && '
    f'test "$(basename "$(readlink {pcifs.DEVICES}/$address/driver)")" = "$driver" || exit; done'
)
# $1: the file, $2: how many.
_DIVIDE = 'echo "$2" >"$1"'


def unit(address: str) -> str:
    return f"{_PREFIX}{address}.service"


def names() -> list[str]:
    return bootunit.names(_PREFIX)


def text(address: str, values: dict[str, Any], together: list[str], owner: str | None) -> str:
    """The unit's text.

    Args:
        address: The device.
        values: What is kept, by field name.
        together: All that are handed over with it, itself first.
        owner: The stack that it belongs to; None: somebody else's.
    """
    lines = []
    if values.get("driver"):
        lines.append(_run(_HAND_OVER, values["driver"], *together))
    if values.get("functions"):
        lines.append(_run(_DIVIDE, f"{pcifs.DEVICES}/{address}/sriov_numvfs", str(values["functions"])))
    # Virtual functions are handed over after they were made.
    before = ["sysinit.target"] if not values.get("functions") else ["sysinit.target", *_after_functions(address)]
    return bootunit.render(
        [
            ("Unit", "Description", [f"The PCI device {address}"]),
            ("Unit", "DefaultDependencies", ["no"]),
            ("Unit", "After", ["systemd-modules-load.service", "systemd-udevd.service"]),
            ("Unit", "Before", [" ".join(before)]),
            ("Service", "Type", ["oneshot"]),
            ("Service", "RemainAfterExit", ["yes"]),
            ("Service", "ExecStart", lines),
            ("Install", "WantedBy", _WANTED_BY),
            (mountunit.NOTES, "Owner", [] if owner is None else [owner]),
        ]
    )


def _after_functions(address: str) -> list[str]:
    return [unit(function) for function in pcifs.functions(address)]


def _run(script: str, *words: str) -> str:
    return bootunit.quoted(["/bin/sh", "-c", script, "sh", *words])


def read(address: str) -> tuple[dict[str, Any], str | None] | None:
    """What is kept for the next boot, by field name, and whose it is; None where there is no unit."""
    file = bootunit.read(unit(address))
    if file is None:
        return None
    said: dict[str, Any] = {}
    for line in file.all("Service", "ExecStart"):
        argv = bootunit.words(line)
        script, words = "".join(argv[2:3]), argv[4:]
        if script == _HAND_OVER and len(words) > 1:
            said["driver"], said["group"] = words[0], len(words) > 2
        elif script == _DIVIDE and len(words) == 2:
            said["functions"] = int(words[1])
    owners = file.all(mountunit.NOTES, "Owner")
    return said, owners[-1] if owners else None


def enabled(address: str) -> bool:
    return bootunit.enabled(unit(address), _WANTED_BY)


def store(address: str, content: str) -> None:
    """Have the device handed over at every boot; what it is now stays."""
    bootunit.store(unit(address), content, _WANTED_BY)


def drop(address: str) -> None:
    """Leave the device to the host at boot; what it is now stays."""
    bootunit.drop(unit(address))
