# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a host, read from folders that look like one."""

from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.virt.plugins.module_utils.core.survey import survey
from ansible_collections.strata.virt.plugins.module_utils.engines.hostfiles import Answer, Host, expand, kilobytes
from ansible_collections.strata.virt.plugins.module_utils.host import cgroup, limits, memory, security
from ansible_collections.strata.virt.plugins.module_utils.host.registry import SUBJECTS

RELEASE = "6.12.48+deb13-amd64"
PCI = "/sys/bus/pci/devices"
INTEL = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Gold 6338\nflags\t\t: fpu vme msr vmx ssse3\n"
AMD = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu vme msr svm ssse3\n"
EMULATED = "processor\t: 0\nmodel name\t: QEMU TCG CPU version 2.5+\nflags\t\t: fpu vme msr hypervisor\n"
PLAIN = "processor\t: 0\nmodel name\t: Old\nflags\t\t: fpu vme msr\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd evtstrm\n"

UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
LEGACY = """\
32 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
33 32 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct
34 32 0:30 / /sys/fs/cgroup/memory rw,nosuid shared:11 - cgroup cgroup rw,memory
35 32 0:31 / /sys/fs/cgroup/blkio rw,nosuid shared:12 - cgroup cgroup rw,blkio
36 32 0:32 / /sys/fs/cgroup/systemd rw,nosuid shared:13 - cgroup cgroup rw,xattr,name=systemd
"""
BESIDE = "37 32 0:33 / /sys/fs/cgroup/unified rw,nosuid shared:14 - cgroup2 cgroup2 rw\n"


class Fake(Host):
    """A folder with files, and answers of what a folder can't hold."""

    def __init__(self, root: Path, files: dict) -> None:
        super().__init__(str(root))
        self.answer = Answer({}, os.strerror(errno.ENOENT))
        self.attributes: dict = {}
        for path, content in files.items():
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                place.symlink_to(content)
            elif isinstance(content, bytes):
                place.write_bytes(content)
            else:
                place.write_text(content)

    def ask_device(self, path, request):
        return self.answer

    def attribute(self, path, name):
        return self.attributes.get((path, name))


@pytest.fixture
def told(tmp_path):
    """Asks a host made of files for one subject: its facts, and its lacks by what is lacking."""

    def ask(subject: str, files: dict | None = None, answer: Answer | None = None, attributes: dict | None = None):
        host = Fake(tmp_path, files or {})
        host.answer = answer or host.answer
        host.attributes = attributes or {}
        result = survey({subject: SUBJECTS[subject]}, host)
        json.dumps(result)
        facts = result["host"][subject]
        lacks = {lack["what"]: lack for lack in result["lacks"]}
        assert facts["why_not"] == {what: lack["reason"] for what, lack in lacks.items()}
        assert all(lack["subject"] == subject and lack["reason"] and lack["remedy"] for lack in lacks.values())
        return facts, lacks

    return ask


def test_an_empty_host_is_told_of_whole(tmp_path):
    result = survey(SUBJECTS, Fake(tmp_path, {}))
    assert list(result["host"]) == list(SUBJECTS)
    json.dumps(result, allow_nan=False).encode()
    told_of = {lack["subject"] for lack in result["lacks"]}
    assert told_of >= {"systemd", "cgroup", "namespaces", "security", "kvm", "iommu", "hugepages", "engines"}
    assert not any("{" in text for lack in result["lacks"] for text in lack.values())


def test_this_host_is_told_of_whole():
    result = survey({name: subject for name, subject in SUBJECTS.items() if name != "engines"}, Host())
    json.dumps(result).encode()
    assert result["host"]["kernel"]["release"] == os.uname().release


def test_bytes_that_are_no_text_come_escaped(told):
    facts, _lacks = told("kernel", {"/proc/cmdline": b"quiet name=\xff\xfe\n"})
    assert facts["command_line"] == r"quiet name=\xff\xfe"


