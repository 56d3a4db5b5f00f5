# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Podman says of containers and images, in Docker's words: pure translation.

``podman inspect`` is built like ``docker inspect``, but tells what the kernel was given where Docker tells what it was
told (podman: libpod/container_inspect.go). What Podman adds by itself counts as unset.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .docker_values import BARE_PATHS

Document = Mapping[str, Any]
Body = dict[str, Any]

ALL = "ALL"
USUAL_NETWORK = "podman"
"""The network of root's containers where nobody said otherwise (containers.conf(5), default_network)."""

STOP_SIGNAL, STOP_TIMEOUT = "SIGTERM", 10  # containers.conf(5), stop_timeout
INHERITED = frozenset({"nodev", "noexec", "nosuid"})
"""What a mount has because its source has it (podman: pkg/util/mount_opts.go)."""

_USUAL_BIND = frozenset({"rw", "rbind", "rprivate"})
_USUAL_TMPFS = frozenset({"rw", "rprivate", "nosuid", "nodev", "tmpcopyup"})
UNNAMED = re.compile(r"[0-9a-f]{64}")
"""The names that Podman makes up: such a volume belongs to its container."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WHOLE = 4_294_967_295  # IDs that there are


def signal_name(value: Any) -> str:
    """``SIGTERM`` from ``TERM``, ``sigterm`` or ``15``; what isn't known stays as it is."""
    text = str(value).strip().upper()
    if text.isdigit():
        number = int(text)
        known = {one.value: one.name for one in signal.Signals}
        return known.get(number) or _real_time(number) or text
    name = text if text.startswith("SIG") or not text else f"SIG{text}"
    return _real_time(signal_number(name) or 0) or name


def signal_number(name: str) -> int | None:
    """The number of a signal by the name that ``signal_name`` gives it; None where there is none."""
    if name in signal.Signals.__members__:
        return int(signal.Signals[name])
    found = re.fullmatch(r"SIGRTM(IN|AX)(?:([+-])(\d+))?", name)
    if found is None:
        return None
    base = signal.SIGRTMIN if found[1] == "IN" else signal.SIGRTMAX
    return int(base) + int(f"{found[2] or '+'}{found[3] or 0}")


def _real_time(number: int) -> str | None:
    beyond = number - int(signal.SIGRTMIN)
    if not 0 <= beyond <= int(signal.SIGRTMAX) - int(signal.SIGRTMIN):
        return None
    return f"SIGRTMIN+{beyond}" if beyond else "SIGRTMIN"


def listed(found: Document) -> Body:
    """An entry of the list of containers."""
    return {
        "Id": found["Id"],
        "Names": [f"/{name}" for name in found.get("Names") or ()],
        "Labels": found.get("Labels") or {},
        "ImageID": found.get("ImageID"),
        "NetworkSettings": {"Networks": {name: {} for name in found.get("Networks") or ()}},
    }


def image(found: Document) -> Body:
    """An image."""
    config = found.get("Config") or {}
    check = found.get("HealthCheck") or config.get("Healthcheck")
    return {
        "Id": found["Id"],
        "RepoTags": found.get("RepoTags") or [],
        "RepoDigests": found.get("RepoDigests") or [],
        "Os": found.get("Os"),
        "Architecture": found.get("Architecture"),
        "Variant": found.get("Variant"),
        "Config": {
            **config,
            "Env": _with_path(config.get("Env") or ()),
            "User": config.get("User") or "",
            "WorkingDir": config.get("WorkingDir") or "/",
            "StopSignal": signal_name(config.get("StopSignal") or STOP_SIGNAL),
            "StopTimeout": STOP_TIMEOUT,
            **({"Healthcheck": check} if check else {}),
        },
    }


def _with_path(env: Iterable[str]) -> list[str]:
    """The variables of an image, and the path that Podman gives where it has none."""
    lines = list(env)
    return lines if any(line.startswith("PATH=") for line in lines) else [f"PATH={_PATH}", *lines]


