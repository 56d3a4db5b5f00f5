# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_domain, looked at through virsh."""

from __future__ import annotations

import glob
import lzma
import platform
import re
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from playbooks.files import content
from tests.lab.convergence import Case, Convergence, Harness
from tests.lab.driver import Failed, Killed, call, run

IMAGES = Path("/var/lib/libvirt/images")
DISK, OTHER = IMAGES / "strata-test.qcow2", IMAGES / "strata-test-data.raw"
SEEDS = Path("/var/lib/strata/libvirt/seeds")
LOG = Path("/var/log/libvirt/qemu/strata-test-console.log")
HOST = "engines.libvirt.Host"
VERBS = (
    "define",
    "undefine",
    "set_autostart",
    "start",
    "start_paused",
    "destroy",
    "set_memory",
    "set_vcpus",
    "attach",
    "detach",
    "note",
    "pin",
    "set_iothreads",
    "set_iotune",
    "change",
)
TOUCHES = (*(f"{HOST}.{verb}" for verb in VERBS), "core.files.write", "core.files.remove")


def virsh(*words: str, **more) -> str:
    return run("virsh", *words, **more)


def document(name: str, *flags: str) -> ET.Element:
    return ET.fromstring(virsh("dumpxml", *flags, name))


def described(root: ET.Element) -> dict:
    disks = [disk for disk in root.findall("devices/disk") if disk.get("device") == "disk"]
    return {
        "memory": [root.findtext("currentMemory"), root.findtext("memory")],
        "vcpus": [root.find("vcpu").get("current"), root.findtext("vcpu")],
        "disks": [[disk.find("source").get("file"), dict(disk.find("driver").attrib)] for disk in disks],
        "targets": [dict(disk.find("target").attrib) for disk in disks],
        "networks": [
            [card.find("source").get("network"), card.find("model").get("type"), card.find("mac").get("address")]
            for card in root.findall("devices/interface")
        ],
        "cmdline": root.findtext("os/cmdline"),
        "log": [log.get("file") for log in root.findall("devices/serial/log")],
        "cpu": dict(root.find("cpu").attrib),
        "features": {one.get("name"): one.get("policy") for one in root.findall("cpu/feature")},
        "iothreads": root.findtext("iothreads"),
        "pins": [dict(pin.attrib) for pin in root.findall("cputune/*")],
        "channels": [one.find("target").get("name") for one in root.findall("devices/channel")],
        "title": root.findtext("title"),
    }


def told(seed: str) -> str:
    """What the first user data line of a seed names."""
    at = re.search(rb'"hostname": "([^"]*)"', Path(seed).read_bytes())
    return at.group(1).decode()


def look(name: str) -> dict | None:
    if name not in virsh("list", "--all", "--name").split():
        return None
    info = virsh("dominfo", name)
    autostart = "enable" in next(line for line in info.splitlines() if line.startswith("Autostart"))
    seeds = [told(str(file)) for file in sorted(SEEDS.glob(f"{name}.*.iso"))]
    return {
        **described(document(name, "--inactive")),
        "seeds": seeds,
        "autostart": autostart,
        "state": virsh("domstate", name),
    }


def edit(name: str, old: str, new: str) -> None:
    text = virsh("dumpxml", "--inactive", name)
    assert old in text
    file = Path("/tmp/strata-test.xml")
    file.write_text(text.replace(old, new))
    virsh("define", str(file))


@pytest.fixture(scope="module", autouse=True)
def _surroundings():
    run("qemu-img", "create", "-q", "-f", "qcow2", str(DISK), "64M")
    run("qemu-img", "create", "-q", "-f", "raw", str(OTHER), "16M")
    was_active = "default" in virsh("net-list", "--name").split()
    if not was_active:
        virsh("net-start", "default")
    yield
    if not was_active:
        virsh("net-destroy", "default")
    for file in (DISK, OTHER, LOG):
        file.unlink(missing_ok=True)


DRIVER = {"name": "qemu", "type": "qcow2", "cache": "none", "discard": "unmap"}


