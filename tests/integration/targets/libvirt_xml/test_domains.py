# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains as XML: libvirt has what was written, keeps what others add, and a second run changes nothing."""

from __future__ import annotations

import importlib
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.integration.targets.libvirt_xml.domains import DOMAINS
from tests.integration.targets.libvirt_xml.said import leaves
from tests.lab import libvirt_api
from tests.lab.driver import UTILS, Failed, call

record = importlib.import_module(f"{UTILS}.core.record")

NAME = "strata-xml"
OFF = {"state": "shutdown"}
GIVEN = {"kvm-guest": {"domain_type": "auto"}}  # the hosts of the tests have no KVM

# What libvirt says otherwise than it was written, as it should: the same in other words, or what it chooses itself.
SIZES = (
    "memory",
    "currentMemory",
    "maxMemory",
    "memtune/hard_limit",
    "memtune/soft_limit",
    "memtune/swap_hard_limit",
    "devices/memory/target/size",
    "devices/shmem/size",
)
OTHERWISE = {
    *SIZES,
    *(f"{path}@unit" for path in SIZES),
    *(
        f"{path}@{one}"
        for path in ("memoryBacking/hugepages/page", "cpu/numa/cell")
        for one in ("size", "memory", "unit")
    ),
    "@id",
    "@type",
    "os/type@machine",
    "vcpu@cpuset",
    "vcpu@current",
    "cputune/vcpupin@cpuset",
    "cputune/emulatorpin@cpuset",
    "cputune/iothreadpin@cpuset",
    "cputune/vcpusched@vcpus",
    "devices/console/target@port",
}
RAN = re.compile(
    r".*(alias@name|source@(index|portid|bridge|path|mode)|backingStore.*|@tty|graphics@port|target@(dev|state)|label)"
)


def plain(value: str) -> str:
    return str(int(value)) if value.isdigit() else value


def dumped(name: str) -> ET.Element | None:
    found = next((one for one in libvirt_api.connection().listAllDomains(0) if one.name() == name), None)
    return None if found is None else ET.fromstring(found.XMLDesc(3))  # INACTIVE and SECURE


def edited(name: str, *pairs: tuple[str, str]) -> None:
    """As somebody does with virsh edit."""
    api = libvirt_api.connection()
    text = api.lookupByName(name).XMLDesc(3)
    for old, new in pairs:
        assert old in text, (old, text)
        text = text.replace(old, new, 1)
    api.defineXML(text)


def xml(inside: str, *, devices: str = "") -> str:
    return (
        f"<domain type='qemu'><name>{NAME}</name><memory unit='MiB'>128</memory>"
        f"<os><type arch='x86_64' machine='q35'>hvm</type></os>{inside}<devices>{devices}</devices></domain>"
    )


@pytest.fixture(scope="module", autouse=True)
def _gone():
    yield
    for name in [*DOMAINS, NAME]:
        call("libvirt_domain", {"name": name, "state": "absent"})


@pytest.fixture
def _fresh():
    call("libvirt_domain", {"name": NAME, "state": "absent"})


@pytest.mark.parametrize("name", DOMAINS)
def test_libvirt_has_what_was_written_and_a_second_run_changes_nothing(name):
    given = {"name": name, "xml": DOMAINS[name].strip(), **OFF, **GIVEN.get(name, {})}
    forecast = call("libvirt_domain", given, check=True)
    assert dumped(name) is None
    done = call("libvirt_domain", given)
    assert (forecast["changed"], forecast["diff"]) == (True, done["diff"])
    done.pop("invocation", None)  # what was given, as some versions of Ansible repeat it
    assert "horse" not in str(done)
    again = call("libvirt_domain", given)
    assert (again["changed"], again["changes"], again["restart_required"]) == (False, [], [])
    has = {(path, plain(value)) for path, value in leaves(dumped(name))}
    said = {(path, plain(value)) for path, value in leaves(ET.fromstring(DOMAINS[name].strip()))}
    said = {
        (path, value) for path, value in said if path not in OTHERWISE and not (name == "dumped" and RAN.match(path))
    }
    said = {(path, value) for path, value in said if "graphics@port" not in path or value != "-1"}
    said -= {("devices/interface/target@dev", "vnet7")}  # a name that libvirt gives
    assert said - has == set()


