# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines on QEMU alone: a process that we start, and speak to through its monitor."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import policy, progress
from ..core.codec import BOOL, INT, LINE, MEMORY, NAME, PATH, TEXTS, WORDS
from ..core.errors import StrataError
from ..core.field import Field, Role, structure, table
from ..core.plan import Effect, Layer, Plan, State
from ..core.resource import Resource
from ..engines import qcow2, qemu, qemu_img
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
        facts: dict[str, Any] = {"folder": machine.folder, "accelerator": qemu.accelerator(), "ports": []}
        monitor = machine.monitor()
        if monitor is None:
            config["snapshots"] = _kept(config)
            return State("stopped", config, facts=facts, owner=declared["owner"])
        with monitor:
            started = machine.load(machine.started) or declared
            facts["ports"] = _ports(monitor.human("info usernet"))
            live = {**cls._canonical(started["options"]), "snapshots": _tags(monitor.human("info snapshots"))}
            # Snapshots live in the disks: while it runs, the running VM alone knows them.
            config["snapshots"] = live["snapshots"]
        return State("running", config, live, facts, declared["owner"])

    @classmethod
    def _canonical(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        fields = {field.name: field for field in cls.fields}
        return {name: fields[name].decode(value) for name, value in options.items() if name in fields}

    def files(self) -> list[tuple[str, str]]:
        drives = [("drives.file", drive["file"]) for drive in self.spec.get("drives", ())]
        return drives + [(option, self.spec[option]) for option in ("kernel", "initrd") if option in self.spec]

    def observe(self, engine: str, state: State) -> State:
        return replace(state, facts={**state.facts, "missing": self.missing()})

    def plan(self, state: State) -> Plan:
        for option, path in state.facts.get("missing", ()) if self.target == "running" else ():
            raise StrataError("is not there", option=option, value=path)
        plan = super().plan(state)
        if plan.target == "stopped":
            untaken = set(plan.want.get("snapshots") or ()) - set(state.config.get("snapshots") or ())
            if untaken:
                raise StrataError(
                    "can be taken of a running VM only",
                    option="snapshots",
                    value=sorted(untaken),
                    hint="Give state: running",
                )
        return plan

    # Verbs.

    def _machine(self, engine: str) -> Machine:
        return Machine(f"{engine}/{self.name}")

    def create(self, engine: str, plan: Plan) -> None:
        self._store(engine, plan.want, self.owner)

    def configure(self, engine: str, plan: Plan) -> None:
        values = {**plan.state.config, **plan.want}
        self._store(engine, values, plan.state.owner or "")
        if plan.state.status == "stopped" and "snapshots" in plan.want:
            for tag in sorted(set(plan.state.config["snapshots"]) - set(plan.want["snapshots"])):
                for path in _disks(values):
                    if tag in _snapshots(path):
                        qemu_img.forget(path, tag)

    def _store(self, engine: str, values: Mapping[str, Any], owner: str) -> None:
        machine = self._machine(engine)
        shown = {
            field.name: field.show(values[field.name])
            for field in self.fields
            if field.name in values and field.name != "snapshots" and values[field.name] is not None
        }
        machine.save(machine.declared, {"owner": owner, "options": shown})

    def update(self, engine: str, plan: Plan) -> None:
        self._keep(engine, plan.of(Layer.LIVE)["snapshots"])

    def _keep(self, engine: str, tags: Iterable[str]) -> None:
        """Have the running VM keep exactly these snapshots."""
        monitor = self._machine(engine).monitor()
        if monitor is None:
            raise StrataError("stopped in the meantime")
        with monitor:
            wanted, there = set(tags), set(_tags(monitor.human("info snapshots")))
            for tag in sorted(there - wanted):
                progress.say(f"removing the snapshot {tag}")
                monitor.human(f"delvm {tag}")
            for tag in sorted(wanted - there):
                progress.say(f"taking the snapshot {tag}")
                monitor.human(f"savevm {tag}")

    def start(self, engine: str, plan: Plan) -> None:
        machine = self._machine(engine)
        declared = machine.load(machine.declared) or {"options": {}}
        values = self._canonical(declared["options"])
        origin = self.spec.get("start_from")
        if origin is not None and origin not in _kept(values):
            raise StrataError("is no snapshot of its disks", option="start_from", value=origin)
        # Looked at only while it runs, so written before: it may run on when this process is killed.
        machine.save(machine.started, declared)
        machine.start([*command_line(values), *(["-loadvm", origin] if origin else [])], self.spec["timeout"])
        if "snapshots" in plan.want:
            self._keep(engine, plan.want["snapshots"])

    def stop(self, engine: str, plan: Plan) -> None:
        progress.say("waiting for the guest to power off")
        self._machine(engine).power_down(self.spec["force"], self.spec["timeout"])

    def remove(self, engine: str, plan: Plan) -> None:
        if plan.state.status == "running":
            self.stop(engine, plan)
        self._machine(engine).remove()


def _tags(told: str) -> tuple[str, ...]:
    """The tags in the monitor's table of snapshots: a row is an id, a tag, a size, a date."""
    rows = [line.split() for line in told.splitlines()]
    return tuple(sorted(row[1] for row in rows if len(row) > 4 and (row[0] == "--" or row[0].isdigit())))


def _ports(told: str) -> list[dict[str, Any]]:
    """The forwards in the monitor's table of connections, with the ports that the host chose where it was to."""
    rows = [line.split() for line in told.splitlines()]
    return [
        {
            "protocol": row[0].partition("[")[0].lower(),
            "address": row[2],
            "port": int(row[3]),
            "guest_port": int(row[5]),
        }
        for row in rows
        if len(row) > 5 and row[0].endswith("[HOST_FORWARD]")
    ]


def _disks(values: Mapping[str, Any]) -> list[str]:
    """The disks that can hold snapshots."""
    return [drive["file"] for drive in values.get("drives") or () if drive["format"] == "qcow2"]


def _snapshots(path: str) -> tuple[str, ...]:
    image = qcow2.read(path)
    return image.snapshots if image else ()


def _kept(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The snapshots of a VM that doesn't run: those that its first disk has, which holds the memory, too."""
    disks = _disks(values)
    return tuple(sorted(_snapshots(disks[0]))) if disks else ()


def command_line(values: Mapping[str, Any]) -> list[str]:
    """QEMU's arguments for a VM (qemu-system-x86_64(1)). Pure but for the choice of the accelerator and its threads."""
    accel = values.get("accel", "auto")
    accel = qemu.accelerator() if accel == "auto" else accel
    # With plain `max`, kernels from 6.12 on panic under TCG of QEMU before 8, whose cmpxchg16b is broken.
    accel, cpu = ("kvm", "host") if accel == "kvm" else (qemu.emulation(), "max,-cx16")
    argv = ["-nodefaults", "-machine", "q35", "-accel", accel, "-cpu", cpu]
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