class TestStored(Convergence):
    """What is stored: nothing has to start, so that all of it can be gone through."""

    case = Case(
        kind="libvirt_domain",
        info="libvirt_info",
        a={
            "state": "shutdown",
            "memory": "256M",
            "memory_max": "512M",
            "vcpus": 1,
            "vcpus_max": 2,
            "disks": [{"file": str(DISK), "bus": "virtio", "cache": "none", "discard": "unmap"}],
            "networks": [{"network": "default", "model": "virtio"}],
            "console_log": str(LOG),
            "autostart": True,
            "title": "a test",
            "cpu": {"mode": "host-model", "features": {"vmx": "disable"}},
            "iothreads": 2,
            "cpu_tune": {"vcpu_pins": {0: "0"}, "emulator_pin": "0-1", "iothread_pins": {1: "1"}, "shares": 512},
            "cloud_init": {"user_data": {"hostname": "first"}},
            "guest_agent": True,
        },
        b={
            "state": "shutdown",
            "memory": "300M",
            "memory_max": "300M",
            "vcpus": 2,
            "disks": [{"file": str(DISK), "cache": "writeback"}, {"file": str(OTHER), "bus": "sata"}],
            "networks": [],
            "autostart": False,
            "cpu": {"mode": "custom", "model": "Nehalem"},
            "iothreads": 1,
            "cpu_tune": {"vcpu_pins": {1: "1"}},
            "cloud_init": {"user_data": {"hostname": "second"}},
        },
        look=look,
        seen_a={
            "state": "shut off",
            "memory": ["262144", "524288"],
            "vcpus": ["1", "2"],
            "disks": [[str(DISK), DRIVER]],
            "targets": [{"dev": "vda", "bus": "virtio"}],
            "log": [str(LOG)],
            "autostart": True,
            "title": "a test",
            "features": {"vmx": "disable"},
            "iothreads": "2",
            "channels": ["org.qemu.guest_agent.0"],
            "seeds": ["first"],
        },
        seen_b={
            "memory": ["307200", "307200"],
            "networks": [],
            "autostart": False,
            "features": {},
            "iothreads": "1",
            "seeds": ["second"],
        },
        drifts={
            "more memory": lambda name: virsh("setmem", name, "400M", "--config"),
            "another cache mode": lambda name: edit(name, "cache='none'", "cache='unsafe'"),
            "a network card less": lambda name: virsh("detach-interface", name, "network", "--config"),
            "a disk more": lambda name: virsh("attach-disk", name, str(OTHER), "vdb", "--config"),
            "another pin": lambda name: virsh("vcpupin", name, "0", "1", "--config"),
            "another processor": lambda name: edit(name, "mode='host-model'", "mode='maximum'"),
            "a seed that is gone": lambda name: next(SEEDS.glob(f"{name}.*.iso")).unlink(),
            "undefined": lambda name: virsh("undefine", name),
        },
        touches=TOUCHES,
    )

    def test_foreign_settings_survive(self):
        self.apply(self.case.a)
        edit(
            self.case.name,
            "</devices>",
            "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng></devices>",
        )
        edit(
            self.case.name,
            "</metadata>",
            "<theirs:note xmlns:theirs='urn:theirs'>keep<!-- me --></theirs:note></metadata>",
        )
        before = document(self.case.name, "--inactive")
        self.apply({**self.case.a, "memory": "260M"})
        after = document(self.case.name, "--inactive")
        assert after.findtext("currentMemory") == str(260 * 1024)
        after.find("currentMemory").text = before.findtext("currentMemory")
        assert ET.canonicalize(ET.tostring(after)) == ET.canonicalize(ET.tostring(before))

    def test_a_domain_of_somebody_elses_keeps_its_names(self):
        self.apply(self.case.a)
        text = virsh("dumpxml", "--inactive", self.case.name)
        virsh("undefine", self.case.name)
        file = Path("/tmp/strata-test.xml")
        root = ET.fromstring(text)
        root.remove(root.find("metadata"))
        root.find("devices/interface/mac").set("address", "52:54:00:AA:bb:01")
        file.write_text(ET.tostring(root, encoding="unicode"))
        virsh("define", str(file))
        assert self.apply(self.case.a)["changed"] is True  # autostart
        (card,) = look(self.case.name)["networks"]
        assert card[2].lower() == "52:54:00:aa:bb:01"
        assert document(self.case.name).findtext("uuid") == root.findtext("uuid")
        assert call("libvirt_info", {"name": [self.case.name]})["resources"][0]["owner"] is None

    def test_what_is_not_there_is_said_before_anything_is_touched(self):
        for spec, words in (
            (
                {"disks": [{"file": "/nowhere.qcow2"}]},
                r"disks\.file: there is no such file .*/nowhere\.qcow2.*qemu-img create",
            ),
            ({"networks": [{"network": "nowhere"}]}, r"networks\.network: is no network .*there are: .*default"),
            ({"kernel": "/nowhere"}, "kernel: there is no such file"),
            ({"networks": [{}]}, "networks: names either a network or a bridge"),
            ({"memory": None}, "memory: is needed"),
            ({"memory_max": "1M"}, "memory_max: is less than memory"),
            ({"uri": "qemu+unix:///system?socket=/nowhere"}, "uri: libvirt does not answer"),
        ):
            with pytest.raises(Failed, match=words):
                self.apply({**self.case.a, **spec})
        assert look(self.case.name) is None

    def test_absent_keeps_disks_and_takes_saved_memory_and_snapshots(self):
        self.apply({**self.case.a, "console_log": None})
        virsh("snapshot-create-as", self.case.name, "one")
        self.apply({"state": "absent"})
        assert look(self.case.name) is None
        assert DISK.exists()


