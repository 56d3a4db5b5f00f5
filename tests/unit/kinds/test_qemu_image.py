# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""qemu_image, read from headers that are laid out as QEMU's docs/interop/qcow2.txt says."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import command, progress
from ansible_collections.strata.virt.plugins.module_utils.core.converge import carry_out, verify
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import qcow2
from ansible_collections.strata.virt.plugins.module_utils.kinds.qemu_image import QemuImage

GIB = 1024**3


def header(
    size: int,
    backing: str = "",
    backing_format: str = "",
    snapshots: tuple[str, ...] = (),
    version: int = 3,
    *,
    bits: int = 16,
    encryption: int = 0,
    features: int = 0,
    compatible: int = 0,
    compression: int = 0,
):
    """The first clusters of a qcow2 image."""
    offset = 512 if backing else 0
    text = struct.pack(">4sIQIIQI", b"QFI\xfb", version, offset, len(backing), bits, size, encryption)
    text += bytes(60 - len(text)) + struct.pack(">IQ", len(snapshots), 1024)
    if version >= 3:
        text += struct.pack(">QQQIIB", features, compatible, 0, 4, 112, compression) + bytes(7)
    if backing_format:
        word = backing_format.encode()
        text += struct.pack(">II", 0xE2792ACA, len(word)) + word.ljust((len(word) + 7) // 8 * 8, b"\0")
    text = text.ljust(512, b"\0") + backing.encode()
    text = text.ljust(1024, b"\0")
    for number, name in enumerate(snapshots):
        entry = struct.pack(">QIHHIIQII", 0, 1, len(str(number)), len(name), 0, 0, 0, 0, 16)
        entry += bytes(16) + f"{number}{name}".encode()
        text += entry.ljust((len(entry) + 7) // 8 * 8, b"\0")
    return text.ljust(4096, b"\0")


class QemuImg:
    """Stands for the program: makes files that read back as what was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[list[str]] = []
        monkeypatch.setattr(command, "need", lambda program, package: program)
        monkeypatch.setattr(command, "run", self.run)
        monkeypatch.setattr(progress, "run", self.convert)

    def convert(self, argv, tell):
        doing = {"convert": "copied", "rebase": "compared"}[argv[1]]
        assert [tell(line) for line in ("(12.50/100%)", "what else it says")] == [f"{doing} 12%", None]
        self.run(argv)

    def run(self, argv):
        self.calls.append(list(argv[1:]))
        verb, rest = argv[1], argv[2:]
        if verb == "create":
            backing = rest[rest.index("-b") + 1] if "-b" in rest else ""
            format = rest[rest.index("-f") + 1]
            path, size = (rest[-2], int(rest[-1])) if rest[-1].isdigit() else (rest[-1], 3 * GIB)
            self.make(path, format, size, backing, rest[rest.index("-F") + 1] if backing else "")
        elif verb == "convert":
            self.make(rest[-1], rest[rest.index("-O") + 1], 3 * GIB)
        elif verb == "resize":
            self.make(rest[-2], rest[rest.index("-f") + 1], int(rest[-1]))
        elif verb == "rebase":
            backing = rest[rest.index("-b") + 1]
            self.make(rest[-1], "qcow2", 3 * GIB, backing, rest[rest.index("-F") + 1] if backing else "")
        elif verb == "snapshot":
            what, name, path = rest
            had = qcow2.read(path).snapshots
            now = {"-c": (*had, name), "-d": tuple(one for one in had if one != name), "-a": had}[what]
            self.make(path, "qcow2", 3 * GIB, "", "", now)

    @staticmethod
    def make(path, format, size, *backing):
        with open(path, "wb") as file:
            if format == "qcow2":
                file.write(header(size, *backing))
            else:
                file.truncate(size)


@pytest.fixture
def program(monkeypatch):
    return QemuImg(monkeypatch)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "disks" / "disk.qcow2"


def apply(path, **options) -> bool:
    resource = QemuImage({"path": str(path), **options})
    plan = resource.plan(read_one(resource, None))
    carry_out(resource, None, plan)
    verify(resource, None, read_one(resource, None))
    return bool(plan)


@pytest.mark.parametrize("format", ["qcow2", "raw"])
def test_made_once_and_grown(program, path, format):
    assert apply(path, format=format, size="2G")
    assert not apply(path, format=format, size="2048M")
    assert apply(path, format=format, size="4G")
    assert [call[0] for call in program.calls] == ["create", "resize"]
    assert os.listdir(path.parent) == ["disk.qcow2"]


def test_on_top_of_another(program, path, tmp_path):
    base = tmp_path / "base.raw"
    base.touch()
    options = {"backing": {"path": str(base), "format": "raw"}}
    assert apply(path, **options)
    assert not apply(path, **options)
    assert qcow2.read(str(path)) == qcow2.Image("qcow2", 3 * GIB, str(base), "raw")


def test_a_copy_is_made_once(program, path, tmp_path):
    source = tmp_path / "source"
    source.touch()
    assert apply(path, convert_from=str(source), size="4G")
    source.unlink()
    assert not apply(path, convert_from=str(source), size="4G")


@pytest.mark.parametrize(
    ("there", "wanted", "words"),
    [
        ({"size": 2 * GIB}, {"size": "1G"}, "size: the disk has 2147483648 bytes already"),
        ({"size": GIB}, {"format": "raw"}, "exists with another format. Give convert: true"),
        ({"size": GIB}, {"cluster_size": "4K", "extended_l2": True}, "another cluster_size, extended_l2"),
        ({"size": GIB, "snapshots": ("clean",)}, {"format": "raw", "convert": True}, "has snapshots, which writing"),
        ({"size": GIB}, {"backing": {"path": "/dev/null", "format": "raw"}, "rebase": "never"}, "with another backing"),
        ({"size": GIB}, {"backing": {"path": "/nonexistent", "format": "raw"}}, "backing: is not there"),
        ({"size": GIB, "backing": "/nonexistent"}, {"size": "2G"}, "lies on /nonexistent, which is gone"),
        ({"size": GIB, "backing": "gone"}, {"size": "2G"}, "disks/gone, which is gone"),
        ({"size": GIB}, {"restore": {"snapshot": "clean", "id": ""}}, "restore: is no snapshot of it"),
        ({"size": GIB, "encryption": 2}, {"size": "2G"}, "is encrypted: it is not touched"),
        ({"size": GIB, "features": 2}, {"size": "2G"}, "is marked as corrupt"),
        ({"size": GIB, "features": 4}, {"size": "2G"}, "has its data in another file"),
    ],
)
def test_data_is_never_lost(program, path, there, wanted, words):
    path.parent.mkdir()
    path.write_bytes(header(**there))
    with pytest.raises(StrataError) as refused:
        apply(path, **wanted)
    assert words in str(refused.value)
    assert program.calls == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "size: is needed"),
        ({"convert_from": "/nonexistent"}, "convert_from: is not there"),
        ({"backing": {"path": "/nonexistent", "format": "raw"}}, "backing: is not there"),
        ({"backing": {"path": "/nonexistent", "format": "raw"}, "format": "raw"}, "backing: only qcow2 images"),
        ({"backing": {"path": "/nonexistent"}}, "backing: needs both path and format"),
        ({"lazy_refcounts": True, "format": "raw"}, "lazy_refcounts: only qcow2 images"),
        ({"preallocation": "metadata", "format": "raw"}, "preallocation: only qcow2 images"),
        ({"lazy_refcounts": True, "compat": "0.10"}, "lazy_refcounts: needs compat: 1.1"),
        ({"cluster_size": "5000"}, "cluster_size: must be a power of two"),
        ({"refcount_bits": 3}, "refcount_bits: must be 1, 2, 4"),
        ({"snapshots": [""]}, "snapshots: has a snapshot without a name"),
        ({"snapshots": ["a"], "restore": {"snapshot": "b"}}, "restore: is none of snapshots"),
        ({"size": "1G", "restore": {"snapshot": "b", "id": ""}}, "restore: is no snapshot of it"),
        ({"convert_from_format": "raw"}, "convert_from_format: needs convert_from"),
        ({"checksum": "sha256:" + "0" * 64, "size": "1G"}, "checksum: needs convert_from or backing"),
        ({"checksum": "0123", "convert_from": "/b"}, "checksum: is no checksum"),
        ({"backing": {"path": "/a", "format": "raw"}, "convert_from": "/b"}, "convert_from: can't go with backing"),
    ],
)
def test_bad_options_are_named(program, path, options, words):
    with pytest.raises(StrataError) as refused:
        apply(path, **options)
    assert words in str(refused.value)
    assert not path.exists()


def test_an_image_is_not_its_own_backing(path):
    with pytest.raises(StrataError, match="can't be the image itself"):
        QemuImage({"path": str(path), "backing": {"path": str(path), "format": "qcow2"}})


def test_absent_twice(program, path):
    apply(path, size="1G")
    assert apply(path, state="absent")
    assert not apply(path, state="absent")


def test_moved_onto_another_and_onto_nothing(program, path, tmp_path):
    for name in ("a.raw", "b.raw"):
        (tmp_path / name).touch()
    a, b = ({"backing": {"path": str(tmp_path / name), "format": "raw"}} for name in ("a.raw", "b.raw"))
    apply(path, **a)
    assert apply(path, **b)
    assert not apply(path, **b)
    (tmp_path / "b.raw").rename(tmp_path / "a.raw")
    assert apply(path, **a, rebase="unsafe")
    assert apply(path, backing={})
    assert not apply(path, backing={})
    words = [[word for word in call if word in ("-p", "-u", "-b", "")] for call in program.calls if call[0] == "rebase"]
    assert words == [["-p", "-b"], ["-u", "-b"], ["-p", "-b", ""]]


def test_a_base_in_a_circle_is_refused(program, path, tmp_path):
    path.parent.mkdir()
    path.write_bytes(header(GIB))
    (tmp_path / "upper").write_bytes(header(GIB, "disks/disk.qcow2", "qcow2"))
    with pytest.raises(StrataError, match="backing: lies on this image itself"):
        apply(path, backing={"path": str(tmp_path / "upper"), "format": "qcow2"})


def test_a_base_that_says_it_lies_on_itself_is_no_endless_loop(tmp_path):
    (tmp_path / "disk").write_bytes(header(GIB, "disk", "qcow2"))
    assert set(qcow2.below(qcow2.read(str(tmp_path / "disk")))) == {str(tmp_path / "disk")}


def test_what_is_below_a_raw_image_is_nobodys_business(tmp_path):
    (tmp_path / "raw").write_bytes(header(GIB, "/etc/shadow", "raw"))
    (tmp_path / "disk").write_bytes(header(GIB, str(tmp_path / "raw"), "raw"))
    assert qcow2.below(qcow2.read(str(tmp_path / "disk"))) == [str(tmp_path / "raw")]


def test_the_sum_of_what_it_is_made_from(program, path, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"content")
    with pytest.raises(StrataError, match=r"checksum: is not that of .*source, which has sha512:[0-9a-f]{128}"):
        apply(path, convert_from=str(source), checksum="sha512:" + "0" * 128)
    assert program.calls == []
    right = f"sha256:{hashlib.sha256(b'content').hexdigest()}"
    assert apply(path, convert_from=str(source), checksum=right)
    assert not apply(path, convert_from=str(source), checksum="sha256:" + "0" * 64), "looked at where it is made"


def test_snapshots_taken_removed_and_restored(program, path):
    spec = {"size": "3G", "snapshots": ["b", "a"], "restore": {"snapshot": "a", "id": ""}}
    assert apply(path, **spec)
    assert not apply(path, **spec)
    assert apply(path, **{**spec, "restore": {"snapshot": "a", "id": "again"}})
    assert apply(path, snapshots=["a"])
    told = [call[1:3] for call in program.calls if call[0] == "snapshot"]
    assert told == [["-c", "a"], ["-c", "b"], ["-a", "a"], ["-d", "b"]]


def test_shrunk_by_force(program, path):
    apply(path, size="3G")
    assert apply(path, size="1G", force=True)
    assert "--shrink" in program.calls[-1]


@pytest.mark.parametrize(("first", "last"), [(100, 100), (201, 203)])
def test_one_that_somebody_has_open_is_left_alone(program, path, first, last):
    apply(path, size="3G")
    with path.open("rb") as file:  # as QEMU does it
        lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, first, last - first + 1, 0)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
        assert not apply(path, size="3G")
        for change in ({"size": "4G"}, {"snapshots": ["a"]}):
            with pytest.raises(StrataError, match="is in use by"):
                apply(path, **change)
    assert apply(path, size="4G")


def test_options_are_read(tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(header(GIB, bits=12, features=0b11010, compatible=1, compression=1, encryption=2))
    assert qcow2.read(str(disk)) == qcow2.Image(
        "qcow2",
        GIB,
        cluster_size=4096,
        lazy_refcounts=True,
        extended_l2=True,
        compression_type="zstd",
        encryption="luks",
        corrupt=True,
    )


def test_snapshots_are_read(tmp_path):
    (tmp_path / "disk").write_bytes(header(GIB, snapshots=("clean", "after a while")))
    assert qcow2.read(str(tmp_path / "disk")).snapshots == ("clean", "after a while")


def test_an_old_header_is_read(tmp_path):
    (tmp_path / "disk").write_bytes(header(GIB, version=2))
    assert qcow2.read(str(tmp_path / "disk")) == qcow2.Image("qcow2", GIB, compat="0.10")


def test_a_damaged_image_is_named(tmp_path):
    (tmp_path / "disk").write_bytes(header(GIB, snapshots=("clean",))[:1030])
    with pytest.raises(StrataError, match="is a damaged qcow2 image"):
        qcow2.read(str(tmp_path / "disk"))
    (tmp_path / "disk").write_bytes(header(GIB, bits=31))
    with pytest.raises(StrataError, match="is a damaged qcow2 image"):
        qcow2.read(str(tmp_path / "disk"))
