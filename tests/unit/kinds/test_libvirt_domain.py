# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_domain: what its XML says, what is planned, and what is left alone. The XML is libvirt 11.3's own."""

from __future__ import annotations

import difflib
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, Effect
from ansible_collections.strata.virt.plugins.module_utils.engines import domain_xml
from ansible_collections.strata.virt.plugins.module_utils.engines.libvirt import Domain
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_domain import LibvirtDomain

FIXTURES = Path(__file__).parents[1] / "fixtures" / "libvirt_domain"
STORED = (FIXTURES / "stored.xml").read_text()
RUNNING = (FIXTURES / "running.xml").read_text()
DISK = "/var/lib/libvirt/images/probe.qcow2"
MIB = 1024**2


def state(stored: str = STORED, running: str | None = RUNNING, **facts):
    status = "stopped" if running is None else "running"
    seen = LibvirtDomain.state_of(Domain("probe", stored, running, status, False))
    return replace(seen, facts={**seen.facts, "kvm": False, "seed": "x", "networks": {"default": True}, **facts})


def fresh(**facts):
    return replace(ABSENT, facts={"kvm": False, "seed": "x", "networks": {"default": True}, **facts})


def plan(seen, **options):
    return LibvirtDomain({"name": "probe", **options}).plan(seen)


def shown(made):
    return {(change.name, change.layer.value, change.effect.value) for change in made.changes}


def canonical(text: str) -> list[str]:
    """One line an element: what it is, with its text."""
    lines = ET.canonicalize(text, strip_text=True).replace("><", ">\n<").splitlines()
    return [line for line in lines if not line.startswith("</")]


def patched(text: str, **options) -> list[str]:
    """The lines that storing the options takes away and adds."""
    made = plan(state(text), **options)
    root = domain_xml.parse(text)
    LibvirtDomain({"name": "probe", **options})._put(root, made.want)
    after = domain_xml.text_of(root)
    assert not plan(state(after, None), **options, state="present"), "it doesn't read back as it was put"
    return [line for line in difflib.ndiff(canonical(text), canonical(after)) if line[0] in "+-"]


def test_what_is_stored_is_read():
    config = state().config
    assert (config["memory"], config["memory_max"]) == (512 * MIB, 512 * MIB)
    assert (config["vcpus"], config["vcpus_max"]) == (1, 2)
    assert config["disks"] == (
        {
            "file": DISK,
            "bus": "virtio",
            "cache": "none",
            "discard": "unmap",
            "device": "disk",
            "format": "qcow2",
            "read_only": False,
            "shareable": False,
            "target": "vda",
        },
    )
    assert config["networks"] == ({"network": "default", "model": "virtio", "mac": "52:54:00:12:34:56"},)
    assert config["console_log"] == "/var/log/libvirt/qemu/probe-console.log"


def test_what_runs_reads_as_it_was_stored():
    seen = state()
    assert {name: seen.live[name] for name in seen.live} == {name: seen.config[name] for name in seen.live}


def test_an_export_declares_what_is_there():
    seen = state()
    assert not LibvirtDomain(LibvirtDomain.export("probe", seen)).plan(seen)


def test_memory_is_patched_and_nothing_else():
    assert patched(STORED, memory="300M") == [
        '- <memory unit="KiB">524288</memory>',
        '+ <memory unit="KiB">307200</memory>',
        '- <currentMemory unit="KiB">524288</currentMemory>',
        '+ <currentMemory unit="KiB">307200</currentMemory>',
    ]


def test_room_to_grow_is_kept_and_made():
    roomy = STORED.replace("<currentMemory unit='KiB'>524288", "<currentMemory unit='KiB'>262144")
    assert patched(roomy, memory="300M") == [
        '- <currentMemory unit="KiB">262144</currentMemory>',
        '+ <currentMemory unit="KiB">307200</currentMemory>',
    ]
    assert patched(STORED, memory_max="1G") == [
        '- <memory unit="KiB">524288</memory>',
        '+ <memory unit="KiB">1048576</memory>',
    ]


def test_a_maximum_that_is_declared_holds():
    assert patched(STORED, memory="256M", memory_max="512M") == [
        '- <currentMemory unit="KiB">524288</currentMemory>',
        '+ <currentMemory unit="KiB">262144</currentMemory>',
    ]
    made = LibvirtDomain({"name": "probe"}, applied={"vcpus_max": 2}).plan(state())
    assert [(change.name, change.before, change.after) for change in made.changes] == [("vcpus_max", 2, 1)]
    assert made.restart_required == ["vcpus_max"]


def test_an_export_names_a_maximum_only_where_it_is_apart():
    options = LibvirtDomain.export("probe", state())
    assert "memory_max" not in options
    assert options["vcpus_max"] == 2