WHOLE = {
    "state": "shutdown",
    "domain_type": "qemu",
    "memory": "512M",
    "vcpus": 2,
    "machine": "q35",
    "firmware": "efi",
    "secure_boot": True,
    "description": "everything that there is an option for",
    "cpu": {"mode": "maximum", "topology": {"cores": 2}},
    "numa_cells": [
        {"id": 0, "cpus": "0", "memory": "256M", "memory_access": "shared"},
        {"id": 1, "cpus": "1", "memory": "256M", "memory_access": "shared"},
    ],
    "numa_tune": {"mode": "preferred", "nodeset": "0"},
    "memory_backing": {"hugepages": "2M", "source": "memfd", "access": "shared", "locked": True, "nosharepages": True},
    "iothreads": 2,
    "cpu_tune": {"emulator_period": 50000, "emulator_quota": 25000, "period": 100000, "quota": -1, "shares": 512},
    "features": {"acpi": True, "apic": True, "smm": True, "vmport": False, "hyperv": ["relaxed", "vapic", "spinlocks"]},
    "clock": {
        "offset": "timezone",
        "timezone": "Europe/Berlin",
        "timers": [{"name": "rtc", "tick_policy": "catchup"}, {"name": "hpet", "present": False}],
    },
    "on_reboot": "destroy",
    "disks": [
        {
            "file": str(DISK),
            "bus": "virtio",
            "cache": "none",
            "io": "native",
            "discard": "unmap",
            "detect_zeroes": "unmap",
            "iothread": 1,
            "queues": 2,
            "serial": "root0",
            "boot_order": 1,
            "iotune": {"total_bytes_sec": 10485760, "read_iops_sec": 0},
        },
        {"pool": "strata-test", "volume": OTHER.name, "bus": "scsi", "read_only": True},
        {"network": {"protocol": "nbd", "name": "export", "hosts": ["192.0.2.7:10809"]}, "bus": "virtio"},
        {"device": "cdrom", "target": "sdc"},
    ],
    "networks": [
        {"network": "default", "mac": "52:54:00:00:00:10", "queues": 2, "vhost": False, "mtu": 1400, "link": "down"},
        {"direct": "lo", "direct_mode": "private", "model": "e1000e", "mac": "52:54:00:00:00:11"},
        {
            "bridge": "virbr0",
            "mac": "52:54:00:00:00:12",
            "boot_order": 2,
            "bandwidth": {"inbound": {"average": 1000, "peak": 2000, "burst": 1024}, "outbound": {"average": 500}},
        },
        {"user": True, "mac": "52:54:00:00:00:13"},
    ],
    "hostdevs": [{"pci": "0000:00:1f.0", "managed": False}, {"usb": "046d:c52b"}],
    "guest_agent": True,
    "channels": [{"name": "org.example.0", "path": "/run/strata-test.sock"}],
    "graphics": [{"type": "vnc", "listen": "127.0.0.1", "port": 5999, "keymap": "de", "password": "first"}],
    "filesystems": [{"source": "/srv", "target": "srv", "driver": "virtiofs", "queue": 512}],
    "serial": {"type": "file", "path": "/var/log/libvirt/qemu/strata-test-serial.log"},
    "video": {"model": "vga", "vram": 16384},
    "rng": {"device": "/dev/urandom", "rate_bytes": 1024, "rate_period": 2000},
    "watchdog": {"model": "i6300esb", "action": "poweroff"},
    "tpm": {"model": "tpm-crb", "backend": "passthrough", "device": "/dev/tpm0"},
    "balloon": {"model": "virtio", "autodeflate": True, "free_page_reporting": True, "stats_period": 10},
    "vsock": {"cid": 77},
}
OTHERWISE = {
    "firmware": "bios",
    "secure_boot": None,
    "cpu": {"mode": "host-model", "topology": {"sockets": 2}},
    "numa_cells": [],
    "numa_tune": {"mode": "strict", "nodeset": "0"},
    "memory_backing": {"hugepages": "default", "locked": False, "access": "shared"},
    "iothreads": 1,
    "features": {"smm": False, "hyperv": []},
    "clock": {"offset": "utc", "timers": []},
    "on_reboot": "restart",
    "boot": ["hd", "network"],
    "disks": [
        {"file": str(DISK), "iotune": {}, "serial": "root1", "queues": 1},
        {"device": "cdrom", "target": "sdc", "file": str(OTHER)},
    ],
    "networks": [{"network": "default", "mac": "52:54:00:00:00:10", "link": "up", "queues": 1}],
    "hostdevs": [],
    "guest_agent": False,
    "channels": [],
    "graphics": [{"type": "vnc", "listen": "127.0.0.2", "password": "second"}],
    "filesystems": [],
    "serial": {"type": "pty"},
    "video": {"model": "none"},
    "watchdog": {"model": "i6300esb", "action": "reset"},
    "tpm": {"model": "tpm-tis"},
    "balloon": {"model": "none"},
    "vsock": {"auto_cid": True},
}


