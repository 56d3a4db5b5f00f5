# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with domains that start, and what is left then. Nothing boots in them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab import libvirt_api
from tests.lab.driver import Failed, call, run
from tests.lab.libvirt_domains import DISK, IMAGES, OTHER, document, look, virsh

NAME, SECOND = "strata-test-wrong", "strata-test-wrong-2"
NVRAM = Path("/var/lib/libvirt/qemu/nvram")
SAVED = Path(f"/var/lib/libvirt/qemu/save/{NAME}.save")


def domain(name: str = NAME, **options) -> dict:
    return call("libvirt_domain", {"name": name, "memory": "64M", **options})


@pytest.fixture(autouse=True)
def _away():
    yield
    for name in (NAME, SECOND):
        call("libvirt_domain", {"name": name, "state": "absent"})


def test_a_disk_whose_base_is_gone_is_told_of_before_anything_is_touched():
    base, layer = IMAGES / "strata-test-base.qcow2", IMAGES / "strata-test-layer.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", str(base), "8M")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base.name, "-F", "qcow2", str(layer))
    try:
        base.rename(f"{base}.away")
        with pytest.raises(Failed, match=rf"disks\.file: lies on {base}, which is gone .*qemu-img rebase"):
            domain(disks=[{"file": str(layer)}], state="paused")
        assert look(NAME) is None
        Path(f"{base}.away").rename(base)
        domain(disks=[{"file": str(layer)}], state="paused")
        assert virsh("domstate", NAME) == "paused"
    finally:
        virsh("destroy", NAME, check=False)
        for file in (base, layer):
            file.unlink()


def test_a_disk_that_another_one_writes_to_is_not_shared():
    disks = [{"file": str(DISK)}]
    domain(disks=disks, state="paused")
    for _run in range(2):
        with pytest.raises(Failed, match=r'libvirt could not start it: .*Failed to get .*"write" lock'):
            domain(SECOND, disks=disks, state="paused")
    assert (virsh("domstate", NAME), virsh("domstate", SECOND)) == ("paused", "shut off")
    domain(state="destroyed")
    domain(SECOND, disks=disks, state="paused")
    assert virsh("domstate", SECOND) == "paused"


def test_a_pool_that_is_gone_is_named():
    virsh("pool-create-as", "strata-test-gone", "dir", "--target", str(IMAGES))
    disks = [{"pool": "strata-test-gone", "volume": OTHER.name}]
    domain(disks=disks, state="shutdown")
    virsh("pool-destroy", "strata-test-gone")
    with pytest.raises(Failed, match=r"could not start it: .*no storage pool with matching name 'strata-test-gone'"):
        domain(disks=disks, state="paused")
    with pytest.raises(Failed, match=r"disks\.volume: there is no such volume in the pool strata-test-gone"):
        domain(SECOND, disks=disks, state="paused")
    assert (virsh("domstate", NAME), look(SECOND)) == ("shut off", None)


def test_a_guest_that_does_not_let_go_keeps_its_disk():
    """The stored half is done, and said to be waiting; what runs is as it was, however often it is run again."""
    two = [{"file": str(DISK)}, {"file": str(OTHER)}]
    domain(disks=two, state="running")
    ident = virsh("domid", NAME)
    for _run in range(2):
        with pytest.raises(Failed, match=r"let go of disks\[.*strata-test-data.*restart: always"):
            domain(disks=two[:1], state="running", timeout="3s")
    targets = {
        flags: [one.get("file") for one in document(NAME, *flags).findall("devices/disk/source")]
        for flags in ((), ("--inactive",))
    }
    assert targets == {(): [str(DISK), str(OTHER)], ("--inactive",): [str(DISK)]}
    assert virsh("domid", NAME) == ident
    domain(disks=two[:1], state="running", restart="always", force=True, timeout="1s")
    assert [one.get("file") for one in document(NAME).findall("devices/disk/source")] == [str(DISK)]


def test_what_is_libvirts_own_of_it_goes_with_it():
    domain(firmware="efi", disks=[{"file": str(DISK)}], state="paused")
    assert [file.name for file in NVRAM.glob(f"{NAME}*")] == [f"{NAME}_VARS.fd"]
    domain(state="saved")
    assert SAVED.exists()
    domain(state="absent")
    assert (look(NAME), list(NVRAM.glob(f"{NAME}*")), SAVED.exists(), DISK.exists()) == (None, [], False, True)


def test_libvirt_starts_anew_while_it_is_waited_for():
    spec = {"networks": [{"network": "default"}], "state": "running"}
    restart = subprocess.Popen(["sh", "-c", "sleep 3; exec systemctl restart libvirtd"])
    with pytest.raises(Failed, match=r"libvirt (could not|went away).*Run it again once libvirt is up"):
        domain(**spec, wait_for=["lease"], wait_timeout="60s")
    assert restart.wait() == 0
    libvirt_api.connection.cache_clear()  # which ended with the daemon
    assert virsh("domstate", NAME) == "running"
    assert domain(**spec)["changes"] == []
