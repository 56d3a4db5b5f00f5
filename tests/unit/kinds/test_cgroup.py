# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""cgroup: what control files and units say, and what is planned. The files' texts are those of a Debian 13."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, Layer
from ansible_collections.strata.virt.plugins.module_utils.engines import (
    anchor,
    cgroupfs,
    cgroupstat,
    cgroupunit,
    iolimits,
    systemd,
)
from ansible_collections.strata.virt.plugins.module_utils.engines import processes as processes_of_host
from ansible_collections.strata.virt.plugins.module_utils.kinds import cgroup_checks, cgroup_fields
from ansible_collections.strata.virt.plugins.module_utils.kinds.cgroup import Cgroup

GIB = 1024**3
KERNEL = {
    "cgroup.events": "populated 1\nfrozen 0",
    "cgroup.freeze": "0",
    "cpu.max": "200000 100000",
    "cpu.max.burst": "0",
    "cpu.weight": "100",
    "cpu.idle": "0",
    "memory.max": "1073741824",
    "memory.high": "max",
    "memory.low": "0",
    "memory.swap.max": "max",
    "memory.oom.group": "0",
    "pids.max": "512",
    "io.max": "254:0 rbps=1048576 wbps=max riops=max wiops=100",
    "io.weight": "default 100\n254:0 200",
    "cpuset.cpus": "0-1",
    "cpuset.mems": "",
    "cpuset.cpus.partition": "member",
    "hugetlb.2MB.max": "8388608",
    "hugetlb.1GB.max": "max",
    "misc.max": "sev 4\nsev_es max",
    "rdma.max": "mlx5_0 hca_handle=2 hca_object=max",
}
FACTS = {
    "controllers": ["cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma"],
    "kernel": ["cpu", "cpuset", "io", "memory", "pids"],
    "lacking": {},
    "holding": [],
    "passes_on": [],
    "online": {"cpuset_cpus": "0-3", "cpuset_mems": "0"},
    "above": {"partition": "member", "cpus": "", "exclusive": ""},
    "beside": {},
    "scarce": ["sev"],
    "devices": {},
    "costed": ["/dev/vda"],
    "unit": None,
}


@pytest.fixture(autouse=True)
def host(tmp_path, monkeypatch):
    """A group of the kernel's, a disk with a partition, and systemd's folder, empty."""
    top = tmp_path / "strata.service"
    (top / "batch").mkdir(parents=True)
    for file, text in KERNEL.items():
        (top / "batch" / file).write_text(text + "\n")
    (tmp_path / "units").mkdir()
    monkeypatch.setattr(systemd, "UNITS", str(tmp_path / "units"))
    sys = tmp_path / "sys"
    disk = sys / "devices" / "block" / "vda"
    (disk / "vda1").mkdir(parents=True)
    (disk / "dev").write_text("254:0\n")
    (disk / "vda1" / "partition").write_text("1\n")
    for folder in ("dev/block", "class/block"):
        (sys / folder).mkdir(parents=True)
    (sys / "dev/block/254:0").symlink_to(disk)
    (sys / "dev/block/254:1").symlink_to(disk / "vda1")
    (sys / "class/block/vda").symlink_to(disk)
    monkeypatch.setattr(iolimits, "SYS", str(sys))
    return anchor.Tree(str(top), ours=True)


@pytest.fixture
def batch(host):
    return Cgroup.read_many(host, ["batch"])["batch"]


def known(state, **facts):
    return replace(state, facts={**FACTS, **state.facts, **facts})


def plan(seen, facts=None, name="batch", **options):
    return Cgroup({"name": name, **options}).plan(known(seen, **(facts or {})))


def names(made):
    return [change.name for change in made.changes]


def test_control_files_are_read(batch):
    assert batch.status == "present"
    live = batch.live
    assert (live["cpus"], live["cpu_period"], live["memory"], live["pids_limit"]) == (200_000, 100_000, GIB, 512)
    assert (live["memory_high"], live["memory_low"], live["oom_group"], live["frozen"]) == ("max", 0, False, False)
    row = {"device": "/dev/vda", "read_bps": 1048576, "write_bps": "max", "read_iops": "max", "write_iops": 100}
    assert live["io"] == ({**row, "weight": 200, "latency": 0},)
    assert (live["io_weight"], live["cpuset_cpus"]) == (100, "0-1")
    assert live["hugetlb"] == {"2MB": 8388608}
    assert live["misc"] == {"sev": 4}
    assert live["rdma"] == {"mlx5_0.hca_handle": 2}
    assert "memory_min" not in live  # the kernel has no such file here