def test_names_are_sorted_as_people_count(tmp_path):
    host = Fake(tmp_path, {f"/groups/{name}": "" for name in ("10", "2", "b", "a")})
    assert host.names("/groups") == ["2", "10", "a", "b"]


def test_a_device_that_does_not_answer(tmp_path):
    host = Host(str(tmp_path))
    assert host.ask_device("/kvm", 0) == Answer({}, "No such file or directory")
    (tmp_path / "kvm").write_text("")
    assert host.ask_device("/kvm", 0xAE00) == Answer({}, "Inappropriate ioctl for device")


def test_an_attribute_that_there_is_not(tmp_path):
    assert Host(str(tmp_path)).attribute("/", "user.delegate") is None


def test_a_packed_file_that_is_none(tmp_path):
    assert Fake(tmp_path, {"/config.gz": "no gzip"}).text("/config.gz") is None


# systemd.


@pytest.mark.parametrize(
    ("library", "version"),
    [
        ("/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-257.so", "257"),
        ("/usr/lib/systemd/libsystemd-shared-257.9-1.fc42.so", "257"),
        ("/lib/systemd/libsystemd-shared-247.so", "247"),
    ],
)
def test_systemd_is_told_by_its_library(told, library, version):
    facts, lacks = told("systemd", {library: "", "/run/systemd/system/x": "", "/proc/1/comm": "systemd\n"})
    assert facts == {"version": version, "pid1": True, "init": "systemd", "why_not": {}}
    assert lacks == {}


def test_systemd_that_booted_nothing(told):
    _facts, lacks = told("systemd", {"/usr/lib/systemd/libsystemd-shared-252.so": "", "/proc/1/comm": "sh\n"})
    assert lacks["pid1"]["reason"].endswith("its first process is sh")


# Control groups.


def test_cgroup_unified_with_delegation(told):
    group = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service"
    facts, lacks = told(
        "cgroup",
        {
            "/proc/self/mountinfo": UNIFIED,
            "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
            "/sys/fs/cgroup/cgroup.subtree_control": "cpu memory pids\n",
            f"{group}/cgroup.controllers": "memory pids\n",
            "/sys/fs/cgroup/user.slice/cgroup.procs": "",
            "/proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        },
        attributes={(group, "user.delegate"): "1"},
    )
    assert (facts["mode"], facts["version"], facts["mount"]) == ("unified", 2, "/sys/fs/cgroup")
    assert facts["passed_on"] == ["cpu", "memory", "pids"]
    assert facts["delegated"] == [
        {"uid": 1000, "group": group, "controllers": ["memory", "pids"], "marked_by": ["user.delegate"]}
    ]
    assert list(lacks) == ["delegation to user 1000"]
    assert "pass on cpu to" in lacks["delegation to user 1000"]["reason"]


def test_a_manager_of_a_user_that_nobody_marked(told):
    group = "/sys/fs/cgroup/user.slice/user-0.slice/user@0.service"
    controllers = {f"{folder}/cgroup.controllers": "cpu memory pids\n" for folder in ("/sys/fs/cgroup", group)}
    _facts, lacks = told("cgroup", {"/proc/self/mountinfo": UNIFIED, **controllers})
    assert lacks["delegation to user 0"]["reason"] == f"{group} carries no mark of delegation"


def test_cgroup_hybrid(told):
    facts, lacks = told(
        "cgroup",
        {
            "/proc/self/mountinfo": LEGACY + BESIDE,
            "/sys/fs/cgroup/unified/cgroup.controllers": "\n",
            "/proc/cmdline": "quiet cgroup_disable=pids,rdma",
        },
    )
    assert (facts["mode"], facts["version"], facts["mount"]) == ("hybrid", 1, "/sys/fs/cgroup/unified")
    assert facts["mounts_v1"]["cpuacct"] == "/sys/fs/cgroup/cpu,cpuacct"
    assert set(facts["mounts_v1"]) == {"cpu", "cpuacct", "memory", "blkio"}
    assert lacks["controller io"]["reason"] == "cgroup v1 holds it, at /sys/fs/cgroup/blkio"
    assert lacks["controller pids"]["reason"] == "the kernel was started with cgroup_disable=pids"
    assert "doesn't have it" in lacks["controller cpuset"]["reason"]
    assert {"unified", "pressure"} <= set(lacks)


def test_cgroup_legacy(told):
    facts, lacks = told("cgroup", {"/proc/self/mountinfo": LEGACY})
    assert (facts["mode"], facts["version"], facts["mount"]) == ("legacy", 1, None)
    assert lacks["unified"]["reason"] == "only cgroup v1 is mounted"


def test_a_line_of_mountinfo_that_is_none_is_no_mount():
    assert cgroup.mounts("\n30 23 - cgroup2\nx\n") == ([], {})


# Namespaces and limits.

ALL_KINDS = {f"/proc/self/ns/{kind}": "" for kind in ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")}


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("user/max_user_namespaces", "0", "user.max_user_namespaces is 0"),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor allows them"),
    ],
)
def test_user_namespaces_that_are_not_for_everybody(told, setting, value, reason):
    facts, lacks = told("namespaces", {**ALL_KINDS, f"/proc/sys/{setting}": f"{value}\n"})
    assert facts["unprivileged_user_namespaces"] is False
    assert lacks["unprivileged_user_namespaces"]["reason"].startswith(reason)
    assert list(lacks) == ["unprivileged_user_namespaces"]


