# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""look.py WANTED: what libvirt's daemons are to be told, whether they would take it, and what brings it in. As JSON.

Changes nothing. WANTED is JSON: config (daemon, qemu, network, each with its words; null takes one away), group and
mode (of the socket; null: not managed), sockets (others that are to listen: admin, ro, tcp, tls), restart.
"""

from __future__ import annotations

import contextlib
import glob
import grp
import json
import os
import pwd
import re
import subprocess
import sys
import time
from typing import Any

FOLDER = "/etc/libvirt"
UNITS = "/etc/systemd/system"
LENSES = ("/usr/share/augeas/lenses", "/usr/share/augeas/lenses/dist")
HEADER = "# Written by strata.virt.libvirt\n"
ROOT = ""
# libvirtd does it all; where it is split up, each of these does its part (libvirt.org, daemons).
MODULAR = (
    "virtqemud",
    "virtnetworkd",
    "virtstoraged",
    "virtnodedevd",
    "virtsecretd",
    "virtnwfilterd",
    "virtinterfaced",
    "virtproxyd",
)
READERS = {"qemu": "virtqemud", "network": "virtnetworkd"}
ACCOUNTS = {"user": "user", "swtpm_user": "user", "group": "group", "swtpm_group": "group", "unix_sock_group": "group"}
TYPES = {
    "bool": "true or false",
    "int": "a number",
    "limits": "a number, or unlimited",
    "str": "a text",
    "str_array": "a list of texts",
}
TLS = {
    "ca_file": "/etc/pki/CA/cacert.pem",
    "cert_file": "/etc/pki/libvirt/servercert.pem",
    "key_file": "/etc/pki/libvirt/private/serverkey.pem",
}
# Answered where the driver for QEMU came up
ASK = ["virsh", "--connect", "qemu:///system", "list", "--name"]
SETTING = re.compile(r"^[ \t]*(\w+)[ \t]*=[ \t]*(\[[^\]]*\]|\"[^\"\n]*\"|'[^'\n]*'|[^#\n]*)[^\n]*\n?", re.MULTILINE)


def text(path: str) -> str | None:
    try:
        with open(ROOT + path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


# Files of libvirt (virconf.c): KEY = VALUE, a number, a text or a list of texts, which may span lines.


def parsed(content: str) -> dict[str, Any]:
    """What a file says."""
    return {match.group(1): value(match.group(2).strip()) for match in SETTING.finditer(content)}


def value(said: str) -> Any:
    if said.startswith("["):
        return [one[1:-1] for one in re.findall(r"\"[^\"]*\"|'[^']*'", said)]
    if said[:1] in ('"', "'"):
        return said[1:-1]
    return int(said) if re.fullmatch(r"-?\d+", said) else said


def spelt(item: Any) -> str:
    if isinstance(item, list):
        return "[ " + ", ".join(f'"{one}"' for one in item) + " ]" if item else "[]"
    return str(item) if isinstance(item, int) else f'"{item}"'


def patched(old: str, wanted: dict[str, Any]) -> str:
    """A file with some words set, everything else as it was and where it was."""
    new = old if not old or old.endswith("\n") else old + "\n"
    there = parsed(new)
    for key, item in wanted.items():
        if there.get(key) == item:
            continue
        line = "" if item is None else f"{key} = {spelt(item)}\n"
        mine = [match for match in SETTING.finditer(new) if match.group(1) == key]
        for match in reversed(mine[1:]):
            new = new[: match.start()] + new[match.end() :]
        if mine:
            new = new[: mine[0].start()] + line + new[mine[0].end() :]
        elif line:
            new = (new or HEADER) + line
    return new


def lens(name: str) -> dict[str, str]:
    """The words that a file may have, each with its type, as libvirt's own description for Augeas has it."""
    for folder in LENSES:
        content = text(f"{folder}/{name}.aug")
        if content:
            return {
                key: kind for kind, key in re.findall(r'\b(str|bool|int|str_array|limits)_entry\s+"(\w+)"', content)
            }
    return {}


