# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module of Podman reaches it."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  user_scope:
    description:
      - Whose Podman it is. Not given, that of the user who runs the module, whom C(become_user) may change.
      - For another user than oneself, root is needed. That user needs no login session, but ranges in C(/etc/subuid)
        and C(/etc/subgid).
    type: str
  podman_host:
    description:
      - Where a service of Podman listens, as V(unix:///run/podman/podman.sock).
      - Not given, the socket that systemd listens at (C(podman.socket)) is taken, and where there is none, a service is
        started for the task.
    type: str
requirements:
  - Podman 5.0 or newer on the managed host (podman)
"""
