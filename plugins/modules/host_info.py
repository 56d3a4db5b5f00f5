#!/usr/bin/python
# Copyright: strata.virt contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
"""
EXAMPLES = r"""
- strata.virt.host_info:
"""
RETURN = r"""
"""

from ansible_collections.strata.virt.plugins.module_utils.core.doors import survey_host
from ansible_collections.strata.virt.plugins.module_utils.engines.hostfiles import Host
from ansible_collections.strata.virt.plugins.module_utils.host.registry import SUBJECTS


def main() -> None:
    survey_host(SUBJECTS, Host())


if __name__ == "__main__":
    main()