def test_kinds_of_namespaces(told):
    files = {name: "" for name in ALL_KINDS if not name.endswith("time")}
    facts, lacks = told("namespaces", {**files, "/proc/self/ns/pid_for_children": ""})
    assert facts["kinds"] == ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]
    assert facts["unprivileged_user_namespaces"] is True
    assert list(lacks) == ["time"]


def test_ranges_of_ids(told):
    passwd = (
        "root:x:0:0::/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/sh\n"
    )
    passwd += "daemon:x:1002:1::/:/usr/sbin/nologin\nbroken\n"
    facts, lacks = told(
        "limits",
        {
            "/etc/passwd": passwd,
            "/etc/subuid": "alice:100000:65536\n1001:165000:65536\n\nbroken\n",
            "/etc/subgid": "alice:100000:65536\nbob:200000:65536\n",
            "/proc/sys/user/max_net_namespaces": "0\n",
            "/proc/sys/user/max_inotify_watches": "1000\n",
        },
    )
    assert facts["max_namespaces"] == {"net": 0}
    assert facts["subuid"][1] == {"user": "bob", "start": 165000, "count": 65536}
    assert facts["overlaps"] == {"subuid": [{"users": ["alice", "bob"], "start": 165000, "count": 536}], "subgid": []}
    assert facts["without_ranges"] == ["root"]
    assert list(lacks) == ["net namespaces", "ranges of root", "subuid of alice and bob"]
    assert "265536-331071" in lacks["ranges of root"]["remedy"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(1, 12)), max_size=6))
def test_overlaps_are_where_ids_have_two_users(rows):
    found = limits.overlaps({"user": user, "start": start, "count": count} for user, start, count in rows)
    told_of = {number for row in found for number in range(row["start"], row["start"] + row["count"])}
    users: dict = {}
    for user, start, count in rows:
        for number in range(start, start + count):
            users.setdefault(number, set()).add(user)
    assert told_of == {number for number, whose in users.items() if len(whose) > 1}


# Security modules.

PROFILES = "docker-default (enforce)\n/usr/bin/man (enforce)\nlxc-container-default (complain)\nbusybox (unconfined)\n"


