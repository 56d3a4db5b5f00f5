# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to a Docker daemon, through the low-level client of its SDK. It takes no decisions."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from ..core.errors import StrataError
from ..core.libraries import library
from ..core.waiting import until

DEFAULT = "unix:///var/run/docker.sock"
OLDEST = "1.41"
"""The API of Docker 20.10 (docs.docker.com/reference/api/engine/#api-version-matrix)."""

OURS = "strata."
"""The prefix of the labels in which the collection keeps what it needs to know."""

OWNER = OURS + "owner"
"""Who made it: a stack, or "" for a single task."""

_TIMEOUT = 300  # seconds; a stop takes as long as the container's own stop timeout says
_FEW = 60  # names in one filter; more of them are cheaper told from the whole list

Document = Mapping[str, Any]

_SETTLES = 1.0  # seconds in which a program that can't run has left again
_REMOVAL = 60.0  # seconds that a removal which somebody else began may take


def _sdk() -> ModuleType:
    """The SDK. Before 6.0 it takes two functions of distutils, for which setuptools brings all of its own: 0.16 s."""
    shim = sys.modules.get("_distutils_hack")
    if shim is not None and sys.version_info < (3, 12):  # later ones have no distutils of their own (PEP 632)
        shim.remove_shim()
    return library("docker", "python3-docker")


