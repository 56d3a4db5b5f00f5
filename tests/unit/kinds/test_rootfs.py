# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rootfs, with mmdebstrap and mke2fs replaced by something that takes no time; archives, with tar itself."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import tarfile
import threading
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import command, progress
from ansible_collections.strata.virt.plugins.module_utils.core.converge import carry_out, verify
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, State
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import (
    bootstrap,
    complaints,
    mounts,
    notes,
    oci,
    trees,
)
from ansible_collections.strata.virt.plugins.module_utils.kinds.rootfs import Rootfs


class Builder:
    """Stands for mmdebstrap, mke2fs, tar and unshare: notes what it was asked for, and makes something small."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rootless: bool = False) -> None:
        self.calls: list[list[str]] = []
        self.laid: dict[str, tarfile.TarInfo] = {}
        self.error: StrataError | None = None
        monkeypatch.setattr(bootstrap, "rootless", lambda: rootless)
        monkeypatch.setattr(command, "need", lambda program, package: program)
        monkeypatch.setattr(progress, "run", self.program_that_takes_long)
        monkeypatch.setattr(command, "run", self.program)

    def program_that_takes_long(self, argv, tell, *, env=None, handles=()):
        self.calls.append(list(argv))
        assert handles, "it doesn't hold the place on when the module is killed"
        if argv[0] == "mmdebstrap":
            self.mmdebstrap(argv)
        elif argv[0] == "tar":
            Path(next(word[7:] for word in argv if word.startswith("--file="))).write_text("tar")
        if self.error:
            raise self.error

    def mmdebstrap(self, argv):
        for word in argv:
            if word.startswith("--essential-hook=tar-in "):
                with tarfile.open(shlex.split(word)[1]) as archive:
                    self.laid = {entry.name: entry for entry in archive}
            if word.startswith("--customize-hook=download "):
                Path(shlex.split(word)[2]).write_text("kernel")
        path = next(argv[place + 1] for place, word in enumerate(argv) if word == "trixie")
        if "--format=directory" in argv:
            os.makedirs(f"{path}/etc")
        else:
            Path(path).write_text("tar")

    def program(self, argv, **_options):
        self.calls.append(list(argv))

    def argv(self, program: str) -> list[str]:
        return next(call for call in self.calls if call[0] == program)


@pytest.fixture
def builder(monkeypatch):
    return Builder(monkeypatch)


def spec(path, **more) -> dict:
    return {"path": str(path), "suite": "trixie", **more}


def apply(options: dict) -> bool:
    resource = Rootfs(options)
    plan = resource.plan(read_one(resource, None))
    carry_out(resource, None, plan)
    verify(resource, None, read_one(resource, None))
    return bool(plan)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "tree"


@pytest.mark.parametrize("more", [{}, {"format": "tar"}, {"format": "ext4", "size": "1G"}])
def test_made_once(builder, path, more):
    assert apply(spec(path, **more))
    assert path.exists()
    assert not apply(spec(path, **more))
    assert sorted(os.listdir(path.parent)) == ["tree", "tree.strata.json"]


def test_a_changed_declaration_makes_it_anew(builder, path):
    apply(spec(path, packages=["a"]))
    (path / "mine").touch()
    assert apply(spec(path, packages=["b", "a"]))
    assert not (path / "mine").exists()
    assert "--include=a,b" in builder.calls[-1]
    assert not apply(spec(path, packages=["a", "b"]))


def test_what_is_not_given_stays_as_it_was(builder, path):
    apply(spec(path, packages=["a"]))
    assert not apply(spec(path))
    assert apply(spec(path, variant="apt"))
    assert "--include=a" in builder.calls[-1]


def test_recreation_can_be_forbidden(builder, path):
    apply(spec(path, packages=["a"]))
    resource = Rootfs(spec(path, packages=["b"], recreate="never"))
    plan = resource.plan(read_one(resource, None))
    assert not plan
    assert plan.restart_required == ["packages"]


@pytest.mark.parametrize("options", [{"packages": ["a"]}, {"state": "absent"}])
def test_what_somebody_else_made_is_left_alone(builder, path, options):
    path.mkdir(parents=True)
    with pytest.raises(StrataError, match="wasn't made by this collection"):
        apply({"path": str(path), "suite": "trixie", **options})
    assert path.exists()


def test_absent_takes_all_of_it_away(builder, path):
    apply(spec(path))
    assert apply({"path": str(path), "state": "absent"})
    assert os.listdir(path.parent) == []
    assert not apply({"path": str(path), "state": "absent"})


def test_a_changed_overlay_makes_it_anew(builder, path, tmp_path):
    overlay = tmp_path / "overlay"
    (overlay / "etc").mkdir(parents=True)
    (overlay / "etc/motd").write_text("hello")
    apply(spec(path, overlay=str(overlay)))
    assert not apply(spec(path, overlay=str(overlay)))
    (overlay / "etc/motd").write_text("hello!")
    assert apply(spec(path, overlay=str(overlay)))


def test_files_of_an_overlay_become_roots(builder, path, tmp_path):
    overlay = tmp_path / "overlay"
    (overlay / "root").mkdir(parents=True)
    (overlay / "root/script").touch()
    (overlay / "root/script").chmod(0o775)
    (overlay / "link").symlink_to("root")
    apply(spec(path, overlay=str(overlay)))
    assert builder.laid.keys() == {"root/script", "link"}, "directories would change those that are there"
    script = builder.laid["root/script"]
    assert (script.uid, script.gid, script.mode) == (0, 0, 0o755)
    assert builder.laid["link"].issym()


def test_what_was_extracted_and_went_is_made_again(builder, path, tmp_path):
    options = spec(path, format="ext4", size="1G", extract={str(tmp_path / "vmlinuz"): "/vmlinuz"})
    apply(options)
    (tmp_path / "vmlinuz").unlink()
    assert apply(options)
    assert (tmp_path / "vmlinuz").exists()


def test_a_disk_of_another_size_is_made_again(builder, path):
    apply(spec(path, format="ext4", size="1G"))
    os.truncate(path, 512)
    assert apply(spec(path, format="ext4", size="1G"))
    assert path.stat().st_size == 1024**3


def test_words_reach_the_shell_of_hooks_quoted(builder, tmp_path):
    path = tmp_path / "a tree"
    apply(spec(path, run=[["sh", "-c", "echo $HOME; id"]], extract={f"{tmp_path}/a b": "/c"}))
    words = builder.calls[0]
    assert "--customize-hook=chroot \"$1\" sh -c 'echo $HOME; id'" in words
    assert f"--customize-hook=download /c '{path}.strata-next/extracted-0'" in words
    assert (tmp_path / "a b").read_text() == "kernel"


def test_without_root_the_disk_is_made_in_a_user_namespace(monkeypatch, path):
    builder = Builder(monkeypatch, rootless=True)
    apply(spec(path, format="ext4", size="1G"))
    made = builder.argv("mmdebstrap")
    assert {"--mode=unshare", "--format=tar"} <= set(made)
    mapped = builder.argv("unshare")
    assert mapped[1:4] == ["--map-root-user", "--map-auto", "--fork"]
    assert mapped[mapped.index("mke2fs") :][-1] == f"{path}.strata-next/disk"


def test_without_root_a_directory_is_made_where_it_can_be_moved_from(monkeypatch, path):
    builder = Builder(monkeypatch, rootless=True)
    apply(spec(path))
    assert f"{path}.strata-next.tree" in builder.argv("mmdebstrap")
    assert sorted(os.listdir(path.parent)) == ["tree", "tree.strata.json"]


def test_without_root_other_types_are_refused(monkeypatch, path):
    Builder(monkeypatch, rootless=True)
    with pytest.raises(StrataError, match="type: needs root"):
        apply({"path": str(path), "type": "dnf", "releasever": "42", "packages": ["a"], "repositories": [UNSIGNED]})


def test_nothing_is_left_of_a_failure(builder, path):
    builder.error = StrataError("no such suite")
    with pytest.raises(StrataError, match="no such suite"):
        apply(spec(path))
    assert os.listdir(path.parent) == []


def test_a_killed_run_is_finished_by_the_next(builder, path):
    (path.parent / "tree.strata-next").mkdir(parents=True)
    (path.parent / "tree.strata-next.overlay.tar").touch()
    (path.parent / "tree.strata.json").write_text(json.dumps({"owner": "", "options": {"suite": "trixie"}}))
    assert apply(spec(path))
    assert sorted(os.listdir(path.parent)) == ["tree", "tree.strata.json"]


def test_who_comes_second_waits_for_the_first(builder, path):
    path.parent.mkdir()
    second = Rootfs(spec(path))
    plan = second.plan(ABSENT)
    with trees.held(str(path)):
        waiting = threading.Thread(target=carry_out, args=(second, None, plan))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        path.mkdir()  # the first has finished
    waiting.join()
    assert builder.calls == []
    assert os.listdir(path.parent) == ["tree"]


def test_a_tree_in_use_is_not_removed(path, monkeypatch):
    path.mkdir(parents=True)
    line = f"40 30 0:45 / {path}/proc rw,nosuid - proc proc rw"
    monkeypatch.setattr(mounts, "table", lambda: mounts.Table(mounts.parse(line)))
    with pytest.raises(StrataError, match="/proc mounted in it"):
        trees.remove(str(path))
    assert path.exists()


def test_trees_change_places_in_one_step(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    trees.swap(str(tmp_path / "new"), str(tmp_path / "old"))
    assert os.listdir(tmp_path / "old") == ["new"]
    shutil.rmtree(tmp_path / "old")
    trees.swap(str(tmp_path / "new"), str(tmp_path / "old"))
    assert os.listdir(tmp_path / "old") == ["old"]


def test_file_systems_that_can_not_exchange(tmp_path, monkeypatch):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()

    class Libc:
        renameat2 = staticmethod(lambda *_words: -1)

    monkeypatch.setattr(trees.ctypes, "CDLL", lambda *_words, **_more: Libc)
    monkeypatch.setattr(trees.ctypes, "get_errno", lambda: trees.errno.EINVAL)
    trees.swap(str(tmp_path / "new"), str(tmp_path / "old"))
    assert (os.listdir(tmp_path / "old"), os.listdir(tmp_path / "new")) == (["new"], ["old"])
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


TARBALL = {"type": "tarball", "source": "/srv/a.tar", "suite": None}
OCI = {"type": "oci", "suite": None}
DNF = {"type": "dnf", "suite": None, "releasever": "42", "packages": ["bash"]}
OWN = {"name": "own", "baseurl": "https://mirror.example.com/"}
UNSIGNED = {**OWN, "gpgcheck": False}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"suite": None}, "suite: must be given"),
        ({"format": "ext4"}, "size: goes with format: ext4 and qcow2"),
        ({"size": "1G"}, "size: goes with format: ext4 and qcow2"),
        ({"path": "relative"}, "must be an absolute path"),
        ({"run": [["a"], []]}, "run: is a list of programs"),
        ({"run": ["sh -c a"]}, "run: is a list of programs"),
        ({"extract": {"here": "/vmlinuz"}}, "extract: must be an absolute path"),
        ({"variant": "extract", "overlay": "/srv"}, "overlay: doesn't go with variant: extract"),
        ({"source": "/srv/a.tar"}, "source: doesn't go with type: debootstrap"),
        ({**TARBALL, "packages": ["a"]}, "packages: doesn't go with type: tarball"),
        ({**TARBALL, "source": None}, "source: must be given"),
        ({**TARBALL, "source": "a.tar"}, "source: is no archive"),
        ({**TARBALL, "source": "ftp://example.com/a.tar"}, "source: is no archive"),
        ({**TARBALL, "checksum": "sha256:0"}, "checksum: is no checksum"),
        ({**OCI, "source": "debian:trixie"}, "source: is no image"),
        ({**OCI, "source": "oci:relative:v1"}, "source: is no image"),
        ({**DNF, "repositories": [OWN]}, "repositories: has no key for own"),
        ({**DNF, "repositories": [OWN, OWN]}, "repositories: names own twice"),
        ({"type": "busybox"}, "suite: doesn't go with type: busybox"),
        ({**OCI, "source": "oci:/a:b", "checksum": f"sha512:{'0' * 128}"}, "checksum: is sha256 for images"),
        ({"packages": ["a", "--allow-unauthenticated"]}, "packages: must not be empty, and not begin with '-'"),
        ({"mirror": "-"}, "mirror: must not be empty, and not begin with '-'"),
    ],
)
def test_bad_options_are_named(path, options, words):
    with pytest.raises(StrataError) as refused:
        Rootfs({**spec(path), **options})
    assert words in str(refused.value)


def test_an_overlay_that_is_not_one_is_named(builder, path, tmp_path):
    with pytest.raises(StrataError, match="overlay: is not there"):
        apply(spec(path, overlay="/nonexistent"))
    (tmp_path / "file").touch()
    with pytest.raises(StrataError, match="overlay: is no directory"):
        apply(spec(path, overlay=str(tmp_path / "file")))


def test_what_was_noted_by_the_first_form_is_recognised(builder, path):
    """Notes of version 0.1.0 have no mark, and neither have the trees."""
    path.mkdir(parents=True)
    options = {"format": "directory", "suite": "trixie", "type": "debootstrap", "variant": "minbase", "packages": ["a"]}
    Path(f"{path}.strata.json").write_text(json.dumps({"options": options, "owner": ""}) + "\n")
    assert not apply(spec(path, packages=["a"]))
    assert apply(spec(path, packages=["b"]))
    assert not apply(spec(path, packages=["b"]))


def test_a_disk_becomes_another_format(builder, path, monkeypatch):
    def convert(source, target, format):
        Path(target).touch()
        os.truncate(target, os.stat(source).st_size)

    monkeypatch.setattr("ansible_collections.strata.virt.plugins.module_utils.engines.qemu_img.convert", convert)
    apply(spec(path, format="ext4", size="1G"))
    assert apply(spec(path, format="qcow2", size="1G"))
    assert apply(spec(path))
    assert path.is_dir()
    assert "size" not in json.loads(Path(f"{path}.strata.json").read_text())["options"]


def test_a_stack_that_names_no_extract(path):
    """``provides`` has to do without options that aren't given."""
    assert Rootfs(spec(path)).provides() == [("path", str(path))]


