# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of docker_service: those of docker_container by the same names, and what a swarm has on top."""

from __future__ import annotations

import re
from typing import Any

from ..core import policy
from ..core.codec import BOOL, LINE, MAP, SECONDS, TEXT, TEXTS, WORDS, Codec, parse_int
from ..core.field import Field, Role, structure, table
from ..core.plan import Effect
from ..engines import docker_values, swarm_at
from ..engines.docker_networks import OPTIONS
from ..engines.docker_values_limits import BYTES, CPU_LIMIT, HEALTHCHECK, MEMORY_LIMIT, PIDS_LIMIT
from ..engines.docker_values_mounts import MOUNTS
from ..engines.swarm_at import CONTAINER, TASK, mapping, place, seconds, words
from .swarm_object import HOST


def _parse_port(value: Any) -> int:
    port = parse_int(value)
    if not 0 <= port < 65536:
        raise ValueError("is no port: they go from 1 to 65535")
    return port


def _parse_count(value: Any) -> int:
    count = parse_int(value)
    if count < 0:
        raise ValueError("must not be negative")
    return count


def _parse_mode(value: Any) -> str:
    text = str(value)
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise ValueError("is no mode: write it in quotes, as '0440'")
    return f"{int(text, 8):04o}"


def _parse_ratio(value: Any) -> float:
    ratio = float(value)
    if not 0 <= ratio <= 1:
        raise ValueError("must be from 0 to 1")
    return ratio


PORT, COUNT = Codec(_parse_port, "int"), Codec(_parse_count, "int")
PORTS = table(
    Field("target", PORT, required=True),
    Field("published", PORT, default=0),
    Field("protocol", TEXT, default="tcp", choices=("tcp", "udp", "sctp")),
    Field("mode", TEXT, default="ingress", choices=("ingress", "host")),
    key=swarm_at.port_key,
)
NETWORKS = table(
    Field("name", LINE, required=True), Field("aliases", WORDS, default=()), key=lambda row: str(row["name"])
)
FILES = table(
    Field("name", LINE, required=True),
    Field("target", LINE),
    Field("uid", LINE, default="0"),
    Field("gid", LINE, default="0"),
    Field("mode", Codec(_parse_mode), default="0444"),
    Field("id", LINE, role=Role.DERIVED),
    key=lambda row: str(row.get("target") or row["name"]),
)
RESTART = structure(
    Field("condition", TEXT, default="any", choices=("none", "on-failure", "any")),
    Field("delay", SECONDS, default=5),
    Field("max_attempts", COUNT, default=0),
    Field("window", SECONDS, default=0),
)
ROLLOUT = structure(
    Field("parallelism", COUNT, default=1),
    Field("delay", SECONDS, default=0),
    Field("failure_action", TEXT, default="pause", choices=("pause", "continue", "rollback")),
    Field("monitor", SECONDS, default=5),
    Field("max_failure_ratio", Codec(_parse_ratio, "float"), default=0.0),
    Field("order", TEXT, default="stop-first", choices=("stop-first", "start-first")),
)


def _live(name: str, codec: Codec, where: swarm_at.At, default: Any = None, **more: Any) -> Field:
    """An option that a swarm changes while the service goes on, task by task."""
    return Field(name, codec, where, Effect.LIVE, default, **more)


FIELDS = (
    policy.name(),
    policy.state("present", "absent"),
    policy.recreate(),
    policy.timeout(120),
    HOST,
    Field("wait", BOOL, role=Role.POLICY, given=True),
    Field("mode", TEXT, swarm_at.MODE, default="replicated", choices=("replicated", "global")),
    _live("replicas", COUNT, swarm_at.REPLICAS, 1),
    _live("image", LINE, place(f"{CONTAINER}.Image", None)),
    _live("entrypoint", TEXTS, words(f"{CONTAINER}.Command"), ()),
    _live("command", docker_values.COMMAND, words(f"{CONTAINER}.Args"), ()),
    _live("env", docker_values.ENV, swarm_at.variables(f"{CONTAINER}.Env"), {}),
    _live("labels", OPTIONS, mapping("Labels"), {}),
    _live("container_labels", OPTIONS, mapping(f"{CONTAINER}.Labels"), {}),
    _live("hostname", LINE, place(f"{CONTAINER}.Hostname", ""), ""),
    _live("working_dir", docker_values.FOLDER, place(f"{CONTAINER}.Dir", ""), ""),
    _live("user", LINE, place(f"{CONTAINER}.User", ""), ""),
    _live("groups", WORDS, words(f"{CONTAINER}.Groups", ordered=False), ()),
    _live("tty", BOOL, place(f"{CONTAINER}.TTY", False), False),
    _live("read_only", BOOL, place(f"{CONTAINER}.ReadOnly", False), False),
    _live("init", BOOL, place(f"{CONTAINER}.Init", False), False),
    _live("stop_signal", LINE, place(f"{CONTAINER}.StopSignal", ""), ""),
    _live("stop_timeout", SECONDS, seconds(f"{CONTAINER}.StopGracePeriod", 10), 10),
    _live("capabilities", docker_values.CAPABILITIES, words(f"{CONTAINER}.CapabilityAdd", ordered=False), ()),
    _live("cap_drop", docker_values.CAPABILITIES, words(f"{CONTAINER}.CapabilityDrop", ordered=False), ()),
    _live("sysctls", MAP, place(f"{CONTAINER}.Sysctls", {}), {}),
    _live("healthcheck", HEALTHCHECK, swarm_at.HEALTHCHECK),
    _live("etc_hosts", MAP, swarm_at.ETC_HOSTS, {}),
    _live("dns_servers", TEXTS, words(f"{CONTAINER}.DNSConfig.Nameservers"), ()),
    _live("dns_search_domains", TEXTS, words(f"{CONTAINER}.DNSConfig.Search"), ()),
    _live("dns_opts", WORDS, words(f"{CONTAINER}.DNSConfig.Options", ordered=False), ()),
    _live("mounts", MOUNTS, swarm_at.MOUNTS, ()),
    _live("secrets", FILES, swarm_at.SECRETS, (), public=True),
    _live("configs", FILES, swarm_at.CONFIGS, ()),
    _live("memory", MEMORY_LIMIT, swarm_at.MEMORY, "max"),
    _live("cpus", CPU_LIMIT, swarm_at.CPUS, "max"),
    _live("pids_limit", PIDS_LIMIT, swarm_at.PIDS, "max"),
    _live("reserved_memory", BYTES, swarm_at.RESERVED_MEMORY, 0),
    _live("reserved_cpus", CPU_LIMIT, swarm_at.RESERVED_CPUS, "max", export=False),
    _live("restart_policy", RESTART, swarm_at.RESTART),
    _live("constraints", WORDS, words(f"{TASK}.Placement.Constraints", ordered=False), ()),
    _live("spread", TEXTS, swarm_at.SPREAD, ()),
    _live("replicas_per_node", COUNT, place(f"{TASK}.Placement.MaxReplicas", 0), 0),
    _live("networks", NETWORKS, swarm_at.NETWORKS, ()),
    _live("published_ports", PORTS, swarm_at.PORTS, ()),
    _live("endpoint_mode", TEXT, place("EndpointSpec.Mode", "vip"), "vip", choices=("vip", "dnsrr")),
    _live("update_config", ROLLOUT, swarm_at.UPDATE),
    _live("rollback_config", ROLLOUT, swarm_at.ROLLBACK),
    _live("log_driver", LINE, place(f"{TASK}.LogDriver.Name", ""), ""),
    _live("log_options", OPTIONS, mapping(f"{TASK}.LogDriver.Options"), {}),
)
