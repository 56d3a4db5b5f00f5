# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of Podman as the tests see and meddle with them, and the images that they are made from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from . import podman_api
from .docker_containers import IMAGES, PAGES, kernel, tree
from .driver import run


def make_images(at: str = podman_api.SOCKET, names: tuple[str, ...] = ("web:1.0", "web:2.0", "web:broken")) -> None:
    """Those of Docker's tests, in a user's storage; none with a health check, which an import can't give."""
    for name in names:
        podman_api.make_image(f"localhost/{name}", tree(), IMAGES[name], at)
    PAGES.mkdir(parents=True, exist_ok=True)
    (PAGES / "index.html").write_text("hello\n")


RAISED = 1_048_576
"""What Podman raises the limits of files and processes to."""

_CONFIG = ("Cmd", "Entrypoint", "User", "WorkingDir", "OpenStdin", "Tty", "StopSignal", "StopTimeout", "Healthcheck")


def look(name: str, at: str = podman_api.SOCKET) -> dict | None:
    """What was set for a container, without what is only its own (IDs, times, addresses)."""
    found = podman_api.container(name, at)
    if found is None:
        return None
    config, host = found["Config"], dict(found["HostConfig"])
    host["Binds"] = sorted(bind for bind in host["Binds"] if not re.match("[0-9a-f]{64}:", bind))
    rooms = {path: words.split(",") for path, words in host["Tmpfs"].items()}
    host["Tmpfs"] = {path: sorted(map(_in_bytes, words)) for path, words in rooms.items()}
    # What the runtime is given once it starts.
    host["Annotations"], host["Ulimits"] = None, [one for one in host["Ulimits"] if one["Soft"] != RAISED]
    host["LogConfig"] = {key: value for key, value in host["LogConfig"].items() if key != "Path"}
    labels = {key: value for key, value in (config["Labels"] or {}).items() if not key.startswith("strata.")}
    env = [line for line in config["Env"] or () if not line.startswith(("HOSTNAME=", "HOME="))]
    return {
        **{key: None if value in ([], "", {}) else value for key, value in host.items()},
        **{key: config.get(key) for key in _CONFIG},
        "Env": sorted(env),
        "Labels": labels,
        "Id": found["Image"],
        "BoundingCaps": sorted(found["BoundingCaps"] or ()),
        "Networks": sorted(found["NetworkSettings"].get("Networks") or ()),
        "Running": found["State"]["Running"],
        "Kernel": kernel(found),
    }


def _in_bytes(word: str) -> str:
    return f"size={int(word[5:-1]) << 20}" if re.fullmatch(r"size=\d+m", word) else word


def pid(name: str) -> int:
    return podman_api.container(name)["State"]["Pid"]


def data(name: str, path: str = "/data") -> Path:
    """Where the host has what is mounted at a path of a container."""
    return next(Path(one["Source"]) for one in podman_api.container(name)["Mounts"] if one["Destination"] == path)


def leftovers() -> list[str]:
    return [name for mark in ("next", "previous") for name in podman_api.names(f"strata-{mark}")]


def drift(action: str, method: str = "POST", **body: object) -> Callable[[str], object]:
    return lambda name: podman_api.ask(f"/containers/{name}{action}", method, **body)


def again(*argv: str, verb: str = "create") -> Callable[[str], None]:
    """Somebody else makes it anew, by hand."""

    def made(name: str) -> None:
        podman_api.remove(name)
        run("podman", *verb.split(), "--name", name, *argv)

    return made
