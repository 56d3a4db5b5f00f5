# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a running domain takes changes, and how it gets from one state to another."""

from __future__ import annotations

import base64
import json
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..core.errors import StrataError
from ..core.plan import Change, Effect, Layer, Plan
from ..core.resource import Resource
from ..core.waiting import until
from ..engines import domain_devices, domain_xml
from ..engines.domain_machine import Agent
from ..engines.domain_xml import NAMESPACE
from ..engines.libvirt import Host
from . import libvirt_domain_cpu as cpus
from . import libvirt_domain_disks as disks
from .libvirt_domain_devices import AGENT

WAITS = ("lease", "agent", "cloud_init")
_BALLOON_STILL = 2.0  # seconds without an answer; QEMU reports a moving balloon once a second
_ANSWER = 10  # seconds for one command of the agent


class RunningDomain(Resource):
    """The verbs of a domain that runs."""

    # What is brought in.

    def update(self, engine: Host, plan: Plan) -> None:
        due = [change for change in plan.changes if change.layer is Layer.LIVE and change.effect is Effect.LIVE]
        # What goes makes room for what comes.
        for change in sorted(due, key=lambda change: change.after is not None):
            if change.field == "memory":
                self._balloon(engine, plan.want["memory"])
            elif change.field == "vcpus":
                engine.set_vcpus(self.name, plan.want["vcpus"])
            elif change.field in ("cpu_tune", "iothreads"):
                cpus.bring_in(engine, self.name, change, plan.want)
            elif change.field != "xml" and change.key is not None:
                self._plug(engine, change)
        self.bring_in_leaves(engine, [change for change in due if change.field == "xml"], plan.want.get("xml") or {})

    def bring_in_leaves(self, engine: Host, changes: Iterable[Change], wanted: Mapping[str, Any]) -> None:
        """Bring in what is declared as XML."""
        raise NotImplementedError

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
        running = engine.running(self.name)
        noted = None if running is None else domain_xml.mark(domain_xml.parse(running))
        kept = {} if noted is None else noted.attrib
        attributes = {**kept, "asked": str(size // 1024), "stayed": str(stayed // 1024)}
        text = domain_xml.text_of(ET.Element("strata", attributes))
        engine.note(self.name, text, "strata", NAMESPACE)

    def _actual(self, engine: Host) -> int:
        running = engine.running(self.name)
        if running is None:
            raise StrataError("stopped running while its memory was changed")
        return int(self.field("memory").at.get(domain_xml.parse(running)))

    def _plug(self, engine: Host, change: Change) -> None:
        """Attach, detach or change one device of the running domain."""
        table, key = self.field(change.field).at, str(change.key)
        live = domain_xml.parse(engine.running(self.name) or domain_xml.SKELETON)
        stored = domain_xml.parse(engine.stored(self.name))
        if change.after is None:
            element = table.find(live, key)
            if element is not None:
                engine.detach(self.name, domain_xml.text_of(element))
                self._wait_detached(engine, change, key)
        elif change.before is None:
            element = table.find(stored, key)
            address = element.find("address")
            if address is not None and domain_devices.same_address(live, address):
                element.remove(address)
            engine.attach(self.name, domain_xml.text_of(element))
        else:
            element = table.find(live, key)
            row = self.field(change.field).keyed(table.get(stored))[key]
            if change.field == "disks" and disks.bring_in(engine, self.name, change, str(row["target"]), row):
                return
            table.patch(live, element, row)
            engine.change(self.name, domain_xml.text_of(element))

    def _wait_detached(self, engine: Host, change: Change, key: str) -> None:
        table = self.field(change.field).at

        self.wait_gone(engine, change.name, lambda root: table.find(root, key) is None)

    def wait_gone(self, engine: Host, what: str, gone: Callable[[ET.Element], bool]) -> None:
        """Wait until a device isn't there any more."""

        def let_go() -> bool:
            running = engine.running(self.name)
            return running is None or gone(domain_xml.parse(running))

        try:
            until(let_go, f"the guest to let go of {what}", self.spec["timeout"])
        except StrataError as error:
            error.hint = "A guest that takes no ACPI requests keeps them until it stops: restart: always"
            raise

    # From one state to another.

    def start(self, engine: Host, plan: Plan) -> None:
        engine.start(self.name)
        self._give_back(engine, plan)
        self._wait(engine)

    def start_paused(self, engine: Host, plan: Plan) -> None:
        engine.start_paused(self.name)
        self._give_back(engine, plan)

    def _give_back(self, engine: Host, plan: Plan) -> None:
        size = plan.want.get("memory")
        if size is not None and self._actual(engine) != size:  # it starts with its maximum, and gives the rest back
            self._balloon(engine, size)

    def restart(self, engine: Host, plan: Plan) -> None:
        self.stop(engine, plan)
        self.perform(engine, "start_paused" if plan.target == "paused" else "start", plan)

    def pause(self, engine: Host, plan: Plan) -> None:
        engine.pause(self.name)

    def save(self, engine: Host, plan: Plan) -> None:
        engine.save(self.name)

    def resume(self, engine: Host, plan: Plan) -> None:
        engine.resume(self.name)

    def wake(self, engine: Host, plan: Plan) -> None:
        engine.wake(self.name)

    def destroy(self, engine: Host, plan: Plan) -> None:
        engine.destroy(self.name)

    def stop_saved(self, engine: Host, plan: Plan) -> None:
        """What it had in memory is not thrown away unless that was asked for: it goes on, and is shut down."""
        if self.spec.get("state") == "destroyed":
            engine.forget_saved(self.name)
        else:
            engine.start(self.name)
            self._shut_down(engine)

    def stop(self, engine: Host, plan: Plan) -> None:
        if self.spec.get("state") == "destroyed" or plan.state.status != "running":
            engine.destroy(self.name)  # what is paused can't answer
        else:
            self._shut_down(engine)

    def _shut_down(self, engine: Host) -> None:
        engine.shutdown(self.name)
        try:
            until(lambda: engine.running(self.name) is None, "the guest to shut down", self.spec["timeout"])
        except StrataError as error:
            if not self.spec.get("force"):
                error.option = "timeout"
                error.hint = "One that takes no ACPI requests never does; force: true turns it off after the timeout"
                raise
            engine.destroy(self.name)

    # What is waited for.

    def _wait(self, engine: Host) -> None:
        questions = {
            "lease": (lambda: bool(engine.leases(self.name)), "its network to lease it an address"),
            "agent": (lambda: self._agent_answers(engine), "its guest agent"),
            "cloud_init": (lambda: self._cloud_init_done(engine), "cloud-init to be done"),
        }
        for word in WAITS:
            if word in self.spec.get("wait_for", ()):
                ask, what = questions[word]
                try:
                    until(ask, what, self.spec["wait_timeout"])
                except StrataError as error:
                    error.option = error.option or "wait_for"
                    raise

    def _agent_answers(self, engine: Host) -> bool:
        running = engine.running(self.name)
        if running is None:
            raise StrataError("stopped running while it was waited for")
        return Agent(AGENT).answers(domain_xml.parse(running))

    def _cloud_init_done(self, engine: Host) -> bool:
        """Whether cloud-init says so, which it does through the agent.

        Raises:
            StrataError: It failed.
        """
        if not self._agent_answers(engine):
            return False
        said = self._ask(engine, "guest-exec", path="cloud-init", arg=["status"], **{"capture-output": True})
        done = until(lambda: self._ended(engine, said["pid"]), "cloud-init to say how it is", self.spec["wait_timeout"])
        # cloud-init status: 0 is done or running, 1 is failed, 2 is done with errors that it went on after.
        if done.get("exitcode") == 1:
            raise StrataError("failed in the guest", option="cloud_init", hint="Ask it: cloud-init status --long")
        return any(word in _decoded(done) for word in ("done", "degraded", "disabled"))

    def _ended(self, engine: Host, pid: int) -> Mapping[str, Any]:
        told = self._ask(engine, "guest-exec-status", pid=pid)
        return told if told.get("exited") else {}

    def _ask(self, engine: Host, command: str, **arguments: Any) -> Mapping[str, Any]:
        answer = engine.agent(self.name, json.dumps({"execute": command, "arguments": arguments}), _ANSWER)
        return dict(json.loads(answer)["return"])


def _decoded(told: Mapping[str, Any]) -> str:
    return base64.b64decode(told.get("out-data", "")).decode(errors="replace")
