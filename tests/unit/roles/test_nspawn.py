# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""roles/nspawn/files/look.py, on a tree of files that stands for a host."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest

LOOK = Path(__file__).resolve().parents[3] / "roles" / "nspawn" / "files" / "look.py"
spec = importlib.util.spec_from_file_location("nspawn_look", LOOK)
nspawn_look = importlib.util.module_from_spec(spec)
spec.loader.exec_module(nspawn_look)

VE = "/etc/systemd/network/80-container-ve.network.d/50-strata.conf"
ROOT_ONLY = "25 1 8:1 / / rw,relatime - ext4 /dev/vda rw\n"
POOL = ROOT_ONLY + "30 25 0:40 / /var/lib/machines rw - btrfs /dev/loop3 rw\n"
RUNS = {"ActiveState": "active", "CanReload": "yes", "UnitFileState": "enabled", "StateChangeTimestampMonotonic": "0"}
GIB = 2**30


class Host:
    """What the host's programs say."""

    def __init__(self, root):
        self.root = root
        self.units = dict(RUNS)
        self.said = {}

    def put(self, path, content=""):
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        return place

    def run(self, *argv, **_more):
        return subprocess.CompletedProcess(argv, 0, self.said.get(argv[0], ""), "")


@pytest.fixture
def host(tmp_path, monkeypatch):
    made = Host(tmp_path)
    monkeypatch.setattr(nspawn_look, "ROOT", str(tmp_path))
    monkeypatch.setattr(nspawn_look, "run", made.run)
    monkeypatch.setattr(nspawn_look, "show", lambda unit: made.units)
    monkeypatch.setattr(nspawn_look, "refusal", lambda content: [])
    made.put("/usr/lib/systemd/network/80-container-ve.network")
    made.put("/proc/self/mountinfo", ROOT_ONLY)
    return made


def look(**more):
    return nspawn_look.look({"networks": {}, "networkd": None, "unit": None, "pool": None, **more})


@pytest.mark.usefixtures("host")
def test_where_nothing_is_declared_there_is_nothing_to_do():
    assert look() == {"refused": [], "folders": [], "files": [], "commands": [], "back": [], "told": []}


def test_networks_are_drop_ins_that_are_read_again(host):
    wanted = {
        "ve": {"Network": {"Address": ["10.1.0.1/24", "fd00::1/64"], "LLDP": False}, "DHCPServer": {"PoolSize": 9}}
    }
    seen = look(networks=wanted)
    (file,) = seen["files"]
    assert (file["path"], file["before"]) == (VE, None)
    assert file["content"] == (
        "# Written by strata.virt.nspawn\n\n[Network]\nAddress=10.1.0.1/24\nAddress=fd00::1/64\nLLDP=no\n"
        "\n[DHCPServer]\nPoolSize=9\n"
    )
    assert seen["folders"] == [VE.rpartition("/")[0]]
    assert seen["commands"] == seen["back"] == [["systemctl", "reload", "systemd-networkd.service"]]
    host.units["CanReload"] = "no"
    assert look(networks=wanted)["commands"] == [["networkctl", "reload"]]
    host.put(VE, file["content"])
    assert look(networks=wanted)["commands"] == []
    host.units["CanReload"] = "yes"  # it was told to read them at boot, before the file was there
    host.units["StateChangeTimestampMonotonic"] = "1"
    assert look(networks=wanted)["commands"] == [["systemctl", "reload", "systemd-networkd.service"]]


def test_what_networkd_says_against_new_files_is_told(host):
    host.units["CanReload"] = "no"
    host.put(VE, look(networks={"ve": {}})["files"][0]["content"])
    host.said["journalctl"] = f"eth0: up\n{VE}:4: Unknown key 'x' in section [Network], ignoring.\n"
    assert look(networks={"ve": {}})["refused"] == [
        f"systemd-networkd.service: {VE}:4: Unknown key 'x' in section [Network], ignoring."
    ]


def test_networkd_is_started_where_it_would_touch_nothing_of_others(host):
    host.units.update(ActiveState="inactive", UnitFileState="disabled")
    seen = look(networkd=True, networks={"ve": {}})
    assert seen["commands"] == [
        ["systemctl", "enable", "--now", "systemd-networkd.service"],
        ["systemctl", "disable", "systemd-networkd-wait-online.service"],
    ]
    assert seen["back"] == [["systemctl", "disable", "--now", "systemd-networkd.service"]]
    assert "doesn't run" in look(networks={"ve": {}})["told"][0]
    host.put("/etc/systemd/network/20-wired.network")
    assert "would act on /etc/systemd/network/20-wired.network" in look(networkd=True)["refused"][0]


def test_there_are_no_other_kinds_of_links(host):
    assert look(networks={"xx": {}})["refused"] == ["nspawn_networks: this systemd has no 80-container-xx.network"]


def test_the_unit_of_all_machines(host):
    seen = look(unit={"Service": {"TimeoutStopSec": "20s"}})
    assert seen["files"][0]["content"].endswith("\n[Service]\nTimeoutStopSec=20s\n")
    assert seen["commands"] == seen["back"] == [["systemctl", "daemon-reload"]]
    host.put(nspawn_look.UNIT, seen["files"][0]["content"])
    assert look(unit={"Service": {"TimeoutStopSec": "20s"}})["files"] == []


def test_a_pool_is_made_grows_and_does_not_shrink(host):
    seen = look(pool="1G")
    new = "/var/lib/machines.raw.strata-new"
    assert seen["commands"][0] == ["truncate", f"--size={GIB}", new]
    assert seen["commands"][3:5] == [
        ["mv", "--no-clobber", new, "/var/lib/machines.raw"],
        ["systemctl", "start", "var-lib-machines.mount"],
    ]
    with host.put("/var/lib/machines.raw").open("wb") as file:
        file.truncate(GIB)
    # Killed before it was mounted
    assert look(pool="1G")["commands"][0] == ["systemctl", "start", "var-lib-machines.mount"]
    assert "isn't mounted" in look(pool="2G")["refused"][0]
    host.put("/proc/self/mountinfo", POOL)
    host.said["findmnt"] = "/dev/loop3\n"
    assert look(pool="1GiB") == look()
    assert look(pool="2G")["commands"] == [
        ["truncate", f"--size={2 * GIB}", "/var/lib/machines.raw"],
        ["losetup", "--set-capacity", "/dev/loop3"],
        ["btrfs", "filesystem", "resize", "max", "/var/lib/machines"],
    ]
    assert "doesn't shrink" in look(pool="512M")["refused"][0]


def test_on_btrfs_it_is_a_limit(host):
    host.put("/proc/self/mountinfo", ROOT_ONLY.replace("ext4", "btrfs"))
    host.said["busctl"] = "t 18446744073709551615\n"
    assert look(pool="1G")["commands"][1] == ["machinectl", "set-limit", str(GIB)]
    host.said["busctl"] = f"t {GIB}\n"
    assert look(pool="1G")["commands"] == []


def test_what_a_pool_would_hide_is_named(host):
    host.put("/var/lib/machines/deb/file")
    assert "would hide deb. Move that away" in look(pool="1G")["refused"][0]
    host.put("/proc/self/mountinfo", POOL.replace("btrfs", "xfs"))
    assert "a file system of its own, xfs" in look(pool="1G")["refused"][0]
    assert "wants a size as 20G (got 'much')" in look(pool="much")["refused"][0]
