# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_domain, as it is stored: nothing has to start for it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence, Harness
from tests.lab.driver import Failed, call
from tests.lab.libvirt_domains import (
    DISK,
    IMAGES,
    LOG,
    OTHER,
    SEEDS,
    TOUCHES,
    document,
    edit,
    look,
    virsh,
)

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