def test_an_export_declares_what_is_there(batch):
    options = Cgroup.export("batch", batch)
    assert options["hugetlb"] == {"2M": "8M"}
    assert options["rdma"] == {"mlx5_0": {"hca_handle": 2}}
    assert options["io"][0]["read_bps"] == "1M"
    assert not plan(batch, {"devices": {"/dev/vda": "/dev/vda"}}, **{**options, "name": "batch"})


@pytest.mark.parametrize(
    ("options", "writes"),
    [
        ({"memory": "2G"}, [("memory.max", str(2 * GIB))]),
        ({"cpus": 1}, [("cpu.max", "100000 100000")]),
        ({"cpu_period": "10ms"}, [("cpu.max", "20000 10000")]),
        ({"cpu_burst": "50ms"}, [("cpu.max", "200000 100000"), ("cpu.max.burst", "50000")]),
        ({"cpu_weight": "idle"}, [("cpu.idle", "1")]),
        ({"cpu_weight": 50}, [("cpu.weight", "50")]),
        ({"memory_swap": 0}, [("memory.swap.max", "0")]),
        ({"oom_group": True}, [("memory.oom.group", "1")]),
        ({"io_weight": 300}, [("io.weight", "default 300")]),
        ({"io": []}, [("io.max", "/dev/vda rbps=max wiops=max"), ("io.weight", "/dev/vda default")]),
        ({"io": [{"device": "/dev/vda", "read_bps": "2M"}]}, [("io.max", "/dev/vda rbps=2097152")]),
        ({"io": [{"device": "/dev/vda", "latency": "25ms"}]}, [("io.latency", "/dev/vda target=25000")]),
        ({"cpuset_cpus": "1,0"}, []),
        ({"cpuset_cpus": "1"}, [("cpuset.cpus", "1")]),
        ({"hugetlb": {"2MB": "9M"}}, []),  # floored to whole pages
        ({"hugetlb": {"2M": "max", "1G": "4G"}}, [("hugetlb.2MB.max", "max"), ("hugetlb.1GB.max", str(4 * GIB))]),
        ({"misc": {"sev": 5}}, [("misc.max", "sev 5")]),
        ({"rdma": {"mlx5_0": {"hca_object": 9}}}, [("rdma.max", "mlx5_0 hca_object=9")]),
        ({"frozen": True}, [("cgroup.freeze", "1")]),
    ],
)
def test_what_differs_is_written_and_nothing_else(batch, options, writes):
    made = plan(batch, {"devices": {"/dev/vda": "/dev/vda"}}, **options)
    assert made.steps == (("update",) if writes else ())
    found = cgroup_fields.writes(made.of(Layer.LIVE), batch.live, {**batch.live, **made.want})
    assert found == writes


def test_the_burst_steps_aside_before_the_quota_and_idle_before_a_weight():
    had = {"cpus": 200_000, "cpu_burst": 150_000, "cpu_weight": "idle"}
    whole = {**had, "cpus": 100_000, "cpu_burst": 100_000, "cpu_weight": 7}
    assert cgroup_fields.writes(["cpus", "cpu_burst", "cpu_weight"], had, whole) == [
        ("cpu.max.burst", "0"),
        ("cpu.max", "100000 100000"),
        ("cpu.max.burst", "100000"),
        ("cpu.idle", "0"),
        ("cpu.weight", "7"),
    ]
    assert cgroup_fields.read({"cpu.weight": "0", "cpu.idle": "1"}) == {"cpu_weight": "idle"}


@pytest.mark.parametrize("period", ["1ms", "7ms", "100ms", "333333us", "1s"])
@pytest.mark.parametrize("cpus", ["1", "1.23456", "2.5", "max"])
def test_cpus_come_back_as_they_are_kept_in_any_period(batch, cpus, period):
    made = plan(batch, cpus=cpus, cpu_period=period)
    ((_file, text),) = cgroup_fields.writes(["cpus"], {}, {**batch.live, **made.want})
    live = {**batch.live, **cgroup_fields.read({"cpu.max": text})}
    assert not plan(replace(batch, config=live, live=live), cpus=cpus, cpu_period=period)