def test_apparmor(told):
    facts, lacks = told(
        "security",
        {
            "/sys/kernel/security/lsm": "lockdown,capability,landlock,yama,apparmor",
            "/sys/kernel/security/apparmor/profiles": PROFILES,
            "/sys/module/apparmor/parameters/enabled": "Y\n",
            "/proc/sys/kernel/seccomp/actions_avail": "kill_process trap errno allow\n",
        },
    )
    assert facts["apparmor"] == {"enabled": True, "profiles": {"enforce": 2, "complain": 1, "unconfined": 1}}
    assert facts["seccomp"] == {"actions": ["kill_process", "trap", "errno", "allow"]}
    assert lacks == {}


def test_apparmor_off(told):
    facts, lacks = told(
        "security",
        {
            "/sys/kernel/security/lsm": "capability,yama",
            "/sys/module/apparmor/parameters/enabled": "N\n",
            "/proc/cmdline": "quiet apparmor=0",
        },
    )
    assert facts["apparmor"] == {"enabled": False, "profiles": {}}
    assert "apparmor=0" in lacks["apparmor or selinux"]["reason"]
    assert "capability, yama" in lacks["apparmor or selinux"]["reason"]
    assert "seccomp" in lacks


@pytest.mark.parametrize(("text", "mode"), [("1", "enforcing"), ("0", "permissive")])
def test_selinux(told, text, mode):
    facts, lacks = told("security", {"/sys/fs/selinux/enforce": text, "/sys/kernel/security/lsm": "capability,selinux"})
    assert facts["selinux"] == {"mode": mode}
    assert ("selinux enforcing" in lacks) == (mode == "permissive")
    assert "apparmor or selinux" not in lacks


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "only root can read them"), ("", "AppArmor is on, and no profile")]
)
def test_apparmor_without_profiles(told, text, reason):
    files = {"/sys/kernel/security/lsm": "apparmor", "/sys/module/apparmor/parameters/enabled": "Y"}
    if text is not None:
        files["/sys/kernel/security/apparmor/profiles"] = text
    _facts, lacks = told("security", files)
    assert lacks["apparmor profiles"]["reason"].startswith(reason)


def test_profiles_have_blanks_in_their_names():
    assert security.profiles("snap x (y) z (enforce)\n") == {"enforce": 1, "complain": 0}


# KVM.

ANSWERS = Answer({"value": 12})
BOTH = {"/dev/kvm": "", "/sys/class/misc/kvm": ""}


@pytest.mark.parametrize(
    ("cpuinfo", "nodes", "answer", "reason"),
    [
        (INTEL, BOTH, ANSWERS, None),
        (AMD, BOTH, ANSWERS, None),
        (ARM, BOTH, ANSWERS, None),
        (PLAIN, BOTH, ANSWERS, "the processor shows neither"),
        (EMULATED, BOTH, ANSWERS, "this is a virtual machine"),
        (EMULATED, {}, None, "this is a virtual machine"),
        (INTEL, {"/dev/kvm": ""}, ANSWERS, "the module kvm_intel is not loaded"),
        (AMD, {}, None, "the module kvm_amd is not loaded"),
        (AMD, {"/sys/class/misc/kvm": ""}, None, "the kernel has KVM, and there is no /dev/kvm"),
        (ARM, {}, None, "the module kvm is not loaded"),
        (INTEL, BOTH, Answer({}, os.strerror(errno.EACCES)), "this user may not open"),
        (INTEL, BOTH, Answer({}, os.strerror(errno.ENODEV)), "/dev/kvm does not answer: No such device"),
        (INTEL, BOTH, Answer({"value": 11}), "/dev/kvm answers with version 11"),
    ],
)
def test_kvm(told, cpuinfo, nodes, answer, reason):
    facts, lacks = told("kvm", {"/proc/cpuinfo": cpuinfo, **nodes}, answer)
    assert facts["usable"] is (reason is None)
    assert facts["device"] is ("/dev/kvm" in nodes)
    assert lacks.get("usable", {}).get("reason", "").startswith(reason or "")
    assert bool(lacks) is (reason is not None)


