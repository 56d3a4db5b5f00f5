# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to Podman by its own API, and telling of its containers in Docker's words. It takes no decisions.

Podman speaks Docker's API, too; but there it sets limits that nobody asked for, forgets some that were, and tells less
of a container than it knows (docs.podman.io, "Reference": libpod).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import struct
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..core import progress
from ..core.errors import StrataError
from ..core.waiting import until
from . import podman_networks, podman_service, podman_spec, podman_words
from .docker import FOREIGN, OWNER

OLDEST = (5, 0)
"""Since this version an inspected container tells its entry point word by word (Podman 5.0.0, release notes)."""

_API = "/v5.0.0/libpod"
_TIMEOUT = 300.0  # seconds; a stop takes as long as the container's own stop timeout says
_FEW = 60  # names in one filter; more of them are cheaper told from the whole list
_SETTLES = 1.0  # seconds in which a program that can't run has left again
_REMOVAL = 60.0  # seconds that a removal which somebody else began may take

Document = Mapping[str, Any]
Query = Mapping[str, Any]


class Each(tuple[str, ...]):
    """Values of a query that are given once each, and not as a list in JSON."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, service: podman_service.Service, timeout: float | None) -> None:
        super().__init__("podman", timeout=timeout)
        self._service = service

    def connect(self) -> None:
        self.sock = self._service.connect(self.timeout)


class Podman:
    """The Podman of one user.

    Args:
        user: Whose it is; None for that of whoever runs this.
        url: Where a service listens already; None starts one where none is at its usual place.

    Raises:
        StrataError: Podman is missing, too old or can't work for that user.
    """

    program = "podman"
    works_for_others = False  # it has no swarms

    def __init__(self, user: str | None = None, url: str | None = None) -> None:
        self.service = podman_service.reach(user, url)
        self._images: dict[str, Document | None] = {}
        self._info: Document | None = None
        self._started = float("-inf")
        self._release = ""

    # The wire.

    def _exchange(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        timeout: float | None = _TIMEOUT,
        headers: Mapping[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """An answer whose body isn't read yet.

        Raises:
            StrataError: Nobody answers.
        """
        asked = {key: _word(value) for key, value in (query or {}).items() if value is not None}
        words = urllib.parse.urlencode(asked, doseq=True)
        target = f"{_API}{urllib.parse.quote(path)}{'?' + words if words else ''}"
        sent, sort = _sent(body)
        connection = _Connection(self.service, timeout)
        try:
            connection.request(method, target, sent, {**sort, **(headers or {})})
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise StrataError(f"the service of Podman at {self.service.path} does not answer: {error}") from None
        self._meet(answer)
        return answer

    def _meet(self, answer: http.client.HTTPResponse) -> None:
        """Learn which version it is, which every answer tells."""
        if self._release:
            return
        self._release = answer.headers.get("Libpod-Api-Version") or "of an unknown version"
        numbers = tuple(int(number) for number in re.findall(r"\d+", self._release)[:2])
        if numbers < OLDEST:
            wanted = ".".join(map(str, OLDEST))
            raise StrataError(f"Podman {self._release} is too old", hint=f"Install Podman {wanted} or newer")

    @property
    def title(self) -> str:
        """Which Podman it is, for messages."""
        if not self._release:
            self._said("GET", "/_ping")
        return f"Podman {self._release}"

    def _said(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        timeout: float | None = _TIMEOUT,
        missing: bool = False,
    ) -> bytes | None:
        """All of an answer; None for what there isn't, where that is ``missing`` well.

        Raises:
            StrataError: It is refused.
        """
        answer = self._exchange(method, path, query, body, timeout)
        try:
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise StrataError(f"the service of Podman broke off: {error}") from None
        if answer.status == 404 and missing:
            return None
        if answer.status >= 400:
            raise refusal(said)
        return said

    def _ask(self, path: str, query: Query | None = None, missing: bool = False) -> Any:
        said = self._said("GET", path, query, missing=missing)
        return None if said is None else json.loads(said)

    def _do(self, path: str, query: Query | None = None, body: Any = None, missing: bool = True) -> None:
        self._said("POST", path, query, body, missing=missing)

    def _make(self, path: str, body: Document) -> Any:
        return json.loads(self._said("POST", path, body=body) or b"null")

    # Containers.

    def containers(self, names: Iterable[str] | None = None) -> list[Document]:
        """Short descriptions of all containers, or at least of those with the given names.

        What was just started has the time to fail first: until then it counts as running.
        """
        self.settle()
        asked = None if names is None else list(names)
        query: dict[str, Any] = {"all": True}
        if asked is not None and len(asked) <= _FEW:
            query["filters"] = {"name": [f"^{re.escape(name)}$" for name in asked]}
        return [podman_words.listed(one) for one in self._ask("/containers/json", query) if not one.get("IsInfra")]

    def inspect(self, container: str) -> Document | None:
        """All about a container, by name or ID, in Docker's words; None where there is none."""
        found = self._ask(f"/containers/{container}/json", missing=True)
        return None if found is None else podman_words.container(found, self.service.user.uid)

    def create(self, name: str, body: Document) -> tuple[str, list[str]]:
        """Create a container, and return its ID and what Podman warns of. The body is in Docker's words."""
        made = self._make("/containers/create", {**podman_spec.spec(body), "name": name})
        return str(made["Id"]), list(made.get("Warnings") or ())

    def update(self, container: str, body: Document) -> list[str]:
        """Change what a container can take live. The body is in Docker's words."""
        policy = body.get("RestartPolicy") or {}
        query = {"restartPolicy": policy.get("Name"), "restartRetries": policy.get("MaximumRetryCount") or None}
        self._do(f"/containers/{container}/update", query, podman_spec.resources(body), missing=False)
        return []

    def start(self, container: str) -> None:
        self._do(f"/containers/{container}/start", missing=False)
        self.started()

    def started(self) -> None:
        """Note that something was just started."""
        self._started = time.monotonic()

    def settle(self) -> None:
        """Let what was just started have the time to fail."""
        time.sleep(max(0.0, self._started + _SETTLES - time.monotonic()))

    def pause(self, container: str) -> None:
        self._do(f"/containers/{container}/pause", missing=False)

    def unpause(self, container: str) -> None:
        self._do(f"/containers/{container}/unpause", missing=False)

    def stop(self, container: str, timeout: int | None = None) -> None:
        """Stop it within so many seconds, else its own stop timeout; one that is gone or stopped is fine."""
        found = self.inspect(container)
        if found is not None and found["State"]["Paused"]:
            self.unpause(container)  # Podman doesn't stop what is frozen
        self._do(f"/containers/{container}/stop", {"timeout": timeout})

    def kill(self, container: str, signal: str | None = None) -> None:
        """Send a signal, SIGKILL where none is named; one that is gone or doesn't run is fine."""
        try:
            self._do(f"/containers/{container}/kill", {"signal": signal})
        except StrataError as error:
            if "can only kill running containers" not in error.message:
                raise

    def wait(self, container: str) -> int:
        """Wait until it has left, however long that takes, and return its status."""
        said = self._said("POST", f"/containers/{container}/wait", {"condition": "stopped"}, timeout=None)
        return int(said or 0)

    def rename(self, container: str, name: str) -> None:
        self._do(f"/containers/{container}/rename", {"name": name}, missing=False)

    def remove(self, container: str, volumes: bool = False, timeout: float = _REMOVAL) -> None:
        """Remove it, running or not, and with ``volumes`` those of its volumes that have no name.

        One that is gone is fine. Where its removal is under way already, that is waited for.
        """
        query = {"force": True, "v": volumes, "timeout": 0}
        said = self._said("DELETE", f"/containers/{container}", query, missing=True)
        for report in json.loads(said) if said else ():
            if report.get("Err"):
                raise refusal(str(report["Err"]).encode())

    def gone(self, container: str, timeout: float = _REMOVAL) -> None:
        """Wait until a container that is being removed is gone."""
        until(lambda: self.inspect(container) is None, "a container that is being removed", timeout)

    def logs(self, container: str, lines: int | str = "all") -> str:
        """What a container wrote, or the end of it."""
        query = {"stdout": True, "stderr": True, "tail": None if lines == "all" else lines}
        said = self._said("GET", f"/containers/{container}/logs", query, missing=True) or b""
        return b"".join(_frames(said)).decode(errors="replace")

    def last_words(self, container: str, lines: int = 5) -> str:
        """The end of what a container wrote, in one line."""
        said = self.logs(container, lines)
        return "; ".join(line.strip() for line in said.splitlines() if line.strip())

    # What containers are made from, and connected to.

    def image(self, reference: str) -> Document | None:
        """All about an image, in Docker's words; None where this user doesn't have it. Asked once per reference."""
        if reference not in self._images:
            found = self._ask(f"/images/{reference}/json", missing=True)
            self._images[reference] = known = None if found is None else podman_words.image(found)
            if known is not None:
                self._images.update(dict.fromkeys([known["Id"], *(known.get("RepoTags") or ())], known))
        return self._images[reference]

    def forget_images(self) -> None:
        """Ask anew: one was pulled, or somebody else made one."""
        self._images.clear()

    def info(self) -> Document:
        """What Podman and its host can do. Asked once."""
        if self._info is None:
            self._info = self._ask("/info")
        return self._info

    def networks(self) -> list[Document]:
        """All networks; which containers are on them, only ``containers`` tells."""
        return [podman_networks.network(one) for one in self._ask("/networks/json")]

    def create_network(self, body: Document) -> str:
        """Create a network and return its ID. The body is in Docker's words."""
        return str(self._make("/networks/create", podman_networks.request(body))["id"])

    def remove_network(self, network: str) -> None:
        """Remove it; one that is gone is fine."""
        self._said("DELETE", f"/networks/{network}", missing=True)

    def connect(self, network: str, container: str, endpoint: Document) -> None:
        body = {"container": container, **podman_spec.place(endpoint)}
        self._do(f"/networks/{network}/connect", body=body, missing=False)

    def disconnect(self, network: str, container: str) -> None:
        """Take a container off a network; one that is gone is fine."""
        self._do(f"/networks/{network}/disconnect", body={"Container": container, "Force": True})

    def volumes(self) -> list[Document]:
        """All volumes; who uses them, ``mounting`` tells."""
        return [podman_words.volume(one) for one in self._ask("/volumes/json")]

    def mounting(self, volume: str) -> dict[str, str | None]:
        """The containers that a volume is mounted in, running or not, and who made them."""
        found = self._ask("/containers/json", {"all": True, "filters": {"volume": [volume]}})
        return {one["Names"][0]: (one.get("Labels") or {}).get(OWNER) for one in found}

    def create_volume(self, body: Document) -> None:
        """Create a volume. The body is in Docker's words."""
        sent = {"Name": body["Name"], "Driver": body.get("Driver"), "Labels": body.get("Labels")}
        self._do("/volumes/create", body={**sent, "Options": body.get("DriverOpts")}, missing=False)

    def remove_volume(self, volume: str) -> None:
        """Remove it and what is in it; one that is gone is fine."""
        self._said("DELETE", f"/volumes/{volume}", missing=True)

    def _follow(self, path: str, query: Query, what: str, body: Any = None) -> None:
        """Tell what Podman says while it works; its own error, and its last words, where it fails."""
        progress.say(what)
        answer = self._exchange("POST", path, query, body, timeout=None)
        if answer.status >= 400:
            raise refusal(answer.read())
        said: list[str] = []
        for line in answer:
            event = json.loads(line) if line.strip() else {}
            if event.get("error"):
                raise progress.failed(what, str(event["error"]), said, (FOREIGN,))
            if (event.get("stream") or "").strip():
                said.append(event["stream"].strip())
                progress.say(f"{what}: {said[-1]}")


