# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is of plays, by the labels of their pods, and how it is held against what is declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import StrataError
from ..core.plan import HIDDEN, State
from ..engines import kube
from ..engines.docker import Document
from ..engines.podman_images import whole
from ..engines.podman_plays import DIGEST, PLAYER, Kept, Played, PodmanPlays
from ..engines.podman_secrets import PLAY

DECLARED = "as declared"
RUNS = ("running", "paused")
_UP = ("Running", "Degraded", "Paused")


@dataclass(frozen=True)
class Seen:
    """What there is of a play, and what is declared of it.

    Attributes:
        pods: Its pods, as Podman lists them, by name.
        containers: What is in them, but for what Podman puts there itself, by name.
        others: The names of all other pods and containers.
        kept: What is kept of it.
        wanted: What is declared.
        digests: What tells each of the wanted pods from one that was played otherwise.
        stale: Those of the wanted pods that aren't as declared, or not there.
        orphans: What somebody else put into its pods, by name.
        want: How the fields that tell of it should be.
    """

    pods: Mapping[str, Document]
    containers: Mapping[str, Document]
    others: frozenset[str]
    kept: Kept | None
    wanted: Played = field(default_factory=Played)
    digests: Mapping[str, str] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    want: Mapping[str, Any] = field(default_factory=dict)

    @property
    def previous(self) -> Played:
        """What was played last, as far as anybody knows that it came about."""
        if self.kept is None:
            return Played()
        return self.kept.before or self.kept.now

    @property
    def unneeded(self) -> list[str]:
        return sorted(set(self.pods) - set(kube.pods(self.wanted.documents)))


def read_many(engine: PodmanPlays, names: Iterable[str] | None) -> dict[str, State]:
    """The named plays, or all: three lists, and what is kept of each."""
    pods = engine.pods()
    inside = engine.inside()
    keeps = engine.plays()
    plays = {(pod.get("Labels") or {}).get(PLAY) for pod in pods} | set(keeps)
    found = {}
    for name in sorted(filter(None, plays)) if names is None else names:
        mine = {pod["Name"]: pod for pod in pods if (pod.get("Labels") or {}).get(PLAY) == name}
        ids = {pod["Id"] for pod in mine.values()}
        held = {one["Names"][0]: one for one in inside if one["Pod"] in ids and not one.get("IsInfra")}
        others = {pod["Name"] for pod in pods if pod["Id"] not in ids}
        others |= {one["Names"][0] for one in inside if one["Pod"] not in ids}
        kept = engine.kept(name) if name in keeps else None
        found[name] = _read(Seen(mine, held, frozenset(others), kept))
    return found


def owned(engine: PodmanPlays, owner: str) -> list[str]:
    """The plays of a stack: as their pods tell, or what is kept of them."""
    told = [pod.get("Labels") or {} for pod in engine.pods()]
    told += [one["Spec"].get("Labels") or {} for one in engine.secrets()]
    return sorted({labels[PLAY] for labels in told if PLAY in labels and labels.get(PLAYER) == owner})


def _read(seen: Seen) -> State:
    facts = {
        "pods": {
            name: {
                "id": pod["Id"],
                "status": pod["Status"],
                "containers": {
                    inner: one["State"] for inner, one in sorted(seen.containers.items()) if one["Pod"] == pod["Id"]
                },
            }
            for name, pod in sorted(seen.pods.items())
        }
    }
    there = bool(seen.pods) or seen.kept is not None
    runs = any(pod["Status"] in _UP for pod in seen.pods.values())
    owners = {(pod.get("Labels") or {}).get(PLAYER) for pod in seen.pods.values()}
    owner = seen.kept.owner if seen.kept is not None else next(iter(owners), None)
    return State("running" if runs else "stopped" if there else "absent", facts=facts, owner=owner, document=seen)


def export(name: str, state: State) -> dict[str, Any]:
    """The options that declare it. What has secrets in it isn't told: a declaration without one leaves it as it is."""
    played = state.document.previous
    options: dict[str, Any] = {"name": name, "state": "stopped" if state.status == "stopped" else "started"}
    if played.documents and not any(one["kind"] == "Secret" for one in played.documents):
        options.update(definition=list(played.documents), **played.options)
    return options


# What tells what there is from what is declared.


