# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""chroot, looked at through findmnt and by programs that run in it."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import UTILS, Failed, call, run, seen_by_systemd

items = importlib.import_module(f"{UTILS}.kinds.chroot_mounts").items
unit_text = importlib.import_module(f"{UTILS}.kinds.chroot_units").unit_text

TOP = Path("/srv/strata-test-chroot")
ELSEWHERE = Path("/srv/strata-test-elsewhere")
DATA = TOP / "data"
UNITS = Path("/etc/systemd/system")
RESOLVER, DEVICES = (
    run("findmnt", "--noheadings", "--output=FSTYPE", f"--target={path}") for path in ("/etc/resolv.conf", "/dev")
)
BINDS = [{"source": str(DATA), "path": "/data", "read_only": True}]


def found(name: str) -> list[dict]:
    text = run("findmnt", "--json", "--list", "--output=TARGET,FSTYPE,SOURCE,VFS-OPTIONS")
    return [mount for mount in json.loads(text)["filesystems"] if mount["target"].startswith(f"{name}/")]


def look(name: str) -> dict | None:
    seen: dict = {}
    for mount in found(name):
        place = mount["target"][len(name) :]
        flags = set(mount["vfs-options"].split(","))
        shown = f"{mount['fstype']} {' '.join(sorted(flags & {'ro', 'nosuid', 'nodev', 'noexec'}))}".strip()
        seen[place] = f"{seen[place]}, {shown}" if place in seen else shown
    units = sorted(path.name for path in UNITS.glob("srv-strata*.mount") if f"Chroot={name}\n" in path.read_text())
    return {"mounts": seen, "units": units} if seen or units else None


def make_tree(path: Path) -> None:
    """The folders of a small system, and no resolv.conf."""
    for folder in ("bin", "etc", "proc", "sys", "dev/pts", "tmp"):
        (path / folder).mkdir(parents=True, exist_ok=True)


def own(name: str) -> dict:
    if not Path(name).exists():
        make_tree(Path(name))
    return {}


def over(place: str):
    return lambda name: run("mount", "-t", "tmpfs", "strata-test", f"{name}{place}")


def off(place: str):
    return lambda name: run("umount", f"{name}{place}")


@pytest.fixture(autouse=True, scope="module")
def trees():
    TOP.mkdir()
    run("mount", "-t", "tmpfs", "strata-test", str(TOP))
    try:
        for path in (DATA, ELSEWHERE):
            path.mkdir()
        (DATA / "file").write_text("data")
        yield
    finally:
        for mount in reversed(found(str(TOP))):
            run("umount", mount["target"], check=False)
        run("umount", str(TOP))
        for path in (TOP, ELSEWHERE):
            path.rmdir()


@pytest.fixture(autouse=True)
def fresh(trees):
    """Every test has trees of its own, and whatever it did is gone after it."""
    yield
    left = found(str(TOP))
    for mount in reversed(left):
        run("umount", mount["target"])
    for path in TOP.iterdir():
        if path != DATA:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


