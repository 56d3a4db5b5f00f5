# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""hugepages: planning and doing, on a tree of files that stands for the kernel of a host with two nodes."""

from __future__ import annotations

import json

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.converge import carry_out, verify
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import hugepages as engine
from ansible_collections.strata.virt.plugins.module_utils.engines import mounts, systemd
from ansible_collections.strata.virt.plugins.module_utils.kinds import hugepages as kind
from ansible_collections.strata.virt.plugins.module_utils.kinds import hugepages_unit
from ansible_collections.strata.virt.plugins.module_utils.kinds.hugepages import Hugepages

MEGA = 1 << 20
SIZES = {"2M": 2 * MEGA, "1G": 1024 * MEGA}


class Kernel(mounts.Host):
    """A kernel that gives up to ``able`` pages of each node."""

    def __init__(self, top) -> None:
        super().__init__()
        self.top = top
        self.able = {"0": 100, "1": 100}
        self.inuse = {"0": 0, "1": 0}
        self.total = {(size, node): 0 for size in SIZES.values() for node in self.able}
        self.overcommit = dict.fromkeys(SIZES.values(), 0)
        self.mountinfo = ""
        self.show()

    def read(self):
        self.table = mounts.Table(mounts.parse(self.mountinfo))
        return self.table

    def show(self):
        for size in SIZES.values():
            name = f"hugepages-{size // 1024}kB"
            sums = {"nr": 0, "free": 0, "surplus": 0, "resv": 0, "nr_overcommit": self.overcommit[size]}
            for node in self.able:
                total = self.total[size, node]
                counts = {"nr": total, "free": total - min(total, self.inuse[node]), "surplus": 0}
                self._put(self.top / "node" / f"node{node}" / "hugepages" / name, counts)
                sums = {key: count + counts.get(key, 0) for key, count in sums.items()}
            self._put(self.top / "pools" / name, sums)

    @staticmethod
    def _put(folder, counts):
        folder.mkdir(parents=True, exist_ok=True)
        for key, count in counts.items():
            (folder / f"{key}_hugepages").write_text(f"{count}\n")

    def write(self, path, number):
        size = next(size for size in SIZES.values() if f"-{size // 1024}kB" in path)
        node = path.partition("/node/node")[2].partition("/")[0]
        if path.endswith("nr_overcommit_hugepages"):
            self.overcommit[size] = number
        elif node:
            self.total[size, node] = min(number, self.able[node])
        else:
            self.total[size, "0"] = min((number + 1) // 2, self.able["0"])
            self.total[size, "1"] = min(number // 2, self.able["1"])
        self.show()
        return int(open(path).read())


@pytest.fixture(autouse=True)
def kernel(tmp_path, monkeypatch):
    made = Kernel(tmp_path)
    monkeypatch.setattr(engine, "POOLS", str(tmp_path / "pools"))
    monkeypatch.setattr(engine, "NODES", str(tmp_path / "node"))
    monkeypatch.setattr(engine, "write", made.write)
    monkeypatch.setattr(engine, "memory", lambda node="": (8192 if node else 16384) * MEGA)
    monkeypatch.setattr(engine, "users", lambda size: ["4 by process 412 (qemu-system-x86)"])
    monkeypatch.setattr(engine, "usual_size", lambda: 2 * MEGA)
    monkeypatch.setattr(engine, "in_sysctls", dict)
    monkeypatch.setattr(kind, "_NOTES", str(tmp_path / "notes"))
    monkeypatch.setattr(systemd, "UNITS", str(tmp_path / "units"))
    monkeypatch.setattr(systemd, "booted", lambda: True)
    monkeypatch.setattr(systemd, "refresh", lambda *units: dict.fromkeys(units, "inactive"))
    return made


def planned(kernel, owner="", applied=None, **options):
    resource = Hugepages({"size": "2M", **options}, owner=owner, applied=applied)
    return resource, resource.plan(read_one(resource, kernel))


def applied(kernel, **options):
    resource, plan = planned(kernel, **options)
    carry_out(resource, kernel, plan)
    verify(resource, kernel, read_one(resource, kernel))
    return plan


def changed(plan):
    return [(change.name, change.before, change.after) for change in plan.changes]


def test_pages_come_and_go(kernel):
    plan = applied(kernel, pages=9)
    assert plan.steps == ("create",)
    assert kernel.total[SIZES["2M"], "0"] == 5
    assert not planned(kernel, pages=9)[1]
    assert changed(applied(kernel, pages=4)) == [("pages", 9, 4)]
    assert changed(applied(kernel, nodes={1: 7})) == [("nodes[1]", 2, 7)]
    assert kernel.total[SIZES["2M"], "0"] == 2
    assert applied(kernel, state="absent").steps == ("remove",)
    assert set(kernel.total.values()) == {0}
    assert not planned(kernel, state="absent")[1]


def test_none_is_a_number_too(kernel):
    assert not planned(kernel, pages=0)[1]
    applied(kernel, pages=2)
    assert changed(applied(kernel, pages=0)) == [("pages", 2, 0)]
    assert not planned(kernel, pages=0, nodes=None)[1]


def test_spellings_of_a_size_are_one():
    assert {Hugepages({"size": size}).name for size in ("2M", "2048k", "2MiB", 2097152)} == {"2M"}


def test_what_is_not_given_in_full_is_given_back(kernel):
    kernel.able = {"0": 3, "1": 100}
    applied(kernel, nodes={0: 1}, overcommit=2)
    resource, plan = planned(kernel, nodes={1: 5, 0: 8}, overcommit=7, persistent=True)
    assert plan.steps == ("update", "configure")
    with pytest.raises(StrataError, match=r"gave 3 of 8 pages of 2M .*There are 1 again.*hugepagesz=2M hugepages=8"):
        carry_out(resource, kernel, plan)
    assert kernel.total == {(SIZES["2M"], "0"): 1, (SIZES["2M"], "1"): 0, (SIZES["1G"], "0"): 0, (SIZES["1G"], "1"): 0}
    assert kernel.overcommit[SIZES["2M"]] == 2
    assert hugepages_unit.read("2M", SIZES["2M"]) is None


@pytest.mark.parametrize("less", [{"pages": 3}, {"nodes": {0: 1}}, {"state": "absent"}])
def test_pages_in_use_are_not_taken(kernel, less):
    applied(kernel, pages=8)
    kernel.inuse = {"0": 4, "1": 0}
    kernel.show()
    with pytest.raises(StrataError, match=r"4 pages of 2M.* are in use: 4 by process 412"):
        planned(kernel, **less)
    assert changed(applied(kernel, nodes={1: 0})) == [("nodes[1]", 4, 0)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": "4M"}, "no pages of that size: it has 2M and 1G"),
        ({"pages": 8193}, "pages: is more than this host has memory for: 8192 pages of 2M"),
        ({"nodes": {1: 4097}}, "nodes: is more than the node 1 has memory for"),
        ({"nodes": {2: 1}}, "no NUMA node 2: it has 0, 1"),
        ({"pages": 1, "nodes": {0: 1}}, "pages: goes without nodes"),
        ({"mount_options": ["mode=1770"]}, "mount_options: goes with mount"),
        ({"mount": "/x", "mount_options": ["size=1G"]}, "mount_options: takes uid"),
        ({"mount": "x"}, "mount: must be an absolute path"),
        ({"pages": -1}, "pages: must be 0 or more"),
    ],
)
def test_what_cannot_be_is_refused(kernel, options, words):
    with pytest.raises(StrataError, match=words):
        planned(kernel, **options)


def test_the_unit_asks_for_what_is_declared(kernel):
    kept = {"nodes": {0: 2, 1: 3}, "overcommit": 1, "persistent": True}
    assert changed(applied(kernel, **kept))[-1] == ("spread", None, "by node")
    assert not planned(kernel, **kept)[1]
    assert hugepages_unit.read("2M", SIZES["2M"]) == ({"nodes": {"0": 2, "1": 3}, "overcommit": 1}, "")
    # What isn't declared any more of nodes stays; the whole number says something else than each node's.
    applied(kernel, nodes={1: 4})
    assert hugepages_unit.read("2M", SIZES["2M"])[0]["nodes"] == {"0": 2, "1": 4}
    assert [name for name, _old, _new in changed(applied(kernel, pages=6))] == ["pages", "spread"]
    assert hugepages_unit.read("2M", SIZES["2M"]) == ({"pages": 6, "overcommit": 1}, "")
    # After a boot that gave fewer
    kernel.write(engine.count_file(SIZES["2M"]), 2)
    _resource, plan = planned(kernel, pages=6)
    assert (plan.steps, changed(plan)) == (("update",), [("pages", 2, 6)])
    applied(kernel, persistent=False)
    assert hugepages_unit.read("2M", SIZES["2M"]) is None
    assert kernel.total[SIZES["2M"], "0"] == 1


def test_a_setting_of_sysctl_is_not_fought_with(kernel, monkeypatch):
    monkeypatch.setattr(engine, "in_sysctls", lambda: {"/etc/sysctl.d/vm.conf": 4})
    with pytest.raises(StrataError, match=r"/etc/sysctl.d/vm.conf sets vm.nr_hugepages to 4"):
        planned(kernel, pages=6, persistent=True)
    assert planned(kernel, pages=4, persistent=True)[1]
    assert planned(kernel, size="1G", pages=1, persistent=True)[1]


MOUNTED = "40 1 0:40 / {} rw - hugetlbfs {} rw,pagesize={}{}\n"


def test_mounts(kernel, monkeypatch):
    told = []
    monkeypatch.setattr(mounts, "mount", lambda *argv: told.append(argv))
    monkeypatch.setattr(mounts, "unmount", told.append)
    monkeypatch.setattr(mounts, "make_directory", lambda path, owner: None)
    monkeypatch.setattr(mounts, "users", lambda tops: [])
    monkeypatch.setattr(mounts, "table", kernel.read)
    resource, plan = planned(kernel, owner="web", mount="/mnt/a", mount_options=["mode=01770", "uid=0"])
    carry_out(resource, kernel, plan)
    assert told == [("strata:web", "/mnt/a", "hugetlbfs", 0, "pagesize=2M,mode=1770")]
    kernel.mountinfo = MOUNTED.format("/mnt/a", "strata:web", "2M", ",mode=1770")
    assert not planned(kernel, mount="/mnt/a", mount_options=["mode=1770"])[1]
    assert not planned(kernel, mount="/mnt/a")[1]
    resource, plan = planned(kernel, mount="/mnt/b")
    told.clear()
    carry_out(resource, kernel, plan)
    assert told == ["/mnt/a", ("strata:web", "/mnt/b", "hugetlbfs", 0, "pagesize=2M")]
    assert changed(planned(kernel, mount="")[1]) == [("mount", "/mnt/a", "")]
    monkeypatch.setattr(mounts, "users", lambda tops: ["process 7 (qemu)"])
    for options in ({"mount": "/mnt/b"}, {"mount": ""}, {"mount": "/mnt/a", "mount_options": []}, {"state": "absent"}):
        with pytest.raises(StrataError, match="/mnt/a is in use by process 7"):
            planned(kernel, **options)


def test_a_mount_of_somebody_else_will_do_and_stays(kernel):
    kernel.mountinfo = MOUNTED.format("/dev/hugepages", "hugetlbfs", "2M", "")
    assert planned(kernel, pages=1, mount="/dev/hugepages")[1]
    applied(kernel, pages=1)
    assert not planned(kernel, pages=1, mount="/dev/hugepages")[1]
    with pytest.raises(StrataError, match="was mounted by somebody else"):
        planned(kernel, mount="/dev/hugepages", mount_options=["mode=1770"])
    with pytest.raises(StrataError, match="something else is mounted there: hugetlbfs from hugetlbfs"):
        planned(kernel, size="1G", mount="/dev/hugepages")
    assert not planned(kernel, mount="")[1]


def test_owners(kernel):
    resource, plan = planned(kernel, owner="web", pages=2)
    carry_out(resource, kernel, plan)
    assert read_one(resource, kernel).owner == "web"
    applied(kernel, persistent=True)
    assert read_one(resource, kernel).owner == "web"
    applied(kernel, persistent=False)
    assert read_one(resource, kernel).owner == "web"
    applied(kernel, state="absent")
    kernel.write(engine.count_file(SIZES["2M"]), 3)
    applied(kernel, pages=4, persistent=True)
    assert read_one(resource, kernel).owner is None


def test_an_option_that_a_stack_drops_goes_back(kernel):
    applied(kernel, nodes={0: 2, 1: 2}, overcommit=3)
    _resource, plan = planned(kernel, "web", {"nodes": {0: 2, 1: 2}, "overcommit": 3}, nodes={0: 2})
    assert changed(plan) == [("nodes[1]", 2, 0), ("overcommit", 3, 0)]
    _resource, plan = planned(kernel, "web", {"nodes": {0: 2, 1: 2}}, pages=4)
    assert not plan
    _resource, plan = planned(kernel, "web", {"pages": 4}, nodes={0: 1})
    assert changed(plan) == [("nodes[0]", 2, 1)]


def test_an_export_declares_what_is_there(kernel):
    for options in ({"pages": 3}, {"nodes": {0: 5}}, {"nodes": {0: 1, 1: 4}, "persistent": True}):
        applied(kernel, **options)
        told = Hugepages.export("2M", read_one(Hugepages({"size": "2M"}), kernel))
        assert not planned(kernel, **json.loads(json.dumps(told)))[1]
        applied(kernel, state="absent")


def test_who_has_pages():
    smaps = """\
7f0000000000-7f0000800000 rw-p 00000000 00:0f 1 /anon_hugepage (deleted)
Size:               8192 kB
KernelPageSize:     2048 kB
VmFlags: rd wr mr mw me de ht
7f1000000000-7f1000001000 rw-p 00000000 00:00 0
Size:                  4 kB
KernelPageSize:        4 kB
VmFlags: rd wr
7f2000000000-7f2040000000 rw-s 00000000 00:0f 1 /dev/hugepages-1G/a
Size:            1048576 kB
KernelPageSize:  1048576 kB
VmFlags: rd wr sh ht
"""
    assert engine.mapped(smaps, SIZES["2M"]) == 8 * MEGA
    assert engine.mapped(smaps, SIZES["1G"]) == 1024 * MEGA
    assert engine.mapped("", SIZES["1G"]) == 0


def test_sysctls_are_read_as_sysctl_does(tmp_path, monkeypatch):
    monkeypatch.undo()
    etc, usr = tmp_path / "etc", tmp_path / "usr"
    for folder in (etc, usr):
        folder.mkdir()
    (usr / "a.conf").write_text("vm.nr_hugepages=1\n")
    (etc / "a.conf").write_text("# vm.nr_hugepages=2\n-vm/nr_hugepages = 3\nvm.nr_hugepages_mempolicy=4\n")
    (usr / "b.conf").write_text("vm.nr_overcommit_hugepages=5\n")
    monkeypatch.setattr(engine, "_SYSCTLS", (str(etc), str(usr), str(tmp_path / "none")))
    assert engine.in_sysctls() == {f"{etc}/a.conf": 3}