def test_an_undeclared_period_stays(host, batch):
    with open(f"{host.top}/batch/cpu.max", "w", encoding="ascii") as file:
        file.write("20000 10000\n")
    seen = Cgroup.read_many(host, ["batch"])["batch"]
    assert not plan(seen, cpus=2)
    made = plan(seen, cpus=1)
    assert cgroup_fields.writes(["cpus"], seen.live, {**seen.live, **made.want}) == [("cpu.max", "10000 10000")]


def test_a_partition_is_its_disk(batch, monkeypatch):
    monkeypatch.setattr(os, "stat", lambda path: os.stat_result([0o060660, *[0] * 9], {"st_rdev": os.makedev(254, 1)}))
    assert iolimits.disk("/dev/vda1") == "/dev/vda"
    assert iolimits.for_kernel("/dev/vda rbps=1") == "254:0 rbps=1"
    twice = [{"device": "/dev/vda1"}, {"device": "/dev/vda"}]
    with pytest.raises(StrataError, match=r"io.device: /dev/vda is named twice"):
        plan(batch, {"devices": {"/dev/vda1": "/dev/vda", "/dev/vda": "/dev/vda"}}, io=twice)


def test_a_device_that_is_gone_is_no_device():
    with pytest.raises(StrataError, match=r"there is no such device.*/dev/nowhere"):
        iolimits.disk("/dev/nowhere")
    with pytest.raises(StrataError, match="is no block device"):
        iolimits.disk("/dev/null")


def test_a_device_without_a_limit_is_not_waited_for():
    assert not plan(replace(ABSENT, status="present", live={}), io=[{"device": "/dev/vda", "read_bps": "max"}])


# Processes.


def processes(state, alive, inside):
    config = {**state.config, "processes": tuple(alive)}
    return replace(state, config=config, live={**state.live, "processes": tuple(inside)})


def test_processes_that_are_elsewhere_are_moved_and_those_that_ended_are_not_waited_for(batch):
    made = plan(processes(batch, ["412 (sleep)", "413 (sh)"], ["413 (sh)"]), pids=[412, 413, 999])
    assert made.steps == ("update",)
    assert [(c.before, c.after) for c in made.changes] == [(["413 (sh)"], ["412 (sleep)", "413 (sh)"])]
    assert not plan(processes(batch, ["413 (sh)"], ["413 (sh)"]), pids=[412, 413])
    with pytest.raises(StrataError, match="passes on memory to groups in it"):
        plan(processes(batch, ["413 (sh)"], []), {"passes_on": ["memory"]}, pids=[413])


def test_a_populated_group_goes_only_with_its_processes(batch):
    with pytest.raises(StrataError, match=r"still holds processes.*kill: true"):
        plan(batch, state="absent")
    assert plan(batch, state="absent", kill=True).steps == ("remove",)


# At boot.


def stored(host, monkeypatch, **options):
    """The unit as it is written for a declaration, and the state that is read from it."""
    resource = Cgroup({"name": "night/a-b", "persistent": True, **options}, owner="web")
    disks = {row["device"]: "/dev/vda" for row in options.get("io", ())}
    made = resource.plan(known(ABSENT, devices=disks))
    assert made.steps == ("create", "start")
    monkeypatch.setattr(iolimits, "disk", lambda path: disks.get(path, path))
    kept = []
    monkeypatch.setattr(cgroupunit, "store", lambda group, text: kept.append(text))
    resource._store(made)
    with open(f"{systemd.UNITS}/{cgroupunit.name('night/a-b')}", "w", encoding="ascii") as file:
        file.write(kept[0])
    return kept[0], Cgroup.read_many(host, ["night/a-b"])["night/a-b"]


WHOLE = {
    "cpus": 1.5,
    "cpu_weight": "idle",
    "memory": "1G",
    "hugetlb": {"2M": "4M"},
    "io": [{"device": "/dev/disk/by-id/x", "read_bps": "1M", "weight": 50}],
    "io_weight": 60,
}


