# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's configuration, but for its limits, in Docker's words and in canonical values: pure translation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..core.codec import INT, TEXT, TEXTS, WORDS
from . import docker_networks
from .docker import OURS
from .docker_at import At, Body, Document, config, host, own
from .docker_values import (
    BARE_PATHS,
    BINDS,
    CAPABILITIES,
    FOLDER,
    LINKS,
    SECURITY,
    TMPFS,
    bracketed,
    split_port,
)
from .docker_values_limits import DEVICE_RULES, DEVICES, NO_CHECK, check_beside, check_body, check_of, shown_check
from .docker_values_mounts import entry_of, row_of, unnamed

# What an image brings along.


def image_config(image: Document | None) -> Document:
    return (image or {}).get("Config") or {}


def variables(document: Document) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in document.get("Env") or ())


def given_by(image: Document | None, places: Mapping[str, At]) -> dict[str, Any]:
    """What options would be in a container that takes all of them from an image."""
    made = {"Id": "", "Config": image_config(image), "HostConfig": {}}
    return {name: place.read(made, {}) for name, place in places.items()}


# What runs, and as what.


def _write_image(body: Body, value: Any) -> None:
    body["Image"] = value


def _read_command(document: Document, image: Document) -> Any:
    words = document["Config"].get("Cmd") or ()
    inherited = not ENTRYPOINT.read(document, image) and words == (image.get("Cmd") or ())
    return () if inherited else tuple(words)


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


def _read_check(document: Document, image: Document) -> Any:
    return shown_check(check_beside(check_of(document["Config"]), check_of(image)))


def _write_check(body: Body, value: Any) -> None:
    check = {**check_of(body), **value} if value else {}
    body.pop("Healthcheck", None)
    if check.get("test") == NO_CHECK:
        check = {"test": NO_CHECK}
    if check_body(check):
        body["Healthcheck"] = check_body(check)


def _read_hostname(document: Document, _image: Document) -> Any:
    return "" if borrows_name(document) else document["Config"].get("Hostname") or ""


def borrows_name(document: Document) -> bool:
    """Whether its hostname is that of the host, or the one that the engine gives where nobody chose one."""
    modes = [document["HostConfig"].get(key) for key in ("NetworkMode", "UTSMode")]
    return "host" in modes or document["Config"].get("Hostname") in (None, "", document["Id"][:12])


def _write_hostname(body: Body, value: Any) -> None:
    body.pop("Hostname", None)
    if value:
        body["Hostname"] = value


def _write_log_driver(body: Body, value: Any) -> None:
    before = body["HostConfig"].get("LogConfig") or {}
    # The options of one driver are none of another's.
    body["HostConfig"]["LogConfig"] = before if before.get("Type") == value else {"Type": value, "Config": {}}


def _write_log_options(body: Body, value: Any) -> None:
    log = body["HostConfig"].setdefault("LogConfig", {})
    options = {**(log.get("Config") or {}), **value}
    log["Config"] = {key: item for key, item in options.items() if item is not None}


def _flag(key: str) -> At:
    return At(lambda document, _image: bool(document["Config"].get(key)), lambda body, value: body.update({key: value}))


IMAGE = At(lambda document, _image: document["Config"]["Image"], _write_image)
ENTRYPOINT = config("Entrypoint", TEXTS, ())
COMMAND = At(_read_command, _write_command)
ENV = At(lambda document, image: own(variables(document["Config"]), variables(image)), _write_env)
LABELS = At(_read_labels, _write_labels)
USER = config("User", TEXT, "")
WORKING_DIR = config("WorkingDir", FOLDER, "")
HOSTNAME = At(_read_hostname, _write_hostname)
DOMAINNAME = config("Domainname", TEXT, "")
HEALTHCHECK = At(_read_check, _write_check)
INTERACTIVE, TTY = _flag("OpenStdin"), _flag("Tty")
STOP_SIGNAL = config("StopSignal", TEXT, "")
STOP_TIMEOUT = config("StopTimeout", INT, None)
GROUPS = host("GroupAdd", codec=WORDS)
INIT, AUTO_REMOVE = host("Init", False), host("AutoRemove", False)
RUNTIME = host("Runtime", "runc")
LOG_DRIVER = At(host("LogConfig.Type", "json-file").read, _write_log_driver)
LOG_OPTIONS = At(host("LogConfig.Config", {}).read, _write_log_options)

