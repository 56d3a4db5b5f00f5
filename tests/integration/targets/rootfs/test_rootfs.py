# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""rootfs, from tiny sources of every type, looked at in the file system itself."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, Killed, call, run, touches_of

_spec = importlib.util.spec_from_file_location("rootfs_sources_made", Path(__file__).with_name("sources.py"))
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)

TOP = Path("/srv/strata-test-rootfs")
MADE = TOP / "made"
TREE = MADE / "tree"
PING = "0100000200200000000000000000000000000000"  # cap_net_raw+ep, as the kernel keeps it (capability.h: vfs_cap_data)

TOUCHES = (
    "engines.archives.unpack",
    "engines.notes.announce",
    "engines.trees.put_aside",
    "engines.trees.remove",
    "engines.trees.swap",
    "core.files.write",
    "core.files.remove",
)


@pytest.fixture(scope="module", autouse=True)
def things():
    if TOP.exists():
        shutil.rmtree(TOP)
    MADE.mkdir(parents=True)
    folder = make.member("./", tarfile.DIRTYPE, mode=0o755)
    su = make.member("./usr/bin/su", text="su", mode=0o4755)
    zone = make.member("./etc/localtime", tarfile.SYMTYPE, "/usr/share/zoneinfo/UTC")
    make.archive(TOP / "a.tar.gz", folder, su, zone, make.member("./etc/a", uid=1234, gid=56), compress="gz")
    make.archive(TOP / "b.tar", folder, su, make.member("./etc/b"))
    yield
    shutil.rmtree(TOP)


def left() -> list[str]:
    """What is beside the trees."""
    return sorted(path.name for path in MADE.iterdir())


def rootfs(**options) -> dict:
    return call("rootfs", {"path": str(TREE), **options})


def refused(words: str, **options) -> None:
    """It fails, in these words, with nothing left behind."""
    before = left()
    with pytest.raises(Failed) as failed:
        rootfs(**options)
    assert words in failed.value.result["msg"]
    assert left() == before


@pytest.fixture
def clean():
    yield
    call("rootfs", {"path": str(TREE), "state": "absent"})
    assert left() == []


@pytest.fixture(scope="module")
def layout():
    tree = TOP / "image.tree"
    (tree / "bin").mkdir(parents=True)
    shutil.copy("/usr/bin/true", tree / "bin/ping")
    os.setxattr(tree / "bin/ping", "security.capability", bytes.fromhex(PING))
    (tree / "etc").mkdir()
    (tree / "etc/localtime").symlink_to("/usr/share/zoneinfo/UTC")
    yield TOP / "layout", tree
    if (TOP / "layout").exists():
        shutil.rmtree(TOP / "layout")


