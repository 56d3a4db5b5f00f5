# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_domain: what a new one gets for its system, and what is noted of it."""

from __future__ import annotations

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.plan import Effect
from ansible_collections.strata.virt.plugins.module_utils.engines import domain_xml
from ansible_collections.strata.virt.plugins.module_utils.engines.osinfo import System
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_domain import LibvirtDomain
from tests.unit.kinds.test_libvirt_domain import STORED, canonical, fresh, plan, state

LINUX = System(
    "http://lab.example/lab/2",
    "lab2",
    "Lab 2",
    "linux",
    ("virtio_disk", "virtio_net", "virtio_rng", "virtio_video", "q35", "usb_tablet"),
    {"ram": 256 * 1024**2, "n-cpus": 1},
    {"ram": 512 * 1024**2, "n-cpus": 2},
).facts()
WINDOWS = System("http://lab.example/win/9", "labwin", "Lab W", "winnt", ("e1000e",), {}, {}, bios=False).facts()
MACHINE = "pc-q35-10.0"
BARE = {
    "os_variant": "word",
    "disks": [{"file": "/a.raw"}],
    "networks": [{"user": True}],
    "graphics": [{"type": "vnc"}],
}


def test_a_new_one_gets_what_its_system_can_do():
    want = plan(fresh(system=LINUX, q35=MACHINE), **BARE).want
    assert (want["os_variant"], want["machine"]) == ("http://lab.example/lab/2", MACHINE)
    assert (want["memory"], want["vcpus"]) == (512 * 1024**2, 2)
    assert (want["disks"][0]["bus"], want["networks"][0]["model"]) == ("virtio", "virtio")
    assert (want["rng"]["device"], want["video"]) == ("/dev/urandom", {"model": "virtio"})
    assert want["clock"]["offset"] == "utc"
    assert "features" not in want
    assert "firmware" not in want


def test_windows_gets_what_it_comes_with():
    want = plan(fresh(system=WINDOWS, q35=MACHINE), **BARE, memory="2G", machine="q35").want
    assert (want["disks"][0]["bus"], want["networks"][0]["model"]) == ("sata", "e1000e")
    assert (want["clock"]["offset"], want["firmware"], want["video"]) == ("localtime", "efi", {"model": "vga"})
    assert want["features"]["hyperv"] == ("relaxed", "spinlocks", "vapic")
    assert [row["name"] for row in want["clock"]["timers"]] == ["hpet", "hypervclock", "pit", "rtc"]
    assert "rng" not in want


def test_a_new_one_reads_back_as_it_was_put():
    options = {**BARE, "memory": "2G", "state": "present"}
    resource = LibvirtDomain({"name": "probe", **options})
    made = resource.plan(fresh(system=WINDOWS, q35=MACHINE))
    root = domain_xml.parse(domain_xml.SKELETON)
    domain_xml.child(root, "name").text = "probe"
    resource._put(root, made.want)
    text = domain_xml.text_of(root)
    lines = canonical(text)
    assert (
        '<libosinfo:os xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0" id="http://lab.example/win/9">'
        in (
            line.replace(
                "<libosinfo:os id", '<libosinfo:os xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0" id'
            )
            for line in lines
        )
    )
    assert not resource.plan(state(text, None, system=WINDOWS))


def test_what_is_declared_wins():
    declared = {"clock": {"offset": "utc"}, "video": {"model": "bochs"}, "memory": "64M", "vcpus": 1}
    want = plan(
        fresh(system=WINDOWS, q35=MACHINE), **{**BARE, "disks": [{"file": "/a.raw", "bus": "virtio"}]}, **declared
    ).want
    assert (want["clock"]["offset"], len(want["clock"]["timers"])) == ("utc", 4)
    assert (want["video"], want["memory"], want["disks"][0]["bus"]) == ({"model": "bochs"}, 64 * 1024**2, "virtio")


def test_another_processor_has_no_timers_of_x86():
    want = plan(fresh(system=LINUX, q35=None), **BARE).want
    assert "clock" not in want
    assert "machine" not in want
    assert want["rng"]["model"] == "virtio"


def test_for_one_that_is_there_it_is_a_note():
    made = plan(state(system=LINUX), os_variant="lab2")
    assert [(change.name, change.effect) for change in made.changes] == [("os_variant", Effect.NEXT_BOOT)]
    assert made.restart_required == []
    assert made.steps == ("configure",)


@pytest.mark.parametrize(("memory", "told"), [("64M", ["memory is 64M: Lab 2 needs 256M at least"]), ("256M", [])])
def test_too_little_is_told(memory, told):
    resource = LibvirtDomain({"name": "probe", **BARE, "memory": memory})
    assert resource.advice(resource.plan(fresh(system=LINUX, q35=MACHINE))) == told


def test_the_note_of_others_is_taken_and_given_up():
    theirs = (
        '<metadata><lib:libosinfo xmlns:lib="http://libosinfo.org/xmlns/libvirt/domain/1.0">'
        '<lib:os id="http://lab.example/lab/2"/></lib:libosinfo></metadata>'
    )
    text = STORED.replace("</domain>", f"{theirs}</domain>")
    assert not plan(state(text, None, system=LINUX), os_variant="lab2", state="present")
    dropped = LibvirtDomain({"name": "probe", "state": "present"}, applied={"os_variant": "lab2"})
    root = domain_xml.parse(text)
    dropped._put(root, dropped.plan(state(text, None)).want)
    assert "libosinfo" not in domain_xml.text_of(root)
