# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new container takes over from the one that it replaces: pure translation."""

from __future__ import annotations

import calendar
import copy
import re
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from . import docker_networks
from .docker_at import Body, Document, own
from .docker_config import NO_LABEL, adds_no_label, borrows_name, image_config, is_carried, variables
from .docker_values import bind_target
from .docker_values_limits import check_beside, check_body, check_of
from .docker_values_mounts import unnamed

_FROM_IMAGE = ("Cmd", "Entrypoint", "WorkingDir", "User", "StopSignal", "Shell", "OnBuild")


def carry(
    document: Document,
    image: Document | None,
    want: Mapping[str, Any],
    given: Collection[str] = (),
    volumes: bool = True,
) -> Body:
    """The body that makes the same container again, but from whatever image: what its image gave is left out.

    Args:
        document: The container.
        image: Its image.
        want: What the new one is to be, by option.
        given: The paths at which the new image has volumes.
        volumes: Whether volumes without a name, and the data in them, go over to the new container.
    """
    settings = image_config(image)
    config, host = copy.deepcopy(dict(document["Config"])), copy.deepcopy(dict(document["HostConfig"]))
    same = {key for key in _FROM_IMAGE if config.get(key) == settings.get(key)}
    if "Entrypoint" not in same:
        same.discard("Cmd")  # a container with an entry point of its own doesn't get the image's command
    config = {key: value for key, value in config.items() if key not in same and value is not None}
    config["Env"] = [f"{key}={value}" for key, value in own(variables(config), variables(settings)).items()]
    for key in ("Labels", "Volumes", "ExposedPorts"):
        config[key] = own(config.get(key), settings.get(key))
    published = host.get("PortBindings") or {}
    config["ExposedPorts"] = {key: value for key, value in config["ExposedPorts"].items() if key not in published}
    check = check_body(check_beside(check_of(config), check_of(settings)))
    config.pop("Healthcheck", None)
    if check:
        config["Healthcheck"] = check
    if borrows_name(document):
        config.pop("Hostname", None)
    carried = [*_mounts(document, volumes), *(_unnamed_volumes(document) if volumes else ())]
    asked = own(document["Config"].get("Volumes"), settings.get("Volumes"))
    host["Mounts"] = [mount for mount in carried if _stays(mount, asked, want, given)]
    if host.get("MaskedPaths") or host.get("Privileged"):
        for key in ("MaskedPaths", "ReadonlyPaths"):
            host.pop(key, None)  # the daemon's own defaults
    if adds_no_label(host):
        host["SecurityOpt"] = [one for one in host.get("SecurityOpt") or () if one != NO_LABEL]
    host.pop("ContainerIDFile", None)
    body = {**config, "HostConfig": {key: value for key, value in host.items() if value is not None}}
    docker_networks.carry_places(document, body)
    return body


def _stays(mount: Document, asked: Collection[str], want: Mapping[str, Any], given: Collection[str]) -> bool:
    """Whether somebody still has a say for a mount: an option, the new image, or nobody against it.

    Args:
        mount: The mount.
        asked: The paths at which the old container had volumes without a name by an option.
        want: What the new one is to be, by option.
        given: The paths at which the new image has volumes.
    """
    target = mount["Target"]
    volumes = want.get("volumes", asked)
    if target in asked and target not in volumes:
        return False
    if "mounts" not in want or target in {row["target"] for row in want["mounts"]}:
        return True
    return unnamed(mount) and (target in volumes or target in given)


def _mounts(document: Document, volumes: bool) -> Iterator[Body]:
    """The mounts in the long form; those without a name with the volumes that they stand for."""
    names = {mount["Destination"]: mount.get("Name") for mount in document.get("Mounts") or ()}
    for mount in document["HostConfig"].get("Mounts") or ():
        if not unnamed(mount):
            yield dict(mount)
        elif volumes:
            yield {**mount, "Source": mount.get("Source") or names.get(mount["Target"])}
        elif not is_carried(mount, document):
            yield {key: value for key, value in mount.items() if key != "Source"}


def _unnamed_volumes(document: Document) -> list[Body]:
    """Volumes that the engine made for paths of the image or of an option: their data stays with the container."""
    host = document["HostConfig"]
    taken = {bind_target(bind) for bind in host.get("Binds") or ()}
    taken |= {mount.get("Target") for mount in host.get("Mounts") or ()}
    return [
        {"Type": "volume", "Source": mount["Name"], "Target": mount["Destination"], "ReadOnly": not mount["RW"]}
        for mount in document.get("Mounts") or ()
        if mount["Type"] == "volume" and mount["Destination"] not in taken
    ]


def carried_volumes(document: Document) -> list[str]:
    """The volumes without a name that came from a container that it replaced."""
    found = document["HostConfig"].get("Mounts") or ()
    return [mount["Source"] for mount in found if unnamed(mount) and mount.get("Source")]


def finish(body: Body, declared: Mapping[str, str]) -> None:
    """Have all parts of a request agree.

    Args:
        body: The request.
        declared: The paths at which something is declared to be mounted, and the option that says so: what is carried
            over gives way to it.
    """
    host = body["HostConfig"]

    def stays(option: str, target: str) -> bool:
        return declared.get(target, option) == option

    host["Binds"] = [bind for bind in host.get("Binds") or () if stays("volumes", bind_target(bind))]
    host["Tmpfs"] = {path: words for path, words in (host.get("Tmpfs") or {}).items() if stays("tmpfs", path)}
    taken = {*map(bind_target, host["Binds"]), *host["Tmpfs"]}
    mounts = [mount for mount in host.get("Mounts") or () if stays("mounts", mount["Target"])]
    host["Mounts"] = [mount for mount in mounts if mount["Target"] not in taken]
    # The command line exposes what it publishes, too.
    ports = {**(body.get("ExposedPorts") or {}), **{port: {} for port in host.get("PortBindings") or {}}}
    body["ExposedPorts"] = ports


def runs(document: Document) -> bool:
    return bool(document["State"]["Running"] or document["State"].get("Restarting"))


def seconds(stamp: str) -> float:
    """Seconds since 1970 of a time as Go writes it, with as many digits as it needs; 0 for never."""
    found = re.match(r"(\d+-\d+-\d+T\d+:\d+:\d+)(\.\d+)?(?:([+-]\d\d):(\d\d))?", stamp)
    if found is None or stamp.startswith("0001"):
        return 0.0
    east = 0 if found[3] is None else int(found[3]) * 3600 + int(f"{found[3][0]}{found[4]}") * 60
    return calendar.timegm(time.strptime(found[1], "%Y-%m-%dT%H:%M:%S")) + float(found[2] or 0) - east
