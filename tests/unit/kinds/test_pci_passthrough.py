# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""pci_passthrough, on a tree of files that stands for a host's sysfs, and does what its kernel does."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import files
from ansible_collections.strata.virt.plugins.module_utils.core.converge import carry_out, verify
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import mounts, pcifs, systemd
from ansible_collections.strata.virt.plugins.module_utils.kinds import pci_passthrough as kind
from ansible_collections.strata.virt.plugins.module_utils.kinds import pci_passthrough_unit
from ansible_collections.strata.virt.plugins.module_utils.kinds.pci_passthrough import PciPassthrough

GPU, AUDIO, NIC, BRIDGE, ALONE = ("0000:01:00.0", "0000:01:00.1", "0000:02:00.0", "0000:00:01.0", "0000:03:00.0")
USUAL = {GPU: "nouveau", AUDIO: "snd_hda_intel", NIC: "igb", BRIDGE: "pcieport", ALONE: "nvme"}
GROUPS = {GPU: "1", AUDIO: "1", BRIDGE: "1", NIC: "2"}


class Kernel:
    """The host's devices; ``told`` is what was written, in order."""

    def __init__(self, top) -> None:
        self.top, self.told = top, []
        self.usual = dict(USUAL)
        for address, driver in USUAL.items():
            self.plug(address, "0x060400" if address == BRIDGE else "0x030000")
            self.bind(address, driver)
        (self.devices / NIC / "sriov_numvfs").write_text("0\n")
        (self.devices / NIC / "sriov_totalvfs").write_text("7\n")

    @property
    def devices(self):
        return self.top / "devices"

    def plug(self, address, sort="0x020000"):
        device = self.devices / address
        device.mkdir(parents=True)
        (device / "class").write_text(f"{sort}\n")
        (device / "driver_override").write_text("(null)\n")
        group = GROUPS.get(address)
        if group:
            (self.top / "groups" / group / "devices" / address).mkdir(parents=True)
            (device / "iommu_group").symlink_to(self.top / "groups" / group)

    def bind(self, address, driver):
        (self.top / "drivers" / driver).mkdir(parents=True, exist_ok=True)
        (self.devices / address / "driver").symlink_to(self.top / "drivers" / driver)

    def write(self, path, text):
        self.told.append((os.path.relpath(path, self.top), text.strip()))
        folder, name = os.path.split(path)
        if name == "unbind":
            (self.devices / text / "driver").unlink()
        elif name == "drivers_probe":
            override = (self.devices / text / "driver_override").read_text().strip()
            self.bind(text, self.usual.get(text, "igbvf") if override == "(null)" else override)
        elif name == "driver_override":
            (self.devices / os.path.basename(folder) / name).write_text(text.strip() or "(null)")
        elif name == "sriov_numvfs":
            for link in (self.devices / NIC).glob("virtfn*"):
                link.unlink()
            for number in range(int(text)):
                address = f"0000:02:10.{number}"
                if not (self.devices / address).exists():
                    self.plug(address)
                    self.bind(address, "igbvf")
                (self.devices / NIC / f"virtfn{number}").symlink_to(self.devices / address)
            (self.devices / NIC / name).write_text(text)


@pytest.fixture(autouse=True)
def kernel(tmp_path, monkeypatch):
    made = Kernel(tmp_path)
    monkeypatch.setattr(pcifs, "DEVICES", str(made.devices))
    monkeypatch.setattr(pcifs, "PROBE", str(tmp_path / "drivers_probe"))
    monkeypatch.setattr(pcifs, "DRIVERS", str(tmp_path / "drivers"))
    monkeypatch.setattr(pcifs, "write", made.write)
    monkeypatch.setattr(pcifs.command, "run", made.told.append)
    monkeypatch.setattr(mounts, "users", lambda tops: [])
    monkeypatch.setattr(kind, "_NOTES", str(tmp_path / "notes"))
    monkeypatch.setattr(systemd, "UNITS", str(tmp_path / "units"))
    monkeypatch.setattr(systemd, "booted", lambda: True)
    monkeypatch.setattr(systemd, "refresh", lambda *units: dict.fromkeys(units, "inactive"))
    return made


