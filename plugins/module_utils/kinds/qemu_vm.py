# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines on QEMU alone: a process that we start, and speak to through its monitor."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import files, progress
from ..core.errors import StrataError
from ..core.plan import Change, Effect, Layer, Plan, State
from ..core.resource import Resource, Thing
from ..engines import firmware, qcow2, qemu, qemu_img, qemu_run
from ..engines.qemu import Machine
from ..engines.qmp import Monitor
from . import qemu_fields, qemu_live, seed_option
from .qemu_line import Line, mark, shared

_LINKS = "/sys/class/net"
_ELSEWHERE = ("snapshots", "autostart")  # kept by the disks and by systemd, not in the description


class QemuVm(Resource):
    kind = "qemu_vm"
    rank = 60
    layered = True
    fields = qemu_fields.FIELDS
    states = {"running": "running", "stopped": "stopped", "present": None, "absent": "absent"}

    def check(self) -> None:
        if self.target != "absent":
            qemu_fields.check(self.spec)

    # What there is.

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
        supervised = qemu_run.supervised()
        config["autostart"] = supervised and qemu_run.enabled(machine)
        facts: dict[str, Any] = {"folder": machine.folder, "accelerator": qemu.accelerator(), "ports": []}
        facts["unit"] = machine.unit if supervised and qemu_run.exists(machine) else None
        monitor = machine.monitor()
        started = cls._canonical((machine.load(machine.started) or declared)["options"])
        with contextlib.suppress(ConnectionResetError, BrokenPipeError), monitor or contextlib.nullcontext():
            if monitor is not None:
                live, more = cls._running(monitor, started, config)
                # Snapshots live in the disks: while it runs, the running VM alone knows them.
                config["snapshots"] = live["snapshots"]
                return State("running", config, live, {**facts, **more}, declared["owner"])
        config["snapshots"] = _kept(config)
        return State("stopped", config, facts=facts, owner=declared["owner"])

    @classmethod
    def _running(
        cls, monitor: Monitor, started: Mapping[str, Any], config: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What runs right now, and what can be told of it. What it was started without is there, too."""
        live = {
            **{
                field.name: field.default
                for field in cls.fields
                if field.name in config and field.name not in _ELSEWHERE
            },
            **started,
            "drives": qemu_live.drives(monitor, started.get("drives") or ()),
            "networks": qemu_live.networks(monitor, started.get("networks") or ()),
            "snapshots": _tags(monitor.human("info snapshots")),
        }
        facts: dict[str, Any] = {"ports": qemu_live.forwards(monitor.human("info usernet"))}
        facts.update(qemu_live.places(monitor, started.get("machine", "q35")))
        if started.get("balloon"):
            facts["balloon"] = monitor.execute("query-balloon")["actual"]
        return live, facts

    @classmethod
    def _canonical(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        fields = cls.table.words
        return {name: fields[name].decode(value) for name, value in options.items() if name in fields}

    @classmethod
    def _shown(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The description of a VM, as it is kept."""
        return {
            field.name: field.show(values[field.name])
            for field in cls.fields
            if field.name not in _ELSEWHERE and values.get(field.name) is not None
        }

    def files(self) -> list[tuple[str, str]]:
        return _files(self.spec)

    def needs(self) -> list[Thing]:
        return [*super().needs(), *(("link", f"/{row['device']}") for row in self._host_networks())]

    def _host_networks(self) -> list[Mapping[str, Any]]:
        return [row for row in self.spec.get("networks", ()) if "device" in row]

    def observe(self, engine: str, state: State) -> State:
        if self.target != "absent":
            self._able(engine, starts=self.target == "running" and state.status != "running")
        return replace(state, facts={**state.facts, "missing": self.missing()})

    def _able(self, engine: str, *, starts: bool) -> None:
        """Have what is missing on this host known before anything is touched.

        Raises:
            StrataError: It names the option, or the package.
        """
        if self.spec.get("autostart") and not qemu_run.supervised():
            hint = "Leave it out, and start the VM by a task"
            raise StrataError("needs systemd on the host, and root", option="autostart", value=True, hint=hint)
        self._helpers(self._machine(engine), self.spec)
        if self.spec.get("firmware", "bios") != "bios":
            firmware.find(self.spec["firmware"] == "secure")
        for row in self._host_networks() if self.target == "running" else ():
            if ("link", f"/{row['device']}") not in self.promised and not os.path.exists(f"{_LINKS}/{row['device']}"):
                raise StrataError("is not there", option="networks.device", value=row["device"])
            if row["type"] == "bridge":
                qemu.check_bridge(row["device"])
        for drive in self.spec.get("drives", ()):
            image = qcow2.read(drive["file"]) if drive.get("file") else None
            if image and drive["format"] == "qcow2" != image.format:
                raise StrataError("is no qcow2 image", option="drives.file", value=drive["file"])
            kept = starts and ("path", drive.get("file")) not in self.promised
            below = qcow2.gone(drive["file"]) if kept and image and image.backing else None
            if below is not None:
                hint = "Bring that back, or give the disk another base: qemu_image with rebase: unsafe"
                words = f"lies on {below}, which is gone"
                raise StrataError(words, option="drives.file", value=drive["file"], hint=hint)

    # What is to be done.

    def cost(self, change: Change, state: State) -> Effect:
        return qemu_live.cost(change, state.facts, state.live or {})

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
        if "update" in plan.steps and qemu_live.crowded(plan.changes, state.facts):
            raise StrataError(
                "has no free port for all that is new",
                option="hotplug_ports",
                value=state.live and state.live.get("hotplug_ports", 0),
                hint="Give more ports and restart: if_needed",
            )
        return plan

    def _machine(self, engine: str) -> Machine:
        return Machine(f"{engine}/{self.name}")

    def create(self, engine: str, plan: Plan) -> None:
        self._machine(engine).check()
        self._store(engine, plan.want, self.owner, running=False)

    def configure(self, engine: str, plan: Plan) -> None:
        values = {**plan.state.config, **plan.want}
        self._store(engine, values, plan.state.owner or "", running=plan.state.status == "running")
        if plan.state.status == "stopped" and "snapshots" in plan.want:
            for tag in sorted(set(plan.state.config["snapshots"]) - set(plan.want["snapshots"])):
                for path in _disks(values):
                    if tag in _snapshots(path):
                        qemu_img.forget(path, tag)

    def _store(self, engine: str, values: Mapping[str, Any], owner: str, *, running: bool) -> None:
        machine = self._machine(engine)
        digest = values.get("cloud_init")
        if digest and "cloud_init" in self.options and not os.path.exists(machine.seed(digest)):
            # It may have what isn't for everybody's eyes.
            files.write(machine.seed(digest), seed_option.image(self.options["cloud_init"]), 0o600)
        machine.save(machine.declared, {"owner": owner, "options": self._shown(values)})
        if values.get("autostart"):
            self._supervise(machine, values, autostart=True)
        elif qemu_run.supervised() and qemu_run.exists(machine):
            if running:
                self._supervise(machine, values, autostart=False)
            else:
                qemu_run.drop(machine)

    def _supervise(self, machine: Machine, values: Mapping[str, Any], *, autostart: bool) -> None:
        self._prepare(machine, values)
        service = qemu_run.Service(
            argv=[*machine.words(), *Line(values, machine).words()],
            helpers=self._helpers(machine, values),
            paths=[path for _option, path in _files(values)],
            timeout=self.spec["timeout"],
            balloon=values.get("balloon"),
        )
        qemu_run.write(machine, service, autostart=autostart)

    @staticmethod
    def _helpers(machine: Machine, values: Mapping[str, Any]) -> list[qemu_run.Helper]:
        shares = [qemu_run.share(machine, row["tag"], row["path"], bool(row.get("readonly"))) for row in shared(values)]
        return [qemu_run.tpm(machine), *shares] if values.get("tpm") else shares

    @staticmethod
    def _prepare(machine: Machine, values: Mapping[str, Any]) -> None:
        """The files that keep what the guest keeps: made once."""
        word = values.get("firmware", "bios")
        if word != "bios" and not os.path.exists(machine.nvram(word)):
            template = firmware.find(word == "secure").variables
            with open(template, "rb") as file:
                files.write(machine.nvram(word), file.read(), 0o600)
        if values.get("tpm"):
            os.makedirs(machine.tpm, 0o700, exist_ok=True)

    def start(self, engine: str, plan: Plan) -> None:
        machine = self._machine(engine)
        machine.check()
        declared = machine.load(machine.declared) or {"options": {}}
        values = self._canonical(declared["options"])
        origin = self.spec.get("start_from")
        if origin is not None and origin not in _kept(values):
            raise StrataError("is no snapshot of its disks", option="start_from", value=origin)
        # Looked at only while it runs, so written before: it may run on when this process is killed.
        machine.save(machine.started, declared)
        machine.tidy(values.get("cloud_init"))
        supervised = qemu_run.supervised()
        words = [*machine.words(), *Line(values, machine).words()]
        if supervised:
            autostart = plan.want.get("autostart", plan.state.config.get("autostart", False))
            self._supervise(machine, values, autostart=autostart)
        else:
            self._prepare(machine, values)
            words += ["-loadvm", origin] if origin else []
        qemu_run.start(machine, words, self._helpers(machine, values), self.spec["timeout"])
        with self._speaking(engine) as monitor:
            if supervised and origin:  # the next boot starts it afresh
                monitor.human(f"loadvm {origin}")
            if values.get("balloon"):
                monitor.execute("balloon", value=values["balloon"])
        if "snapshots" in plan.want:
            self._keep(engine, plan.want["snapshots"])

    def _speaking(self, engine: str) -> Monitor:
        monitor = self._machine(engine).monitor()
        if monitor is None:
            raise StrataError("stopped in the meantime")
        return monitor

    def update(self, engine: str, plan: Plan) -> None:
        for change in plan.changes:
            if change.layer is Layer.LIVE and change.effect is Effect.LIVE and change.field != "snapshots":
                self._bring(engine, plan, change)
        if "snapshots" in plan.of(Layer.LIVE):
            self._keep(engine, plan.want["snapshots"])

    def _bring(self, engine: str, plan: Plan, change: Change) -> None:
        """Bring one change into the running VM. What is plugged in is noted before, what is pulled out after it."""
        machine, field = self._machine(engine), self.field(change.field)
        with self._speaking(engine) as monitor:
            started = self._canonical((machine.load(machine.started) or {"options": {}})["options"])
            now, _facts = self._running(monitor, started, {})
            if field.name == "balloon":
                monitor.execute("balloon", value=plan.want["balloon"])
                self._note(machine, {**started, "balloon": plan.want["balloon"]})
                return
            key = str(change.key)
            rows = dict(field.keyed(now[field.name] or ()))
            had, row = rows.pop(key, None), field.keyed(plan.want[field.name]).get(key)
            if had is None and row is None:  # somebody else was faster
                return
            after = rows if row is None else {**rows, key: row}
            noted = {**started, field.name: tuple(after[one] for one in sorted(after, key=_in_order))}
            if had is None:
                self._note(machine, noted)
            slots = qemu_live.places(monitor, started.get("machine", "q35"))["slots"]
            act = self._drive if field.name == "drives" else self._network
            act(monitor, key, had, row, slots)
            self._note(machine, noted)

    def _drive(self, monitor: Monitor, key: str, had: Any, row: Any, slots: list[str]) -> None:
        if had is None:
            qemu_live.plug_drive(monitor, row, slots)
        elif row is None:
            progress.say(f"waiting for the guest to let go of {key}")
            qemu_live.pull(monitor, f"disk-{mark(had)}", self.spec["timeout"])
        else:
            qemu_live.change_medium(monitor, row)

    def _network(self, monitor: Monitor, key: str, had: Any, row: Any, slots: list[str]) -> None:
        place = int(key)
        if had is None:
            qemu_live.plug_network(monitor, place, row, self.name, slots)
        elif row is None:
            progress.say("waiting for the guest to let go of a network card")
            qemu_live.pull_network(monitor, place, self.spec["timeout"])
        else:
            qemu_live.change_forwards(monitor, place, had.get("forwards", ()), row.get("forwards", ()))

    def _note(self, machine: Machine, values: Mapping[str, Any]) -> None:
        started = machine.load(machine.started) or {"owner": ""}
        machine.save(machine.started, {**started, "options": self._shown(values)})

    def _keep(self, engine: str, tags: Iterable[str]) -> None:
        """Have the running VM keep exactly these snapshots."""
        with self._speaking(engine) as monitor:
            wanted, there = set(tags), set(_tags(monitor.human("info snapshots")))
            for tag in sorted(there - wanted):
                progress.say(f"removing the snapshot {tag}")
                monitor.human(f"delvm {tag}")
            for tag in sorted(wanted - there):
                progress.say(f"taking the snapshot {tag}")
                monitor.human(f"savevm {tag}")

    def explain(self, engine: str, state: State) -> str:
        return "; ".join((files.read(self._machine(engine).log) or "").strip().splitlines()[-3:])

    def stop(self, engine: str, plan: Plan) -> None:
        progress.say("waiting for the guest to power off")
        told = self.spec
        if self.target == "absent" and all(self.options[one] == self._presets[one] for one in ("force", "timeout")):
            told = self.former().spec  # what a stack prunes was declared so before
        self._machine(engine).power_down(told["force"], told["timeout"])

    def remove(self, engine: str, plan: Plan) -> None:
        if plan.state.status == "running":
            self.stop(engine, plan)
        if plan.state.facts.get("unit"):
            qemu_run.drop(self._machine(engine))
        self._machine(engine).remove()


def _tags(told: str) -> tuple[str, ...]:
    """The tags in the monitor's table of snapshots: a row is an id, a tag, a size, a date."""
    rows = [line.split() for line in told.splitlines()]
    return tuple(sorted(row[1] for row in rows if len(row) > 4 and (row[0] == "--" or row[0].isdigit())))


def _files(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What it is made of on the host, by the options that name it."""
    drives = [("drives.file", row["file"]) for row in values.get("drives") or () if row.get("file")]
    shares = [("filesystems.path", row["path"]) for row in values.get("filesystems") or ()]
    return [*drives, *shares, *((option, values[option]) for option in ("kernel", "initrd") if values.get(option))]


def _disks(values: Mapping[str, Any]) -> list[str]:
    """The disks that can hold snapshots."""
    drives = values.get("drives") or ()
    return [one["file"] for one in drives if one["format"] == "qcow2" and one.get("file") and not one.get("readonly")]


def _snapshots(path: str) -> tuple[str, ...]:
    image = qcow2.read(path)
    return image.snapshots if image else ()


def _kept(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The snapshots of a VM that doesn't run: those that its first disk has, which holds the memory, too."""
    disks = _disks(values)
    return tuple(sorted(_snapshots(disks[0]))) if disks else ()


def _in_order(key: str) -> tuple[int, str]:
    """Keys of rows: numbers by their value, as places in a list are."""
    return (int(key) if key.isdigit() else 0, key)