def _sent(body: Any) -> tuple[Any, dict[str, str]]:
    """What goes over the wire, and the header that says what it is: bytes as they are, files as tars, else JSON."""
    if body is None or isinstance(body, bytes) or hasattr(body, "read"):
        sort = "application/octet-stream" if isinstance(body, bytes) else "application/x-tar"
        return body, {} if body is None else {"Content-Type": sort}
    return json.dumps(body).encode(), {"Content-Type": "application/json"}


def _word(value: Any) -> str | Each:
    """A value of a query: true and false as JSON has them, mappings and lists as JSON."""
    return value if isinstance(value, (str, Each)) else json.dumps(value)


def _frames(said: bytes) -> Iterator[bytes]:
    """What was written, without the frames around it: a byte for the stream, three of nothing, four of the length."""
    place = 0
    while place + 8 <= len(said):
        (length,) = struct.unpack(">I", said[place + 4 : place + 8])
        yield said[place + 8 : place + 8 + length]
        place += 8 + length


_WAYS_OUT = (
    ("address already in use", "Another program or container has that port: ss -ltnup shows which"),
    ("is already in use", "Another container took the name meanwhile: run again"),
    ("no such image", "Pull or load the image first"),
    ("image not known", "Pull or load the image first"),
    ("cgroup controller", "See /sys/fs/cgroup/user.slice, cgroup.controllers: systemd has to delegate that controller"),
    ("rootlessport cannot expose privileged port", "Publish a port from 1024 on, or lower ip_unprivileged_port_start"),
    ("unable to find network", "podman network ls shows the networks that there are"),
    ("executable file", "Check the option command, and the image's entry point"),
    ("statfs", "A bind mount needs a path that is there: make it first"),
)


def refusal(said: bytes) -> StrataError:
    """What Podman refused, in its own words, with the way out where one is known."""
    text = said.decode(errors="replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["message"])
    text = " ".join(text.split())
    hint = next((way for words, way in _WAYS_OUT if words in text), None)
    return StrataError(f"Podman refused: {text.rstrip('.')}", hint=hint)
