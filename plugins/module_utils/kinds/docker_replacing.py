# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How one container takes the place of another, with a way back, and how what was cut short is put right."""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

from ..core.errors import StrataError
from ..core.plan import Plan, State
from ..core.resource import Resource
from ..core.waiting import until
from ..engines import docker_carry as words
from ..engines.docker import Docker, Document
from ..engines.docker_images import DockerImages
from . import docker_places
from .docker_fields import NEXT, PREVIOUS
from .docker_reading import REPLACES

PROOF = 2.0  # seconds that a replacement without a health check has to run


def last_words(engine: Docker, container: str, status: Any) -> str:
    return f"it left with status {status}, saying: {engine.last_words(container) or 'nothing'}"


def ailing(document: Document) -> str:
    """What its health check said last."""
    health = document["State"].get("Health") or {}
    said = [" ".join(str(one.get("Output")).split()) for one in (health.get("Log") or ())[-2:]]
    return f"its health check fails, saying: {'; '.join(filter(None, said)) or 'nothing'}"


class Replacing(Resource):
    """The verbs of a container that concern more than the one container."""

    def settled_on(self, engine: DockerImages, plan: Plan) -> Plan:
        """The plan, with what an image gives that had to be pulled first."""
        raise NotImplementedError

    def body(self, base: dict[str, Any], plan: Plan) -> dict[str, Any]:
        """The request that makes it."""
        raise NotImplementedError

    def left_volumes(self, document: Document) -> list[str]:
        """The volumes without a name that the engine leaves when it removes a container with its volumes."""
        # Those that were carried over count as named for the daemon (moby: daemon/mounts.go, removeMountPoints).
        return words.carried_volumes(document)

    def make(self, engine: Any, name: str, body: dict[str, Any]) -> str:
        return docker_places.make(engine, name, body, self.spec.get("platform"))

    def recreate(self, engine: DockerImages, plan: Plan) -> None:
        plan = self.settled_on(engine, plan)
        if "recreate" not in plan.steps:  # what was pulled is what it was made from
            for step in plan.steps:
                self.perform(engine, step, plan)
            return
        old = self.there(engine)
        given = plan.state.facts["wanted_image"]["volumes"]
        base = words.carry(old, engine.image(old["Image"]), plan.want, given, self.spec["keep_volumes"])
        base["Labels"][REPLACES] = old["Id"]
        new = self.make(engine, self.name + NEXT, self.body(base, plan))
        ran = words.runs(old)
        try:
            if ran:
                self.halt(engine, old["Id"])
            engine.rename(old["Id"], self.name + PREVIOUS)
            engine.rename(new, self.name)
        except StrataError:
            self._put_back(engine, new, old["Id"], ran)
            raise
        self._finish(engine, new, old["Id"], plan.target in self.busy, ran)
        if plan.target == "paused":
            engine.pause(new)

    def recover(self, engine: DockerImages, plan: Plan) -> None:
        """Finish what a run that was cut short began, or go back to what was before it."""
        left, ran = plan.state.facts["leftovers"], bool(plan.state.facts.get("ran"))
        anew = "recreate" in plan.steps
        up = plan.target in self.busy and not anew
        if self.name + NEXT in left:
            engine.remove(left[self.name + NEXT])
        current, old = engine.inspect(self.name), left.get(self.name + PREVIOUS)
        if current is not None and old is not None and (words.runs(current) or not anew):
            engine.stop(old)  # a daemon that was restarted meanwhile may have started it
            self._finish(engine, current["Id"], old, up, ran)
            return
        if old is not None:
            if current is not None:
                engine.remove(current["Id"])
            engine.rename(old, self.name)
        if up and ran:
            engine.start(self.name)

    def _finish(self, engine: Docker, new: str, old: str, up: bool, ran: bool) -> None:
        """Let the replacement prove itself, and only then part with what it replaces."""
        try:
            if up:
                engine.start(new)
                until(lambda: self._proved(engine, new), "the new container to prove itself", self.patience)
        except StrataError as error:
            self._put_back(engine, new, old, ran)
            back = "is back and runs" if ran else "is back"
            raise StrataError(
                f"the new container did not come up, so the old one {back}: {error.message}",
                hint=error.hint,
            ) from None
        self.discard(engine, old)

    def discard(self, engine: Docker, container: str) -> None:
        """Remove it, with its volumes without a name if the task says so."""
        wait = self.spec.get("removal_wait_timeout")
        patience = {} if wait is None else {"timeout": wait}
        if self.spec["keep_volumes"]:
            engine.remove(container, **patience)
            return
        document = engine.inspect(container)
        engine.remove(container, volumes=True, **patience)
        for volume in self.left_volumes(document) if document else ():
            with contextlib.suppress(StrataError):  # another container has it, too
                engine.remove_volume(volume)

    @property
    def patience(self) -> float:
        """Seconds that a container has to become healthy."""
        if self.spec["state"] != "healthy":
            return float(self.spec.get("timeout", 60))
        return self.spec["healthy_wait_timeout"] if self.spec["healthy_wait_timeout"] > 0 else math.inf

    def _proved(self, engine: Docker, container: str) -> bool:
        found = engine.inspect(container)
        state = found["State"] if found else {}
        if found is None or not state["Running"] or state["Restarting"] or found.get("RestartCount"):
            raise StrataError(last_words(engine, container, state.get("ExitCode")) if found else "it was removed")
        health = (state.get("Health") or {}).get("Status")
        if health == "unhealthy":
            raise StrataError(ailing(found))
        if health not in (None, "none"):
            return bool(health == "healthy")
        return time.time() - words.seconds(state["StartedAt"]) >= min(PROOF, self.patience / 2)

    def _put_back(self, engine: Docker, new: str, old: str, ran: bool) -> None:
        self.discard(engine, new)
        found = engine.inspect(old)
        if found is not None and found["Name"] != f"/{self.name}":
            engine.rename(old, self.name)
        if ran:
            engine.start(old)

    def there(self, engine: Docker) -> Document:
        found = engine.inspect(self.name)
        if found is None:
            raise StrataError("was removed meanwhile", hint="Run again")
        return found

    def halt(self, engine: Docker, container: str) -> None:
        """Stop it as the task says."""
        if self.spec["force_kill"]:
            engine.kill(container, self.spec.get("kill_signal"))
            until(
                lambda: not words.runs(engine.inspect(container) or _GONE), "the killed container to end", self.patience
            )
        else:
            engine.stop(container, self.spec.get("stop_timeout"))

    def prove(self, engine: Docker, plan: Plan) -> None:
        """Wait until it is healthy. One without a health check counts as healthy."""

        def well() -> bool:
            found = self.there(engine)
            health = (found["State"].get("Health") or {}).get("Status")
            if not words.runs(found):
                raise StrataError(last_words(engine, found["Id"], found["State"].get("ExitCode")))
            return health in (None, "none", "healthy")

        try:
            until(well, "it to become healthy", self.patience)
        except StrataError as error:
            found = self.there(engine)
            if not words.runs(found):
                raise
            raise StrataError(f"{error.message}: {ailing(found)}") from None


_GONE: Document = {"State": {"Running": False}}


def is_ill(state: State) -> bool:
    return state.facts.get("health") not in (None, "none", "healthy")