class TestWhole(Harness):
    """All that libvirt stores, in two declarations."""

    case = Case(
        kind="libvirt_domain",
        info="libvirt_info",
        a=WHOLE,
        b=OTHERWISE,
        look=lambda name: virsh("dumpxml", "--inactive", "--security-info", name, check=False) or None,
        seen_a={},
        seen_b={},
    )

    @pytest.fixture(autouse=True)
    def _pool(self):
        virsh("pool-create-as", "strata-test", "dir", "--target", str(IMAGES))
        yield
        virsh("pool-destroy", "strata-test")

    def stored(self) -> ET.Element:
        return document(self.case.name, "--inactive", "--security-info")

    def attributes(self, path: str) -> dict:
        return dict(self.stored().find(path).attrib)

    def test_it_is_stored_as_declared_and_changes_into_another_one(self):
        assert self.foretold(WHOLE)["changed"]
        self.unchanged(WHOLE)
        seen = self.stored()
        assert seen.find("os/loader").get("secure") == "yes"
        disks = {disk.find("target").get("dev"): disk.get("type") for disk in seen.findall("devices/disk")}
        assert disks == {"vda": "file", "sda": "volume", "vdb": "network", "sdc": "file"}
        assert seen.find("devices/disk/driver").get("iothread") == "1"
        assert seen.findtext("devices/disk/iotune/total_bytes_sec") == "10485760"
        kinds = [card.get("type") for card in seen.findall("devices/interface")]
        assert kinds == ["network", "direct", "bridge", "user"]
        assert seen.find("devices/interface[3]/bandwidth/inbound").attrib == {
            "average": "1000",
            "peak": "2000",
            "burst": "1024",
        }
        assert self.attributes("devices/graphics")["passwd"] == "first"
        assert self.attributes("cpu/topology")["cores"] == "2"
        assert [cell.get("memory") for cell in seen.findall("cpu/numa/cell")] == ["262144", "262144"]
        assert self.attributes("memoryBacking/hugepages/page") == {"size": "2048", "unit": "KiB"}
        assert len(seen.findall("devices/hostdev")) == 2
        (one,) = call("libvirt_info", {"name": [self.case.name]})["resources"]
        assert "first" not in str(one)
        again = {**one["options"], "graphics": WHOLE["graphics"]}
        assert call("libvirt_domain", again)["changes"] == []
        uuid = seen.findtext("uuid")

        after = {**WHOLE, **OTHERWISE}
        changed = self.foretold(after)
        assert "first" not in str(changed)
        assert "second" not in str(changed)
        self.unchanged(after)
        seen = self.stored()
        assert seen.findtext("uuid") == uuid
        assert seen.find("os/loader") is None
        assert [boot.get("dev") for boot in seen.findall("os/boot")] == ["hd", "network"]
        assert [disk.find("source").get("file") for disk in seen.findall("devices/disk")] == [str(DISK), str(OTHER)]
        assert seen.find("devices/disk/iotune") is None
        assert seen.find("devices/graphics").get("passwd") == "second"
        assert seen.find("devices/memballoon").get("model") == "none"
        assert seen.find("cpu/numa") is None
        assert seen.find("devices/hostdev") is None
        assert seen.find("devices/filesystem") is None
        self.apply({"state": "absent"})
        assert DISK.exists()
        assert OTHER.exists()

    def test_what_can_not_be_is_said_before_anything_is_touched(self):
        for spec, words in (
            ({"cpu_tune": {"vcpu_pins": {0: "99"}}}, r"cpu_tune\.vcpu_pins: the host's cpus are 0-"),
            ({"cpu_tune": {"vcpu_pins": {9: "0"}}}, r"cpu_tune\.vcpu_pins: there are 2 vcpus"),
            ({"cpu": {"topology": {"cores": 3}}}, r"cpu\.topology: is made of 3 vcpus, and there are 2"),
            ({"numa_cells": [{"id": 0, "cpus": "0-1", "memory": "1G"}]}, r"numa_cells\.memory: adds up to 1G"),
            ({"machine": "q36"}, "machine: is no machine of this host's QEMU"),
            ({"disks": [{"pool": "default", "volume": "gone"}]}, r"disks\.volume: there is no such volume"),
            ({"disks": [{"file": str(DISK), "io": "native"}]}, r"disks\.io: needs cache: none"),
            ({"memory_backing": {"access": "private"}, "numa_cells": None}, r"filesystems\.driver: needs memory"),
            ({"boot": ["hd"]}, "boot: and the boot_order of devices exclude each other"),
            ({"wait_for": ["tea"]}, "wait_for: has tea"),
            ({"cloud_init": {"user_data": "hostname: x"}}, r"cloud_init\.user_data: begins with nothing"),
            ({"hostdevs": [{"pci": "3:0.0"}]}, r"hostdevs\.pci: is no address on PCI"),
        ):
            with pytest.raises(Failed, match=words):
                self.apply({**WHOLE, **spec})
        assert self.case.look(self.case.name) is None