def test_leftovers_are_a_change_wherever_they_are(builder, path):
    apply(spec(path))
    (path.parent / "tree.strata-next").mkdir()
    assert apply(spec(path))
    assert sorted(os.listdir(path.parent)) == ["tree", "tree.strata.json"]
    apply({"path": str(path), "state": "absent"})
    (path.parent / "tree.strata-next").mkdir()
    (path.parent / "tree.strata.json").touch()
    assert apply({"path": str(path), "state": "absent"})
    assert os.listdir(path.parent) == []


class TestNotes:
    """A note, a mark, and a kill between any two steps."""

    OLD = {"owner": "", "options": {"suite": "old"}}
    NEW = {"owner": "", "options": {"suite": "new"}}

    @pytest.fixture
    def place(self, tmp_path):
        for name in ("path", "fresh"):
            (tmp_path / name).mkdir()
        notes.announce(str(tmp_path / "path"), str(tmp_path / "path"), self.OLD)
        notes.settle(str(tmp_path / "path"))
        return str(tmp_path / "path")

    def suite(self, place):
        entry = notes.read(place)
        return entry and entry["options"].get("suite")

    def test_it_tells_what_is_there(self, place):
        fresh = place.replace("path", "fresh")
        assert self.suite(place) == "old"
        notes.announce(place, fresh, self.NEW)
        assert self.suite(place) == "old"
        trees.swap(fresh, place)
        assert self.suite(place) == "new"
        notes.settle(place)
        assert self.suite(place) == "new"

    def test_a_note_of_something_else(self, place):
        os.rmdir(place)
        os.mkdir(place)
        assert notes.read(place) is None

    def test_where_no_mark_can_be_kept(self, place, monkeypatch):
        def refuse(*_words):
            raise OSError

        monkeypatch.setattr(notes.os, "setxattr", refuse)
        monkeypatch.setattr(notes, "_mark", lambda path: None)
        fresh = place.replace("path", "fresh")
        Path(notes.beside(place)).write_text(json.dumps(self.OLD))
        notes.announce(place, fresh, self.NEW)
        assert notes.read(place) == {"owner": "", "options": {}}
        notes.settle(place)
        assert self.suite(place) == "new"


