# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_domain, option by option: what each is written as, that it reads back, and what changing it costs."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.field import Field, Role
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT
from ansible_collections.strata.virt.plugins.module_utils.engines import domain_xml
from ansible_collections.strata.virt.plugins.module_utils.engines.libvirt import Domain
from ansible_collections.strata.virt.plugins.module_utils.kinds import libvirt_domain_seed
from ansible_collections.strata.virt.plugins.module_utils.kinds.libvirt_domain import LibvirtDomain

FIXTURES = Path(__file__).parents[1] / "fixtures" / "libvirt_domain"
STORED = (FIXTURES / "stored.xml").read_text()
RUNNING = (FIXTURES / "running.xml").read_text()
DISK = "/var/lib/libvirt/images/probe.qcow2"
FACTS = {"kvm": False, "seed": "x", "networks": {"default": True}, "newest": "pc-q35-10.0", "cpus": (0, 1, 2, 3)}


def state(stored: str = STORED, running: str | None = RUNNING, **facts):
    seen = LibvirtDomain.state_of(Domain("probe", stored, running, "running" if running else "stopped", False))
    return replace(seen, facts={**seen.facts, **FACTS, **facts})


def plan(seen, **options):
    return LibvirtDomain({"name": "probe", **options}).plan(seen)


def stored_with(text: str = STORED, **options) -> str:
    """The XML that the options are stored as, which reads back as it was put."""
    resource = LibvirtDomain({"name": "probe", **options})
    root = domain_xml.parse(text)
    resource._put(root, resource.plan(state(text)).want)
    after = domain_xml.text_of(root)
    assert not plan(state(after, None), **options, state="present"), "it doesn't read back as it was put"
    return after