def documents(before: Iterable[Document], after: Iterable[Document]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both sides of what is to change, by document. What a Secret has in it isn't shown."""
    old, new = ({kube.key(one): dict(one) for one in side} for side in (before, after))
    have: dict[str, Any] = {}
    want: dict[str, Any] = {}
    for key in sorted(old.keys() | new.keys()):
        had, has = old.get(key), new.get(key)
        have[key], want[key] = (had, has) if not key.startswith("Secret/") else _hidden(had, has)
    return have, want


def _hidden(had: Any, has: Any) -> tuple[str | None, str | None]:
    new = HIDDEN if had is None or had == has else f"{HIDDEN} (new)"
    return None if had is None else HIDDEN, None if has is None else new


def lost_secrets(engine: PodmanPlays, played: Iterable[Document]) -> list[str]:
    """The documents of Secrets that somebody has removed or changed since."""
    lost = []
    for one in played:
        if one["kind"] == "Secret":
            there = engine.secret(one["metadata"]["name"])
            if there is None or there["SecretData"] != kube.secret_text(one):
                lost.append(kube.key(one))
    return lost


def pod_word(engine: PodmanPlays, seen: Seen, document: Document, digest: str) -> str | None:
    """How a pod is, against how it is declared."""
    pod = seen.pods.get(kube.pod_name(document))
    if pod is None:
        return None
    if (pod.get("Labels") or {}).get(DIGEST) != digest:
        return "as it was played"
    for name, said in kube.containers(document).items():
        one = seen.containers.get(name)
        if one is None or one["Pod"] != pod["Id"]:
            return f"without {name}"
        image = engine.image(said["image"])
        if image is not None and image["Id"] != one["ImageID"]:
            return f"from another {said['image']}"
    return DECLARED


def container_words(seen: Seen, document: Document) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the containers of a pod do, and what they should where it is to run."""
    have, want = {}, {}
    for name in kube.containers(document):
        one = seen.containers.get(name)
        have[name] = None if one is None else one["State"]
        ended = one is not None and one["State"] == "exited" and one["ExitCode"] == 0 and kube.may_end(document)
        want[name] = "exited" if ended else "running"
    return have, want


def orphans(seen: Seen) -> tuple[str, ...]:
    """What somebody else put into its pods: what is played has the labels of its pod."""
    return tuple(sorted(name for name, one in seen.containers.items() if PLAY not in (one.get("Labels") or {})))


def refuse_others(engine: PodmanPlays, name: str, seen: Seen) -> None:
    """Name what is there already under the names of what would be made, and somebody else made it."""
    for pod, document in kube.pods(seen.wanted.documents).items():
        taken = [pod, *kube.containers(document), *kube.containers(document, "initContainers")]
        for one in sorted(seen.others.intersection(taken)):
            sort = "pod" if one == pod else "container"
            raise StrataError(
                f"makes a {sort} {one}, and there is one that this play didn't make",
                option="definition",
                hint="Remove it, or choose another name: podman ps --all --pod shows those there are",
            )
    secrets = {one["metadata"]["name"] for one in seen.wanted.documents if one["kind"] == "Secret"}
    if secrets:
        there = {one["Spec"]["Name"]: one["Spec"].get("Labels") or {} for one in engine.secrets()}
        _refuse(name, "secret", secrets, there)
    content = {volume for one in kube.pods(seen.wanted.documents).values() for volume in kube.mounted(one)}
    if content:
        _refuse(name, "volume", content, {one["Name"]: one.get("Labels") or {} for one in engine.volumes()})


def _refuse(name: str, sort: str, wanted: Iterable[str], there: Mapping[str, Mapping[str, str]]) -> None:
    for one in sorted(wanted):
        if one in there and there[one].get(PLAY) != name:
            raise StrataError(
                f"would write into the {sort} {one}, which this play didn't make",
                option="definition",
                hint=f"Remove it, or choose another name: podman {sort} ls shows those there are",
            )


def images(document: Document) -> dict[str, str]:
    """The images of a pod, each with when it is pulled."""
    every = [*kube.containers(document).values(), *kube.containers(document, "initContainers").values()]
    return {str(one["image"]): str(one.get("imagePullPolicy") or "").lower() for one in every if one.get("image")}


def refuse_images(engine: PodmanPlays, seen: Seen, promised: Iterable[str]) -> None:
    """Name an image that is neither there, nor comes before, nor may be pulled."""
    for pod in seen.stale:
        for image, when in images(kube.pods(seen.wanted.documents)[pod]).items():
            missing = engine.image(image) is None and not {image, whole(image)} & {*promised}
            if missing and (when == "never" or image.startswith("localhost/")):
                raise StrataError(
                    f"wants the image {image}, which is not on this host",
                    option="definition",
                    hint="Build or load it before with podman_image",
                )