class TestConvergence(Convergence):
    case = Case(
        kind="rootfs",
        info="rootfs_info",
        identity="path",
        name=str(TREE),
        a={"type": "tarball", "source": f"{TOP}/a.tar.gz", "setuid": False},
        b={"type": "tarball", "source": f"{TOP}/b.tar", "setuid": True},
        look=make.seen,
        seen_a={
            "files": {
                "etc": "40755 0:0",
                "etc/a": "100644 1234:56",
                "etc/localtime": "/usr/share/zoneinfo/UTC",
                "usr": "40755 0:0",
                "usr/bin": "40755 0:0",
                "usr/bin/su": "100755 0:0",
            },
            "mode": "40755",
        },
        seen_b={
            "files": {
                "etc": "40755 0:0",
                "etc/b": "100644 0:0",
                "usr": "40755 0:0",
                "usr/bin": "40755 0:0",
                "usr/bin/su": "104755 0:0",
            },
        },
        drifts={
            "gone": shutil.rmtree,
            "gone with its note": lambda name: (shutil.rmtree(name), os.unlink(f"{name}.strata.json")),
        },
        touches=TOUCHES,
        bad=(
            ("type", "magic"),
            ("format", "iso"),
            ("size", "1G"),
            ("suite", "trixie"),
            ("packages", ["a"]),
            ("source", "a.tar"),
            ("source", f"{TOP}/nowhere.tar"),
            ("checksum", "md5:00"),
            ("checksum", f"sha256:{'0' * 64}"),
            ("max_size", "12X"),
            ("recreate", "maybe"),
        ),
        bad_names=("", "a/b", "/srv/../x"),
    )

    def test_a_run_is_silent_when_nothing_changes(self):
        self.apply(self.case.a)
        before = {path: path.stat().st_mtime_ns for path in [MADE, *MADE.iterdir()]}
        self.unchanged(self.case.a)
        assert {path: path.stat().st_mtime_ns for path in [MADE, *MADE.iterdir()]} == before

    def test_taken_away_in_spite_of_kills(self):
        self.apply(self.case.a)
        gone = {"path": str(TREE), "state": "absent"}
        count = touches_of("rootfs", gone, TOUCHES)
        assert count
        for touch in range(1, count + 1):
            self.apply(self.case.a)
            with pytest.raises(Killed):
                call("rootfs", gone, touches=TOUCHES, die_at=touch)
            call("rootfs", gone)
            assert left() == []
            self.unchanged({"state": "absent"})

    def test_a_first_build_that_was_killed_leaves_nothing_to_absent(self):
        with pytest.raises(Killed):
            self.apply(self.case.a, touches=("engines.archives.unpack",), die_at=1)
        assert left() == ["tree.strata-lock", "tree.strata-next"]
        assert self.foretold({"state": "absent"})["changed"]
        assert left() == []

    def test_an_archive_that_changes_is_a_change(self):
        source = make.archive(TOP / "c.tar", make.member("one"))
        spec = {"type": "tarball", "source": source}
        self.apply(spec)
        os.utime(source)
        self.unchanged(spec)
        make.archive(TOP / "c.tar", make.member("two"))
        assert self.foretold(spec)["changes"][0]["field"] == "checksum"
        assert list(make.seen(str(TREE))["files"]) == ["two"]

    def test_recreation_can_be_forbidden_and_asked_for(self):
        self.apply(self.case.a)
        waiting = self.foretold({**self.case.b, "recreate": "never"})
        assert (waiting["changed"], waiting["restart_required"]) == (False, ["checksum", "setuid", "source"])
        self.sees(self.case.seen_a)
        (TREE / "mine").touch()
        assert self.foretold({**self.case.a, "recreate": "always"})["changed"]
        self.sees(self.case.seen_a)

    def test_what_somebody_else_made_is_left_alone(self):
        for note in (None, json.dumps({"owner": "", "mark": "another", "options": {}})):
            TREE.mkdir()
            if note:
                Path(f"{TREE}.strata.json").write_text(note)
            for spec in ({"state": "absent"}, self.case.a):
                with pytest.raises(Failed, match="wasn't made by this collection"):
                    self.apply(spec)
            TREE.rmdir()
        self.apply(self.case.a)
        shutil.rmtree(TREE)
        TREE.mkdir()  # our note, and another one's tree
        with pytest.raises(Failed, match="wasn't made by this collection"):
            self.apply({"state": "absent"})
        TREE.rmdir()


