# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ansible-core's own ssh connection, as the ansible-core at hand has them."""

from __future__ import annotations

from typing import Any

import yaml
from ansible.plugins.connection.ssh import DOCUMENTATION

_NOT_OURS = ("scp_", "sftp_", "ssh_transfer_method", "use_tty")  # files go through the guest, and no terminal does


def _options() -> dict[str, Any]:
    options: dict[str, Any] = yaml.safe_load(DOCUMENTATION)["options"]
    # To the rest of Ansible ``remote_user`` is who tasks run as, and that is somebody of the guest.
    options["host_user"] = options.pop("remote_user")
    return {name: _unversioned(option) for name, option in options.items() if not name.startswith(_NOT_OURS)}


def _unversioned(value: Any) -> Any:
    """Without the versions of ansible-core, which would be read as those of this collection."""
    if isinstance(value, dict):
        return {key: _unversioned(item) for key, item in value.items() if key != "version_added"}
    return [_unversioned(item) for item in value] if isinstance(value, list) else value


class ModuleDocFragment:
    DOCUMENTATION: str = yaml.safe_dump({"options": _options()}, sort_keys=False)