@pytest.mark.parametrize(("module", "text", "nested"), [("kvm_intel", "N", False), ("kvm_amd", "1", True)])
def test_kvm_nested(told, module, text, nested):
    cpuinfo = INTEL if module == "kvm_intel" else AMD
    files = {"/proc/cpuinfo": cpuinfo, **BOTH, f"/sys/module/{module}/parameters/nested": f"{text}\n"}
    facts, lacks = told("kvm", files, ANSWERS)
    assert facts["nested"] is nested
    assert list(lacks) == ([] if nested else ["nested"])


@pytest.mark.parametrize(("cpuinfo", "nodes"), [(EMULATED, BOTH), (INTEL, {"/dev/kvm": ""})])
def test_kvm_is_not_opened_where_that_would_load_a_module(told, monkeypatch, cpuinfo, nodes):
    monkeypatch.setattr(Fake, "ask_device", lambda *_args: pytest.fail("opened"))
    told("kvm", {"/proc/cpuinfo": cpuinfo, **nodes})


# PCI.


def card(address: str, **more: str) -> dict:
    folder = f"{PCI}/{address}"
    facts = {"vendor": "0x8086\n", "device": "0x1563\n", "class": "0x020000\n", **more}
    return {f"{folder}/{name}": text for name, text in facts.items()}


def test_iommu_groups(told):
    groups = "/sys/kernel/iommu_groups"
    facts, lacks = told(
        "iommu",
        {
            **card("0000:01:00.0"),
            **card("0000:01:00.1"),
            f"{PCI}/0000:01:00.0/driver": Path("../../../bus/pci/drivers/vfio-pci"),
            f"{groups}/10/devices/0000:01:00.1": Path(f"../../../..{PCI}/0000:01:00.1"),
            f"{groups}/2/devices/0000:01:00.0": Path(f"../../../..{PCI}/0000:01:00.0"),
            "/sys/class/iommu/dmar0": "",
            "/proc/cmdline": "quiet intel_iommu=on iommu=pt",
        },
    )
    assert list(facts["groups"]) == ["2", "10"]
    assert facts["groups"]["2"] == [
        {"address": "0000:01:00.0", "vendor": "0x8086", "device": "0x1563", "class": "0x020000", "driver": "vfio-pci"}
    ]
    assert facts["groups"]["10"][0]["driver"] is None
    assert (facts["units"], facts["parameters"]) == (["dmar0"], ["intel_iommu=on", "iommu=pt"])
    assert lacks == {}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "the firmware tells of no IOMMU"),
        ({"/sys/firmware/acpi/tables/DMAR": ""}, "the firmware tells of Intel VT-d"),
        ({"/sys/firmware/acpi/tables/IVRS": ""}, "the firmware tells of an IOMMU"),
        ({"/sys/firmware/acpi/tables/DMAR": "", "/proc/cmdline": "intel_iommu=off"}, "the kernel was started with it"),
    ],
)
def test_no_iommu_groups(told, files, reason):
    facts, lacks = told("iommu", files)
    assert facts["groups"] == {}
    assert lacks["groups"]["reason"].startswith(reason)


def test_sriov(told):
    files = {**card("0000:00:1f.6"), **card("0000:01:00.0", sriov_totalvfs="63\n", sriov_numvfs="4\n")}
    facts, lacks = told("sriov", {**files, f"{PCI}/0000:01:00.0/net/enp1s0f0/mtu": "1500"})
    assert [device["address"] for device in facts["devices"]] == ["0000:01:00.0"]
    device = facts["devices"][0]
    assert (device["functions"], device["functions_most"], device["interfaces"]) == (4, 63, ["enp1s0f0"])
    assert lacks == {}


# Memory.

NODES = "/sys/devices/system/node"


