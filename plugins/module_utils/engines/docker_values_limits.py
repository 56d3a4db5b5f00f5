# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Canonical values of limits, times, devices and health checks, from what users write and what Docker says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ..core.codec import BOOL, CPUS, INT, LINE, MAX, MEMORY, PIDS, SIZE, TEXTS, Codec, parse_int, parse_map, parse_size
from ..core.field import Field, decode, structure, table
from .docker_values import set_of


def _or_unlimited(codec: Codec, *words: str) -> Codec:
    """The same values, with Docker's own words for no limit beside ``max``."""
    return replace(codec, parse=lambda value: MAX if str(value).strip() in words else codec.parse(value))


MEMORY_LIMIT, CPU_LIMIT = _or_unlimited(MEMORY, "0"), _or_unlimited(CPUS, "0", "0.0")
PIDS_LIMIT = _or_unlimited(PIDS, "0", "-1")


def parse_bytes(value: Any) -> int:
    size = parse_size(value)
    if isinstance(size, str):
        raise ValueError("has no unlimited value: write a number with a unit, such as 64M")
    return size


def parse_swap(value: Any) -> int:
    """Memory and swap together, in bytes; -1 for no limit, 0 for what the engine makes of the limit of memory."""
    return -1 if str(value).strip() in ("-1", "unlimited", MAX) else parse_bytes(value)


def between(least: int, most: int) -> Codec:
    """A whole number in a range, or 0 for what the engine has by itself."""

    def parse(value: Any) -> int:
        number = parse_int(value)
        if number and not least <= number <= most:
            raise ValueError(f"must be from {least} to {most}")
        return number

    return Codec(parse, "int")


BYTES = replace(SIZE, parse=parse_bytes)
SWAP = replace(SIZE, parse=parse_swap, show=lambda size: "unlimited" if size == -1 else SIZE.show(size))


def parse_ulimit(text: str) -> list[str]:
    """``name:soft[:hard]``; a limit alone is both."""
    found = re.fullmatch(r"([a-z]+)[:=](-?\d+)(?::(-?\d+))?", text)
    if found is None:
        raise ValueError(f"has {text!r}, which is no ulimit: write nofile:1024 or nofile:1024:2048")
    name, soft, hard = found.groups()
    return [f"{name}:{soft}:{hard or soft}"]


ULIMITS = set_of(parse_ulimit)


# Times.

_NANOSECONDS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 1000}


def parse_span(value: Any) -> int:
    """Nanoseconds from ``1m30s``, ``500ms``, ``1.5h``; a number alone is seconds."""
    text = str(value).strip().lower()
    if re.fullmatch(r"\d+", text):
        return int(text) * _NANOSECONDS["s"]
    if not re.fullmatch(r"(\d+(\.\d+)?(h|ms|m|us|s))+", text):
        raise ValueError("is no duration: write 500ms, 30s, 1m30s or 1h")
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|us|s)", text)
    return int(sum(Decimal(number) * _NANOSECONDS[unit] for number, unit in parts))


def show_span(nanoseconds: int) -> str:
    shown = ""
    for unit, size in _NANOSECONDS.items():
        count, nanoseconds = divmod(nanoseconds, size)
        shown += f"{count}{unit}" if count else ""
    return shown or "0s"


SPAN = Codec(parse_span, show=show_span)


# Health checks.

NO_CHECK = ("NONE",)