def planned(address, owner="", **options):
    resource = PciPassthrough({"address": address, **options}, owner=owner)
    return resource, resource.plan(read_one(resource, None))


def applied(address, **options):
    resource, plan = planned(address, **options)
    carry_out(resource, None, plan)
    verify(resource, None, read_one(resource, None))
    assert not planned(address, **options)[1]
    return plan


def driver(address):
    return pcifs.read(address).driver


def test_a_device_changes_hands_and_comes_back(kernel):
    assert applied(NIC, driver="vfio-pci").steps == ("create",)
    assert kernel.told == [
        ["modprobe", "--", "vfio-pci"],
        (f"devices/{NIC}/driver_override", "vfio-pci"),
        (f"devices/{NIC}/driver/unbind", NIC),
        ("drivers_probe", NIC),
    ]
    assert driver(NIC) == "vfio-pci"
    assert applied(NIC, driver="").steps == ("update",)
    assert driver(NIC) == "igb"
    applied(NIC, driver="vfio-pci")
    applied(NIC, state="absent")
    assert driver(NIC) == "igb"
    assert not os.listdir(kind._NOTES)


def test_a_group_goes_as_a_whole(kernel):
    with pytest.raises(
        StrataError, match=rf"shares its IOMMU group 1 with {AUDIO} \(snd_hda_intel\), which the host uses"
    ):
        planned(GPU, driver="vfio-pci")
    applied(GPU, driver="vfio-pci", group=True)
    assert [driver(one) for one in (GPU, AUDIO, BRIDGE)] == ["vfio-pci", "vfio-pci", "pcieport"]
    assert not planned(GPU, driver="vfio-pci")[1]
    # Somebody takes a part of it back.
    pcifs.hand_over(AUDIO, "")
    assert [change.field for change in applied(GPU, driver="vfio-pci", group=True).changes] == ["together"]
    applied(GPU, state="absent")
    assert [driver(one) for one in (GPU, AUDIO)] == ["nouveau", "snd_hda_intel"]


def test_what_was_handed_over_by_itself_stays_so(kernel):
    applied(AUDIO, driver="pci-stub")
    applied(GPU, driver="vfio-pci")
    applied(GPU, state="absent")
    assert driver(AUDIO) == "pci-stub"


def test_functions(kernel):
    applied(NIC, functions=2)
    assert pcifs.functions(NIC) == ["0000:02:10.0", "0000:02:10.1"]
    kernel.told.clear()
    applied(NIC, functions=3)
    assert kernel.told == [(f"devices/{NIC}/sriov_numvfs", "0"), (f"devices/{NIC}/sriov_numvfs", "3")]
    assert driver(NIC) == "igb"
    applied(NIC, state="absent")
    assert pcifs.functions(NIC) == []


def test_what_is_kept_for_the_next_boot():
    applied(GPU, driver="vfio-pci", group=True, persistent=True)
    unit = (pci_passthrough_unit.unit(GPU), pci_passthrough_unit.read(GPU))
    assert unit == (f"strata-pci-{GPU}.service", ({"driver": "vfio-pci", "group": True}, ""))
    told = PciPassthrough.export(GPU, read_one(PciPassthrough({"address": GPU}), None))
    assert not planned(**told)[1]
    # As after a boot that didn't: the note is gone, and the host has it.
    for one in (GPU, AUDIO):
        pcifs.hand_over(one, "")
    os.unlink(f"{kind._NOTES}/{GPU}")
    _resource, plan = planned(GPU, driver="vfio-pci", group=True)
    assert (plan.steps, {change.field for change in plan.changes}) == (("update",), {"driver", "together"})
    applied(GPU, driver="vfio-pci", group=True)
    applied(GPU, persistent=False)
    assert pci_passthrough_unit.read(GPU) is None
    applied(GPU, state="absent")
    assert driver(AUDIO) == "snd_hda_intel"
    applied(NIC, functions=2, persistent=True)
    assert pci_passthrough_unit.read(NIC)[0] == {"functions": 2}


