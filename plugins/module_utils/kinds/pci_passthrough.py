# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PCI devices handed over to virtual machines: which driver has them now, beside what a unit does at boot."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import files, policy
from ..core.codec import BOOL, Codec, parse_int
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Layer, Plan, State
from ..core.resource import Resource
from ..engines import pcifs, systemd
from . import pci_passthrough_unit as at_boot

VFIO = "vfio-pci"
# Those that leave a device alone, so that the rest of its group may be used (Documentation/driver-api/vfio.rst).
_HARMLESS = frozenset({"", VFIO, "pci-stub"})
_NOTES = "/run/strata/pci"
_ADDRESS = re.compile(r"(?:([0-9a-f]{4}):)?([0-9a-f]{2}:[01][0-9a-f]\.[0-7])")


def _parse_address(value: Any) -> str:
    found = _ADDRESS.fullmatch(str(value).lower())
    if found is None:
        raise ValueError("is no PCI address: write it as lspci does, 0000:01:00.0 or 01:00.0")
    return f"{found.group(1) or '0000'}:{found.group(2)}"


def _parse_driver(value: Any) -> str:
    if value and not re.fullmatch(r"[A-Za-z0-9_-]+", str(value)):
        raise ValueError("is no name of a driver")
    return str(value)


def _parse_functions(value: Any) -> int:
    count = parse_int(value)
    if count < 0:
        raise ValueError("must be 0 or more")
    return count


def _handed(device: pcifs.Device) -> str:
    """The driver that a device was handed over to; empty where the host has it."""
    return device.driver if device.driver and device.driver in (VFIO, device.override) else ""


