# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens where: /proc/net/tcp and its likes (proc_net_tcp(5)), of any process's network namespace."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Collection

from ..core.diagnosis import Facts
from ..engines.hostfiles import Host

_FILES = ("tcp", "tcp6", "udp", "udp6")
_WAITING = {"tcp": "0A", "udp": "07"}  # include/net/tcp_states.h: TCP_LISTEN; an unconnected UDP socket is TCP_CLOSE


def address(text: str) -> str:
    """An address as the kernel prints it: words of 32 bits in the machine's own order."""
    words = [int(text[place : place + 8], 16) for place in range(0, len(text), 8)]
    return str(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words)))


def parse(protocol: str, text: str) -> list[Facts]:
    """The sockets that wait for somebody to call."""
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == _WAITING[protocol]:
            place, _colon, port = words[1].partition(":")
            row = {"protocol": protocol, "address": address(place), "port": int(port, 16), "inode": words[9]}
            found.append(row)
    return found


def listening(host: Host, pid: str = "self") -> list[Facts]:
    """All of them in the network namespace of a process."""
    return [row for name in _FILES for row in parse(name[:3], host.text(f"/proc/{pid}/net/{name}") or "")]


def holders(host: Host, wanted: Collection[str]) -> dict[str, str]:
    """The processes that have some sockets, as ``412 (nginx)``, by the sockets' inodes."""
    links = {f"socket:[{inode}]": inode for inode in wanted}
    found: dict[str, str] = {}
    for pid in filter(str.isdecimal, host.names("/proc") if links else ()):
        for number in host.names(f"/proc/{pid}/fd"):
            inode = links.get(host.points_at(f"/proc/{pid}/fd/{number}") or "")
            if inode is not None and inode not in found:
                found[inode] = f"{pid} ({host.line(f'/proc/{pid}/comm') or '?'})"
    return found


def loopback(row: Facts) -> bool:
    return ipaddress.ip_address(row["address"]).is_loopback
