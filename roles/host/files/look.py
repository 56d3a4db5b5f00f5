# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""look.py WANTED: what a host has, and what it lacks of what is wanted, both as JSON. Changes nothing.

One look instead of a dozen tasks: the tasks after it run only for what is missing.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from typing import Any


def text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def run(*argv: str) -> str:
    """What a program prints; nothing where it isn't there."""
    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def systems() -> list[str]:
    """What the distribution calls itself, and whose relative it is: ["ubuntu 24.04", "ubuntu", "debian"]."""
    lines = (text("/etc/os-release") or "").splitlines()
    words = {key: " ".join(shlex.split(value)) for key, _sign, value in (line.partition("=") for line in lines)}
    name = words.get("ID", "")
    return [f"{name} {words.get('VERSION_ID', '')}".strip(), name, *words.get("ID_LIKE", "").split()]


def missing_packages(names: set[str]) -> list[str]:
    installed = set()
    for line in run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n").splitlines():
        status, _blank, name = line.partition(" ")
        if status == "installed":
            installed.add(name)
    if not installed:
        # What is provided counts: a package may have got another name.
        installed.update(run("rpm", "-qa", "--queryformat", "%{NAME}\\n[%{PROVIDES}\\n]").split())
    return sorted(names - installed)


def missing_modules(names: Iterable[str]) -> list[str]:
    there = {line.split()[0] for line in (text("/proc/modules") or "").splitlines()}
    builtin = text(f"/lib/modules/{platform.release()}/modules.builtin") or ""
    there.update(os.path.basename(line).split(".")[0].replace("-", "_") for line in builtin.splitlines())
    return [name for name in names if name.replace("-", "_") not in there]


def wrong_sysctls(wanted: dict[str, Any]) -> list[str]:
    def now(name: str) -> list[str]:
        return (text(f"/proc/sys/{name.replace('.', '/')}") or "").split()

    return [name for name, value in wanted.items() if now(name) != str(value).split()]


def wrong_units(names: list[str]) -> list[str]:
    """The units that aren't both running and started at boot."""
    fine = set()
    shown = run("systemctl", "show", "--property=Id,ActiveState,UnitFileState", "--", *names) if names else ""
    for block in shown.split("\n\n"):
        facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if facts.get("ActiveState") == "active" and facts.get("UnitFileState") in ("enabled", "static", "alias"):
            fine.add(facts.get("Id"))
    return [name for name in names if name not in fine]


def wrong_lines(wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in wanted if not re.search(line["fine"], text(line["path"]) or "", re.MULTILINE)]


def wrong_files(wanted: list[dict[str, str]]) -> list[dict[str, str]]:
    return [file for file in wanted if text(file["path"]) != file["content"]]


def strangers(ours: list[str]) -> list[str]:
    """Files of other people that systemd-networkd would act on."""
    found = []
    for folder in ("/etc/systemd/network", "/run/systemd/network"):
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        found += [f"{folder}/{name}" for name in names if name.endswith((".network", ".netdev"))]
    return [path for path in found if path not in ours]


def main() -> None:
    wanted = json.loads(sys.argv[1])
    system = systems()

    def named(table: str) -> set[str]:
        """What a table by system and engine names for this system and the wanted engines."""
        return {
            name
            for word in system
            for engine, names in wanted[table].get(word, {}).items()
            if engine in wanted["engines"]
            for name in names
        }

    bridge = [file["path"] for file in wanted["bridge_files"]]
    # A bridge of that name that somebody else made stays as it is.
    foreign = os.path.exists(f"/sys/class/net/{wanted['bridge']}") and not any(map(os.path.exists, bridge))
    ours = bool(wanted["bridge"]) and not foreign
    units = named("units") | ({"systemd-networkd.service"} if ours else set())
    lines = [
        line for line in wanted["lines"] if line["engine"] in wanted["engines"] and set(line["systems"]) & set(system)
    ]
    known = any(word in wanted["packages"] for word in system)
    answer = {
        "system": system,
        "known": known,
        "kernel": platform.release(),
        "init": (text("/proc/1/comm") or "").strip(),
        "controllers": (text("/sys/fs/cgroup/cgroup.controllers") or "").split(),
        "networkd": run("systemctl", "is-active", "systemd-networkd.service").strip(),
        "bridge_ours": ours,
        "strangers": strangers(bridge),
        "lacks": {
            "packages": missing_packages(named("packages") | set(wanted["packages_extra"])) if known else [],
            "modules": missing_modules(wanted["modules"]),
            "sysctls": wrong_sysctls(wanted["sysctls"]),
            "units": wrong_units(sorted(units)),
            "lines": wrong_lines(lines),
            "files": wrong_files(wanted["files"] + (wanted["bridge_files"] if ours else [])),
        },
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