def container(found: Document, uid: int) -> Body:
    """A container.

    Args:
        found: What ``GET /libpod/containers/NAME/json`` says.
        uid: The user of the host whose container it is.
    """
    state, config, host = dict(found["State"]), dict(found["Config"]), dict(found["HostConfig"])
    state["Running"] = state["Running"] or state.get("Paused", False)
    state["Restarting"] = state.get("Restarting", False)
    if not (state.get("Health") or {}).get("Status"):
        state.pop("Health", None)
    binds = host.get("Binds") or []
    unnamed: dict[str, Any] = {bind.split(":")[1]: {} for bind in binds if UNNAMED.fullmatch(bind.split(":")[0])}
    usual = usual_capabilities(found)
    bounding = _names(found.get("BoundingCaps"))
    adds, drops = spelled(bounding, usual)
    ports = host.get("PortBindings") or {}
    exposed = {**(config.get("ExposedPorts") or {}), **{port: {} for port, places in ports.items() if not places}}
    networks = {name: _place(found, place) for name, place in _networks(found).items()}
    annotations = {key: word for key, word in (config.get("Annotations") or {}).items() if not key.startswith(_PODMANS)}
    return {
        "Id": found["Id"],
        "Name": f"/{found['Name']}",
        "Created": found["Created"],
        "Image": found["Image"],
        "RestartCount": found.get("RestartCount") or 0,
        "State": state,
        "Mounts": found.get("Mounts") or [],
        "NetworkSettings": {"Networks": networks},
        "Config": {
            **{key: config[key] for key in _CONFIG if config.get(key) is not None},
            **({"Annotations": annotations} if annotations else {}),
            **({"Healthcheck": _check(config["Healthcheck"])} if config.get("Healthcheck") else {}),
            "Image": config.get("Image") or found["Image"],
            "Env": _env(config),
            "Labels": config.get("Labels") or {},
            "StopSignal": signal_name(config.get("StopSignal") or STOP_SIGNAL),
            "ExposedPorts": exposed,
            "Volumes": unnamed,
            "Pod": found.get("Pod") or "",
        },
        "HostConfig": {
            **{key: host[key] for key in _HOST if host.get(key) not in (None, "", [], {})},
            **{key: 0 for key in _LIMITS if (host.get(key) or 0) < 0 and not _is_endless_swap(key, host)},
            "SecurityOpt": _security(host),
            "CgroupParent": _parent(host, uid),
            "Binds": [usual_bind(bind) for bind in binds if not UNNAMED.fullmatch(bind.split(":")[0])],
            "Tmpfs": {path: usual_tmpfs(words, told=True) for path, words in (host.get("Tmpfs") or {}).items()},
            "PortBindings": {port: places for port, places in ports.items() if places},
            "NetworkMode": _mode(host, networks),
            "CgroupnsMode": host.get("CgroupMode") or "private",
            "IpcMode": host.get("IpcMode") or "shareable",
            "PidMode": _own(host.get("PidMode")),
            "UTSMode": _own(host.get("UTSMode")),
            "UsernsMode": _userns(host, uid),
            "CapAdd": list(adds),
            "CapDrop": list(drops),
            "RestartPolicy": {**(host.get("RestartPolicy") or {}), "Name": _policy(host)},
            "LogConfig": _log(host),
            "Runtime": found.get("OCIRuntime") or "",
            "Ulimits": [
                {**one, "Name": one["Name"].replace("RLIMIT_", "").lower()} for one in host.get("Ulimits") or ()
            ],
            "Devices": [
                {**one, "CgroupPermissions": one.get("CgroupPermissions") or "rwm"} for one in host.get("Devices") or ()
            ],
        },
        "Podman": found,
    }


