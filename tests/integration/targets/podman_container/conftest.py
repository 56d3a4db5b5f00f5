# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One service of root's Podman, and the images that all tests of this target use."""

from __future__ import annotations

import pytest

from tests.lab import podman_api
from tests.lab.podman_containers import make_images


@pytest.fixture(scope="session", autouse=True)
def _images():
    with podman_api.service():
        make_images()
        yield
