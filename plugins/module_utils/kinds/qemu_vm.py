# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines on QEMU alone: a process that we start, and speak to through its monitor."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from ..core import files, policy
from ..core.codec import BOOL, INT, LINE, MEMORY, NAME, PATH, TEXTS, WORDS
from ..core.errors import StrataError
from ..core.field import Field, Role, structure, table
from ..core.plan import Effect, Layer, Plan, State
from ..core.resource import Resource
from ..engines import qemu
from ..engines.qemu import Machine

_FORWARD = re.compile(r"(tcp|udp):([0-9.]*):(\d+):(\d+)")


def _check_forwards(rules: Iterable[str]) -> None:
    for rule in rules:
        if not _FORWARD.fullmatch(rule):
            raise ValueError(f"has {rule!r}: write PROTOCOL:HOST_ADDRESS:HOST_PORT:GUEST_PORT")


def _positive(number: int) -> None:
    if number < 1:
        raise ValueError("must be 1 or more")


_DRIVE = (
    Field("file", PATH, required=True),
    Field("format", LINE, given="qcow2", choices=("qcow2", "raw")),
    Field("interface", LINE, given="virtio", choices=("virtio", "ide", "scsi")),
    Field("cache", LINE, given="writeback", choices=("none", "writeback", "writethrough", "directsync", "unsafe")),
)
_NETWORK = (
    Field("type", LINE, given="user", choices=("user", "tap", "bridge")),
    Field("forwards", TEXTS, check=_check_forwards),
    Field("device", NAME),
)
_SERIAL = (
    Field("type", LINE, given="file", choices=("file",)),
    Field("path", PATH, required=True),
)


