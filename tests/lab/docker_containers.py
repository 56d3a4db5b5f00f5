# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of Docker as the tests see and meddle with them, and the images that they are made from."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

from . import cgroups, docker_api
from .driver import run

# busybox as PID 1 ignores SIGTERM: without STOPSIGNAL each stop would take ten seconds.
_WEB = (
    "ENV SITE=web",
    "LABEL made.by=test",
    "EXPOSE 8080/tcp",
    "VOLUME /data",
    "STOPSIGNAL SIGKILL",
    'CMD ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/srv/www"]',
)
_BROKEN = 'CMD ["/bin/busybox", "sh", "-c", "echo no way; exit 3"]'
_SICK = 'HEALTHCHECK --interval=1s --retries=1 CMD ["/bin/busybox", "sh", "-c", "echo no pulse; exit 1"]'
IMAGES = {
    "web:1.0": _WEB,
    "web:2.0": (*_WEB, "ENV SITE=second", "USER 1000"),
    "web:broken": (*_WEB, _BROKEN),
    "web:sick": (*_WEB, _SICK),
}
PAGES = Path("/srv/www")

_CONFIG = (
    *("Image", "Cmd", "Entrypoint", "User", "ExposedPorts", "Volumes", "WorkingDir", "Domainname", "OpenStdin", "Tty"),
    *("StopSignal", "StopTimeout", "Healthcheck"),
)


def tree() -> bytes:
    """A file system of busybox alone."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for part in ("bin", "srv", "srv/www", "tmp", "run", "data", "etc", "dev", "proc", "sys"):
            folder = tarfile.TarInfo(part)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        tar.add(shutil.which("busybox") or "", "bin/busybox")
    return made.getvalue()


def make_images() -> None:
    for name, changes in IMAGES.items():
        docker_api.make_image(name, tree(), changes)
    PAGES.mkdir(parents=True, exist_ok=True)
    (PAGES / "index.html").write_text("hello\n")


def look(name: str) -> dict | None:
    """What was set for a container, without what is only its own (IDs, times, addresses)."""
    found = docker_api.container(name)
    if found is None:
        return None
    config, host = found["Config"], found["HostConfig"]
    labels = {key: value for key, value in config["Labels"].items() if not key.startswith("strata.")}
    # Spellings that differ between what the command line and others send, and mean the same.
    host = {key: None if value == [] else value for key, value in host.items() if key != "ConsoleSize"}
    for key in ("CapAdd", "CapDrop"):
        host[key] = host[key] and [name.replace("CAP_", "") for name in host[key]]
    host["RestartPolicy"]["Name"] = host["RestartPolicy"]["Name"] or "no"
    unnamed = {mount["Destination"] for mount in found["Mounts"] if len(mount.get("Name") or "") == 64}
    mounts = [mount for mount in host.get("Mounts") or () if mount["Target"] not in unnamed]
    return {
        **host,
        **{key: config.get(key) for key in _CONFIG},
        "Hostname": None if config["Hostname"] == found["Id"][:12] else config["Hostname"],
        "Env": sorted(config["Env"]),
        "Labels": labels,
        "Id": found["Image"],
        "Running": found["State"]["Running"],
        "PidsLimit": host["PidsLimit"] or None,
        "Mounts": sorted(mounts, key=lambda mount: mount["Target"]) or None,
        "Kernel": kernel(found),
    }


def kernel(found: dict) -> dict | None:
    """What the kernel holds it to, while it runs."""
    state = found["State"]
    return cgroups.limits(cgroups.group_of(state["Pid"])) if state["Running"] else None


def differences(one: dict, other: dict) -> dict:
    """What of the one isn't so in the other; nothing and empty are the same."""
    both = {key: (value, other.get(key)) for key, value in one.items()}
    return {key: values for key, values in both.items() if values[0] != values[1] and any(values)}


def pid(name: str) -> int:
    return docker_api.container(name)["State"]["Pid"]


def data(name: str, path: str = "/data") -> Path:
    """Where the host has what is mounted at a path of a container."""
    return next(Path(one["Source"]) for one in docker_api.container(name)["Mounts"] if one["Destination"] == path)


def leftovers() -> list[str]:
    return [name for mark in ("next", "previous") for name in docker_api.names("containers", f"strata-{mark}")]


def drift(action: str, method: str = "POST", **body: object) -> Callable[[str], object]:
    return lambda name: docker_api.ask(f"/containers/{name}{action}", method, **body)


def again(*argv: str, verb: str = "create") -> Callable[[str], None]:
    """Somebody else makes it anew, by hand."""

    def made(name: str) -> None:
        docker_api.remove(name)
        run("docker", *verb.split(), "--name", name, *argv)

    return made