def given(item: Any, kind: str) -> Any:
    """A value as libvirt has it in its files.

    Raises:
        ValueError: It is of another type.
    """
    if kind == "bool" and item in (0, 1, True, False):
        return int(item)
    if kind in ("int", "limits") and isinstance(item, int) and not isinstance(item, bool):
        return item
    if kind == "limits" and item == "unlimited":
        return item
    if kind == "str_array" and isinstance(item, list):
        return [str(one) for one in item]
    if kind == "str" and isinstance(item, (str, int)) and not isinstance(item, bool):
        return str(item)
    raise ValueError(f"wants {TYPES[kind]} (got {item!r})")


def words(
    name: str, variable: str, wanted: dict[str, Any], known: dict[str, str], refused: list[str]
) -> dict[str, Any]:
    """What a file is to say, of the types that it takes."""
    found: dict[str, Any] = {}
    for key, item in wanted.items():
        # A text or a list, whatever is said of it
        kind = "str_array" if key == "security_driver" and isinstance(item, list) else known.get(key)
        if known and kind is None:
            refused.append(f"{variable}: libvirt knows no {key} in {name}.conf")
        elif item is None:
            found[key] = None
        else:
            try:
                found[key] = given(item, kind) if kind else int(item) if isinstance(item, bool) else item
            except ValueError as error:
                refused.append(f"{variable}: {key} of {name}.conf {error}")
            if any(sign in str(found.get(key)) for sign in '"\n'):
                refused.append(f"{variable}: {key} of {name}.conf can't have quotes or lines in it")
    return found


# What there is.


class Unit:
    """A daemon's service, as systemd tells of it."""

    def __init__(self, facts: dict[str, str]) -> None:
        self.there = facts.get("LoadState") == "loaded"  # in check mode, it may not be installed yet
        self.active = facts.get("ActiveState") == "active"
        self.enabled = facts.get("UnitFileState") in ("enabled", "static", "alias", "indirect")
        self.kills = facts.get("KillMode", "process")
        self.required_by = facts.get("RequiredBy", "").split() + facts.get("BoundBy", "").split()
        since = int(facts.get("ExecMainStartTimestampMonotonic") or 0) / 1e6
        self.started = time.time() - (time.clock_gettime(time.CLOCK_MONOTONIC) - since)


def units(names: list[str]) -> dict[str, Unit]:
    wanted = "Id,LoadState,ActiveState,UnitFileState,KillMode,RequiredBy,BoundBy,ExecMainStartTimestampMonotonic"
    argv = ["systemctl", "show", f"--property={wanted}", "--", *names]
    shown = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in shown.split("\n\n")]
    return {name: Unit(facts) for name, facts in zip(names, blocks)}


def daemons() -> tuple[list[str], dict[str, Unit]]:
    """The daemons that this host has, and their units: libvirtd, unless its parts listen instead of it."""
    names = ["libvirtd", *MODULAR]
    found = units([f"{name}.{kind}" for name in names for kind in ("service", "socket")])
    parts = [name for name in MODULAR if found[f"{name}.socket"].there]
    split = found["virtqemud.socket"]
    whole = found["libvirtd.socket"]
    if parts and split.there and (split.active or split.enabled or not whole.there) and not whole.active:
        return parts, found
    return ["libvirtd"], found