# An option, and the lines that it puts into a domain that has nothing of the sort.
GOLDEN = [
    ({"title": "web"}, ["<title>web</title>"]),
    ({"description": "serves"}, ["<description>serves</description>"]),
    ({"cpu": {"mode": "host-passthrough", "migratable": False}}, ['<cpu migratable="off" mode="host-passthrough">']),
    (
        {"cpu": {"mode": "custom", "model": "EPYC", "features": {"vmx": "disable"}}},
        ['<model fallback="forbid">EPYC</model>', '<feature name="vmx" policy="disable">'],
    ),
    ({"cpu": {"topology": {"cores": 2}}}, ['<topology cores="2" sockets="1" threads="1">']),
    ({"cpu": {"topology": {"dies": 2}}}, ['<topology cores="1" dies="2" sockets="1" threads="1">']),
    (
        {"memory": "512M", "numa_cells": [{"id": 0, "cpus": "0-1", "memory": "512M", "memory_access": "shared"}]},
        ['<cell cpus="0-1" id="0" memAccess="shared" memory="524288">'],
    ),
    ({"numa_tune": {"mode": "preferred", "nodeset": "0"}}, ['<memory mode="preferred" nodeset="0">']),
    ({"memory_backing": {"hugepages": "1G"}}, ["<hugepages>", '<page size="1048576" unit="KiB">']),
    ({"memory_backing": {"hugepages": "default", "locked": True}}, ["<hugepages>", "<locked>"]),
    (
        {"memory_backing": {"source": "memfd", "access": "shared", "allocation": "immediate", "discard": True}},
        ['<source type="memfd">', '<access mode="shared">', '<allocation mode="immediate">', "<discard>"],
    ),
    ({"memory_backing": {"nosharepages": True}}, ["<nosharepages>"]),
    ({"iothreads": 2}, ["<iothreads>2</iothreads>"]),
    (
        {"cpu_tune": {"vcpu_pins": {1: "2,3"}, "emulator_pin": "0-1", "iothread_pins": {1: "0"}}},
        ['<vcpupin cpuset="2-3" vcpu="1">', '<emulatorpin cpuset="0-1">', '<iothreadpin cpuset="0" iothread="1">'],
    ),
    (
        {"cpu_tune": {"shares": 512, "period": 100000, "quota": -1, "global_period": 50000, "global_quota": 25000}},
        ["<shares>512</shares>", "<period>100000</period>", "<quota>-1</quota>", "<global_quota>25000</global_quota>"],
    ),
    (
        {
            "cpu_tune": {
                "emulator_period": 1000,
                "emulator_quota": 1000,
                "iothread_period": 1000,
                "iothread_quota": 1000,
            }
        },
        ["<emulator_quota>1000</emulator_quota>", "<iothread_period>1000</iothread_period>"],
    ),
    ({"machine": "q35"}, ['<type arch="x86_64" machine="pc-q35-10.0">hvm</type>']),
    ({"boot": ["network", "hd"]}, ['<boot dev="network">']),
    (
        {"on_poweroff": "preserve", "on_reboot": "destroy", "on_crash": "coredump-restart"},
        ["<on_reboot>destroy</on_reboot>"],
    ),
    (
        {"features": {"pae": True, "smm": True, "vmport": False, "kvm_hidden": True, "hyperv": ["spinlocks"]}},
        [
            "<pae>",
            '<smm state="on">',
            '<vmport state="off">',
            '<hidden state="on">',
            '<spinlocks retries="8191" state="on">',
        ],
    ),
    (
        {"clock": {"offset": "timezone", "timezone": "Europe/Berlin", "timers": [{"name": "hpet", "present": False}]}},
        ['<clock offset="timezone" timezone="Europe/Berlin">', '<timer name="hpet" present="no">'],
    ),
    ({"clock": {"timers": [{"name": "rtc", "tick_policy": "catchup"}]}}, ['<timer name="rtc" tickpolicy="catchup">']),
    (
        {"disks": [{"pool": "default", "volume": "a.qcow2", "bus": "scsi", "boot_order": 1}]},
        [
            '<source pool="default" volume="a.qcow2">',
            '<controller model="virtio-scsi" type="scsi">',
            '<boot order="1">',
        ],
    ),
    (
        {"disks": [{"network": {"protocol": "nbd", "name": "x", "hosts": ["192.0.2.7:10809"]}, "shareable": True}]},
        ['<source name="x" protocol="nbd">', '<host name="192.0.2.7" port="10809">', "<shareable>"],
    ),
    ({"disks": [{"device": "cdrom"}]}, ['<disk device="cdrom" type="file">', '<target bus="sata" dev="sda">']),
    (
        {"iothreads": 1, "disks": [{"file": DISK, "iothread": 1, "io": "native", "cache": "none", "queues": 4}]},
        ['<driver cache="none" discard="unmap" io="native" iothread="1" name="qemu" queues="4" type="qcow2">'],
    ),
    (
        {"disks": [{"file": DISK, "detect_zeroes": "unmap", "serial": "root0", "iotune": {"total_iops_sec": 100}}]},
        ["<serial>root0</serial>", "<total_iops_sec>100</total_iops_sec>"],
    ),
    (
        {"networks": [{"direct": "eth0", "direct_mode": "private", "mtu": 9000, "filter": "clean-traffic"}]},
        [
            '<interface type="direct">',
            '<source dev="eth0" mode="private">',
            '<mtu size="9000">',
            '<filterref filter="clean-traffic">',
        ],
    ),
    (
        {"networks": [{"network": "default", "vhost": False, "queues": 2, "portgroup": "lan", "boot_order": 1}]},
        ['<driver name="qemu" queues="2">', '<source network="default" portgroup="lan">', '<boot order="1">'],
    ),
    (
        {
            "networks": [
                {"user": True, "link": "down", "bandwidth": {"inbound": {"average": 10, "peak": 20, "burst": 5}}}
            ]
        },
        ['<interface type="user">', '<link state="down">', '<inbound average="10" burst="5" peak="20">'],
    ),
    (
        {"hostdevs": [{"pci": "03:00.1", "managed": False, "boot_order": 3}]},
        ['<address bus="0x03" domain="0x0000" function="0x1" slot="0x00">'],
    ),
    ({"hostdevs": [{"usb": "046D:C52B"}]}, ['<vendor id="0x046d">', '<product id="0xc52b">']),
    ({"guest_agent": True}, ['<target name="org.qemu.guest_agent.0" type="virtio">']),
    ({"channels": [{"name": "org.example.0", "type": "unix", "path": "/run/x"}]}, ['<source path="/run/x">']),
    (
        {
            "graphics": [
                {"type": "vnc", "listen": "192.0.2.1", "port": 5901, "websocket": 5701, "keymap": "de", "password": "x"}
            ]
        },
        ['<graphics autoport="no" keymap="de" passwd="x" port="5901" type="vnc" websocket="5701">'],
    ),
    (
        {
            "memory_backing": {"access": "shared"},
            "filesystems": [{"source": "/srv", "target": "srv", "driver": "virtiofs", "queue": 8, "read_only": True}],
        },
        ['<source dir="/srv">', '<driver queue="8" type="virtiofs">'],
    ),
    (
        {"filesystems": [{"source": "/srv", "target": "srv", "access_mode": "mapped"}]},
        ['<filesystem accessmode="mapped" type="mount">'],
    ),
    ({"serial": {"type": "file", "path": "/var/log/x"}}, ['<serial type="file">', '<source path="/var/log/x">']),
    ({"video": {"model": "vga", "vram": 16384, "heads": 1}}, ['<model heads="1" type="vga" vram="16384">']),
    (
        {"rng": {"device": "/dev/urandom", "rate_bytes": 1, "rate_period": 2}},
        ['<rng model="virtio">', '<rate bytes="1" period="2">', '<backend model="random">/dev/urandom</backend>'],
    ),
    ({"rng": {"model": "virtio", "backend": "builtin"}}, ['<backend model="builtin">']),
    ({"features": {"acpi": False, "apic": True}}, ["<apic>"]),
    ({"watchdog": {"action": "poweroff"}}, ['<watchdog action="poweroff" model="i6300esb">']),
    ({"tpm": {"model": "tpm-crb", "version": "2.0"}}, ['<backend type="emulator" version="2.0">']),
    ({"tpm": {"backend": "passthrough", "device": "/dev/tpm0"}}, ['<device path="/dev/tpm0">']),
    (
        {"balloon": {"model": "virtio", "autodeflate": True, "free_page_reporting": True, "stats_period": 5}},
        ['<memballoon autodeflate="on" freePageReporting="on" model="virtio">', '<stats period="5">'],
    ),
    ({"vsock": {"model": "virtio", "cid": 77}}, ['<vsock model="virtio">', '<cid address="77">']),
    ({"vsock": {"auto_cid": True}}, ['<cid auto="yes">']),
    ({"firmware": "efi", "secure_boot": True}, ['<os firmware="efi">', '<feature enabled="yes" name="secure-boot">']),
    (
        {"cloud_init": {"user_data": {"hostname": "web"}}},
        ['<target bus="virtio" dev="vdz">', "<readonly>"],
    ),
]


