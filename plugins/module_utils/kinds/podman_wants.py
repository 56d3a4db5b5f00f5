# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a declaration of a container leads to in the words in which Podman tells of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..engines import docker_values, podman_spec, podman_words
from ..engines.docker_networks import shares
from ..engines.docker_values_mounts import entry_of

Values = Mapping[str, Any]

_RAISED = frozenset({"nofile", "nproc"})
"""Limits that Podman sets by itself (containers.conf(5), default_ulimits)."""


def told(want: dict[str, Any], spec: Values, config: Values, document: Any, rootless: bool) -> dict[str, Any]:
    """Wanted values as Podman tells of them.

    Args:
        want: The values.
        spec: The declaration.
        config: The canonical values of the container that there is.
        document: What the engine says of it; None where there is none.
        rootless: Whether it is a plain user's.
    """
    _mounts(want)
    if document is not None and not want.get("privileged", config.get("privileged")):
        _capabilities(want, config, podman_words.usual_capabilities(document["Podman"]))
    if "ulimits" in want:
        named = {limit.partition(":")[0] for limit in want["ulimits"]}
        there = [limit for limit in config.get("ulimits") or () if limit.partition(":")[0] in _RAISED - named]
        want["ulimits"] = tuple(sorted({*want["ulimits"], *there}))
    size = (want.get("log_options") or {}).get("max-size")
    if size:
        want["log_options"] = {**want["log_options"], "max-size": podman_words.log_size(size)}
    _networks(want, spec, config, rootless)
    return want


# Mounts. Podman doesn't tell the long form from the short one: they are one list.


def _long(spec: Values) -> list[dict[str, Any]]:
    return [entry_of(row) for row in spec.get("mounts") or ()]


def _binds(short: Iterable[str], entries: Iterable[Values]) -> tuple[str, ...]:
    """Paths and volumes to mount, however they are declared."""
    given = docker_values.BINDS.parse(podman_spec.bind_of(one) for one in entries if one["Type"] != "tmpfs")
    return tuple(sorted({podman_words.usual_bind(one) if ":" in one else one for one in (*short, *given)}))


def _mounts(want: dict[str, Any]) -> None:
    entries = _long(want)
    rooms = docker_values.TMPFS.parse([podman_spec.tmpfs_of(one) for one in entries if one["Type"] == "tmpfs"])
    if "volumes" in want or "mounts" in want:
        want["volumes"] = _binds(want.get("volumes", ()), entries)
    if "tmpfs" in want or rooms:
        want["tmpfs"] = tuple(sorted(map(_room, {*want.get("tmpfs", ()), *rooms})))
    want.pop("mounts", None)


def _room(mount: str) -> str:
    path, _colon, words = mount.partition(":")
    return ":".join(filter(None, (path, podman_words.usual_tmpfs(words))))


# Capabilities.


def _capabilities(want: dict[str, Any], config: Values, usual: frozenset[str]) -> None:
    """Which are left counts, not in how many words that was said."""
    if "cap_drop" not in want and "capabilities" not in want:
        return
    adds = frozenset(want.get("capabilities", config.get("capabilities")) or ())
    drops = frozenset(want.get("cap_drop", config.get("cap_drop")) or ())
    if podman_words.ALL in adds:
        return
    kept = frozenset() if podman_words.ALL in drops else usual - drops
    spelled = dict(zip(("capabilities", "cap_drop"), podman_words.spelled(kept | adds, usual)))
    if "capabilities" in want and "cap_drop" in want:
        want.update(spelled)
    elif "capabilities" in want and spelled["cap_drop"] == config.get("cap_drop"):
        want["capabilities"] = spelled["capabilities"]
    elif "cap_drop" in want and spelled["capabilities"] == config.get("capabilities"):
        want["cap_drop"] = spelled["cap_drop"]


# Networks.


def _networks(want: dict[str, Any], spec: Values, config: Values, rootless: bool) -> None:
    there = {row["name"]: row for row in config.get("networks") or ()}
    if rootless:  # a plain user's containers are on no network by themselves
        if "networks" in want and "networks" not in spec:
            want["networks"] = ()
        if "network_mode" in want and "network_mode" not in spec:
            want["network_mode"] = "pasta:"
    mode = want.get("network_mode")
    if mode and not shares(mode) and mode in there and config.get("network_mode") in there:
        want["network_mode"] = config["network_mode"]  # which of several was the first, Podman doesn't tell
    if "networks" in want:
        # A container that doesn't run has no addresses to compare with.
        want["networks"] = tuple(
            {leaf: value for leaf, value in row.items() if leaf not in _ADDRESSES or _is_told(leaf, row, there)}
            if row["name"] in there
            else row
            for row in want["networks"]
        )


_ADDRESSES = ("ipv4_address", "ipv6_address", "mac_address")


def chosen(row: Values) -> dict[str, Any]:
    """A network of a container without its addresses: whether somebody chose them, nobody knows."""
    return {leaf: value for leaf, value in row.items() if leaf not in _ADDRESSES}


def _is_told(leaf: str, row: Values, there: Mapping[str, Values]) -> bool:
    return bool(there[row["name"]].get(leaf))


# What Podman doesn't tell of a container counts as it is declared.


def completed(config: Values, spec: Values, document: Any) -> dict[str, Any]:
    """The values of a container that there is, and beside them what can't be told from what is declared.

    Args:
        config: What was read.
        spec: The declaration.
        document: What the engine says of it.
    """
    full = dict(config)
    there = podman_words.variables(document["Podman"])
    own = {name: there[name] for name in spec.get("env", {}) if name in podman_words.OWN and name in there}
    full["env"] = {**(config.get("env") or {}), **own}
    rights = {_both(device): device for device in spec.get("devices", ())}
    full["devices"] = tuple(sorted(rights.get(_both(device), device) for device in config.get("devices") or ()))
    full["volumes"] = _as_declared(config.get("volumes") or (), _binds(spec.get("volumes", ()), _long(spec)))
    for option in _UNTOLD:
        if option in spec:
            full[option] = spec[option]
    return full


_UNTOLD = ("device_cgroup_rules", "sysctls")


def _both(device: str) -> str:
    return device.rpartition(":")[0]


_ONCE = frozenset({"z", "Z", "U"})
"""What is done to the source of a mount when the container is made (podman-run(1), --volume)."""


def _as_declared(there: Iterable[str], declared: Iterable[str]) -> tuple[str, ...]:
    """Mounts that there are, as they are declared where they differ only in what Podman doesn't tell."""
    known = {_ends(bind): bind for bind in declared if ":" in bind}
    return tuple(sorted(known[_ends(bind)] if _is_so(bind, known.get(_ends(bind))) else bind for bind in there))


def _ends(bind: str) -> tuple[str, ...]:
    return tuple(bind.split(":")[:2])


def _is_so(bind: str, declared: str | None) -> bool:
    if declared is None:
        return False
    told, asked = (frozenset(docker_values.bind_options(one)) for one in (bind, declared))
    return asked - told <= _ONCE and told - asked <= podman_words.INHERITED
