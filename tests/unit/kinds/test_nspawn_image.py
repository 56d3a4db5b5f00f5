# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""nspawn_image, in a folder of images of its own; what a file system keeps of "read-only" is a set here."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import command, progress
from ansible_collections.strata.virt.plugins.module_utils.core.converge import carry_out, verify
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import (
    archives,
    notes,
    nspawn,
    nspawn_images,
    occupants,
    trees,
)
from ansible_collections.strata.virt.plugins.module_utils.kinds.nspawn_image import NspawnImage
from ansible_collections.strata.virt.plugins.module_utils.kinds.rootfs import Rootfs


@pytest.fixture(autouse=True)
def images(tmp_path, monkeypatch):
    folder = tmp_path / "machines"
    folder.mkdir()
    closed: set[str] = set()
    monkeypatch.setattr(nspawn, "IMAGES", str(folder))
    monkeypatch.setattr(nspawn, "need", lambda: None)
    monkeypatch.setattr(nspawn_images, "LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(nspawn_images, "_flag", lambda path, type_: os.path.realpath(path) in closed)

    def close(image, wanted):
        (closed.add if wanted else closed.discard)(os.path.realpath(image.path))

    monkeypatch.setattr(nspawn_images, "set_read_only", close)
    monkeypatch.setattr(occupants, "users", lambda path: [])
    monkeypatch.setattr(trees, "on_btrfs", lambda path: False)
    monkeypatch.setattr(archives, "_KEEP", ("--numeric-owner",))  # the rest needs rights and a file system for them
    return folder


@pytest.fixture
def tree(tmp_path):
    top = tmp_path / "deb"
    (top / "etc").mkdir(parents=True)
    (top / "etc/os-release").write_text("ID=tiny\n")
    (top / "etc/mtab").symlink_to("/proc/mounts")
    return top


def plan(**options):
    image = NspawnImage(options)
    return image, image.plan(read_one(image, None))


def apply(**options):
    """Converge it, and make sure that nothing is left to do."""
    image, made = plan(**options)
    carry_out(image, None, made)
    verify(image, None, read_one(image, None))
    assert not plan(**options)[1]
    return made


def test_a_tree_becomes_an_image_that_says_where_it_came_from(images, tree):
    made = apply(name="golden", source={"rootfs": str(tree)}, read_only=True)
    assert (made.steps, made.changes[0].after) == (("create",), "present")
    assert (images / "golden/etc/os-release").read_text() == "ID=tiny\n"
    state = read_one(NspawnImage({"name": "golden"}), None)
    assert state.config == {"read_only": True, "limit": "max", "source": {"rootfs": str(tree)}}
    assert (state.owner, state.facts["type"]) == ("", "directory")
    assert sorted(os.listdir(images)) == ["golden", "golden.strata.json"]


def test_another_source_is_said_and_only_taken_where_that_is_allowed(images, tree, tmp_path):
    apply(name="golden", source={"rootfs": str(tree)}, read_only=True)
    other = tmp_path / "other"
    other.mkdir()
    (images / "golden/mine").write_text("")
    _image, made = plan(name="golden", source={"rootfs": str(other)})
    assert (made.steps, made.restart_required) == ((), ["source[rootfs]"])
    made = apply(name="golden", source={"rootfs": str(other)}, recreate="if_needed", read_only=True)
    assert made.steps == ("recreate",)
    assert os.listdir(images / "golden") == []
    assert read_one(NspawnImage({"name": "golden"}), None).config["read_only"] is True


def test_a_clone_knows_the_origin_of_its_origin(images, tree):
    apply(name="golden", source={"rootfs": str(tree)}, read_only=True)
    apply(name="build", source={"image": "golden"})
    state = read_one(NspawnImage({"name": "build"}), None)
    assert state.facts["origin"] == {"source": {"rootfs": str(tree)}}
    assert state.config["read_only"] is False
    assert (images / "build/etc/mtab").is_symlink()


def test_a_tree_may_be_named_by_a_link_and_must_be_one(images, tree, tmp_path):
    (tmp_path / "link").symlink_to(tree)
    apply(name="golden", source={"rootfs": str(tmp_path / "link")})
    assert (images / "golden").is_dir()
    assert not (images / "golden").is_symlink()
    with pytest.raises(StrataError, match=r"source.rootfs: is no directory"):
        plan(name="other", source={"rootfs": str(tree / "etc/os-release")})


def test_an_archive_is_checked_and_unpacked(images, tree, tmp_path):
    archive = tmp_path / "deb.tar"
    with tarfile.open(archive, "w") as file:
        file.add(tree, ".")
    right = archives.file_checksum(str(archive))
    wrong = "sha256:" + "0" * 64
    with pytest.raises(StrataError, match=r"source.checksum: the source is another one: it has sha256:"):
        plan(name="deb", source={"tar": str(archive), "checksum": wrong})
    assert os.listdir(images) == []
    apply(name="deb", source={"tar": str(archive)})
    assert (images / "deb/etc/os-release").exists()
    assert not plan(name="deb", source={"tar": str(archive), "checksum": right})[1]
    assert plan(name="deb", source={"tar": str(archive), "checksum": wrong})[1].restart_required == ["source[checksum]"]


def test_a_disk_is_copied_and_only_a_raw_one(images, tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(b"\0" * 4096)
    apply(name="vm", source={"raw": str(disk)})
    assert (images / "vm.raw").stat().st_size == 4096
    assert read_one(NspawnImage({"name": "vm"}), None).facts["type"] == "raw"
    disk.write_bytes(b"QFI\xfb" + b"\0" * 100)
    with pytest.raises(StrataError, match=r"source.raw: is qcow2, and no raw disk .*qemu_image"):
        plan(name="other", source={"raw": str(disk)})


def test_it_gets_another_name_and_takes_its_note_along(images, tree):
    apply(name="old", source={"rootfs": str(tree)}, read_only=True)
    made = apply(name="new", renamed_from="old", source={"rootfs": str(tree)}, read_only=False)
    assert made.steps == ("rename", "update")
    assert sorted(os.listdir(images)) == ["new", "new.strata.json"]
    assert read_one(NspawnImage({"name": "new"}), None).owner == ""


@pytest.mark.parametrize("killed_after", ["follow", "rename"])
def test_a_rename_that_was_killed_is_finished(images, tree, monkeypatch, killed_after):
    apply(name="old", source={"rootfs": str(tree)})
    holder, function = (notes, notes.follow) if killed_after == "follow" else (os, os.rename)

    def dies(*arguments):
        function(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(holder, killed_after, dies)
        image, made = plan(name="new", renamed_from="old")
        with pytest.raises(KeyboardInterrupt):
            carry_out(image, None, made)
    apply(name="new", renamed_from="old", source={"rootfs": str(tree)})
    assert sorted(os.listdir(images)) == ["new", "new.strata.json"]


def test_what_was_begun_is_taken_away(images, tree):
    begun = images / ".golden.strata-next"
    begun.mkdir()
    assert plan(name="golden", state="absent")[1].steps == ("clear",)
    apply(name="golden", state="absent")
    assert os.listdir(images) == []


def test_what_is_not_ours_is_not_taken_away_unless_it_is_said(images, tree):
    tree.rename(images / "theirs")
    with pytest.raises(StrataError, match=r"theirs wasn't made by this module.*force_absent: true.*machinectl remove"):
        plan(name="theirs", state="absent")
    with pytest.raises(StrataError, match="wasn't made by this module"):
        plan(name="theirs", source={"rootfs": "/"}, recreate="if_needed")
    apply(name="theirs", state="absent", force_absent=True)
    assert os.listdir(images) == []


def test_what_is_used_stays(images, tree, monkeypatch):
    apply(name="golden", source={"rootfs": str(tree)})
    (images / "build").symlink_to(images / "golden")
    with pytest.raises(StrataError, match="build would be without a tree"):
        plan(name="golden", state="absent")
    with pytest.raises(StrataError, match="build would be without a tree"):
        plan(name="gold", renamed_from="golden")
    with pytest.raises(StrataError, match=r"a machine's link is in its place, and leads to .*golden"):
        plan(name="build", source={"rootfs": str(tree)})
    (images / "build").unlink()
    monkeypatch.setattr(occupants, "users", lambda path: ["process 7 (sleep)"])
    for options in ({"name": "golden", "state": "absent"}, {"name": "gold", "renamed_from": "golden"}):
        with pytest.raises(StrataError, match=r"golden is in use by process 7 \(sleep\)"):
            plan(**options)
    for changed in ({"read_only": True}, {"archive_path": "/srv/golden.tar"}):
        with (
            nspawn_images.unused(str(images / "golden")),
            pytest.raises(StrataError, match="golden is in use by process 7"),
        ):
            plan(name="golden", **changed)
    with pytest.raises(StrataError, match=r"source.rootfs: is in use by process 7"):
        plan(name="copy", source={"rootfs": str(tree)})


def test_a_machine_that_starts_meanwhile_keeps_it(images, tree):
    apply(name="golden", source={"rootfs": str(tree)})
    image, made = plan(name="golden", state="absent")
    with nspawn_images.unused(str(images / "golden")), pytest.raises(StrataError, match="in use by a machine"):
        carry_out(image, None, made)
    assert (images / "golden").is_dir()
    carry_out(image, None, made)
    assert os.listdir(images) == []


def test_it_is_exported_once_and_again_where_the_file_is_another(images, tree, tmp_path):
    target = tmp_path / "out" / "golden.tar.gz"
    options = {"name": "golden", "source": {"rootfs": str(tree)}, "archive_path": str(target)}
    apply(**options)
    with tarfile.open(target) as file:
        assert "./etc/os-release" in file.getnames()
    target.write_text("")
    assert [change.field for change in apply(**options).changes] == ["archive_path"]
    assert target.stat().st_size > 0
    assert os.listdir(target.parent) == ["golden.tar.gz"]
    (images / "theirs").mkdir()
    apply(name="theirs", archive_path=str(tmp_path / "theirs.tar"))
    assert read_one(NspawnImage({"name": "theirs"}), None).owner is None


def test_a_rootfs_and_an_image_keep_out_of_each_others_way(images, tree):
    apply(name="golden", source={"rootfs": str(tree)})
    assert Rootfs.read_many(None, [str(images / "golden")])[str(images / "golden")].owner is None
    (images / "made").mkdir()
    notes.announce(str(images / "made"), str(images / "made"), {"owner": "web", "options": {"type": "busybox"}})
    notes.settle(str(images / "made"))
    found = NspawnImage.read_many(None, None)
    assert {name: state.owner for name, state in found.items()} == {"golden": "", "made": None}


@pytest.mark.parametrize("newer", [True, False])
def test_who_pulls_is_told_what_to_verify(images, monkeypatch, newer):
    argvs = []

    def pulls(argv, _tell, **_more):
        argvs.append(argv)
        (images / argv[-1]).mkdir()

    monkeypatch.setattr(command, "find", lambda program: f"/bin/{program}" if newer or program != "importctl" else None)
    monkeypatch.setattr(command, "need", lambda program, package: f"/bin/{program}")
    monkeypatch.setattr(progress, "run", pulls)
    apply(name="deb", source={"pull_tar": "https://example.com/deb.tar.xz", "verify": "checksum"})
    (argv,) = argvs
    begins = ["/bin/importctl", "--class=machine", "--keep-download=no"] if newer else ["/bin/machinectl"]
    assert argv[:-1] == [*begins, "--verify=checksum", "pull-tar", "https://example.com/deb.tar.xz"]
    assert nspawn.is_name(argv[-1])
    assert sorted(os.listdir(images)) == ["deb", "deb.strata.json"]


def test_limits_are_asked_for_once_and_only_of_subvolumes(images, monkeypatch):
    for name in ("one", "two", "plain"):
        (images / name).mkdir()
    monkeypatch.setattr(trees, "is_subvolume", lambda path: not path.endswith("plain"))
    monkeypatch.setattr(command, "need", lambda program, package: program)
    programs = []

    def run(argv, **_more):
        programs.append(argv)
        return subprocess.CompletedProcess(argv, 0, "Limit=1073741824\n\nLimit=18446744073709551615\n", "")

    monkeypatch.setattr(command, "run", run)
    found = NspawnImage.read_many(None, None)
    assert {name: state.config["limit"] for name, state in found.items()} == {
        "one": 1024**3,
        "plain": "max",
        "two": "max",
    }
    assert len(programs) == 1
    _image, made = plan(name="one", limit="2G")
    assert [(change.before, change.after) for change in made.changes] == [("1G", "2G")]
    with pytest.raises(StrataError, match="limit: is for subvolumes of btrfs, and this is a directory"):
        plan(name="plain", limit="2G")


def test_a_stack_takes_machines_away_before_their_image(images, tree):
    apply(name="golden", source={"rootfs": str(tree)})
    (images / "build").symlink_to(images / "golden")
    gone = NspawnImage({"name": "golden", "state": "absent"}, owner="web")
    made = gone.plan(read_one(gone, None))
    with pytest.raises(StrataError, match="build would be without a tree"):
        carry_out(gone, None, made)
    (images / "build").unlink()
    carry_out(gone, None, made)
    assert os.listdir(images) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "source: is needed to make it"),
        ({"source": {"rootfs": "/srv/nowhere"}}, "source: is not there (got '/srv/nowhere')"),
        ({"source": {"image": "nowhere"}}, "source.image: there is no image nowhere"),
        ({"source": {"image": "golden"}}, "source.image: is the image itself"),
        ({"source": {"tar": "/a", "raw": "/b"}}, "source: is one of rootfs, image, tar"),
        ({"source": {"tar": "/a", "verify": "no"}}, "source.verify: goes with pull_tar, pull_raw"),
        ({"source": {"pull_tar": "ftp://example.com/a"}}, "source.pull_tar: is no URL"),
        ({"source": {"tar": "/a", "checksum": "abc"}}, "source.checksum: is no checksum"),
        ({"renamed_from": "golden"}, "renamed_from: is its name"),
        ({"archive_path": "/srv/golden.zip"}, "archive_path: must end with one of .tar"),
        ({"name": "a_b"}, "name: is no valid name"),
    ],
)
def test_bad_input_is_named(images, options, words):
    with pytest.raises(StrataError) as refused:
        plan(**{"name": "golden", **options})
    assert words in str(refused.value)
    assert os.listdir(images) == []


def test_a_tree_and_a_disk_are_exported_in_their_own_forms(tree):
    with pytest.raises(StrataError, match=r"archive_path: must end with .tar, .* for a directory"):
        plan(name="golden", source={"rootfs": str(tree)}, archive_path="/srv/golden.raw")


def test_an_image_is_a_machine_readable_path_for_others():
    image = NspawnImage({"name": "golden", "read_only": True, "source": {"image": "deb"}})
    assert {what for what, _path in image.provides()} == {"path", "read-only image"}
    assert [Path(path).name for _what, path in image.needs()] == ["deb"]
