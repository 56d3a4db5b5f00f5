# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How it is found out whether a container is healthy."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  healthcheck:
    description:
      - How the engine finds out whether it is healthy. What isn't given is not compared; what is not set comes from the
        image.
      - Durations are written as V(500ms), V(30s) or V(1m30s).
    type: dict
    suboptions:
      test:
        description:
          - The command. A string is run by the container's shell; a list begins with V(CMD), V(CMD-SHELL) or V(NONE),
            which is no check at all.
        type: raw
      test_cli_compatible:
        description:
          - Whether a check without O(healthcheck.test) has that of the image, as for C(docker run). Else it has none.
        type: bool
        default: false
      interval:
        description:
          - The time between two checks. The engine's default is 30 seconds.
        type: str
      timeout:
        description:
          - How long one check may take. The engine's default is 30 seconds.
        type: str
      start_period:
        description:
          - How long failures don't count after the start.
        type: str
      start_interval:
        description:
          - The time between two checks in that period. From Docker 25 on.
        type: str
      retries:
        description:
          - How many failures in a row make it unhealthy. The engine's default is 3.
        type: int
"""