def test_a_disk_is_patched_and_another_added():
    lines = patched(STORED, disks=[{"file": DISK, "cache": "writeback"}, {"file": "/data.raw", "bus": "sata"}])
    assert lines == [
        '- <driver cache="none" discard="unmap" name="qemu" type="qcow2">',
        '+ <driver cache="writeback" discard="unmap" name="qemu" type="qcow2">',
        '+ <disk device="disk" type="file">',
        '+ <driver name="qemu" type="raw">',
        '+ <source file="/data.raw">',
        '+ <target bus="sata" dev="sda">',
    ]


def test_a_log_is_taken_from_the_port_and_its_console():
    wanted = LibvirtDomain({"name": "probe"}, applied={"console_log": "/x"})
    root = domain_xml.parse(STORED)
    wanted._put(root, wanted.plan(state()).want)
    assert root.find(".//log") is None


def test_what_others_put_there_survives():
    theirs = (
        '<metadata><lib:os xmlns:lib="http://libosinfo.org/xmlns/libvirt/domain/1.0" id="debian"/>'
        "<!-- a note --></metadata><seclabel type='none'/>"
        '<qemu:commandline xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0"><qemu:arg value="-x"/>'
        "</qemu:commandline>"
    )
    text = STORED.replace("</domain>", f"{theirs}</domain>")
    assert len(patched(text, memory="300M")) == 4
    written = domain_xml.text_of(domain_xml.parse(text))
    for piece in ("<!-- a note -->", 'xmlns:qemu="http', "<qemu:arg", "<lib:os"):
        assert piece in written


def test_memory_up_to_the_maximum_is_changed_live():
    made = plan(state(), memory="300M")
    assert shown(made) == {("memory", "config", "next_boot"), ("memory", "running", "live")}
    assert made.steps == ("configure", "update")


def test_memory_over_the_maximum_needs_a_restart():
    made = plan(state(), memory="1G")
    assert (made.steps, made.restart_required) == (("configure",), ["memory"])
    assert plan(state(), memory="1G", restart="if_needed").steps == ("configure", "restart")


def test_vcpus_come_up_to_the_maximum_and_those_of_the_start_stay():
    assert plan(state(), vcpus=2).steps == ("configure", "update")
    assert plan(state(), vcpus=3).restart_required == ["vcpus"]
    two = RUNNING.replace(
        "<vcpu placement='static' current='1'>2</vcpu>",
        "<vcpu placement='static'>2</vcpu><vcpus><vcpu id='0' enabled='yes' hotpluggable='no'/>"
        "<vcpu id='1' enabled='yes' hotpluggable='yes'/></vcpus>",
    )
    assert plan(state(STORED, two), vcpus=1).steps == ("update",)
    assert plan(state(STORED, two.replace("'yes'/></vcpus>", "'no'/></vcpus>")), vcpus=1).restart_required == ["vcpus"]


@pytest.mark.parametrize(("actual", "live"), [(524288, 256 * MIB), (262144, 256 * MIB), (400000, 400000 * 1024)])
def test_a_guest_that_never_answers_is_no_drift(actual, live):
    note = f'<metadata><s:strata xmlns:s="{domain_xml.NAMESPACE}" asked="262144" stayed="524288"/></metadata>'
    text = RUNNING.replace("<currentMemory unit='KiB'>524288", f"<currentMemory unit='KiB'>{actual}")
    assert state(STORED, text.replace("</domain>", f"{note}</domain>")).live["memory"] == live


def test_virtio_disks_and_cards_are_plugged_live_and_modes_are_not():
    one = {"file": DISK}
    assert plan(state(), disks=[one, {"file": "/b.raw"}]).steps == ("configure", "update")
    assert plan(state(), disks=[]).steps == ("configure", "update")
    assert plan(state(), disks=[one, {"file": "/b.raw", "bus": "sata"}]).restart_required == ["disks[/b.raw]"]
    assert plan(state(), disks=[{**one, "cache": "unsafe"}]).restart_required == [f"disks[{DISK}]"]
    mac = "52:54:00:12:34:56"
    assert plan(state(), networks=[{"bridge": "br0", "mac": mac}]).steps == ("configure", "update")
    assert plan(state(), networks=[{"network": "default", "model": "e1000"}]).restart_required == [f"networks[{mac}]"]


