# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Podman, or one user's Podman, can't do: told before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core import command
from ..core.codec import MAX
from ..core.errors import StrataError
from ..core.plan import State
from ..engines.podman import Podman
from ..engines.podman_images import names_registry

# Options of docker_container that Podman has no place for, and what to do instead.
_NEVER = {
    "kernel_memory": ("has no limits of kernel memory", "Leave it out"),
    "memory_swappiness": ("has no swappiness of single containers with control groups of version 2", "Leave it out"),
    "oom_killer": (
        "can't spare a container from the kernel's killer with control groups of version 2",
        "Leave it out, or use oom_score_adj",
    ),
    "domainname": ("has no NIS domain names", "Leave it out"),
    "links": ("has no links", "Put both on one of networks: there they find each other by name"),
    "volume_driver": ("has no driver for all volumes of a container", "Declare the volume with podman_volume"),
    "device_requests": ("has no device requests", "Name the device in devices, by its path or as CDI has it"),
    "storage_opts": ("takes storage options for a whole host", "Set them in storage.conf"),
}
_NO_LEAVES = {
    "networks": ("links", "gw_priority"),
    "mounts": (
        *("consistency", "create_mountpoint", "read_only_non_recursive", "read_only_force_recursive"),
        *("labels", "volume_driver", "volume_options"),
    ),
    "healthcheck": ("start_interval",),
}
_NO_TYPES = ("npipe", "cluster", "image")

# Which controller of a control group an option needs.
_CONTROLLERS = {
    "memory": "memory",
    "memory_swap": "memory",
    "memory_reservation": "memory",
    "cpus": "cpu",
    "cpu_quota": "cpu",
    "cpu_shares": "cpu",
    "cpuset_cpus": "cpuset",
    "cpuset_mems": "cpuset",
    "pids_limit": "pids",
    "blkio_weight": "io",
    "device_read_bps": "io",
    "device_write_bps": "io",
    "device_read_iops": "io",
    "device_write_iops": "io",
}


def check(spec: Mapping[str, Any]) -> None:
    """Refuse what no Podman has."""
    for option, (reason, way) in _NEVER.items():
        if spec.get(option):
            raise StrataError(f"Podman {reason}", option=option, value=spec[option], hint=way)
    for option, leaves in _NO_LEAVES.items():
        for row in _rows(spec.get(option)):
            for leaf in leaves:
                if row.get(leaf):
                    raise StrataError("Podman has nothing of the kind", option=f"{option}.{leaf}", hint="Leave it out")
    for row in spec.get("mounts", ()):
        if row["type"] in _NO_TYPES:
            raise StrataError("Podman has no such mounts in containers", option="mounts.type", value=row["type"])
    for port in spec.get("published_ports", ()):
        if "-" in port.rsplit(":", 2)[1]:
            raise StrataError(
                "Podman chooses no port from a range",
                option="published_ports",
                value=port,
                hint="Name one port of the host, or none, which leaves the choice to Podman",
            )


def refuse(engine: Podman, spec: Mapping[str, Any], state: State) -> None:
    """Refuse options that this user's Podman, or the host, would not honour.

    Raises:
        StrataError: It names the option, the engine and its version.
    """
    if spec["pull"] == "always" and "image" in spec:
        if not names_registry(spec["image"]):
            raise StrataError(
                "doesn't say which registry to ask, as pull: always has it",
                option="image",
                value=spec["image"],
                hint="Write it with its registry, as registry.example.com/web:1.0",
            )
        command.need("skopeo", "skopeo")
    for option, controller in _CONTROLLERS.items():
        value = spec.get(option)
        if not value or value == MAX or value == state.config.get(option):
            continue
        if controller not in engine.info()["host"].get("cgroupControllers", ()):
            user = engine.service.user
            drop = f"/etc/systemd/system/user@{user.uid}.service.d/delegate.conf"
            hint = f"Have systemd delegate it: [Service] Delegate=cpu cpuset io memory pids in {drop}"
            raise StrataError(
                f"{engine.title} has no controller {controller} for {user.name}",
                option=option,
                value=value,
                hint=hint if user.uid else "Enable it in /sys/fs/cgroup/cgroup.subtree_control",
            )


def _rows(value: Any) -> Any:
    return (value,) if isinstance(value, Mapping) else value or ()