def test_numa_with_two_nodes(told):
    facts, lacks = told(
        "numa",
        {
            f"{NODES}/node0/cpulist": "0-1,4\n",
            f"{NODES}/node0/meminfo": "Node 0 MemTotal:  8121276 kB\nNode 0 MemFree:  5978412 kB\n",
            f"{NODES}/node0/distance": "10 21\n",
            f"{NODES}/node1/cpulist": "2-3\n",
            f"{NODES}/node1/meminfo": "Node 1 MemTotal:  8126464 kB\nNode 1 MemFree:  7130112 kB\n",
            f"{NODES}/node1/distance": "21 10\n",
            f"{NODES}/online": "0-1\n",
            "/proc/sys/kernel/numa_balancing": "1\n",
        },
    )
    assert facts["nodes"] == {
        "0": {"cpus": [0, 1, 4], "memory": 8121276 * 1024, "memory_free": 5978412 * 1024, "distances": [10, 21]},
        "1": {"cpus": [2, 3], "memory": 8126464 * 1024, "memory_free": 7130112 * 1024, "distances": [21, 10]},
    }
    assert facts["balancing"] is True
    assert lacks == {}


def pages(folder: str, total: int, **more: int) -> dict:
    counts = {"nr": total, "free": total, "surplus": 0, **more}
    return {f"{folder}/{name}_hugepages": f"{count}\n" for name, count in counts.items()}


TOP = "/sys/kernel/mm/hugepages"
THP = {"/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n"}


def test_hugepages(told):
    facts, lacks = told(
        "hugepages",
        {
            **pages(f"{TOP}/hugepages-2048kB", 512, free=500, resv=3, nr_overcommit=7),
            **pages(f"{TOP}/hugepages-1048576kB", 0, resv=0, nr_overcommit=0),
            **pages(f"{NODES}/node0/hugepages/hugepages-2048kB", 512, free=500),
            **pages(f"{NODES}/node0/hugepages/hugepages-1048576kB", 0),
            "/proc/self/mounts": "hugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0\n",
            **THP,
        },
    )
    assert list(facts["sizes"]) == ["2M", "1G"]
    assert facts["sizes"]["2M"] == {
        "total": 512,
        "free": 500,
        "surplus": 0,
        "reserved": 3,
        "overcommit": 7,
        "nodes": {"0": {"total": 512, "free": 500, "surplus": 0}},
    }
    assert facts["mounts"] == ["/dev/hugepages"]
    assert facts["transparent"] == {"enabled": "madvise", "defrag": None}
    assert lacks == {}


def test_no_hugepages(told):
    _facts, lacks = told("hugepages", pages(f"{TOP}/hugepages-2048kB", 0))
    assert lacks["pages"]["reason"] == "none are set aside"
    assert "mount" in lacks


def test_transparent_hugepages_off():
    assert memory.chosen("always madvise [never]\n") == "never"
    assert memory.chosen(None) is None


# Processors.


def test_cpu(told):
    folder = "/sys/devices/system/cpu"
    siblings = ["0,2", "1,3", "0,2", "1,3"]
    facts, lacks = told(
        "cpu",
        {
            "/proc/cpuinfo": AMD,
            f"{folder}/online": "0-3\n",
            f"{folder}/isolated": "2-3\n",
            f"{folder}/nohz_full": "\n",
            f"{folder}/smt/active": "1\n",
            **{f"{folder}/cpu{cpu}/topology/physical_package_id": "0\n" for cpu in range(4)},
            **{f"{folder}/cpu{cpu}/topology/thread_siblings_list": f"{text}\n" for cpu, text in enumerate(siblings)},
            f"{folder}/vulnerabilities/l1tf": "Mitigation: PTE Inversion; VMX: SMT vulnerable\n",
            f"{folder}/vulnerabilities/mds": "Vulnerable: Clear CPU buffers attempted, no microcode\n",
            f"{folder}/vulnerabilities/itlb_multihit": "KVM: Vulnerable\n",
            f"{folder}/vulnerabilities/meltdown": "Not affected\n",
        },
    )
    assert (facts["model"], facts["sockets"], facts["cores"], facts["threads"]) == ("AMD EPYC", 1, 2, 4)
    assert (facts["isolated"], facts["nohz_full"], facts["smt"]) == ([2, 3], [], True)
    assert sorted(lacks) == ["mitigation of itlb_multihit", "mitigation of mds"]


