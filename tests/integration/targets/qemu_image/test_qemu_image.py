# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""qemu_image, looked at through qemu-img info."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

TOP = Path("/srv/strata-test-image")
MIB = 1024**2


def look(name: str) -> dict | None:
    if not os.path.lexists(name):
        return None
    told = json.loads(run("qemu-img", "info", "--output=json", name))
    data = told.get("format-specific", {}).get("data", {})
    return {
        "format": told["format"],
        "size": told["virtual-size"],
        "backing": told.get("full-backing-filename"),
        "backing_format": told.get("backing-filename-format"),
        "cluster": told.get("cluster-size"),
        "compat": data.get("compat"),
        "lazy": data.get("lazy-refcounts"),
        "refcount": data.get("refcount-bits"),
        "compression": data.get("compression-type"),
        "snapshots": sorted(one["name"] for one in told.get("snapshots", ())),
    }


def content(name: str | Path) -> bytes:
    """What the guest sees."""
    raw = TOP / "seen.raw"
    run("qemu-img", "convert", "-O", "raw", str(name), str(raw))
    return raw.read_bytes()


def write(name: str, pattern: str, offset: str = "0", length: str = "64k") -> None:
    run("qemu-io", "-c", f"write -P {pattern} {offset} {length}", name)


@contextlib.contextmanager
def used(*options: str, path: str):
    """Somebody of QEMU's has it open."""
    socket = TOP / "nbd.sock"
    process = subprocess.Popen(["qemu-nbd", f"--socket={socket}", *options, path])
    try:
        end = time.monotonic() + 30
        while not socket.exists():
            assert time.monotonic() < end, "qemu-nbd doesn't come up"
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait()
        socket.unlink(missing_ok=True)


@pytest.fixture(scope="module", autouse=True)
def folder():
    TOP.mkdir()
    (TOP / "base.raw").write_bytes(b"base" * MIB)
    yield
    shutil.rmtree(TOP)


