# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that all tests of this target use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.docker_containers import make_images


@pytest.fixture(scope="session", autouse=True)
def _images():
    make_images()


# Which of these tests need a machine of their own: what Docker does there is what control groups of version 2 can.
OF_VERSION_2 = {
    "test_the_example_is_what_docker_run_makes_by_hand",
    "test_a_dropped_profile_goes_as_a_whole",
    "test_every_option_is_what_docker_run_makes_by_hand",
    "test_dropped_options_go_back",
    "test_what_control_groups_of_version_2_do_not_have_is_refused",
}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent and item.originalname in OF_VERSION_2:
            item.add_marker(pytest.mark.machine)
