# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to a Docker daemon about the swarm that it is in (docs.docker.com/reference/api/engine/, "Swarm")."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .docker import Docker, Document

INACTIVE = "inactive"


class DockerSwarm(Docker):
    """One daemon, asked about its swarm."""

    def membership(self) -> Document:
        """What it says of itself as a member of a swarm, now."""
        self._info = None
        return dict(self.info().get("Swarm") or {"LocalNodeState": INACTIVE})

    @property
    def manages(self) -> bool:
        """Whether it is a manager: only those answer for the swarm."""
        return bool(self.membership().get("ControlAvailable"))

    def swarm(self) -> Document:
        """The swarm, with the tokens for joining it."""
        found: Document = self._do(lambda client: client.inspect_swarm())
        return found

    def init(self, body: Document) -> None:
        """Begin a swarm. The body is that of ``POST /swarm/init``."""
        self._post("/swarm/init", body)

    def join(self, body: Document) -> None:
        """Join a swarm. The body is that of ``POST /swarm/join``."""
        self._post("/swarm/join", body)

    def leave(self, force: bool) -> None:
        """Leave it; with ``force`` as its last manager, too, which ends it."""
        self._do(lambda client: client.leave_swarm(force=force))

    def update_swarm(self, version: int, spec: Document) -> None:
        self._post("/swarm/update", spec, {"version": version})

    def objects(self, sort: str, filters: Mapping[str, Any] | None = None) -> list[Document]:
        """All of a sort (``services``, ``tasks``, ``nodes``, ``secrets``, ``configs``), whole."""
        asked = {"filters": json.dumps(filters)} if filters else {}
        found: list[Document] = self._do(
            lambda client: client._result(client._get(client._url(f"/{sort}"), params=asked), True)
        )
        return found or []

    def create_object(self, sort: str, spec: Document) -> None:
        self._post(f"/{sort}/create", spec)

    def update_object(self, sort: str, found: Document, spec: Document) -> None:
        """Change one, if nobody else did since it was read."""
        self._post(f"/{sort}/{found['ID']}/update", spec, {"version": found["Version"]["Index"]})

    def remove_object(self, sort: str, identity: str, force: bool = False) -> None:
        """Remove one; one that is gone is fine."""
        asked = {"force": "true"} if force else {}
        self._found(
            lambda client: client._raise_for_status(client._delete(client._url(f"/{sort}/{identity}"), params=asked))
        )

    def _post(self, path: str, body: Document, params: Mapping[str, Any] | None = None) -> None:
        self._do(
            lambda client: client._raise_for_status(
                client._post_json(client._url(path), data=dict(body), params=dict(params or {}))
            )
        )