@pytest.mark.parametrize(("options", "lines"), GOLDEN, ids=["+".join(options) for options, _lines in GOLDEN])
def test_what_an_option_is_written_as(options, lines):
    after = ET.canonicalize(stored_with(**options), strip_text=True).replace("><", ">\n<").splitlines()
    before = ET.canonicalize(STORED, strip_text=True).replace("><", ">\n<").splitlines()
    assert [line for line in lines if line not in after] == []
    assert [line for line in lines if line in before] == []


def leaves(fields, options):
    """The names of the leaves that options give, as the tables spell them."""
    for field in fields:
        if not isinstance(options, dict) or field.name not in options:
            continue
        yield field
        rows = options[field.name] if isinstance(options[field.name], list) else [options[field.name]]
        for row in rows if field.codec.row else ():
            yield from leaves(field.codec.row, row)


def everything(fields):
    for field in fields:
        yield field
        yield from everything(field.codec.row)


def test_no_option_is_without_a_case():
    """A Field that nobody gives a value to in the table above or in the tests of the first form has no proof."""
    proven = {id(field) for options, _lines in GOLDEN for field in leaves(LibvirtDomain.fields, options)}
    elsewhere = {
        *("domain_type", "memory_max", "vcpus", "vcpus_max", "kernel", "initrd", "cmdline", "console_log", "autostart"),
        *("xml", "os_variant"),  # in files of their own
        *("bridge", "model", "mac", "bus", "discard", "format", "read_only", "target", "outbound"),
    }
    settings = [field for field in LibvirtDomain.fields if field.role is Role.SETTING]
    missing: list[Field] = [field for field in everything(settings) if id(field) not in proven]
    names = {field.name for field in missing} - elsewhere
    assert {name for name in names if not name.endswith(("_sec", "_sec_max"))} == {"clusters", "sockets", "threads"}


