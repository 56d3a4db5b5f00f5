# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_domain as XML: what libvirt 9.0 made of documents is what they say, and what is otherwise is seen and put."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import record
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, Effect
from ansible_collections.strata.virt.plugins.module_utils.engines import domain_values, domain_xml
from ansible_collections.strata.virt.plugins.module_utils.engines.domain_leaves import DomainLeaves
from ansible_collections.strata.virt.plugins.module_utils.engines.libvirt import Domain
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_domain import LibvirtDomain
from tests.integration.targets.libvirt_xml.domains import DOMAINS
from tests.unit.kinds.test_libvirt_domain import canonical

FIXTURES = Path(__file__).parents[1] / "fixtures" / "libvirt_domain" / "xml"
STARTED = (FIXTURES / "started.given.xml").read_text()
MIB = 1024**2


class Engine:
    """What a domain asks its engine for while it is planned."""

    def accelerated(self) -> bool:
        return False

    def networks(self) -> dict[str, bool]:
        return {"default": True}


def stored(name: str) -> str:
    return (FIXTURES / f"{name}.xml").read_text()


def observed(resource: LibvirtDomain, text: str, running: str | None = None):
    state = LibvirtDomain.state_of(
        Domain(resource.name, text, running, "stopped" if running is None else "running", False)
    )
    state = resource.observe(Engine(), state)
    return replace(state, facts={**state.facts, "seed": "x"})


def domain(name: str, text: str | None = None, **more) -> LibvirtDomain:
    given = {"domain_type": "qemu"} if name == "kvm-guest" else {}
    return LibvirtDomain({"name": name, "xml": text or DOMAINS[name].strip(), "state": "present", **given, **more})


def changes(resource: LibvirtDomain, text: str, running: str | None = None) -> dict[str, tuple]:
    made = resource.plan(observed(resource, text, running))
    return {change.name: (change.before, change.after) for change in made.changes}


def put(resource: LibvirtDomain, text: str) -> str:
    root = domain_xml.parse(text)
    resource._put(root, resource.plan(observed(resource, text)).want)
    return domain_xml.text_of(root)


@pytest.mark.parametrize("name", DOMAINS)
def test_what_libvirt_makes_of_a_document_is_what_it_says(name):
    assert changes(domain(name), stored(name)) == {}


@pytest.mark.parametrize("name", DOMAINS)
def test_a_document_that_is_put_onto_what_libvirt_made_of_it_changes_nothing(name):
    def plain(text: str) -> list[str]:
        root = domain_xml.parse(text)
        domain_values.told(root)
        domain_values.spelled_out(root)
        lines = canonical(domain_xml.text_of(root))
        return [line for line in lines if "strata" not in line and "metadata" not in line]

    text = stored(name)
    assert plain(put(domain(name), text)) == plain(text)


@pytest.mark.parametrize("name", DOMAINS)
def test_a_document_that_is_put_onto_an_empty_domain_reads_back(name):
    resource = domain(name)
    root = domain_xml.parse("<domain><name/><devices/></domain>")
    wanted = resource.declared["xml"]
    LibvirtDomain.field("xml").at.put(root, wanted)
    assert LibvirtDomain.field("xml").at.seen(root, wanted) == wanted


DRIFTS = [
    ("seen-and-heard", "x='1920'", "x='1024'", "devices/video[virtio]/model/resolution@x", "1024", "1920"),
    (
        "seen-and-heard",
        "multidevs='remap'",
        "multidevs='warn'",
        "devices/filesystem[second]@multidevs",
        "warn",
        "remap",
    ),
    (
        "disks",
        "error_policy='stop'",
        "error_policy='report'",
        "devices/disk[vda]/driver@error_policy",
        "report",
        "stop",
    ),
    ("disks", "<serial>WD", "<serial>WX", "devices/disk[vda]/serial", "WX-WMAP9A966149", "WD-WMAP9A966149"),
    ("direct-boot", "track='guest'", "track='wall'", "clock/timer[rtc]@track", "wall", "guest"),
    ("direct-boot", "action='poweroff'", "action='none'", "devices/watchdog[i6300esb]@action", "none", "poweroff"),
    ("nodes", "bits='42'", "bits='43'", "cpu/maxphysaddr@bits", "43", "42"),
    ("nodes", "name='lahf_lm'", "name='vmx'", "cpu/feature[lahf_lm]@policy", None, "disable"),
    ("tuned", "cpuset='5-6'", "cpuset='5'", "cputune/iothreadpin[2]@cpuset", "5", "5,6"),
    (
        "tuned",
        "<hard_limit unit='KiB'>1048576",
        "<hard_limit unit='KiB'>1048577",
        "memtune/hard_limit",
        "1048577",
        "1048576",
    ),
    ("cards", "gso='off'", "gso='on'", "devices/interface[00:16:3e:5d:c7:9e]/driver/host@gso", "on", "off"),
    (
        "cards",
        "managerid='11'",
        "managerid='12'",
        "devices/interface[* direct eth0]/virtualport/parameters@managerid",
        "12",
        "11",
    ),
    (
        "host-devices",
        "guestReset='off'",
        "guestReset='on'",
        "devices/hostdev[usb 1234:beef]/source@guestReset",
        "on",
        "off",
    ),
    (
        "verbatim",
        "value='-newarg'/>\n    <qemu:arg value='parameter'",
        "value='-x'/>\n    <qemu:arg value='parameter'",
        "{http:%2F%2Flibvirt.org%2Fschemas%2Fdomain%2Fqemu%2F1.0}commandline/"
        "{http:%2F%2Flibvirt.org%2Fschemas%2Fdomain%2Fqemu%2F1.0}arg@value",
        "-x",
        "-newarg",
    ),
    (
        "kvm-guest",
        ">myappname:some",
        ">myappname:other",
        "sysinfo[smbios]/oemStrings/entry",
        "myappname:other arbitrary data",
        "myappname:some arbitrary data",
    ),
    ("kvm-guest", ">..<", ">theirs<", "metadata/{http:%2F%2Fapp1.org%2Fapp1%2F}foo", "theirs", ".."),
]


