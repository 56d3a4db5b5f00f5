# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter resources."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.strata.virt.plugins.filter.resources import resources


def test_each_kind_brings_its_entries_in_order():
    kinds = {"nspawn_image": [], "libvirt_network": [{"name": "a"}, {"name": "b"}], "libvirt_domain": [{"name": "c"}]}
    assert resources(kinds) == [
        {"libvirt_network": {"name": "a"}},
        {"libvirt_network": {"name": "b"}},
        {"libvirt_domain": {"name": "c"}},
    ]
    assert resources({}) == []


@pytest.mark.parametrize("wrong", [["a"], {"link": {"name": "a"}}, {"link": ["a"]}, {"link": None}])
def test_what_is_no_list_of_options_is_refused(wrong):
    with pytest.raises(AnsibleFilterError, match="resources: "):
        resources(wrong)
