# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of docker_container: how much it may take."""

from __future__ import annotations

from dataclasses import replace

from ..core import limits
from ..core.codec import BOOL, INT
from ..core.field import Field
from ..core.plan import Effect
from ..engines import docker_limits as at
from ..engines import docker_values_limits as values
from ..engines.docker_config import OOM_KILLER, OOM_SCORE, SHM_SIZE


def _check_score(score: int) -> None:
    if not -1000 <= score <= 1000:  # proc_pid_oom_score_adj(5)
        raise ValueError("must be from -1000 to 1000")


LIMITS = (
    replace(limits.memory(at.MEMORY), codec=values.MEMORY_LIMIT),
    Field("memory_swap", values.SWAP, at.SWAP, Effect.LIVE, default=0),
    Field("memory_reservation", values.BYTES, at.RESERVATION, Effect.LIVE, default=0),
    Field("memory_swappiness", values.between(0, 100), at.SWAPPINESS),
    Field("kernel_memory", values.BYTES, at.KERNEL_MEMORY, Effect.LIVE, default=0),
    Field("oom_killer", BOOL, OOM_KILLER, default=False),
    Field("oom_score_adj", INT, OOM_SCORE, default=0, check=_check_score),
    Field("shm_size", values.BYTES, SHM_SIZE, default=64 << 20),
    replace(limits.cpus(at.CPUS), codec=values.CPU_LIMIT),
    # The range of each is that of moby: daemon/daemon_unix.go, verifyPlatformContainerResources.
    Field("cpu_period", values.between(1_000, 1_000_000), at.CPU_PERIODS, Effect.LIVE, default=0),
    Field("cpu_quota", values.between(1_000, 2**63 - 1), at.CPU_QUOTA, Effect.LIVE, default=0),
    Field("cpu_shares", values.between(2, 262_144), at.CPU_SHARE, Effect.LIVE, default=0),
    Field("cpuset_cpus", limits.NUMBERS, at.CPUSET_CPUS, Effect.LIVE, default=""),
    Field("cpuset_mems", limits.NUMBERS, at.CPUSET_MEMS, Effect.LIVE, default=""),
    replace(limits.pids_limit(at.PIDS), codec=values.PIDS_LIMIT),
    Field("ulimits", values.ULIMITS, at.ULIMIT, default=()),
    Field("blkio_weight", values.between(10, 1_000), at.BLKIO, Effect.LIVE, default=0),
    Field("device_read_bps", values.BYTE_RATES, at.READ_BPS, default=()),
    Field("device_write_bps", values.BYTE_RATES, at.WRITE_BPS, default=()),
    Field("device_read_iops", values.COUNT_RATES, at.READ_IOPS, default=()),
    Field("device_write_iops", values.COUNT_RATES, at.WRITE_IOPS, default=()),
)
