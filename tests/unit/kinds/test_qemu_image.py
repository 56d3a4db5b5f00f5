# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""qemu_image, read from headers that are laid out as QEMU's docs/interop/qcow2.txt says."""

from __future__ import annotations

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


def header(size: int, backing: str = "", backing_format: str = "", snapshots: tuple[str, ...] = (), version: int = 3):
    """The first clusters of a qcow2 image."""
    text = struct.pack(">4sIQIIQ", b"QFI\xfb", version, 512 if backing else 0, len(backing), 16, size)
    text += bytes(60 - len(text)) + struct.pack(">IQ", len(snapshots), 1024)
    text = text.ljust(100, b"\0") + struct.pack(">I", 104)
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
        assert [tell(line) for line in ("(12.50/100%)", "what else it says")] == ["copied 12%", None]
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
        ({"size": GIB}, {"format": "raw"}, "exists with another format"),
        ({"size": GIB}, {"backing": {"path": "/base", "format": "raw"}}, "exists with another backing"),
        (
            {"size": GIB, "backing": "/base", "backing_format": "raw"},
            {"backing": {"path": "/base", "format": "qcow2"}},
            "exists with another backing",
        ),
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
        ({"backing": {"path": "/nonexistent", "format": "raw"}, "format": "raw"}, "only qcow2 images"),
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


def test_snapshots_are_read(tmp_path):
    (tmp_path / "disk").write_bytes(header(GIB, snapshots=("clean", "after a while")))
    assert qcow2.read(str(tmp_path / "disk")).snapshots == ("clean", "after a while")


def test_an_old_header_is_read(tmp_path):
    (tmp_path / "disk").write_bytes(header(GIB, version=2))
    assert qcow2.read(str(tmp_path / "disk")) == qcow2.Image("qcow2", GIB)


def test_a_damaged_image_is_named(tmp_path):
    (tmp_path / "disk").write_bytes(header(GIB, snapshots=("clean",))[:1030])
    with pytest.raises(StrataError, match="is a damaged qcow2 image"):
        qcow2.read(str(tmp_path / "disk"))