class TestInUse:
    """Whoever uses a tree is named, and keeps it."""

    OTHER = {"type": "tarball", "source": f"{TOP}/b.tar"}

    @pytest.fixture(autouse=True, scope="class")
    def _tree(self):
        rootfs(type="busybox")
        yield
        rootfs(state="absent")

    def named(self, *words: str) -> None:
        for spec in (self.OTHER, {"state": "absent"}):
            with pytest.raises(Failed) as failed:
                rootfs(**spec)
            for word in words:
                assert word in failed.value.result["msg"]
        assert (TREE / "bin/busybox").exists()

    @pytest.mark.parametrize(
        "argv",
        [
            ("chroot", str(TREE), "/bin/sh", "-c", "echo; exec sleep 60"),
            ("unshare", "--mount", "chroot", str(TREE), "/bin/sh", "-c", "echo; exec sleep 60"),
            ("unshare", "--mount", "sh", "-c", f"mount --bind {TREE}/etc /mnt && echo && exec sleep 60"),
        ],
    )
    def test_by_a_process(self, argv):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        try:
            process.stdout.readline()
            self.named(f"process {process.pid} (")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def test_by_mounts(self):
        for at, argv in (
            (TREE / "proc", ("-t", "tmpfs", "none", f"{TREE}/proc")),
            (TOP / "mnt", ("--bind", str(TREE), f"{TOP}/mnt")),
            (TOP / "mnt", ("-t", "overlay", "none", "-o", f"lowerdir={TREE}/bin:{TREE}/etc", f"{TOP}/mnt")),
        ):
            at.mkdir(exist_ok=True)
            run("mount", *argv)
            try:
                self.named(f"mounted at {at}")
            finally:
                run("umount", str(at))


HOSTILE = {
    "leads up": ([make.member("../evil", text="x")], "Member name contains '..'"),
    "through a link out": (
        [make.member("l", tarfile.SYMTYPE, str(TOP)), make.member("l/evil", text="x")],
        "l/evil: Cannot open: Not a directory",
    ),
    "through two links out": (
        [
            make.member("d/up", tarfile.SYMTYPE, "../.."),
            make.member("l", tarfile.SYMTYPE, "d/up"),
            make.member("l/evil", text="x"),
        ],
        "l/evil: Cannot open: Not a directory",
    ),
    "a hard link out": ([make.member("h", tarfile.LNKTYPE, "/etc/shadow")], "h: Cannot hard link to"),
    "a hard link through a link out": (
        [make.member("l", tarfile.SYMTYPE, "/etc"), make.member("h", tarfile.LNKTYPE, "l/shadow")],
        "Not a directory",
    ),
    "a device": (
        [make.member("etc/disk", tarfile.BLKTYPE, devmajor=8, mode=0o666)],
        "devices: it has device nodes outside of /dev: /etc/disk",
    ),
}