class PciPassthrough(Resource):
    kind = "pci_passthrough"
    identity = "address"
    sample = "0000:00:00.0"
    rank = 10
    layered = True
    states = {"present": "present", "absent": "absent"}
    busy = frozenset({"present"})
    fields = (
        Field("address", Codec(_parse_address), role=Role.NAME, required=True),
        policy.state("present", "absent"),
        Field("driver", Codec(_parse_driver), effect=Effect.LIVE, default=""),
        Field("group", BOOL, role=Role.POLICY, given=False),
        Field("together", Codec(tuple, "list", list), role=Role.DERIVED, effect=Effect.LIVE, default=()),
        Field("functions", Codec(_parse_functions, "int"), effect=Effect.LIVE, default=0),
        Field("persistent", BOOL, effect=Effect.NEXT_BOOT, default=False),
    )

    # What was declared.

    def check(self) -> None:
        if self.spec.get("driver") and self.spec.get("functions"):
            raise StrataError(
                "goes without driver: a device is divided by the host's own driver",
                option="functions",
                hint="Hand over its functions, each by its address",
            )

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> None:
        return None

    # Reading: a handful of sysfs's files, a note and a unit's file a device.

    @classmethod
    def read_many(cls, engine: None, names: Iterable[str] | None) -> dict[str, State]:
        return {name: cls._read(name) for name in (names or sorted({*pcifs.names(), *at_boot.names()}))}

    @classmethod
    def _read(cls, name: str) -> State:
        device = pcifs.read(name)
        kept = at_boot.read(name)
        note = json.loads(files.read(f"{_NOTES}/{name}") or "{}")
        facts: dict[str, Any] = {"unit": None if kept is None else at_boot.unit(name)}
        live: dict[str, Any] | None = None
        if device is not None:
            beside = {one.address: one for one in map(pcifs.read, device.beside) if one is not None}
            facts |= {
                "driver": device.driver,
                "iommu_group": device.group,
                "beside": {address: one.driver for address, one in beside.items()},
                "functions": pcifs.functions(name) if device.functions else [],
                "functions_most": device.most,
                "bridge": device.bridge,
            }
            driver = _handed(device)
            together = tuple(address for address, one in beside.items() if driver and _handed(one) == driver)
            # A run was killed, or somebody took it back: then it is nobody's, or the host's.
            loose = note.get("driver") or device.override
            live = {"driver": driver or (f"{loose}, unbound" if loose else "")}
            live |= {"together": together, "functions": device.functions}
            facts["handed_over"] = note.get("together", [])
        if kept is None and not (live and (live["driver"] or live["functions"])):
            return State(facts=facts)
        if kept is None:
            config = {**(live or {}), "persistent": False}
            config["driver"] = config.get("driver", "").partition(",")[0]
            return State("present", config, live, facts, note.get("owner"))
        config, owner = kept
        config["together"] = tuple(facts.get("beside", ())) if config.pop("group", False) else ()
        facts["handed_over"] = sorted({*facts.get("handed_over", ()), *config["together"]})
        config["persistent"] = at_boot.enabled(name)
        return State("present", config, live, facts, owner)

    # Planning.

    def observe(self, engine: None, state: State) -> State:
        if not state.facts:
            state = self._read(self.name)
        if self.declared.get("persistent") and self.target != "absent":
            systemd.need("persistent")
        taken = {address: pcifs.read(address) for address in self._taken(state)}
        used = {address: pcifs.users(device) for address, device in taken.items() if device is not None}
        return replace(
            state, facts={**state.facts, "users": {address: users for address, users in used.items() if users}}
        )

    def _taken(self, state: State) -> list[str]:
        """The devices that are to change hands, and the functions that are to go."""
        live = state.live or {}
        if self.target == "absent":
            own = [self.name, *state.facts.get("handed_over", ())] if live.get("driver") else []
            return [*own, *state.facts.get("functions", ())]
        taken = []
        driver = self.declared.get("driver")
        if driver is not None and driver != live.get("driver", ""):
            taken += [self.name, *(state.facts.get("handed_over", ()) if not driver else ())]
        if driver and self.spec["group"]:
            taken += [one for one in state.facts.get("beside", ()) if one not in live.get("together", ())]
        if self.declared.get("functions", live.get("functions")) != live.get("functions"):
            taken += state.facts.get("functions", ())
        return taken

    def settings(self, state: State) -> dict[str, Any]:
        values = super().settings(state)
        facts = state.facts
        if "driver" not in facts:
            raise StrataError(
                "this host has no PCI device there", option="address", value=self.name, hint="lspci -D lists them"
            )
        if values.get("driver") and self.spec["group"]:
            values["together"] = tuple(facts["beside"])
        elif values.get("driver") == "":
            values["together"] = ()
        self._refuse(values, state)
        return values

    def _refuse(self, values: Mapping[str, Any], state: State) -> None:
        facts, driver = state.facts, values.get("driver")
        if driver and facts["bridge"]:
            raise StrataError("is a bridge, which goes with nobody", option="address", value=self.name)
        if driver == VFIO and not facts["iommu_group"]:
            raise StrataError(
                "needs an IOMMU, which keeps what a virtual machine does with a device away from the rest of the host",
                option="driver",
                value=driver,
                hint="Turn it on in the firmware (VT-d, AMD-Vi); host_info tells why there is none (gather: iommu)",
            )
        others = {address: other for address, other in facts["beside"].items() if other not in _HARMLESS}
        if driver == VFIO and others and not self.spec["group"]:
            listed = ", ".join(f"{address} ({other})" for address, other in sorted(others.items()))
            raise StrataError(
                f"shares its IOMMU group {facts['iommu_group']} with {listed}, which the host uses: "
                "a group goes as a whole",
                option="group",
                hint="Give group: true to hand all of it over, or put the card into another slot",
            )
        count = values.get("functions", 0)
        if count > facts["functions_most"]:
            most = facts["functions_most"]
            reason = f"can be divided into {most} virtual functions at most" if most else "can't be divided (SR-IOV)"
            raise StrataError(reason, option="functions", value=count)

    def keeps(self, state: State) -> bool:
        return bool(self.declared.get("persistent", state.facts.get("unit") is not None))

    def plan(self, state: State) -> Plan:
        if self.target != "absent" and not state.exists and not any(self.settings(state).values()):
            return Plan(state=state)
        plan = super().plan(state)
        for address, users in state.facts.get("users", {}).items() if plan else ():
            raise StrataError(
                f"{address} is in use: {', '.join(users)}",
                option="address",
                hint="A device is not taken from whoever uses it: take it down, unmount it, or stop the machine first",
            )
        # What the kernel doesn't do now isn't stored either.
        return replace(plan, steps=tuple(sorted(plan.steps, key=lambda step: step != "update")))

    # Doing.

    def _owner(self, plan: Plan) -> str | None:
        return plan.state.owner if plan.state.exists else self.owner

    def _note(self, plan: Plan, driver: str) -> None:
        """Whose it is, and what is to be taken back: that is noted before it is handed over, and until it is back."""
        together = {*plan.state.facts.get("handed_over", ()), *plan.want.get("together", ())} if driver else ()
        note = {"owner": self._owner(plan), "driver": driver, "together": sorted(together)}
        files.write(f"{_NOTES}/{self.name}", json.dumps(note, sort_keys=True) + "\n")

    def create(self, engine: None, plan: Plan) -> None:
        self._bring_in(plan.want, plan)
        if plan.want.get("persistent"):
            self._store(plan)

    def update(self, engine: None, plan: Plan) -> None:
        self._bring_in(plan.of(Layer.LIVE), plan)

    def _bring_in(self, values: Mapping[str, Any], plan: Plan) -> None:
        live = plan.state.live or {}
        had = str(plan.state.config.get("driver", ""))
        driver = str(plan.want.get("driver", had))
        self._note(plan, driver or had)
        if {"driver", "together"} & values.keys():
            if driver:
                pcifs.load(driver)
            for address in self._taken(plan.state):
                if address not in plan.state.facts["functions"]:
                    pcifs.hand_over(address, driver)
            self._note(plan, driver)
        if values.get("functions", live.get("functions", 0)) != live.get("functions", 0):
            pcifs.divide(self.name, values["functions"])

    def configure(self, engine: None, plan: Plan) -> None:
        if plan.want.get("persistent", True):
            self._store(plan)
        else:
            self._note(plan, str(plan.want.get("driver", plan.state.config.get("driver", ""))))
            at_boot.drop(self.name)

    def _store(self, plan: Plan) -> None:
        values = {**plan.state.config, **plan.want}
        together = [self.name, *values.get("together", ())]
        at_boot.store(self.name, at_boot.text(self.name, values, together, self._owner(plan)))

    def remove(self, engine: None, plan: Plan) -> None:
        """Give back what was handed over, and forget; the note of what that was goes last."""
        live = plan.state.live or {}
        if live.get("functions"):
            pcifs.divide(self.name, 0)
        for address in [*plan.state.facts.get("handed_over", ()), self.name]:
            device = pcifs.read(address)
            if device is not None and (device.override or not device.driver or _handed(device)):
                pcifs.hand_over(address, "")
        at_boot.drop(self.name)
        files.remove(f"{_NOTES}/{self.name}")
