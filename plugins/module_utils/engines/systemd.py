# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's manager, through systemctl: many units a call."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence

from ..core import command, files
from ..core.errors import StrataError
from ..core.waiting import Shared

RUNNING = "/run/systemd/system"  # sd_booted(3)
UNITS = "/etc/systemd/system"
CONTROL = ("/run/systemd/system.control", "/etc/systemd/system.control")
"""Where ``systemctl set-property`` keeps its drop-ins, those until the next boot first."""

INFINITY = "infinity"


def booted() -> bool:
    """Whether systemd runs this host (sd_booted(3))."""
    return os.path.isdir(RUNNING)


def need(option: str | None = None) -> None:
    """Make sure that systemd runs this host.

    Args:
        option: What needs it, if not the whole resource.

    Raises:
        StrataError: It doesn't.
    """
    if not booted():
        raise StrataError(
            "this host was not booted with systemd",
            option=option,
            hint="Run it on a host whose init is systemd, not in a plain chroot",
        )


def show(units: Sequence[str], properties: Iterable[str]) -> dict[str, dict[str, str]]:
    """Properties of many units, in one call; units that don't exist have LoadState=not-found."""
    if not units:
        return {}
    wanted = ",".join(("Id", *properties))
    done = command.run(["systemctl", "show", "--no-pager", f"--property={wanted}", "--", *units])
    blocks = [block for block in done.stdout.split("\n\n") if block.strip()]
    found: dict[str, dict[str, str]] = {}
    # One block a unit, in the order they were asked for; Id would name the unit behind an alias.
    for unit, block in zip(units, blocks):
        found[unit] = dict(line.split("=", 1) for line in block.strip().splitlines() if "=" in line)
    return found


def manager(prop: str) -> str:
    """A property of systemd itself, such as DefaultTasksMax."""
    return command.run(["systemctl", "show", "--value", f"--property={prop}"]).stdout.strip()


def drop_in_path(unit: str, name: str) -> str:
    return f"{UNITS}/{unit}.d/{name}"


def with_drop_in(name: str) -> list[str]:
    """The units for which the administrator has a drop-in of that name."""
    try:
        folders = [folder[: -len(".d")] for folder in os.listdir(UNITS) if folder.endswith(".d")]
    except OSError:
        return []
    return sorted(unit for unit in folders if os.path.exists(drop_in_path(unit, name)))


def refresh(*units: str) -> dict[str, str]:
    """Have systemd know these units as they are on disk, which takes reading all units anew only where it knows others.

    A unit that isn't in its memory is read when somebody asks for it, as this does: ``systemctl daemon-reload`` would
    run every generator and read some hundred files for it. That it has found every drop-in, and the
    unit's own file, is seen by their names: NeedDaemonReload= compares what it has found with what that is now.

    Returns:
        What each of them does, its ActiveState.
    """
    shown = show(units, ["ActiveState", "NeedDaemonReload", "FragmentPath", "DropInPaths"])
    if any(_outdated(unit, shown.get(unit, {})) for unit in units):
        reload()
    return {unit: shown.get(unit, {}).get("ActiveState", "inactive") for unit in units}


def _outdated(unit: str, shown: Mapping[str, str]) -> bool:
    if shown.get("NeedDaemonReload") == "yes":
        return True
    places = [f"{folder}/{unit}" for folder in (UNITS, RUNNING)]
    fragment = next((place for place in places if os.path.lexists(place)), None)
    read = shown.get("DropInPaths", "").split()
    unread = [path for path in glob.glob(f"{glob.escape(UNITS)}/{glob.escape(unit)}.d/*.conf") if path not in read]
    return bool(unread) or (fragment is not None and shown.get("FragmentPath") != fragment)


_reload = Shared(lambda: command.run(["systemctl", "daemon-reload"]))


def reload() -> None:
    """Have systemd read its units anew. It reads all of them, so that one time serves all who wait for it."""
    _reload()


def start(unit: str, timeout: float) -> None:
    command.run(["systemctl", "start", "--", unit], timeout=timeout)


def stop(unit: str, timeout: float) -> None:
    command.run(["systemctl", "stop", "--", unit], timeout=timeout)


def wanted(unit: str, target: str = "multi-user.target") -> bool:
    """Whether a unit is started with a target, by its link there: no program is run."""
    return os.path.lexists(f"{UNITS}/{target}.wants/{unit}")


def want(unit: str, target: str) -> bool:
    """Have a target start one of the administrator's units at boot, as ``systemctl enable`` does; whether it is new."""
    link = f"{UNITS}/{target}.wants/{unit}"
    if os.path.lexists(link):
        return False
    os.makedirs(os.path.dirname(link), exist_ok=True)
    os.symlink(f"{UNITS}/{unit}", link)
    return True


def unwant(unit: str) -> None:
    """Have no target start a unit at boot."""
    for link in glob.glob(f"{glob.escape(UNITS)}/*.wants/{glob.escape(unit)}"):
        files.remove(link)


def enable(*units: str) -> None:
    command.run(["systemctl", "enable", "--quiet", "--no-reload", "--", *units])


def disable(unit: str) -> None:
    command.run(["systemctl", "disable", "--quiet", "--no-reload", "--", unit])


def loaded(pattern: str) -> list[str]:
    """The units that match a pattern and are running, failed, or otherwise in systemd's memory."""
    argv = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "--full", "--", pattern]
    return [line.split()[0] for line in command.run(argv).stdout.splitlines() if line.strip()]


def reset_failed(unit: str) -> None:
    """Have systemd forget that a unit failed; one that didn't is fine."""
    command.run(["systemctl", "reset-failed", "--", unit], check=False)


def set_runtime(unit: str, settings: Iterable[str]) -> None:
    """Change resource limits of a running unit, until it stops. ``settings`` are ``Name=value``."""
    command.run(["systemctl", "set-property", "--runtime", "--", unit, *settings])


def kept_set(unit: str) -> set[str]:
    """The settings of which ``systemctl set-property`` left something on disk."""
    found: set[str] = set()
    for folder in CONTROL:
        with contextlib.suppress(OSError):
            found.update(os.listdir(f"{folder}/{unit}.d"))
    names = [file[len("50-") : -len(".conf")] for file in found if file.startswith("50-") and file.endswith(".conf")]
    return {re.sub("USec$", "Sec", name) for name in names}


def forget_set(unit: str, names: Iterable[str]) -> None:
    """Take away what ``systemctl set-property`` left on disk; values in force stay until systemd reads its files."""
    # Times may be named as the property is, and not as the setting.
    named = [spelled for name in names for spelled in (name, re.sub("Sec$", "USec", name))]
    for folder in CONTROL:
        for name in named:
            files.remove(f"{folder}/{unit}.d/50-{name}.conf")
        with contextlib.suppress(OSError):  # it isn't there, or holds something else
            os.rmdir(f"{folder}/{unit}.d")
