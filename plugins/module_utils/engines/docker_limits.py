# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits of a container in Docker's words and in canonical values, for new containers and for running ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.codec import CPU_PERIOD, MAX, Codec
from ..core.limits import NUMBERS
from .docker_at import At, Body, Document, host, limit, number
from .docker_values_limits import BYTE_RATES, COUNT_RATES, REQUESTS, ULIMITS, entries_of, rows_of

_NANO = 1_000_000_000 // CPU_PERIOD
_NANO_CPUS = limit("NanoCpus", lambda quota: int(quota) * _NANO, lambda nano: nano // _NANO)


def _read_cpus(document: Document, image: Document) -> Any:
    config = document["HostConfig"]
    quota = config.get("CpuQuota") or 0
    if quota:
        return quota * CPU_PERIOD // (config.get("CpuPeriod") or CPU_PERIOD) if quota > 0 else MAX
    return _NANO_CPUS.read(document, image)


def _write_cpus(body: Body, value: Any) -> None:
    for key in ("CpuQuota", "CpuPeriod"):
        body["HostConfig"].pop(key, None)
    _NANO_CPUS.write(body, value)


def _without_nano(key: str) -> At:
    """A part of the scheduler's own limit: the engine takes either that or a number of cpus."""
    plain = number(key)

    def write(body: Body, value: Any) -> None:
        body["HostConfig"].pop("NanoCpus", None)
        plain.write(body, value)

    return At(plain.read, write)


def _write_memory(body: Body, value: Any) -> None:
    config = body["HostConfig"]
    before, swap = config.pop("Memory", 0), config.pop("MemorySwap", 0)
    if value != MAX:
        config.update(memory_update(value, before, swap))


def memory_update(value: int, before: int, swap: int) -> Body:
    """Docker's limit of swap includes memory, so that it moves along with it. Zero leaves it to the engine."""
    if swap < 0:
        return {"Memory": value, "MemorySwap": -1}
    if before <= 0 or swap == 2 * before:  # the engine's own default: as much swap as memory
        return {"Memory": value, "MemorySwap": 2 * value}
    return {"Memory": value, "MemorySwap": value + max(0, swap - before)}


def _read_swap(document: Document, _image: Document) -> Any:
    config = document["HostConfig"]
    return swap_beside(config.get("MemorySwap") or 0, config.get("Memory") or 0)


def swap_beside(swap: int, memory: int | str) -> int:
    """A limit of memory and swap, 0 where it is what the engine makes of that of memory anyhow."""
    if memory in (0, MAX):
        return 0
    return 0 if swap == 2 * int(memory) else swap


def _write_swap(body: Body, value: Any) -> None:
    body["HostConfig"].pop("MemorySwap", None)
    if value:
        body["HostConfig"]["MemorySwap"] = value


def _read_restart(document: Document, _image: Document) -> Any:
    return (document["HostConfig"].get("RestartPolicy") or {}).get("Name") or "no"


def _write_restart(body: Body, value: Any) -> None:
    tries = (body["HostConfig"].get("RestartPolicy") or {}).get("MaximumRetryCount") or 0
    body["HostConfig"]["RestartPolicy"] = {
        "Name": value,
        "MaximumRetryCount": tries if value == "on-failure" else 0,
    }


def _read_retries(document: Document, _image: Document) -> Any:
    return (document["HostConfig"].get("RestartPolicy") or {}).get("MaximumRetryCount") or 0


def _write_retries(body: Body, value: Any) -> None:
    policy = body["HostConfig"].get("RestartPolicy") or {"Name": "on-failure"}
    body["HostConfig"]["RestartPolicy"] = {**policy, "MaximumRetryCount": value}


def _listed(key: str, codec: Codec) -> At:
    """A list of objects in HostConfig that is a table here."""

    def write(body: Body, value: Any) -> None:
        body["HostConfig"][key] = entries_of(value, codec)

    return At(lambda document, _image: rows_of(document["HostConfig"].get(key), codec), write)


def _read_ulimits(document: Document, _image: Document) -> Any:
    found = document["HostConfig"].get("Ulimits") or ()
    return ULIMITS.parse([f"{one['Name']}:{one['Soft']}:{one['Hard']}" for one in found])


def _write_ulimits(body: Body, value: Any) -> None:
    parts = [limit.split(":") for limit in value]
    sent = [{"Name": name, "Soft": int(soft), "Hard": int(hard)} for name, soft, hard in parts]
    body["HostConfig"]["Ulimits"] = sent


def _numbers(key: str) -> At:
    return At(lambda document, _image: NUMBERS.parse(document["HostConfig"].get(key) or ""), host(key).write)


MEMORY = At(limit("Memory").read, _write_memory)
SWAP = At(_read_swap, _write_swap)
CPUS = At(_read_cpus, _write_cpus)
CPU_SHARE, CPU_PERIODS, CPU_QUOTA = number("CpuShares"), _without_nano("CpuPeriod"), _without_nano("CpuQuota")
CPUSET_CPUS, CPUSET_MEMS = _numbers("CpusetCpus"), _numbers("CpusetMems")
RESERVATION, KERNEL_MEMORY = number("MemoryReservation"), number("KernelMemory")
SWAPPINESS = At(
    lambda document, _image: document["HostConfig"].get("MemorySwappiness"),  # zero is a value here
    host("MemorySwappiness").write,
)
BLKIO = number("BlkioWeight")
READ_BPS, WRITE_BPS = (_listed(f"BlkioDevice{way}Bps", BYTE_RATES) for way in ("Read", "Write"))
READ_IOPS, WRITE_IOPS = (_listed(f"BlkioDevice{way}IOps", COUNT_RATES) for way in ("Read", "Write"))
REQUEST = _listed("DeviceRequests", REQUESTS)
PIDS = limit("PidsLimit")
RESTART, RETRIES = At(_read_restart, _write_restart), At(_read_retries, _write_retries)
ULIMIT = At(_read_ulimits, _write_ulimits)

_LIVE = {
    "cpu_shares": "CpuShares",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpuset_cpus": "CpusetCpus",
    "cpuset_mems": "CpusetMems",
    "memory_reservation": "MemoryReservation",
    "kernel_memory": "KernelMemory",
    "blkio_weight": "BlkioWeight",
}
"""What ``POST /containers/ID/update`` takes as it is (moby: container/container_unix.go, UpdateContainer)."""


def update_body(values: Mapping[str, Any], config: Document) -> Body:
    """The body of ``POST /containers/ID/update`` that brings canonical values into a running container.

    Args:
        values: What is to be different; ``memory_swap`` beside ``memory`` where it is declared, changed or not.
        config: The HostConfig that there is.
    """
    body: Body = {key: values[name] for name, key in _LIVE.items() if name in values}
    memory, before = config.get("Memory") or 0, config.get("MemorySwap") or 0
    if "memory" in values:
        memory = values["memory"]
        body.update(memory_update(memory, config.get("Memory") or 0, before))
    if "memory_swap" in values:
        body.update({"Memory": memory, "MemorySwap": values["memory_swap"] or 2 * memory})
    if "cpus" in values:
        body.update(_cpus_update(values["cpus"], config))
    if "pids_limit" in values:
        body["PidsLimit"] = -1 if values["pids_limit"] == MAX else values["pids_limit"]
    if values.keys() & {"restart_policy", "restart_retries"}:
        wanted: Body = {"HostConfig": {"RestartPolicy": config.get("RestartPolicy")}}
        for name, place in (("restart_policy", RESTART), ("restart_retries", RETRIES)):
            if name in values:
                place.write(wanted, values[name])
        body.update(wanted["HostConfig"])
    return body


def _cpus_update(value: int, config: Document) -> Body:
    """A quota where the container has one, else the number of cpus: the engine refuses to mix them."""
    if (config.get("CpuQuota") or 0) > 0:
        return {"CpuQuota": value, "CpuPeriod": CPU_PERIOD}
    return {"NanoCpus": value * _NANO}
