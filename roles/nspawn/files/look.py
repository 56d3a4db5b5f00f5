# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""look.py WANTED: what a host is to be told about machines of systemd-nspawn, and what of it doesn't hold yet. As JSON.

Changes nothing. WANTED is JSON: networks and unit (sections of settings; null: not managed), networkd (whether it is to
run; null: not managed), pool (a size; null: not managed).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

HEADER = "# Written by strata.virt.nspawn\n"
ROOT = ""
NETWORKS = "/etc/systemd/network"
SHIPPED = ("/usr/lib/systemd/network", "/lib/systemd/network")
UNIT = "/etc/systemd/system/systemd-nspawn@.service.d/10-strata.conf"
TEMPLATE = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
STORE = "/var/lib/machines"
POOL = "/var/lib/machines.raw"
NETWORKD = "systemd-networkd.service"
RECENT = 300  # seconds
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def text(path: str) -> str | None:
    try:
        with open(ROOT + path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def run(*argv: str, **more: Any) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, **more)
    except FileNotFoundError as error:  # in check mode, it may not be installed yet
        return subprocess.CompletedProcess(argv, 127, "", str(error))


def word(value: Any) -> str:
    """As systemd spells it."""
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def rendered(sections: dict[str, dict[str, Any]]) -> str:
    """A file of settings by section and key; a list assigns a key several times."""
    lines = [HEADER]
    for section, keys in sections.items():
        lines.append(f"\n[{section}]\n")
        for key, value in keys.items():
            lines += [f"{key}={word(one)}\n" for one in (value if isinstance(value, list) else [value])]
    return "".join(lines)


def entry(path: str, content: str) -> dict[str, Any]:
    return {"path": path, "content": content, "before": text(path)}


def show(unit: str) -> dict[str, str]:
    names = "--property=ActiveState,CanReload,StateChangeTimestampMonotonic,UnitFileState"
    return dict(line.split("=", 1) for line in run("systemctl", "show", names, unit).stdout.splitlines() if "=" in line)


# Networks.


def strangers() -> list[str]:
    """Files of other people that systemd-networkd would act on once it ran."""
    found = []
    for folder in (NETWORKS, "/run/systemd/network"):
        names = sorted(os.listdir(ROOT + folder)) if os.path.isdir(ROOT + folder) else []
        found += [f"{folder}/{name}" for name in names if name.endswith((".network", ".netdev"))]
    return [path for path in found if "/60-strata-" not in path]


def networks(wanted: dict[str, dict[str, Any]], refused: list[str]) -> list[dict[str, Any]]:
    """Drop-ins beside systemd's own files, each of which tells a kind of links."""
    files = []
    for name, sections in wanted.items():
        shipped = f"80-container-{name}.network"
        if not any(os.path.exists(f"{ROOT}{folder}/{shipped}") for folder in SHIPPED):
            refused.append(f"nspawn_networks: this systemd has no {shipped}")
        files.append(entry(f"{NETWORKS}/{shipped}.d/50-strata.conf", rendered(sections)))
    return [file for file in files if file["content"] != file["before"]]


def unread(paths: list[str], daemon: dict[str, str]) -> bool:
    """Whether a file is newer than the last time that systemd-networkd was told to read them, where that is known."""
    if daemon.get("CanReload") != "yes":
        return False
    since = int(daemon.get("StateChangeTimestampMonotonic") or 0) / 1e6
    read_at = time.time() - (time.clock_gettime(time.CLOCK_MONOTONIC) - since)
    return any(os.stat(ROOT + path).st_mtime > read_at for path in paths if os.path.exists(ROOT + path))


def complaints(paths: list[str]) -> list[str]:
    """What systemd-networkd, which passes over what it doesn't know, said against files that were written just now."""
    new = [int(os.stat(ROOT + path).st_mtime) for path in paths if os.path.exists(ROOT + path)]
    new = [written for written in new if time.time() - written < RECENT]
    if not new:
        return []
    said = run("journalctl", "--unit", NETWORKD, "--output=cat", f"--since=@{min(new)}").stdout.splitlines()
    return sorted({f"{NETWORKD}: {line}" for line in said if any(line.startswith(f"{path}:") for path in paths)})


# The unit of all machines.


def refusal(content: str) -> list[str]:
    """Why systemd would not take a drop-in for the unit of machines, by its own word."""
    found = next(
        (f"{folder}/systemd-nspawn@.service" for folder in TEMPLATE if text(f"{folder}/systemd-nspawn@.service")), ""
    )
    if not found or shutil.which("systemd-analyze", path=PATH) is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/systemd-nspawn@.service.d")
        shutil.copy(ROOT + found, f"{folder}/systemd-nspawn@.service")
        with open(f"{folder}/systemd-nspawn@.service.d/10-strata.conf", "w", encoding="utf-8") as file:
            file.write(content)
        env = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:", "LC_ALL": "C.UTF-8"}
        said = run("systemd-analyze", "verify", "--man=no", f"{folder}/systemd-nspawn@strata.service", env=env).stderr
    reasons = re.findall(r"10-strata\.conf:\d+: (.*)", said)
    return [f"nspawn_unit: systemd refuses it: {reason}" for reason in dict.fromkeys(reasons)]


# Where images are.


def mounted(path: str) -> tuple[str, str]:
    """Where the file system of a path is mounted, and its type."""
    found = ("/", "")
    for line in (text("/proc/self/mountinfo") or "").splitlines():
        place, kind = line.split()[4], line.partition(" - ")[2].split()[0]
        if (path == place or path.startswith(place.rstrip("/") + "/")) and len(place) >= len(found[0]):
            found = (place, kind)
    return found


