# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often libvirt is asked: of what is as declared, a stack has one or two questions each, and a few for all."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.stack import Stack
from ansible_collections.strata.virt.plugins.module_utils.engines import libvirt
from ansible_collections.strata.virt.plugins.module_utils.kinds import registry

FIXTURES = Path(__file__).parents[1] / "fixtures"
STORED, AUTOMATIC, SAVED, ACTIVE = 1, 2, 4, 8


class Daemon:
    """Many of what is recorded, and how often somebody asked for something: the binding, and a connection of it.

    Attributes:
        asked: The questions; what the binding knows by itself, a name for one, is none.
    """

    VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PMSUSPENDED, VIR_DOMAIN_CRASHED = 5, 3, 7, 6
    libvirtError = KeyError  # whatever: nothing raises it

    def __init__(self, kind: str, count: int, *, runs: bool) -> None:
        self.asked = 0
        self.pool = Thing(self, "images", "libvirt_pool", runs=True)
        self.things = [Thing(self, f"one-{number}", kind, runs=runs) for number in range(count)]
        self.networks = self.things
        if kind != "libvirt_network":
            self.networks = [Thing(self, "default", "libvirt_network", runs=True)]

    def __getattr__(self, name: str):
        if name.startswith("VIR_"):
            words = {"_INACTIVE": STORED, "_AUTOSTART": AUTOMATIC, "_MANAGEDSAVE": SAVED, "_ACTIVE": ACTIVE}
            return sum(flag for word, flag in words.items() if name.endswith(word))
        if name.startswith("listAll"):
            return lambda flags: self._list(flags, self.networks if name == "listAllNetworks" else self.things)
        raise AttributeError(name)

    def open(self, _uri: str) -> Daemon:
        return self

    def registerErrorHandler(self, *_arguments: object) -> None:
        pass

    def getLibVersion(self) -> int:
        return 10_000_000

    def _list(self, flags: int, things: list[Thing]) -> list[Thing]:
        self.asked += 1
        if flags & (AUTOMATIC | SAVED):
            return []
        return [one for one in things if one.running or not flags & ACTIVE]

    def getAllDomainStats(self, *_flags: int) -> list[tuple[Thing, dict]]:
        return [(one, {"state.state": 1 if one.running else 5}) for one in self._list(0, self.things)]

    def storagePoolLookupByName(self, _name: str) -> Thing:
        self.asked += 1
        return self.pool


class Thing:
    """A domain, a network, a pool or a volume."""

    def __init__(self, daemon: Daemon, name: str, kind: str, *, runs: bool) -> None:
        self.daemon, self._name = daemon, name
        file = "base" if kind == "libvirt_volume" else "stored"
        self.stored, self.running = (self._recorded(kind, one) for one in (file, "running" if runs else ""))

    def _recorded(self, kind: str, file: str) -> str:
        text = (FIXTURES / kind / f"{file}.xml").read_text() if file else ""
        return re.sub(r"<name>.*?</name>", f"<name>{self._name}</name>", text, count=1)

    def name(self) -> str:
        return self._name

    def ID(self) -> int:
        return 1 if self.running else -1

    def UUIDString(self) -> str:
        return "f033d2d9-c845-4659-8d52-f6247f747b59"

    def XMLDesc(self, flags: int) -> str:
        self.daemon.asked += 1
        return self.stored if flags & STORED or not self.running else self.running

    def isActive(self) -> int:
        self.daemon.asked += 1
        return int(bool(self.running))

    def refresh(self, _flags: int) -> None:
        self.daemon.asked += 1

    def listAllVolumes(self, flags: int) -> list[Thing]:
        return self.daemon._list(flags, self.daemon.things)


def questions(monkeypatch, kind: str, options: dict, count: int, *, runs: bool) -> int:
    """How many it takes to find so many as they are declared."""
    daemon = Daemon(kind, count, runs=runs)
    monkeypatch.setattr(libvirt, "library", lambda *_words: daemon)
    monkeypatch.setattr(libvirt.Host, "accelerated", lambda _host: False)
    entries = [{kind: {"name": one.name(), **copy.deepcopy(options)}} for one in daemon.things]
    stack = Stack("test", entries, registry.find, registry.KINDS)
    stack.read()
    assert [str(item.error) for item in stack.items if item.error] == []
    assert [change for item in stack.items for change in item.plan.changes] == []
    return daemon.asked


DOMAIN = {"memory": "512M", "vcpus": 1, "networks": [{"network": "default", "model": "virtio"}], "state": "present"}
POOL = {"type": "dir", "path": "/srv/vms", "state": "present"}


@pytest.mark.parametrize(
    ("kind", "options", "runs", "each"),
    [
        ("libvirt_domain", DOMAIN, False, 1),
        ("libvirt_domain", DOMAIN, True, 2),
        ("libvirt_network", {"bridge": "virbr10", "state": "present"}, False, 1),
        ("libvirt_network", {"bridge": "virbr10", "state": "present"}, True, 2),
        ("libvirt_pool", POOL, False, 1),
        ("libvirt_pool", POOL, True, 2),
        ("libvirt_volume", {"pool": "images", "format": "qcow2"}, False, 1),
    ],
)
def test_how_often_it_is_asked(monkeypatch, kind, options, runs, each):
    few, many = (questions(monkeypatch, kind, options, count, runs=runs) for count in (10, 60))
    assert (many - few) / 50 == each
    assert few - 10 * each <= 6, "what is asked once for all of them is more than a few questions"