LIVE = {
    "memory": "128M",
    "memory_max": "192M",
    "vcpus": 1,
    "vcpus_max": 2,
    "disks": [{"file": str(DISK), "bus": "virtio", "cache": "none", "discard": "unmap"}],
    "networks": [{"network": "default", "model": "virtio"}],
    "cloud_init": {"user_data": {"hostname": "first"}},
    "cpu": {"mode": "host-model"},
    "state": "running",
}
if "cx16" not in Path("/proc/cpuinfo").read_text():
    # QEMU's own threads for more than one vcpu take cmpxchg16b for granted where their guest uses it.
    LIVE["cpu"]["features"] = {"cx16": "disable"}
NAME = "strata-test-live"


KERNEL, INITRD = IMAGES / "strata-test.vmlinux", IMAGES / "strata-test.initrd"
# Gets an address, says a word, and waits; the kernel answers for plugged devices by itself.
INIT = """#!/bin/busybox sh
for module in /*.ko; do /bin/busybox insmod $module; done
/bin/busybox ip link set eth0 up
/bin/busybox udhcpc -i eth0 -n -q -s /leased
echo strata-was-here
while :; do /bin/busybox sleep 60; done
"""


def make_initrd(path: Path) -> None:
    """A file system in memory that can speak to a network."""
    # The kernel that content.kernel takes, and not this machine's, where they differ.
    own = f"/boot/vmlinuz-{platform.release()}"
    kernel = own if Path(own).exists() else sorted(glob.glob("/boot/vmlinuz-*"))[-1]
    release = kernel.removeprefix("/boot/vmlinuz-")
    drivers = ("virtio_pci", "virtio_net", "af_packet")
    needed = [run("modprobe", "--set-version", release, "--show-depends", driver).splitlines() for driver in drivers]
    modules = [line.split()[1] for lines in needed for line in lines if line.startswith("insmod")]
    unpacked = [lzma.decompress(Path(module).read_bytes()) for module in dict.fromkeys(modules)]
    entries = [(name, 0o040755, (0, 0), b"") for name in ("bin", "dev", "proc")]
    entries += [("dev/console", 0o020600, (5, 1), b""), ("bin/busybox", 0o100755, (0, 0), content.busybox())]
    entries += [("init", 0o100755, (0, 0), INIT.encode()), ("leased", 0o100755, (0, 0), b"#!/bin/busybox sh\n")]
    entries += [(f"{place:02}.ko", 0o100644, (0, 0), module) for place, module in enumerate(unpacked)]
    path.write_bytes(content.cpio(entries))


