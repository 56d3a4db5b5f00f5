# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where options live in the specifications of a swarm's objects: pure translation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.codec import CPU_PERIOD, MAX
from .docker import OURS
from .docker_networks import at, put
from .docker_values_limits import CHECK_KEYS, check_body, check_of
from .docker_values_mounts import entry_of, row_of

Document = Mapping[str, Any]
Body = dict[str, Any]

_SECOND = 1_000_000_000  # of Go's durations
_NANO = 1_000_000_000 // CPU_PERIOD  # of a cpu, for each microsecond in a period

TASK, CONTAINER = "TaskTemplate", "TaskTemplate.ContainerSpec"


@dataclass(frozen=True)
class At:
    """How a value is read from a specification, and written into one."""

    read: Callable[[Document], Any]
    write: Callable[[Body, Any], None]


def _same(value: Any) -> Any:
    return value


def place(path: str, empty: Any, parse: Callable[[Any], Any] = _same, show: Callable[[Any], Any] = _same) -> At:
    """A value of its own.

    Args:
        path: Its dotted path.
        empty: What it is where nothing is said.
        parse: The canonical value of what the daemon says.
        show: The other way round.
    """

    def read(spec: Document) -> Any:
        found = at(spec, path)
        return empty if found is None else parse(found)

    def write(spec: Body, value: Any) -> None:
        put(spec, path, None if value in (None, MAX) else show(value))

    return At(read, write)


def words(path: str, ordered: bool = True) -> At:
    """A list of words."""
    return place(path, (), tuple if ordered else lambda found: tuple(sorted(found)), list)


