# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""nspawn_image, looked at through machinectl, lsattr, tar and btrfs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

IMAGES = Path("/var/lib/machines")
TOP = Path("/srv/strata-images-test")
TINY = TOP / "tiny"
PORT = 5057


def look(name: str) -> dict | None:
    tree, disk = IMAGES / name, IMAGES / f"{name}.raw"
    if not tree.exists() and not disk.exists():
        return None
    note = json.loads((IMAGES / f"{(tree if tree.exists() else disk).name}.strata.json").read_text())
    note = note.get("next", note)  # where a run was killed before it could say that it is there
    seen = {"owner": note["owner"], "from": note["options"]["source"], "raw": disk.exists()}
    if tree.exists():
        seen |= {"files": sorted(os.listdir(tree)), "closed": "i" in run("lsattr", "-d", str(tree)).split()[0]}
    return seen


def listed() -> dict[str, dict]:
    """What machinectl says, by name."""
    return {one["name"]: one for one in json.loads(run("machinectl", "list-images", "--output=json") or "[]")}


@pytest.fixture(scope="module", autouse=True)
def tiny():
    (TINY / "usr/lib").mkdir(parents=True)
    (TINY / "usr/lib/os-release").write_text("ID=tiny\n")
    (TINY / "etc").mkdir()
    (TINY / "etc/passwd").symlink_to("/etc/shadow")
    yield
    shutil.rmtree(TOP)


@contextlib.contextmanager
def web_server(folder: Path):
    argv = (sys.executable, "-m", "http.server", "--bind=127.0.0.1", f"--directory={folder}", str(PORT))
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
                break
            assert time.monotonic() < end, "it takes no connection"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{PORT}"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def btrfs():
    """A btrfs where images are, as long as it lasts."""
    disk = TOP / "btrfs.img"
    with disk.open("wb") as file:
        file.truncate(256 * 1024**2)
    run("mkfs.btrfs", "--quiet", str(disk))
    run("mount", "-o", "loop", str(disk), str(IMAGES))
    try:
        yield
    finally:
        run("umount", str(IMAGES))