_CONFIG = (
    *("Hostname", "User", "Tty", "OpenStdin", "Cmd", "Entrypoint", "WorkingDir", "StopTimeout"),
    *("Timezone", "Umask", "Timeout"),
)
_PODMANS = ("io.podman.", "io.container.", "org.opencontainers.", "org.systemd.", "run.oci.")
"""The annotations that Podman gives by itself begin so."""
_HOST = (
    *("Memory", "MemorySwap", "MemoryReservation", "CpuShares", "CpuPeriod", "CpuQuota", "CpusetCpus", "CpusetMems"),
    *("PidsLimit", "BlkioWeight", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps"),
    *("BlkioDeviceWriteIOps", "OomScoreAdj", "ShmSize", "AutoRemove", "Init", "Privileged", "PublishAllPorts"),
    *("ReadonlyRootfs", "GroupAdd", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "VolumesFrom"),
)
_LIMITS = ("Memory", "MemorySwap", "MemoryReservation", "CpuQuota")


OWN = ("container", "HOME", "HOSTNAME", "TERM")
"""Variables that Podman, or the image's list of users, gives every container, once it runs at the latest."""


def variables(found: Document) -> dict[str, str]:
    """All that a container has, as Podman tells them."""
    return dict(line.partition("=")[::2] for line in found["Config"].get("Env") or ())


def _env(config: Document) -> list[str]:
    """Its variables, without what Podman gives every container."""
    given = {"container=podman", "container=oci", "TERM=xterm", f"HOSTNAME={config.get('Hostname')}"}
    homes = ("HOME=", "HOME=/", "HOME=/root")
    return [line for line in config.get("Env") or () if line not in given and line not in homes]


def _check(check: Document) -> Body:
    """A health check; one that doesn't begin with how it is run is run as it is (podman: libpod/healthcheck.go)."""
    test = check.get("Test") or []
    bare = bool(test) and test[0] not in ("NONE", "CMD", "CMD-SHELL")
    return {**check, "Test": ["CMD", *test] if bare else test}


def _is_endless_swap(key: str, host: Document) -> bool:
    return key == "MemorySwap" and (host.get("Memory") or 0) > 0


def _security(host: Document) -> list[str]:
    """The command line of Docker has a word of its own for what ``unmask=all`` is here."""
    said = [BARE_PATHS if option.lower() == "unmask=all" else option for option in host.get("SecurityOpt") or ()]
    return [option for option in said if option != BARE_PATHS or not host.get("Privileged")]


def _parent(host: Document, uid: int) -> str:
    """Its control group, but for the one where a plain user's containers are by themselves."""
    parent = host.get("CgroupParent") or ""
    return "" if uid and parent == "user.slice" else parent


def _own(mode: Any) -> str:
    return "" if mode in (None, "private") else str(mode)


def _policy(host: Document) -> str:
    return (host.get("RestartPolicy") or {}).get("Name") or "no"


# Capabilities. Podman tells those that there are; which were added and which dropped follows from its defaults.


def _names(capabilities: Any) -> frozenset[str]:
    return frozenset(str(name).upper().replace("CAP_", "", 1) for name in capabilities or ())


def usual_capabilities(found: Document) -> frozenset[str]:
    """Those that a container has where nobody adds or drops any."""
    host = found["HostConfig"]
    return (_names(found.get("BoundingCaps")) - _names(host.get("CapAdd"))) | _names(host.get("CapDrop"))


def spelled(bounding: frozenset[str], usual: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to add and what to drop, the shorter way: from none, where most of the usual ones are gone."""
    if 2 * len(bounding & usual) < len(usual):
        return tuple(sorted(bounding)), (ALL,)
    return tuple(sorted(bounding - usual)), tuple(sorted(usual - bounding))


# Mounts.


def usual_bind(bind: str) -> str:
    """``source:target[:options]`` without the options that are there anyhow."""
    source, target, *rest = bind.split(":")
    options = ",".join(sorted({word for word in ",".join(rest).split(",") if word} - _USUAL_BIND))
    return ":".join(filter(None, (source, target, options)))


def usual_tmpfs(words: str, told: bool = False) -> str:
    """Mount options of a tmpfs without those that are there anyhow, and its size in bytes.

    Args:
        words: The options.
        told: It is Podman who says so: then what isn't among them isn't there.
    """
    given = {_in_bytes(word) for word in words.split(",") if word}
    copies = {"notmpcopyup"} if told and "tmpcopyup" not in given else set()
    return ",".join(sorted((given - _USUAL_TMPFS) | copies))


def _in_bytes(word: str) -> str:
    found = re.fullmatch(r"size=(\d+)([kmgKMG])", word)
    return f"size={int(found[1]) << 10 * ('kmg'.index(found[2].lower()) + 1)}" if found else word


# Networks.


def _networks(found: Document) -> Mapping[str, Any]:
    if found["HostConfig"].get("NetworkMode") not in ("bridge", "", None):
        return {}  # other modes stand there like networks
    return (found.get("NetworkSettings") or {}).get("Networks") or {}


def _place(found: Document, place: Document) -> Body:
    """A container on a network; addresses are those that it has, whoever chose them."""
    own = (found["Id"][:12], found["Config"].get("Hostname"))
    return {
        "NetworkID": place.get("NetworkID"),
        "Aliases": [alias for alias in place.get("Aliases") or () if alias not in own],
        "IPAddress": place.get("IPAddress") or "",
        "GlobalIPv6Address": place.get("GlobalIPv6Address") or "",
        "MacAddress": place.get("MacAddress") or "",
    }


def _mode(host: Document, networks: Collection[str]) -> str:
    """What it is connected to, in one word; all but names of networks, host and none have a colon."""
    mode = str(host.get("NetworkMode") or "")
    if mode in ("bridge", ""):
        return USUAL_NETWORK if USUAL_NETWORK in networks or not networks else sorted(networks)[0]
    return mode if mode in ("host", "none") or ":" in mode else f"{mode}:"


# Users.

USERNS = "io.podman.annotations.userns"
"""Where Podman notes the mode that was asked for."""


def _userns(host: Document, uid: int) -> str:
    """The mode that makes such a map (podman-run(1), --userns)."""
    mode = str(host.get("UsernsMode") or "")
    said = (host.get("Annotations") or {}).get(USERNS)
    maps = (host.get("IDMappings") or {}).get("UidMap") or []
    if said or mode != "private" or not maps:
        return said or mode
    rows = [tuple(int(number) for number in row.split(":")) for row in maps]
    if uid:
        kept = [inner for inner, outer, count in rows if outer == 0 and count >= 1]
        if not kept:
            return "nomap"
        if kept != [0]:
            return "keep-id" if kept == [uid] else f"keep-id:uid={kept[0]}{_keeps_group(host)}"
    return "auto"


def _keeps_group(host: Document) -> str:
    maps = (host.get("IDMappings") or {}).get("GidMap") or []
    rows = [tuple(int(number) for number in row.split(":")) for row in maps]
    return next((f",gid={inner}" for inner, outer, _count in rows if outer == 0), "")


# Logs.


def log_size(value: Any) -> str:
    """Bytes from ``1m``, ``1MB`` or ``1.5kB``, where k is a thousand (docker/go-units, FromHumanSize)."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", str(value).strip().lower())
    if found is None:
        return str(value)
    return str(int(float(found[1]) * 1000 ** ("kmgt".find(found[2]) + 1 if found[2] else 0)))


def _log(host: Document) -> Body:
    found = host.get("LogConfig") or {}
    options = {**(found.get("Config") or {})}
    if found.get("Tag"):
        options["tag"] = found["Tag"]
    if found.get("Size") not in (None, "", "0B"):
        options["max-size"] = log_size(found["Size"])
    return {"Type": found.get("Type") or "", "Config": options}


_WORKED_OUT = frozenset({"GID", "INODES", "NOQUOTA", "SIZE", "UID"})
"""What Podman notes among the options of a volume of what it has read in ``o`` (podman: libpod/options.go)."""


def volume(found: Document) -> Body:
    """A volume, with the options that it was made with."""
    options = found.get("Options") or {}
    return {**found, "Options": {key: value for key, value in options.items() if key not in _WORKED_OUT}}
