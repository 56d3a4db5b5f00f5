# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to Podman about what it plays from documents of Kubernetes, and what is kept of that."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import StrataError
from .podman import Document, Each, refusal
from .podman_pods import PodmanPods
from .podman_secrets import LARGEST, PLAY, PodmanSecrets

DIGEST = f"{PLAY}.digest"
"""The label of a pod with what it was played from."""
PLAYER = f"{PLAY}.owner"
"""The label with the stack that declares the play."""
CONTENT = f"{PLAY}.content"
"""The label of volumes in which there is nothing but what documents say."""

_KEPT = "strata-play-"


@dataclass(frozen=True)
class Played:
    """What was played, and how: documents as they were declared, and the options."""

    documents: tuple[Document, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kept:
    """What is kept of a play.

    Attributes:
        now: What is played.
        before: What was played before, as long as it isn't certain that ``now`` is there.
        owner: Whose it is.
    """

    now: Played
    before: Played | None
    owner: str | None


class PodmanPlays(PodmanPods, PodmanSecrets):
    """One user's Podman, asked about plays."""

    def inside(self) -> list[Document]:
        """All containers, as Podman lists them. What was just started has the time to fail first."""
        self.settle()
        found: list[Document] = self._ask("/containers/json", {"all": True})
        return found

    def play(self, documents: Iterable[Document], options: Mapping[str, Any]) -> None:
        """Make pods and volumes of documents, and start none.

        Raises:
            StrataError: It fails. Podman leaves what it made until then.
        """
        query = {
            "start": False,
            "network": Each(options.get("network", ())),
            "logDriver": options.get("log_driver"),
            "logOptions": Each(f"{key}={value}" for key, value in sorted(options.get("log_opt", {}).items())),
            "userns": options.get("userns"),
            "tlsVerify": options.get("tls_verify"),
        }
        # JSON is YAML, and a document of it holds no line that parts documents.
        body = "\n---\n".join(json.dumps(one) for one in documents).encode()
        said = {"Content-Type": "application/x-yaml"}
        answer = self._exchange("POST", "/play/kube", query, body, timeout=None, headers=said)
        words = answer.read()
        if answer.status >= 400:
            raise refusal(words)

    def start_pod(self, name: str) -> None:
        """Start a pod with all that is in it.

        Raises:
            StrataError: One of its containers doesn't start; it names what Podman says of each.
        """
        answer = self._exchange("POST", f"/pods/{name}/start", timeout=None)
        words = answer.read()
        self.started()
        if answer.status >= 400:
            errors = json.loads(words).get("Errs")
            raise refusal("; ".join(errors).encode() if errors else words)

    def pull_image(self, reference: str, tls_verify: bool | None) -> None:
        query = {"reference": reference, "policy": "missing", "tlsVerify": tls_verify}
        self._follow("/images/pull", query, f"Pulling {reference}")
        self.forget_images()

    # What is kept.

    def plays(self) -> dict[str, str]:
        """What is kept under, by the names of plays."""
        found = [one["Spec"]["Name"] for one in self.secrets() if PLAY in (one["Spec"].get("Labels") or {})]
        return {name[len(_KEPT) :]: name for name in found if name.startswith(_KEPT)}

    def kept(self, name: str) -> Kept | None:
        """What is kept of a play; None where nothing is."""
        found = self.secret(f"{_KEPT}{name}")
        labels = (found or {}).get("Spec", {}).get("Labels") or {}
        if found is None or PLAY not in labels:
            return None
        said = json.loads(found["SecretData"])
        before = said.get("before")
        return Kept(_played(said["now"]), None if before is None else _played(before), labels.get(PLAYER))

    def keep(self, name: str, kept: Kept) -> None:
        """Keep what is played in a secret of Podman: in one step, and where only its user can read it.

        Raises:
            StrataError: It is larger than Podman keeps.
        """
        said = {"now": _said(kept.now), **({} if kept.before is None else {"before": _said(kept.before)})}
        text = json.dumps(said, sort_keys=True)
        if len(text) >= LARGEST:
            raise StrataError(
                f"is of {len(text)} bytes, with what it replaces: Podman keeps fewer than {LARGEST}",
                option="definition",
                hint="Play parts of it under names of their own",
            )
        self.keep_secret(f"{_KEPT}{name}", text, "file", {}, {PLAY: name, PLAYER: kept.owner or ""})

    def forget(self, name: str) -> None:
        self.remove_secret(f"{_KEPT}{name}")


def _said(played: Played) -> dict[str, Any]:
    return {"documents": list(played.documents), "options": dict(played.options)}


def _played(said: Mapping[str, Any]) -> Played:
    return Played(tuple(said["documents"]), said["options"])
