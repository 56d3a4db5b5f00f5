# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_pool, looked at through libvirt's own binding, virsh and the host's own folders."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import libvirt
import pytest

from tests.lab import libvirt_api
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, run

ROOT = Path("/var/tmp/strata-pools")
ENGINE = "engines.libvirt_storage.Pools"


def virsh(*words: str, **more) -> str:
    return run("virsh", *words, **more)


def document(name: str, *flags: str) -> ET.Element:
    return ET.fromstring(virsh("pool-dumpxml", *flags, name))


def look(name: str) -> dict | None:
    pool, seen = libvirt_api.state_of(libvirt_api.connection().listAllStoragePools(0), name)
    if pool is None:
        return None
    root = ET.fromstring(pool.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE))
    folder = Path(root.findtext("target/path"))
    return {
        **seen,
        "type": root.get("type"),
        "stored mode": root.findtext("target/permissions/mode"),
        "mode": f"{folder.stat().st_mode & 0o7777:04o}" if folder.exists() else None,
    }


def mounted(folder: Path) -> set[str]:
    options = run("findmnt", "--noheadings", "--output=OPTIONS", "--mountpoint", str(folder), check=False)
    return set(filter(None, options.split(",")))


def restored(name: str) -> None:
    """Somebody stores another mode, as virsh pool-edit does."""
    file = Path("/tmp/strata-test-pool.xml")
    file.write_text(virsh("pool-dumpxml", "--inactive", name).replace("<mode>0711<", "<mode>0700<"))
    virsh("pool-define", str(file))


@pytest.fixture(scope="module", autouse=True)
def _root():
    ROOT.mkdir(mode=0o755)
    yield
    shutil.rmtree(ROOT)


class TestLibvirtPool(Convergence):
    case = Case(
        kind="libvirt_pool",
        info="libvirt_pool_info",
        a={"type": "dir", "mode": "0711", "autostart": True, "restart": "if_needed"},
        b={"type": "dir", "mode": "0750", "restart": "if_needed"},
        own=lambda name: {"path": str(ROOT / name)},
        look=look,
        idle={"state": "inactive"},
        seen_a={"active": True, "autostart": True, "type": "dir", "stored mode": "0711", "mode": "0711"},
        seen_b={"active": True, "type": "dir", "stored mode": "0750", "mode": "0750"},
        drifts={
            "another mode, stored": restored,
            "stopped": lambda name: virsh("pool-destroy", name),
            "not at boot": lambda name: virsh("pool-autostart", "--disable", name),
            "forgotten": lambda name: (virsh("pool-destroy", name), virsh("pool-undefine", name)),
        },
        touches=tuple(
            f"{ENGINE}.{verb}" for verb in ("define", "undefine", "set_autostart", "start_folder", "stop", "delete")
        ),
        bad=(("mode", "rwx"), ("type", "cloud"), ("path", "here")),
        bad_names=("", "a/../b"),
    )

    @property
    def name(self) -> str:
        return self.case.name

    @property
    def folder(self) -> Path:
        return ROOT / self.name

    def test_what_is_in_it_stays(self):
        self.apply(self.case.a)
        virsh("vol-create-as", self.name, "precious", "1M")
        refused = {"state": "absent", "delete": True}
        with pytest.raises(Failed, match=r"would lose what is in it: precious"):
            self.apply(refused)
        self.apply({"state": "absent"})
        assert (look(self.name), (self.folder / "precious").exists()) == (None, True)
        self.apply(self.case.a)
        virsh("vol-delete", "precious", "--pool", self.name)
        self.apply(refused)
        assert (look(self.name), self.folder.exists()) == (None, False)

    def test_a_change_waits_where_it_may_not_be_restarted(self):
        self.apply(self.case.a)
        told = self.apply({"mode": "0700"})
        assert (told["changed"], told["restart_required"]) == (True, ["mode"])
        self.sees({"stored mode": "0700", "mode": "0711"})
        assert self.apply({"mode": "0700"})["changed"] is False

    @pytest.mark.parametrize(
        ("sort", "path", "source", "place", "said"),
        [
            (
                "netfs",
                "/mnt/strata-test",
                {"hosts": ["nas.example.com"], "dir": "/export", "format": "nfs"},
                "source/dir",
                {"path": "/export"},
            ),
            (
                "logical",
                "/dev/strata-test",
                {"name": "strata-test", "devices": ["/dev/disk/by-id/strata"]},
                "source/device",
                {"path": "/dev/disk/by-id/strata"},
            ),
            (
                "iscsi",
                "/dev/disk/by-path",
                {"hosts": ["san.example.com"], "devices": ["iqn.2026-01.com.example:a"]},
                "source/device",
                {"path": "iqn.2026-01.com.example:a"},
            ),
        ],
    )
    def test_a_type_that_this_host_has_nothing_for_is_stored(self, sort, path, source, place, said):
        """As far as libvirt goes without a server or a disk: it takes the XML, and says it again."""
        spec = {"type": sort, "path": path, "source": source, "state": "inactive"}
        name = self.case.another(self.name, f"-{sort}")
        assert self.apply(spec, name)["changed"]
        assert self.apply(spec, name)["changed"] is False
        root = document(name, "--inactive")
        assert (root.get("type"), root.find(place).attrib) == (sort, said)

    def test_a_file_system_is_mounted_as_it_was_said(self, tmp_path):
        disk = tmp_path / "disk"
        with disk.open("wb") as file:
            file.truncate(16 * 1024**2)
        run("mke2fs", "-q", str(disk))
        device = run("losetup", "--find", "--show", str(disk))
        source = {"devices": [device], "format": "ext4"}
        spec = {"type": "fs", "source": source, "mount_options": ["noatime", "nodev"], "restart": "if_needed"}
        try:
            assert self.foretold(spec)["changed"]
            self.unchanged(spec)
            assert {"noatime", "nodev"} <= mounted(self.folder)
            assert self.foretold({**spec, "mount_options": ["noexec"]})["changed"]
            assert (mounted(self.folder) & {"noexec", "noatime"}) == {"noexec"}
            self.apply({"state": "absent"})
            assert mounted(self.folder) == set()
        finally:
            run("umount", str(self.folder), check=False)
            run("losetup", "--detach", device)

    def test_a_type_that_this_libvirt_lacks_is_refused(self):
        source = {"name": "rbd", "hosts": ["ceph.example.com"]}
        spec = {"type": "rbd", "source": source, "path": None, "state": "inactive"}
        with pytest.raises(Failed, match=r"missing backend for pool type.*Install the package of libvirt's storage"):
            self.apply(spec, self.case.another(self.name, "-rbd"))