class TestArchives:
    @pytest.fixture(autouse=True)
    def _root(self, monkeypatch):
        monkeypatch.setattr(bootstrap, "rootless", lambda: False)

    @pytest.fixture
    def archive(self, tmp_path):
        (tmp_path / "in").mkdir()
        (tmp_path / "in/one").write_text("1")
        return self.pack(tmp_path)

    def pack(self, tmp_path) -> str:
        with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
            file.add(tmp_path / "in", ".")
        return str(tmp_path / "a.tar.gz")

    def test_known_by_their_content(self, archive, path, tmp_path):
        options = {"path": str(path), "type": "tarball", "source": archive}
        assert apply(options)
        assert (path / "one").read_text() == "1"
        assert not apply(options)
        (tmp_path / "in/one").write_text("2")
        self.pack(tmp_path)
        assert apply(options)
        assert (path / "one").read_text() == "2"

    def test_not_read_again_when_untouched(self, archive, path, monkeypatch):
        options = {"path": str(path), "type": "tarball", "source": archive}
        apply(options)
        monkeypatch.setattr(trees.hashlib, "new", lambda *_words: pytest.fail("it was read"))
        assert not apply(options)

    def test_another_one_than_declared(self, archive, path):
        options = {"path": str(path), "type": "tarball", "source": archive, "checksum": f"sha256:{'0' * 64}"}
        with pytest.raises(StrataError, match="checksum: the source is another one: it has sha256:"):
            apply(options)
        with pytest.raises(StrataError, match="checksum: the source is another one: it has sha512:"):
            apply({**options, "checksum": f"sha512:{'0' * 128}"})
        assert not path.exists()

    def test_pinned_by_another_algorithm(self, archive, path, tmp_path):
        checksum = f"sha512:{hashlib.sha512(Path(archive).read_bytes()).hexdigest()}"
        options = {"path": str(path), "type": "tarball", "source": archive, "checksum": checksum}
        assert apply(options)
        assert not apply(options)
        (tmp_path / "in/one").write_text("2")
        self.pack(tmp_path)
        with pytest.raises(StrataError, match="it has sha512:"):
            apply(options)

    def test_a_checksum_that_a_stack_no_longer_declares(self):
        url = {"path": "/srv/tree", "type": "tarball", "source": "https://mirror.example.com/a.tar"}
        config = {"type": "tarball", "format": "directory", "source": url["source"], "checksum": f"sha256:{'0' * 64}"}
        resource = Rootfs(url, owner="web", applied={**url, "checksum": config["checksum"]})
        assert not resource.plan(State("present", config, owner="web"))

    def test_made_by_an_earlier_entry_of_a_stack(self, path):
        resource = Rootfs({"path": str(path), "type": "tarball", "source": "/nonexistent.tar"})
        resource.promised = frozenset({("path", "/nonexistent.tar")})
        assert resource.plan(read_one(resource, None)).steps == ("create",)

    def test_not_there(self, path):
        with pytest.raises(StrataError, match="source: is not there"):
            apply({"path": str(path), "type": "tarball", "source": "/nonexistent.tar"})