def identity() -> tuple[str, str]:
    pid = Path(f"/run/libvirt/qemu/{NAME}.pid")
    return virsh("domid", NAME), pid.read_text().strip()


def live(spec: dict, **more) -> dict:
    return call("libvirt_domain", {"name": NAME, **spec}, **more)


@pytest.fixture(scope="class")
def domain():
    live({"state": "absent"})
    content.kernel(str(KERNEL))
    make_initrd(INITRD)
    said = yaml.safe_load(Path("playbooks/group_vars/all.yml").read_text())["demo_vm_cmdline"]
    boot = {"kernel": str(KERNEL), "initrd": str(INITRD), "cmdline": said.strip(), "console_log": str(LOG)}
    live({**LIVE, **boot, "wait_for": ["lease"], "wait_timeout": "10m"})
    assert "ipv4" in virsh("domifaddr", NAME), "it did not wait for an address"
    yield
    live({"state": "absent"})
    KERNEL.unlink()
    INITRD.unlink()


@pytest.mark.usefixtures("domain")
class TestRunning:
    """One domain that runs through all of it: a start is what takes longest."""

    def test_it_runs_as_declared_and_is_settled(self):
        assert virsh("domstate", NAME) == "running"
        for check in (True, False):
            assert live(LIVE, check=check)["changes"] == []

    def test_memory_and_vcpus_grow_without_a_restart(self):
        before = identity()
        grown = {**LIVE, "memory": "160M", "vcpus": 2}
        forecast = live(grown, check=True)
        done = live(grown)
        assert forecast["changes"] == done["changes"]
        assert {(change["field"], change["layer"]) for change in done["changes"]} == {
            ("memory", "config"),
            ("memory", "running"),
            ("vcpus", "config"),
            ("vcpus", "running"),
        }
        assert identity() == before
        assert document(NAME).find("vcpu").get("current") is None
        assert document(NAME, "--inactive").findtext("currentMemory") == str(160 * 1024)
        assert live(grown)["changes"] == []

    def test_over_the_maximum_it_is_stored_and_said(self):
        before = identity()
        more = {**LIVE, "memory": "256M", "memory_max": None, "vcpus": 2}
        for _run in range(2):
            assert live(more)["restart_required"] == ["memory"]
        assert identity() == before
        assert document(NAME, "--inactive").findtext("memory") == str(256 * 1024)
        live({**LIVE, "vcpus": 2, "memory": "160M"})

    def test_disks_and_cards_come_and_go_while_it_runs(self):
        deadline = time.monotonic() + 600
        while "strata-was-here" not in (LOG.read_text() if LOG.exists() else ""):
            assert time.monotonic() < deadline, "the kernel never got to its init"
            time.sleep(1)
        before = identity()
        now = {**LIVE, "vcpus": 2, "memory": "160M"}
        two = {**now, "disks": [*LIVE["disks"], {"file": str(OTHER)}], "networks": [*LIVE["networks"]] * 2}
        changes = live(two)["changes"]
        assert [change["effect"] for change in changes if change["layer"] == "running"] == ["live", "live"]
        seen = described(document(NAME))
        assert [disk[0] for disk in seen["disks"]] == [str(DISK), str(OTHER)]
        assert len({card[2] for card in seen["networks"]}) == 2
        assert live(two)["changes"] == []
        for touch in (1, 2):  # killed while it takes them away, it goes on
            with pytest.raises(Killed):
                live(now, touches=TOUCHES, die_at=touch)
        live(now)
        assert [disk[0] for disk in described(document(NAME))["disks"]] == [str(DISK)]
        assert len(described(document(NAME))["networks"]) == 1
        assert identity() == before

    def test_tuning_changes_while_it_runs(self):
        before = identity()
        card = {**LIVE["networks"][0], "mac": document(NAME).find("devices/interface/mac").get("address")}
        now = {
            **LIVE,
            "vcpus": 2,
            "memory": "160M",
            "iothreads": 2,
            "cpu_tune": {"vcpu_pins": {0: "1"}, "emulator_pin": "0", "iothread_pins": {2: "1"}},
            "disks": [{**LIVE["disks"][0], "iotune": {"write_iops_sec": 100}}],
            "networks": [{**card, "link": "down"}],
        }
        for touch in (1, 2, 3):
            with pytest.raises(Killed):
                live(now, touches=TOUCHES, die_at=touch)
        changes = live(now)["changes"]
        assert {change["effect"] for change in changes if change["layer"] == "running"} == {"live"}
        assert live(now)["changes"] == []
        assert document(NAME).find("cpu").get("mode") == "custom", "libvirt tells what was asked for by itself"
        assert "write_iops_sec : 100" in virsh("blkdeviotune", NAME, "vda")
        assert virsh("domif-getlink", NAME, card["mac"]).split()[-1] == "down"
        threads = [line.split() for line in virsh("iothreadinfo", NAME).splitlines()[2:]]
        assert {thread[0] for thread in threads} == {"1", "2"}
        pid = Path(f"/run/libvirt/qemu/{NAME}.pid").read_text().strip()
        allowed = {
            Path(f"/proc/{pid}/task/{task.name}/comm").read_text().strip(): re.search(
                r"Cpus_allowed_list:\s*(\S+)", (task / "status").read_text()
            ).group(1)
            for task in Path(f"/proc/{pid}/task").iterdir()
        }
        assert allowed["CPU 0/TCG"] == "1"
        assert allowed["IO iothread2"] == "1"
        less = {**now, "iothreads": 0, "cpu_tune": None, "disks": [{**LIVE["disks"][0], "iotune": {}}]}
        less["networks"] = [{**card, "link": "up"}]
        live({**less, "cpu_tune": {"iothread_pins": {}}})
        assert virsh("iothreadinfo", NAME).splitlines()[2:] == []
        assert "write_iops_sec : 0" in virsh("blkdeviotune", NAME, "vda")
        assert identity() == before

    def test_another_seed_is_stored_and_waits_for_a_restart(self):
        before = identity()
        for _run in range(2):
            other = live({"cloud_init": {"user_data": {"hostname": "second"}}})
            assert other["restart_required"] == ["cloud_init"]
        assert identity() == before
        assert {told(str(seed)) for seed in SEEDS.glob(f"{NAME}.*.iso")} == {"first", "second"}
        assert live({"cloud_init": LIVE["cloud_init"]})["restart_required"] == []
        assert [told(str(seed)) for seed in SEEDS.glob(f"{NAME}.*.iso")] == ["first"]

    def test_it_is_paused_and_saved_and_goes_on(self):
        ident, _process = identity()
        for state, told_by_virsh in (("paused", "paused"), ("running", "running"), ("saved", "shut off")):
            assert live({"state": state}, check=True)["changes"] != []
            live({"state": state})
            assert live({"state": state})["changes"] == []
            assert virsh("domstate", NAME) == told_by_virsh
        assert NAME in virsh("list", "--all", "--with-managed-save", "--name").split()
        said = LOG.read_text().count("strata-was-here")
        live({"state": "running"})
        assert virsh("domstate", NAME) == "running"
        assert LOG.read_text().count("strata-was-here") == said, "it was booted anew"
        assert identity()[0] != ident

    def test_a_guest_that_does_not_shut_down_is_an_error_unless_forced(self):
        off = {"state": "shutdown", "timeout": "2s"}
        with pytest.raises(Failed, match="force: true"):
            live(off)
        assert virsh("domstate", NAME) == "running"
        live({**off, "force": True})
        assert virsh("domstate", NAME) == "shut off"
        assert live(off)["changes"] == []