def models() -> dict[str, int]:
    """How many running domains each security driver confines."""
    found: dict[str, int] = {}
    for path in glob.glob(f"{ROOT}/run/libvirt/qemu/*.xml"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
            for model in set(re.findall(r"<seclabel [^>]*model='(\w+)'", file.read())) - {"dac"}:
                found[model] = found.get(model, 0) + 1
    return found


# What would go wrong.


def accounts(variable: str, said: dict[str, Any]) -> list[str]:
    """Users and groups that aren't there. Numbers are taken as they are."""
    found = []
    for key, kind in ACCOUNTS.items():
        name = str(said.get(key) or "")
        if not name or re.fullmatch(r"\+?\d+", name):
            continue
        try:
            if kind == "user":
                pwd.getpwnam(name)
            else:
                grp.getgrnam(name)
        except KeyError:
            found.append(f"{variable}: {key}: there is no {kind} {name}")
    return found


def confinement(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Security drivers that this kernel doesn't have, and those without which libvirt would lose domains that run."""
    drivers = new.get("security_driver")
    if drivers is None or drivers == old.get("security_driver"):
        return []
    drivers = drivers if isinstance(drivers, list) else [drivers]
    able = {"none"}
    if (text("/sys/module/apparmor/parameters/enabled") or "").startswith("Y"):
        able.add("apparmor")
    if os.path.exists(f"{ROOT}/sys/fs/selinux/enforce"):
        able.add("selinux")
    found = [f"libvirt_qemu_config: this kernel has no security_driver {name}" for name in drivers if name not in able]
    for model, number in sorted(models().items()):
        if model not in drivers:
            found.append(
                f"libvirt_qemu_config: security_driver: {number} domains run under {model}, which libvirt would "
                "give up without it. Shut them down first"
            )
    return found


def harm(name: str, unit: Unit) -> list[str]:
    """What in a unit would take guests along."""
    found = []
    if unit.kills not in ("process", "none"):
        found.append(f"{name}.service has KillMode={unit.kills}, so that a restart may end guests: have it say process")
    found += [
        f"{other} goes down with {name}.service, and guests with it: have it say Wants= instead of Requires="
        for other in unit.required_by
        if other == "libvirt-guests.service"
    ]
    return found


def listening(kinds: list[str], split: bool, daemon: dict[str, Any], refused: list[str]) -> dict[str, str]:
    """The units of further sockets, each with its daemon; of its parts, one is for other hosts."""
    found = {}
    for kind in kinds:
        name = "libvirtd" if not split else "virtproxyd" if kind in ("tcp", "tls") else "virtqemud"
        found[f"{name}-{kind}.socket"] = name
    if "tls" in kinds:
        files = [daemon.get(key) or path for key, path in TLS.items()]
        lacking = [path for path in files if not os.path.exists(ROOT + path)]
        if lacking:
            refused.append(f"libvirt_sockets: tls wants certificates, and there is no {', '.join(lacking)}")
    return found


def other_hosts(sockets: set[str]) -> list[str]:
    """The sockets for other hosts that listen, which go down with the one for this host, and don't come up with it."""
    names = [f"{name}-{kind}.socket" for name in sorted(sockets) for kind in ("tcp", "tls")]
    return [name for name, unit in units(names).items() if unit.active] if names else []


def restarting(held: list[str], sockets: set[str], silent: dict[str, str]) -> list[list[str]]:
    """What brings it in. A socket doesn't start where its service runs: so those are stopped together before."""
    if not held:
        return []
    services = [f"{name}.service" for name in held]
    stopped = sorted(f"{name}.socket" for name in sockets)
    if not (stopped or silent):
        return [["systemctl", "restart", *services], ASK]
    return [
        *([["systemctl", "daemon-reload"]] if sockets else []),
        *([["systemctl", "enable", *sorted(silent)]] if silent else []),
        ["systemctl", "stop", *services, *stopped],
        ["systemctl", "start", *stopped, *other_hosts(sockets), *sorted(silent), *services],
        ASK,
    ]


def returning(held: list[str], sockets: set[str], silent: dict[str, str]) -> list[list[str]]:
    """What brings the old settings in."""
    if not held:
        return []
    services = [f"{name}.service" for name in held]
    stopped = sorted(f"{name}.socket" for name in sockets)
    return [
        ["systemctl", "daemon-reload"],
        *([["systemctl", "disable", *sorted(silent)]] if silent else []),
        ["systemctl", "stop", *services, *stopped, *sorted(silent)],
        # Patterns: of a unit that systemd has forgotten already it would be an error.
        ["systemctl", "reset-failed", *(f"{name}*" for name in (*stopped, *services))],
        ["systemctl", "start", *stopped, *other_hosts(sockets), *services],
        ASK,
    ]


class Wants:
    """What is to be so, held against what there is."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.refused: list[str] = []
        self.files: list[dict[str, Any]] = []
        self.stirred: set[str] = set()  # daemons that read something new
        self.names, self.units = daemons()
        self.split = self.names != ["libvirtd"]
        self.config = {file: dict(said) for file, said in wanted["config"].items()}
        socket = {"SocketGroup": wanted["group"], "SocketMode": wanted["mode"]}
        self.socket = {key: item for key, item in socket.items() if item is not None}
        for key, item in (("unix_sock_group", wanted["group"]), ("unix_sock_rw_perms", wanted["mode"])):
            if item is not None:
                self.config["daemon"].setdefault(key, item)

    def read(self) -> None:
        """The daemons' files."""
        places = [(name, name, "daemon") for name in self.names]
        places += [(file, part if self.split else "libvirtd", file) for file, part in READERS.items()]
        for name, reader, which in places:
            if self.config[which]:
                self._file(name, reader, which)

    def _file(self, name: str, reader: str, which: str) -> None:
        variable, path = f"libvirt_{which}_config", f"{FOLDER}/{name}.conf"
        old = text(path)
        known = lens(f"libvirtd_{name}" if name in READERS else name)
        said = words(name, variable, self.config[which], known, self.refused)
        self.refused += accounts(variable, said)
        if name == "qemu":
            self.refused += confinement(parsed(old or ""), said)
        new = patched(old or "", said)
        unit = self.units[f"{reader}.service"]
        if new != (old or ""):
            mode = f"{os.stat(ROOT + path).st_mode & 0o777:04o}" if old is not None else "0600"
            self.files.append({"path": path, "content": new, "before": old, "mode": mode})
            self.stirred.add(reader)
        elif unit.active and old is not None and os.stat(ROOT + path).st_mtime > unit.started:
            self.stirred.add(reader)

    def sockets(self) -> set[str]:
        """The daemons whose sockets are to be made otherwise."""
        content = HEADER + "\n[Socket]\n" + "".join(f"{key}={item}\n" for key, item in self.socket.items())
        found = set()
        for name in self.names if self.socket else []:
            path = f"{UNITS}/{name}.socket.d/50-strata.conf"
            old = text(path)
            if old != content:
                self.files.append({"path": path, "content": content, "before": old})
                found.add(name)
        return found

    def silent(self, kinds: list[str]) -> dict[str, str]:
        """The units of further sockets that don't listen yet, each with its daemon."""
        wanted = listening(kinds, self.split, self.config["daemon"], self.refused)
        shown = units(list(wanted)) if wanted else {}
        if any(unit.there for unit in self.units.values()):
            strange = [name for name, unit in shown.items() if not unit.there]
            self.refused += [f"libvirt_sockets: this libvirt has no {name}" for name in strange]
        return {name: wanted[name] for name, unit in shown.items() if not (unit.active and unit.enabled)}


def look(wanted: dict[str, Any]) -> dict[str, Any]:
    host = Wants(wanted)
    host.read()
    sockets = host.sockets()
    silent = host.silent(wanted["sockets"])
    stirred = {*host.stirred, *sockets, *silent.values()}
    held = sorted(name for name in stirred if host.units[f"{name}.service"].there)
    for name in held:
        host.refused += harm(name, host.units[f"{name}.service"])
    waits = wanted["restart"] == "never" and any(host.units[f"{name}.service"].active for name in held)
    told = [f"{', '.join(held)} will know what changed when started the next time: systemctl restart {' '.join(held)}"]
    folders = sorted({os.path.dirname(file["path"]) for file in host.files})
    return {
        "refused": host.refused,
        "folders": [folder for folder in folders if not os.path.isdir(ROOT + folder)],
        "files": host.files,
        "commands": [] if waits else restarting(held, sockets, silent),
        "back": [] if waits else returning(held, sockets, silent),
        "told": told if waits else [],
    }


if __name__ == "__main__":
    print(json.dumps(look(json.load(sys.stdin))))