class Docker:
    """One daemon.

    Args:
        url: Where it listens, as ``unix:///var/run/docker.sock``.

    Raises:
        StrataError: The SDK is missing, or no daemon listens there.
    """

    program = "docker"
    """Its command line, as hints name it."""

    def __init__(self, url: str = DEFAULT) -> None:
        self.url = url
        self.sdk = _sdk()
        self._version: str | None = None
        self._release = "of an unknown version"
        self._local = threading.local()
        self._images: dict[str, Document | None] = {}
        self._info: Document | None = None
        self._started = float("-inf")
        self._knock()

    def _knock(self) -> None:
        """See whether somebody is there, on a socket without asking anything."""
        scheme, _slashes, path = self.url.partition("://")
        if scheme != "unix":
            self._do(lambda client: client.ping())
            return
        with socket.socket(socket.AF_UNIX) as door:
            try:
                door.connect(path)
            except OSError as error:
                raise self._silence(error) from None

    @property
    def _client(self) -> Any:
        # A session of the library requests is not safe to share between threads.
        if not hasattr(self._local, "client"):
            client = self.sdk.APIClient(base_url=self.url, version=self._version or OLDEST, timeout=_TIMEOUT)
            # A socket has no proxy, and requests looks for one in the environment and in ~/.netrc at each call.
            client.trust_env = not self.url.startswith("unix:")
            self._local.client = client
            if self._version is None:
                self._meet(client)
        return self._local.client

    def _meet(self, client: Any) -> None:
        """Have the client speak the daemon's own version of the API.

        Each answer tells it in its headers (docs.docker.com/reference/api/engine/, "Ping"), to a path without a
        version too: the first question is asked so, instead of another one before it.
        """
        versioned = client._url

        def learn(answer: Any, **_more: Any) -> None:
            if self._version is None and "Api-Version" in answer.headers:
                self._version = client._version = answer.headers["Api-Version"]
                self._release = answer.headers.get("Server", "").partition("/")[2].partition(" ")[0] or self._release
            client._url = versioned

        client.hooks["response"].append(learn)
        client._url = lambda path, *rest, **more: versioned(path, *rest, **{**more, "versioned_api": False})

    @property
    def api(self) -> tuple[int, ...]:
        """The version of the API that is spoken."""
        return tuple(int(part) for part in (self._version or OLDEST).split("."))

    @property
    def title(self) -> str:
        """Which daemon it is, for messages."""
        return f"Docker {self._release} (API {self._version})"

    def _do(self, work: Callable[[Any], Any]) -> Any:
        try:
            return work(self._client)
        except self.sdk.errors.APIError as error:
            raise _refusal(str(error.explanation or error)) from None
        except (self.sdk.errors.DockerException, OSError) as error:  # the errors of requests are OSErrors
            raise self._silence(error) from None

    def _silence(self, error: Exception) -> StrataError:
        said = repr(error)
        where = {"option": "docker_host", "value": self.url}
        if "PermissionError" in said:
            return StrataError(
                "this user may not speak to the Docker daemon",
                hint="Use become, or add the user to the group docker",
                **where,
            )
        if any(word in said for word in ("FileNotFoundError", "ConnectionRefusedError", "NewConnectionError")):
            return StrataError("no Docker daemon answers there", hint="Start it: systemctl start docker", **where)
        return StrataError(f"the Docker daemon does not answer: {error}", **where)

    def _found(self, work: Callable[[Any], Any]) -> Any:
        """What there is; None where the daemon knows no such thing."""

        def ask(client: Any) -> Any:
            try:
                return work(client)
            except self.sdk.errors.NotFound:
                return None

        return self._do(ask)

    def containers(self, names: Iterable[str] | None = None) -> list[Document]:
        """Short descriptions of all containers, or at least of those with the given names.

        What was just started has the time to fail first: until then it counts as running.
        """
        time.sleep(max(0.0, self._started + _SETTLES - time.monotonic()))
        asked = None if names is None else list(names)
        filters = None
        if asked is not None and len(asked) <= _FEW:
            filters = {"name": [f"^/?{re.escape(name)}$" for name in asked]}
        found: list[Document] = self._do(lambda client: client.containers(all=True, filters=filters))
        return found

    def inspect(self, container: str) -> Document | None:
        """All about a container, by name or ID; None where there is none."""
        found: Document | None = self._found(lambda client: client.inspect_container(container))
        return found

    def image(self, reference: str) -> Document | None:
        """All about an image; None where this host doesn't have it. Asked once per reference."""
        if reference not in self._images:
            found = self._found(lambda client: client.inspect_image(reference))
            self._images[reference] = found
            if found is not None:
                self._images.update(dict.fromkeys([found["Id"], *(found.get("RepoTags") or ())], found))
        return self._images[reference]

    def forget_images(self) -> None:
        """Ask anew: one was pulled, or somebody else made one."""
        self._images.clear()

    def info(self) -> Document:
        """What the daemon and its host can do. Asked once."""
        if self._info is None:
            self._info = self._do(lambda client: client.info())
        return self._info

    @property
    def works_for_others(self) -> bool:
        """Whether it is a worker of a swarm.

        A network of the swarm comes to it with the first container there that is on it, and goes with the last one
        (moby: daemon/cluster/networks.go, AttachNetwork).
        """
        member = self.info().get("Swarm") or {}
        return member.get("LocalNodeState") == "active" and not member.get("ControlAvailable")

    def create(self, name: str, body: Document, platform: str | None = None) -> tuple[str, list[str]]:
        """Create a container, and return its ID and what the daemon leaves out of what it was told.

        The body is that of ``POST /containers/create``.
        """
        params = {"name": name, **({"platform": platform} if platform else {})}
        made = self._do(
            lambda client: client._result(
                client._post_json(client._url("/containers/create"), data=dict(body), params=params), True
            )
        )
        return str(made["Id"]), _left_out(made)

    def networks(self) -> list[Document]:
        """All networks; which containers are on them, only ``containers`` tells."""
        found: list[Document] = self._do(lambda client: client.networks())
        return found

    def create_network(self, body: Document) -> str:
        """Create a network and return its ID. The body is that of ``POST /networks/create``."""
        made = self._do(
            lambda client: client._result(
                client._post_json(client._url("/networks/create"), data={"CheckDuplicate": True, **body}), True
            )
        )
        return str(made["Id"])

    def remove_network(self, network: str) -> None:
        """Remove it; one that is gone is fine."""
        self._found(lambda client: client.remove_network(network))

    def connect(self, network: str, container: str, endpoint: Document) -> None:
        body = {"Container": container, "EndpointConfig": dict(endpoint)}
        self._do(
            lambda client: client._raise_for_status(
                client._post_json(client._url("/networks/{0}/connect", network), data=body)
            )
        )

    def disconnect(self, network: str, container: str) -> None:
        """Take a container off a network; one that is gone is fine."""
        self._found(lambda client: client.disconnect_container_from_network(container, network, force=True))

    def volumes(self) -> list[Document]:
        """All volumes; who uses them, only ``containers`` tells."""
        found: list[Document] = self._do(lambda client: client.volumes()).get("Volumes") or []
        return found

    def create_volume(self, body: Document) -> None:
        """Create a volume. The body is that of ``POST /volumes/create``."""
        self._do(
            lambda client: client._raise_for_status(client._post_json(client._url("/volumes/create"), data=dict(body)))
        )

    def remove_volume(self, volume: str) -> None:
        """Remove it and what is in it; one that is gone is fine."""
        self._found(lambda client: client.remove_volume(volume))

    def login(self, registry: str, username: str, password: str) -> None:
        """Have the daemon ask a registry whether it takes these credentials; nothing is kept.

        Raises:
            StrataError: It does not, or it can't be reached.
        """
        body = {"username": username, "password": password, "serveraddress": registry}
        self._do(lambda client: client._raise_for_status(client._post_json(client._url("/auth"), data=body)))

    def in_swarm(self) -> bool:
        """Whether the daemon is a member of a swarm."""
        return bool((self.info().get("Swarm") or {}).get("LocalNodeState") == "active")

    def update(self, container: str, body: Document) -> list[str]:
        """Change what a container can take live, and return what the daemon leaves out of it.

        The body is that of ``POST /containers/ID/update``.
        """
        # The SDK's own update_container knows neither NanoCpus nor PidsLimit.
        done = self._do(
            lambda client: client._result(
                client._post_json(client._url("/containers/{0}/update", container), data=dict(body)), True
            )
        )
        return _left_out(done)

    def start(self, container: str) -> None:
        self._do(lambda client: client.start(container))
        self._started = time.monotonic()

    def pause(self, container: str) -> None:
        self._do(lambda client: client.pause(container))

    def unpause(self, container: str) -> None:
        self._do(lambda client: client.unpause(container))

    def stop(self, container: str, timeout: int | None = None) -> None:
        """Stop it within so many seconds, else its own stop timeout; one that is gone or stopped is fine."""
        self._found(lambda client: client.stop(container, timeout=timeout))

    def kill(self, container: str, signal: str | None = None) -> None:
        """Send a signal, SIGKILL where none is named; one that is gone or doesn't run is fine."""
        try:
            self._found(lambda client: client.kill(container, signal=signal))
        except StrataError as error:
            if "is not running" not in error.message:
                raise

    def wait(self, container: str) -> int:
        """Wait until it has left, however long that takes, and return its status."""
        # A timeout of the session counts between two bytes of an answer: none may come for days.
        answer = self._do(
            lambda client: client._result(
                client._post(client._url("/containers/{0}/wait", container), timeout=None), True
            )
        )
        return int(answer["StatusCode"])

    def rename(self, container: str, name: str) -> None:
        self._do(lambda client: client.rename(container, name))

    def remove(self, container: str, volumes: bool = False, timeout: float = _REMOVAL) -> None:
        """Remove it, running or not, and with ``volumes`` those of its volumes that have no name.

        One that is gone is fine. Where its removal is under way already, that is waited for.
        """
        try:
            self._found(lambda client: client.remove_container(container, v=volumes, force=True))
        except StrataError as error:
            if "already in progress" not in error.message:
                raise
            self.gone(container, timeout)

    def gone(self, container: str, timeout: float = _REMOVAL) -> None:
        """Wait until a container that is being removed is gone."""
        until(lambda: self.inspect(container) is None, "a container that is being removed", timeout)

    def logs(self, container: str, lines: int | str = "all") -> str:
        """What a container wrote, or the end of it."""
        said: bytes = self._do(lambda client: client.logs(container, tail=lines))
        return said.decode(errors="replace")

    def last_words(self, container: str, lines: int = 5) -> str:
        """The end of what a container wrote, in one line."""
        said = self.logs(container, lines)
        return "; ".join(line.strip() for line in said.splitlines() if line.strip())


