# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""os_variant: what a new domain gets for its system, and where that is noted."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.lab import libvirt_api
from tests.lab.driver import Failed, call, run
from tests.lab.libvirt_domains import DISK

NAME = "strata-test-os"
DATABASE = Path("/usr/share/osinfo/os")
SYSTEM = "metadata/{http://libosinfo.org/xmlns/libvirt/domain/1.0}libosinfo/{http://libosinfo.org/xmlns/libvirt/domain/1.0}os"
BARE = {
    "name": NAME,
    "state": "shutdown",
    "disks": [{"file": str(DISK)}],
    "networks": [{"user": True}],
    "graphics": [{"type": "vnc"}],
}


def stored() -> ET.Element:
    return ET.fromstring(libvirt_api.connection().lookupByName(NAME).XMLDesc(2))


def identity(short: str) -> str:
    """What libosinfo's own program calls a system."""
    told = run("osinfo-query", "os", f"short-id={short}", "--fields=id").splitlines()
    return told[-1].strip()


@pytest.fixture(autouse=True)
def _gone():
    yield
    call("libvirt_domain", {"name": NAME, "state": "absent"})


def made(**options) -> ET.Element:
    given = {**BARE, **options}
    forecast = call("libvirt_domain", given, check=True)
    done = call("libvirt_domain", given)
    assert forecast["diff"] == done["diff"]
    again = call("libvirt_domain", given)
    assert (again["changed"], again["changes"]) == (False, [])
    (one,) = call("libvirt_info", {"name": [NAME]})["resources"]
    assert one["options"]["os_variant"] == options["os_variant"]
    assert call("libvirt_domain", one["options"])["changes"] == []
    return stored()


def test_debian_gets_what_it_has_drivers_for():
    root = made(os_variant="debian12")
    assert root.find(SYSTEM).get("id") == identity("debian12")
    assert root.find("os/type").get("machine").startswith("pc-q35")
    assert root.find("devices/disk/target").get("bus") == "virtio"
    assert root.find("devices/interface/model").get("type") == "virtio"
    assert root.find("devices/rng/backend").text == "/dev/urandom"
    assert root.find("devices/video/model").get("type") == "virtio"
    assert root.find("devices/input[@type='tablet']").get("bus") == "usb"
    assert root.find("clock").get("offset") == "utc"
    timers = {one.get("name"): one.get("tickpolicy") or one.get("present") for one in root.findall("clock/timer")}
    assert timers == {"rtc": "catchup", "pit": "delay", "hpet": "no"}
    assert root.find("features/hyperv") is None
    assert root.findtext("memory") == str(2 * 1024**2)


def test_windows_gets_what_it_comes_with():
    root = made(os_variant="win10", memory="4G")
    assert root.find(SYSTEM).get("id") == identity("win10")
    assert root.find("devices/disk/target").get("bus") == "sata"
    assert root.find("devices/interface/model").get("type") == "e1000e"
    assert root.find("devices/rng") is None
    assert root.find("clock").get("offset") == "localtime"
    assert root.find("clock/timer[@name='hypervclock']").get("present") == "yes"
    told = {one.tag for one in root.findall("features/hyperv/*") if one.get("state") == "on"}
    assert told == {"relaxed", "vapic", "spinlocks"}


def test_what_is_declared_wins():
    root = made(
        os_variant="win10",
        memory="4G",
        machine="pc",
        disks=[{"file": str(DISK), "bus": "virtio"}],
        clock={"offset": "utc"},
        video={"model": "bochs"},
    )
    assert root.find("os/type").get("machine").startswith("pc-i440fx")
    assert root.find("devices/disk/target").get("bus") == "virtio"
    assert root.find("clock").get("offset") == "utc"
    assert root.find("clock/timer[@name='hypervclock']") is not None
    assert root.find("devices/video/model").get("type") == "bochs"


def test_another_system_is_noted_and_nothing_else_changes():
    before = made(os_variant="debian11", memory="512M")
    done = call("libvirt_domain", {**BARE, "os_variant": "win10"})
    assert [(one["field"], one["before"], one["after"]) for one in done["changes"]] == [
        ("os_variant", "debian11", "win10")
    ]
    after = stored()
    assert after.find(SYSTEM).get("id") == identity("win10")
    after.find(SYSTEM).set("id", before.find(SYSTEM).get("id"))
    assert ET.canonicalize(ET.tostring(after)) == ET.canonicalize(ET.tostring(before))


def test_too_little_is_told():
    done = call("libvirt_domain", {**BARE, "os_variant": "debian12", "memory": "128M"})
    assert any("memory is 128M: Debian 12 needs 1G at least" in str(one) for one in done["warnings"])
    assert "warnings" not in call("libvirt_domain", {**BARE, "os_variant": "debian12", "memory": "128M"})


def test_what_nobody_knows_is_refused():
    with pytest.raises(Failed, match=r"os_variant: is no system that osinfo-db knows.*Near to it are: .*debian12"):
        call("libvirt_domain", {**BARE, "os_variant": "debain12"})


def test_without_a_database_it_says_what_to_install():
    away = DATABASE.with_name("os.away")
    DATABASE.rename(away)
    try:
        with pytest.raises(Failed, match=r"os_variant: needs libosinfo's database .*Install osinfo-db"):
            call("libvirt_domain", {**BARE, "os_variant": "debian12"})
    finally:
        away.rename(DATABASE)