@pytest.mark.parametrize(("name", "old", "new", "path", "before", "after"), DRIFTS)
def test_what_others_change_is_seen_and_put_back(name, old, new, path, before, after):
    text = stored(name)
    assert old in text
    drifted = text.replace(old, new, 1)
    seen = changes(domain(name), drifted)
    assert seen[f"xml[{path}]"] == (before, after)
    repaired = put(domain(name), drifted)
    assert changes(domain(name), repaired) == {}


def test_what_others_add_stays():
    text = stored("cards")
    theirs = "<disk type='file'><source file='/theirs'/><target dev='vdz'/></disk><rng model='virtio'/></devices>"
    added = text.replace("</devices>", theirs).replace("<features>", "<features><pae/>")
    assert changes(domain("cards"), added) == {}
    assert put(domain("cards"), added).count("/theirs") == 1


def test_a_password_is_never_shown():
    text = stored("kvm-guest").replace("passwd='horse'", "passwd='donkey'")
    resource = domain("kvm-guest")
    made = resource.plan(observed(resource, text))
    assert [change.name for change in made.changes] == ["xml[devices/graphics[vnc]@passwd]"]
    told = str([change.as_result() for change in made.changes]) + str(made.changes)
    assert "horse" not in told
    assert "donkey" not in told
    shown = LibvirtDomain.field("xml").show(observed(resource, text).config["xml"])
    assert "donkey" not in str(shown)


def test_an_option_beside_it_wins():
    both = domain("tuned", memory="384M", iothreads=8, cpu={"mode": "maximum"})
    seen = changes(both, stored("tuned"))
    assert seen == {
        "memory": ("256M", "384M"),
        "iothreads": (4, 8),
        "cpu[mode]": ("custom", "maximum"),
        **{name: told for name, told in seen.items() if name.startswith("cpu[")},
    }
    assert not any(name.startswith("xml") for name in seen)


def test_a_list_beside_it_takes_in_what_it_says_of_the_same_devices():
    xml = "<domain type='qemu'><name>x</name><memory>131072</memory><devices>%s</devices></domain>"
    driver = "<driver name='qemu' type='raw' cache='none' queues='4'/>"
    disk = f"<disk type='file'>{driver}<source file='/a'/><target dev='vda'/></disk>"
    both = LibvirtDomain({"name": "x", "xml": xml % disk, "disks": [{"file": "/a", "cache": "unsafe"}]})
    assert both.spec["disks"][0]["cache"] == "unsafe"
    assert (both.spec["disks"][0]["queues"], both.spec["disks"][0]["target"]) == (4, "vda")
    assert {path for path in both.declared["xml"] if path.startswith("devices/disk")} <= {
        "devices/disk[vda]/driver@name",
        "devices/disk[vda]@type",
    }
    with pytest.raises(StrataError, match="xml: has '/a', which disks has not"):
        LibvirtDomain({"name": "x", "xml": xml % disk, "disks": [{"file": "/b"}]})


def test_what_a_stack_no_longer_writes_goes_and_what_there_must_be_stays():
    was = domain("host-devices")
    now = "<domain type='qemu'><name>host-devices</name><memory unit='MiB'>128</memory></domain>"
    less = LibvirtDomain({"name": "host-devices", "xml": now}, applied=record.options(was))
    root = ET.fromstring(put(less, stored("host-devices")))
    assert (root.get("type"), root.findtext("os/type"), root.findtext("memory")) == ("qemu", "hvm", "131072")
    for gone in ("hostdev", "redirdev", "rng", "vsock", "shmem", "tpm", "iommu"):
        assert root.find(f"devices/{gone}") is None, gone
    assert root.find("devices/controller") is not None  # libvirt's own
    assert root.find("features/ioapic") is None


