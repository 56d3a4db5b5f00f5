# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first process of a workload, by whichever engine has one of that name."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..core.diagnosis import Facts
from ..core.errors import StrataError
from ..engines.hostfiles import Host

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@:-]*")


def _containers(socket: str) -> Callable[[Host, str], str]:
    def ask(host: Host, name: str) -> str:
        if not host.exists(socket):
            return ""
        state = host.get(socket, f"/containers/{name}/json").body.get("State")
        return str(state.get("Pid", "")) if isinstance(state, dict) else ""

    return ask


def _podman(host: Host, name: str) -> str:
    return host.said("podman", "inspect", "--type=container", "--format={{.State.Pid}}", name)


# The first that knows a running one of that name is the one.
_ENGINES: tuple[tuple[str, Callable[[Host, str], str]], ...] = (
    ("process", lambda _host, name: name if name.isdecimal() else ""),
    ("docker", _containers("/run/docker.sock")),
    ("nspawn", lambda host, name: host.said("machinectl", "show", "--property=Leader", "--value", name)),
    ("lxc", lambda host, name: host.said("lxc-info", "--no-humanize", "--pid", "--name", name)),
    ("podman", _podman),
    ("libvirt", lambda host, name: host.text(f"/run/libvirt/qemu/{name}.pid") or ""),
    ("unit", lambda host, name: host.said("systemctl", "show", "--property=MainPID", "--value", name)),
)


def find(host: Host, name: str) -> Facts:
    """Its engine and its first process.

    Raises:
        StrataError: None of that name runs.
    """
    if not _NAME.fullmatch(name):
        raise StrataError("is no name of a workload, and no number of a process", option="workload", value=name)
    for engine, ask in _ENGINES:
        pid = ask(host, name).strip()
        if pid.isdecimal() and pid != "0" and host.exists(f"/proc/{pid}/status"):
            return {"name": name, "engine": engine, "pid": int(pid), "title": f"{engine} {name}"}
    engines = ", ".join(engine for engine, _ask in _ENGINES)
    raise StrataError(
        "nothing of that name runs here",
        option="workload",
        value=name,
        hint=f"It was looked for as {engines}; a process that does not belong to any can be given by its number",
    )