def seconds(path: str, empty: int = 0) -> At:
    return place(path, empty, lambda found: found // _SECOND, lambda value: value * _SECOND)


def variables(path: str) -> At:
    """``NAME=value``, one an entry."""
    return place(
        path,
        {},
        lambda found: dict(line.partition("=")[::2] for line in found),
        lambda value: [f"{name}={text}" for name, text in value.items()],
    )


def mapping(path: str) -> At:
    """A mapping of which only what is given is managed; the collection's own labels are not seen."""

    def read(spec: Document) -> dict[str, str]:
        return {key: value for key, value in (at(spec, path) or {}).items() if not key.startswith(OURS)}

    def write(spec: Body, value: Mapping[str, str | None]) -> None:
        whole = {**(at(spec, path) or {}), **value}
        put(spec, path, {key: text for key, text in whole.items() if text is not None})

    return At(read, write)


def _limit(path: str, factor: int = 1) -> At:
    return place(path, MAX, lambda found: found // factor or MAX, lambda value: value * factor)


def _hosts(lines: Iterable[str]) -> dict[str, str]:
    """``ADDRESS NAME``, as in hosts(5)."""
    return {name: line.split()[0] for line in lines for name in line.split()[1:]}


def _read_check(spec: Document) -> dict[str, Any]:
    return check_of({"Healthcheck": at(spec, f"{CONTAINER}.Healthcheck")})


def _write_check(spec: Body, value: Mapping[str, Any]) -> None:
    body = check_body({**_read_check(spec), **value})
    put(spec, f"{CONTAINER}.Healthcheck", body if body.keys() & {*CHECK_KEYS.values()} else None)


def leaves(path: str, keys: Mapping[str, At]) -> At:
    """A structure; leaves that aren't given stay as they are."""

    def read(spec: Document) -> dict[str, Any]:
        there = at(spec, path) or {}
        return {name: place.read(there) for name, place in keys.items()}

    def write(spec: Body, value: Mapping[str, Any]) -> None:
        body = dict(at(spec, path) or {})
        for name, item in value.items():
            keys[name].write(body, item)
        put(spec, path, body)

    return At(read, write)


RESTART = leaves(
    f"{TASK}.RestartPolicy",
    {
        "condition": place("Condition", "any"),
        "delay": seconds("Delay", 5),
        "max_attempts": place("MaxAttempts", 0),
        "window": seconds("Window"),
    },
)


def _rollout(path: str) -> At:
    return leaves(
        path,
        {
            "parallelism": place("Parallelism", 1),
            "delay": seconds("Delay"),
            "failure_action": place("FailureAction", "pause"),
            "monitor": seconds("Monitor", 5),
            "max_failure_ratio": place("MaxFailureRatio", 0.0, float),
            "order": place("Order", "stop-first"),
        },
    )


UPDATE, ROLLBACK = _rollout("UpdateConfig"), _rollout("RollbackConfig")


def _read_mode(spec: Document) -> str:
    return "global" if "Global" in (spec.get("Mode") or {}) else "replicated"


def _write_mode(spec: Body, value: str) -> None:
    if value != _read_mode(spec) or not spec.get("Mode"):
        spec["Mode"] = {"Global": {}} if value == "global" else {"Replicated": {"Replicas": 1}}


def _read_replicas(spec: Document) -> int | None:
    found = at(spec, "Mode.Replicated.Replicas")
    return None if _read_mode(spec) == "global" else 1 if found is None else int(found)


def _write_replicas(spec: Body, value: int) -> None:
    spec["Mode"] = {"Replicated": {"Replicas": value}}


MODE, REPLICAS = At(_read_mode, _write_mode), At(_read_replicas, _write_replicas)


def _read_ports(spec: Document) -> tuple[dict[str, Any], ...]:
    rows = [
        {
            "target": port["TargetPort"],
            "published": port.get("PublishedPort") or 0,
            "protocol": port.get("Protocol") or "tcp",
            "mode": port.get("PublishMode") or "ingress",
        }
        for port in at(spec, "EndpointSpec.Ports") or ()
    ]
    return tuple(sorted(rows, key=port_key))


def port_key(row: Mapping[str, Any]) -> str:
    return f"{row['target']}/{row.get('protocol', 'tcp')}"


def _write_ports(spec: Body, rows: Iterable[Mapping[str, Any]]) -> None:
    ports = [
        {
            "TargetPort": row["target"],
            "Protocol": row.get("protocol", "tcp"),
            "PublishMode": row.get("mode", "ingress"),
            **({"PublishedPort": row["published"]} if row.get("published") else {}),
        }
        for row in rows
    ]
    put(spec, "EndpointSpec.Ports", ports)


PORTS = At(_read_ports, _write_ports)


def _read_places(spec: Document) -> tuple[dict[str, Any], ...]:
    """Its networks, by what they are called in the specification: names in a request, IDs in an answer."""
    rows = [
        {"name": place["Target"], "aliases": tuple(sorted(place.get("Aliases") or ()))}
        for place in at(spec, f"{TASK}.Networks") or ()
    ]
    return tuple(sorted(rows, key=lambda row: str(row["name"])))


def _write_places(spec: Body, rows: Iterable[Mapping[str, Any]]) -> None:
    put(spec, f"{TASK}.Networks", [{"Target": row["name"], "Aliases": list(row.get("aliases", ()))} for row in rows])


NETWORKS = At(_read_places, _write_places)


def _files(path: str, word: str) -> At:
    """Secrets or configs as files of the container; a row's ``id`` is what the daemon knows it by."""

    def read(spec: Document) -> tuple[dict[str, Any], ...]:
        rows = []
        for one in at(spec, path) or ():
            file = one.get("File") or {}
            rows.append(
                {
                    "name": one[f"{word}Name"],
                    "target": file.get("Name") or one[f"{word}Name"],
                    "uid": file.get("UID") or "0",
                    "gid": file.get("GID") or "0",
                    "mode": f"{file.get('Mode', 0o444):04o}",
                    "id": one[f"{word}ID"],
                }
            )
        return tuple(sorted(rows, key=lambda row: str(row["target"])))

    def write(spec: Body, rows: Iterable[Mapping[str, Any]]) -> None:
        entries = [
            {
                f"{word}Name": row["name"],
                f"{word}ID": row["id"],
                "File": {
                    "Name": row.get("target") or row["name"],
                    "UID": row.get("uid", "0"),
                    "GID": row.get("gid", "0"),
                    "Mode": int(row.get("mode", "0444"), 8),
                },
            }
            for row in rows
        ]
        put(spec, path, entries)

    return At(read, write)


SECRETS, CONFIGS = _files(f"{CONTAINER}.Secrets", "Secret"), _files(f"{CONTAINER}.Configs", "Config")
MOUNTS = place(
    f"{CONTAINER}.Mounts",
    (),
    lambda found: tuple(sorted(map(row_of, found), key=lambda row: str(row["target"]))),
    lambda rows: [entry_of(row) for row in rows],
)
HEALTHCHECK = At(_read_check, _write_check)
ETC_HOSTS = place(
    f"{CONTAINER}.Hosts", {}, _hosts, lambda value: [f"{address} {name}" for name, address in sorted(value.items())]
)
SPREAD = place(
    f"{TASK}.Placement.Preferences",
    (),
    lambda found: tuple(one["Spread"]["SpreadDescriptor"] for one in found if "Spread" in one),
    lambda value: [{"Spread": {"SpreadDescriptor": word}} for word in value],
)
MEMORY, CPUS = _limit(f"{TASK}.Resources.Limits.MemoryBytes"), _limit(f"{TASK}.Resources.Limits.NanoCPUs", _NANO)
PIDS = _limit(f"{TASK}.Resources.Limits.Pids")
RESERVED_MEMORY = place(f"{TASK}.Resources.Reservations.MemoryBytes", 0)
RESERVED_CPUS = _limit(f"{TASK}.Resources.Reservations.NanoCPUs", _NANO)
