# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to a Docker daemon, through the low-level client of its SDK. It takes no decisions."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..core.errors import StrataError
from ..core.libraries import library

DEFAULT = "unix:///var/run/docker.sock"
OURS = "strata."
"""The prefix of the labels in which the collection keeps what it needs to know."""

OWNER = OURS + "owner"
"""Who made it: a stack, or "" for a single task."""

_TIMEOUT = 300  # seconds; a stop takes as long as the container's own stop timeout says
_FEW = 60  # names in one filter; more of them are cheaper told from the whole list

Document = Mapping[str, Any]


_SETTLES = 1.0  # seconds in which a program that can't run has left again


class Docker:
    """One daemon.

    Args:
        url: Where it listens, as ``unix:///var/run/docker.sock``.

    Raises:
        StrataError: The SDK is missing, or the daemon doesn't answer.
    """

    def __init__(self, url: str = DEFAULT) -> None:
        self.url = url
        self.sdk = library("docker", "python3-docker")
        self._version: str | None = None
        self._local = threading.local()
        self._images: dict[str, Document | None] = {}
        self._started = float("-inf")
        self._version = str(self._do(lambda client: client.api_version))

    @property
    def _client(self) -> Any:
        # A session of the library requests is not safe to share between threads.
        if not hasattr(self._local, "client"):
            client = self.sdk.APIClient(base_url=self.url, version=self._version or "auto", timeout=_TIMEOUT)
            # A socket has no proxy, and requests looks for one in the environment and in ~/.netrc at each call.
            client.trust_env = not self.url.startswith("unix:")
            self._local.client = client
        return self._local.client

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
                self._images[found["Id"]] = found
        return self._images[reference]

    def create(self, name: str, body: Document) -> str:
        """Create a container and return its ID. The body is that of ``POST /containers/create``."""
        made = self._do(lambda client: client.create_container_from_config(dict(body), name))
        return str(made["Id"])

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
        info = self._do(lambda client: client.info())
        return bool((info.get("Swarm") or {}).get("LocalNodeState") == "active")

    def update(self, container: str, body: Document) -> None:
        """Change what a container can take live; the body is that of ``POST /containers/ID/update``."""
        # The SDK's own update_container knows neither NanoCpus nor PidsLimit.
        self._do(
            lambda client: client._result(
                client._post_json(client._url("/containers/{0}/update", container), data=dict(body)), True
            )
        )

    def start(self, container: str) -> None:
        self._do(lambda client: client.start(container))
        self._started = time.monotonic()

    def unpause(self, container: str) -> None:
        self._do(lambda client: client.unpause(container))

    def stop(self, container: str) -> None:
        """Stop it within the container's own stop timeout; one that is gone or stopped is fine."""
        self._found(lambda client: client.stop(container))

    def rename(self, container: str, name: str) -> None:
        self._do(lambda client: client.rename(container, name))

    def remove(self, container: str) -> None:
        """Remove it, running or not, and none of its volumes; one that is gone is fine."""
        self._found(lambda client: client.remove_container(container, force=True))

    def last_words(self, container: str, lines: int = 5) -> str:
        """The end of what a container wrote."""
        said = self._do(lambda client: client.logs(container, tail=lines))
        return "; ".join(line.strip() for line in said.decode(errors="replace").splitlines() if line.strip())


def container_name(container: Document) -> str:
    """The name of a container out of a list of them."""
    own = (name for name in container["Names"] if name.count("/") == 1)  # others come by links
    return str(next(own, container["Id"])).lstrip("/")


_WAYS_OUT = (
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
