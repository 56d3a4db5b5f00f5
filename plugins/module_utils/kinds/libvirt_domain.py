# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains of libvirt: virtual machines, by the leaves of their XML that are declared."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import policy
from ..core.codec import BOOL, INT, LINE, PATH, TEXT
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Layer, Plan, State
from ..core.resource import Thing
from ..core.waiting import until
from ..engines import domain_xml
from ..engines.domain_xml import MEMORY, NAMESPACE, VCPUS, ConsoleLog, Disks, Leaf, Networks, Now
from ..engines.libvirt import DEFAULT, Domain, Host
from . import libvirt_devices
from .libvirt_fields import DISK, GUEST_MEMORY, NETWORK, at_least_one, disk_key, network_key, ordered
from .libvirt_stored import StoredXml

_BALLOON_STILL = 2.0  # seconds without an answer; QEMU reports a moving balloon once a second


class LibvirtDomain(StoredXml):
    kind = "libvirt_domain"
    rank = 60
    layered = True
    states = {
        "running": "running",
        "shutdown": "stopped",
        "destroyed": "stopped",
        "present": None,
        "absent": "absent",
        "undefined": "absent",
    }
    busy = frozenset({"running", "paused", "suspended"})
    moves = {
        ("stopped", "running"): ("start",),
        ("running", "stopped"): ("stop",),
        ("paused", "running"): ("resume",),
        ("paused", "stopped"): ("stop",),
        ("suspended", "running"): ("wake",),
        ("suspended", "stopped"): ("stop",),
        ("crashed", "running"): ("destroy", "start"),
        ("crashed", "stopped"): ("destroy",),
    }
    fields = (
        policy.name(),
        policy.state("running", "shutdown", "destroyed", "present", "absent", "undefined"),
        policy.restart(),
        policy.timeout(60),
        Field("force", BOOL, role=Role.POLICY),
        Field("uri", LINE, role=Role.CONNECT, given=DEFAULT),
        Field("domain_type", TEXT, Leaf("", "type"), Effect.RESTART, choices=("auto", "kvm", "qemu"), default="auto"),
        Field("memory", GUEST_MEMORY, Now(*MEMORY), Effect.LIVE),
        Field("memory_max", GUEST_MEMORY, MEMORY[1], Effect.RESTART),
        Field("vcpus", INT, Now(*VCPUS), Effect.LIVE, default=1, check=at_least_one),
        Field("vcpus_max", INT, VCPUS[1], Effect.RESTART, check=at_least_one),
        Field("kernel", PATH, Leaf("os/kernel"), Effect.RESTART),
        Field("initrd", PATH, Leaf("os/initrd"), Effect.RESTART),
        Field("cmdline", LINE, Leaf("os/cmdline"), Effect.RESTART),
        Field("disks", ordered(disk_key, *DISK), Disks("disk", DISK, disk_key), Effect.LIVE, default=()),
        Field(
            "networks",
            ordered(network_key, *NETWORK),
            Networks("interface", NETWORK, network_key),
            Effect.LIVE,
            default=(),
        ),
        Field("console_log", PATH, ConsoleLog(), Effect.RESTART),
        Field("autostart", BOOL, effect=Effect.NEXT_BOOT, default=False),
    )

    def check(self) -> None:
        for row in self.spec.get("networks", ()):
            if ("network" in row) == ("bridge" in row):
                raise StrataError("names either a network or a bridge", option="networks", value=row)
        for option, what in (("disks", "file"), ("disks", "target"), ("networks", "mac")):
            values = [row[what] for row in self.spec.get(option, ()) if what in row]
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise StrataError(f"names {', '.join(twice)} twice", option=f"{option}.{what}")
        for option in ("memory", "vcpus"):
            most, now = self.spec.get(f"{option}_max"), self.spec.get(option)
            if most is not None and now is not None and most < now:
                raise StrataError(f"is less than {option}", option=f"{option}_max", value=self.options[f"{option}_max"])

    # Reading.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> Host:
        return Host(spec.get("uri") or DEFAULT)

    @classmethod
    def read_many(cls, engine: Host, names: Iterable[str] | None) -> dict[str, State]:
        wanted = None if names is None else set(names)
        return {domain.name: cls.state_of(domain) for domain in engine.domains(wanted)}

    @classmethod
    def state_of(cls, domain: Domain) -> State:
        """What a domain's XML says, in canonical values."""
        stored = domain_xml.parse(domain.stored)
        config = {field.name: field.at.get(stored) for field in cls.fields if field.at}
        config["autostart"] = domain.autostart
        machine = stored.find("os/type")
        facts: dict[str, Any] = {
            "uuid": stored.findtext("uuid"),
            "machine": None if machine is None else machine.get("machine"),
        }
        live = None
        if domain.running is not None:
            root = domain_xml.parse(domain.running)
            live = {field.name: field.at.get(root) for field in cls.fields if field.at}
            live["memory"] = domain_xml.running_memory(root)
            facts.update(domain_xml.running_facts(root))
        marked = domain_xml.mark(stored)
        owner = None if marked is None else marked.get("owner")
        return State(domain.status, config, live, facts, owner)

    @classmethod
    def reached(cls, engine: Host, name: str, state: State) -> dict[str, Any]:
        rows = state.config.get("networks") or ()
        names = [row.get("network") or row.get("bridge") for row in rows]
        return {
            "addresses": [] if state.live is None else engine.addresses(name),
            "networks": [name for name in dict.fromkeys(names) if name],
        }

    def files(self) -> list[tuple[str, str]]:
        disks = [("disks.file", row["file"]) for row in self.spec.get("disks", ())]
        return disks + [(option, self.spec[option]) for option in ("kernel", "initrd") if option in self.spec]

    def needs(self) -> list[Thing]:
        networks = [row["network"] for row in self.spec.get("networks", ()) if "network" in row]
        return [*super().needs(), *(("libvirt_network", name) for name in networks)]

    def observe(self, engine: Host, state: State) -> State:
        if self.target == "absent":
            return state
        facts = {
            **state.facts,
            "kvm": engine.accelerated(),
            "missing": self.missing(),
            "seed": libvirt_devices.seed(),
        }
        if any("network" in row for row in self.spec.get("networks", ())):
            promised = {name: True for sort, name in self.promised if sort == "libvirt_network"}
            facts["networks"] = {**engine.networks(), **promised}
        return replace(state, facts=facts)

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        tied = {f"{option}_max" for option in ("memory", "vcpus")}
        tied = {most for most in tied if state.config.get(most) == state.config.get(most.replace("_max", ""))}
        return super().export(name, replace(state, config={**state.config, **dict.fromkeys(tied)}))

    # Planning.

    def settings(self, state: State) -> dict[str, Any]:
        values = super().settings(state)
        if values.get("domain_type") == "auto" or (not state.exists and "domain_type" not in values):
            values["domain_type"] = "kvm" if state.facts.get("kvm") else "qemu"
        if not state.exists and "memory" not in values:
            raise StrataError("is needed to make a domain", option="memory", hint="Write memory: 1G")
        for option in ("memory", "vcpus"):
            now = values.get(option, state.config.get(option, 1))
            most = values.get(f"{option}_max")
            if most is not None and now is not None and most < now:
                raise StrataError(f"is less than {option}", option=f"{option}_max", value=most)
            if f"{option}_max" in values and most is None:  # it was declared, and no longer is
                values[f"{option}_max"] = now
        if values.get("disks"):
            values["disks"] = libvirt_devices.disks(values["disks"], state)
        if values.get("networks"):
            values["networks"] = libvirt_devices.networks(values["networks"], state, self.name)
        return values

    def plan(self, state: State) -> Plan:
        if self.target != "absent":
            self._check_surroundings(state)
        return super().plan(state)

    def _check_surroundings(self, state: State) -> None:
        for option, path in state.facts.get("missing", ()):
            way_out = "Make it first, as with qemu-img create -f qcow2 FILE 20G, or correct the path"
            if not option.startswith("disks"):
                way_out = "Correct the path"
            raise StrataError("there is no such file on this host", option=option, value=path, hint=way_out)
        networks = state.facts.get("networks", {})
        here = {row.get("network") for row in (state.live or {}).get("networks", ())}
        for name in [row["network"] for row in self.spec.get("networks", ()) if "network" in row]:
            if name not in networks:
                known = ", ".join(sorted(networks)) or "none"
                hint = f"Define it first; there are: {known}"
            elif networks[name] or name in here or (self.target != "running" and state.live is None):
                continue
            else:
                hint = f"Start it: virsh net-start {name}, and virsh net-autostart {name} for the next boot"
            what = "is a network that is not active" if name in networks else "is no network of libvirt's"
            raise StrataError(what, option="networks.network", value=name, hint=hint)

    def cost(self, change: Change, state: State) -> Effect:
        facts = state.facts
        if change.field == "memory":
            within = self.field("memory").codec.parse(change.after) <= facts["memory_most"]
            return Effect.LIVE if within and facts["balloon"] else Effect.RESTART
        if change.field == "vcpus":
            return Effect.LIVE if facts["vcpus_fixed"] <= change.after <= facts["vcpus_most"] else Effect.RESTART
        if change.field == "disks":
            row = change.after if change.before is None else change.before
            plugged = change.before is None or change.after is None
            return Effect.LIVE if plugged and row.get("bus", "virtio") == "virtio" else Effect.RESTART
        if change.field == "networks" and change.before is not None and change.after is not None:
            moved = {name for name in change.after if change.after[name] != change.before.get(name)}
            return Effect.LIVE if moved <= {"network", "bridge"} else Effect.RESTART
        return change.effect

    # Doing.

    def create(self, engine: Host, plan: Plan) -> None:
        root = domain_xml.parse(domain_xml.SKELETON)
        domain_xml.child(root, "name").text = self.name
        ET.SubElement(domain_xml.child(root, "metadata"), domain_xml.MARK, {"owner": self.owner})
        self._put(root, plan.want)
        engine.define(domain_xml.text_of(root))
        lost = self._lost(engine, plan.want)
        if lost:
            engine.undefine(self.name)
            raise StrataError(f"libvirt dropped {lost} while it stored the domain; it was not made")
        if plan.want.get("autostart"):
            engine.set_autostart(self.name, True)

    def _put(self, root: ET.Element, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if self.field(name).at:
                self.field(name).at.put(root, value)

    def update(self, engine: Host, plan: Plan) -> None:
        due = [change for change in plan.changes if change.layer is Layer.LIVE and change.effect is Effect.LIVE]
        # What goes makes room for what comes.
        for change in sorted(due, key=lambda change: change.after is not None):
            if change.field == "memory":
                self._balloon(engine, plan.want["memory"])
            elif change.field == "vcpus":
                engine.set_vcpus(self.name, plan.want["vcpus"])
            elif change.key is not None:
                self._plug(engine, change)

    def _balloon(self, engine: Host, size: int) -> None:
        """Ask the guest for memory, see whether it answers, and note both: a guest without a driver never does.

        What was asked can't be read back from libvirt or QEMU, only what the guest did.
        """
        engine.set_memory(self.name, size // 1024)
        stayed, since = self._actual(engine), time.monotonic()
        while stayed != size and time.monotonic() - since < _BALLOON_STILL:
            time.sleep(0.1)
            now = self._actual(engine)
            if now != stayed:
                stayed, since = now, time.monotonic()
        attributes = {"asked": str(size // 1024), "stayed": str(stayed // 1024)}
        running = engine.running(self.name)
        noted = None if running is None else domain_xml.mark(domain_xml.parse(running))
        if noted is not None and "owner" in noted.attrib:
            attributes["owner"] = noted.attrib["owner"]
        text = domain_xml.text_of(ET.Element("strata", attributes))
        engine.note(self.name, text, "strata", NAMESPACE)

    def _actual(self, engine: Host) -> int:
        running = engine.running(self.name)
        if running is None:
            raise StrataError("stopped running while its memory was changed")
        return int(self.field("memory").at.get(domain_xml.parse(running)))

    def _plug(self, engine: Host, change: Change) -> None:
        """Attach, detach or change one device of the running domain."""
        devices, key = self.field(change.field).at, str(change.key)
        live = domain_xml.parse(engine.running(self.name) or domain_xml.SKELETON)
        stored = domain_xml.parse(engine.stored(self.name))
        if change.after is None:
            element = devices.find(live, key)
            if element is not None:
                engine.detach(self.name, domain_xml.text_of(element))
                self._wait_detached(engine, change, key)
        elif change.before is None:
            element = devices.find(stored, key)
            address = element.find("address")
            if address is not None and domain_xml.same_address(live, address):
                element.remove(address)
            engine.attach(self.name, domain_xml.text_of(element))
        else:
            element = devices.find(live, key)
            devices.patch(live, element, self.field(change.field).keyed(devices.get(stored))[key])
            engine.change(self.name, domain_xml.text_of(element))

    def _wait_detached(self, engine: Host, change: Change, key: str) -> None:
        devices = self.field(change.field).at

        def gone() -> bool:
            running = engine.running(self.name)
            return running is None or devices.find(domain_xml.parse(running), key) is None

        try:
            until(gone, f"the guest to let go of {change.name}", self.spec["timeout"])
        except StrataError as error:
            error.hint = "A guest that takes no ACPI requests keeps them until it stops: restart: always"
            raise

    def start(self, engine: Host, plan: Plan) -> None:
        engine.start(self.name)
        size = plan.want.get("memory")
        if size is not None and self._actual(engine) != size:  # it starts with its maximum, and gives the rest back
            self._balloon(engine, size)

    def resume(self, engine: Host, plan: Plan) -> None:
        engine.resume(self.name)

    def wake(self, engine: Host, plan: Plan) -> None:
        engine.wake(self.name)

    def destroy(self, engine: Host, plan: Plan) -> None:
        engine.destroy(self.name)

    def stop(self, engine: Host, plan: Plan) -> None:
        if self.spec.get("state") == "destroyed" or plan.state.status != "running":
            engine.destroy(self.name)  # what is paused can't answer
            return
        engine.shutdown(self.name)
        try:
            until(lambda: engine.running(self.name) is None, "the guest to shut down", self.spec["timeout"])
        except StrataError as error:
            if not self.spec.get("force"):
                error.option = "timeout"
                error.hint = "One that takes no ACPI requests never does; force: true turns it off after the timeout"
                raise
            engine.destroy(self.name)

    def remove(self, engine: Host, plan: Plan) -> None:
        engine.destroy(self.name)
        engine.undefine(self.name)
