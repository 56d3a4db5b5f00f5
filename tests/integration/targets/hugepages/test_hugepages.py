# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""hugepages, looked at through /proc, sysfs, findmnt and systemctl.

There is one pool a size on a host: so what the shared test does with many names is done here one after the other.
"""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Harness
from tests.lab.driver import Failed, Killed, call, run, touches_of

pytestmark = pytest.mark.machine

POOLS = {"2M": "hugepages-2048kB", "1G": "hugepages-1048576kB"}
PLACE = "/run/strata-test-huge"
# MAP_HUGETLB, private and anonymous; of the three pages one is touched, and two are promised.
HOLD = "import mmap, sys; m = mmap.mmap(-1, 3 << 21, flags=0x40022); m[0] = 1; print(1, flush=True); sys.stdin.read()"
UNIT = "strata-hugepages-2M.service"


def pool(size: str, name: str = "nr", node: str = "") -> Path:
    top = f"/sys/devices/system/node/node{node}/hugepages" if node else "/sys/kernel/mm/hugepages"
    return Path(f"{top}/{POOLS[size]}/{name}_hugepages")


def count(size: str, name: str = "nr", node: str = "") -> int:
    return int(pool(size, name, node).read_text())


def mounted() -> list[dict]:
    text = run("findmnt", "--json", "--list", "--types=hugetlbfs", "--output=TARGET,SOURCE,OPTIONS", check=False)
    found = json.loads(text)["filesystems"] if text else []
    return [mount for mount in found if mount["target"].startswith(PLACE)]


def look(size: str) -> dict | None:
    unit = Path(f"/etc/systemd/system/strata-hugepages-{size}.service")
    mounts = {mount["target"]: {"pagesize=2M", "mode=1770"} & set(mount["options"].split(",")) for mount in mounted()}
    seen = {"pages": count(size), "node": count(size, node="0"), "overcommit": count(size, "nr_overcommit")}
    seen |= {"mounts": mounts, "kept": unit.exists()}
    return seen if any(seen.values()) else None


def gigabytes() -> int:
    return int(run("awk", "/^MemTotal/ { print int($2 / 2 ^ 20) }", "/proc/meminfo"))


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture(autouse=True, scope="module")
def _as_it_was():
    before = count("2M"), count("1G")
    pool("2M").write_text("0")
    yield
    for mount in mounted():
        run("umount", mount["target"])
    pool("2M", "nr_overcommit").write_text("0")
    for size, pages in zip(POOLS, before):
        pool(size).write_text(str(pages))


class TestHugepages(Harness):
    case = Case(
        kind="hugepages",
        info="hugepages_info",
        identity="size",
        name="2M",
        a={"pages": 8, "overcommit": 2, "mount": f"{PLACE}/a", "mount_options": ["mode=1770"], "persistent": True},
        b={"nodes": {"0": 5}, "mount": f"{PLACE}/b"},
        look=look,
        seen_a={
            "pages": 8,
            "overcommit": 2,
            "mounts": {f"{PLACE}/a": {"pagesize=2M", "mode=1770"}},
            "kept": True,
        },
        seen_b={"pages": 5, "node": 5, "mounts": {f"{PLACE}/b": {"pagesize=2M"}}},
        drifts={
            "fewer pages": lambda _name: pool("2M").write_text("3"),
            "more pages of a node": lambda _name: pool("2M", node="0").write_text("11"),
            "another overcommit": lambda _name: pool("2M", "nr_overcommit").write_text("0"),
            "unmounted": lambda _name: run("umount", f"{PLACE}/a"),
            "not started at boot": lambda _name: run("systemctl", "disable", UNIT),
            "another number at boot": lambda _name: rewrite(Path(f"/etc/systemd/system/{UNIT}"), " 8\n", " 9\n"),
        },
        touches=(
            "engines.hugepages.write",
            "engines.mounts.mount",
            "engines.mounts.unmount",
            "engines.mounts.make_directory",
            "core.files.write",
            "core.files.remove",
            "engines.systemd.want",
            "engines.systemd.refresh",
        ),
    )

    def test_create_change_and_absent(self):
        assert self.foretold(self.case.a)["changed"]
        self.sees(self.case.seen_a)
        self.unchanged(self.case.a)
        (told,) = call("hugepages_info", {"name": ["2M"]})["resources"]
        assert call("hugepages", told["options"])["changes"] == []
        (exported,) = [
            one
            for one in call("stack_export", {"kinds": ["hugepages"]})["resources"]
            if one["hugepages"]["size"] == "2M"
        ]
        assert call("stack", {"name": "strata-other", "resources": [exported]})["changed"] is False
        assert self.foretold(self.case.b)["changed"]
        self.sees({**self.case.seen_b, "overcommit": 2, "kept": True})
        self.unchanged(self.case.b)
        assert self.foretold({"state": "absent"})["changed"]
        assert look("2M") is None
        assert not Path(f"{PLACE}/b").exists()
        self.unchanged({"state": "absent"})

    def test_drift_is_seen_and_repaired(self):
        self.apply(self.case.a)
        for what, drift in self.case.drifts.items():
            drift("2M")
            assert self.foretold(self.case.a)["changed"], what
            self.sees(self.case.seen_a)
        self.unchanged(self.case.a)
        assert run("systemctl", "is-enabled", UNIT) == "enabled"

    def test_a_then_b_equals_a_fresh_b(self):
        self.stack(self.case.a)
        self.stack(self.case.b)
        assert self.stack(self.case.b)["changed"] is False
        grown = look("2M")
        with pytest.raises(Failed, match="belongs to the stack"):
            call("stack", {"name": "strata-other", "resources": [{"hugepages": {"size": "2M", "pages": 1}}]})
        self.stack(None)
        assert look("2M") is None, "prune left it"
        self.stack(self.case.b)
        assert look("2M") == grown

    def test_killed_anywhere_it_converges_again(self):
        for start, wanted, seen in (
            ({"state": "absent"}, self.case.a, self.case.seen_a),
            (self.case.a, {**self.case.b, "persistent": False}, self.case.seen_b),
            (self.case.a, {"state": "absent"}, None),
        ):
            self.apply(start)
            touches = touches_of("hugepages", self.case.options("2M", wanted), self.case.touches)
            assert touches
            for touch in range(1, touches + 1):
                self.apply(start)
                with pytest.raises(Killed):
                    self.apply(wanted, touches=self.case.touches, die_at=touch)
                self.apply(wanted)
                if seen:
                    self.sees(seen)
                else:
                    assert look("2M") is None
            self.unchanged(wanted)

    def test_the_unit_does_at_boot_what_is_declared(self):
        self.apply(self.case.a)
        pool("2M").write_text("0")
        pool("2M", "nr_overcommit").write_text("0")
        run("umount", f"{PLACE}/a")
        run("systemctl", "restart", UNIT)
        self.sees(self.case.seen_a)
        self.unchanged(self.case.a)
        self.apply({"nodes": {"0": 6}})
        run("systemctl", "restart", UNIT)
        assert count("2M", node="0") == 6
        # Where the kernel gives fewer, the unit fails and says so, and has tried the rest.
        asked = f"{pool('1G')} {gigabytes()}"
        rewrite(Path(f"/etc/systemd/system/{UNIT}"), f" {pool('2M', node='0')} 6", f" {asked} {pool('2M', node='0')} 4")
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", UNIT, check=False)
        assert count("2M") == 4
        pool("1G").write_text("0")
        assert run("systemctl", "is-failed", UNIT) == "failed"
        journal = run("journalctl", "--unit", UNIT, "--output=cat", "--boot")
        assert f"of {gigabytes()} pages: {pool('1G')}" in journal
        assert self.apply({"nodes": {"0": 6}})["changed"]
        run("systemctl", "restart", UNIT)
        assert count("2M") == 6

    def test_pages_in_use_are_not_taken(self):
        self.apply({"pages": 8, "mount": f"{PLACE}/a"})
        argv = [sys.executable, "-c", HOLD]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            for spec in ({"pages": 2}, {"state": "absent"}):
                for check in (True, False):
                    with pytest.raises(Failed, match=rf"3 pages of 2M are in use: 3 by process {process.pid} \(python"):
                        self.apply(spec, check=check)
            assert (count("2M"), len(mounted())) == (8, 1)
            assert self.foretold({"pages": 3})["changed"]
            process.stdin.close()
        page = Path(f"{PLACE}/a/page")
        with page.open("w+b") as file:
            file.truncate(2 << 21)
            mapped = mmap.mmap(file.fileno(), 2 << 21)
            mapped[0] = 1
            mapped.close()
        with pytest.raises(Failed, match="in use: files in a hugetlbfs"):
            self.apply({"pages": 0})
        with page.open("rb"), pytest.raises(Failed, match=f"{PLACE}/a is in use by process"):
            self.apply({"mount": ""})
        page.unlink()
        assert self.foretold({"pages": 0, "mount": ""})["changed"]
        assert look("2M") is None

    def test_what_the_kernel_does_not_give_is_told_and_given_back(self):
        """Pages of a gigabyte: the kernel itself lies in some of them."""
        memory = gigabytes()
        before = count("1G")
        wanted = {"size": "1G", "pages": memory, "persistent": True}
        with pytest.raises(
            Failed, match=rf"the kernel gave \d of {memory} pages of 1G .*There are {before} again.*hugepagesz=1G"
        ):
            call("hugepages", wanted)
        assert count("1G") == before
        assert not Path("/etc/systemd/system/strata-hugepages-1G.service").exists()
        with pytest.raises(Failed, match="more than this host has memory for"):
            call("hugepages", {**wanted, "pages": memory + 1})

    def test_bad_input_is_refused(self):
        for options, words in (
            ({"size": "3M", "pages": 1}, "size: this host has no pages of that size: it has 2M and 1G"),
            ({"size": "x", "pages": 1}, "size: is no size"),
            ({"pages": "x"}, "pages"),
            ({"pages": -1}, "pages: must be 0 or more"),
            ({"nodes": {"9": 1}}, "nodes: this host has no NUMA node 9: it has 0"),
            ({"pages": 1, "nodes": {"0": 1}}, "pages: goes without nodes"),
            ({"mount": "/proc"}, "mount: something else is mounted there: proc"),
            ({"mount": PLACE, "mount_options": ["size=1G"]}, "mount_options: takes"),
            ({"nonsense": 1}, "nonsense"),
        ):
            with pytest.raises(Failed, match=words):
                call("hugepages", {"size": "2M", **options})
        assert look("2M") is None
