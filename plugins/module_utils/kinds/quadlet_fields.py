# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of a container are called in a quadlet (podman-systemd.unit(5)): one line an option."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core.codec import INT, MAC, MAX, NAME, WORDS, Codec, show_cpus
from ..core.field import Field, structure, table
from ..engines.docker_networks import ADDRESS
from ..engines.docker_values import show_port
from ..engines.docker_values_limits import SPAN, parse_test
from .podman_fields import FIELDS

_SECOND = 1_000_000_000
_LEAST = 1_000_000  # nanoseconds in a millisecond


@dataclass(frozen=True)
class Key:
    """Where an option goes: keys of the section [Container], each with its lines."""

    write: Callable[[Any], Mapping[str, list[str]]]


def _quoted(word: str) -> str:
    """A word as systemd reads it (systemd.syntax(7), "Quoting")."""
    if word and not any(one in word for one in " \t\"'\\$"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$") + '"'


def _one(key: str, show: Callable[[Any], str] = str) -> Key:
    return Key(lambda value: {key: [show(value)] if value not in ("", (), None) else []})


def _flag(key: str) -> Key:
    return Key(lambda value: {key: ["true"] if value else []})


def _lines(key: str, show: Callable[[Any], str] = str) -> Key:
    return Key(lambda values: {key: [show(value) for value in values]})


def _pairs(key: str, joint: str = "=") -> Key:
    return Key(lambda values: {key: [_quoted(f"{name}{joint}{value}") for name, value in sorted(values.items())]})


def _words(key: str) -> Key:
    return Key(lambda values: {key: [" ".join(map(_quoted, values))] if values else []})


def _argument(option: str, show: Callable[[Any], str] = str) -> Key:
    """An option of ``podman run`` that has no key of its own in every Podman from 5.0 on."""
    return Key(lambda value: {"PodmanArgs": [] if value in (MAX, "", None) else [f"--{option}={show(value)}"]})


def _limit(value: Any) -> str:
    return "-1" if value == MAX else str(value)


def _span(value: int) -> str:
    return f"{value // _SECOND}s" if value % _SECOND == 0 else f"{value // _LEAST}ms"


def _check(check: Mapping[str, Any]) -> dict[str, list[str]]:
    test = list(check.get("test") or ())
    if test[:1] == ["NONE"]:
        return {"HealthCmd": ["none"]}
    # podman-run(1), --health-cmd: a list is run as it is, anything else by a shell.
    command = test[1] if test[:1] == ["CMD-SHELL"] else json.dumps(test[1:]) if test else None
    spans = {"interval": "HealthInterval", "timeout": "HealthTimeout", "start_period": "HealthStartPeriod"}
    keys = {key: [_span(check[leaf])] for leaf, key in spans.items() if check.get(leaf)}
    if check.get("retries"):
        keys["HealthRetries"] = [str(check["retries"])]
    return {**({"HealthCmd": [command]} if command else {}), **keys}


def _network(row: Mapping[str, Any]) -> str:
    words = [f"ip={row['ipv4_address']}"] if row.get("ipv4_address") else []
    words += [f"ip6={row['ipv6_address']}"] if row.get("ipv6_address") else []
    words += [f"mac={row['mac_address']}"] if row.get("mac_address") else []
    words += [f"alias={alias}" for alias in row.get("aliases", ())]
    return f"{row['name']}:{','.join(words)}" if words else str(row["name"])


def _security(values: Any) -> dict[str, list[str]]:
    plain = [value for value in values if value not in ("no-new-privileges", "no-new-privileges:true")]
    privileges = {"NoNewPrivileges": ["true"]} if len(plain) < len(values) else {}
    return {**privileges, "PodmanArgs": [f"--security-opt={value}" for value in plain]}


def _rooms(values: Mapping[str, str] | Any) -> dict[str, list[str]]:
    return {"Tmpfs": [str(value) for value in values]}


_KEYS: dict[str, Key] = {
    "image": _one("Image"),
    "command": _words("Exec"),
    "entrypoint": _one("Entrypoint", lambda value: json.dumps(list(value))),
    "env": _pairs("Environment"),
    "labels": _pairs("Label"),
    "published_ports": _lines("PublishPort", show_port),
    "volumes": _lines("Volume"),
    "tmpfs": Key(_rooms),
    "networks": _lines("Network", _network),
    "network_mode": _one("Network", lambda value: str(value).rstrip(":")),
    "hostname": _one("HostName"),
    "user": _one("User"),
    "groups": _lines("GroupAdd"),
    "working_dir": _one("WorkingDir"),
    "read_only": Key(lambda value: {"ReadOnly": ["true"], "ReadOnlyTmpfs": ["false"]} if value else {"ReadOnly": []}),
    "capabilities": _lines("AddCapability"),
    "cap_drop": _lines("DropCapability"),
    "security_opts": Key(_security),
    "userns_mode": _one("UserNS"),
    "devices": _lines("AddDevice"),
    "sysctls": _pairs("Sysctl"),
    "ulimits": _lines("Ulimit", lambda value: value.replace(":", "=", 1)),
    "dns_servers": _lines("DNS"),
    "dns_search_domains": _lines("DNSSearch"),
    "dns_opts": _lines("DNSOption"),
    "etc_hosts": _pairs("AddHost", ":"),
    "init": _flag("RunInit"),
    "stop_signal": _one("StopSignal"),
    "stop_timeout": _one("StopTimeout"),
    "healthcheck": Key(_check),
    "log_driver": _one("LogDriver"),
    "shm_size": _one("ShmSize"),
    "pids_limit": _one("PidsLimit", _limit),
    "memory": _argument("memory"),
    "memory_reservation": _argument("memory-reservation"),
    "cpus": _argument("cpus", lambda value: str(show_cpus(value))),
    "cpu_shares": _argument("cpu-shares"),
    "cpuset_cpus": _argument("cpuset-cpus"),
    "pod": _one("Pod", lambda value: f"{value}.pod"),
}

# Of these, a quadlet has less.
_LESS = {
    "networks": table(
        Field("name", NAME, required=True),
        Field("ipv4_address", ADDRESS),
        Field("ipv6_address", ADDRESS),
        Field("mac_address", MAC),
        Field("aliases", WORDS),
        key=lambda row: str(row["name"]),
    ),
    "healthcheck": structure(
        Field("test", Codec(parse_test, "raw", list)),
        Field("interval", SPAN),
        Field("timeout", SPAN),
        Field("start_period", SPAN),
        Field("retries", INT),
    ),
}


def _field(field: Field) -> Field:
    codec = _LESS.get(field.name, field.codec)
    return replace(field, codec=codec, at=_KEYS[field.name], default=None, given=None, aliases=(), check=None)


CONTAINER: tuple[Field, ...] = tuple(_field(field) for field in FIELDS if field.name in _KEYS)
ROW = structure(*CONTAINER)


def lines(values: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What a container's options assign in the section [Container]."""
    content: dict[str, tuple[str, ...]] = {}
    for field in CONTAINER:
        if field.name in values:
            for key, texts in field.at.write(values[field.name]).items():
                if texts:
                    content[f"Container.{key}"] = (*content.get(f"Container.{key}", ()), *texts)
    return content
