# Copyright (c) strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes `ansible_collections.strata.virt` importable, so that a bare `pytest` works in any checkout."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from hypothesis import settings


def _importable() -> bool:
    try:
        return importlib.util.find_spec("ansible_collections.strata.virt") is not None
    except ModuleNotFoundError:
        return False


if not _importable():  # under ansible-test it is
    stage = Path(__file__).resolve().parents[2] / "scripts" / "stage"
    tree = subprocess.run([stage, "--link"], check=True, capture_output=True, text=True).stdout.strip()
    if sys.version_info >= (3, 11):
        # A controller's Python: Ansible's own loader must see the collection first, to know its metadata.
        from ansible.plugins.loader import init_plugin_loader

        init_plugin_loader([tree])
    else:
        sys.path.insert(0, tree)

# How long an example takes says more about the machine than about the code.
settings.register_profile("strata", deadline=None)
settings.load_profile("strata")
