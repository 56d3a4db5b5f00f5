# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a test can run."""

from __future__ import annotations


def pytest_configure(config):
    config.addinivalue_line("markers", "machine: needs a machine of its own, a container of the lab's image won't do")