@pytest.mark.usefixtures("clean")
class TestArchives:
    def source(self, *members, **more) -> dict:
        return {"type": "tarball", "source": make.archive(TOP / "archive.tar", *members, **more)}

    @pytest.mark.parametrize("name", HOSTILE)
    def test_nothing_gets_out(self, name):
        members, words = HOSTILE[name]
        source = self.source(make.member("good"), *members)
        before = sorted(path.name for path in TOP.iterdir())
        shadow = os.stat("/etc/shadow").st_nlink
        refused(words, **source)
        assert sorted(path.name for path in TOP.iterdir()) == before
        assert os.stat("/etc/shadow").st_nlink == shadow

    def test_absolute_names_are_of_the_tree(self):
        outside = TOP / "outside"
        outside.write_text("untouched")
        rootfs(**self.source(make.member(str(outside), text="x"), make.member("l", tarfile.SYMTYPE, str(outside))))
        assert outside.read_text() == "untouched"
        assert (TREE / str(outside)[1:]).read_text() == "x"
        assert os.readlink(TREE / "l") == str(outside)

    def test_devices_only_where_they_are_asked_for(self):
        nodes = [make.member(name, tarfile.CHRTYPE, devmajor=1, devminor=3) for name in ("dev/null", "dev/x/null")]
        rootfs(**self.source(*nodes))
        assert list(make.seen(str(TREE))["files"]) == ["dev", "dev/x"]
        assert rootfs(**self.source(*nodes, make.member("null", tarfile.CHRTYPE)), devices=True)["changed"]
        assert os.stat(TREE / "dev/null").st_rdev == os.makedev(1, 3)

    def test_no_archive_and_a_part_of_one(self):
        (TOP / "text").write_text("no archive\n" * 100)
        refused("does not look like a tar archive", type="tarball", source=f"{TOP}/text")
        whole = (TOP / "a.tar.gz").read_bytes()
        (TOP / "part.tar.gz").write_bytes(whole[: len(whole) // 2])
        refused("source: ", type="tarball", source=f"{TOP}/part.tar.gz")

    def test_more_than_is_allowed(self):
        with gzip.open(TOP / "bomb.tar.gz", "wb") as file:
            for _chunk in range(20):
                file.write(bytes(1024**2))
        refused("max_size: the archive has more content", type="tarball", source=f"{TOP}/bomb.tar.gz", max_size="10M")

    def test_no_room(self):
        place = TOP / "small"
        place.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=2M", "none", str(place))
        try:
            source = self.source(make.member("big", text="x" * 3 * 1024**2))
            with pytest.raises(Failed, match="Make room on the file system"):
                call("rootfs", {"path": f"{place}/tree", **source})
            assert os.listdir(place) == []
        finally:
            run("umount", str(place))

    @pytest.mark.parametrize("word", ["xz", "zst"])
    def test_compressed_and_with_all_attributes(self, word, layout):
        _layout, tree = layout
        run("setfacl", "-m", "u:1234:r", str(tree / "bin/ping"))
        name = TOP / f"packed.tar.{word}"
        run("tar", "-caf", str(name), "--xattrs", "--xattrs-include=*", "--acls", "-C", str(tree), ".")
        rootfs(type="tarball", source=str(name))
        assert os.getxattr(TREE / "bin/ping", "security.capability").hex() == PING
        assert "user:1234:r--" in run("getfacl", "--numeric", "--absolute-names", str(TREE / "bin/ping"))
        assert rootfs(type="tarball", source=str(name), setuid=False)["changed"]
        assert "security.capability" not in os.listxattr(TREE / "bin/ping")

    def test_from_a_server(self):
        with make.web_server(TOP) as url:
            checksum = f"sha256:{hashlib.sha256((TOP / 'b.tar').read_bytes()).hexdigest()}"
            refused("source: could not download", type="tarball", source=f"{url}/nowhere.tar")
            wrong = f"sha256:{'0' * 64}"
            refused(f"it has {checksum}", type="tarball", source=f"{url}/b.tar", checksum=wrong)
            assert rootfs(type="tarball", source=f"{url}/b.tar")["changed"]
            assert (TREE / "etc/b").exists()
            # It is known by what came, so that pinning it down changes nothing.
            assert not rootfs(type="tarball", source=f"{url}/b.tar", checksum=checksum)["changed"]
        spec = {"type": "tarball", "source": f"{url}/b.tar"}
        assert rootfs(**spec)["changed"] is False
        refused("Connection refused", **spec, recreate="always")
        assert (TREE / "etc/b").exists()


@pytest.mark.usefixtures("clean")
class TestImages:
    def test_from_a_layout(self, layout):
        place, tree = layout
        spec = {"type": "oci", "source": make.image(place, "v1", tree)}
        digest = json.loads((place / "index.json").read_text())["manifests"][0]["digest"]
        assert rootfs(**spec)["resource"]["options"]["checksum"] == digest
        assert os.getxattr(TREE / "bin/ping", "security.capability").hex() == PING
        assert os.readlink(TREE / "etc/localtime") == "/usr/share/zoneinfo/UTC"
        assert rootfs(**spec)["changed"] is False
        (tree / "etc/new").touch()
        make.image(place, "v1", tree)
        assert rootfs(**spec)["changed"]
        assert (TREE / "etc/new").exists()
        refused(f"source: {place} has no image v2", type="oci", source=f"oci:{place}:v2")
        refused("source: is not there", type="oci", source=f"oci:{TOP}/nowhere:v1")
        refused("source: is no image", type="oci", source="debian:trixie")

    def test_layers_do_not_get_out_either(self, layout):
        place, tree = layout
        link = [make.member("l", tarfile.SYMTYPE, str(TOP)), make.member("l/evil", text="x")]
        source = make.image(place, "hostile", tree)
        run("umoci", "raw", "add-layer", "--image", source[4:], make.archive(TOP / "layer.tar", *link))
        rootfs(type="oci", source=source)
        assert not (TOP / "evil").exists()
        assert (TREE / str(TOP)[1:] / "evil").read_text() == "x"
        disk = make.member("etc/disk", tarfile.BLKTYPE, devmajor=8, mode=0o666)
        run("umoci", "raw", "add-layer", "--image", source[4:], make.archive(TOP / "layer.tar", disk))
        refused("devices: it has device nodes outside of /dev: /etc/disk", type="oci", source=source)

    def test_from_a_registry(self, layout):
        place, tree = layout
        source = make.image(place, "pushed", tree)
        with make.registry(TOP) as server:
            name = f"docker://{server}/tiny"
            run("skopeo", "copy", "--dest-tls-verify=false", source, f"{name}:v1")
            digest = json.loads((place / "index.json").read_text())["manifests"][-1]["digest"]
            spec = {"type": "oci", "source": f"{name}:v1", "validate_certs": False}
            assert rootfs(**spec)["resource"]["options"]["checksum"] == digest
            assert (TREE / "bin/ping").exists()
            assert rootfs(**spec, checksum=digest)["changed"] is False
            assert rootfs(**{**spec, "source": f"{name}@{digest}"})["changed"]
            refused("manifest unknown", **{**spec, "source": f"{name}:v2"})
            refused("manifest unknown", **spec, checksum=f"sha256:{'0' * 64}")
            refused("For a registry that you trust, validate_certs: false", type="oci", source=f"{name}:v1")
        assert rootfs(**{**spec, "source": f"{name}@{digest}"})["changed"] is False


@pytest.mark.usefixtures("clean")
class TestPackages:
    @pytest.fixture(scope="class")
    def debs(self):
        folder = TOP / "debs"
        folder.mkdir()
        for name in ("one", "two"):
            make.deb(folder, name, name)
        return {"suite": "trixie", "variant": "extract", "mirror": f"deb [trusted=yes] copy://{folder} ./"}

    def test_of_debian(self, debs, monkeypatch):
        wanted = {**debs, "packages": ["one"]}
        monkeypatch.setenv("STRATA_PROGRESS", str(TOP / "progress"))
        assert rootfs(**wanted)["changed"]
        assert (TOP / "progress").read_text().strip()
        assert (TREE / "usr/share/strata/one").read_text() == "one"
        assert rootfs(**wanted)["changed"] is False
        assert rootfs(**debs, packages=["two"], format="tar")["changed"]
        with tarfile.open(TREE) as file:
            assert "./usr/share/strata/two" in file.getnames()
        assert rootfs(state="absent")["changed"]
        assert left() == []

    @pytest.mark.parametrize(
        ("spec", "words"),
        [
            ({"packages": ["nosuch"]}, "packages: Unable to locate package nosuch (got ['nosuch'])"),
            ({"mirror": "http://127.0.0.1:9/debian"}, "mirror: "),
            ({"keyring": "/nowhere.gpg"}, "keyring: is not there"),
        ],
    )
    def test_what_debian_does_not_have(self, debs, spec, words):
        refused(words, **{**debs, **spec})

    def test_of_fedora(self):
        make.rpm(TOP / "rpms", "one", "two")
        own = {"name": "own", "baseurl": f"file://{TOP}/rpms", "gpgcheck": False}
        wanted = {"type": "dnf", "releasever": "42", "repositories": [own], "packages": ["one"]}
        assert rootfs(**wanted)["changed"]
        assert (TREE / "usr/share/strata/one").read_text() == "one\n"
        assert not (TREE / "usr/share/strata/two").exists()
        assert rootfs(**wanted)["changed"] is False
        refused("packages: No match for argument: nosuch", **{**wanted, "packages": ["nosuch"]})
        refused("repositories: has no key for own", **{**wanted, "repositories": [{**own, "gpgcheck": True}]})

    def test_tools_that_are_not_there_are_named(self, debs, monkeypatch):
        monkeypatch.setenv("PATH", "/nowhere")
        refused("Install the package mmdebstrap", **debs)
        refused("Install the package dnf", type="dnf", releasever="42", packages=["a"], repositories=[
            {"name": "own", "baseurl": "file:///nowhere", "gpgcheck": False}
        ])  # fmt: skip
        refused("Install the package skopeo", type="oci", source="docker://registry.example.com/a:b")


@pytest.mark.usefixtures("clean")
class TestFormats:
    def test_a_program_runs_in_the_smallest_tree(self):
        assert rootfs(type="busybox")["changed"]
        assert run("chroot", str(TREE), "/bin/sh", "-c", "echo hello | sed s/h/H/") == "Hello"
        assert rootfs(type="busybox")["changed"] is False

    def test_a_disk(self):
        disk = {"type": "busybox", "format": "ext4", "size": "16M"}
        assert rootfs(**disk)["changed"]
        assert rootfs(**disk)["changed"] is False
        run("e2fsck", "-fn", str(TREE))
        assert "BusyBox" in run("debugfs", "-R", "cat /etc/os-release", str(TREE))
        os.truncate(TREE, 1024**2)
        assert [change["field"] for change in rootfs(**disk)["changes"]] == ["size"]
        disk["format"] = "qcow2"
        assert rootfs(**disk)["changed"]
        told = json.loads(run("qemu-img", "info", "--output=json", str(TREE)))
        assert (told["format"], told["virtual-size"]) == ("qcow2", 16 * 1024**2)
        run("qemu-img", "convert", "-O", "raw", str(TREE), f"{TOP}/raw")
        assert "BusyBox" in run("debugfs", "-R", "cat /etc/os-release", f"{TOP}/raw")
        assert rootfs(**disk)["changed"] is False

    def test_an_archive_makes_the_same_tree(self):
        assert rootfs(type="busybox", format="tar")["changed"]
        other = MADE / "other"
        assert call("rootfs", {"path": str(other), "type": "tarball", "source": str(TREE)})["changed"]
        assert rootfs(type="busybox")["changed"]
        assert make.seen(str(other)) == make.seen(str(TREE))
        call("rootfs", {"path": str(other), "state": "absent"})

    def test_a_subvolume(self):
        refused("is not on btrfs", type="busybox", format="subvolume")
        with make.btrfs(TOP) as place:
            path = place / "tree"
            wanted = {"path": str(path), "type": "tarball", "source": f"{TOP}/b.tar"}
            assert call("rootfs", {**wanted, "format": "subvolume"})["changed"]
            assert call("rootfs", {**wanted, "format": "subvolume"})["changed"] is False
            assert "UUID" in run("btrfs", "subvolume", "show", str(path))
            assert call("rootfs", {**wanted, "format": "subvolume", "source": f"{TOP}/a.tar.gz"})["changed"]
            assert (path / "etc/a").exists()
            assert call("rootfs", wanted)["changed"]  # a subvolume and a directory can't be exchanged
            assert run("btrfs", "subvolume", "list", str(place)) == ""
            assert (path / "etc/b").exists()
            call("rootfs", {**wanted, "format": "subvolume"})
            with contextlib.suppress(Killed):
                call("rootfs", wanted, touches=("engines.trees.swap",), die_at=1)
            assert call("rootfs", {**wanted, "format": "subvolume"})["changed"]
            call("rootfs", {"path": str(path), "state": "absent"})
            assert os.listdir(place) == []
            assert run("btrfs", "subvolume", "list", str(place)) == ""
