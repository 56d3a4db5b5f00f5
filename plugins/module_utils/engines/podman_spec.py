# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The request that makes a container, from Docker's words into Podman's: pure translation.

Podman's own are those of its SpecGenerator (podman: pkg/specgen/specgen.go) and of the OCI runtime specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..core.codec import CPU_PERIOD
from ..core.errors import StrataError
from .docker_networks import at, put
from .docker_values import bind_options, bind_target
from .podman_words import UNNAMED, USERNS, USUAL_NETWORK, log_size, signal_name, signal_number

Document = Mapping[str, Any]
Body = dict[str, Any]

# What is the same but for its name: where Docker has it, and where Podman has.
_SAME = (
    ("Image", "image"),
    ("Cmd", "command"),
    ("Entrypoint", "entrypoint"),
    ("User", "user"),
    ("WorkingDir", "work_dir"),
    ("Hostname", "hostname"),
    ("Labels", "labels"),
    ("Annotations", "annotations"),
    ("OpenStdin", "stdin"),
    ("Tty", "terminal"),
    ("StopTimeout", "stop_timeout"),
    ("Healthcheck", "healthconfig"),
    ("Timezone", "timezone"),
    ("Umask", "umask"),
    ("Timeout", "timeout"),
    ("Pod", "pod"),
    ("HostConfig.AutoRemove", "remove"),
    ("HostConfig.Init", "init"),
    ("HostConfig.Privileged", "privileged"),
    ("HostConfig.ReadonlyRootfs", "read_only_filesystem"),
    ("HostConfig.CapAdd", "cap_add"),
    ("HostConfig.CapDrop", "cap_drop"),
    ("HostConfig.GroupAdd", "groups"),
    ("HostConfig.Dns", "dns_server"),
    ("HostConfig.DnsSearch", "dns_search"),
    ("HostConfig.DnsOptions", "dns_option"),
    ("HostConfig.ExtraHosts", "hostadd"),
    ("HostConfig.ShmSize", "shm_size"),
    ("HostConfig.Runtime", "oci_runtime"),
    ("HostConfig.CgroupParent", "cgroup_parent"),
    ("HostConfig.OomScoreAdj", "oom_score_adj"),
    ("HostConfig.PublishAllPorts", "publish_image_ports"),
    ("HostConfig.Sysctls", "sysctl"),
    ("HostConfig.StorageOpt", "storage_opts"),
    ("HostConfig.VolumesFrom", "volumes_from"),
    ("HostConfig.RestartPolicy.Name", "restart_policy"),
    ("HostConfig.RestartPolicy.MaximumRetryCount", "restart_tries"),
    ("HostConfig.LogConfig.Type", "log_configuration.driver"),
)


def spec(body: Document) -> Body:
    """The body of ``POST /libpod/containers/create``, from that of ``POST /containers/create``."""
    # By themselves, the variables of whoever started the service would come in.
    made: Body = {"env": _env(body), "httpproxy": False, "env_host": False}
    for theirs, ours in _SAME:
        value = at(body, theirs)
        if value not in (None, "", [], {}):
            put(made, ours, value)
    host = body["HostConfig"]
    if host.get("ReadonlyRootfs"):
        made["read_write_tmpfs"] = False  # read-only is what was said
    if body.get("StopSignal"):
        made["stop_signal"] = signal_number(signal_name(body["StopSignal"]))
    log = at(host, "LogConfig.Config")
    if log:
        options = {key: value for key, value in log.items() if key not in ("max-size", "path")}
        put(made, "log_configuration.options", options)
        if log.get("max-size"):
            put(made, "log_configuration.size", int(log_size(log["max-size"])))
        if log.get("path"):
            put(made, "log_configuration.path", log["path"])
    limits = resources(host)
    if limits:
        made["resource_limits"] = limits
    for parts in (_rates, _namespaces, _users, _networks, _ports, _mounts, _security, _devices):
        made.update(parts(body))
    return made


def _env(body: Document) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in body.get("Env") or ())


# Limits.

_LIMITS = (
    ("CpuShares", "cpu.shares"),
    ("CpuPeriod", "cpu.period"),
    ("CpuQuota", "cpu.quota"),
    ("CpusetCpus", "cpu.cpus"),
    ("CpusetMems", "cpu.mems"),
    ("Memory", "memory.limit"),
    ("MemorySwap", "memory.swap"),
    ("MemoryReservation", "memory.reservation"),
    ("BlkioWeight", "blockIO.weight"),
    ("PidsLimit", "pids.limit"),
)
_NANO = 1_000_000_000 // CPU_PERIOD