@pytest.mark.machine  # a container's kernel may have neither the queues nor the control groups
def test_weights_and_bandwidth_change_while_it_runs():
    """Nothing has to boot for it: a paused domain has all its threads, and its card."""
    name, mac = "strata-test-weights", "52:54:00:00:00:20"
    rates = {"inbound": {"average": 1000}, "outbound": {"average": 1000, "peak": 2000}}
    spec = {
        "name": name,
        "memory": "64M",
        "state": "paused",
        "networks": [{"network": "default", "mac": mac, "bandwidth": rates}],
        "cpu_tune": {"shares": 512},
    }
    try:
        call("libvirt_domain", spec)
        ident = virsh("domid", name)
        spec["cpu_tune"] = {"shares": 2048, "quota": 50000}
        spec["networks"][0]["bandwidth"] = {"outbound": {"average": 2000, "peak": 4000}}
        changes = call("libvirt_domain", spec)["changes"]
        assert {change["effect"] for change in changes if change["layer"] == "running"} == {"live"}
        assert call("libvirt_domain", spec)["changes"] == []
        assert virsh("domid", name) == ident
        scheduled = dict(
            line.replace(" ", "").split(":") for line in virsh("schedinfo", name).splitlines() if ":" in line
        )
        assert (scheduled["cpu_shares"], scheduled["vcpu_quota"]) == ("2048", "50000")
        tune = virsh("domiftune", name, mac)
        assert "inbound.average: 0" in tune
        assert "outbound.peak  : 4000" in tune or "outbound.peak: 4000" in tune
    finally:
        call("libvirt_domain", {"name": name, "state": "absent"})


