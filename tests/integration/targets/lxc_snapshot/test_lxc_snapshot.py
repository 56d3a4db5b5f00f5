# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxc_snapshot, looked at with lxc-snapshot and the files that it lists."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

CONTAINER = "strata-test-ct"
TOP = Path("/var/lib/lxc") / CONTAINER
ROOT = TOP / "rootfs"
SPEC = {
    "name": CONTAINER,
    "networks": [{"type": "empty"}],
    "apparmor_profile": "unconfined",
    "config": {"lxc.signal.halt": "SIGUSR1"},
}


@pytest.fixture(scope="module", autouse=True)
def _container(tmp_path_factory):
    """A container of one program; its tree has a link that leads out."""
    tree = tmp_path_factory.mktemp("tree")
    for folder in ("bin", "sbin", "etc", "dev", "proc", "sys"):
        (tree / folder).mkdir()
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    (tree / "bin/true").symlink_to("busybox")
    (tree / "sbin/init").symlink_to("../bin/busybox")
    (tree / "etc/inittab").write_text("::sysinit:/bin/true\n")
    (tree / "etc/hostname").symlink_to("/etc/strata-nowhere")
    call("lxc_container", {**SPEC, "source": {"rootfs": str(tree)}, "state": "stopped"})
    yield
    run("lxc-snapshot", "-n", CONTAINER, "-d", "ALL", check=False)
    call("lxc_container", {"name": CONTAINER, "state": "absent"})


def listed() -> list[str]:
    """What LXC itself lists."""
    lines = run("lxc-snapshot", "-n", CONTAINER, "-L").splitlines()
    return sorted(line.split()[0] for line in lines if "(" in line)


def look(name: str) -> dict | None:
    place = TOP / "snaps" / name
    if name not in listed():
        return None
    comment = place / "comment"
    return {
        "comment": comment.read_text().strip() if comment.exists() else "",
        "files": sorted(path.name for path in (place / "rootfs/etc").iterdir()),
        "rootfs": f"dir:{place}/rootfs" in (place / "config").read_text(),
    }


SEEN = {"files": ["hostname", "inittab"], "rootfs": True}


class TestLxcSnapshot(Convergence):
    case = Case(
        kind="lxc_snapshot",
        info="lxc_snapshot_info",
        a={"comment": "before the upgrade"},
        b={"comment": "after it"},
        look=look,
        seen_a={"comment": "before the upgrade", **SEEN},
        seen_b={"comment": "after it", **SEEN},
        connect={"container": CONTAINER},
        drifts={
            "another comment": lambda name: (TOP / "snaps" / name / "comment").write_text("other\n"),
            "removed": lambda name: run("lxc-snapshot", "-n", CONTAINER, "-d", name),
        },
        touches=(
            "core.files.write",
            "core.files.remove",
            "core.command.run",
            "engines.trees.sync",
            "engines.trees.remove",
        ),
        bad=(
            ("keep", 0),
            ("container", "../x"),
            ("nonsense", "1"),
            ("container", "strata-nosuch"),
            ("state", "restored"),
        ),
    )

    def test_a_then_b_equals_a_fresh_b(self):
        """What holds data is not pruned."""
        self.stack(self.case.a)
        self.stack(self.case.b)
        assert self.stack(self.case.b)["changed"] is False
        self.sees(self.case.seen_b)
        self.stack(None)
        self.sees(self.case.seen_b)

    def test_the_oldest_go_and_those_of_lxc_stay(self):
        run("lxc-snapshot", "-n", CONTAINER)
        for name in ("mon", "tue", "wed"):
            self.apply({"keep": 2}, name)
        assert listed() == ["snap0", "tue", "wed"]
        assert self.apply({"keep": 2}, "wed")["changed"] is False
        self.apply({"state": "absent"}, "wed")
        run("lxc-snapshot", "-n", CONTAINER, "-d", "snap0")
        assert listed() == ["tue"]

    def test_restored_once_while_it_runs(self):
        call("lxc_container", {**SPEC, "state": "started"})
        (ROOT / "data").write_text("old")
        pid = run("lxc-info", "-n", CONTAINER, "-pH")
        self.apply({})
        assert (run("lxc-info", "-n", CONTAINER, "-pH"), run("lxc-info", "-n", CONTAINER, "-sH")) == (pid, "RUNNING")
        (ROOT / "data").write_text("new")
        (ROOT / "more").touch()
        with pytest.raises(Failed, match="restart: if_needed"):
            self.apply({"state": "restored"})
        assert self.foretold({"state": "restored", "restart": "if_needed"})["changed"]
        assert (ROOT / "data").read_text() == "old"
        assert not (ROOT / "more").exists()
        assert run("lxc-info", "-n", CONTAINER, "-sH") == "RUNNING"
        assert run("lxc-info", "-n", CONTAINER, "-pH") != pid
        (ROOT / "data").write_text("newer")
        self.unchanged({"state": "restored"})
        assert (ROOT / "data").read_text() == "newer"
        call("lxc_container", {**SPEC, "state": "stopped"})
        assert self.apply({"state": "restored", "restore_id": "again"})["changed"]
        assert (ROOT / "data").read_text() == "old"
        assert not Path("/etc/strata-nowhere").exists()
        # A run that was killed while the container stood still.
        (TOP / ".strata-snapshot").mkdir()
        assert [change["field"] for change in self.apply({})["changes"]] == ["leftovers"]
        assert not (TOP / ".strata-snapshot").exists()
