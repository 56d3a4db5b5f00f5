# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""look.py WANTED: what a host is to be told about containers of LXC, and what of it doesn't hold yet. As JSON.

Changes nothing. WANTED is JSON: files (their paths: system, default, net, usernet; of net Debian's and Fedora's),
system and default (keys of lxc.conf and default.conf; a list is the key several times, null takes it away), net
(bridge, address, dhcp_range, dhcp_max, domain; null: not managed), words (others of lxc-net), users (each with name and
networks), hide.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from typing import Any

HEADER = "# Written by strata.virt.lxc\n"
LXCPATH = "/var/lib/lxc"
UNIT = "lxc-net.service"
PIDFILE = "/run/lxc/dnsmasq.pid"
ROOT = ""
# lxc-net's own, where its file doesn't say (lxc-net, "These can be overridden").
NET = {
    "LXC_BRIDGE": "lxcbr0",
    "LXC_ADDR": "10.0.3.1",
    "LXC_NETMASK": "255.255.255.0",
    "LXC_NETWORK": "10.0.3.0/24",
    "LXC_DHCP_RANGE": "10.0.3.2,10.0.3.254",
    "LXC_DHCP_MAX": "253",
    "LXC_DOMAIN": "",
}


def text(path: str) -> str | None:
    try:
        with open(ROOT + path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def run(*argv: str) -> str:
    """What a program prints; nothing where it isn't there."""
    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def fedora() -> bool:
    return re.search(r"^(ID|ID_LIKE)=.*fedora", text("/etc/os-release") or "", re.MULTILINE) is not None


def word(value: Any) -> str:
    return {True: "1", False: "0"}[value] if isinstance(value, bool) else str(value)


def patched(old: str, wanted: dict[str, Any], form: str) -> str:
    """A file of keys and values with some of them set, everything else as it was and where it was."""
    lines = old.splitlines(keepends=True) or [HEADER]
    if not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    for key, value in wanted.items():
        values = [] if value is None else value if isinstance(value, list) else [value]
        new = [form.format(key, word(one)) + "\n" for one in values]
        mine = [place for place, line in enumerate(lines) if re.match(rf"\s*{re.escape(key)}\s*=", line)]
        said = [lines[place].partition("=")[2].strip().strip("\"'") for place in mine]
        if said == [word(one) for one in values]:
            continue
        start = mine[0] if mine else len(lines)
        lines = [line for place, line in enumerate(lines) if place not in mine]
        lines[start:start] = new
    return "".join(lines)


# lxc.conf and default.conf.


def said(content: str, key: str) -> str:
    """What a file says last of a key; nothing where it doesn't."""
    found = re.findall(rf"^\s*{re.escape(key)}\s*=\s*(.*?)\s*$", content, re.MULTILINE)
    return str(found[-1]) if found else ""


def containers(path: str) -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(name for name in os.listdir(ROOT + path) if os.path.exists(f"{ROOT}{path}/{name}/config"))
    return []


def hidden(old: str, new: str) -> list[str]:
    """What LXC would see no more with another storage path."""
    before, after = (said(content, "lxc.lxcpath") or LXCPATH for content in (old, new))
    there = containers(before) if before.rstrip("/") != after.rstrip("/") else []
    return [f"lxc_path: LXC would not see {', '.join(there)} in {before} any more (lxc_hide_existing)"] if there else []


def unknown(wanted: dict[str, Any]) -> list[str]:
    """Keys of lxc.conf that LXC passes over."""
    known = run("lxc-config", "-l").split()
    strange = [key for key in wanted if known and key not in known]
    return [f"lxc_config: LXC knows no {key}; it has {', '.join(known)}" for key in strange]


def complaints(old: str, new: str) -> list[str]:
    """The lines of a default.conf that LXC itself would not read, of those that come in."""
    try:
        import lxc
    except ImportError:  # it isn't installed yet
        return []
    refused = []
    with tempfile.TemporaryDirectory() as folder:
        for line in new.splitlines():
            if line in old.splitlines() or not line.strip() or line.startswith("#"):
                continue
            with open(f"{folder}/config", "w", encoding="utf-8") as file:
                # A network's other keys want to know its type.
                kind = re.match(r"lxc\.net\.(\d+)\.(?!type)", line)
                file.write((f"lxc.net.{kind.group(1)}.type = veth\n" if kind else "") + line + "\n")
            container = lxc.Container("strata-look", config_path=folder)
            if not container.load_config(f"{folder}/config"):
                refused.append(f"lxc_default_config: LXC refuses {line}")
    return refused


# The bridge and its DHCP.


def declared(net: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """The words of lxc-net that are to be so. An address brings its network, and a range of it where none is given.

    Raises:
        ValueError: It is no address with the length of its prefix.
    """
    found: dict[str, Any] = {"LXC_BRIDGE": net["bridge"]}
    first, last, number = (None, None, net["dhcp_max"])
    if net["address"]:
        own = ipaddress.IPv4Interface(net["address"])
        if own.network.prefixlen > 29:
            raise ValueError(f"{own} has no room for containers: wants a network of /29 or larger")
        found.update(LXC_ADDR=own.ip, LXC_NETMASK=own.netmask, LXC_NETWORK=own.network)
        before, after = int(own.ip) - int(own.network[0]), int(own.network[-1]) - int(own.ip)
        first = own.ip + 1 if after > before else own.network[1]
        last = own.network[-2] if after > before else own.ip - 1
    if net["dhcp_range"]:
        first, last = map(ipaddress.IPv4Address, net["dhcp_range"])
    if first is not None and last is not None:
        found["LXC_DHCP_RANGE"] = f"{first},{last}"
        number = number or int(last) - int(first) + 1
    found.update(LXC_DHCP_MAX=number, LXC_DOMAIN=net["domain"])
    return {**{key: str(value) for key, value in found.items() if value is not None}, **more}


def words(content: str) -> dict[str, str]:
    """What a file of lxc-net says, besides what lxc-net has by itself."""
    found = dict(NET)
    for line in content.splitlines():
        with contextlib.suppress(ValueError):
            for token in shlex.split(line, comments=True):
                key, sign, value = token.partition("=")
                if sign:
                    found[key] = value
    return found


def wrong(net: dict[str, str], old: str) -> list[str]:
    """What doesn't fit together, before dnsmasq would find out; the old bridge will be gone."""
    try:
        network = ipaddress.IPv4Network(net["LXC_NETWORK"])
        address = ipaddress.IPv4Address(net["LXC_ADDR"])
        ends = [ipaddress.IPv4Address(end) for end in net["LXC_DHCP_RANGE"].split(",")[:2]]
        mask = ipaddress.IPv4Network(f"{address}/{net['LXC_NETMASK']}", strict=False)
    except ValueError as error:
        return [f"lxc_net: {error}"]
    found = []
    if address not in network or mask != network:
        found.append(f"lxc_net: {address} with the mask {net['LXC_NETMASK']} is not of the network {network}")
    if any(end not in network for end in ends) or ends != sorted(ends):
        found.append(f"lxc_dhcp_range: {net['LXC_DHCP_RANGE']} is not a range of the network {network}")
    elif ends[0] <= address <= ends[-1]:
        found.append(f"lxc_dhcp_range: {net['LXC_DHCP_RANGE']} has the bridge's own address {address} in it")
    if not re.fullmatch(r"[^\s/:]{1,15}", net["LXC_BRIDGE"]):
        found.append(f"lxc_bridge: {net['LXC_BRIDGE']!r} is no name of a link")
    for link in json.loads(run("ip", "-json", "-4", "address", "show") or "[]"):
        for one in link.get("addr_info", []):
            other = ipaddress.IPv4Network(f"{one['local']}/{one['prefixlen']}", strict=False)
            if link["ifname"] not in (net["LXC_BRIDGE"], old) and other.overlaps(network):
                found.append(f"lxc_bridge_address: {network} overlaps {other}, which is on {link['ifname']}")
    return found


def attached(bridge: str) -> list[str]:
    try:
        return sorted(os.listdir(f"{ROOT}/sys/class/net/{bridge}/brif"))
    except OSError:
        return []


def running(net: dict[str, str]) -> list[str]:
    """What the bridge or its dnsmasq runs without."""
    shown = json.loads(run("ip", "-json", "-4", "address", "show") or "[]")
    addresses = {
        f"{one['local']}/{one['prefixlen']}"
        for link in shown
        if link["ifname"] == net["LXC_BRIDGE"]
        for one in link.get("addr_info", [])
    }
    mask = ipaddress.IPv4Network(f"0.0.0.0/{net['LXC_NETMASK']}").prefixlen
    found = (
        []
        if f"{net['LXC_ADDR']}/{mask}" in addresses
        else [f"{net['LXC_BRIDGE']} has not the address {net['LXC_ADDR']}/{mask}"]
    )
    argv = (text(f"/proc/{(text(PIDFILE) or '').strip() or 'none'}/cmdline") or "").split("\0")
    told = {
        "--interface": net["LXC_BRIDGE"],
        "--listen-address": net["LXC_ADDR"],
        "--dhcp-range": net["LXC_DHCP_RANGE"],
        "--dhcp-lease-max": net["LXC_DHCP_MAX"],
        **({"-s": net["LXC_DOMAIN"]} if net["LXC_DOMAIN"] else {}),
    }
    pairs = {*zip(argv, argv[1:]), *(tuple(one.split("=", 1)) for one in argv if "=" in one)}
    found += [f"dnsmasq has not {key} {value}" for key, value in told.items() if (key, value) not in pairs]
    if not net["LXC_DOMAIN"] and "-s" in argv:
        found.append("dnsmasq has a domain")
    return found


def facts() -> dict[str, str]:
    names = "--property=ActiveState,LoadState"
    return dict(line.split("=", 1) for line in run("systemctl", "show", names, UNIT).splitlines() if "=" in line)


def network(old: str, new: str, refused: list[str]) -> dict[str, list[Any]]:
    """What lxc-net is stopped and started for. It ends what its file says that it made: hence before that changes."""
    unit, before, after = facts(), words(old), words(new)
    if unit.get("LoadState") != "loaded":  # in check mode, it may not be installed yet
        return {"first": [], "commands": [], "back": [], "left": []}
    if new != old:
        refused += wrong(after, before["LXC_BRIDGE"])
    there = attached(before["LXC_BRIDGE"])
    if there and before["LXC_BRIDGE"] != after["LXC_BRIDGE"]:
        refused.append(f"lxc_bridge: {', '.join(there)} are on {before['LXC_BRIDGE']}. Stop their containers first")
    left = [] if refused else running(after)
    if before == after and not left and unit.get("ActiveState") == "active":
        return {"first": [], "commands": [], "back": [], "left": []}
    stop, start = ["systemctl", "stop", UNIT], ["systemctl", "start", UNIT]
    # A pattern: of a unit that systemd has forgotten already it would be an error.
    back = [["systemctl", "reset-failed", f"{UNIT}*"], stop, start]
    return {"first": [stop], "commands": [start], "back": back, "left": left or [f"{UNIT} doesn't run"]}


# Who may put containers on a bridge without being root.


def usernet(old: str, users: list[dict[str, Any]]) -> str:
    """lxc-usernet(5) with those who are declared, each on a line of its own; lines of others stay."""
    lines = old.splitlines()
    for user in users:
        for one in user.get("networks") or []:
            key = [user["name"], one.get("type", "veth"), one["link"]]
            line = " ".join([*key, str(one.get("count", 10))])
            places = [place for place, there in enumerate(lines) if there.split()[:3] == key]
            if [lines[place].split() for place in places] == [line.split()]:
                continue
            lines = [there for place, there in enumerate(lines) if place not in places]
            lines.insert(places[0] if places else len(lines), line)
    return "".join(f"{line}\n" for line in lines) if lines != old.splitlines() else old


def look(wanted: dict[str, Any]) -> dict[str, Any]:
    refused: list[str] = []
    paths = dict(wanted["files"])
    debian, red_hat = paths["net"]
    paths["net"] = next((path for path in paths["net"] if os.path.exists(ROOT + path)), red_hat if fedora() else debian)
    olds = {name: text(path) for name, path in paths.items()}
    before = {name: old or "" for name, old in olds.items()}
    try:
        net = declared(wanted["net"], wanted["words"])
    except ValueError as error:
        net = {}
        refused.append(f"lxc_bridge_address, lxc_dhcp_range: {error}")
    news = {
        "system": patched(before["system"], wanted["system"], "{} = {}") if wanted["system"] else before["system"],
        "default": patched(before["default"], wanted["default"], "{} = {}") if wanted["default"] else before["default"],
        "net": patched(before["net"], net, '{}="{}"') if net else before["net"],
        "usernet": usernet(before["usernet"], wanted["users"]),
    }
    if "USE_LXC_BRIDGE" in wanted["words"]:
        refused.append("lxc_net_config: USE_LXC_BRIDGE is what strata.virt.host sets. Leave it out")
    refused += unknown(wanted["system"])
    if not wanted["hide"]:
        refused += hidden(before["system"], news["system"])
    if news["default"] != before["default"]:
        refused += complaints(before["default"], news["default"])
    steps = network(before["net"], news["net"], refused) if net else {}
    files = [
        {"path": paths[name], "content": new, "before": olds[name]} for name, new in news.items() if new != before[name]
    ]
    path = said(news["system"], "lxc.lxcpath")
    folders = [os.path.dirname(file["path"]) for file in files] + (
        [path] if wanted["system"].get("lxc.lxcpath") else []
    )
    return {
        "refused": refused,
        "folders": sorted({folder for folder in folders if not os.path.isdir(ROOT + folder)}),
        "files": files,
        "first": [],
        "commands": [],
        "back": [],
        **steps,
    }


if __name__ == "__main__":
    print(json.dumps(look(json.load(sys.stdin))))