def parse_test(value: Any) -> tuple[str, ...]:
    """The test as the engine has it: a string is for the shell, a list begins with how it is to be run."""
    if isinstance(value, str):
        return ("CMD-SHELL", value) if value else ()
    words = tuple(str(word) for word in value)
    if words and words[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise ValueError("must begin with NONE, CMD or CMD-SHELL, or be a string, which is run by the shell")
    return NO_CHECK if words[:1] == NO_CHECK else words


_BY_ITS_OWN = "test_cli_compatible"
_CHECK = (
    Field("test", Codec(parse_test, "raw", list), "Test", default=()),
    Field(_BY_ITS_OWN, BOOL, given=False),
    Field("interval", SPAN, "Interval", default=0),
    Field("timeout", SPAN, "Timeout", default=0),
    Field("start_period", SPAN, "StartPeriod", default=0),
    Field("start_interval", SPAN, "StartInterval", default=0),
    Field("retries", INT, "Retries", default=0),
)


def _parse_check(entry: Mapping[str, Any]) -> dict[str, Any]:
    row = decode(_CHECK, entry)
    if not row.pop(_BY_ITS_OWN, False) and not row.get("test"):
        row["test"] = NO_CHECK
    return row


HEALTHCHECK = replace(structure(*_CHECK), parse=_parse_check)


def check_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The health check in a container's or an image's configuration: what of it was set."""
    found = config.get("Healthcheck") or {}
    values = {leaf.name: found.get(leaf.at) for leaf in _CHECK if leaf.at}
    set_there = {name: tuple(value) if name == "test" else value for name, value in values.items() if value}
    return set_there if set_there.get("test") != NO_CHECK else {"test": NO_CHECK}


def check_beside(check: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    """A health check without what an image's own says anyhow."""
    bare = {**({} if "test" in image else {"test": NO_CHECK}), **image}  # no check is what an image without one has
    defaults = {leaf.name: leaf.default for leaf in _CHECK}
    return {name: defaults[name] if value == bare.get(name) else value for name, value in check.items()}


def shown_check(check: Mapping[str, Any]) -> dict[str, Any] | None:
    """As it is observed: without leaves that are not set, and marked where its test comes from the image."""
    left = {name: value for name, value in check.items() if value}
    if left and "test" not in left:
        left[_BY_ITS_OWN] = True
    return left or None


def check_body(check: Mapping[str, Any]) -> dict[str, Any]:
    """Those leaves of ``Healthcheck`` in a request that are set."""
    sent = {leaf.at: check[leaf.name] for leaf in _CHECK if leaf.at and check.get(leaf.name)}
    return {key: list(value) if key == "Test" else value for key, value in sent.items()}


CHECK_KEYS = {leaf.name: leaf.at for leaf in _CHECK if leaf.at}


# Devices.


def parse_device(text: str) -> list[str]:
    """``host[:container[:rwm]]`` as ``host:container:rwm``."""
    host, *rest = text.split(":")
    inner = rest[0] if rest else host
    rights = rest[1] if len(rest) > 1 else "rwm"
    if not host.startswith("/") or not inner.startswith("/") or len(rest) > 2 or not re.fullmatch(r"[rwm]+", rights):
        raise ValueError(
            f"has {text!r}, which is no device: write /dev/sda, /dev/sda:/dev/xvda or /dev/sda:/dev/xvda:r"
        )
    return [f"{host}:{inner}:{''.join(right for right in 'rwm' if right in rights)}"]


def show_device(device: str) -> str:
    """The shortest form that is read as the same device."""
    host, inner, rights = device.split(":")
    parts = [host, inner, rights] if rights != "rwm" else [host] if inner == host else [host, inner]
    return ":".join(parts)


def parse_rule(text: str) -> list[str]:
    if not re.fullmatch(r"[abc] (\d+|\*):(\d+|\*) [rwm]+", text):
        raise ValueError(f"has {text!r}, which is no rule: write 'c 42:* rmw'")
    return [text]


DEVICES = Codec(set_of(parse_device).parse, "list", lambda devices: [show_device(one) for one in devices], "str")
DEVICE_RULES = set_of(parse_rule)


def _rates(codec: Codec) -> Codec:
    leaves = (Field("path", LINE, "Path", required=True), Field("rate", codec, "Rate", required=True))
    return table(*leaves, key=lambda row: str(row["path"]))


BYTE_RATES, COUNT_RATES = _rates(BYTES), _rates(INT)


def _listed(parse: Callable[[Any], Any], elements: str) -> Codec:
    return Codec(lambda values: tuple(parse(value) for value in values), "list", list, elements)


REQUESTS = table(
    Field("driver", LINE, "Driver", default=""),
    Field("count", INT, "Count", default=0),
    Field("device_ids", TEXTS, "DeviceIDs", default=()),
    Field("capabilities", _listed(lambda group: [str(word) for word in group], "list"), "Capabilities", default=()),
    Field("options", Codec(parse_map, "dict", dict), "Options", default={}),
)


def rows_of(entries: Any, codec: Codec) -> tuple[dict[str, Any], ...]:
    """The entries of a list in the engine's words as canonical rows: what isn't set is left out."""
    rows = []
    for entry in entries or ():
        row = {leaf.name: leaf.decode(entry[leaf.at]) for leaf in codec.row if entry.get(leaf.at)}
        rows.append(row)
    return tuple(sorted(rows, key=codec.key) if codec.key else rows)


def entries_of(rows: Any, codec: Codec) -> list[dict[str, Any]]:
    """The other way round."""
    sent = []
    for row in rows:
        values = {leaf.at: row[leaf.name] for leaf in codec.row if row.get(leaf.name)}
        sent.append({key: list(value) if isinstance(value, tuple) else value for key, value in values.items()})
    return sent
