# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that all tests of this target use."""

from __future__ import annotations

import pytest

from tests.lab.docker_containers import make_images


@pytest.fixture(scope="session", autouse=True)
def _images():
    make_images()