class TestNspawnImage(Convergence):
    case = Case(
        kind="nspawn_image",
        info="nspawn_image_info",
        a={"source": {"rootfs": str(TINY)}, "read_only": True},
        b={"source": {"rootfs": str(TINY)}, "read_only": False},
        look=look,
        seen_a={"from": {"rootfs": str(TINY)}, "files": ["etc", "usr"], "closed": True},
        seen_b={"from": {"rootfs": str(TINY)}, "files": ["etc", "usr"], "closed": False},
        drifts={
            "opened by machinectl": lambda name: run("machinectl", "read-only", name, "no"),
            "removed by machinectl": lambda name: run("machinectl", "remove", name),
        },
        touches=(
            "engines.notes.announce",
            "engines.trees.swap",
            "engines.notes.settle",
            "engines.nspawn_images.set_read_only",
        ),
        bad=(("limit", "12X"), ("read_only", "maybe"), ("nonsense", "1")),
    )

    def test_what_images_are_made_from_and_what_becomes_of_them(self):
        """All ways to make one in one stack, then renamed, exported and taken away."""
        tar, disk, web = TOP / "tiny.tar.gz", TOP / "tiny.disk", TOP / "web"
        run("tar", "--create", "--gzip", f"--file={tar}", f"--directory={TINY}", ".")
        disk.write_bytes(b"disk" * 1024)
        web.mkdir()
        shutil.copy(tar, web / "tiny.tar.gz")
        digest = hashlib.sha256(tar.read_bytes()).hexdigest()
        (web / "SHA256SUMS").write_text(f"{digest} *tiny.tar.gz\n")
        name = self.case.name
        with web_server(web) as url:
            pulled = {"pull_tar": f"{url}/tiny.tar.gz", "verify": "checksum"}
            ways = {
                f"{name}-tar": {"tar": str(tar), "checksum": f"sha256:{digest}"},
                f"{name}-raw": {"raw": str(disk)},
                f"{name}-pulled": pulled,
                f"{name}-clone": {"image": f"{name}-tar"},
            }
            self.made.update(ways)
            entries = [{"nspawn_image": {"name": key, "source": source}} for key, source in ways.items()]
            stack = {"name": self.owner, "resources": entries}
            assert call("stack", stack, check=True)["changed"]
            call("stack", stack)
            assert call("stack", stack)["changed"] is False
            (web / "SHA256SUMS").write_text(f"{'0' * 64} *tiny.tar.gz\n")
            with pytest.raises(Failed, match=r"source: .*") as failed:
                self.apply({"source": pulled}, f"{name}-bad")
        assert "SHA256SUMS" in failed.value.result["msg"]
        seen = listed()
        assert f"{name}-bad" not in seen
        assert [seen[key]["type"] for key in ways] == ["directory", "raw", "directory", "directory"]
        assert not [key for key in seen if key.startswith("strata-pull")]
        for key in (f"{name}-tar", f"{name}-pulled", f"{name}-clone"):
            assert (IMAGES / key / "usr/lib/os-release").read_text() == "ID=tiny\n"
            assert (IMAGES / key / "etc/passwd").readlink() == Path("/etc/shadow")
        assert (IMAGES / f"{name}-raw.raw").read_bytes() == disk.read_bytes()

        archive = TOP / "out.tar.zst"
        spec = {"source": ways[f"{name}-tar"], "renamed_from": f"{name}-tar", "read_only": True}
        done = self.foretold({**spec, "archive_path": str(archive)})
        assert [change["field"] for change in done["changes"]] == ["read_only", "archive_path", "state"]
        self.unchanged({**spec, "archive_path": str(archive)})
        assert {name, f"{name}-tar"} & listed().keys() == {name}
        assert "./usr/lib/os-release" in run("tar", "--list", f"--file={archive}").splitlines()

        with pytest.raises(Failed, match=r"source.checksum: the source is another one"):
            self.apply({"source": {"tar": str(tar), "checksum": f"sha256:{'0' * 64}"}, "recreate": "if_needed"})
        (told,) = call("nspawn_image_info", {"name": [f"{name}-clone"]})["resources"]
        assert told["facts"]["origin"]["source"]["checksum"] == f"sha256:{digest}"

    def test_theirs_stays_and_what_runs_stays(self):
        name = self.case.name
        (IMAGES / name).mkdir()
        with pytest.raises(Failed, match="wasn't made by this module"):
            self.apply({"state": "absent"})
        assert (IMAGES / name).is_dir()
        self.apply({"state": "absent", "force_absent": True})
        assert not (IMAGES / name).exists()
        self.apply(self.case.b)
        with subprocess.Popen(["sleep", "99"], cwd=IMAGES / name) as user:
            try:
                with pytest.raises(Failed, match=rf"in use by process {user.pid} \(sleep\)"):
                    self.apply({"state": "absent"})
            finally:
                user.kill()
        assert (IMAGES / name).is_dir()

    def test_a_full_disk_leaves_nothing_and_is_no_obstacle_later(self):
        run("mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(IMAGES))
        try:
            big = TOP / "big"
            big.mkdir()
            (big / "file").write_bytes(os.urandom(3 << 20))
            with pytest.raises(Failed, match="No space left on device"):
                self.apply({"source": {"rootfs": str(big)}})
            assert look(self.case.name) is None
            run("mount", "-o", "remount,size=16m", str(IMAGES))
            self.apply({"source": {"rootfs": str(big)}})
            assert (IMAGES / self.case.name / "file").read_bytes() == (big / "file").read_bytes()
            self.apply({"state": "absent"})
            assert os.listdir(IMAGES) == []
        finally:
            run("umount", str(IMAGES))

    def test_on_btrfs_trees_are_snapshots_with_limits(self):
        name = self.case.name
        with btrfs():
            run("btrfs", "subvolume", "create", str(IMAGES / "base"))
            (IMAGES / "base/here").write_text("")
            spec = {"source": {"rootfs": str(IMAGES / "base")}, "read_only": True}
            with pytest.raises(Failed, match=r"limit: .*btrfs quota enable"):
                self.apply({**spec, "limit": "64M"})
            run("btrfs", "quota", "enable", str(IMAGES))
            self.foretold({**spec, "limit": "64M"})
            self.unchanged({**spec, "limit": "64M"})
            shown = run("btrfs", "subvolume", "show", str(IMAGES / name))
            parent = run("btrfs", "subvolume", "show", str(IMAGES / "base"))
            values = dict(line.strip().split(":", 1) for line in shown.splitlines() if ":" in line)
            origin = dict(line.strip().split(":", 1) for line in parent.splitlines() if ":" in line)
            assert values["Parent UUID"].strip() == origin["UUID"].strip()
            assert values["Flags"].strip() == "readonly"
            assert str(64 << 20) in run("btrfs", "qgroup", "show", "--raw", "-r", "-f", str(IMAGES / name))
            self.apply({**spec, "limit": "max", "recreate": "always"})
            self.apply({"source": {"image": name}}, f"{name}-clone")
            assert (IMAGES / f"{name}-clone/here").exists()
            for gone in (f"{name}-clone", name):
                self.apply({"state": "absent"}, gone)
            assert run("btrfs", "subvolume", "list", str(IMAGES)).split()[-1] == "base"