def test_mitigations_off(told):
    files = {"/sys/devices/system/cpu/vulnerabilities/mds": "Vulnerable\n", "/proc/cmdline": "ro mitigations=off"}
    _facts, lacks = told("cpu", files)
    assert lacks["mitigation of mds"]["reason"] == "the kernel was started with mitigations=off: Vulnerable"


@given(st.sets(st.integers(0, 300)))
def test_a_list_of_the_kernel_is_expanded(numbers):
    assert expand(",".join(map(str, sorted(numbers)))) == sorted(numbers)


@pytest.mark.parametrize(("text", "numbers"), [("0-3,8", [0, 1, 2, 3, 8]), ("", []), (None, []), ("x-3,5", [5])])
def test_lists_of_the_kernel(text, numbers):
    assert expand(text) == numbers


def test_meminfo():
    assert kilobytes("Node 0 MemFree: 1 kB\nMemTotal:\n", "MemFree") == 1024
    assert kilobytes("Node 0 MemFree: 1 kB\nMemTotal:\n", "MemTotal") is None


# Modules of the kernel.

FOLDER = f"/lib/modules/{RELEASE}"
KERNEL = {"/proc/sys/kernel/osrelease": f"{RELEASE}\n"}
MODULES = {
    f"{FOLDER}/modules.dep": "kernel/drivers/net/veth.ko.xz:\nkernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/x.ko.xz\n",
    f"{FOLDER}/modules.builtin": "kernel/drivers/net/tun.ko\n",
    "/proc/modules": "bridge 1 0 - Live 0x0000000000000000\n",
}


def test_links_by_module(told):
    facts, lacks = told("network", {**KERNEL, **MODULES})
    assert {name: facts["link_types"][name] for name in ("bridge", "tun", "veth", "dummy")} == {
        "bridge": "loaded",
        "tun": "builtin",
        "veth": "loadable",
        "dummy": "missing",
    }
    assert facts["devices"] == {"vhost_net": "missing", "vfio_pci": "loadable"}
    assert lacks["dummy"]["reason"] == f"the kernel {RELEASE} has no module dummy"
    assert not {"bridge", "tun", "veth", "vfio_pci"} & set(lacks)


def test_links_by_the_kernels_configuration(told):
    config = gzip.compress(b"CONFIG_VETH=y\nCONFIG_BRIDGE=m\n# CONFIG_DUMMY is not set\n")
    facts, _lacks = told("network", {**KERNEL, "/proc/config.gz": config})
    links = facts["link_types"]
    assert (links["veth"], links["bridge"], links["dummy"]) == ("builtin", "unknown", "missing")


def test_links_of_a_kernel_that_was_upgraded(told):
    _facts, lacks = told("network", {**KERNEL, "/lib/modules/6.12.50+deb13-amd64/modules.dep": ""})
    assert lacks["veth"]["remedy"] == "Reboot into the kernel that is installed"


def test_links_where_loading_is_turned_off(told):
    _facts, lacks = told("network", {**KERNEL, **MODULES, "/proc/sys/kernel/modules_disabled": "1\n"})
    assert "loading is turned off" in lacks["veth"]["reason"]


def test_file_systems(told):
    listed = "nodev\toverlay\n\text4\n\tzfs\n"
    facts, lacks = told("file_systems", {**KERNEL, **MODULES, "/proc/filesystems": listed})
    assert facts["known"] == ["ext4", "overlay", "zfs"]
    assert facts["states"] == {
        "overlay": "builtin",
        "btrfs": "missing",
        "zfs": "builtin",
        "xfs": "missing",
        "fuse": "missing",
    }
    assert set(lacks) == {"btrfs", "xfs", "fuse"}
