# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Podman plays from documents of Kubernetes, root's or a plain user's: pods, volumes and secrets, as one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import StrataError
from ..core.plan import Change, Effect, Layer, Plan, State
from ..core.resource import Resource, Thing
from ..engines import kube, podman_service
from ..engines.docker import Document
from ..engines.podman_images import whole
from ..engines.podman_plays import CONTENT, DIGEST, PLAYER, Kept, Played, PodmanPlays
from ..engines.podman_secrets import PLAY
from . import podman_play_reading as reading
from .podman_play_fields import FIELDS, TLS, check, declared, declares
from .podman_play_reading import DECLARED, RUNS, Seen

_PLAYS = ("documents", "pods", "recreate")
"""The fields of which a change has something played."""


class PodmanPlay(Resource):
    kind = "podman_play"
    rank = 66
    fields = FIELDS
    states = {"started": "running", "stopped": "stopped", "created": None, "absent": "absent"}

    # What was declared.

    def check(self) -> None:
        check(self.spec)

    def provides(self) -> list[Thing]:
        return [(self.kind, self.name)]

    def files(self) -> list[tuple[str, str]]:
        named = [("kube_file", self.spec["kube_file"])] if "kube_file" in self.spec else []
        return [*named, *(("configmap", path) for path in self.spec.get("configmap", ()))]

    def needs(self) -> list[Thing]:
        """What a definition names; what is in files, nobody knows before they are read."""
        every = list(self.spec.get("definition", ()))
        own = {(one["kind"], one["metadata"]["name"]) for one in every}
        found: list[Thing] = [*super().needs()]
        for pod in kube.pods(every).values():
            found += [("podman_image", whole(image)) for image in reading.images(pod)]
            outside = kube.references(pod) - own
            found += [("podman_volume", name) for kind, name in sorted(outside) if kind == "PersistentVolumeClaim"]
        networks = [one.partition(":")[0] for one in self.spec.get("network", ())]
        return [*found, *(("podman_network", name) for name in networks)]

    def settled(self) -> Resource:
        return type(self)({**self.options, "recreate": False}, owner=self.owner, applied=self.applied)

    def settings(self, state: State) -> dict[str, Any]:
        want: dict[str, Any] = dict(state.document.want)
        if self.target != "running":
            want.pop("containers")
        if self.spec["remove_orphans"]:
            want["orphans"] = ()
        return want

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> PodmanPlays:
        return PodmanPlays(spec.get("user_scope"), spec.get("podman_host"))

    @classmethod
    def read_many(cls, engine: PodmanPlays, names: Iterable[str] | None) -> dict[str, State]:
        return reading.read_many(engine, names)

    @classmethod
    def owned(cls, engine: PodmanPlays, owner: str) -> Iterable[str]:
        return reading.owned(engine, owner)

    def observe(self, engine: PodmanPlays, state: State) -> State:
        seen: Seen = state.document
        if self.target == "absent":
            config = {} if self.spec["keep_volumes"] else {"kept_volumes": tuple(self._volumes(engine))}
            return replace(state, config=config, document=replace(seen, orphans=reading.orphans(seen)))
        wanted = self._wanted(seen)
        pods = kube.pods(wanted.documents)
        digests = {name: kube.digest(one, wanted.documents, wanted.options) for name, one in pods.items()}
        seen = replace(seen, wanted=wanted)
        have: dict[str, Any] = {
            "pods": {name: reading.pod_word(engine, seen, one, digests[name]) for name, one in pods.items()},
            "containers": {},
            "orphans": reading.orphans(seen),
        }
        want: dict[str, Any] = {"pods": dict.fromkeys(pods, DECLARED), "containers": {}}
        have["documents"], want["documents"] = reading.documents(seen.previous.documents, wanted.documents)
        for key in reading.lost_secrets(engine, wanted.documents):
            if have["documents"][key] == want["documents"][key]:
                have["documents"][key] = None
        stale = tuple(name for name, word in have["pods"].items() if word != DECLARED)
        for name in seen.unneeded:
            have["pods"][name], want["pods"][name] = "as it was played", None
        for one in pods.values():
            words = reading.container_words(seen, one)
            have["containers"].update(words[0])
            want["containers"].update(words[1])
        seen = replace(seen, digests=digests, stale=stale, orphans=have["orphans"], want=want)
        reading.refuse_others(engine, self.name, seen)
        reading.refuse_images(engine, seen, [name for sort, name in self.promised if sort == "podman_image"])
        facts = {**state.facts, "orphans": list(seen.orphans), "lingers": engine.service.user.lingers}
        return replace(state, status=self._status(state, have, want), config=have, facts=facts, document=seen)

    def _status(self, state: State, have: Mapping[str, Any], want: Mapping[str, Any]) -> str:
        """Whether it is up: where it is to run, what ended well needn't."""
        if not state.exists:
            return state.status
        up = have["containers"] == want["containers"] if self.target == "running" else False
        return "running" if up or any(word in RUNS for word in have["containers"].values()) else "stopped"

    def _wanted(self, seen: Seen) -> Played:
        if not declares(self.spec):
            if seen.kept is None:
                raise StrataError("or kube_file is needed: nothing is played under this name yet", option="definition")
            return seen.kept.now
        for option, path in self.files():
            if not os.path.exists(path):
                raise StrataError("is not on this host", option=option, value=path)
        return declared(self.spec)

    def _volumes(self, engine: PodmanPlays, content: bool = False) -> list[str]:
        """The volumes that it made: those with data, or those with what documents say."""
        labels = {one["Name"]: one.get("Labels") or {} for one in engine.volumes()}
        return sorted(
            name for name, said in labels.items() if said.get(PLAY) == self.name and (CONTENT in said) == content
        )

    @classmethod
    def export(cls, name: str, state: State) -> dict[str, Any]:
        return reading.export(name, state)

    def explain(self, engine: PodmanPlays, state: State) -> str:
        have = state.config.get("containers", {})
        left = [name for name, word in sorted(have.items()) if word not in (None, *RUNS)]
        said = [f"{name} said {engine.last_words(name) or 'nothing'}" for name in left[:3]]
        return "; ".join(said) if self.target == "running" else ""

    # What is to be done.

    def plan(self, state: State) -> Plan:
        if self.target == "absent":
            return self._absence(state)
        plan = super().plan(state)
        changed = {change.field for change in plan.changes}
        seen: Seen = state.document
        steps = []
        if "orphans" in changed:
            steps.append("tidy")
        if changed & {*_PLAYS} or not state.exists:
            replaced = set(seen.pods) if "recreate" in changed else {*seen.stale, *seen.unneeded}
            self._refuse_orphans(seen, replaced)
            steps.append("play")
        if plan.target == "running" and changed & {"containers", "state"}:
            steps.append("start")
        if plan.target == "stopped" and state.status == "running":
            steps.append("stop")
        outlives = plan.target == "running" and self.spec["linger"] and not state.facts.get("lingers", True)
        changes = plan.changes
        if outlives:
            changes, steps = (Change("linger", False, True, Effect.LIVE), *changes), ["outlive", *steps]
        return replace(plan, changes=changes, steps=tuple(steps))

    def _refuse_orphans(self, seen: Seen, pods: Iterable[str]) -> None:
        ids = {seen.pods[name]["Id"] for name in pods if name in seen.pods}
        held = [name for name in seen.orphans if seen.containers[name]["Pod"] in ids]
        if held and not self.spec["remove_orphans"]:
            raise StrataError(
                f"has {', '.join(held)} in pods that would go, and no document has them",
                hint="Remove them first, or set remove_orphans: true, which removes them",
            )

    def _absence(self, state: State) -> Plan:
        if not state.exists and not state.config.get("kept_volumes"):
            return Plan(state=state)
        self._refuse_orphans(state.document, state.document.pods)
        gone = [Change("state", state.status, "absent", Effect.REMOVE)] if state.exists else []
        for name, before in state.config.items():
            gone += self.field(name).changes(before, (), Effect.REMOVE, Layer.CONFIG)
        return Plan(tuple(gone), steps=("remove",), state=state)

    def _forced(self, steps: tuple[str, ...], target: str) -> list[Change]:
        asked = self.spec["recreate"] and "recreate" not in steps
        return [Change("recreate", None, True, Effect.RECREATE)] if asked else []

    def outlive(self, engine: PodmanPlays, plan: Plan) -> None:
        """Let it go on after the last login session of its user."""
        podman_service.enable_linger(engine.service.user)

    def tidy(self, engine: PodmanPlays, plan: Plan) -> None:
        for name in plan.state.document.orphans:
            engine.remove(name)

    def play(self, engine: PodmanPlays, plan: Plan) -> None:
        """Put what is declared in the place of what was played; on failure, that comes back."""
        seen: Seen = plan.state.document
        forced = any(change.field == "recreate" for change in plan.changes)
        engine.forget_images()  # the same stack may have built one anew
        every = kube.pods(seen.wanted.documents)
        words = {name: reading.pod_word(engine, seen, one, seen.digests[name]) for name, one in every.items()}
        fresh = [name for name, word in words.items() if forced or word != DECLARED]
        self._refuse_orphans(seen, fresh)
        self._fetch(engine, [every[name] for name in fresh])
        runs = plan.target == "running"
        owner = plan.state.owner if plan.state.exists else self.owner
        before = seen.previous if seen.kept is not None else None
        engine.keep(self.name, Kept(seen.wanted, before, owner))
        gone = [name for name in [*fresh, *seen.unneeded] if name in seen.pods]
        try:
            self._take_away(engine, gone)
            self._bring(engine, seen.wanted, fresh, owner, runs)
        except StrataError as error:
            raise self._back(engine, error, plan, [*fresh, *gone], owner) from None
        self._forget_dropped(engine, seen.wanted)
        engine.keep(self.name, Kept(seen.wanted, None, owner))

    def _fetch(self, engine: PodmanPlays, pods: Iterable[Document]) -> None:
        """Have the images before anything goes."""
        for image in sorted({image for pod in pods for image in reading.images(pod)}):
            if engine.image(image) is None:
                engine.pull_image(image, self.spec.get(TLS))

    def _bring(self, engine: PodmanPlays, played: Played, pods: Iterable[str], owner: str | None, runs: bool) -> None:
        """Make some pods, with what they need, and start them."""
        every = kube.pods(played.documents)
        labels = {PLAY: self.name}
        for one in played.documents:
            if one["kind"] == "Secret":
                # Podman itself would replace one of somebody else, and leave no trace of who made it.
                engine.keep_secret(one["metadata"]["name"], kube.secret_text(one), "file", {}, labels)
        sent = [one for one in played.documents if one["kind"] in ("ConfigMap", "PersistentVolumeClaim")]
        sent = [kube.labelled(one, labels if one["kind"] == "PersistentVolumeClaim" else {}, {}) for one in sent]
        claimed = {one["metadata"]["name"] for one in played.documents if one["kind"] == "PersistentVolumeClaim"}
        for name in pods:
            document = every[name]
            self._make_volumes(engine, document, claimed)
            digest = kube.digest(document, played.documents, played.options)
            annotations = played.options.get("annotation", {})
            own = {**labels, PLAYER: owner or "", DIGEST: digest}
            sent.append(kube.labelled(document, own, annotations))
        if any(one["kind"] != "ConfigMap" for one in sent):
            tls = {TLS: self.spec[TLS]} if TLS in self.spec else {}
            engine.play(sent, {**played.options, **tls})
        for name in pods if runs else ():
            engine.start_pod(name)
        self._refuse_failed(engine, [every[name] for name in pods if runs])

    def _make_volumes(self, engine: PodmanPlays, document: Document, claimed: set[str]) -> None:
        """Make those volumes that Podman would make without saying whose they are."""
        there = claimed | {one["Name"] for one in engine.volumes()}
        content = kube.mounted(document)
        claims = {name for kind, name in kube.references(document) if kind == "PersistentVolumeClaim"}
        for name in sorted((content | claims) - there):
            labels = {PLAY: self.name, **({CONTENT: ""} if name in content else {})}
            engine.create_volume({"Name": name, "Labels": labels})

    def _refuse_failed(self, engine: PodmanPlays, pods: Iterable[Document]) -> None:
        """Name a container that left at once."""
        inside = {one["Names"][0]: one for one in engine.inside()} if pods else {}
        for pod in pods:
            for name in kube.containers(pod):
                one = inside.get(name, {"State": "gone", "ExitCode": 0})
                ended = one["State"] == "exited" and one["ExitCode"] == 0 and kube.may_end(pod)
                if one["State"] not in RUNS and not ended:
                    said = engine.last_words(name) or "nothing"
                    raise StrataError(f"{name} left at once, with status {one['ExitCode']}, and said {said}")

    def _back(
        self, engine: PodmanPlays, error: StrataError, plan: Plan, pods: list[str], owner: str | None
    ) -> StrataError:
        """Bring back what was played before, and tell whether that came about."""
        seen: Seen = plan.state.document
        self._take_away(engine, pods)
        if seen.kept is None:
            self._forget_dropped(engine, Played())
            engine.forget(self.name)
            return error
        before = [
            name for name in dict.fromkeys(pods) if name in seen.pods and name in kube.pods(seen.previous.documents)
        ]
        ran = plan.state.status == "running"
        try:
            self._bring(engine, seen.previous, before, owner, ran)
            self._forget_dropped(engine, seen.previous)
            engine.keep(self.name, Kept(seen.previous, None, owner))
        except StrataError as second:
            return StrataError(f"{error.message}; what was played before could not be brought back: {second.message}")
        return StrataError(f"{error.message}; what was played before is back", hint=error.hint)

    def _take_away(self, engine: PodmanPlays, pods: Iterable[str]) -> None:
        """Remove pods of this play, and the volumes with what documents said that nobody uses any more."""
        there = {pod["Name"]: pod for pod in engine.pods() if (pod.get("Labels") or {}).get(PLAY) == self.name}
        for name in dict.fromkeys(pods):
            if name in there:
                engine.remove_pod(there[name]["Id"], force=True)
        for volume in self._volumes(engine, content=True):
            if not engine.mounting(volume):
                engine.remove_volume(volume)

    def _forget_dropped(self, engine: PodmanPlays, played: Played) -> None:
        """Remove the secrets of this play that it no longer has."""
        kept = {one["metadata"]["name"] for one in played.documents if one["kind"] == "Secret"}
        for one in engine.secrets():
            labels = one["Spec"].get("Labels") or {}
            mine = labels.get(PLAY) == self.name and PLAYER not in labels  # what is kept of the play has that, too
            if mine and one["Spec"]["Name"] not in kept:
                engine.remove_secret(one["Spec"]["Name"])

    def start(self, engine: PodmanPlays, plan: Plan) -> None:
        """Start the pods of which something doesn't run that should."""
        want, have = plan.state.document.want["containers"], self._now(engine)
        for name, document in kube.pods(plan.state.document.wanted.documents).items():
            words = {have.get(inner) for inner in kube.containers(document) if have.get(inner) != want[inner]}
            if "paused" in words:
                engine.pod_does(name, "unpause")
            if words - {"paused"}:
                engine.start_pod(name)

    @staticmethod
    def _now(engine: PodmanPlays) -> dict[str, str]:
        return {one["Names"][0]: one["State"] for one in engine.inside()}

    def stop(self, engine: PodmanPlays, plan: Plan) -> None:
        have = self._now(engine)
        for name, document in kube.pods(plan.state.document.wanted.documents).items():
            words = {have.get(inner) for inner in kube.containers(document)}
            if "paused" in words:
                engine.pod_does(name, "unpause")  # Podman doesn't stop what is frozen
            if words & {*RUNS}:
                engine.pod_does(name, "stop")

    def remove(self, engine: PodmanPlays, plan: Plan) -> None:
        self._take_away(engine, plan.state.document.pods)
        self._forget_dropped(engine, Played())
        for volume in plan.state.config.get("kept_volumes", ()):
            engine.remove_volume(volume)
        engine.forget(self.name)