class TestQemuImage(Convergence):
    case = Case(
        kind="qemu_image",
        info="qemu_image_info",
        identity="path",
        name=str(TOP / "disk.qcow2"),
        a={"size": "8M"},
        b={
            "size": "16M",
            "backing": {"path": str(TOP / "base.raw"), "format": "raw"},
            "lazy_refcounts": True,
            "refcount_bits": 32,
            "snapshots": ["clean", "after a while"],
        },
        look=look,
        seen_a={"format": "qcow2", "size": 8 * MIB, "backing": None, "compat": "1.1", "snapshots": []},
        seen_b={
            "format": "qcow2",
            "size": 16 * MIB,
            "backing": str(TOP / "base.raw"),
            "backing_format": "raw",
            "cluster": 65536,
            "compat": "1.1",
            "lazy": True,
            "refcount": 32,
            "snapshots": ["after a while", "clean"],
        },
        drifts={
            "gone": os.unlink,
            "smaller": lambda name: run("qemu-img", "resize", "-q", "--shrink", name, "4M"),
        },
        touches=(
            "engines.qemu_img.create",
            "engines.qemu_img.resize",
            "engines.qemu_img.rebase",
            "engines.qemu_img.amend",
            "engines.qemu_img._run",  # each snapshot
            "core.files.set_owner",
            "core.files.remove",
        ),
        bad=(
            ("size", "12X"),
            ("format", "iso"),
            ("backing", {"path": "/nowhere", "format": "raw"}),
            ("convert_from", "/nowhere"),
            ("cluster_size", "100"),
            ("checksum", "sha256:12"),
            ("restore", {"snapshot": "never taken", "id": ""}),
        ),
        bad_names=("", "a/b", "/srv/../x"),
    )

    @property
    def path(self) -> Path:
        return Path(self.case.name)

    def test_on_another(self):
        on_base = {"backing": {"path": str(TOP / "base.raw"), "format": "raw"}}
        sum_of_base = f"sha256:{hashlib.sha256((TOP / 'base.raw').read_bytes()).hexdigest()}"
        with pytest.raises(Failed, match="checksum: is not that of .*, which has " + sum_of_base):
            self.apply({**on_base, "checksum": "sha256:" + "0" * 64})
        assert self.foretold({**on_base, "checksum": sum_of_base})["changed"]
        self.sees({"backing": str(TOP / "base.raw"), "size": 4 * MIB})
        self.unchanged(on_base)
        assert content(self.case.name) == (TOP / "base.raw").read_bytes()
        self.apply({"state": "absent"})
        assert (TOP / "base.raw").exists()

    def test_moved_onto_another(self):
        """What the guest sees stays, and what is below matters no more."""
        mine, other = TOP / "mine.raw", TOP / "other.qcow2"
        mine.write_bytes(b"mine" * MIB)
        run("qemu-img", "create", "-q", "-f", "qcow2", str(other), "4M")
        write(str(other), "0x11")
        self.apply({"backing": {"path": str(mine), "format": "raw"}})
        write(self.case.name, "0x22", offset="1M")
        seen = content(self.case.name)
        onto = {"backing": {"path": str(other), "format": "qcow2"}}
        with pytest.raises(Failed, match="exists with another backing"):
            self.apply({**onto, "rebase": "never"})
        assert self.foretold(onto)["changed"]
        self.unchanged(onto)
        self.sees({"backing": str(other), "backing_format": "qcow2"})
        mine.unlink()
        assert content(self.case.name) == seen
        assert self.foretold({"backing": {}})["changed"]
        self.unchanged({"backing": {}})
        other.unlink()
        self.sees({"backing": None})
        assert content(self.case.name) == seen

    def test_a_base_that_was_moved(self):
        base, moved = TOP / "here.raw", TOP / "there.raw"
        shutil.copy(TOP / "base.raw", base)
        self.apply({"backing": {"path": str(base), "format": "raw"}})
        base.rename(moved)
        with pytest.raises(Failed, match=r"lies on .*here\.raw, which is gone"):
            self.apply({"size": "8M"})
        onto = {"backing": {"path": str(moved), "format": "raw"}}
        with pytest.raises(Failed, match="which is gone"):
            self.apply(onto)
        assert self.foretold({**onto, "rebase": "unsafe"})["changed"]
        self.unchanged(onto)
        assert content(self.case.name) == moved.read_bytes()

    def test_what_cannot_be_below(self):
        with pytest.raises(Failed, match="backing: is no qcow2 image"):
            self.apply({"backing": {"path": str(TOP / "base.raw"), "format": "qcow2"}})
        self.apply(self.case.a)
        upper = str(TOP / "upper.qcow2")
        call("qemu_image", {"path": upper, "backing": {"path": self.case.name, "format": "qcow2"}})
        with pytest.raises(Failed, match="backing: lies on this image itself"):
            self.apply({"backing": {"path": upper, "format": "qcow2"}})
        (told,) = call("qemu_image_info", {"name": [upper]})["resources"]
        assert told["facts"]["below"] == [self.case.name]
        call("qemu_image", {"path": upper, "state": "absent"})

    def test_a_copy_that_grows(self):
        copy = {"convert_from": str(TOP / "base.raw"), "convert_from_format": "raw", "size": "8M"}
        assert self.foretold(copy)["changed"]
        self.sees(self.case.seen_a)
        assert content(self.case.name)[: 4 * MIB] == (TOP / "base.raw").read_bytes()
        self.unchanged(copy)

    def test_written_anew_in_another_form(self):
        on_base = {"backing": {"path": str(TOP / "base.raw"), "format": "raw"}, "size": "8M"}
        self.apply(on_base)
        write(self.case.name, "0x33")
        os.chmod(self.case.name, 0o600)
        seen = content(self.case.name)
        finer = {**on_base, "cluster_size": "4K", "compression_type": "zstd", "preallocation": "off"}
        with pytest.raises(Failed, match="exists with another cluster_size, compression_type"):
            self.apply(finer)
        assert self.foretold({**finer, "convert": True})["changed"]
        self.unchanged(finer)
        self.sees({"cluster": 4096, "compression": "zstd", "backing": str(TOP / "base.raw")})
        assert content(self.case.name) == seen
        assert self.foretold({"format": "raw", "convert": True})["changed"]
        self.unchanged({"format": "raw"})
        assert Path(self.case.name).read_bytes() == seen
        assert (os.stat(self.case.name).st_mode & 0o777, os.path.exists(f"{self.case.name}.strata-next")) == (
            0o600,
            False,
        )

    def test_back_to_a_snapshot_once(self):
        spec = {"size": "8M", "snapshots": ["clean"]}
        self.apply({"size": "8M"})
        write(self.case.name, "0x44")
        clean = content(self.case.name)
        self.apply(spec)
        write(self.case.name, "0x55")
        back = {**spec, "restore": {"snapshot": "clean", "id": "first"}}
        assert self.foretold(back)["changed"]
        assert content(self.case.name) == clean
        write(self.case.name, "0x66")
        self.unchanged(back)
        self.unchanged(spec)
        assert content(self.case.name) != clean
        again = {**spec, "restore": {"snapshot": "clean", "id": "second"}}
        assert self.foretold(again)["changed"]
        assert content(self.case.name) == clean
        assert self.foretold({"snapshots": []})["changed"]
        self.sees({"snapshots": []})
        assert content(self.case.name) == clean

    def test_smaller_by_force(self):
        self.apply({"size": "16M"})
        write(self.case.name, "0x77")
        with pytest.raises(Failed, match="shrinking it would cut off data"):
            self.apply({"size": "4M"})
        self.sees({"size": 16 * MIB})
        assert self.foretold({"size": "4M", "force": True})["changed"]
        self.sees({"size": 4 * MIB})
        assert content(self.case.name)[:65536] == b"\x77" * 65536

    @pytest.mark.parametrize("format", ["qcow2", "raw"])
    def test_a_place_from_the_beginning(self, format):
        self.apply({"format": format, "size": "8M", "preallocation": "falloc"})
        assert os.stat(self.case.name).st_blocks * 512 >= 8 * MIB
        self.sees({"format": format, "size": 8 * MIB})

    def test_who_uses_it_keeps_it(self):
        self.apply(self.case.a)
        upper = str(TOP / "upper.qcow2")
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.case.name, "-F", "qcow2", upper)
        for path in (self.case.name, upper):  # the base of one in use is in use, too
            with used(path=path) as process:
                for spec in ({"state": "absent"}, self.case.b, {"snapshots": ["clean"]}, {"size": "4M", "force": True}):
                    for check in (True, False):
                        with pytest.raises(Failed, match=f"in use by process {process.pid} .qemu-nbd"):
                            self.apply(spec, check=check)
                self.unchanged(self.case.a)
            os.sync()
        self.sees(self.case.seen_a)
        os.unlink(upper)

    def test_what_it_cannot_look_into_is_left_alone(self):
        secret = TOP / "secret"
        secret.write_text("correct horse")
        key = f"secret,id=key,file={secret}"
        options = "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10"
        run("qemu-img", "create", "-q", "-f", "qcow2", "--object", key, "-o", options, self.case.name, "8M")
        before = Path(self.case.name).read_bytes()
        self.unchanged(self.case.a)
        with pytest.raises(Failed, match="is encrypted: it is not touched"):
            self.apply({"size": "16M"})
        assert Path(self.case.name).read_bytes() == before
