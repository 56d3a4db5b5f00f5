# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_domain, looked at through virsh."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from playbooks.files import content
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, Killed, call, run

IMAGES = Path("/var/lib/libvirt/images")
DISK, OTHER = IMAGES / "strata-test.qcow2", IMAGES / "strata-test-data.raw"
LOG = Path("/var/log/libvirt/qemu/strata-test-console.log")
HOST = "engines.libvirt.Host"
VERBS = (
    "define",
    "undefine",
    "set_autostart",
    "start",
    "destroy",
    "set_memory",
    "set_vcpus",
    "attach",
    "detach",
    "note",
)
TOUCHES = tuple(f"{HOST}.{verb}" for verb in VERBS)


def virsh(*words: str, **more) -> str:
    return run("virsh", *words, **more)


def document(name: str, *flags: str) -> ET.Element:
    return ET.fromstring(virsh("dumpxml", *flags, name))


def described(root: ET.Element) -> dict:
    disks = root.findall("devices/disk")
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
    }


def look(name: str) -> dict | None:
    if name not in virsh("list", "--all", "--name").split():
        return None
    info = virsh("dominfo", name)
    autostart = "enable" in next(line for line in info.splitlines() if line.startswith("Autostart"))
    return {**described(document(name, "--inactive")), "autostart": autostart, "state": virsh("domstate", name)}


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
        },
        b={
            "state": "shutdown",
            "memory": "300M",
            "memory_max": "300M",
            "vcpus": 2,
            "disks": [{"file": str(DISK), "cache": "writeback"}, {"file": str(OTHER), "bus": "sata"}],
            "networks": [],
            "autostart": False,
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
        },
        seen_b={"memory": ["307200", "307200"], "networks": [], "autostart": False},
        drifts={
            "more memory": lambda name: virsh("setmem", name, "400M", "--config"),
            "another cache mode": lambda name: edit(name, "cache='none'", "cache='unsafe'"),
            "a network card less": lambda name: virsh("detach-interface", name, "network", "--config"),
            "a disk more": lambda name: virsh("attach-disk", name, str(OTHER), "vdb", "--config"),
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


LIVE = {
    "memory": "128M",
    "memory_max": "192M",
    "vcpus": 1,
    "vcpus_max": 2,
    "disks": [{"file": str(DISK), "bus": "virtio", "cache": "none", "discard": "unmap"}],
    "networks": [{"network": "default", "model": "virtio"}],
    "state": "running",
}
NAME = "strata-test-live"


KERNEL, INITRD = IMAGES / "strata-test.vmlinux", IMAGES / "strata-test.initrd"
# Says a word once it is up, and waits; the kernel answers for plugged devices by itself.
INIT = "#!/bin/busybox sh\necho strata-was-here\nwhile :; do /bin/busybox sleep 60; done\n"


def identity() -> tuple[str, str]:
    pid = Path(f"/run/libvirt/qemu/{NAME}.pid")
    return virsh("domid", NAME), pid.read_text().strip()


def live(spec: dict, **more) -> dict:
    return call("libvirt_domain", {"name": NAME, **spec}, **more)


@pytest.fixture(scope="class")
def domain():
    live({"state": "absent"})
    content.kernel(str(KERNEL))
    content.initrd(str(INITRD), content.busybox(), INIT)
    said = yaml.safe_load(Path("playbooks/group_vars/all.yml").read_text())["demo_vm_cmdline"]
    boot = {"kernel": str(KERNEL), "initrd": str(INITRD), "cmdline": said.strip(), "console_log": str(LOG)}
    live({**LIVE, **boot, "state": "shutdown"})
    if "cx16" not in Path("/proc/cpuinfo").read_text():
        # QEMU's own threads for more than one vcpu take cmpxchg16b for granted where their guest uses it.
        edit(NAME, "</cpu>", "<feature policy='disable' name='cx16'/></cpu>")
    live({**LIVE, **boot})
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

    def test_a_guest_that_does_not_shut_down_is_an_error_unless_forced(self):
        off = {"state": "shutdown", "timeout": "2s"}
        with pytest.raises(Failed, match="force: true"):
            live(off)
        assert virsh("domstate", NAME) == "running"
        live({**off, "force": True})
        assert virsh("domstate", NAME) == "shut off"
        assert live(off)["changes"] == []
