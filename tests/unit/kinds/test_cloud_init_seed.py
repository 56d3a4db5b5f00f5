# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""cloud_init_seed, on files: the same bytes for the same declaration, and what is in them."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import iso
from ansible_collections.strata.virt.plugins.module_utils.kinds.cloud_init_seed import CloudInitSeed

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample admin@example.com"
USER = {"hostname": "lab1", "ssh_authorized_keys": [KEY]}


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "seed.iso")


def seed(path: str, **options) -> CloudInitSeed:
    return CloudInitSeed({"path": path, "user_data": USER, **options})


def plan(resource):
    return resource.plan(read_one(resource, None))


def make(resource) -> dict[str, bytes]:
    resource.create(None, plan(resource))
    with open(resource.name, "rb") as file:
        label, contents = iso.read(file.read())
    assert label == "cidata"
    return contents


def test_the_same_declaration_makes_the_same_bytes(path):
    make(seed(path, meta_data={"local-hostname": "lab1"}))
    with open(path, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == (
            "37041f295240db84cb9229bcfc98b8580823d8372aeb5837915991426aa51beb"
        ), "another image for the same declaration: every seed there is would be written anew"


def test_what_the_machine_is_told(path):
    contents = make(seed(path, network_config={"network": {"version": 2, "ethernets": {}}}, vendor_data="#!/bin/sh\n:"))
    head, _newline, rest = contents["user-data"].decode().partition("\n")
    assert (head, json.loads(rest)) == ("#cloud-config", {"ssh_pwauth": False, **USER})
    assert json.loads(contents["network-config"]) == {"version": 2, "ethernets": {}}
    assert contents["vendor-data"] == b"#!/bin/sh\n:\n"
    assert json.loads(contents["meta-data"])["instance-id"].startswith("i-")


def test_passwords_are_off_unless_somebody_says_otherwise(path):
    assert b'"ssh_pwauth": true' in make(seed(path, user_data={"ssh_pwauth": True}))["user-data"]


def test_another_content_is_another_instance_unless_it_is_named(path):
    def instance(**options) -> str:
        return json.loads(seed(path, **options).contents()["meta-data"])["instance-id"]

    assert instance() == instance()
    assert len({instance(), instance(user_data={"a": 1}), instance(meta_data={"a": 1})}) == 3
    assert instance(instance_id="lab1") == instance(instance_id="lab1", user_data={"a": 1}) == "lab1"


def test_unchanged_changed_repaired_and_exported(path):
    make(seed(path, network_config={"version": 2, "ethernets": {}}))
    declared = {"network_config": {"version": 2, "ethernets": {}}}
    assert not plan(seed(path, **declared))
    changed = plan(seed(path, user_data={"hostname": "lab2"}, **declared))
    assert {change.name for change in changed.changes} == {"user-data", "meta-data", "image"}
    assert "lab2" not in str([change.as_result() for change in changed.changes])
    assert {change.name for change in plan(seed(path)).changes} == {"network-config", "meta-data", "image"}
    os.chmod(path, 0o644)
    assert [change.name for change in plan(seed(path, **declared)).changes] == ["mode"]
    exported = CloudInitSeed.export(path, read_one(seed(path), None))
    assert not plan(CloudInitSeed(exported))


def test_an_image_of_another_program_with_the_same_files_is_written_anew(path):
    resource = seed(path)
    image = iso.build("cidata", resource.contents())
    with open(path, "wb") as file:
        file.write(image + bytes(2048))
    os.chmod(path, 0o600)
    assert [change.name for change in plan(resource).changes] == ["image"]


@pytest.mark.parametrize("content", [b"", b"not an image", bytes(100_000)])
def test_what_is_something_else_is_never_written_over(path, content):
    with open(path, "wb") as file:
        file.write(content)
    for resource in (seed(path), CloudInitSeed({"path": path, "state": "absent"})):
        with pytest.raises(StrataError, match="is something else than a seed"):
            plan(resource)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"user_data": None}, "user_data: is needed"),
        ({"user_data": "hostname: lab1"}, "begins with nothing that cloud-init knows"),
        ({"user_data": {"ssh_authorized_keys": ["my key"]}}, "has a key for SSH that is none"),
        (
            {"user_data": {"users": ["default", {"name": "a", "ssh_authorized_keys": "x"}]}},
            "a key for SSH that is none",
        ),
        ({"network_config": {"ethernets": {}}}, "needs a version, 1 or 2"),
        ({"network_config": {"version": 1}}, "has its entries in config"),
        ({"meta_data": {"instance-id": "x"}}, "is the option instance_id"),
        ({"mode": "rw"}, "is no mode"),
    ],
)
def test_what_can_not_be_is_refused(path, options, said):
    with pytest.raises(StrataError, match=said):
        seed(path, **options)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True), st.binary(max_size=5000), min_size=1, max_size=8
    )
)
def test_what_was_put_in_is_read_again(files):
    assert iso.read(iso.build("cidata", files)) == ("cidata", files)


def test_an_image_that_is_cut_off(path):
    image = iso.build("cidata", {"user-data": b"x" * 5000})
    with pytest.raises(ValueError, match="cut off"):
        iso.read(image[:-3000])
    assert iso.read(image[: 16 * 2048]) is None