def test_images_are_known_by_their_index(tmp_path):
    digest = f"sha256:{'1' * 64}"
    manifest = {"digest": digest, "annotations": {"org.opencontainers.image.ref.name": "v1"}}
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [{"digest": "sha256:2"}, manifest]}))
    assert oci.digest(f"oci:{tmp_path}:v1") == digest
    with pytest.raises(StrataError, match="has no image v2"):
        oci.digest(f"oci:{tmp_path}:v2")
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(StrataError, match="is no OCI layout"):
        oci.digest(f"oci:{tmp_path}:v1")


@pytest.mark.parametrize(
    ("source", "pinned", "layout"),
    [
        ("docker://registry.example.com:5000/a/b:v1", None, None),
        (f"docker://registry.example.com/a:v1@sha256:{'0' * 64}", f"sha256:{'0' * 64}", None),
        ("oci:/srv/layout:v1", None, "/srv/layout"),
    ],
)
def test_images_are_named_as_skopeo_names_them(source, pinned, layout):
    oci.check(source)
    assert (oci.pinned(source), oci.layout(source)) == (pinned, layout)


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("E: Unable to locate package nosuch", "packages"),
        ("W: Failed to fetch http://x/InRelease  Could not connect to x:80 (192.0.2.1)", "mirror"),
        ("W: Failed to fetch http://x/InRelease  Temporary failure resolving 'x'", "mirror"),
        ("E: The repository 'http://deb.example.com/debian nosuch Release' does not have a Release file.", "suite"),
        ("W: GPG error: http://x trixie InRelease: NO_PUBKEY 0123456789ABCDEF", "keyring"),
        ("tar: usr/lib/x: Cannot write: No space left on device", None),
    ],
)
def test_words_of_apt_are_understood(line, option):
    error = complaints.explained(["I: something", line], bootstrap.COMPLAINTS)
    assert error is not None
    assert error.option == option
    assert error.message[:3] not in ("E: ", "W: ")
