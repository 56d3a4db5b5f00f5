# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's configuration in Docker's words and in canonical values: pure translation, both ways.

What a container takes from its image counts as unset: it is "own" only where it differs from the image. So an
image's own environment is no drift, and follows the image when that changes.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.codec import CPU_PERIOD, MAX, Codec
from . import docker_networks
from .docker import OURS
from .docker_values import BARE_PATHS, BINDS, CAPABILITIES, SECURITY, TMPFS, bind_target, bracketed, split_port

Document = Mapping[str, Any]
Body = dict[str, Any]

# What an image brings along.


def image_config(image: Document | None) -> Document:
    return (image or {}).get("Config") or {}


def variables(config: Document) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in config.get("Env") or ())


def own(values: Mapping[str, Any] | None, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The values that the image didn't give."""
    return {key: value for key, value in (values or {}).items() if (given or {}).get(key) != value}


# Where each option lives.


@dataclass(frozen=True)
class At:
    """How a value is read from what ``inspect`` says and the image gave, and written into the body of a request."""

    read: Callable[[Document, Document], Any]
    write: Callable[[Body, Any], None]


def _host(key: str, empty: Any = None, codec: Codec | None = None) -> At:
    """A key of HostConfig whose value, as it is, is the canonical one."""

    def read(document: Document, _image: Document) -> Any:
        value = document["HostConfig"].get(key) or empty
        return codec.parse(value or ()) if codec else value

    def write(body: Body, value: Any) -> None:
        body["HostConfig"][key] = list(value) if codec else value

    return At(read, write)


def _limit(key: str, to_engine: Callable[[int], int], from_engine: Callable[[int], int]) -> At:
    """A number of HostConfig; absent, zero or negative means no limit."""

    def read(document: Document, _image: Document) -> Any:
        value = document["HostConfig"].get(key) or 0
        return from_engine(value) if value > 0 else MAX

    def write(body: Body, value: Any) -> None:
        body["HostConfig"].pop(key, None)
        if value != MAX:
            body["HostConfig"][key] = to_engine(value)

    return At(read, write)


_NANO = 1_000_000_000 // CPU_PERIOD


def _read_cpus(document: Document, image: Document) -> Any:
    host = document["HostConfig"]
    quota = host.get("CpuQuota") or 0
    if quota:
        return quota * CPU_PERIOD // (host.get("CpuPeriod") or CPU_PERIOD) if quota > 0 else MAX
    return _limit("NanoCpus", int, lambda nano: nano // _NANO).read(document, image)


def _write_cpus(body: Body, value: Any) -> None:
    for key in ("CpuQuota", "CpuPeriod"):
        body["HostConfig"].pop(key, None)
    _limit("NanoCpus", lambda quota: int(quota) * _NANO, int).write(body, value)


def _write_memory(body: Body, value: Any) -> None:
    host = body["HostConfig"]
    before, swap = host.pop("Memory", 0), host.pop("MemorySwap", 0)
    if value != MAX:
        host.update(memory_update(value, before, swap))


def memory_update(value: int, before: int, swap: int) -> Body:
    """Docker's limit of swap includes memory, so that it moves along with it. Zero leaves it to the engine."""
    if swap < 0:
        return {"Memory": value, "MemorySwap": -1}
    if before <= 0 or swap == 2 * before:  # the engine's own default: as much swap as memory
        return {"Memory": value, "MemorySwap": 2 * value}
    return {"Memory": value, "MemorySwap": value + max(0, swap - before)}


def update_body(values: Mapping[str, Any], host: Document) -> Body:
    """The body of ``POST /containers/ID/update`` that brings canonical values into a running container."""
    body: Body = {}
    if "memory" in values:
        body.update(memory_update(values["memory"], host.get("Memory") or 0, host.get("MemorySwap") or 0))
    if "cpus" in values:
        body.update(cpus_update(values["cpus"], host))
    if "pids_limit" in values:
        body["PidsLimit"] = -1 if values["pids_limit"] == MAX else values["pids_limit"]
    if "restart_policy" in values:
        wanted: Body = {"HostConfig": {"RestartPolicy": host.get("RestartPolicy")}}
        RESTART.write(wanted, values["restart_policy"])
        body.update(wanted["HostConfig"])
    return body


def cpus_update(value: int, host: Document) -> Body:
    """A quota where the container has one, else the number of cpus: the engine refuses to mix them."""
    if (host.get("CpuQuota") or 0) > 0:
        return {"CpuQuota": value, "CpuPeriod": CPU_PERIOD}
    return {"NanoCpus": value * _NANO}


def _read_restart(document: Document, _image: Document) -> Any:
    return (document["HostConfig"].get("RestartPolicy") or {}).get("Name") or "no"


def _write_restart(body: Body, value: Any) -> None:
    tries = (body["HostConfig"].get("RestartPolicy") or {}).get("MaximumRetryCount", 0)
    body["HostConfig"]["RestartPolicy"] = {
        "Name": value,
        "MaximumRetryCount": tries if value == "on-failure" else 0,
    }


def _read_ports(document: Document, _image: Document) -> Any:
    bindings: Mapping[str, Any] = document["HostConfig"].get("PortBindings") or {}
    # None stands for a port of the engine's choice.
    ports = [(inner, one) for inner, ones in bindings.items() for one in ones or [{}]]
    return tuple(
        sorted(f"{bracketed(one.get('HostIp') or '')}:{one.get('HostPort') or ''}:{inner}" for inner, one in ports)
    )


def _write_ports(body: Body, value: Any) -> None:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in value:
        ip, host, inner = split_port(port)
        bindings.setdefault(inner, []).append({"HostIp": ip, "HostPort": host})
    body["HostConfig"]["PortBindings"] = bindings
    body["ExposedPorts"] = {**(body.get("ExposedPorts") or {}), **{inner: {} for inner in bindings}}


def _read_volumes(document: Document, image: Document) -> Any:
    unnamed = own(document["Config"].get("Volumes"), image.get("Volumes"))
    return BINDS.parse([*(document["HostConfig"].get("Binds") or ()), *unnamed])


def _write_volumes(body: Body, value: Any) -> None:
    body["HostConfig"]["Binds"] = [bind for bind in value if ":" in bind]
    body["Volumes"] = {bind: {} for bind in value if ":" not in bind}


def _read_tmpfs(document: Document, _image: Document) -> Any:
    mounts = document["HostConfig"].get("Tmpfs") or {}
    return TMPFS.parse([f"{path}:{options}" for path, options in mounts.items()])


def _write_tmpfs(body: Body, value: Any) -> None:
    body["HostConfig"]["Tmpfs"] = dict(mount.partition(":")[::2] for mount in value)


def _read_security(document: Document, _image: Document) -> Any:
    host = document["HostConfig"]
    options = set(SECURITY.parse(host.get("SecurityOpt")))
    if host.get("Privileged"):
        options.discard("label=disable")  # the daemon's own addition
    elif host.get("MaskedPaths") == [] and host.get("ReadonlyPaths") == []:
        options.add(BARE_PATHS)
    return tuple(sorted(options))


def _write_security(body: Body, value: Any) -> None:
    host = body["HostConfig"]
    host["SecurityOpt"] = [option for option in value if option != BARE_PATHS]
    for key in ("MaskedPaths", "ReadonlyPaths"):
        host.pop(key, None)
        if BARE_PATHS in value:
            host[key] = []


def _write_user(body: Body, value: Any) -> None:
    body["User"] = value


def _write_command(body: Body, value: Any) -> None:
    body["Cmd"] = list(value) or None


def _write_env(body: Body, value: Any) -> None:
    body["Env"] = [f"{key}={item}" for key, item in value.items()]


def _read_labels(document: Document, image: Document) -> Any:
    labels = own(document["Config"].get("Labels"), image.get("Labels"))
    return {key: value for key, value in labels.items() if not key.startswith(OURS)}


def _write_labels(body: Body, value: Any) -> None:
    labels = {**(body.get("Labels") or {}), **value}
    body["Labels"] = {key: item for key, item in labels.items() if item is not None}


def _write_image(body: Body, value: Any) -> None:
    body["Image"] = value


_NAMESPACES = {
    "cgroup": "CgroupnsMode",
    "ipc": "IpcMode",
    "network": "NetworkMode",
    "pid": "PidMode",
    "user": "UsernsMode",
    "uts": "UTSMode",
}


def _read_namespaces(document: Document, _image: Document) -> Any:
    return tuple(name for name, key in _NAMESPACES.items() if document["HostConfig"].get(key) == "host")


def _write_namespaces(body: Body, value: Any) -> None:
    for name, key in _NAMESPACES.items():
        if name not in value and body["HostConfig"].get(key) == "host":
            del body["HostConfig"][key]
    if "cgroup" not in value:
        body["HostConfig"]["CgroupnsMode"] = "private"  # with cgroup v1 the daemon's own default is the host's


def _read_devices(document: Document, _image: Document) -> Any:
    host = document["HostConfig"]
    devices = [f"{one['PathOnHost']}:{one['PathInContainer']}" for one in host.get("Devices") or ()]
    return tuple(sorted(devices + list(host.get("DeviceCgroupRules") or ())))


def _write_devices(body: Body, value: Any) -> None:
    for key in ("Devices", "DeviceCgroupRules"):
        body["HostConfig"].pop(key, None)


def _mount(mount: Document) -> str:
    return f"{mount.get('Source')}:{mount.get('Target')}{':ro' if mount.get('ReadOnly') else ''}"


def _read_mounts(document: Document, _image: Document) -> Any:
    mounts = document["HostConfig"].get("Mounts") or ()
    return tuple(sorted(_mount(mount) for mount in mounts if mount.get("Type") == "bind"))


def _write_mounts(body: Body, value: Any) -> None:
    mounts = body["HostConfig"].get("Mounts") or ()
    body["HostConfig"]["Mounts"] = [one for one in mounts if one.get("Type") != "bind" or _mount(one) in value]


IMAGE = At(lambda document, image: document["Config"]["Image"], _write_image)
COMMAND_AT = At(
    lambda document, image: (
        () if document["Config"].get("Cmd") == image.get("Cmd") else tuple(document["Config"].get("Cmd") or ())
    ),
    _write_command,
)
ENV_AT = At(lambda document, image: own(variables(document["Config"]), variables(image)), _write_env)
LABELS = At(_read_labels, _write_labels)
USER = At(
    lambda document, image: (
        "" if document["Config"].get("User") == image.get("User") else document["Config"].get("User") or ""
    ),
    _write_user,
)
RESTART = At(_read_restart, _write_restart)
MEMORY = At(_limit("Memory", int, int).read, _write_memory)
CPUS = At(_read_cpus, _write_cpus)
PIDS = _limit("PidsLimit", int, int)
PUBLISHED = At(_read_ports, _write_ports)
VOLUMES = At(_read_volumes, _write_volumes)
TMPFS_AT = At(_read_tmpfs, _write_tmpfs)
CAP_ADD = _host("CapAdd", codec=CAPABILITIES)
CAP_DROP = _host("CapDrop", codec=CAPABILITIES)
SECURITY_OPT = At(_read_security, _write_security)
READ_ONLY = _host("ReadonlyRootfs", False)
PRIVILEGED = _host("Privileged", False)
NAMESPACES = At(_read_namespaces, _write_namespaces)
DEVICES = At(_read_devices, _write_devices)
MOUNTS = At(_read_mounts, _write_mounts)
NETWORKS = At(lambda document, _image: docker_networks.places(document), docker_networks.write_places)


# What a new container takes over from the one that it replaces.

_FROM_IMAGE = ("Cmd", "Entrypoint", "WorkingDir", "User", "Healthcheck", "StopSignal", "Shell", "OnBuild")


def carry(document: Document, image: Document) -> Body:
    """The body that makes the same container again, but from whatever image: what its image gave is left out."""
    config, host = dict(document["Config"]), dict(document["HostConfig"])
    same = {key for key in _FROM_IMAGE if config.get(key) == image.get(key)}
    if "Entrypoint" not in same:
        same.discard("Cmd")  # a container with an entry point of its own doesn't get the image's command
    config = {key: value for key, value in config.items() if key not in same and value is not None}
    config["Env"] = [f"{key}={value}" for key, value in own(variables(config), variables(image)).items()]
    for key in ("Labels", "Volumes", "ExposedPorts"):
        config[key] = own(config.get(key), image.get(key))
    if config.get("Hostname") == document["Id"][:12] or "host" in (host.get("NetworkMode"), host.get("UTSMode")):
        config.pop("Hostname", None)
    host["Mounts"] = [*(host.get("Mounts") or ()), *_unnamed_volumes(document)]
    if host.get("MaskedPaths") or host.get("Privileged"):
        for key in ("MaskedPaths", "ReadonlyPaths"):
            host.pop(key, None)  # the daemon's own defaults
    if host.get("Privileged"):
        host["SecurityOpt"] = [one for one in host.get("SecurityOpt") or () if one != "label=disable"]
    host.pop("ContainerIDFile", None)
    body = {**config, "HostConfig": {key: value for key, value in host.items() if value is not None}}
    docker_networks.carry_places(document, body)
    return body


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


def without_shadowed(body: Body) -> None:
    """Carried mounts give way to what is declared for the same path."""
    host = body["HostConfig"]
    taken = {bind_target(bind) for bind in host.get("Binds") or ()} | set(host.get("Tmpfs") or ())
    host["Mounts"] = [mount for mount in host.get("Mounts") or () if mount.get("Target") not in taken]


def runs(document: Document) -> bool:
    return bool(document["State"]["Running"] or document["State"].get("Restarting"))


def seconds(stamp: str) -> float:
    """Seconds since 1970 of a time as Go writes it, with as many digits as it needs; 0 for never."""
    found = re.match(r"(\d+-\d+-\d+T\d+:\d+:\d+)(\.\d+)?", stamp)
    if found is None or stamp.startswith("0001"):
        return 0.0
    return calendar.timegm(time.strptime(found[1], "%Y-%m-%dT%H:%M:%S")) + float(found[2] or 0)