# Networks.


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
        ip, outer, inner = split_port(port)
        bindings.setdefault(inner, []).append({"HostIp": ip, "HostPort": outer})
    body["HostConfig"]["PortBindings"] = bindings


def _read_exposed(document: Document, image: Document) -> Any:
    published = document["HostConfig"].get("PortBindings") or {}
    return tuple(sorted(own(document["Config"].get("ExposedPorts"), image.get("ExposedPorts")).keys() - published))


def _write_exposed(body: Body, value: Any) -> None:
    body["ExposedPorts"] = {port: {} for port in value}


def _read_hosts(document: Document, _image: Document) -> Any:
    return dict(line.partition(":")[::2] for line in document["HostConfig"].get("ExtraHosts") or ())


def _write_hosts(body: Body, value: Any) -> None:
    body["HostConfig"]["ExtraHosts"] = [f"{name}:{address}" for name, address in value.items()]


def _write_network_mode(body: Body, value: Any) -> None:
    body["HostConfig"]["NetworkMode"] = value
    if docker_networks.shares(value):
        body.pop("NetworkingConfig", None)


def _read_mac(document: Document, _image: Document) -> Any:
    return document["Config"].get("MacAddress") or docker_networks.mac_of(document, docker_networks.mode_of(document))


def _write_mac(body: Body, value: Any) -> None:
    body["MacAddress"] = value


PUBLISHED, EXPOSED = At(_read_ports, _write_ports), At(_read_exposed, _write_exposed)
PUBLISH_ALL = host("PublishAllPorts", False)
NETWORK_MODE = At(lambda document, _image: docker_networks.mode_of(document), _write_network_mode)
NETWORKS = At(lambda document, _image: docker_networks.places(document), docker_networks.write_places)
MAC_ADDRESS = At(_read_mac, _write_mac)
LINK = host("Links", codec=LINKS)
DNS, DNS_SEARCH, DNS_OPTIONS = host("Dns", codec=TEXTS), host("DnsSearch", codec=TEXTS), host("DnsOptions", codec=WORDS)
ETC_HOSTS = At(_read_hosts, _write_hosts)

# Storage.


def _read_volumes(document: Document, image: Document) -> Any:
    nameless = own(document["Config"].get("Volumes"), image.get("Volumes"))
    return BINDS.parse([*(document["HostConfig"].get("Binds") or ()), *nameless])


def _write_volumes(body: Body, value: Any) -> None:
    body["HostConfig"]["Binds"] = [bind for bind in value if ":" in bind]
    body["Volumes"] = {bind: {} for bind in value if ":" not in bind}


def _read_tmpfs(document: Document, _image: Document) -> Any:
    mounts = document["HostConfig"].get("Tmpfs") or {}
    return TMPFS.parse([f"{path}:{options}" for path, options in mounts.items()])


def _write_tmpfs(body: Body, value: Any) -> None:
    body["HostConfig"]["Tmpfs"] = dict(mount.partition(":")[::2] for mount in value)


def is_carried(mount: Document, document: Document) -> bool:
    """Whether it is there only because the volume without a name of a replaced container was carried over."""
    there = mount.get("Target") in (document["Config"].get("Volumes") or {})
    return there and unnamed(mount) and not mount.get("VolumeOptions")


def _read_mounts(document: Document, _image: Document) -> Any:
    found = document["HostConfig"].get("Mounts") or ()
    rows = [row_of(mount) for mount in found if not is_carried(mount, document)]
    return tuple(sorted(rows, key=lambda row: str(row["target"])))