def test_what_others_change_of_it_is_repaired_and_what_they_add_stays():
    name = "seen-and-heard"
    given = {"name": name, "xml": DOMAINS[name].strip(), **OFF}
    theirs = (
        "<disk type='file'><source file='/theirs'/><target dev='vdz' bus='virtio'/></disk><watchdog model='i6300esb'/>"
    )
    uuid = dumped(name).findtext("uuid")
    edited(
        name,
        ("multidevs='remap'", "multidevs='forbid'"),
        ("x='1920'", "x='1024'"),
        ("<sound model='usb'", "<sound model='ac97'"),
        ("port='5904'", "port='5905'"),
        ("ports='16' vectors='4'", "ports='16' vectors='5'"),
        ("</devices>", f"{theirs}</devices>"),
        ("</metadata>", "<a:b xmlns:a='https://example.com/a'>theirs</a:b></metadata>"),
    )
    forecast = call("libvirt_domain", given, check=True)
    done = call("libvirt_domain", given)
    assert forecast["diff"] == done["diff"]
    assert {change["field"] for change in done["changes"]} == {
        "xml[devices/filesystem[second]@multidevs]",
        "xml[devices/video[virtio]/model/resolution@x]",
        "xml[devices/sound[usb]@model]",
        "xml[devices/graphics[vnc]@port]",
        "xml[devices/controller[virtio-serial 0]/driver@vectors]"
        if "xml[devices/controller[virtio-serial 0]/driver@vectors]" in str(done)
        else "xml[devices/controller[virtio-serial 0]@vectors]",
    }
    assert call("libvirt_domain", given)["changes"] == []
    root = dumped(name)
    assert root.findtext("uuid") == uuid
    assert root.find("devices/filesystem[2]").get("multidevs") == "remap"
    assert root.find("devices/graphics").get("port") == "5904"
    assert [one.get("model") for one in root.findall("devices/sound")] == ["ich9", "ac97", "usb"]
    assert root.find("devices/disk/source").get("file") == "/theirs"
    assert root.find("devices/watchdog[@model='i6300esb']") is not None
    assert root.findtext("metadata/{https://example.com/a}b") == "theirs"


def test_a_card_keeps_its_address_and_a_device_that_went_comes_back():
    name = "cards"
    given = {"name": name, "xml": DOMAINS[name].strip(), **OFF}
    macs = [one.get("address") for one in dumped(name).findall("devices/interface/mac")]
    api = libvirt_api.connection().lookupByName(name)
    (card,) = (one for one in dumped(name).findall("devices/interface") if one.find("mac").get("address") == macs[1])
    api.detachDeviceFlags(ET.tostring(card, encoding="unicode"), 2)
    done = call("libvirt_domain", given)
    assert done["changed"]
    after = [one.get("address") for one in dumped(name).findall("devices/interface/mac")]
    assert set(macs) - set(after) == {macs[1]}
    assert len(after) == len(macs)
    assert call("libvirt_domain", given)["changed"] is False


@pytest.mark.usefixtures("_fresh")
def test_options_beside_it_win_and_lists_name_all_there_is():
    disk = (
        "<disk type='file'><source file='/a'/><target dev='vda' bus='virtio'/><driver name='qemu' cache='none'/></disk>"
    )
    text = xml("<vcpu>2</vcpu><clock offset='localtime'><timer name='hpet' present='no'/></clock>", devices=disk)
    beside = {"memory": "256M", "vcpus": 1, "clock": {"offset": "utc"}, "cpu": {"mode": "maximum"}}
    given = {"name": NAME, "xml": text, **beside, **OFF}
    call("libvirt_domain", given)
    assert call("libvirt_domain", given)["changes"] == []
    root = dumped(NAME)
    assert (root.findtext("memory"), root.findtext("vcpu")) == ("262144", "1")
    assert (root.find("clock").get("offset"), root.find("clock/timer").attrib) == (
        "utc",
        {"name": "hpet", "present": "no"},
    )
    assert (root.find("cpu").get("mode"), root.find("devices/disk/driver").get("cache")) == ("maximum", "none")
    with pytest.raises(Failed, match="xml: has '/a', which disks has not"):
        call("libvirt_domain", {**given, "disks": [{"device": "cdrom", "target": "sda"}]})
    both = {**given, "disks": [{"device": "cdrom", "target": "sda"}, {"file": "/a", "cache": "unsafe"}]}
    with pytest.raises(Failed, match=r"disks\.file: there is no such file"):
        call("libvirt_domain", both)


