# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are volumes of a pool, also where a domain has to name their files."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.plan import State
from ansible_collections.strata.virt.plugins.module_utils.engines.libvirt_volumes import NamedVolumes
from ansible_collections.strata.virt.plugins.module_utils.kinds import libvirt_domain_disks as disks

FOLDER, FILE = "/srv/pool", "/srv/pool/one.qcow2"
DECLARED = ({"pool": "p", "volume": "one.qcow2", "bus": "virtio"},)
BY_NAME, BY_FILE = ({"pool": "p", "volume": "one.qcow2"},), ({"file": FILE},)


class LibvirtError(Exception):
    pass


class Connection:
    """One pool, and what was asked of it."""

    def __init__(self, model: str, volumes: dict[str, str]) -> None:
        self.model, self.volumes = model, volumes
        self.calls: list[str] = []

    def getSecurityModel(self):
        self.calls.append("model")
        if self.model == "unknown":
            raise LibvirtError
        return [self.model, "0"]

    def storagePoolLookupByName(self, name: str):
        self.calls.append("pool")
        if name != "p":
            raise LibvirtError
        return self

    def XMLDesc(self, _flags: int) -> str:
        self.calls.append("xml")
        return f"<pool><target><path>{FOLDER}</path></target></pool>"

    def storageVolLookupByName(self, name: str):
        self.calls.append("volume")
        if name not in self.volumes:
            raise LibvirtError
        return SimpleNamespace(path=lambda: self.volumes[name])


def engine(model: str, volumes: dict[str, str] | None = None) -> NamedVolumes:
    made = NamedVolumes()
    made.api = SimpleNamespace(libvirtError=LibvirtError)
    made.connection = Connection(model, {"one.qcow2": FILE} if volumes is None else volumes)
    return made


def wanted(host: NamedVolumes, state: State, *volumes: tuple[str, str]) -> tuple:
    volumes = volumes or (("p", "one.qcow2"),)
    return disks.by_path(DECLARED, disks.found(host, volumes, state))


def domain(config=(), live=None) -> State:
    return State("stopped", {"disks": config}, None if live is None else {"disks": live})


def test_a_volume_is_named_by_its_file_where_apparmor_confines_qemu():
    assert wanted(engine("apparmor"), State()) == ({"file": FILE, "bus": "virtio"},)


@pytest.mark.parametrize("model", ["selinux", "none", "unknown"])
def test_elsewhere_it_is_named_by_its_pool(model):
    assert wanted(engine(model), State()) == DECLARED


def test_what_is_off_and_names_its_pool_is_told_the_file():
    assert wanted(engine("apparmor"), domain(BY_NAME)) == ({"file": FILE, "bus": "virtio"},)


def test_what_runs_keeps_its_disk_as_it_was_attached():
    """Another name would be another disk: that one would be taken away, and this one attached."""
    assert wanted(engine("apparmor"), domain(BY_NAME, BY_NAME)) == DECLARED


@pytest.mark.parametrize(("model", "there"), [("apparmor", BY_FILE), ("none", BY_NAME)])
def test_what_a_domain_has_is_not_asked_for_again(model, there):
    host = engine(model)
    for _domain in range(20):
        wanted(host, domain(there, there))
    assert len(host.connection.calls) <= 3  # what confines it, and where the pool is


def test_what_is_not_on_this_host_is_named_by_its_pool():
    assert wanted(engine("apparmor", {"one.qcow2": "rbd/one"}), State()) == DECLARED


@pytest.mark.parametrize("model", ["apparmor", "none"])
@pytest.mark.parametrize("volume", [("p", "other"), ("q", "one.qcow2")])
def test_a_volume_that_is_not_there(model, volume):
    assert disks.found(engine(model), [volume], State()) == {"/".join(volume): None}


def test_a_pool_that_went_while_a_domain_names_its_file():
    assert disks.found(engine("apparmor"), [("q", "one.qcow2")], domain(BY_FILE)) == {"q/one.qcow2": None}
