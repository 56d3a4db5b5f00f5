#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_container_exec
short_description: Run a program in a Docker container
version_added: 0.1.0
author: strata.virt contributors (@strata-virt)
description:
  - Runs a program in a container that runs, waits for it, and returns its status and what it wrote. No shell is
    between, unless the program is one.
  - It runs each time, unless O(creates) or O(removes) say that it has nothing to do. What a container should be, rather
    than do, is for M(strata.virt.docker_container).
  - In check mode nothing runs. That it would is told.
extends_documentation_fragment:
  - strata.virt.container_exec
  - strata.virt.over_docker
attributes:
  check_mode:
    description: Can run in check mode and predict changes without making any.
    support: partial
    details: Whether the program would run is told, and nothing of what it would do.
  diff_mode:
    description: Returns what changed, or would.
    support: none
requirements:
  - Docker 20.10 or newer
  - The Python library C(docker) on the managed host (python3-docker)
options:
  creates:
    description:
      - A path in the container. Where it exists, nothing runs. A link counts as itself, wherever it leads. What is on a
        tmpfs the daemon doesn't see.
    type: str
seealso:
  - module: strata.virt.docker_container
  - module: strata.virt.docker_container_copy
"""

EXAMPLES = r"""
- name: A folder for what it keeps, once
  strata.virt.docker_container_exec:
    container: api
    argv: [/bin/busybox, mkdir, /cache]
    creates: /cache
    user: "0"
"""

RETURN = r"""
rc:
  description: The status that it left with. Anything but 0 fails the task.
  returned: without O(detach)
  type: int
  sample: 0
stdout:
  description: What it wrote.
  returned: without O(detach)
  type: str
  sample: hello
stderr:
  description: Its errors.
  returned: without O(detach)
  type: str
  sample: ""
exec_id:
  description: The ID that the daemon gave it.
  returned: when something ran
  type: str
  sample: 249d9e3075655baf705ed8f40488c5e9434049cf3431976f1bfdb73741c574c5
msg:
  description: Why nothing ran.
  returned: when nothing ran
  type: str
  sample: skipped, since /cache exists
"""

from ansible_collections.strata.virt.plugins.module_utils.acts import docker_exec
from ansible_collections.strata.virt.plugins.module_utils.core.doors import act


def main() -> None:
    act(docker_exec.FIELDS, docker_exec.run)


if __name__ == "__main__":
    main()