@pytest.mark.parametrize(
    ("address", "options", "words"),
    [
        (ALONE, {"driver": "vfio-pci"}, "driver: needs an IOMMU"),
        (BRIDGE, {"driver": "vfio-pci"}, "address: is a bridge"),
        ("0000:09:00.0", {"driver": "vfio-pci"}, "address: this host has no PCI device there"),
        (NIC, {"functions": 8}, "functions: can be divided into 7 virtual functions at most"),
        (GPU, {"functions": 1}, "functions: can't be divided"),
        (NIC, {"functions": 1, "driver": "vfio-pci"}, "functions: goes without driver"),
        (NIC, {"driver": "../x"}, "driver: is no name of a driver"),
        ("1:0", {}, "address: is no PCI address"),
    ],
)
def test_what_cannot_be_is_refused(kernel, address, options, words):
    with pytest.raises(StrataError, match=words):
        planned(address, **options)
    assert kernel.told == []


def test_what_is_in_use_is_not_taken(kernel, monkeypatch):
    net = kernel.devices / NIC / "net" / "eth0"
    net.mkdir(parents=True)
    (net / "flags").write_text("0x1003\n")
    with pytest.raises(StrataError, match=f"{NIC} is in use: the network interface eth0, which is up"):
        planned(NIC, driver="vfio-pci")
    (net / "flags").write_text("0x1002\n")
    assert planned(NIC, driver="vfio-pci")[1]
    disk = kernel.devices / NIC / "nvme" / "nvme0" / "block" / "sda" / "sda1"
    disk.mkdir(parents=True)
    (disk / "dev").write_text("8:1\n")
    table = mounts.Table(mounts.parse("30 1 8:1 / /srv rw - ext4 /dev/sda1 rw\n"))
    monkeypatch.setattr(mounts, "table", lambda: table)
    with pytest.raises(StrataError, match="in use: /dev/sda1 mounted at /srv"):
        planned(NIC, driver="vfio-pci")
    monkeypatch.setattr(mounts, "table", lambda: mounts.Table(()))
    applied(NIC, driver="vfio-pci")
    monkeypatch.setattr(mounts, "users", lambda tops: ["process 7 (qemu)"] if tops == ["/dev/vfio/2"] else [])
    with pytest.raises(StrataError, match="in use: process 7"):
        planned(NIC, state="absent")
    applied(NIC, driver="vfio-pci")


def test_spellings_of_an_address_are_one():
    assert {PciPassthrough({"address": one}).name for one in ("02:00.0", "0000:02:00.0")} == {NIC}
    assert {PciPassthrough({"address": one}).name for one in ("0000:0A:1F.7", "0a:1f.7")} == {"0000:0a:1f.7"}


def test_owners(kernel):
    resource, plan = planned(NIC, owner="web", driver="vfio-pci")
    carry_out(resource, None, plan)
    assert read_one(resource, None).owner == "web"
    note = json.loads(files.read(f"{kind._NOTES}/{NIC}"))
    assert note == {"owner": "web", "driver": "vfio-pci", "together": []}
    pcifs.hand_over(AUDIO, "vfio-pci")
    assert read_one(PciPassthrough({"address": AUDIO}), None).owner is None
    found = PciPassthrough.read_many(None, None)
    assert sorted(name for name, state in found.items() if state.exists) == [AUDIO, NIC]


@pytest.mark.parametrize("gone", [{"driver": ""}, {"state": "absent"}])
def test_killed_after_each_write_it_is_given_back_all_the_same(kernel, monkeypatch, gone):
    """Every device of the group, by the next run."""

    class Killed(Exception):
        pass

    for touch in range(1, 7):
        applied(GPU, driver="vfio-pci", group=True)
        resource, plan = planned(GPU, **gone)
        end = len(kernel.told) + touch

        def write(path, text, end=end):
            kernel.write(path, text)
            if len(kernel.told) == end:
                raise Killed

        monkeypatch.setattr(pcifs, "write", write)
        with pytest.raises(Killed):
            carry_out(resource, None, plan)
        monkeypatch.setattr(pcifs, "write", kernel.write)
        applied(GPU, **gone)
        assert [driver(one) for one in (GPU, AUDIO)] == ["nouveau", "snd_hda_intel"], touch
        assert not any(pcifs.read(one).override for one in (GPU, AUDIO))