def test_what_takes_an_option_away_again_leaves_nothing():
    options = {
        "cpu_tune": {"vcpu_pins": {0: "1"}, "shares": 512},
        "iothreads": 1,
        "rng": {"device": "/dev/urandom"},
        "hostdevs": [{"usb": "046d:c52b"}],
        "guest_agent": True,
        "memory_backing": {"locked": True},
        "cloud_init": {"user_data": {"hostname": "web"}},
        "title": "web",
    }
    text = stored_with(**options)
    dropped = LibvirtDomain({"name": "probe"}, applied=options)
    root = domain_xml.parse(text)
    dropped._put(root, dropped.plan(state(text, None)).want)
    assert ET.canonicalize(domain_xml.text_of(root), strip_text=True) == ET.canonicalize(
        domain_xml.text_of(domain_xml.parse(STORED)), strip_text=True
    )


# What a change costs what runs.


@pytest.mark.parametrize(
    ("options", "live"),
    [
        ({"iothreads": 2}, True),
        ({"cpu_tune": {"vcpu_pins": {0: "1"}, "shares": 100, "emulator_quota": 1000}}, True),
        ({"networks": [{"network": "default", "link": "down", "bandwidth": {"inbound": {"average": 1}}}]}, True),
        ({"networks": [{"network": "default", "queues": 2}]}, False),
        ({"disks": [{"file": DISK, "iotune": {"read_iops_sec": 5}}]}, True),
        ({"disks": [{"file": DISK, "iotune": {"read_iops_sec": 5}, "io": "native", "cache": "none"}]}, False),
        ({"disks": [{"file": DISK}, {"file": "/b", "bus": "scsi"}]}, False),
        ({"disks": [{"file": DISK}, {"file": "/b", "bus": "usb"}]}, True),
        ({"hostdevs": [{"usb": "046d:c52b"}]}, True),
        ({"channels": [{"name": "org.example.0"}]}, True),
        ({"graphics": [{"type": "vnc"}]}, False),
        ({"cpu": {"mode": "host-passthrough"}}, False),
        ({"cloud_init": {"user_data": {"hostname": "web"}}}, False),
        ({"memory_backing": {"hugepages": "2M"}}, False),
    ],
)
def test_what_can_be_is_brought_in_while_it_runs(options, live):
    made = plan(state(), **options)
    assert made.steps == (("configure", "update") if live else ("configure",))
    assert bool(made.restart_required) is not live


def test_another_medium_is_put_in_while_it_runs():
    drive = (
        "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='/a.iso'/>"
        "<target dev='sda' bus='sata'/><readonly/></disk></devices>"
    )
    both = [text.replace("</devices>", drive) for text in (STORED, RUNNING)]
    disks = [{"file": DISK}, {"device": "cdrom", "file": "/b.iso"}]
    made = plan(state(*both), disks=disks)
    assert made.steps == ("configure", "update")
    assert [change.key for change in made.changes] == ["sda", "sda"]
    assert not plan(state(*both), disks=[{"file": DISK}, {"device": "cdrom"}])


