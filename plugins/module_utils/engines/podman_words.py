# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Podman says of containers and images, in Docker's words: pure translation.

``podman inspect`` is built like ``docker inspect``, but tells what the kernel was given where Docker tells what it was
told (podman: libpod/container_inspect.go). What Podman adds by itself counts as unset.
"""

from __future__ import annotations

import ipaddress
import re
import signal
from collections.abc import Collection, Iterable, Mapping
from typing import Any

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
_UNNAMED = re.compile(r"[0-9a-f]{64}")
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
    binds = [bind for bind in host.get("Binds") or ()]
    unnamed = {bind.split(":")[1]: {} for bind in binds if _UNNAMED.fullmatch(bind.split(":")[0])}
    usual = usual_capabilities(found)
    bounding = _names(found.get("BoundingCaps"))
    adds, drops = spelled(bounding, usual)
    ports = host.get("PortBindings") or {}
    exposed = {**(config.get("ExposedPorts") or {}), **{port: {} for port, places in ports.items() if not places}}
    networks = {name: _place(found, place) for name, place in _networks(found).items()}
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
            "Image": config.get("Image") or found["Image"],
            "Env": _env(config),
            "Labels": config.get("Labels") or {},
            "StopSignal": signal_name(config.get("StopSignal") or STOP_SIGNAL),
            "ExposedPorts": exposed,
            "Volumes": unnamed,
            "Pod": found.get("Pod") or "",
            "Secrets": config.get("Secrets") or [],
        },
        "HostConfig": {
            **{key: host[key] for key in _HOST if host.get(key) not in (None, "", [], {})},
            "Binds": [usual_bind(bind) for bind in binds if not _UNNAMED.fullmatch(bind.split(":")[0])],
            "Tmpfs": {path: usual_tmpfs(words) for path, words in (host.get("Tmpfs") or {}).items()},
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
            "Ulimits": [{**one, "Name": one["Name"].replace("RLIMIT_", "").lower()} for one in host.get("Ulimits") or ()],
            "Devices": [{**one, "CgroupPermissions": one.get("CgroupPermissions") or "rwm"} for one in _devices(host)],
        },
        "Podman": found,
    }


_CONFIG = (
    *("Hostname", "User", "Tty", "OpenStdin", "Cmd", "Entrypoint", "WorkingDir", "Healthcheck", "StopTimeout"),
    *("Annotations", "Timezone", "Umask", "Timeout", "SystemdMode"),
)
_HOST = (
    *("Memory", "MemorySwap", "MemoryReservation", "CpuShares", "CpuPeriod", "CpuQuota", "CpusetCpus", "CpusetMems"),
    *("PidsLimit", "BlkioWeight", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps"),
    *("BlkioDeviceWriteIOps", "OomScoreAdj", "ShmSize", "AutoRemove", "Init", "Privileged", "PublishAllPorts"),
    *("ReadonlyRootfs", "SecurityOpt", "GroupAdd", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "VolumesFrom"),
    *("CgroupParent", "Cgroups"),
)


def _env(config: Document) -> list[str]:
    """Its variables, without what Podman gives every container."""
    given = {"container=podman", "container=oci", "TERM=xterm", f"HOSTNAME={config.get('Hostname')}"}
    return [line for line in config.get("Env") or () if line not in given]


def _own(mode: Any) -> str:
    return "" if mode in (None, "private") else str(mode)


def _policy(host: Document) -> str:
    return (host.get("RestartPolicy") or {}).get("Name") or "no"


def _devices(host: Document) -> list[Document]:
    return list(host.get("Devices") or ())


# Capabilities. Podman tells those that there are; which were added and which dropped follows from its defaults.


def _names(capabilities: Any) -> frozenset[str]:
    return frozenset(str(name).upper().replace("CAP_", "", 1) for name in capabilities or ())


def usual_capabilities(found: Document) -> frozenset[str]:
    """Those that a container has where nobody adds or drops any."""
    host = found["HostConfig"]
    return (_names(found.get("BoundingCaps")) - _names(host.get("CapAdd"))) | _names(host.get("CapDrop"))


def held(usual: Collection[str], adds: Collection[str], drops: Collection[str]) -> frozenset[str] | None:
    """Those that a container is left with; None for all that there are."""
    if ALL in adds:
        return None if not drops else None
    kept = frozenset() if ALL in drops else frozenset(usual) - frozenset(drops)
    return kept | frozenset(adds)


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


def usual_tmpfs(words: str) -> str:
    given = {word for word in words.split(",") if word}
    copies = set() if "tmpcopyup" in given or not given else {"notmpcopyup"}
    return ",".join(sorted((given - _USUAL_TMPFS) | copies))


# Networks.


def _networks(found: Document) -> Mapping[str, Any]:
    return (found.get("NetworkSettings") or {}).get("Networks") or {}


def _place(found: Document, place: Document) -> Body:
    """A container on a network; addresses are those that it has, whoever chose them."""
    return {
        "NetworkID": place.get("NetworkID"),
        "Aliases": [alias for alias in place.get("Aliases") or () if alias != found["Id"][:12]],
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


def _userns(host: Document, uid: int) -> str:
    """The mode that makes such a map (podman-run(1), --userns)."""
    mode = str(host.get("UsernsMode") or "")
    maps = (host.get("IDMappings") or {}).get("UidMap") or (host.get("IDMappings") or {}).get("UIDMap") or []
    if mode != "private" or not maps:
        return mode
    rows = [tuple(int(number) for number in row.split(":")) for row in maps]
    if uid:
        kept = [inner for inner, outer, count in rows if outer == 0 and count >= 1]
        if not kept:
            return "nomap"
        if kept != [0]:
            return "keep-id" if kept == [uid] else f"keep-id:uid={kept[0]}{_keeps_group(host)}"
    return "auto"


def _keeps_group(host: Document) -> str:
    maps = (host.get("IDMappings") or {}).get("GidMap") or (host.get("IDMappings") or {}).get("GIDMap") or []
    rows = [tuple(int(number) for number in row.split(":")) for row in maps]
    return next((f",gid={inner}" for inner, outer, _count in rows if outer == 0), "")


# Logs.


def _log(host: Document) -> Body:
    found = host.get("LogConfig") or {}
    options = {**(found.get("Config") or {})}
    if found.get("Tag"):
        options["tag"] = found["Tag"]
    if found.get("Size") not in (None, "", "0B"):
        options["max-size"] = found["Size"]
    return {"Type": found.get("Type") or "", "Config": options}


# Networks by themselves.


def network(found: Document) -> Body:
    """A network."""
    driver = (found.get("ipam_options") or {}).get("driver")
    pools = [
        {"Subnet": one["subnet"], "Gateway": one.get("gateway") or "", "IPRange": _range(one.get("lease_range") or {})}
        for one in found.get("subnets") or ()
    ]
    return {
        "Name": found["name"],
        "Id": found["id"],
        "Driver": found["driver"],
        "Internal": bool(found.get("internal")),
        "EnableIPv6": bool(found.get("ipv6_enabled")),
        "Options": found.get("options") or {},
        "Labels": found.get("labels") or {},
        "IPAM": {"Driver": "default" if driver in (None, "", "host-local") else driver, "Config": pools},
        "Dns": bool(found.get("dns_enabled")),
    }


def _range(leases: Document) -> str:
    """The subnet whose hosts are given out; empty where there is no limit, or none of that form."""
    first, last = leases.get("start_ip"), leases.get("end_ip")
    if not first or not last:
        return ""
    # From the first host on, as --ip-range is kept (podman: pkg/domain, network create).
    found = ipaddress.summarize_address_range(ipaddress.ip_address(int(ipaddress.ip_address(first)) - 1), ipaddress.ip_address(last))  # type: ignore[type-var]
    ranges = [str(one) for one in found]
    return ranges[0] if len(ranges) == 1 else ""
