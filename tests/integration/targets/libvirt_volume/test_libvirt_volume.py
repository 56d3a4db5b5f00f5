# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_volume, looked at through qemu-img and the files themselves."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import shutil
import threading
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

POOL = "strata-volumes"
FOLDER = Path("/var/tmp/strata-volumes")
ENGINE = "engines.libvirt_storage"
USER = "strata-test-user"


def virsh(*words: str, **more) -> str:
    return run("virsh", *words, **more)


def look(name: str) -> dict | None:
    file = FOLDER / name
    if not file.exists():
        return None
    info = json.loads(run("qemu-img", "info", "--output=json", str(file)))
    backing = info.get("full-backing-filename")
    return {"format": info["format"], "size": info["virtual-size"], "backing": backing and Path(backing).name}


@pytest.fixture(scope="module", autouse=True)
def _pool():
    FOLDER.mkdir()
    virsh("pool-create-as", POOL, "dir", "--target", str(FOLDER))
    virsh("vol-create-as", POOL, "base.qcow2", "8M", "--format", "qcow2")
    yield
    virsh("pool-destroy", POOL)
    shutil.rmtree(FOLDER)


MIB = 1024**2


class TestLibvirtVolume(Convergence):
    case = Case(
        kind="libvirt_volume",
        info="libvirt_volume_info",
        name="strata-test.qcow2",
        another=lambda name, mark: name.replace(".", f"{mark}."),
        connect={"pool": POOL},
        a={"capacity": "16M", "backing": "base.qcow2", "keep": False},
        b={"capacity": "24M", "backing": "base.qcow2", "keep": False},
        look=look,
        seen_a={"format": "qcow2", "size": 16 * MIB, "backing": "base.qcow2"},
        seen_b={"format": "qcow2", "size": 24 * MIB, "backing": "base.qcow2"},
        drifts={
            "deleted": lambda name: virsh("vol-delete", name, "--pool", POOL),
            "deleted behind libvirt's back": lambda name: (FOLDER / name).unlink(),
        },
        touches=(
            f"{ENGINE}._write_note",
            f"{ENGINE}.Pools._made",
            f"{ENGINE}.Pools.resize",
            f"{ENGINE}.Pools.remove",
            "core.files.set_owner",
        ),
        bad=(("capacity", "12X"), ("format", "floppy"), ("path", "/elsewhere/x")),
        bad_names=("", "a/../b"),
    )

    @property
    def name(self) -> str:
        return self.case.name

    def test_data_is_never_lost_unless_it_was_said(self):
        self.apply({"capacity": "16M"})
        for spec, words in (
            ({"capacity": "8M"}, "capacity: .*shrinking it would cut off data"),
            ({"backing": "base.qcow2"}, "exists with another backing"),
        ):
            with pytest.raises(Failed, match=words):
                self.apply(spec)
        self.sees({"size": 16 * MIB, "format": "qcow2", "backing": None})
        layer = self.case.another(self.name, "-layer")
        self.apply({"backing": "base.qcow2"}, layer)
        with pytest.raises(Failed, match=rf"is what .*{layer} are layers over"):
            call("libvirt_volume", {"pool": POOL, "name": "base.qcow2", "state": "absent"})
        assert look("base.qcow2") is not None

    def test_copies_hold_what_they_are_copied_from(self, tmp_path):
        data = bytes(range(256)) * 4096
        file = tmp_path / "data.raw"
        file.write_bytes(data)
        self.apply({"upload_from": str(file), "format": "raw", "capacity": "2M"})
        assert (FOLDER / self.name).read_bytes() == data + bytes(2 * MIB - len(data))
        copy = self.case.another(self.name, "-copy")
        self.apply({"clone_from": self.name, "format": "qcow2", "capacity": "3M"}, copy)
        self.sees({"format": "qcow2", "size": 3 * MIB}, copy)
        run("qemu-img", "convert", "-O", "raw", str(FOLDER / copy), str(tmp_path / "again"))
        assert (tmp_path / "again").read_bytes() == data + bytes(3 * MIB - len(data))

    def test_holes_of_a_file_take_no_room(self, tmp_path):
        file = tmp_path / "data.raw"
        with file.open("wb") as out:
            for place in (0, 5, 40):
                out.seek(place * MIB)
                out.write(b"x" * 5000)
            out.truncate(64 * MIB)
        self.apply({"upload_from": str(file), "format": "raw"})
        assert (FOLDER / self.name).read_bytes() == file.read_bytes()
        assert (FOLDER / self.name).stat().st_blocks * 512 < MIB

    def test_what_a_server_has_is_fetched_and_proven(self, tmp_path):
        data = tmp_path / "data.qcow2"
        run("qemu-img", "create", "-f", "qcow2", str(data), "8M")
        serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            source = {"upload_from": f"http://127.0.0.1:{server.server_port}/data.qcow2"}
            for wrong, words in (
                ({**source, "checksum": f"sha256:{'0' * 64}"}, "checksum: the file is another one"),
                ({"upload_from": f"{source['upload_from']}x"}, "upload_from: could not download .*404"),
                ({**source, "format": "raw"}, "upload_from: is qcow2, and the volume is raw"),
            ):
                with pytest.raises(Failed, match=words):
                    self.apply(wrong)
            assert look(self.name) is None
            right = {**source, "checksum": f"sha256:{hashlib.sha256(data.read_bytes()).hexdigest()}", "capacity": "12M"}
            assert self.foretold(right)["changed"]
            self.unchanged(right)
        finally:
            server.shutdown()
        self.sees({"format": "qcow2", "size": 12 * MIB})

    def test_it_shrinks_takes_its_room_and_is_overwritten_where_it_was_said(self):
        self.apply({"capacity": "16M", "preallocation": "metadata"})
        tables = (FOLDER / self.name).stat().st_size
        assert tables > 16 * MIB, "an image without its tables is far smaller"
        thin = self.case.another(self.name, "-thin")
        self.apply({"capacity": "16M"}, thin)
        self.apply({"capacity": "8M", "force": True}, thin)
        self.sees({"size": 8 * MIB, "format": "qcow2"}, thin)
        raw = self.case.another(self.name, "-raw")
        self.apply({"capacity": "2M", "format": "raw", "preallocation": "full"}, raw)
        assert (FOLDER / raw).stat().st_blocks * 512 >= 2 * MIB
        self.apply({"capacity": "4M"}, raw)
        (FOLDER / raw).write_bytes(b"secret" + bytes(4 * MIB - 6))
        other = FOLDER / "hard-link"
        other.hardlink_to(FOLDER / raw)
        try:
            self.apply({"state": "absent", "wipe": True}, raw)
            assert (look(raw), other.read_bytes()) == (None, bytes(4 * MIB))
        finally:
            other.unlink()

    def test_one_that_a_domain_has_is_neither_deleted_nor_made_longer(self, tmp_path):
        self.apply({"capacity": "16M"})
        file = tmp_path / "domain.xml"
        disk = f"<disk type='file'><source file='{FOLDER / self.name}'/><target dev='vda'/></disk>"
        file.write_text(
            f"<domain type='qemu'><name>{USER}</name><memory unit='MiB'>16</memory><os><type>hvm</type></os>"
            f"<devices>{disk}</devices></domain>"
        )
        virsh("define", str(file))
        try:
            for spec in ({"state": "absent"}, {"capacity": "32M"}):
                with pytest.raises(Failed, match=f"is a disk of {USER}"):
                    self.apply(spec)
        finally:
            virsh("undefine", USER)
        self.sees({"size": 16 * MIB})

    def test_a_stack_makes_pool_volume_and_domain_in_order(self, tmp_path):
        folder = tmp_path / "pool"
        disk = folder / "disk.qcow2"
        entries = [
            {"libvirt_domain": {"name": USER, "memory": "16M", "disks": [{"file": str(disk)}], "state": "shutdown"}},
            {
                "libvirt_volume": {
                    "pool": USER,
                    "name": disk.name,
                    "path": str(disk),
                    "backing": "lower.qcow2",
                    "keep": False,
                }
            },
            {"libvirt_volume": {"pool": USER, "name": "lower.qcow2", "capacity": "8M", "keep": False}},
            {"libvirt_pool": {"name": USER, "type": "dir", "path": str(folder), "delete": True}},
        ]
        stack = {"name": self.owner, "prune": True, "resources": entries}
        assert call("stack", stack)["changed"]
        assert str(disk) in virsh("domblklist", USER)
        assert json.loads(run("qemu-img", "info", "--output=json", str(disk)))["virtual-size"] == 8 * MIB
        assert call("stack", stack)["changed"] is False
        call("stack", {**stack, "resources": []})
        assert USER not in virsh("list", "--all", "--name").split()
        assert (USER in virsh("pool-list", "--all", "--name").split(), folder.exists()) == (False, False)

    def test_a_stack_keeps_a_volume_unless_it_was_said(self):
        kept = {"capacity": "8M"}
        self.stack(kept)
        assert self.stack(None)["changed"] is False
        self.sees({"size": 8 * MIB})
        self.stack({**kept, "keep": False})
        assert self.stack(None)["changed"]
        assert look(self.name) is None