def container_name(container: Document) -> str:
    """The name of a container out of a list of them."""
    own = (name for name in container["Names"] if name.count("/") == 1)  # others come by links
    return str(next(own, container["Id"])).lstrip("/")


def _left_out(answer: Document) -> list[str]:
    """Those of the daemon's warnings that say that it doesn't do what it was told."""
    return [said for said in answer.get("Warnings") or () if "discarded" in said.lower()]


NO_ROOM = ("no space left on device", "Make room: docker_prune takes away what nothing uses")
FOREIGN = (
    "exec format error",
    "A step runs a program for another processor: the package qemu-user-static lets the kernel do that (binfmt_misc)",
)
"""What a host lacks for a build: a part of what an engine says of it, in lower case, and what helps."""

_WAYS_OUT = (
    NO_ROOM,
    ("401 Unauthorized", "Check username and password"),
    ("port is already allocated", "Another container publishes that port: docker ps shows which"),
    ("address already in use", "Another program listens there: ss -ltnup shows which"),
    ("is already in use by container", "Another container took the name meanwhile: run again"),
    ("No such image", "Pull or load the image first"),
    ("plugin", "Check the option driver; docker info shows the plugins that there are"),
    ("network", "docker network ls shows the networks that there are"),
    ("executable file not found", "Check the option command, and the image's entry point"),
)


def _refusal(said: str) -> StrataError:
    """What the daemon refused, in its own words, with the way out where one is known."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        said = str(json.loads(said)["message"])  # some versions of the SDK leave the wrapping on
    said = " ".join(said.split())
    hint = next((way for words, way in _WAYS_OUT if words in said), None)
    return StrataError(f"Docker refused: {said.rstrip('.')}", hint=hint)