class QemuVm(Resource):
    kind = "qemu_vm"
    rank = 60
    layered = True
    fields = (
        policy.name(),
        policy.state("running", "stopped", "present", "absent"),
        policy.restart(),
        policy.timeout(120),
        Field("force", BOOL, role=Role.POLICY, given=False),
        Field("folder", PATH, role=Role.CONNECT),
        Field("memory", MEMORY, effect=Effect.RESTART, default=128 * 1024**2),
        Field("smp", INT, effect=Effect.RESTART, default=1, check=_positive),
        Field("accel", LINE, effect=Effect.RESTART, default="auto", choices=("auto", "kvm", "tcg")),
        Field("kernel", PATH, effect=Effect.RESTART),
        Field("initrd", PATH, effect=Effect.RESTART),
        Field("cmdline", LINE, effect=Effect.RESTART),
        Field("drives", table(*_DRIVE, key=lambda row: str(row["file"])), effect=Effect.RESTART, default=()),
        Field("networks", table(*_NETWORK), effect=Effect.RESTART, default=()),
        Field("serial", structure(*_SERIAL), effect=Effect.RESTART),
        Field("arguments", TEXTS, effect=Effect.RESTART, default=()),
        Field("snapshots", WORDS, effect=Effect.LIVE, default=(), export=False),
        Field("start_from", NAME, role=Role.POLICY),
    )
    states = {"running": "running", "stopped": "stopped", "present": None, "absent": "absent"}

    def check(self) -> None:
        for option in ("initrd", "cmdline"):
            if option in self.spec and "kernel" not in self.spec and self.target != "absent":
                raise StrataError("needs kernel", option=option, value=self.spec[option])

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> str:
        return spec.get("folder") or qemu.default_folder()

    @classmethod
    def read_many(cls, engine: str, names: Iterable[str] | None) -> dict[str, State]:
        if names is None:
            names = sorted(os.listdir(engine)) if os.path.isdir(engine) else ()
        return {name: cls._read(Machine(f"{engine}/{name}")) for name in names}

    @classmethod
    def _read(cls, machine: Machine) -> State:
        declared = machine.load(machine.declared)
        if declared is None:
            return State()
        config = cls._canonical(declared["options"])
        facts: dict[str, Any] = {"folder": machine.folder, "accelerator": qemu.accelerator()}
        monitor = machine.monitor()
        if monitor is None:
            return State("stopped", config, facts=facts, owner=declared["owner"])
        with monitor:
            started = machine.load(machine.started) or declared
            live = {**cls._canonical(started["options"]), "snapshots": cls._snapshots(monitor.human("info snapshots"))}
            # Snapshots live in the disks: while it runs, the running VM alone knows them.
            config["snapshots"] = live["snapshots"]
        return State("running", config, live, facts, declared["owner"])

    @classmethod
    def _canonical(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        fields = {field.name: field for field in cls.fields}
        return {name: fields[name].decode(value) for name, value in options.items() if name in fields}

    @staticmethod
    def _snapshots(told: str) -> tuple[str, ...]:
        """The tags in the monitor's table: a row is an id, a tag, a size, a date."""
        rows = [line.split() for line in told.splitlines()]
        return tuple(sorted(row[1] for row in rows if len(row) > 4 and row[0] in ("--", *map(str, range(1000)))))

    def plan(self, state: State) -> Plan:
        for option in ("kernel", "initrd"):
            path = self.spec.get(option)
            if path and self.target == "running" and not os.path.exists(path):
                raise StrataError("is not there", option=option, value=path, entry=self.entry)
        return super().plan(state)

    # Verbs.

    def _machine(self, engine: str) -> Machine:
        return Machine(f"{engine}/{self.name}")

    def create(self, engine: str, plan: Plan) -> None:
        self._store(engine, plan.want, self.owner)

    def configure(self, engine: str, plan: Plan) -> None:
        self._store(engine, {**plan.state.config, **plan.want}, plan.state.owner or "")

    def _store(self, engine: str, values: Mapping[str, Any], owner: str) -> None:
        machine = self._machine(engine)
        shown = {
            field.name: field.show(values[field.name])
            for field in self.fields
            if field.name in values and field.name != "snapshots" and values[field.name] is not None
        }
        machine.save(machine.declared, {"owner": owner, "options": shown})

    def update(self, engine: str, plan: Plan) -> None:
        monitor = self._machine(engine).monitor()
        if monitor is None:
            raise StrataError("stopped in the meantime", entry=self.entry)
        with monitor:
            wanted, there = set(plan.of(Layer.LIVE)["snapshots"]), set((plan.state.live or {})["snapshots"])
            for tag in sorted(there - wanted):
                monitor.human(f"delvm {tag}")
            for tag in sorted(wanted - there):
                monitor.human(f"savevm {tag}")

    def start(self, engine: str, plan: Plan) -> None:
        machine = self._machine(engine)
        declared = machine.load(machine.declared) or {"options": {}}
        values = self._canonical(declared["options"])
        origin = ["-loadvm", self.spec["start_from"]] if "start_from" in self.spec else []
        machine.start([*command_line(values), *origin], self.spec["timeout"])
        machine.save(machine.started, declared)

    def stop(self, engine: str, plan: Plan) -> None:
        self._machine(engine).power_down(self.spec["force"], self.spec["timeout"])

    def remove(self, engine: str, plan: Plan) -> None:
        machine = self._machine(engine)
        if plan.state.status == "running":
            self.stop(engine, plan)
        for path in (machine.socket, machine.started, machine.declared):
            files.remove(path)
        shutil.rmtree(machine.folder, ignore_errors=True)


def command_line(values: Mapping[str, Any]) -> list[str]:
    """QEMU's arguments for a VM (qemu-system-x86_64(1)). Pure but for the choice of the accelerator."""
    accel = values.get("accel", "auto")
    accel = qemu.accelerator() if accel == "auto" else accel
    # With plain `max`, kernels from 6.12 on panic under TCG of QEMU before 8: they use cmpxchg16b, which is broken there.
    accelerated = {"kvm": ("kvm", "host"), "tcg": ("tcg,thread=multi,tb-size=1024", "max,-cx16")}[accel]
    argv = ["-nodefaults", "-machine", "q35", "-accel", accelerated[0], "-cpu", accelerated[1]]
    argv += ["-smp", str(values.get("smp", 1)), "-m", f"{int(values.get('memory', 128 * 1024**2)) // 1024}k"]
    argv += ["-display", "none", "-device", "virtio-rng-pci"]
    for option, flag in (("kernel", "-kernel"), ("initrd", "-initrd"), ("cmdline", "-append")):
        if values.get(option):
            argv += [flag, values[option]]
    for drive in values.get("drives") or ():
        path = drive["file"].replace(",", ",,")
        argv += ["-drive", f"file={path},format={drive['format']},if={drive['interface']},cache={drive['cache']}"]
    for place, network in enumerate(values.get("networks") or ()):
        argv += ["-netdev", _netdev(place, network), "-device", f"virtio-net-pci,netdev=net{place},romfile="]
    if values.get("serial"):
        argv += ["-serial", f"file:{values['serial']['path']}"]
    return [*argv, *(values.get("arguments") or ())]


def _netdev(place: int, network: Mapping[str, Any]) -> str:
    parts = [network["type"], f"id=net{place}"]
    if network["type"] == "tap":
        parts += [f"ifname={network['device']}", "script=no", "downscript=no"]
    if network["type"] == "bridge":
        parts += [f"br={network['device']}"]
    for rule in network.get("forwards") or ():
        protocol, address, port, inside = rule.split(":")
        parts.append(f"hostfwd={protocol}:{address}:{port}-:{inside}")
    return ",".join(parts)