def test_a_pin_or_weight_taken_away_takes_a_restart():
    pinned = (
        "<cputune><shares>512</shares><vcpupin vcpu='0' cpuset='1'/><vcpupin vcpu='1' cpuset='1'/></cputune></domain>"
    )
    both = [text.replace("</domain>", pinned) for text in (STORED, RUNNING)]
    assert plan(state(*both), cpu_tune={"vcpu_pins": {0: "1"}}).restart_required == ["cpu_tune[vcpu_pins]"]
    dropped = LibvirtDomain({"name": "probe", "cpu_tune": {}}, applied={"cpu_tune": {"shares": 512}})
    assert dropped.plan(state(*both)).restart_required == ["cpu_tune[shares]"]


def test_a_password_is_changed_while_it_runs_and_never_shown():
    screen = "<graphics type='vnc' port='5900' autoport='yes' passwd='first'/></devices>"
    both = [text.replace("</devices>", screen) for text in (STORED, RUNNING)]
    made = plan(state(*both), graphics=[{"type": "vnc", "password": "second"}])
    assert made.steps == ("configure", "update")
    assert "second" not in str(made.diff(""))
    assert "first" not in str(made.diff(""))
    assert "first" not in str(LibvirtDomain.export("probe", state(*both)))
    assert not plan(state(*both), graphics=[{"type": "vnc", "password": "first"}])


def test_a_running_model_is_what_was_asked_for_and_not_what_it_has_become():
    """libvirt turns host-model into a model and its features when a domain starts."""
    text = stored_with(cpu={"mode": "host-model"})
    note = domain_xml.mark(domain_xml.parse(text)).get("cpu")
    noted = f"<metadata><s:strata xmlns:s='{domain_xml.NAMESPACE}' cpu='{note}'/></metadata></domain>"
    running = RUNNING.replace("</domain>", noted)
    assert not plan(state(text, running), cpu={"mode": "host-model"})
    other = stored_with(text, cpu={"mode": "custom", "model": "EPYC"})
    assert plan(state(other, running), cpu={"mode": "custom", "model": "EPYC"}).restart_required == [
        "cpu[mode]",
        "cpu[model]",
    ]


def test_a_family_of_machines_keeps_the_version_that_is_there():
    old = STORED.replace("pc-i440fx-10.0", "pc-i440fx-7.2")
    assert not plan(state(old, None), machine="pc", state="present")
    assert plan(state(old, None), machine="q35", state="present").want["machine"] == "pc-q35-10.0"
    assert not LibvirtDomain({"name": "probe", "state": "present"}, applied={"machine": "pc"}).plan(state(old, None))


def test_a_running_card_of_a_network_is_of_whatever_type_the_network_made_of_it():
    bridged = RUNNING.replace("<interface type='network'>", "<interface type='bridge'>")
    assert not plan(state(STORED, bridged), networks=[{"network": "default"}])


# The seed.


def test_the_same_words_make_the_same_seed_and_others_another_one(tmp_path, monkeypatch):
    monkeypatch.setattr(libvirt_domain_seed, "FOLDER", str(tmp_path))
    words = {"user_data": {"hostname": "web"}}
    digest = libvirt_domain_seed.FIELD.codec.parse(words)
    assert digest == libvirt_domain_seed.FIELD.codec.parse(dict(words))
    assert digest != libvirt_domain_seed.FIELD.codec.parse({"user_data": {"hostname": "db"}})
    assert not libvirt_domain_seed.whole("web", digest)
    libvirt_domain_seed.write("web", words)
    assert libvirt_domain_seed.whole("web", digest)
    libvirt_domain_seed.write("web", {"user_data": {"hostname": "db"}})
    libvirt_domain_seed.write("web.example", words)
    libvirt_domain_seed.remove("web", [digest])
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"web.{digest}.iso", f"web.example.{digest}.iso"]
    assert (tmp_path / f"web.{digest}.iso").stat().st_mode & 0o777 == 0o600