def limit() -> int | None:
    """What systemd-machined holds all images together to; none where it doesn't."""
    manager = ("org.freedesktop.machine1", "/org/freedesktop/machine1", "org.freedesktop.machine1.Manager")
    said = run("busctl", "get-property", *manager, "PoolLimit").stdout.split()
    number = int(said[1]) if len(said) == 2 and said[1].isdigit() else 2**64 - 1
    return number if number < 2**63 else None


def number(size: str) -> int:
    """Bytes; K, M, G and T are powers of 1024.

    Raises:
        ValueError: It is no size.
    """
    found = re.fullmatch(r"(\d+)([KMGT]?)(i?B)?", str(size).strip(), re.IGNORECASE)
    if not found:
        raise ValueError(f"nspawn_pool_size: wants a size as 20G (got {size!r})")
    return int(found.group(1)) * int(1024 ** (" KMGT".index(found.group(2).upper() or " ")))


def pool(size: int, refused: list[str]) -> list[list[str]]:
    """The commands that give images that much room, and no more.

    A store on btrfs gets a limit. On another file system a file becomes one, which systemd has always mounted at boot
    where it is (var-lib-machines.mount).
    """
    place, kind = mounted(STORE)
    there = os.stat(ROOT + POOL).st_size if os.path.exists(ROOT + POOL) else 0
    if kind == "btrfs" and place == STORE and there:
        if size < there:
            refused.append(f"nspawn_pool_size: {POOL} has {there} bytes, and doesn't shrink (got {size})")
        if size <= there:
            return []
        device = run("findmnt", "--noheadings", "--output=SOURCE", "--mountpoint", STORE).stdout.strip()
        return [
            ["truncate", f"--size={size}", POOL],
            ["losetup", "--set-capacity", device],
            ["btrfs", "filesystem", "resize", "max", STORE],
        ]
    if kind == "btrfs":
        if limit() == size:
            return []
        return [["btrfs", "quota", "enable", STORE], ["machinectl", "set-limit", str(size)]]
    held = sorted(os.listdir(ROOT + STORE)) if os.path.isdir(ROOT + STORE) else []
    if place == STORE:
        refused.append(f"nspawn_pool_size: {STORE} is a file system of its own, {kind}, which has no limits")
    elif held:
        refused.append(
            f"nspawn_pool_size: {STORE} is on {kind or 'another file system'}, and a pool there would hide "
            f"{', '.join(held)}. Move that away, and back once there is one"
        )
    elif there and there != size:
        refused.append(f"nspawn_pool_size: there is a {POOL} of {there} bytes already, which isn't mounted")
    new = f"{POOL}.strata-new"
    made = [
        ["truncate", f"--size={size}", new],
        ["chmod", "0600", new],
        ["mkfs.btrfs", "--quiet", "--force", "--label=machines", new],
        ["mv", "--no-clobber", new, POOL],
    ]
    return [*([] if there else made), ["systemctl", "start", "var-lib-machines.mount"], ["chmod", "0700", STORE]]


def look(wanted: dict[str, Any]) -> dict[str, Any]:
    refused: list[str] = []
    links = networks(wanted["networks"], refused)
    unit = [] if wanted["unit"] is None else [entry(UNIT, rendered(wanted["unit"]))]
    unit = [file for file in unit if file["content"] != file["before"]]
    refused += [line for file in unit for line in refusal(file["content"])]
    daemon = show(NETWORKD)
    runs = daemon.get("ActiveState") == "active"
    commands, back, told = [], [], []
    if unit:
        commands.append(["systemctl", "daemon-reload"])
        back.append(["systemctl", "daemon-reload"])
    paths = [f"{NETWORKS}/80-container-{name}.network.d/50-strata.conf" for name in wanted["networks"]]
    if runs and (links or unread(paths, daemon)):
        reload = ["systemctl", "reload", NETWORKD] if daemon.get("CanReload") == "yes" else ["networkctl", "reload"]
        commands.append(reload)
        back.append(reload)
    if wanted["networkd"] and not (runs and daemon.get("UnitFileState") == "enabled"):
        others = [] if runs else strangers()
        if others:
            refused.append(f"nspawn_networkd: {NETWORKD} doesn't run here, and would act on {', '.join(others)}")
        commands.append(["systemctl", "enable", "--now", NETWORKD])
        if not runs:  # the host's boot has not waited for it so far
            commands.append(["systemctl", "disable", "systemd-networkd-wait-online.service"])
            back.insert(0, ["systemctl", "disable", "--now", NETWORKD])
    elif paths and not runs:
        told.append(f"{NETWORKD} doesn't run, so that nothing goes by nspawn_networks: nspawn_networkd: true starts it")
    if runs and not links:
        refused += complaints(paths)
    if wanted["pool"]:
        try:
            commands += pool(number(wanted["pool"]), refused)
        except ValueError as error:
            refused.append(str(error))
    files = links + unit
    folders = sorted({os.path.dirname(file["path"]) for file in files})
    return {
        "refused": refused,
        "folders": [folder for folder in folders if not os.path.isdir(ROOT + folder)],
        "files": files,
        "commands": commands,
        "back": back,
        "told": told,
    }


if __name__ == "__main__":
    print(json.dumps(look(json.load(sys.stdin))))