class TestChroot(Convergence):
    case = Case(
        kind="chroot",
        info="chroot_info",
        identity="path",
        name=str(TOP / "jail"),
        a={"mounts": ["devpts", "proc", "sys", "dev", "resolv_conf"], "binds": BINDS},
        b={"mounts": ["proc", "dev", "tmp"], "binds": [{"source": str(DATA), "path": "/srv/d"}]},
        look=look,
        own=own,
        seen_a={
            "mounts": {
                "/proc": "proc nodev noexec nosuid",
                "/sys": "sysfs nodev noexec nosuid ro",
                "/dev": f"{DEVICES} noexec nosuid",
                "/dev/pts": "devpts noexec nosuid",
                "/etc/resolv.conf": f"{RESOLVER} nodev noexec nosuid ro",
                "/data": "tmpfs ro",
            }
        },
        seen_b={
            "mounts": {
                "/proc": "proc nodev noexec nosuid",
                "/dev": f"{DEVICES} noexec nosuid",
                "/tmp": "tmpfs nodev nosuid",
                "/srv/d": "tmpfs",
            }
        },
        drifts={
            "one gone": off("/proc"),
            "two gone, one in the other": lambda name: (off("/dev/pts")(name), off("/dev")(name)),
            "something on top": over("/sys"),
            "the same once more": lambda name: run("mount", "-t", "proc", "proc", f"{name}/proc"),
            "writable": lambda name: run("mount", "-o", "remount,bind,rw", f"{name}/sys"),
            "a bind writable": lambda name: run("mount", "-o", "remount,bind,rw", f"{name}/data"),
            "a bind gone": off("/data"),
        },
        touches=(
            "engines.mounts.mount",
            "engines.mounts.unmount",
            "engines.mounts.bind",
            "core.files.write",
            "core.files.remove",
        ),
        bad=(
            ("mounts", ["everything"]),
            ("binds", [{"source": "/srv", "path": "/"}]),
            ("binds", [{"source": "srv", "path": "/x"}]),
            ("binds", [{"source": "/nowhere", "path": "/x"}]),
            ("binds", [{"source": "/srv", "path": "/proc"}]),
        ),
        bad_names=("", "/", "a/b", "/srv/../x"),
    )

    @property
    def path(self) -> Path:
        return Path(self.case.name)

    def test_programs_in_it_find_what_they_count_on(self):
        self.apply(self.case.a)
        script = (
            "import os, pty, stat\n"
            f"os.chroot({self.case.name!r}); os.chdir('/')\n"
            "assert open('/proc/self/status').read()\n"
            "assert stat.S_ISCHR(os.stat('/dev/null').st_mode)\n"
            "assert os.ttyname(pty.openpty()[1]) == '/dev/pts/0'\n"
            "assert open('/data/file').read() == 'data'\n"
            "print(open('/etc/resolv.conf').read(), end='')\n"
            "try: open('/etc/resolv.conf', 'a')\n"
            "except OSError as error: assert error.strerror == 'Read-only file system'\n"
            "else: raise AssertionError\n"
        )
        assert run("python3", "-c", script) == Path("/etc/resolv.conf").read_text().strip()

    def test_the_host_keeps_its_own(self):
        host = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if self.case.name not in line]
        self.apply({"mounts": ["dev", "devpts", "shm"]})
        self.apply({"state": "absent"})
        now = Path("/proc/self/mountinfo").read_text().splitlines()
        assert now == host

    def test_below_a_shared_mount_nothing_comes_up_twice(self):
        """As on hosts of systemd: what is mounted below a bind must not be seen below its source."""
        run("mount", "--make-shared", "/dev")
        try:
            before = run("findmnt", "--list", "--noheadings", "--output=TARGET", "--submounts", "/dev")
            self.apply({"mounts": ["dev", "devpts", "shm"]})
            assert run("findmnt", "--list", "--noheadings", "--output=TARGET", "--submounts", "/dev") == before
            self.apply({"state": "absent"})
            assert run("findmnt", "--list", "--noheadings", "--output=TARGET", "--submounts", "/dev") == before
        finally:
            run("mount", "--make-private", "/dev")

    def test_links_of_the_tree_lead_nowhere_else(self):
        """Each mount point is a link to somewhere on the host, and one to a folder that isn't there, either."""
        make_tree(self.path)
        (self.path / "proc").rmdir()
        (self.path / "proc").symlink_to(ELSEWHERE)
        (self.path / "sys").rmdir()
        (self.path / "sys").symlink_to("../../../../../../../../srv/strata-test-chroot/data")
        (self.path / "etc").rmdir()
        (self.path / "etc").symlink_to("/new/below")
        self.apply({"mounts": ["proc", "sys", "resolv_conf"], "binds": []})
        assert set(look(self.case.name)["mounts"]) == {
            str(ELSEWHERE),
            "/srv/strata-test-chroot/data",
            "/new/below/resolv.conf",
        }
        assert not ELSEWHERE.is_mount()
        assert list(ELSEWHERE.iterdir()) == []
        assert [path.name for path in DATA.iterdir()] == ["file"]
        assert self.apply({"mounts": ["proc", "sys", "resolv_conf"], "binds": []})["changed"] is False
        self.apply({"state": "absent"})
        assert found(self.case.name) == []

    def test_links_of_procfs_lead_nowhere_else(self):
        """They lead to where a process really is, whatever the root of the one that follows them."""
        make_tree(self.path)
        (self.path / "tmp").rmdir()
        (self.path / "tmp").symlink_to(f"/proc/{os.getpid()}/root{ELSEWHERE}")
        with pytest.raises(Failed, match="could not make /tmp in the tree: Too many levels of symbolic links"):
            self.apply({"mounts": ["proc", "tmp"]})
        assert not ELSEWHERE.is_mount()
        assert list(ELSEWHERE.iterdir()) == []

    def test_a_link_to_the_tree_itself_is_refused(self):
        make_tree(self.path)
        (self.path / "tmp").rmdir()
        (self.path / "tmp").symlink_to("/")
        with pytest.raises(Failed, match="/tmp of the tree is a link to the tree itself"):
            self.apply({"mounts": ["tmp"]})
        self.apply({"mounts": ["proc"]})
        self.apply({"mounts": []})
        assert TOP.is_mount()
        self.apply({"state": "absent"})

    def test_nothing_is_made_in_what_is_the_hosts(self):
        make_tree(self.path)
        (self.path / "tmp").rmdir()
        (self.path / "tmp").symlink_to("/dev/strata-test")
        with pytest.raises(Failed, match="is not the tree's own"):
            self.apply({"mounts": ["dev", "tmp"]})
        assert not Path("/dev/strata-test").exists()

    def test_resolv_conf_replaces_nothing(self):
        make_tree(self.path)
        (self.path / "etc/resolv.conf").write_text("theirs")
        self.apply({"mounts": ["resolv_conf"]})
        assert (self.path / "etc/resolv.conf").read_text() == Path("/etc/resolv.conf").read_text()
        self.apply({"state": "absent"})
        assert (self.path / "etc/resolv.conf").read_text() == "theirs"

    def test_what_else_is_mounted_there_stays(self):
        self.apply({"mounts": ["sys"]})
        for place in ("/proc", "/bin"):
            over(place)(self.case.name)
        try:
            with pytest.raises(Failed, match="something else is mounted at its /proc: tmpfs from strata-test"):
                self.apply(self.case.a)
            self.unchanged({"mounts": ["sys"], "binds": []})
        finally:
            for place in ("/proc", "/bin"):
                off(place)(self.case.name)

    def test_what_is_not_given_is_not_touched(self):
        self.apply(self.case.a)
        self.apply({"binds": []})
        expected = dict(self.case.seen_a["mounts"])
        del expected["/data"]
        self.sees({"mounts": expected})
        self.unchanged({"mounts": self.case.a["mounts"]})
        self.apply({"mounts": []})
        assert found(self.case.name) == []
        self.unchanged({"mounts": [], "binds": []})

    def test_a_replaced_source_is_shown_anew(self):
        file = TOP / "file"
        file.write_text("one")
        spec = {"binds": [{"source": str(file), "path": "/etc/file"}]}
        self.apply(spec)
        (TOP / "new").write_text("two")
        (TOP / "new").rename(file)
        assert self.foretold(spec)["changed"]
        assert (self.path / "etc/file").read_text() == "two"
        self.unchanged(spec)
        (TOP / "new").write_text("three")
        (TOP / "new").rename(file)
        assert self.foretold({"mounts": []})["changed"]  # nobody gives the bind, and it is repaired, not dropped
        assert (self.path / "etc/file").read_text() == "three"
        (TOP / "new").write_text("four")
        (TOP / "new").rename(file)
        self.foretold({"state": "absent"})
        assert found(self.case.name) == []

    def test_who_is_in_the_way_is_named(self):
        self.apply(self.case.a)
        process = subprocess.Popen(["sleep", "60"], cwd=self.path / "data")
        try:
            for spec in ({"state": "absent"}, {"state": "unmounted"}, {"binds": []}):
                for check in (True, False):
                    with pytest.raises(Failed, match=f"in use by process {process.pid} \\(sleep\\)"):
                        self.apply(spec, check=check)
            self.sees(self.case.seen_a)
            self.unchanged(self.case.a)
        finally:
            process.kill()
            process.wait()

    def test_a_tree_that_is_not_there_is_an_error(self):
        with pytest.raises(Failed, match="path: is not there"):
            self.apply(self.case.a | {"path": str(TOP / "nowhere")})
        (TOP / "link").symlink_to(self.path)
        make_tree(self.path)
        with pytest.raises(Failed, match="leads through a symbolic link"):
            self.apply(self.case.a | {"path": str(TOP / "link")})
        assert self.apply({"state": "absent"}, str(TOP / "nowhere"))["changed"] is False

    def test_a_jail_in_an_overlay_of_the_same_stack(self):
        """What the one makes, the other needs; both go together, in reverse order."""
        for layer in ("base", "more"):
            make_tree(TOP / layer)
        tree = {"path": self.case.name, "lower": [str(TOP / "more"), str(TOP / "base")]}
        layers = {"upper": str(TOP / "upper"), "work": str(TOP / "work")}
        entries = [{"chroot": {"path": self.case.name, "mounts": ["proc", "tmp"]}}, {"overlay": {**tree, **layers}}]
        options = {"name": self.owner, "prune": True, "resources": entries}
        forecast = call("stack", options, check=True)
        assert look(self.case.name) is None
        assert call("stack", options)["diff"] == forecast["diff"]
        assert call("stack", options)["changed"] is False
        self.sees({"mounts": {"/proc": "proc nodev noexec nosuid", "/tmp": "tmpfs nodev nosuid"}})
        with pytest.raises(Failed, match=f"the proc mounted at {self.path}/proc"):
            call("overlay", {"path": self.case.name, "state": "absent"})
        call("stack", {**options, "resources": []})
        assert found(str(TOP)) == []

    def test_what_systemd_would_run_is_what_is_declared(self):
        """mount(8), with the texts of the units and in the order that systemd derives from their names."""
        make_tree(self.path)
        (self.path / "data").mkdir()
        (self.path / "etc/resolv.conf").touch()
        for item in items(self.case.a["mounts"], self.case.a["binds"]):
            text = unit_text(None, item, self.case.name, f"{self.path}{item.place}", "")
            told = dict(line.partition("=")[::2] for line in text.splitlines())
            run("mount", told["What"], told["Where"], "-t", told["Type"], "-o", told["Options"])
        self.sees(self.case.seen_a)
        self.unchanged(self.case.a)

    def test_it_is_there_at_boot(self):
        kept = {**self.case.a, "persistent": True}
        self.foretold(kept)
        self.unchanged(kept)
        units = look(self.case.name)["units"]
        assert len(units) == 6
        assert set(run("systemctl", "is-enabled", *units).split()) == {"enabled"}
        # What systemd mounts by them is what was declared.
        seen_by_systemd("active", *units)
        run("systemctl", "stop", *units)
        assert found(self.case.name) == []
        run("systemctl", "start", *units)
        self.sees(self.case.seen_a)
        self.unchanged(kept)
        run("systemctl", "disable", units[0])
        assert self.foretold(kept)["changed"]
        (UNITS / units[0]).unlink()
        assert self.foretold(kept)["changed"]
        self.foretold({**self.case.b, "persistent": True})
        assert len(look(self.case.name)["units"]) == 4
        self.foretold({"state": "unmounted"})
        assert len(look(self.case.name)["units"]) == 4
        self.foretold({"state": "absent"})
        assert look(self.case.name) is None
