# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ansible-core's own ssh connection, as the ansible-core at hand has them.

Ansible asks for them once for each task in a guest, in a process of the task's own: so they are read by libyaml where
it is there, and handed on as JSON, which is YAML, too. PyYAML by itself took longer than all else that such a task did.
"""

from __future__ import annotations

import json
from typing import Any

import yaml
from ansible.plugins.connection.ssh import DOCUMENTATION

_NOT_OURS = ("scp_", "sftp_", "ssh_transfer_method", "use_tty")  # files go through the guest, and no terminal does


def _options() -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    options: dict[str, Any] = yaml.load(DOCUMENTATION, Loader=loader)["options"]
    # To the rest of Ansible ``remote_user`` is who tasks run as, and that is somebody of the guest.
    options["host_user"] = options.pop("remote_user")
    return {name: _unversioned(option) for name, option in options.items() if not name.startswith(_NOT_OURS)}


def _unversioned(value: Any) -> Any:
    """Without the versions of ansible-core, which would be read as those of this collection."""
    if isinstance(value, dict):
        return {key: _unversioned(item) for key, item in value.items() if key != "version_added"}
    return [_unversioned(item) for item in value] if isinstance(value, list) else value


class ModuleDocFragment:
    DOCUMENTATION: str = json.dumps({"options": _options()})