def resources(limits: Document) -> Body:
    """Limits in the words of the OCI runtime specification, those alone that are given."""
    made: Body = {}
    for theirs, ours in _LIMITS:
        if limits.get(theirs) not in (None, "", 0):
            put(made, ours, limits[theirs])
    if limits.get("NanoCpus"):
        put(made, "cpu.quota", limits["NanoCpus"] // _NANO)
        put(made, "cpu.period", CPU_PERIOD)
    return made


_RATES = {
    "BlkioDeviceReadBps": "throttleReadBpsDevice",
    "BlkioDeviceWriteBps": "throttleWriteBpsDevice",
    "BlkioDeviceReadIOps": "throttleReadIOPSDevice",
    "BlkioDeviceWriteIOps": "throttleWriteIOPSDevice",
}


def _rates(body: Document) -> Body:
    host = body["HostConfig"]
    made: Body = {
        ours: {one["Path"]: {"rate": one["Rate"]} for one in host[theirs]}
        for theirs, ours in _RATES.items()
        if host.get(theirs)
    }
    if host.get("Ulimits"):
        made["r_limits"] = [{"type": one["Name"], "soft": one["Soft"], "hard": one["Hard"]} for one in host["Ulimits"]]
    return made


# Namespaces.

_NAMESPACES = {
    "IpcMode": "ipcns",
    "PidMode": "pidns",
    "UTSMode": "utsns",
    "CgroupnsMode": "cgroupns",
    "UsernsMode": "userns",
}


def namespace(mode: str) -> Body:
    """``host``, ``container:NAME`` or ``keep-id:uid=1000`` as Podman has them in its parts."""
    word, _colon, value = mode.partition(":")
    return {"nsmode": {"ns": "path"}.get(word, word), **({"value": value} if value else {})}


def _namespaces(body: Document) -> Body:
    host = body["HostConfig"]
    told = {ours: str(host.get(theirs) or "") for theirs, ours in _NAMESPACES.items()}
    return {ours: namespace(mode) for ours, mode in told.items() if mode and not _of_its_pod(body, mode)}


def _users(body: Document) -> Body:
    """What goes with a user namespace that has maps of its own (podman: pkg/util, ParseIDMapping)."""
    mode = str(body["HostConfig"].get("UsernsMode") or "")
    word, _colon, options = mode.partition(":")
    if word not in ("keep-id", "nomap", "auto"):
        return {}
    maps: Body = {"HostUIDMapping": False, "HostGIDMapping": False, "AutoUserNs": word == "auto"}
    if word == "auto" and options:
        maps["AutoUserNsOpts"] = {"Size": int(options.partition("=")[2])}
    return {"idmappings": maps, "annotations": {**(body.get("Annotations") or {}), USERNS: mode}}


def _of_its_pod(body: Document, mode: str) -> bool:
    """Whether a namespace comes with the pod, whose first container has it."""
    return bool(body.get("Pod")) and mode.startswith("container:")


# Networks.


def place(endpoint: Document) -> Body:
    """A container on a network."""
    fixed = endpoint.get("IPAMConfig") or {}
    made = {
        "static_ips": [fixed[key] for key in ("IPv4Address", "IPv6Address") if fixed.get(key)],
        "aliases": endpoint.get("Aliases"),
        "static_mac": endpoint.get("MacAddress"),
        "options": endpoint.get("DriverOpts"),
    }
    return {key: value for key, value in made.items() if value}


def _networks(body: Document) -> Body:
    mode = body["HostConfig"].get("NetworkMode") or ""
    places = at(body, "NetworkingConfig.EndpointsConfig") or {}
    if _of_its_pod(body, mode):
        return {}
    if mode in ("host", "none") or ":" in mode:
        made = {"netns": namespace(mode)}
        if mode.startswith(("pasta:", "slirp4netns:")) and made["netns"].get("value"):
            word, _colon, words = mode.partition(":")
            made = {"netns": {"nsmode": word}, "network_options": {word: words.split(",")}}
        return made
    if not mode and not places:
        return {}
    named = places or {mode or USUAL_NETWORK: {}}
    networks = {name: place(endpoint) for name, endpoint in named.items()}
    mac = body.get("MacAddress")
    if mac:
        networks[mode if mode in networks else next(iter(networks))]["static_mac"] = mac
    return {"netns": {"nsmode": "bridge"}, "networks": networks}


def _ports(body: Document) -> Body:
    rows = []
    for inner, places in (body["HostConfig"].get("PortBindings") or {}).items():
        port, _slash, protocol = inner.partition("/")
        for one in places:
            row = {"container_port": int(port), "protocol": protocol or "tcp", "host_ip": one.get("HostIp") or ""}
            rows.append({**row, **({"host_port": int(one["HostPort"])} if one.get("HostPort") else {})})
    exposed: dict[str, str] = {}
    for inner in body.get("ExposedPorts") or {}:
        port, _slash, protocol = inner.partition("/")
        exposed[port] = ",".join(filter(None, (exposed.get(port), protocol or "tcp")))
    return {**({"portmappings": rows} if rows else {}), **({"expose": exposed} if exposed else {})}


# Storage.


def bind_of(entry: Document) -> str:
    """An entry of ``HostConfig.Mounts``, of a path or a volume, as ``source:target[:options]``; a bare target where the
    volume has no name."""
    options = [word for word, given in _flags(entry) if given]
    if not entry.get("Source"):
        return str(entry["Target"])
    return ":".join(filter(None, (entry["Source"], entry["Target"], ",".join(sorted(options)))))


def _flags(entry: Document) -> Iterable[tuple[str, Any]]:
    yield "ro", entry.get("ReadOnly")
    yield str(at(entry, "BindOptions.Propagation")), at(entry, "BindOptions.Propagation")
    yield "bind", at(entry, "BindOptions.NonRecursive")
    yield "nocopy", at(entry, "VolumeOptions.NoCopy")
    yield f"subpath={at(entry, 'VolumeOptions.Subpath')}", at(entry, "VolumeOptions.Subpath")


def tmpfs_of(entry: Document) -> str:
    """An entry of ``HostConfig.Mounts``, of type tmpfs, as ``path[:options]``."""
    words = {"size": at(entry, "TmpfsOptions.SizeBytes"), "mode": at(entry, "TmpfsOptions.Mode")}
    options = [f"{key}={value:o}" if key == "mode" else f"{key}={value}" for key, value in words.items() if value]
    options += ["=".join(flag) for flag in at(entry, "TmpfsOptions.Options") or ()]
    options += ["ro"] if entry.get("ReadOnly") else []
    return ":".join(filter(None, (entry["Target"], ",".join(sorted(options)))))


def _mounts(body: Document) -> Body:
    host = body["HostConfig"]
    entries = host.get("Mounts") or ()
    binds = [*(host.get("Binds") or ()), *(bind_of(one) for one in entries if one["Type"] != "tmpfs")]
    rooms = [f"{path}:{words}" for path, words in (host.get("Tmpfs") or {}).items()]
    rooms += [tmpfs_of(one) for one in entries if one["Type"] == "tmpfs"]
    mounts: list[Body] = []
    volumes: list[Body] = []
    taken = {bind_target(bind) for bind in binds}
    for bind in [*binds, *(path for path in body.get("Volumes") or () if path not in taken)]:
        source, _colon, rest = bind.partition(":")
        target, options = rest.partition(":")[0], bind_options(bind)
        if not rest:
            volumes.append({"Dest": source, "IsAnonymous": True})
        elif source.startswith("/"):
            mounts.append({"type": "bind", "source": source, "destination": target, "options": options})
        else:
            anonymous = bool(UNNAMED.fullmatch(source))
            volumes.append({"Name": source, "Dest": target, "Options": options, "IsAnonymous": anonymous})
    for room in rooms:
        path, _colon, words = room.partition(":")
        options = [word for word in words.split(",") if word]
        mounts.append({"type": "tmpfs", "source": "tmpfs", "destination": path, "options": options})
    return {**({"mounts": mounts} if mounts else {}), **({"volumes": volumes} if volumes else {})}


# Security.


def _security(body: Document) -> Body:
    host = body["HostConfig"]
    made: Body = {}
    for option in host.get("SecurityOpt") or ():
        key, equals, value = option.partition("=")
        if key not in _SECURITY:
            raise StrataError(
                "is no security option of Podman's",
                option="security_opts",
                value=option,
                hint=f"Use {', '.join(sorted(_SECURITY))}",
            )
        name, parse = _SECURITY[key]
        parsed = parse(value if equals else "true")
        made[name] = [*made.get(name, ()), *parsed] if isinstance(parsed, list) else parsed
    if host.get("MaskedPaths") == [] and host.get("ReadonlyPaths") == []:
        made["unmask"] = ["ALL"]
    return made


# Podman's words beside the option's, and how the value is put there (podman-run(1), --security-opt).
_SECURITY: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "no-new-privileges": ("no_new_privileges", lambda value: value != "false"),
    "seccomp": ("seccomp_profile_path", str),
    "apparmor": ("apparmor_profile", str),
    "label": ("selinux_opts", lambda value: [value]),
    "mask": ("mask", lambda value: value.split(":")),
    "unmask": ("unmask", lambda value: value.split(":")),
    "proc-opts": ("procfs_opts", lambda value: value.split(",")),
}


def _devices(body: Document) -> Body:
    host = body["HostConfig"]
    made: Body = {}
    if host.get("Devices"):
        keys = ("PathOnHost", "PathInContainer", "CgroupPermissions")
        made["devices"] = [{"path": ":".join(one[key] for key in keys)} for one in host["Devices"]]
    rules = []
    for rule in host.get("DeviceCgroupRules") or ():
        sort, numbers, access = rule.split(" ")
        major, minor = (None if number == "*" else int(number) for number in numbers.split(":"))
        known = {key: number for key, number in (("major", major), ("minor", minor)) if number is not None}
        rules.append({"allow": True, "type": sort, **known, "access": access})
    return {**made, **({"device_cgroup_rule": rules} if rules else {})}
