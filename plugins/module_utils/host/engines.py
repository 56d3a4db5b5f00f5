# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines: which are installed, in which version, and which answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..core.survey import Facts, Need, Subject, Why
from ..engines.hostfiles import DENIED, Host
from . import kernel

_NUMBER = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True)
class Engine:
    """How a host tells of an engine.

    Attributes:
        programs: Any of them means that it is installed; the first one there is asked for the version, where nobody
            else tells it.
        packages: What to install, by distribution.
        sockets: Where it listens; none for an engine without a daemon. The first one that answers is spoken to.
        start: What makes it listen.
        ask: The URLs that a daemon is asked, and where in the answer each fact is; nothing where a connection says all.
        version: How the version is told without a program.
        booted: Whether systemd is the daemon, which answers where it booted the host.
    """

    programs: tuple[str, ...]
    packages: str
    sockets: tuple[str, ...] = ()
    start: str = ""
    ask: tuple[tuple[str, dict[str, str]], ...] = ()
    version: Callable[[Host], str | None] = lambda _host: None
    booted: bool = False


def libvirt_version(host: Host) -> str | None:
    """From its library's name, libvirt.so.0.11003.0 for 11.3.0 (libvirt: meson.build, libvirt_lib_version)."""
    folders = ["/usr/lib64", "/usr/lib"]
    folders += [f"/usr/lib/{name}" for name in host.names("/usr/lib") if "-linux-" in name]
    found = (re.fullmatch(r"libvirt\.so\.\d+\.(\d+)\.(\d+)", name) for folder in folders for name in host.names(folder))
    match = next(filter(None, found), None)
    if match is None:
        return None
    major, minor = divmod(int(match.group(1)), 1000)
    return f"{major}.{minor}.{match.group(2)}"


_DOCKER = (
    ("/version", {"version": "Version", "api_version": "ApiVersion"}),
    ("/info", {"storage_driver": "Driver", "cgroup_driver": "CgroupDriver", "cgroup_version": "CgroupVersion"}),
)
"""The API of Docker, which Podman's socket speaks, too."""

ENGINES = {
    "nspawn": Engine(
        ("systemd-nspawn",),
        "systemd-container (Debian, Fedora)",
        version=kernel.systemd_version,
        booted=True,
    ),
    "lxc": Engine(("lxc-start",), "lxc (Debian, Fedora)"),
    "docker": Engine(
        ("dockerd",),
        "docker.io (Debian), moby-engine (Fedora)",
        ("/run/docker.sock",),
        "systemctl enable --now docker.socket docker.service",
        _DOCKER,
    ),
    "podman": Engine(
        ("podman",),
        "podman (Debian, Fedora)",
        ("/run/podman/podman.sock",),
        "systemctl enable --now podman.socket; without it each command of podman still works",
        _DOCKER,
    ),
    "qemu": Engine(
        (f"qemu-system-{kernel.MACHINE}", "qemu-kvm", "/usr/libexec/qemu-kvm"),
        "qemu-system-x86 or qemu-system-arm (Debian), qemu-kvm (Fedora)",
    ),
    "libvirt": Engine(
        ("libvirtd", "virtqemud"),
        "libvirt-daemon-system (Debian), libvirt-daemon-kvm (Fedora)",
        ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock"),
        "systemctl enable --now libvirtd.socket (Debian), systemctl enable --now virtqemud.socket (Fedora)",
        version=libvirt_version,
    ),
    "incus": Engine(
        # A daemon that is kept out of everybody's PATH (Incus: doc/packaging.md).
        ("incusd", "/usr/libexec/incus/incusd", "/usr/lib/incus/incusd", "/opt/incus/bin/incusd"),
        "incus (Debian 13, Fedora)",
        ("/var/lib/incus/unix.socket", "/run/incus/unix.socket"),
        "systemctl enable --now incus.socket incus.service, then incus admin init",
        (
            (
                "/1.0",
                {
                    "version": "metadata.environment.server_version",
                    "storage_driver": "metadata.environment.storage",
                    "drivers": "metadata.environment.driver",
                },
            ),
        ),
    ),
}


def dig(document: Facts, path: str) -> str | None:
    """The text at a path of keys, as a.b.c."""
    value: object = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else None


def speak(host: Host, engine: Engine) -> Facts:
    """Whether a daemon answers, what it tells of itself, and else what went wrong."""
    facts: Facts = {"socket": None, "reachable": False if engine.sockets else None, "error": None}
    if engine.booted:
        facts["reachable"] = kernel.booted(host)
    facts.update((name, None) for _url, names in engine.ask for name in names)
    for socket in filter(host.exists, engine.sockets):
        facts.update(_answers(host, engine, socket))
        if facts["reachable"]:
            break
    return facts


def _answers(host: Host, engine: Engine, socket: str) -> Facts:
    """What is told over one socket; what was told before an error stays told."""
    facts: Facts = {"socket": socket, "reachable": False, "error": None}
    for url, names in engine.ask or ((None, {}),):
        answer = host.get(socket, url)
        if answer.error is not None:
            return {**facts, "error": answer.error}
        facts.update((name, dig(answer.body, path)) for name, path in names.items())
        facts["reachable"] = True
    return facts


def version_of(host: Host, program: str) -> str | None:
    match = _NUMBER.search(host.said(program, "--version"))
    return match.group(0) if match else None


def look(host: Host, engine: Engine) -> Facts:
    program = host.program(*engine.programs)
    told = speak(host, engine)
    version = told.get("version")
    if program and not version:
        version = engine.version(host) or version_of(host, program)
    return {"installed": program is not None, "program": program, **told, "version": version}


def read(host: Host) -> Facts:
    return {name: look(host, engine) for name, engine in ENGINES.items()}


def _rows(facts: Facts) -> list[Facts]:
    """Of the engines that were looked at."""
    return [
        {
            **facts[name],
            "name": name,
            "programs": " and no ".join(sorted({path.rpartition("/")[2] for path in engine.programs})),
            "packages": engine.packages,
            "sockets": " or ".join(engine.sockets),
            "start": engine.start,
            "manager": engine.booted,
        }
        for name, engine in ENGINES.items()
        if name in facts
    ]


SUBJECT = Subject(
    read,
    (
        Need(
            "{name}",
            (
                Why(
                    lambda row: not row["installed"] and (row["manager"] or not row["reachable"]),
                    "it is not installed: there is no {programs}",
                    "Install {packages}",
                ),
                Why(
                    lambda row: row["reachable"] is False and row["manager"],
                    "it is installed, but this host was not booted with systemd, which runs its machines",
                    "Boot the host with systemd",
                ),
                Why(
                    lambda row: row["reachable"] is False and row["socket"] is None,
                    "it is installed, and nobody listens at {sockets}",
                    "{start}",
                ),
                Why(
                    lambda row: row["reachable"] is False and row["error"] == DENIED,
                    "this user may not speak to it at {socket}",
                    "Use become",
                ),
                Why(
                    lambda row: row["reachable"] is False,
                    "it does not answer at {socket}: {error}",
                    "{start}; journalctl -b says why it doesn't run",
                ),
            ),
            each=_rows,
        ),
    ),
)