def test_a_unit_says_all_and_reads_back(host, monkeypatch):
    text, state = stored(host, monkeypatch, **WHOLE)
    assert "Requires=strata.service" in text
    assert "WantedBy=multi-user.target\nWantedBy=strata.service" in text
    assert 'sh "+cpu +hugetlb +io +memory" night a-b' in text
    assert f"{anchor.GROUP}/night/a-b/io.max /dev/disk/by-id/x rbps=1048576" in text
    assert (state.status, state.owner, state.live) == ("stored", "web", None)
    assert state.config["io"][0]["device"] == "/dev/vda"
    assert state.facts["spelled"] == {"/dev/vda": "/dev/disk/by-id/x"}
    entry = Cgroup({"name": "night/a-b", **WHOLE})
    made = entry.plan(known(state, devices={"/dev/disk/by-id/x": "/dev/vda"}))
    assert (names(made), made.steps) == (["state"], ("start",))


def test_a_unit_that_was_edited_or_disabled_is_put_right(host, monkeypatch):
    text, state = stored(host, monkeypatch, memory="1G")
    enabled = replace(state, status="present", config={**state.config, "persistent": True}, live={"memory": GIB})
    assert not plan(enabled, name="night/a-b", memory="1G", persistent=True)
    with open(f"{systemd.UNITS}/{cgroupunit.name('night/a-b')}", "w", encoding="ascii") as file:
        file.write(text.replace("1073741824", "5"))
    edited = Cgroup.read_many(host, ["night/a-b"])["night/a-b"]
    made = plan(replace(edited, status="present", live={"memory": GIB}), name="night/a-b", memory="1G", persistent=True)
    assert (names(made), made.steps) == (["memory", "persistent"], ("configure",))


def test_only_a_persistent_group_is_compared_with_what_is_stored(batch):
    made = plan(batch, memory="2G")
    assert [(change.name, change.layer) for change in made.changes] == [("memory", Layer.LIVE)]
    assert plan(batch, persistent=True).steps == ("configure",)
    assert plan(batch, persistent=True, memory="2G").steps == ("configure", "update")


# What can't be.


@pytest.mark.parametrize(
    ("options", "facts", "words"),
    [
        ({"memory": "1G"}, {"controllers": ["cpu"]}, "memory: needs the cgroup controller memory.*look at Delegate="),
        ({"memory": "1G"}, {"controllers": ["cpu"], "kernel": ["cpu"]}, "memory: .*Boot without cgroup_disable=memory"),
        ({"hugetlb": {"2M": 0}}, {"controllers": ["cpu"]}, "hugetlb: .*systemd passes on none.*write .hugetlb"),
        ({"cpu_burst": "1ms"}, {"lacking": {"cpu_burst": ["cpu.max.burst"]}}, "cpu_burst: needs cpu.max.burst, which"),
        ({"cpuset_cpus": "2-5"}, {}, r"cpuset_cpus: this host has no cpu 4-5: it has 0-3"),
        ({"cpuset_mems": "1"}, {}, "cpuset_mems: this host has no memory node 1"),
        ({"cpuset_partition": "root"}, {}, "cpuset_partition: needs cpus of its own"),
        ({"cpuset_partition": "root", "cpuset_cpus": "1"}, {}, "the group above it is no partition"),
        (
            {"cpuset_partition": "root", "cpuset_cpus": "1-2"},
            {"beside": {"other": {"partition": "isolated", "cpus": "2-3", "exclusive": ""}}},
            "cpuset_cpus: cpu 2 is the group other's alone",
        ),
        ({"memory": "1G"}, {"holding": [("a", ["cpu"])]}, r"a holds processes itself.*\(memory\)"),
        ({"misc": {"tdx": 1}}, {}, "misc: tdx is nothing that this host has to share: it has sev"),
        (
            {"io": [{"device": "/dev/vda", "weight": 7}]},
            {"costed": []},
            "io.weight: the kernel weighs the io of /dev/vda",
        ),
        ({"cpus": 0.05, "cpu_period": "10ms"}, {}, "cpus: comes to 500 microseconds in each period of 10000"),
        ({"cpus": 0.5, "cpu_burst": "60ms"}, {}, "cpu_burst: is more than the 50000 microseconds"),
    ],
)
def test_what_this_host_cannot_do_is_refused_before(options, facts, words):
    with pytest.raises(StrataError, match=words):
        plan(ABSENT, facts, name="a/b", **options)


