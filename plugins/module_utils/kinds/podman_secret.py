# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of Podman, root's or a plain user's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core import policy
from ..core.codec import LINE, PATH
from ..core.errors import StrataError
from ..core.field import Field, Role
from ..core.plan import Effect, Plan, State
from ..core.resource import Resource, Thing
from ..engines.docker import OURS, OWNER, Document
from ..engines.docker_networks import OPTIONS
from ..engines.podman_secrets import LARGEST, PLAY, PodmanSecrets
from .podman_fields import PODMAN


def _check_data(data: str) -> None:
    size = len(data.encode())
    if not 0 < size < LARGEST:
        raise ValueError(f"is of {size} bytes: Podman keeps at least one, and fewer than {LARGEST}")


class PodmanSecret(Resource):
    kind = "podman_secret"
    rank = 35
    states = {"present": "present", "absent": "absent"}
    fields = (
        policy.name(),
        policy.state("present", "absent"),
        *PODMAN,
        Field("data", effect=Effect.LIVE, secret=True, export=False, check=_check_data),
        Field("path", PATH, role=Role.POLICY),
        Field("driver", LINE, effect=Effect.LIVE, given="file"),
        Field("driver_options", OPTIONS, effect=Effect.LIVE, default={}, export=False),
        Field("labels", OPTIONS, effect=Effect.LIVE, default={}),
    )

    # What was declared.

    def check(self) -> None:
        if "data" in self.spec and "path" in self.spec:
            raise StrataError("can't go with data", option="path", hint="Give one of them")

    def provides(self) -> list[Thing]:
        return [(self.kind, self.name)]

    def files(self) -> Iterable[tuple[str, str]]:
        return [("path", self.spec["path"])] if "path" in self.spec and self.target == "present" else []

    def settings(self, state: State) -> dict[str, Any]:
        if not state.exists and not {"data", "path"} & self.spec.keys():
            raise StrataError("is needed for a new secret", option="data", hint="Give it, or path")
        content = {} if state.document is None else {"data": state.document}
        return {**super().settings(state), **content}

    # What there is.

    @classmethod
    def open(cls, spec: Mapping[str, Any]) -> PodmanSecrets:
        return PodmanSecrets(spec.get("user_scope"), spec.get("podman_host"))

    @classmethod
    def read_many(cls, engine: PodmanSecrets, names: Iterable[str] | None) -> dict[str, State]:
        there = {one["Spec"]["Name"]: one["Spec"].get("Labels") or {} for one in engine.secrets()}
        declarable = {name for name, labels in there.items() if PLAY not in labels}
        found = {name: engine.secret(name) for name in sorted(declarable if names is None else there.keys() & {*names})}
        return {name: _read(secret) for name, secret in found.items() if secret is not None}

    def observe(self, engine: PodmanSecrets, state: State) -> State:
        if "path" in self.spec and self.target == "present" and ("path", self.spec["path"]) not in self.promised:
            return replace(state, document=self._content())  # not among the facts, which a result shows
        return state

    def _content(self) -> str:
        where = {"option": "path", "value": self.spec["path"]}
        try:
            with open(self.spec["path"], encoding="utf-8", newline="") as file:
                content = file.read(LARGEST)
            _check_data(content)
        except OSError as error:
            raise StrataError(f"can't be read: {error.strerror}", **where) from None
        except UnicodeDecodeError:
            hint = "Keep it encoded, as base64 does, and have its user decode it"
            raise StrataError("is no text, which is all that Podman tells of a secret", hint=hint, **where) from None
        except ValueError as error:
            raise StrataError(str(error), **where) from None
        return content

    # What is to be done.

    def create(self, engine: PodmanSecrets, plan: Plan) -> None:
        had = plan.state.config
        owner = plan.state.owner if plan.state.exists else self.owner
        labels = {**had.get("labels", {}), **plan.want.get("labels", {}), OWNER: owner}
        options = {**had.get("driver_options", {}), **plan.want.get("driver_options", {})}
        if had.get("driver") != plan.want["driver"]:
            options = dict(plan.want.get("driver_options", {}))  # those of one driver mean nothing to another one
        engine.keep_secret(
            self.name,
            plan.want.get("data", had.get("data")),
            plan.want["driver"],
            {key: value for key, value in options.items() if value is not None},
            {key: value for key, value in labels.items() if value is not None},
        )

    update = create

    def remove(self, engine: PodmanSecrets, plan: Plan) -> None:
        engine.remove_secret(self.name)


def _read(secret: Document) -> State:
    spec = secret["Spec"]
    labels = spec.get("Labels") or {}
    config = {
        "data": secret.get("SecretData"),
        "driver": spec["Driver"]["Name"],
        "driver_options": spec["Driver"].get("Options") or {},
        "labels": {key: value for key, value in labels.items() if not key.startswith(OURS)},
    }
    facts = {"id": secret["ID"], "created": secret.get("CreatedAt"), "updated": secret.get("UpdatedAt")}
    return State("present", config, facts=facts, owner=labels.get(OWNER))