EXAMPLE = """
- libvirt_network:
    name: lab0
    forward: {mode: nat}
    bridge: virbr10
    ip:
      address: 10.20.0.1/24
      dhcp:
        ranges: [[10.20.0.100, 10.20.0.200]]
        hosts: [{mac: "52:54:00:00:00:10", ip: 10.20.0.10, name: lab1}]
    autostart: true
    state: active
- libvirt_pool: {name: default, type: dir, path: /var/lib/libvirt/images, autostart: true, state: active}
- libvirt_volume: {pool: default, name: base.qcow2, format: qcow2, capacity: 10G}
- libvirt_volume: {pool: default, name: lab1.qcow2, format: qcow2, capacity: 10G, backing: base.qcow2}
- libvirt_domain:
    name: lab1
    memory: 1G
    max_memory: 2G
    vcpus: 2
    max_vcpus: 4
    cpu: {mode: host-model}
    disks:
      - {volume: lab1.qcow2, pool: default, bus: virtio, cache: none, io: native, discard: unmap, iothread: 1}
    iothreads: 1
    networks: [{network: lab0, model: virtio, mac: "52:54:00:00:00:10", queues: 2}]
    cpu_tune: {vcpu_pins: {0: "0", 1: "1"}, emulator_pin: "0-1"}
    cloud_init: {user_data: {hostname: lab1, ssh_pwauth: false, ssh_authorized_keys: ["ssh-ed25519 AAAA lab"]}}
    guest_agent: true
    state: running
    autostart: true
    wait_for: [lease]
"""


def test_a_lab_is_made_in_one_task_and_waited_for():
    """The network, the pool, the volumes and the domain, which boots a kernel besides, since nothing is on its disk."""
    entries = yaml.safe_load(EXAMPLE)
    kernel, initrd = IMAGES / "lab1.vmlinux", IMAGES / "lab1.initrd"
    content.kernel(str(kernel))
    make_initrd(initrd)
    said = yaml.safe_load(Path("playbooks/group_vars/all.yml").read_text())["demo_vm_cmdline"].strip()
    entries[-1]["libvirt_domain"].update({"kernel": str(kernel), "initrd": str(initrd), "cmdline": said})
    try:
        assert call("stack", {"name": "strata-test-lab", "resources": entries, "prune": True})["changed"]
        assert "10.20.0.10/24" in virsh("domifaddr", "lab1")
        root = document("lab1")
        assert root.find("devices/disk/source").get("volume") == "lab1.qcow2"
        assert root.find("devices/interface/driver").get("queues") == "2"
        assert root.find("devices/channel/target").get("name") == "org.qemu.guest_agent.0"
        assert virsh("vcpupin", "lab1").splitlines()[2:4] == [" 0      0", " 1      1"]
        again = call("stack", {"name": "strata-test-lab", "resources": entries, "prune": True})
        assert (again["changed"], again["restart_required"]) == (False, [])
        with pytest.raises(Failed, match="lab1"):  # a disk in use
            call("libvirt_volume", {"pool": "default", "name": "lab1.qcow2", "state": "absent"})
        grown = {**entries[-1]["libvirt_domain"], "vcpus": 3, "memory": "1500M", "wait_for": None}
        assert {one["effect"] for one in call("libvirt_domain", grown)["changes"]} == {"next_boot", "live"}
    finally:
        call("libvirt_domain", {"name": "lab1", "state": "absent"})
        gone = [
            {"libvirt_volume": {"pool": "default", "name": name, "state": "absent"}}
            for name in ("lab1.qcow2", "base.qcow2")
        ]
        gone += [{"libvirt_network": {"name": "lab0", "state": "absent"}}]
        call("stack", {"name": "strata-test-lab", "resources": gone, "prune": True})
        for file in (kernel, initrd):
            file.unlink()
    assert not list(SEEDS.glob("lab1.*.iso"))