def test_partitions_that_are_possible_are_not_refused():
    local = {"above": {"partition": "root", "cpus": "0-3", "exclusive": ""}}
    plan(ABSENT, local, cpuset_partition="root", cpuset_cpus="1")
    remote = {"above": {"partition": "member", "cpus": "", "exclusive": "1-2"}}
    plan(ABSENT, remote, cpuset_partition="isolated", cpuset_cpus="1", cpuset_exclusive="1")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "holder"}, "name: is taken"),
        ({"name": "a/memory.max"}, "name: would clash"),
        ({"cpu_weight": 0}, "cpu_weight: must be from 1 to 10000"),
        ({"cpu_period": "2s"}, "cpu_period: must be from 1ms to 1s"),
        ({"cpu_burst": "soon"}, "cpu_burst: is no time"),
        ({"io": [{"device": "vda"}]}, "io.device: must be an absolute path"),
        ({"io": [{"device": "/dev/vda", "read_bps": 0}]}, "io.read_bps: must be 1 or more"),
        ({"io": [{"device": "/dev/vda"}, {"device": "/dev/vda"}]}, "io: names /dev/vda twice"),
        ({"cpuset_cpus": "3-1"}, "cpuset_cpus: is no list of numbers"),
        ({"cpuset_cpus": "0-99999999"}, "cpuset_cpus: holds 99999999"),
        ({"hugetlb": {"3M": "1G"}}, "hugetlb: '3M' is no page size"),
        ({"rdma": {"mlx5_0": 3}}, "rdma: is a mapping for each device"),
        ({"rdma": {"mlx5_0": {"qp": 3}}}, "rdma: knows no 'qp'"),
        ({"pids": [1]}, "pids: must be 2 or more"),
        ({"parent": "/sys/fs/cgroup/x", "persistent": True}, "persistent: goes with"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(StrataError) as refused:
        Cgroup({"name": "batch", **options})
    assert words in str(refused.value)


def test_disks_whose_io_is_weighed_are_told(host, monkeypatch):
    monkeypatch.setattr(cgroupfs, "MOUNT", host.top)
    with open(f"{host.top}/io.cost.qos", "w", encoding="ascii") as file:
        file.write("254:0 enable=1 ctrl=auto\n8:0 enable=0 ctrl=auto\n")
    assert iolimits.costed() == ["/dev/vda"]


def test_a_group_that_nobody_handed_over_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd, "RUNNING", str(tmp_path))
    with pytest.raises(StrataError, match="parent: there is no such group"):
        cgroup_checks.parent(str(tmp_path / "none"))
    with pytest.raises(StrataError, match="parent: is not on cgroup v2"):
        cgroup_checks.parent(str(tmp_path))
    monkeypatch.setattr(cgroupfs, "is_cgroup2", lambda path: True)
    with pytest.raises(StrataError, match="parent: belongs to systemd"):
        cgroup_checks.parent(str(tmp_path))


# What is used.


def test_usage_is_numbers_with_their_units(host):
    with open(f"{host.top}/batch/memory.current", "w", encoding="ascii") as file:
        file.write("372736\n")
    texts = {
        "cpu.stat": "usage_usec 18443\nnr_throttled 0\n",
        "memory.stat": "anon 4096\nfile 0\nworkingset_nodes 3\n",
        "memory.events": "low 0\noom_kill 1\n",
        "io.stat": "254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n7:0 \n",
        "cpu.pressure": "some avg10=0.12 avg60=0.00 avg300=0.00 total=2011\n",
    }
    for file_name, text in texts.items():
        with open(f"{host.top}/batch/{file_name}", "w", encoding="ascii") as file:
            file.write(text)
    used = cgroupstat.measure(f"{host.top}/batch")
    assert used["cpu"] == {"usage_usec": 18443, "nr_throttled": 0}
    assert used["memory"] == {
        "current_bytes": 372736,
        "anon_bytes": 4096,
        "file_bytes": 0,
        "events": {"low": 0, "oom_kill": 1},
    }
    assert used["io"] == {"/dev/vda": {"read_bytes": 4096, "written_bytes": 0, "reads": 1, "writes": 0}}
    assert used["pressure"]["cpu"]["some"] == {
        "avg10_percent": 0.12,
        "avg60_percent": 0.0,
        "avg300_percent": 0.0,
        "total_usec": 2011,
    }
    assert used["events"] == {"populated": True, "frozen": False}


def test_systemd_and_the_module_itself_are_never_moved():
    for pid in (1, os.getpid(), os.getppid()):
        with pytest.raises(StrataError, match="is never moved"):
            processes_of_host.spare({pid, 999_999})
    processes_of_host.spare({999_999})