def test_a_card_keeps_its_address_and_a_new_one_gets_the_same_each_time():
    assert not plan(state(), networks=[{"network": "default"}])
    macs = [
        [row["mac"] for row in plan(state(), networks=[{"network": "default"}] * 2).want["networks"]] for _run in "12"
    ]
    assert macs[0] == macs[1]
    assert macs[0][0] == "52:54:00:12:34:56"
    grown = plan(fresh(), memory="1G", networks=[{"bridge": "br0"}, {"network": "default"}]).want["networks"][1]
    alone = plan(fresh(), memory="1G", networks=[{"network": "default"}]).want["networks"][0]
    assert grown["mac"] == alone["mac"]
    elsewhere = plan(fresh(seed="another host"), memory="1G", networks=[{"network": "default"}]).want["networks"][0]
    assert elsewhere["mac"] != alone["mac"]


def test_a_new_one_is_made_and_started():
    made = plan(fresh(), memory="512M", vcpus=1, disks=[{"file": DISK}], networks=[{"network": "default"}])
    assert made.steps == ("create", "start")
    assert made.want["domain_type"] == "qemu"
    assert plan(fresh(kvm=True), memory="512M").want["domain_type"] == "kvm"
    root = domain_xml.parse(domain_xml.SKELETON)
    LibvirtDomain({"name": "probe"})._put(root, made.want)
    assert root.findtext("memory") == root.findtext("currentMemory") == "524288"
    assert root.get("type") == "qemu"
    assert {change.effect for change in made.changes} == {Effect.CREATE}


@pytest.mark.parametrize(
    ("facts", "options", "words"),
    [
        ({"missing": [["disks.file", "/x.qcow2"]]}, {}, "disks.file: there is no such file"),
        ({"networks": {}}, {"networks": [{"network": "lan"}]}, "is no network of libvirt's .*there are: none"),
        ({"networks": {"lan": False}}, {"networks": [{"network": "lan"}]}, "not active .*virsh net-start lan"),
        ({}, {"networks": [{"network": "lan", "bridge": "br0"}]}, "either a network or a bridge"),
        ({}, {"memory": None}, "memory: is needed"),
        ({}, {"memory": "max"}, "memory: .*is a size"),
        ({}, {"memory_max": "1M"}, "memory_max: is less than memory"),
        ({}, {"vcpus": 0}, "vcpus: must be 1 or more"),
        ({}, {"disks": [{"file": "/a"}, {"file": "/a"}]}, "names /a twice"),
        ({}, {"disks": [{"file": "a"}]}, "absolute path"),
    ],
)
def test_what_can_not_be_is_said_in_planning(facts, options, words):
    with pytest.raises(StrataError, match=words):
        plan(fresh(**facts), **{"memory": "512M", **options})


def test_a_network_need_not_be_active_for_what_is_off():
    assert plan(fresh(networks={"lan": False}), memory="1G", state="shutdown", networks=[{"network": "lan"}])


def test_options_dropped_from_a_disk_go_back_to_their_defaults():
    wanted = LibvirtDomain(
        {"name": "probe", "disks": [{"file": DISK}]},
        applied={"disks": [{"file": DISK, "cache": "none", "format": "qcow2"}]},
    )
    (row,) = wanted.plan(state()).want["disks"]
    assert row == {"file": DISK, "cache": "default"}


class Dropping:
    """A libvirt that keeps what it had, whatever it is told to store."""

    noun = "domain"

    def __init__(self, kept: str) -> None:
        self.kept, self.told = kept, []

    def stored(self, _name: str) -> str:
        return self.kept

    def define(self, xml: str) -> None:
        self.told.append("as it was" if xml == self.kept else "define")

    def undefine(self, _name: str) -> None:
        self.told.append("undefine")


def test_what_libvirt_drops_is_not_left_half_made():
    new, old = Dropping("<domain><name>probe</name></domain>"), Dropping(STORED)
    resource = LibvirtDomain({"name": "probe", "memory": "1G", "title": "web", "state": "shutdown"})
    with pytest.raises(StrataError, match=r"libvirt dropped .*memory, title .* it was not made"):
        resource.create(new, resource.plan(fresh()))
    assert new.told == ["define", "undefine"]
    resource = LibvirtDomain({"name": "probe", "title": "web", "state": "shutdown"})
    with pytest.raises(StrataError, match="libvirt dropped title while it stored the domain; it is as it was"):
        resource.configure(old, resource.plan(state(running=None)))
    assert old.told == ["define", "as it was"]


def test_a_disk_whose_base_is_gone_is_named_before_a_start():
    options = {"disks": [{"file": DISK}]}
    for below, status in (("/srv/base.qcow2", "running"), ("/srv/base.qcow2", "paused")):
        with pytest.raises(StrataError, match=rf"disks\.file: lies on {below}, which is gone"):
            plan(state(running=None, baseless=[(DISK, below)]), state=status, **options)
