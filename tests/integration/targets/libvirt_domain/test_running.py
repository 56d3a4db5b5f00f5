# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_domain, as it runs."""

from __future__ import annotations

import glob
import lzma
import platform
import re
import time
from pathlib import Path

import pytest
import yaml

from playbooks.files import content
from tests.lab.driver import Failed, Killed, call, run
from tests.lab.libvirt_domains import (
    DISK,
    IMAGES,
    LOG,
    OTHER,
    SEEDS,
    TOUCHES,
    described,
    document,
    told,
    virsh,
)

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
