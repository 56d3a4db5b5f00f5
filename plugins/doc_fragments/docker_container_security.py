# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container may do to its host."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  hardening:
    description:
      - A profile that gives every security option, so that whatever somebody loosened is seen and repaired.
      - V(privileged) has no opinion.
      - V(baseline) lets nothing through that is known to lead to the host. No privileged mode, no namespaces or
        devices of the
        host, no added capabilities but those named, no lifted confinement, no engine's socket, no writable
        C(/proc), C(/sys) or C(/dev), and none of the whole of C(/etc), C(/usr), C(/boot) or C(/root).
      - V(restricted) adds to it. No capabilities but those named, no new privileges, a read-only root with C(/tmp) and
        C(/run) in memory, the image's own user if it isn't root, else 65534:65534, and limits of memory, cpu and
        processes,
        which are 512M, 1 and 256 where they aren't given.
      - An option that breaks the profile is an error, unless O(hardening_exceptions) names it.
    type: str
    choices: [privileged, baseline, restricted]
  hardening_exceptions:
    description:
      - Options that the profile has no opinion on. C(host_namespaces) stands for all modes of namespaces.
    type: list
    elements: str
  privileged:
    description:
      - Whether it has every right on the host.
    type: bool
  capabilities:
    description:
      - Capabilities to add. With O(hardening=restricted), the only ones that it has.
    type: list
    elements: str
  cap_drop:
    description:
      - Capabilities to drop.
    type: list
    elements: str
  security_opts:
    description:
      - Security options, as for C(docker run --security-opt). A seccomp profile is given as its JSON.
    type: list
    elements: str
  cgroupns_mode:
    description:
      - Whether it sees control groups from its own on, or the host's.
    type: str
    choices: [private, host]
  ipc_mode:
    description:
      - Whose shared memory it uses, V(private), V(shareable), V(none), V(host) or C(container:NAME).
    type: str
  pid_mode:
    description:
      - Whose processes it sees, its own where it is empty, V(host) or C(container:NAME).
    type: str
  userns_mode:
    description:
      - V(host) for the host's user namespace where the engine maps users; empty for the daemon's own choice.
    type: str
  uts:
    description:
      - V(host) for the host's name; empty for its own.
    type: str
  devices:
    description:
      - Devices of the host that it may use, as C(/dev/host[:/dev/container[:rwm]]).
    type: list
    elements: str
  device_cgroup_rules:
    description:
      - Further devices that it may use, as rules such as V(c 42:* rmw).
    type: list
    elements: str
  device_requests:
    description:
      - Devices that a driver of the daemon's provides, such as GPUs.
    type: list
    elements: dict
    suboptions:
      driver:
        description:
          - The driver.
        type: str
      count:
        description:
          - How many; V(-1) is all of them.
        type: int
      device_ids:
        description:
          - Which ones.
        type: list
        elements: str
      capabilities:
        description:
          - What they have to be able to do. One of the lists has to be met as a whole.
        type: list
        elements: list
      options:
        description:
          - Options of the driver.
        type: dict
  sysctls:
    description:
      - Kernel parameters of its namespaces.
    type: dict
  cgroup_parent:
    description:
      - The control group, or the slice, that it is in.
    type: str
"""
