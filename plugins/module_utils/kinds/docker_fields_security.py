# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of docker_container: what it may do to the host."""

from __future__ import annotations

from ..core.codec import BOOL, LINE, MAP, TEXT, Codec
from ..core.field import Field
from ..engines import docker_config as at
from ..engines import docker_values
from ..engines.docker_limits import REQUEST
from ..engines.docker_values_limits import DEVICE_RULES, DEVICES, REQUESTS

_NAMESPACES = (
    Field("cgroupns_mode", TEXT, at.NAMESPACES["cgroupns_mode"], default="private", choices=("private", "host")),
    Field("ipc_mode", Codec(lambda value: str(value) or "private"), at.NAMESPACES["ipc_mode"], default="private"),
    Field("pid_mode", LINE, at.NAMESPACES["pid_mode"], default=""),
    Field("userns_mode", LINE, at.NAMESPACES["userns_mode"], default=""),
    Field("uts", LINE, at.NAMESPACES["uts"], default=""),
)

SECURITY = (
    Field("privileged", BOOL, at.PRIVILEGED, default=False),
    Field("capabilities", docker_values.CAPABILITIES, at.CAP_ADD, default=()),
    Field("cap_drop", docker_values.CAPABILITIES, at.CAP_DROP, default=()),
    Field("security_opts", docker_values.SECURITY, at.SECURITY_OPT, default=()),
    *_NAMESPACES,
    Field("devices", DEVICES, at.DEVICES_AT, default=()),
    Field("device_cgroup_rules", DEVICE_RULES, at.DEVICE_CGROUP_RULES, default=()),
    Field("device_requests", REQUESTS, REQUEST, default=()),
    Field("sysctls", MAP, at.SYSCTLS, default={}),
    Field("cgroup_parent", LINE, at.CGROUP_PARENT, default=""),
)