def test_what_runs_is_as_it_was_started():
    resource = domain("started", STARTED)
    assert changes(resource, stored("started"), stored("started.running")) == {}


CARD = "devices/interface[52:54:00:00:00:21]"
COSTS = [
    ("<model type='virtio'/>", "<model type='virtio'/><link state='down'/>", f"{CARD}/link@state", Effect.LIVE),
    ("type='virtio'/></interface>", "type='e1000e'/></interface>", f"{CARD}/model@type", Effect.RESTART),
    (
        "<driver name='qemu' type='raw'/>",
        "<driver name='qemu' type='raw'/><source file='/x.iso'/>",
        "devices/disk[sda]/source@file",
        Effect.LIVE,
    ),
    (
        "<graphics",
        "<interface type='user'><mac address='52:54:00:00:00:22'/></interface><graphics",
        "devices/interface[52:54:00:00:00:22]@type",
        Effect.LIVE,
    ),
    (
        "<graphics",
        "<watchdog model='i6300esb' action='none'/><graphics",
        "devices/watchdog[i6300esb]@action",
        Effect.RESTART,
    ),
    ("name='hpet' present='no'", "name='hpet' present='yes'", "clock/timer[hpet]@present", Effect.RESTART),
    (
        "<devices>",
        "<cputune><vcpupin vcpu='0' cpuset='0'/></cputune><devices>",
        "cputune/vcpupin[0]@cpuset",
        Effect.LIVE,
    ),
]


@pytest.mark.parametrize(("old", "new", "path", "effect"), COSTS)
def test_what_it_costs_what_runs(old, new, path, effect):
    assert old in STARTED
    resource = domain("started", STARTED.replace(old, new, 1), restart="if_needed")
    made = resource.plan(observed(resource, stored("started"), stored("started.running")))
    (live,) = (change for change in made.changes if change.key == path and change.layer.value == "running")
    assert live.effect is effect


def test_memory_and_vcpus_are_the_options():
    grown = domain("started", STARTED.replace(">64<", ">48<"))
    made = grown.plan(observed(grown, stored("started"), stored("started.running")))
    assert {(change.name, change.effect) for change in made.changes} == {
        ("memory", Effect.NEXT_BOOT),
        ("memory", Effect.LIVE),
        ("memory_max", Effect.NEXT_BOOT),
    }
    assert made.restart_required == ["memory_max"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<domain>", "xml: is no XML"),
        ("<network/>", "is a <network>, and not a <domain>"),
        ("<domain><name>other</name></domain>", "is of 'other'"),
        ("<domain type='kvm'><name>x</name><memory>131072</memory></domain>", "KVM does not work .*domain_type: auto"),
        ("<domain type='qemu'><name>x</name></domain>", "memory: is needed"),
    ],
)
def test_what_can_not_be_is_refused(text, words):
    with pytest.raises(StrataError, match=words):
        LibvirtDomain({"name": "x", "xml": text}).plan(replace(ABSENT, facts={"kvm": False, "seed": "x"}))


def test_another_uuid_is_refused():
    resource = domain("smallest", "<domain type='qemu'><uuid>0a81f5b2-8403-4b23-88d6-21ccc2f80d6f</uuid></domain>")
    with pytest.raises(StrataError, match="xml: has a <uuid> of its own"):
        resource.plan(observed(resource, stored("smallest")))


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        ("vcpu@cpuset", "1-4,^3,6", "1-2,4,6"),
        ("os/type@machine", "q35", "pc-q35-9.0"),
        ("os/type@machine", "pc", "pc-i440fx-9.0"),
        ("devices/interface/mac@address", "52:54:00:AA:00:01", "52:54:00:aa:00:01"),
        ("devices/disk/address@slot", "0x04", "4"),
    ],
)
def test_what_means_the_same_is_the_same(path, one, other):
    root = ET.fromstring("<domain/>")
    leaves = DomainLeaves()
    leaves.put(root, {path: other})
    assert leaves.seen(root, {path: one}) == {path: one}


def test_a_password_in_a_document_is_in_no_record():
    text = "<domain type='qemu'><devices><graphics type='vnc' passwd = \"it's open\"/></devices></domain>"
    one, same, other = (
        record.options(LibvirtDomain({"name": "x", "xml": said}))["xml"]
        for said in (text, text, text.replace("open", "shut"))
    )
    assert "open" not in one
    assert one == same != other
    (leaf,) = (path for path in LibvirtDomain({"name": "x", "xml": one}).declared["xml"] if "passwd" in path)
    assert leaf == "devices/graphics[vnc]@passwd"
