# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""look.py WANTED: what daemon.json is to say, whether Docker would take it, and what it takes to bring it in. As JSON.

Changes nothing. WANTED is JSON: file, settings (null: not managed), config (null: taken away), users, hide, restart.
"""

from __future__ import annotations

import contextlib
import grp
import http.client
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any

SOCKET = "/run/docker.sock"
ROOT = "/var/lib/docker"
# What dockerd reads again on SIGHUP (dockerd(8), "Configuration reload behavior").
RELOADED = {
    "authorization-plugins",
    "debug",
    "default-runtime",
    "features",
    "insecure-registries",
    "labels",
    "live-restore",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "registry-mirrors",
    "runtimes",
    "shutdown-timeout",
}
KEPT = {"backingFsBlockDev", "metadata.db"}  # Docker's own among the volumes
# What a running daemon says of itself in /info.
TOLD = {
    "debug": "Debug",
    "default-runtime": "DefaultRuntime",
    "live-restore": "LiveRestoreEnabled",
    "log-driver": "LoggingDriver",
    "storage-driver": "Driver",
}


def text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def merged(old: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What is there, with what is declared in its place; what is neither stays."""
    new = {**old, **{key: value for key, value in wanted["settings"].items() if value is not None}, **wanted["config"]}
    return {key: value for key, value in new.items() if value is not None}


class Daemon:
    """The daemon as systemd and it itself tell of it."""

    def __init__(self) -> None:
        names = ("ActiveState", "LoadState", "MainPID", "StateChangeTimestampMonotonic")
        shown = run("systemctl", "show", f"--property={','.join(names)}", "docker.service").stdout
        facts = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        self.there = facts.get("LoadState") == "loaded"  # in check mode, it may not be installed yet
        self.active = facts.get("ActiveState") == "active"
        self.pid = int(facts.get("MainPID") or 0)
        # Started or told to reload: either way it has read its file then.
        since = int(facts.get("StateChangeTimestampMonotonic") or 0) / 1e6
        self.read_at = time.time() - (time.clock_gettime(time.CLOCK_MONOTONIC) - since)
        self.info = self._info() if self.active else {}

    @staticmethod
    def _info() -> dict[str, Any]:
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.settimeout(30)
            connection.sock.connect(SOCKET)
            connection.request("GET", "/info")
            return dict(json.loads(connection.getresponse().read()))
        except (OSError, ValueError, http.client.HTTPException):
            return {}
        finally:
            connection.close()

    def refusal(self, content: str) -> str:
        """Why it would not take a file with that content, by its own word; with the flags that it is started with."""
        program = shutil.which("dockerd", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        if program is None:
            return ""
        flags = (text(f"/proc/{self.pid}/cmdline") or "").split("\0")[1:-1] if self.pid else []
        flags = [flag for flag in flags if not flag.startswith("--config-file")]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(content)
            file.flush()
            done = run(program, *flags, "--validate", f"--config-file={file.name}")
            said = (done.stderr or done.stdout).strip().replace(file.name, "daemon.json")
        return said if done.returncode else ""

    def differing(self, new: dict[str, Any]) -> set[str]:
        """The settings that it runs without."""
        return {key for key, word in TOLD.items() if key in new and word in self.info and self.info[word] != new[key]}


def count(folder: str) -> int:
    try:
        return sum(entry.is_dir() or entry.is_file() for entry in os.scandir(folder) if entry.name not in KEPT)
    except OSError:
        return 0


def held(root: str) -> dict[str, int]:
    """What is in a folder of Docker's: images by driver, containers and volumes."""
    found = {"containers": count(f"{root}/containers"), "volumes": count(f"{root}/volumes")}
    with contextlib.suppress(OSError):
        for driver in os.listdir(f"{root}/image"):
            found[f"images of {driver}"] = count(f"{root}/image/{driver}/imagedb/content/sha256")
    return {what: number for what, number in found.items() if number}


def folder(config: dict[str, Any]) -> str:
    """Where Docker has what is its own: with user namespaces, in a folder of their own (daemon/daemon_unix.go)."""
    root = str(config.get("data-root") or config.get("graph") or ROOT).rstrip("/")
    if not config.get("userns-remap"):
        return root
    with contextlib.suppress(OSError):
        remapped = [name for name in os.listdir(root) if re.fullmatch(r"\d+\.\d+", name)]
        return f"{root}/{remapped[0] if remapped else 'remapped'}"
    return f"{root}/remapped"


def hidden(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What would be there no more as far as Docker can see."""
    places = folder(old), folder(new)
    there = held(places[0])
    if places[0] != places[1]:
        key = "data-root" if old.get("userns-remap") == new.get("userns-remap") else "userns-remap"
    else:
        key, driver = "storage-driver", new.get("storage-driver")
        there = {
            what: number
            for what, number in there.items()
            if driver and what.startswith("images of ") and what != f"images of {driver}"
        }
    listed = ", ".join(f"{number} {what}" for what, number in sorted(there.items()))
    return [f"{key}: Docker would not see {listed} in {places[0]} any more"] if there else []


def strangers(users: list[str]) -> tuple[list[str], list[str]]:
    """The users who aren't in the group docker, and those who aren't there at all."""
    known = {entry.pw_name: entry.pw_gid for entry in pwd.getpwall()}
    try:
        group = grp.getgrnam("docker")
    except KeyError:  # its package makes it
        return [], [user for user in users if user not in known]
    outside = [user for user in users if user not in group.gr_mem and known.get(user) != group.gr_gid]
    return [user for user in outside if user in known], [user for user in outside if user not in known]


def needed(daemon: Daemon, keys: set[str], stale: bool) -> str:
    """What it takes to bring a change in, from the cheapest to the dearest."""
    if not daemon.there:
        return ""
    if not daemon.active or stale or keys - RELOADED:
        return "restarted"
    return "reloaded" if keys else ""


def look(wanted: dict[str, Any]) -> dict[str, Any]:
    path = wanted["file"]
    before = text(path)
    try:
        old = json.loads(before or "{}")
        if not isinstance(old, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        return {"refused": [f"{path} can't be read: {error}. Repair it, or remove it"], "write": False, "action": ""}
    new = merged(old, wanted)
    content = json.dumps(new, indent=4, ensure_ascii=False) + "\n"
    daemon = Daemon()
    write = new != old
    changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    stale = before is not None and os.stat(path).st_mtime > daemon.read_at
    refusal = daemon.refusal(content) if write else ""
    joining, unknown = strangers(wanted["users"])
    action = needed(daemon, changed | daemon.differing(new), stale)
    waits = action == "restarted" and wanted["restart"] == "never" and daemon.active
    return {
        "refused": [
            *([f"dockerd refuses it: {refusal}"] if refusal else []),
            *([] if wanted["hide"] else hidden(old, new)),
            *(f"docker_users: there is no user {user}" for user in unknown),
        ],
        "write": write,
        "before": before,
        "content": content,
        "action": "" if waits else action,
        "waits": waits,
        "keys": sorted(changed | daemon.differing(new)),
        "joining": joining,
    }


if __name__ == "__main__":
    print(json.dumps(look(json.loads(sys.argv[1]))))
