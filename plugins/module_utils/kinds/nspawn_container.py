# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of systemd-nspawn, run by systemd's own template unit."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import files, hardening, policy
from ..core.codec import BOOL, TEXT, WORDS, Codec
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Change, Effect, Layer, Plan, State
from ..core.resource import Resource, Thing
from ..core.waiting import until
from ..engines import cgroupfs, cgroupstat, nspawn, nspawn_images, systemd
from ..engines.unitfile import UnitFile
from . import nspawn_hardening, nspawn_netns, nspawn_trees
from .nspawn_fields import KEYS
from .nspawn_settings import SETTINGS, folded, of_unit, patch, patch_settings, read_settings, read_unit_settings
from .nspawn_unit import ALLOW, LIMITS, devices, parse_machine, parsed, read_all, read_limits

_NOTES = "X-Strata"  # systemd leaves sections whose names begin with X- alone (systemd.unit(5))
_STATUS = {"active": "running", "reloading": "running", "activating": "starting", "deactivating": "stopping"}


class NspawnContainer(Resource):
    kind = "nspawn_container"
    rank = 50
    layered = True
    states = {"started": "running", "present": None, "stopped": "stopped", "absent": "absent"}
    moves = {
        ("stopped", "running"): ("start",),
        ("running", "stopped"): ("stop",),
        ("starting", "running"): ("start",),
        ("starting", "stopped"): ("stop",),
        ("stopping", "running"): ("stop", "start"),
        ("stopping", "stopped"): ("stop",),
    }
    fields = (
        policy.name(Codec(parse_machine)),
        policy.state("started", "present", "stopped", "restarted", "absent"),
        nspawn_trees.IMAGE,
        nspawn_trees.TREE,
        Field("enabled", BOOL, effect=Effect.NEXT_BOOT, default=False),
        *KEYS,
        *LIMITS,
        SETTINGS,
        Field("hardening", TEXT, role=Role.POLICY, choices=hardening.PROFILES),
        Field("hardening_exceptions", WORDS, role=Role.POLICY),
        policy.restart(),
        policy.timeout(120),
    )

    def __init__(
        self, options: Mapping[str, Any], *, owner: str = "", applied: Mapping[str, Any] | None = None
    ) -> None:
        try:
            given = folded(options)
            if given.get("state") == "restarted":
                given.update(state="started", restart="always")
            super().__init__(given, owner=owner, applied=folded(applied or {}))
        except StrataError as error:
            raise error.at(f"{self.kind}/{options.get('name')}") from None

    def check(self) -> None:
        spec = self.spec
        for option, what in (("network_bridge", "bridge"), ("network_zone", "zone")):
            if spec.get(option) and spec.get("network_veth") is False:
                raise StrataError(
                    f"can't be off: the {what} is reached through it",
                    option="network_veth",
                    hint=f"Leave network_veth out, or {option}",
                )
        if spec.get("network_bridge") and spec.get("network_zone"):
            raise StrataError("can't be had beside network_bridge", option="network_zone", value=spec["network_zone"])
        if spec.get("boot") is True and (spec.get("user") or spec.get("working_directory")):
            option = "user" if spec.get("user") else "working_directory"
            raise StrataError("is for a command: an init is root's", option=option, hint="Say boot: false")
        nspawn_netns.check(spec)
        nspawn_hardening.check(spec, self.options)

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> None:
        nspawn.need()

    # Reading: one `systemctl show` for all machines; everything else is in files.

    @classmethod
    def read_many(cls, engine: None, names: Iterable[str] | None) -> dict[str, State]:
        machines = nspawn.names() if names is None else list(names)
        wanted = ["ActiveState", "NeedDaemonReload", "DropInPaths", "ControlGroup", "MainPID"]
        wanted += [field.at.prop for field in LIMITS]
        shown = systemd.show([nspawn.unit(name) for name in machines], wanted)
        target = systemd.wanted(nspawn.TARGET)
        return {name: cls._read(name, shown[nspawn.unit(name)], target) for name in machines}

    @classmethod
    def _read(cls, name: str, shown: Mapping[str, str], target_enabled: bool) -> State:
        text, drop_in = files.read(nspawn.settings_path(name)), files.read(nspawn.drop_in_path(name))
        enabled = systemd.wanted(nspawn.unit(name), nspawn.TARGET)
        status = _STATUS.get(shown.get("ActiveState", ""), "stopped")
        if status == "stopped" and text is None and drop_in is None and not enabled:
            return State()
        notes = UnitFile(drop_in or "")
        link = notes.last(_NOTES, "Image")
        owners = notes.all(_NOTES, "Owner")
        drop_ins = shown.get("DropInPaths", "").split()
        unread = drop_in is not None and nspawn.drop_in_path(name) not in drop_ins
        if unread:
            drop_ins.append(nspawn.drop_in_path(name))
        config, live, loaded = cls._settings(text or "", notes), None, {}
        config.update(nspawn_trees.read(name, link))
        config["enabled"] = enabled and target_enabled
        said = read_limits(drop_ins)
        for field in LIMITS:
            loaded[field.name] = parsed(field.at.parse_prop, shown.get(field.at.prop))
            stored = parsed(field.at.parse, said[field.name][0]) if field.name in said else field.default
            config[field.name] = loaded[field.name] if stored is None else stored
        if status == "running":
            live = cls._live(name, cgroupfs.MOUNT + shown.get("ControlGroup", ""), notes)
        # What systemd has in its memory counts for the next start, and no file tells of it.
        other = any(loaded[field.name] not in (None, config[field.name]) for field in LIMITS)
        facts = {
            "unit": nspawn.unit(name),
            "pid": int(shown.get("MainPID") or 0),
            "group": shown.get("ControlGroup", ""),
            "enabled": enabled,
            "link": link,
            "drop_ins": drop_ins,
            "limits_from": {field: path for field, (_text, path) in said.items()},
            "opened": [
                breach
                for path in drop_ins
                if path != nspawn.drop_in_path(name)
                for breach in nspawn_hardening.opened(path, read_all(path))
            ],
            "stale": unread or shown.get("NeedDaemonReload") == "yes" or (status == "stopped" and other),
        }
        config = {key: value for key, value in config.items() if value is not None}
        return State(status, config, live, facts, owners[-1] if owners else None)

    @staticmethod
    def _settings(text: str, drop_in: UnitFile) -> dict[str, Any]:
        """What is stored. A device counts as bound only where the unit, too, lets it be opened."""
        values = read_settings(text)
        allowed = {said.split()[0] for said in drop_in.all("Service", ALLOW) if said}
        binds = values["binds"]
        if binds is not None:
            closed = {path for path in devices(binds) if path not in allowed}
            values["binds"] = tuple(row for row in binds if row["source"] not in closed)
        values["settings"] = {**values["settings"], **read_unit_settings(drop_in)}
        return values

    @classmethod
    def measure(cls, engine: None, name: str, state: State) -> dict[str, Any]:
        """Its leader, its addresses, and what its control group counts."""
        if state.live is None:
            return {}
        leader = nspawn.leader(state.facts["pid"])
        used = cgroupstat.measure(cgroupfs.MOUNT + state.facts["group"])
        return {"leader": leader, "addresses": nspawn.addresses(leader), **used}

    @classmethod
    def reached(cls, engine: None, name: str, state: State) -> dict[str, Any]:
        networks = [state.config.get(f"network_{word}") for word in ("bridge", "zone")]
        running = state.live is not None
        return {
            "addresses": nspawn.addresses(nspawn.leader(state.facts["pid"])) if running else [],
            "networks": [network for network in networks if network],
        }

    @staticmethod
    def _live(name: str, group: str, drop_in: UnitFile) -> dict[str, Any]:
        live: dict[str, Any] = {}
        for field in LIMITS:
            said = cgroupfs.read(group, field.at.file)
            if said is not None:
                live[field.name] = field.at.parse_file(said)
        text = files.read(nspawn.running_settings_path(name))
        if text is not None:  # else nobody knows what it was started with
            live.update(read_settings(text))
            live["settings"].update(read_unit_settings(drop_in))  # a reload is all that these need
            live.update(nspawn_trees.running(name))
        return live

    # Planning.

    def files(self) -> list[tuple[str, str]]:
        return [("image", self._image)]

    def needs(self) -> list[Thing]:
        return [*super().needs(), (nspawn_images.READ_ONLY, self._image), *nspawn_netns.needs(self.spec)]

    @property
    def _image(self) -> str:
        return str(self.spec.get("image") or nspawn.image_path(self.name))

    def observe(self, engine: None, state: State) -> State:
        image = self._image if "image" in self.declared else None
        promised = [(sort, self._image) in self.promised for sort in ("path", nspawn_images.READ_ONLY)]
        place = self.spec.get(nspawn_netns.OPTION, state.config.get(nspawn_netns.OPTION)) or ""
        there = os.path.exists(place) or not self.promised.isdisjoint(nspawn_netns.needs(self.spec))
        state = replace(state, facts={**state.facts, "netns_there": there})
        return nspawn_trees.observe(state, self.name, image, promised=promised[0], read_only=promised[1])

    def settings(self, state: State) -> dict[str, Any]:
        nspawn_hardening.check_opened(self.spec, state.facts.get("opened", ()))
        values = nspawn_hardening.profiled(self.spec, self.declared, self.applied, state.config)
        for name in values:
            if values[name] is None:
                values[name] = self.field(name).default
        starts = self.target == "running" and state.status != "running"
        nspawn_trees.settle(state, self.name, values, given=self.options.get("image"), starts=starts)
        there = bool(state.facts.get("netns_there"))
        nspawn_netns.settle(values, state.config, there=there, starts=starts)
        self._overridden(state, values)
        return values

    def _overridden(self, state: State, values: Mapping[str, Any]) -> None:
        for name, path in state.facts.get("limits_from", {}).items():
            later = os.path.basename(path) > nspawn.DROP_IN
            if later and name in values and values[name] != state.config.get(name):
                raise StrataError(
                    f"is set by {path}, which systemd reads after {nspawn.DROP_IN}",
                    option=name,
                    value=self.options.get(name),
                    hint="Take it out there",
                )

    def cost(self, change: Change, state: State) -> Effect:
        # What systemd knows of a unit, it knows anew once it has read it.
        unit = change.field == SETTINGS.name and of_unit(change.key or "")
        return Effect.LIVE if unit else change.effect

    def plan(self, state: State) -> Plan:
        plan = super().plan(state)
        if self.target == "absent" or "update" in plan.steps:
            return plan
        behind = any(field.name in plan.of(Layer.LIVE) for field in LIMITS)
        if "restart" in plan.steps and behind:
            # systemd keeps in its memory what somebody set there, and would start the machine with it.
            steps = list(plan.steps)
            steps.insert(steps.index("restart"), "update")
            return replace(plan, steps=tuple(steps))
        if state.facts.get("stale") and "configure" not in plan.steps:
            # A run was killed, or somebody edited a file: systemd still goes by what it read before.
            change = Change("unit", "as systemd read it before", "as it is stored", Effect.LIVE)
            return replace(plan, changes=(change, *plan.changes), steps=("update", *plan.steps))
        return plan

    # Doing.

    def create(self, engine: None, plan: Plan) -> None:
        self._store(plan, plan.want, self.owner)

    def configure(self, engine: None, plan: Plan) -> None:
        self._store(plan, plan.of(Layer.CONFIG), None)

    def _store(self, plan: Plan, values: Mapping[str, Any], owner: str | None) -> None:
        """Write what is declared; the drop-in, which says whose it is, comes first."""
        text = files.read(nspawn.settings_path(self.name))
        copy = nspawn.running_settings_path(self.name)
        if plan.state.status == "running" and not os.path.exists(copy):
            files.write(copy, text or "")  # Started without our drop-in: by all that is known, with what is stored.
        new = self._store_drop_in(plan, values, owner)
        nspawn_trees.lead(self.name, values, plan.want, self.owner if owner is None else owner)
        patched = patch(text or "", values)
        if patched != text:
            files.write(nspawn.settings_path(self.name), patched)
        enabled = "enabled" in values and self._enable(plan.state, values["enabled"])
        if "update" in plan.steps:
            return
        if plan.state.facts.get("stale") or (enabled and plan.state.status != "stopped"):
            systemd.reload()  # of a unit in its memory, systemd tells what was so when it read it
        elif new or enabled:
            systemd.refresh(nspawn.unit(self.name))

    def _store_drop_in(self, plan: Plan, values: Mapping[str, Any], owner: str | None) -> bool:
        """Write the drop-in, and tell whether it says anything new."""
        path = nspawn.drop_in_path(self.name)
        text = files.read(path)
        file = UnitFile(text or "# Written by strata.virt.\n")
        if owner is not None:
            file.set(_NOTES, "Owner", [owner])
        image = (plan.want if "tree" in values else values).get("image")
        if image is not None:
            own = image == nspawn.image_path(self.name) or plan.want.get("tree") == nspawn_trees.OWN
            quoted = image.replace("%", "%%").replace('"', '\\"')
            file.set(_NOTES, "Image", [] if own else [image])
            file.set("Unit", "RequiresMountsFor", [] if own else [f'"{quoted}"'])
        link = file.last(_NOTES, "Image")
        copy = nspawn.COPY_DISK_LINK if link and nspawn.is_disk(link) else nspawn.COPY_LINK
        copies = [nspawn.COPY_SETTINGS, *([copy] if link else [])]
        file.set("Service", "ExecStartPre", copies)
        file.set("Service", "ExecStopPost", [nspawn.COPIES_GONE])
        nspawn_netns.write(file, values)
        patch_settings(file, values, unit=True)
        binds = values["binds"] if "binds" in values else plan.state.config.get("binds") or ()
        if "binds" in values or file.all("Service", ALLOW):
            file.set("Service", ALLOW, [f"{path} rwm" for path in devices(binds)])
        others = read_limits(other for other in plan.state.facts.get("drop_ins", ()) if other != path)
        for field in LIMITS:
            if field.name in values:
                unset = values[field.name] == field.default and field.name not in others
                file.set("Service", field.at.directive, [] if unset else [field.at.write(values[field.name])])
        if file.text != text:
            files.write(path, file.text)
        return file.text != text

    def _enable(self, state: State, wanted: bool) -> bool:
        """Have it started at boot, or not; whether that is new."""
        if wanted == bool(state.config.get("enabled") if wanted else state.facts.get("enabled")):
            return False
        if wanted:
            systemd.enable(nspawn.TARGET, nspawn.unit(self.name))
        else:
            systemd.disable(nspawn.unit(self.name))
        return True

    def update(self, engine: None, plan: Plan) -> None:
        """Bring limits into the running machine, and systemd's memory to what is stored."""
        unit, values = nspawn.unit(self.name), plan.of(Layer.LIVE)
        given = [field for field in LIMITS if field.name in values]
        if given:
            # A reload alone changes what systemd says, and not the kernel's files.
            systemd.set_runtime(unit, [f"{field.at.directive}={field.at.write(values[field.name])}" for field in given])
        systemd.forget_set(unit, [field.at.directive for field in LIMITS if field.name in plan.want])
        systemd.reload()

    def start(self, engine: None, plan: Plan) -> None:
        timeout = self.spec["timeout"]
        end = time.monotonic() + timeout
        try:
            if nspawn.clear_exports(self.name):
                systemd.reset_failed(nspawn.unit(self.name))  # it may have been tried too often without
            systemd.start(nspawn.unit(self.name), timeout)
            until(self._begun, "its first program", max(1, end - time.monotonic()))
            values = {**plan.state.config, **plan.want}
            told = (values.get("settings") or {}).get("Exec.NotifyReady") in ("yes", "true", "on", "1")
            if values.get("boot", True) and not told and nspawn.runs_systemd(nspawn.image_path(self.name)):
                until(self._booted, "the guest to finish its boot", max(1, end - time.monotonic()), 0.3)
        except StrataError as error:
            words = nspawn.last_words(self.name)
            hint = f"journalctl --unit={nspawn.unit(self.name)} has more; option timeout says how long to wait"
            raise StrataError(f"did not start: {error.message}; its last words: {words}", hint=hint) from None

    def _begun(self) -> bool:
        shown = systemd.show([nspawn.unit(self.name)], ["ActiveState", "MainPID"])[nspawn.unit(self.name)]
        if shown.get("ActiveState") in ("failed", "inactive"):
            raise StrataError(f"it went away again (its unit is {shown['ActiveState']})")
        return nspawn.has_begun(int(shown.get("MainPID") or 0))

    def _booted(self) -> bool:
        self._begun()
        state = nspawn.guest_state(self.name)
        if state == "maintenance":
            raise StrataError("the guest's systemd is in its rescue or emergency mode")
        return state in ("running", "degraded")

    def stop(self, engine: None, plan: Plan) -> None:
        try:
            # The template's KillMode=mixed has nspawn ask the guest to power off; the call returns when it has.
            systemd.stop(nspawn.unit(self.name), self.spec["timeout"])
        except StrataError as error:
            hint = f"Give it a longer timeout, or end it by hand: machinectl terminate {self.name}"
            raise StrataError(f"did not stop: {error.message}", hint=hint) from None

    def remove(self, engine: None, plan: Plan) -> None:
        """Take away the machine and its files, what says whose it is last; of trees only a clone made for it."""
        unit, link = nspawn.unit(self.name), plan.state.facts.get("link")
        if plan.state.status != "stopped":
            self.stop(engine, plan)
        systemd.reset_failed(unit)  # one that failed stays in systemd's memory
        if plan.state.facts.get("enabled"):
            systemd.disable(unit)
        nspawn_trees.remove(self.name, link)
        systemd.forget_set(unit, [field.at.directive for field in LIMITS])
        for path in (nspawn.running_settings_path(self.name), nspawn.running_link_path(self.name)):
            files.remove(path)
        files.remove(nspawn.settings_path(self.name))
        files.remove(nspawn.drop_in_path(self.name))
        with contextlib.suppress(OSError):  # somebody else's drop-ins stay
            os.rmdir(os.path.dirname(nspawn.drop_in_path(self.name)))
        systemd.refresh(unit)