@pytest.mark.usefixtures("_fresh")
def test_what_a_stack_no_longer_writes_goes():
    record.save("test-libvirt-xml", {}, whole=True)  # without one, every engine would be asked for what is this stack's
    more = xml(
        "<features><acpi/><pae/></features><metadata><a:b xmlns:a='https://example.com/a' c='d'>e</a:b></metadata>",
        devices="<watchdog model='i6300esb' action='pause'/><memballoon model='none'/>"
        "<disk type='file'><source file='/a'/><target dev='vda' bus='virtio'/></disk>",
    )
    less = xml("<features><acpi/></features>")
    try:
        for text, seen in ((more, True), (less, False)):
            entry = {"name": NAME, "xml": text, **OFF}
            stack = {"name": "test-libvirt-xml", "prune": True, "resources": [{"libvirt_domain": entry}]}
            assert call("stack", stack)["changed"]
            assert call("stack", stack)["changed"] is False
            root = dumped(NAME)
            found = [
                root.find("features/pae") is not None,
                root.find("metadata/{https://example.com/a}b") is not None,
                root.find("devices/watchdog[@model='i6300esb']") is not None,
                root.find("devices/disk") is not None,
                root.find("devices/memballoon").get("model") == "none",
            ]
            assert found == [seen] * 5
            assert root.find("features/acpi") is not None
    finally:
        call("stack", {"name": "test-libvirt-xml", "prune": True, "resources": []})


@pytest.mark.usefixtures("_fresh")
def test_what_runs_takes_what_it_can():
    disk = "<disk type='file'><driver name='qemu' type='raw'/><source file='%s'/><target dev='%s' bus='%s'/></disk>"
    drive = "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>%s<target dev='sda' bus='sata'/></disk>"
    card = (
        "<interface type='user'><mac address='52:54:00:00:00:21'/><model type='virtio'/><link state='%s'/></interface>"
    )
    one, two = "/var/lib/libvirt/images/strata-xml-1.raw", "/var/lib/libvirt/images/strata-xml-2.raw"
    for file in (one, two):
        with open(file, "wb") as image:
            image.truncate(1024**2)
    cpu = "<cpu mode='host-model'><feature policy='disable' name='vmx'/></cpu>"
    tune = "<cputune><vcpupin vcpu='0' cpuset='%s'/></cputune>"
    first = xml(
        f"<vcpu>1</vcpu>{cpu}{tune % 0}<os/>".replace("<os/>", ""),
        devices=drive % ""
        + card % "up"
        + disk % (one, "vda", "virtio")
        + "<controller type='pci' model='pcie-root'/>"
        + "<controller type='pci' model='pcie-root-port'/>" * 6,
    )
    given = {"name": NAME, "xml": first, "state": "running"}
    try:
        call("libvirt_domain", given)
        again = call("libvirt_domain", given)
        assert (again["changes"], again["restart_required"]) == ([], [])
        process = libvirt_api.connection().lookupByName(NAME).ID()
        text = first.replace("state='up'", "state='down'").replace("cpuset='0'", "cpuset='0-1'")
        text = text.replace(drive % "", drive % f"<source file='{two}'/>").replace(
            "mode='host-model'", "mode='maximum'"
        )
        extra = "<interface type='user'><mac address='52:54:00:00:00:22'/><model type='virtio'/></interface>"
        text = text.replace("<controller", f"{extra}<watchdog model='i6300esb' action='reset'/><controller", 1)
        done = call("libvirt_domain", {**given, "xml": text})
        assert done["restart_required"]
        assert {re.sub(r"watchdog.*", "watchdog", one) for one in done["restart_required"]} == {
            "xml[cpu@mode]",
            "xml[devices/watchdog",
        }
        live = ET.fromstring(libvirt_api.connection().lookupByName(NAME).XMLDesc(0))
        assert libvirt_api.connection().lookupByName(NAME).ID() == process
        cards = {one.find("mac").get("address"): one for one in live.findall("devices/interface")}
        assert set(cards) == {"52:54:00:00:00:21", "52:54:00:00:00:22"}
        assert cards["52:54:00:00:00:21"].find("link").get("state") == "down"
        assert live.find("devices/disk[@device='cdrom']/source").get("file") == two
        assert live.find("cputune/vcpupin").get("cpuset") == "0-1"
        assert live.find("devices/watchdog[@model='i6300esb']") is None
        again = call("libvirt_domain", {**given, "xml": text, "restart": "if_needed", "force": True, "timeout": "1"})
        assert again["changed"]
        assert libvirt_api.connection().lookupByName(NAME).ID() != process
        last = call("libvirt_domain", {**given, "xml": text})
        assert (last["changes"], last["restart_required"]) == ([], [])
    finally:
        call("libvirt_domain", {"name": NAME, "state": "absent"})
        for file in (one, two):
            Path(file).unlink()