def test_a_seed_in_a_drive_that_not_every_guest_sees_moves_with_the_next_one():
    first, second = ({"user_data": {"hostname": name}} for name in ("web", "db"))
    text = stored_with(cloud_init=first).replace('dev="vdz" bus="virtio"', 'dev="sdz" bus="sata"')
    assert "sata" in text
    assert not plan(state(text, None), cloud_init=first, state="present")
    other = stored_with(text, cloud_init=first, title="other")
    assert ('bus="sata"' in other, 'dev="vdz"' in other) == (True, False)
    moved = stored_with(text, cloud_init=second)
    assert ('bus="sata"' in moved, moved.count('dev="vdz"')) == (False, 1)
    assert moved.count(libvirt_domain_seed.FOLDER) == 1


def test_a_seed_is_no_disk_of_the_list():
    text = stored_with(cloud_init={"user_data": {"hostname": "web"}})
    assert not plan(state(text, None), disks=[{"file": DISK}], state="present")


# From one state to another.


@pytest.mark.parametrize(
    ("status", "wanted", "steps"),
    [
        ("running", "paused", ("pause",)),
        ("running", "saved", ("save",)),
        ("stopped", "paused", ("start_paused",)),
        ("stopped", "saved", ("start", "save")),
        ("saved", "running", ("start",)),
        ("saved", "shutdown", ("stop_saved",)),
        ("paused", "running", ("resume",)),
    ],
)
def test_how_one_state_becomes_another(status, wanted, steps):
    running = RUNNING if status in ("running", "paused") else None
    assert plan(replace(state(STORED, running), status=status), state=wanted).steps == steps


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cpu": {"mode": "host-model", "model": "EPYC"}}, r"cpu\.model: is chosen by mode: host-model"),
        ({"cpu": {"features": {"vmx": "off"}}}, r"cpu\.features: has 'off' for vmx"),
        ({"cpu": {"topology": {"cores": 3}}, "vcpus": 2}, r"cpu\.topology: is made of 3 vcpus, and there are 2"),
        ({"numa_cells": [{"id": 0, "cpus": "0", "memory": "1G"}]}, r"numa_cells\.memory: adds up to 1G"),
        ({"cpu_tune": {"vcpu_pins": {0: "9"}}}, r"cpu_tune\.vcpu_pins: the host's cpus are 0-3"),
        ({"cpu_tune": {"vcpu_pins": {7: "1"}}, "vcpus": 2}, r"cpu_tune\.vcpu_pins: there are 2 vcpus"),
        ({"cpu_tune": {"vcpu_pins": {"a": "1"}}}, "is no mapping of numbers to cpus"),
        ({"cpu_tune": {"iothread_pins": {2: "1"}}, "iothreads": 1}, r"cpu_tune\.iothread_pins: there are 1"),
        ({"cpu_tune": {"quota": 5}}, r"cpu_tune\.quota: must be 1000"),
        ({"secure_boot": True}, "secure_boot: is a matter of firmware: efi"),
        ({"boot": ["disk"]}, "boot: has disk"),
        ({"boot": ["hd"], "networks": [{"user": True, "boot_order": 1}]}, "boot: and the boot_order of devices"),
        ({"clock": {"timezone": "Europe/Berlin"}}, r"clock\.timezone: belongs to offset: timezone"),
        ({"disks": [{"file": "/a", "volume": "b", "pool": "c"}]}, "disks: is a file, a volume or"),
        ({"disks": [{}]}, "disks: is a file, a volume or"),
        ({"disks": [{"volume": "a"}]}, "disks: needs both a pool and a volume"),
        ({"disks": [{"file": "/a", "bus": "sata", "iothread": 1}]}, r"disks\.iothread: needs bus: virtio"),
        ({"disks": [{"file": "/a", "io": "native"}]}, r"disks\.io: needs cache: none"),
        ({"networks": [{"direct": "eth0", "user": True}]}, "either a network or a bridge"),
        ({"hostdevs": [{}]}, "hostdevs: is a device on pci or on usb"),
        ({"channels": [{"name": "org.qemu.guest_agent.0"}]}, r"channels\.name: is the option guest_agent"),
        ({"graphics": [{"type": "vnc", "password": "********"}]}, r"graphics\.password: is what is shown"),
        ({"filesystems": [{"source": "/", "target": "x", "driver": "virtiofs"}]}, r"filesystems\.driver: needs memory"),
        ({"vsock": {"cid": 2}}, r"vsock\.cid: must be 3 or more"),
        ({"vsock": {"cid": 4, "auto_cid": True}}, r"vsock\.cid: is chosen by auto_cid"),
        ({"wait_for": ["lease"], "networks": [{"user": True}]}, "wait_for: lease"),
        ({"wait_for": ["agent"], "guest_agent": False}, "wait_for: agent is told by the guest agent"),
        ({"cloud_init": {"user_data": {}}}, r"cloud_init\.user_data: is needed"),
        ({"cloud_init": {"user_data": {"a": 1}, "meta_data": {"instance-id": "x"}}}, r"cloud_init\.meta_data: is the"),
    ],
)
def test_what_can_not_be_is_said_before_anything_is_touched(options, words):
    with pytest.raises(StrataError, match=words):
        plan(replace(ABSENT, facts=FACTS), **{"memory": "512M", **options})


