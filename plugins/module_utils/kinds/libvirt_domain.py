# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains of libvirt: virtual machines, by the leaves of their XML that are declared."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import policy
from ..core.codec import BOOL, INT, LINE, PATH, SECONDS, TEXT, WORDS
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Plan, State
from ..core.resource import Thing
from ..engines import domain_xml
from ..engines.domain_xml import MEMORY, VCPUS, ConsoleLog, Leaf, Now
from ..engines.libvirt import Domain, Host
from ..engines.libvirt_uri import DEFAULT
from . import libvirt_domain_cpu as cpus
from . import libvirt_domain_devices as devices
from . import libvirt_domain_disks as disks
from . import libvirt_domain_machine as machines
from . import libvirt_domain_networks as networks
from . import libvirt_domain_os as systems
from . import libvirt_domain_seed as seeds
from . import libvirt_domain_xml as xml
from .libvirt_domain_fields import GUEST_MEMORY, at_least_one
from .libvirt_domain_live import WAITS, RunningDomain


def _waits(words: tuple[str, ...]) -> None:
    wrong = sorted(set(words) - set(WAITS))
    if wrong:
        raise ValueError(f"has {', '.join(wrong)}: write {', '.join(WAITS)}")


class LibvirtDomain(xml.DomainXml, RunningDomain):
    kind = "libvirt_domain"
    rank = 60
    layered = True
    states = {
        "running": "running",
        "shutdown": "stopped",
        "destroyed": "stopped",
        "paused": "paused",
        "saved": "saved",
        "present": None,
        "absent": "absent",
        "undefined": "absent",
    }
    busy = frozenset({"running", "paused", "suspended"})
    moves = {
        ("stopped", "running"): ("start",),
        ("stopped", "paused"): ("start_paused",),
        ("stopped", "saved"): ("start", "save"),
        ("running", "stopped"): ("stop",),
        ("running", "paused"): ("pause",),
        ("running", "saved"): ("save",),
        ("paused", "running"): ("resume",),
        ("paused", "stopped"): ("stop",),
        ("paused", "saved"): ("save",),
        ("saved", "running"): ("start",),
        ("saved", "paused"): ("start_paused",),
        ("saved", "stopped"): ("stop_saved",),
        ("suspended", "running"): ("wake",),
        ("suspended", "paused"): ("wake", "pause"),
        ("suspended", "saved"): ("wake", "save"),
        ("suspended", "stopped"): ("stop",),
        ("crashed", "running"): ("destroy", "start"),
        ("crashed", "paused"): ("destroy", "start_paused"),
        ("crashed", "saved"): ("destroy", "start", "save"),
        ("crashed", "stopped"): ("destroy",),
    }
    fields = (
        policy.name(),
        policy.state("running", "shutdown", "destroyed", "paused", "saved", "present", "absent", "undefined"),
        policy.restart(),
        policy.timeout(60),
        Field("force", BOOL, role=Role.POLICY),
        Field("wait_for", WORDS, role=Role.POLICY, check=_waits),
        Field("wait_timeout", SECONDS, role=Role.POLICY, given="300"),
        Field("uri", LINE, role=Role.CONNECT, given=DEFAULT),
        Field("domain_type", TEXT, Leaf("", "type"), Effect.RESTART, choices=("auto", "kvm", "qemu"), default="auto"),
        systems.FIELD,
        Field("memory", GUEST_MEMORY, Now(*MEMORY), Effect.LIVE),
        Field("memory_max", GUEST_MEMORY, MEMORY[1], Effect.RESTART, aliases=("max_memory",)),
        Field("vcpus", INT, Now(*VCPUS), Effect.LIVE, default=1, check=at_least_one),
        Field("vcpus_max", INT, VCPUS[1], Effect.RESTART, check=at_least_one, aliases=("max_vcpus",)),
        *cpus.FIELDS,
        *machines.FIELDS,
        disks.FIELD,
        seeds.FIELD,
        networks.FIELD,
        Field("console_log", PATH, ConsoleLog(), Effect.RESTART),
        *devices.FIELDS,
        Field("autostart", BOOL, effect=Effect.NEXT_BOOT, default=False),
        xml.FIELD,
    )

    def check(self) -> None:
        disks.check(self.spec.get("disks", ()))
        networks.check(self.spec.get("networks", ()))
        for option, what in (("disks", "file"), ("disks", "target"), ("networks", "mac")):
            values = [row[what] for row in self.spec.get(option, ()) if what in row]
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise StrataError(f"names {', '.join(twice)} twice", option=f"{option}.{what}")
        for option in ("memory", "vcpus"):
            most, now = self.spec.get(f"{option}_max"), self.spec.get(option)
            if most is not None and now is not None and most < now:
                raise StrataError(f"is less than {option}", option=f"{option}_max", value=self.options[f"{option}_max"])
        for part in (cpus, machines, devices):
            part.check(self.spec)
        self._check_waits()

    def _check_waits(self) -> None:
        rows = self.spec.get("networks")
        for word in self.spec.get("wait_for", ()):
            if word == "lease" and rows is not None and not any("network" in row for row in rows):
                raise StrataError(
                    "lease comes from a network of libvirt's, and it has a card on none", option="wait_for"
                )
            if word != "lease" and self.spec.get("guest_agent") is False:
                raise StrataError(
                    f"{word} is told by the guest agent", option="wait_for", hint="Write guest_agent: true"
                )

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
        config = cls.values(stored, autostart=domain.autostart)
        machine = stored.find("os/type")
        facts: dict[str, Any] = {
            "uuid": stored.findtext("uuid"),
            "machine": None if machine is None else machine.get("machine"),
        }
        root = live = None
        if domain.running is not None:
            root = domain_xml.parse(domain.running)
            cpu = cls.field("cpu").at.running(root, config["cpu"])
            live = cls.values(root, memory=domain_xml.running_memory(root), cpu=cpu)
            facts.update(domain_xml.running_facts(root))
        marked = domain_xml.mark(stored)
        owner = None if marked is None else marked.get("owner")
        return State(domain.status, config, live, facts, owner, document=(stored, root))

    @classmethod
    def reached(cls, engine: Host, name: str, state: State) -> dict[str, Any]:
        rows = state.config.get("networks") or ()
        names = [row.get("network") or row.get("bridge") for row in rows]
        return {
            "addresses": [] if state.live is None else engine.addresses(name),
            "networks": [name for name in dict.fromkeys(names) if name],
        }

    def files(self) -> list[tuple[str, str]]:
        named = [("disks.file", row["file"]) for row in self.spec.get("disks", ()) if "file" in row]
        named += [("filesystems.source", row["source"]) for row in self.spec.get("filesystems", ())]
        return named + [(option, self.spec[option]) for option in ("kernel", "initrd") if option in self.spec]

    def _volumes(self) -> list[tuple[str, str]]:
        return [(row["pool"], row["volume"]) for row in self.spec.get("disks", ()) if "volume" in row]

    @property
    def _promised_volumes(self) -> set[str]:
        """Those of its disks that come before it in its stack."""
        promised = {name for sort, name in self.promised if sort == "libvirt_volume"}
        return promised.intersection(f"{pool}/{volume}" for pool, volume in self._volumes())

    def needs(self) -> list[Thing]:
        nets = [row["network"] for row in self.spec.get("networks", ()) if "network" in row]
        volumes = [("libvirt_volume", f"{pool}/{volume}") for pool, volume in self._volumes()]
        return [*super().needs(), *volumes, *(("libvirt_network", name) for name in nets), *self.xml_needs()]

    def observe(self, engine: Host, state: State) -> State:
        state = super().observe(engine, state)
        if self.target == "absent":
            return state
        facts = {
            **state.facts,
            "kvm": engine.accelerated(),
            "missing": self.missing(),
            "seed": networks.seed(),
        }
        if any("network" in row for row in self.spec.get("networks", ())):
            promised = {name: True for sort, name in self.promised if sort == "libvirt_network"}
            facts["networks"] = {**engine.networks(), **promised}
        if "cpu_tune" in self.spec:
            facts["cpus"] = engine.cpus()
        facts["volumes"] = disks.found(engine, self._volumes(), state)
        facts["no_volumes"] = [
            (pool, volume)
            for pool, volume in self._volumes()
            if facts["volumes"][f"{pool}/{volume}"] is None and f"{pool}/{volume}" not in self._promised_volumes
        ]
        if "os_variant" in self.spec:
            facts["system"] = systems.told(self.spec["os_variant"], state.config.get("os_variant"))
            facts["q35"] = None if state.exists else engine.machine("q35", "qemu")
        if "machine" in self.spec:
            facts["newest"] = self._newest(engine, state)
        if state.live is None and self.target in ("running", "paused", "saved"):
            facts["baseless"] = disks.baseless(self.spec.get("disks", ()), self.promised)
        config = state.config
        if state.exists and "cloud_init" in self.spec:
            used = [layer.get("cloud_init") for layer in (config, state.live or {})]
            if not seeds.whole(self.name, used[0]) or seeds.stale(self.name, used):
                # It names a seed that isn't there, or left another one behind.
                config = {**config, "cloud_init": None}
        return replace(state, config=config, facts=facts)

    def _newest(self, engine: Host, state: State) -> str | None:
        wanted: str = self.spec["machine"]
        there: str | None = state.config.get("machine")
        kept = machines.machine(wanted, there, None)
        return there if kept == there else engine.machine(wanted, "qemu")

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        tied = {f"{option}_max" for option in ("memory", "vcpus")}
        tied = {most for most in tied if state.config.get(most) == state.config.get(most.replace("_max", ""))}
        options = super().export(name, replace(state, config={**state.config, **dict.fromkeys(tied)}))
        for row in options.get("graphics", ()):
            row.pop("password", None)  # nobody's to read
        return options

    # Planning.

    def settings(self, state: State) -> dict[str, Any]:
        values, system = super().settings(state), systems.of(state.facts)
        if system is not None and values.get("os_variant"):
            values["os_variant"] = system.id
        if not state.exists and "xml" not in self.spec:
            values = systems.completed(values, state.facts)
        typed = "domain_type" in values or "@type" in values.get("xml", ())
        if values.get("domain_type") == "auto" or not (state.exists or typed):
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
        if values.get("memory", "") is None:
            del values["memory"]  # there is none without
        if values.get("machine", "") is None:
            del values["machine"]  # another one would take other devices, too
        if values.get("machine"):
            values["machine"] = machines.machine(
                values["machine"], state.config.get("machine"), state.facts.get("newest")
            )
        machine = values.get("machine") or state.config.get("machine")
        if values.get("disks"):
            rows = disks.by_path(values["disks"], state.facts.get("volumes", {}))
            values["disks"] = disks.completed(rows, state, systems.bus(system, str(machine)))
        if values.get("networks"):
            values["networks"] = networks.completed(values["networks"], state, self.name, systems.card(system))
        return values

    def advice(self, plan: Plan) -> list[str]:
        return systems.advice(plan)

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
        for path, below in state.facts.get("baseless", ()):
            hint = "Bring that back, or give the disk another base: qemu-img rebase -u -b BASE -F FORMAT FILE"
            raise StrataError(f"lies on {below}, which is gone", option="disks.file", value=path, hint=hint)
        for pool, volume in state.facts.get("no_volumes", ()):
            hint = f"Make it first, as with libvirt_volume, or see what there is: virsh vol-list {pool}"
            raise StrataError(
                f"there is no such volume in the pool {pool}", option="disks.volume", value=volume, hint=hint
            )
        if "machine" in self.spec and not state.facts.get("newest", True):
            raise StrataError(
                "is no machine of this host's QEMU",
                option="machine",
                value=self.spec["machine"],
                hint="See what there is: virsh domcapabilities, qemu-system-x86_64 -machine help",
            )
        self.check_hypervisor(state)
        cpus.check_pins(self.spec, state)
        devices.check_shared(self.spec, state)
        self._check_networks(state)

    def _check_networks(self, state: State) -> None:
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
        if change.field == "xml":
            return self.xml_cost(change, state)
        if change.field == "memory":
            within = self.field("memory").codec.parse(change.after) <= facts["memory_most"]
            return Effect.LIVE if within and facts["balloon"] else Effect.RESTART
        if change.field == "vcpus":
            return Effect.LIVE if facts["vcpus_fixed"] <= change.after <= facts["vcpus_most"] else Effect.RESTART
        part = {"disks": disks, "networks": networks, "cpu_tune": cpus, "iothreads": cpus}.get(change.field)
        if part is None and change.field in ("hostdevs", "channels", "graphics"):
            part = devices
        return change.effect if part is None else part.cost(change, state)

    # Doing.

    def perform(self, engine: Host, step: str, plan: Plan) -> None:
        if self._promised_volumes and engine.by_path:  # they were made meanwhile
            plan = self.plan(self.observe(engine, plan.state))
        super().perform(engine, step, plan)

    def create(self, engine: Host, plan: Plan) -> None:
        self._seed()
        given = self.document()
        root = domain_xml.parse(domain_xml.SKELETON) if given is None else given
        domain_xml.child(root, "name").text = self.name
        domain_xml.marked(root).set("owner", self.owner)
        self._put(root, plan.want)
        system = systems.of(plan.state.facts)
        if given is None and system is not None and "usb_tablet" in system.has:
            systems.tablet(root)
        engine.define(domain_xml.text_of(root))
        lost = self._lost(engine, plan.want)
        if lost:
            engine.undefine(self.name)
            raise StrataError(f"libvirt dropped {lost} while it stored the domain; it was not made")
        if plan.want.get("autostart"):
            engine.set_autostart(self.name, True)

    def configure(self, engine: Host, plan: Plan) -> None:
        self._seed()
        super().configure(engine, plan)
        self.came_back(engine, plan)
        self._tidy(engine)

    def _seed(self) -> None:
        if "cloud_init" in self.spec:
            seeds.write(self.name, self.options["cloud_init"])

    def _tidy(self, engine: Host) -> None:
        """Take away the seeds that neither what is stored nor what runs names any more."""
        if seeds.stale(self.name, ()):
            texts = filter(None, (engine.stored(self.name), engine.running(self.name)))
            seeds.remove(self.name, [self.field("cloud_init").at.get(domain_xml.parse(text)) for text in texts])

    def _put(self, root: ET.Element, values: Mapping[str, Any]) -> None:
        super()._put(root, values)
        self.finish(root, values)
        # libvirt takes either an order of sorts of devices, or one of devices.
        if values.get("boot"):
            for device in root.iterfind("devices/*"):
                for order in device.findall("boot"):
                    device.remove(order)
        elif root.find("devices/*/boot") is not None:
            self.field("boot").at.put(root, None)

    def start(self, engine: Host, plan: Plan) -> None:
        super().start(engine, plan)
        self._tidy(engine)

    def remove(self, engine: Host, plan: Plan) -> None:
        engine.destroy(self.name)
        engine.undefine(self.name)
        seeds.remove(self.name, ())