@pytest.mark.usefixtures("_fresh")
def test_a_reboot_is_asked_for_on_every_run():
    given = {"name": NAME, "xml": xml(""), "state": "running"}
    call("libvirt_domain", given)
    api = libvirt_api.connection()
    uuid, runs = api.lookupByName(NAME).UUIDString(), api.lookupByName(NAME).ID()
    again = {**given, "restart": "always", "force": True, "timeout": "1"}
    assert [one["field"] for one in call("libvirt_domain", again, check=True)["changes"]] == ["restart"]
    assert api.lookupByName(NAME).ID() == runs
    assert call("libvirt_domain", again)["changed"]
    assert (api.lookupByName(NAME).ID() != runs, api.lookupByName(NAME).UUIDString()) == (True, uuid)
    assert call("libvirt_domain", given)["changed"] is False
    call("libvirt_domain", {"name": NAME, "state": "absent"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<domain><name>x</name>", "xml: is no XML"),
        ("<network/>", "xml: is a <network>, and not a <domain>"),
        (
            "<domain type='qemu'><name>y</name><memory>131072</memory><os><type>hvm</type></os></domain>",
            "xml: is of 'y'",
        ),
        ("<domain type='qemu'><name>x</name><os><type>hvm</type></os></domain>", "memory: is needed"),
        (
            "<domain type='qemu'><memory>131072</memory><os><type>hvm</type></os><speed/></domain>",
            "could not store the domain",
        ),
        (
            "<domain type='kvm'><memory>131072</memory><os><type>hvm</type></os></domain>",
            "xml: is for type='kvm', and KVM does not work .*domain_type: auto",
        ),
        (
            "<domain type='qemu'><memory>131072</memory><os><type>hvm</type></os><devices>"
            "<video><model type='none' heads='4'/></video></devices></domain>",
            r"libvirt dropped xml\[devices/video\[none\]/model@heads\]",
        ),
    ],
)
def test_what_can_not_be_is_refused(text, words):
    with pytest.raises(Failed, match=words):
        call("libvirt_domain", {"name": "x", "xml": text, **OFF})
    assert dumped("x") is None


@pytest.mark.usefixtures("_fresh")
def test_another_identity_is_refused():
    call("libvirt_domain", {"name": NAME, "xml": xml(""), **OFF})
    other = xml("<uuid>0a81f5b2-8403-4b23-88d6-21ccc2f80d6f</uuid>")
    with pytest.raises(Failed, match="xml: has a <uuid> of its own"):
        call("libvirt_domain", {"name": NAME, "xml": other, **OFF})
