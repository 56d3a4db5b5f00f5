# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are volumes, where AppArmor lets QEMU open only the files that a domain names."""

from __future__ import annotations

import pytest

from tests.lab.driver import call, run
from tests.lab.libvirt_domains import document, virsh

pytestmark = pytest.mark.machine

POOL, NAME, FOLDER = "strata-test-pool", "strata-test-volumes", "/var/lib/libvirt/strata-test-pool"


def volume(name: str, **more) -> dict:
    return {"libvirt_volume": {"pool": POOL, "name": name, "format": "qcow2", "capacity": "8M", "keep": False, **more}}


def domain(*volumes: str, **more) -> dict:
    disks = [{"pool": POOL, "volume": name, "bus": "virtio"} for name in volumes]
    options = {"name": NAME, "domain_type": "qemu", "memory": "32M", "disks": disks, "timeout": "1s", "force": True}
    return {"libvirt_domain": {**options, **more}}


def declared(*resources: dict) -> list[dict]:
    """What a stack changes, foretold and done; done again it changes nothing."""
    options = {"name": "strata-test-volumes", "resources": resources, "prune": True}
    foretold, done = call("stack", options, check=True), call("stack", options)
    assert foretold["changed"] == done["changed"]
    again = call("stack", options)
    assert [one["changes"] for one in again["resources"] if one["changed"]] == []
    return done["resources"]


def sources(*flags: str) -> list[dict]:
    return [dict(one.attrib) for one in document(NAME, *flags).findall("devices/disk/source")]


def names(*files: str) -> list[dict]:
    return [{"file": f"{FOLDER}/{name}"} for name in files]


@pytest.fixture(autouse=True)
def _gone():
    yield
    call("stack", {"name": "strata-test-volumes", "resources": [], "prune": True})
    run("rm", "-rf", FOLDER)


def test_it_runs_from_a_volume_over_another_one_and_gets_one_more():
    pool = {"libvirt_pool": {"name": POOL, "type": "dir", "path": FOLDER, "state": "active"}}
    base, one, two = volume("base.qcow2"), volume("one.qcow2", backing="base.qcow2"), volume("two.qcow2")
    declared(pool, base, one, domain("one.qcow2"))
    assert virsh("domstate", NAME).strip() == "running"
    assert "apparmor" in [label.get("model") for label in document(NAME).findall("seclabel")]
    pid = run("cat", f"/run/libvirt/qemu/{NAME}.pid")
    assert [{"file": each["file"]} for each in sources()] == names("one.qcow2")
    declared(pool, base, one, two, domain("one.qcow2", "two.qcow2"))
    assert [{"file": each["file"]} for each in sources()] == names("one.qcow2", "two.qcow2")
    assert [{"file": each["file"]} for each in sources("--inactive")] == names("one.qcow2", "two.qcow2")
    assert run("cat", f"/run/libvirt/qemu/{NAME}.pid") == pid


def test_one_that_names_its_pool_is_told_the_file_before_it_starts():
    pool = {"libvirt_pool": {"name": POOL, "type": "dir", "path": FOLDER, "state": "active"}}
    declared(pool, volume("one.qcow2"), domain("one.qcow2", state="shutdown"))
    virsh("destroy", NAME, check=False)
    root = virsh("dumpxml", "--inactive", NAME).replace("type='file' device='disk'", "type='volume' device='disk'")
    by_pool = root.replace(f"file='{FOLDER}/one.qcow2'", f"pool='{POOL}' volume='one.qcow2'")
    run("virsh", "define", "/dev/stdin", stdin=by_pool)
    assert sources("--inactive") == [{"pool": POOL, "volume": "one.qcow2"}]
    declared(pool, volume("one.qcow2"), domain("one.qcow2"))
    assert virsh("domstate", NAME).strip() == "running"
    assert sources("--inactive") == names("one.qcow2")