def _write_mounts(body: Body, value: Iterable[Mapping[str, Any]]) -> None:
    """Add them to those that are carried over; one of the same target gives way, but for a volume without a name."""
    before = {mount.get("Target"): mount for mount in body["HostConfig"].get("Mounts") or ()}
    entries = [entry_of(row) for row in value]
    for entry in entries:
        old = before.get(entry["Target"])
        if old is not None and unnamed(entry) and unnamed(old) and old.get("Source"):
            entry["Source"] = old["Source"]
    taken = {entry["Target"] for entry in entries}
    body["HostConfig"]["Mounts"] = [*entries, *(mount for target, mount in before.items() if target not in taken)]


VOLUMES, TMPFS_AT, MOUNTS = (
    At(_read_volumes, _write_volumes),
    At(_read_tmpfs, _write_tmpfs),
    At(_read_mounts, _write_mounts),
)
VOLUMES_FROM = host("VolumesFrom", codec=WORDS)
VOLUME_DRIVER = host("VolumeDriver", "")
SHM_SIZE = host("ShmSize", 64 << 20)
STORAGE_OPTS = host("StorageOpt", {})
READ_ONLY = host("ReadonlyRootfs", False)

# What it may do.


NO_LABEL = "label=disable"


def adds_no_label(settings: Mapping[str, Any], keys: Iterable[str] = ("Privileged", "PidMode", "IpcMode")) -> bool:
    """Whether the daemon adds NO_LABEL to what it was told (moby: daemon/daemon_unix.go, generateSecurityOpt)."""
    return any(settings.get(key) in (True, "host") for key in keys)


def _read_security(document: Document, _image: Document) -> Any:
    settings = document["HostConfig"]
    options = set(SECURITY.parse(settings.get("SecurityOpt")))
    if adds_no_label(settings):
        options.discard(NO_LABEL)
    if settings.get("Privileged"):
        return tuple(sorted(options))
    if settings.get("MaskedPaths") == [] and settings.get("ReadonlyPaths") == []:
        options.add(BARE_PATHS)
    return tuple(sorted(options))


def _write_security(body: Body, value: Any) -> None:
    settings = body["HostConfig"]
    settings["SecurityOpt"] = [option for option in value if option != BARE_PATHS]
    for key in ("MaskedPaths", "ReadonlyPaths"):
        settings.pop(key, None)
        if BARE_PATHS in value:
            settings[key] = []


def _read_devices(document: Document, _image: Document) -> Any:
    found = document["HostConfig"].get("Devices") or ()
    return DEVICES.parse([f"{one['PathOnHost']}:{one['PathInContainer']}:{one['CgroupPermissions']}" for one in found])


def _write_devices(body: Body, value: Any) -> None:
    keys = ("PathOnHost", "PathInContainer", "CgroupPermissions")
    body["HostConfig"]["Devices"] = [dict(zip(keys, device.split(":"))) for device in value]


CAP_ADD, CAP_DROP = host("CapAdd", codec=CAPABILITIES), host("CapDrop", codec=CAPABILITIES)
SECURITY_OPT = At(_read_security, _write_security)
PRIVILEGED = host("Privileged", False)
DEVICES_AT = At(_read_devices, _write_devices)
DEVICE_CGROUP_RULES = host("DeviceCgroupRules", codec=DEVICE_RULES)
SYSCTLS = host("Sysctls", {})
CGROUP_PARENT = host("CgroupParent", "")
OOM_KILLER, OOM_SCORE = host("OomKillDisable", False), host("OomScoreAdj", 0)
NAMESPACES = {
    "cgroupns_mode": host("CgroupnsMode", "private"),
    "ipc_mode": host("IpcMode", "private"),
    "pid_mode": host("PidMode", ""),
    "userns_mode": host("UsernsMode", ""),
    "uts": host("UTSMode", ""),
}