def test_a_volume_and_a_machine_have_to_be_there():
    with pytest.raises(StrataError, match=r"disks\.volume: there is no such volume in the pool default .*vol-list"):
        plan(state(no_volumes=[("default", "a")]), disks=[{"pool": "default", "volume": "a"}])
    with pytest.raises(StrataError, match="machine: is no machine of this host's QEMU"):
        plan(state(newest=None), machine="q36")


class Guest:
    """An engine whose domain has an agent that has heard of cloud-init."""

    def __init__(self, *said: str, code: int = 0) -> None:
        self.said = list(said)
        self.code = code
        self.asked: list[str] = []

    def running(self, name):
        channel = (
            "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>"
        )
        return RUNNING.replace("</devices>", f"{channel}</devices>")

    def leases(self, name):
        return ["192.0.2.7"]

    def agent(self, name, command, timeout):
        self.asked.append(json.loads(command)["execute"])
        if self.asked[-1] == "guest-exec":
            return '{"return": {"pid": 7}}'
        words = base64.b64encode(f"status: {self.said.pop(0)}\n".encode()).decode()
        return json.dumps({"return": {"exited": True, "exitcode": self.code, "out-data": words}})


def waiting(guest, *words):
    LibvirtDomain({"name": "probe", "wait_for": list(words), "wait_timeout": "5s"})._wait(guest)


def test_it_waits_until_cloud_init_says_that_it_is_done():
    guest = Guest("running", "done")
    waiting(guest, "lease", "agent", "cloud_init")
    assert guest.asked == ["guest-exec", "guest-exec-status"] * 2


def test_what_failed_in_the_guest_is_said():
    with pytest.raises(StrataError, match=r"cloud_init: failed in the guest.*cloud-init status --long"):
        waiting(Guest("error", code=1), "cloud_init")


def test_a_wait_that_is_in_vain_names_what_was_waited_for(monkeypatch):
    guest = Guest()
    monkeypatch.setattr(guest, "leases", lambda name: [])
    resource = LibvirtDomain({"name": "probe", "wait_for": ["lease"], "wait_timeout": "0s"})
    with pytest.raises(StrataError, match="wait_for: waited 0 seconds for its network to lease it an address"):
        resource._wait(guest)
