# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""host_info, compared with what the host's own tools and files say."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.driver import Failed, call, run

SUBJECTS = [
    "kernel",
    "systemd",
    "cgroup",
    "namespaces",
    "limits",
    "security",
    "kvm",
    "iommu",
    "sriov",
    "numa",
    "hugepages",
    "cpu",
    "file_systems",
    "network",
    "engines",
]
LIBVIRT = ("libvirtd.service", "libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket")


def cat(path: str) -> str:
    return Path(path).read_text().strip()


def numbers(text: str) -> list[int]:
    """0-2,5 as numbers, by the shell."""
    parts = (part.split("-") for part in text.split(",") if part)
    return [int(number) for part in parts for number in run("seq", part[0], part[-1]).split()]


def lscpu() -> dict[str, str]:
    """All that lscpu says, whatever it is filed under."""
    found: dict[str, str] = {}

    def file(entries: list[dict]) -> None:
        for entry in entries:
            found[entry["field"].rstrip(":")] = entry.get("data") or ""
            file(entry.get("children", []))

    file(json.loads(run("env", "LC_ALL=C", "lscpu", "-J"))["lscpu"])
    return found


def loads(module: str) -> bool:
    """Whether modprobe would find a module, or finds it built in."""
    return subprocess.run(["modprobe", "--dry-run", "--quiet", module], check=False).returncode == 0


@pytest.fixture(scope="module")
def seen() -> dict:
    return call("host_info", {})


@pytest.fixture(scope="module")
def host(seen: dict) -> dict:
    return seen["host"]


def lacking(result: dict, subject: str) -> dict:
    return {lack["what"]: lack for lack in result["lacks"] if lack["subject"] == subject}


# The shape.


def test_all_subjects_are_told(seen):
    assert sorted(seen["host"]) == sorted(SUBJECTS)
    assert seen.get("changed", False) is False
    for lack in seen["lacks"]:
        assert set(lack) == {"subject", "what", "reason", "remedy"}
        assert all(lack.values())
        assert seen["host"][lack["subject"]]["why_not"][lack["what"]] == lack["reason"]
    assert sum(len(facts["why_not"]) for facts in seen["host"].values()) == len(seen["lacks"])


@pytest.mark.parametrize("subject", SUBJECTS)
def test_one_subject_alone(host, subject):
    told = call("host_info", {"gather": [subject]}, check=True)
    assert list(told["host"]) == [subject]
    assert set(told["host"][subject]) == set(host[subject])
    assert {lack["subject"] for lack in told["lacks"]} <= {subject}


def test_a_subject_that_there_is_not():
    with pytest.raises(Failed, match="kvm"):
        call("host_info", {"gather": ["kvn"]})


def test_nothing_is_loaded_and_nothing_is_mounted():
    def state() -> tuple:
        modules = sorted(line.split()[0] for line in run("lsmod").splitlines()[1:])
        return modules, run("findmnt", "--noheadings", "--raw", "--output", "TARGET,FSTYPE")

    before = state()
    call("host_info", {})
    assert state() == before


# Kernel and systemd.


def test_kernel(host):
    assert host["kernel"]["release"] == run("uname", "-r")
    assert host["kernel"]["version"] == run("uname", "-v")
    assert host["kernel"]["machine"] == run("uname", "-m")
    assert host["kernel"]["command_line"] == cat("/proc/cmdline")


def test_systemd(host):
    assert host["systemd"]["version"] == run("systemctl", "--version").split()[1]
    assert host["systemd"]["pid1"] is (run("ps", "-o", "comm=", "-p", "1") == "systemd")


# Control groups, namespaces, limits.


def test_cgroup(seen, host):
    facts = host["cgroup"]
    kind = run("stat", "--file-system", "--format", "%T", "/sys/fs/cgroup")
    assert (facts["mode"] == "unified") is (kind == "cgroup2fs")
    assert facts["version"] == 2
    assert (
        facts["mount"]
        == run("findmnt", "--noheadings", "--list", "--output", "TARGET", "--types", "cgroup2").split("\n")[0]
    )
    assert facts["controllers"] == cat("/sys/fs/cgroup/cgroup.controllers").split()
    assert set(facts["passed_on"]) == set(cat("/sys/fs/cgroup/cgroup.subtree_control").split())
    assert bool(facts["pressure"]) is (subprocess.run(["cat", "/proc/pressure/cpu"], check=False).returncode == 0)
    assert ("pressure" in lacking(seen, "cgroup")) is not bool(facts["pressure"])


def test_what_users_were_given():
    run("systemctl", "start", "user@0.service")
    facts = call("host_info", {"gather": ["cgroup"]})["host"]["cgroup"]
    mine = {row["uid"]: row for row in facts["delegated"]}[0]
    group = run("systemctl", "show", "--property=ControlGroup", "--value", "user@0.service")
    given = run("systemctl", "show", "--property=DelegateControllers", "--value", "user@0.service").split()
    assert mine["group"] == f"/sys/fs/cgroup{group}"
    assert mine["controllers"] == cat(f"/sys/fs/cgroup{group}/cgroup.controllers").split()
    assert set(given) & {"cpu", "memory", "pids"} <= set(mine["controllers"])
    assert mine["marked_by"] == [name for name in ("user.delegate", "trusted.delegate") if marked(group, name)]


def marked(group: str, name: str) -> bool:
    with contextlib.suppress(OSError):
        return os.getxattr(f"/sys/fs/cgroup{group}", name) == b"1"
    return False


def test_namespaces(host):
    kinds = run("lsns", "--noheadings", "--raw", "--output", "TYPE", "--task", str(os.getpid())).split()
    assert host["namespaces"]["kinds"] == sorted(kinds)
    assert host["namespaces"]["max_user_namespaces"] == int(run("sysctl", "-n", "user.max_user_namespaces"))
    nobody = ["setpriv", "--reuid=65534", "--clear-groups", "unshare", "--user", "true"]
    works = subprocess.run(nobody, check=False).returncode == 0
    assert host["namespaces"]["unprivileged_user_namespaces"] is works


def test_a_setting_that_forbids_user_namespaces():
    before = run("sysctl", "-n", "user.max_user_namespaces")
    run("sysctl", "-q", "-w", "user.max_user_namespaces=0")
    try:
        told = call("host_info", {"gather": ["namespaces", "limits"]})
    finally:
        run("sysctl", "-q", "-w", f"user.max_user_namespaces={before}")
    assert told["host"]["namespaces"]["unprivileged_user_namespaces"] is False
    reason = lacking(told, "namespaces")["unprivileged_user_namespaces"]["reason"]
    assert reason == "user.max_user_namespaces is 0"
    assert "user namespaces" in lacking(told, "limits")


def test_limits(host):
    for kind, most in host["limits"]["max_namespaces"].items():
        assert most == int(run("sysctl", "-n", f"user.max_{kind}_namespaces"))
    for name, options in (("subuid", ()), ("subgid", ("-g",))):
        told = run("getsubids", *options, "root", check=False).splitlines()
        expected = [tuple(map(int, line.split()[2:4])) for line in told]
        found = [(row["start"], row["count"]) for row in host["limits"][name] if row["user"] == "root"]
        assert found == expected
    assert ("root" in host["limits"]["without_ranges"]) is not bool(run("getsubids", "root", check=False))


# Security.


def test_security(host):
    facts = host["security"]
    assert facts["lsm"] == cat("/sys/kernel/security/lsm").split(",")
    assert facts["seccomp"]["actions"] == run("sysctl", "-n", "kernel.seccomp.actions_avail").split()
    enabled = cat("/sys/module/apparmor/parameters/enabled") == "Y"
    assert facts["apparmor"]["enabled"] is enabled
    if enabled:
        for mode in ("enforce", "complain"):
            loaded = run("grep", "-c", f"({mode})$", "/sys/kernel/security/apparmor/profiles", check=False)
            assert facts["apparmor"]["profiles"][mode] == int(loaded)
    assert facts["selinux"]["mode"] == (run("getenforce").lower() if shutil.which("getenforce") else "disabled")


# KVM and PCI.


def test_kvm_is_what_libvirt_says(seen, host):
    has = "<domain type='kvm'" in run("virsh", "--connect", "qemu:///system", "capabilities")
    assert host["kvm"]["usable"] is has
    assert ("usable" in lacking(seen, "kvm")) is not has
    flags = run("grep", "-c", "-w", "-E", "vmx|svm", "/proc/cpuinfo", check=False)
    assert host["kvm"]["processor"] is (int(flags) > 0)
    assert host["kvm"]["virtual_machine"] is (run("systemd-detect-virt", "--vm", check=False) != "none")


def test_iommu(seen, host):
    links = run("find", "/sys/kernel/iommu_groups", "-type", "l", "-path", "*/devices/*").splitlines()
    groups: dict = {}
    for link in links:
        groups.setdefault(link.split("/")[4], set()).add(link.split("/")[-1])
    assert {name: {row["address"] for row in rows} for name, rows in host["iommu"]["groups"].items()} == groups
    assert ("groups" in lacking(seen, "iommu")) is not bool(groups)
    for row in (row for rows in host["iommu"]["groups"].values() for row in rows):
        assert row["vendor"] == cat(f"/sys/bus/pci/devices/{row['address']}/vendor")


def test_sriov(seen, host):
    able = run("sh", "-c", "ls -d /sys/bus/pci/devices/*/sriov_totalvfs 2>/dev/null", check=False).splitlines()
    assert [row["address"] for row in host["sriov"]["devices"]] == [path.split("/")[5] for path in able]
    assert ("devices" in lacking(seen, "sriov")) is not bool(able)


# Memory and processors.


def test_numa(host):
    told = lscpu()
    nodes = host["numa"]["nodes"]
    assert len(nodes) == int(told["NUMA node(s)"])
    for name, node in nodes.items():
        assert node["cpus"] == numbers(told[f"NUMA node{name} CPU(s)"])
        folder = f"/sys/devices/system/node/node{name}"
        total = run("awk", "/MemTotal/ { print $4 }", f"{folder}/meminfo")
        assert node["memory"] == int(total) * 1024
        assert node["distances"] == [int(word) for word in cat(f"{folder}/distance").split()]


def test_hugepages_that_are_set_aside():
    before = run("sysctl", "-n", "vm.nr_hugepages")
    try:
        for wanted in ("0", "3"):
            run("sysctl", "-q", "-w", f"vm.nr_hugepages={wanted}")
            told = call("host_info", {"gather": ["hugepages"]})
            size = int(run("awk", "/^Hugepagesize:/ { print $2 }", "/proc/meminfo")) // 1024
            pages = told["host"]["hugepages"]["sizes"][f"{size}M"]
            for name, line in (
                ("total", "HugePages_Total"),
                ("free", "HugePages_Free"),
                ("reserved", "HugePages_Rsvd"),
            ):
                assert pages[name] == int(run("awk", f"/^{line}:/ {{ print $2 }}", "/proc/meminfo"))
            assert sum(node["total"] for node in pages["nodes"].values()) == pages["total"]
            assert ("pages" in lacking(told, "hugepages")) is (wanted == "0")
    finally:
        run("sysctl", "-q", "-w", f"vm.nr_hugepages={before}")


def test_transparent_hugepages_and_mounts(host):
    enabled = cat("/sys/kernel/mm/transparent_hugepage/enabled")
    assert f"[{host['hugepages']['transparent']['enabled']}]" in enabled
    mounts = run(
        "findmnt", "--noheadings", "--list", "--output", "TARGET", "--types", "hugetlbfs", check=False
    ).splitlines()
    assert host["hugepages"]["mounts"] == mounts


def test_cpu(seen, host):
    facts, told = host["cpu"], lscpu()
    assert facts["model"] == told["Model name"]
    assert facts["sockets"] == int(told["Socket(s)"])
    assert facts["cores"] == facts["sockets"] * int(told["Core(s) per socket"])
    assert facts["threads"] == facts["cores"] * int(told["Thread(s) per core"])
    assert facts["online"] == numbers(told["On-line CPU(s) list"])
    assert facts["isolated"] == numbers(cat("/sys/devices/system/cpu/isolated"))
    lines = run("grep", "-r", ".", "/sys/devices/system/cpu/vulnerabilities").splitlines()
    files = {line.partition(":")[0].rpartition("/")[2]: line.partition(":")[2] for line in lines}
    assert facts["vulnerabilities"] == files
    open_ones = {f"mitigation of {name}" for name, text in files.items() if re.match("(KVM: )?Vulnerable", text)}
    assert set(lacking(seen, "cpu")) == open_ones


# What comes from modules.


@pytest.mark.parametrize(
    ("subject", "table"), [("file_systems", "states"), ("network", "link_types"), ("network", "devices")]
)
def test_modules_are_what_modprobe_finds(seen, host, subject, table):
    loaded = {line.split()[0] for line in run("lsmod").splitlines()[1:]}
    for name, state in host[subject][table].items():
        assert (state == "loaded") is (name in loaded), name
        assert (state == "missing") is not loads(name), name
        assert (name in lacking(seen, subject)) is (state == "missing")
    assert host["file_systems"]["known"] == sorted(run("awk", "{ print $NF }", "/proc/filesystems").split())


def test_a_link_that_is_loadable_can_be_made():
    def state() -> str:
        return call("host_info", {"gather": ["network"]})["host"]["network"]["link_types"]["dummy"]

    before = state()
    assert before in ("loadable", "loaded", "builtin")
    run("ip", "link", "add", "strata-hi0", "type", "dummy")
    try:
        assert state() == ("builtin" if before == "builtin" else "loaded")
    finally:
        run("ip", "link", "delete", "strata-hi0")
        if before == "loadable":
            run("modprobe", "--remove", "dummy")
    assert state() == before


# Engines.


def test_docker(seen, host):
    facts = host["engines"]["docker"]
    said = run("docker", "info", "--format", "{{.ServerVersion}}|{{.Driver}}|{{.CgroupDriver}}|{{.CgroupVersion}}")
    told = "|".join(facts[name] for name in ("version", "storage_driver", "cgroup_driver", "cgroup_version"))
    assert told == said
    assert (facts["installed"], facts["reachable"], facts["error"]) == (True, True, None)
    assert "docker" not in lacking(seen, "engines")


def test_libvirt(seen, host):
    facts = host["engines"]["libvirt"]
    said = run("virsh", "--connect", "qemu:///system", "version", "--daemon")
    assert f"Running against daemon: {facts['version']}" in said
    assert (facts["installed"], facts["reachable"]) == (True, True)
    assert "libvirt" not in lacking(seen, "engines")


def test_libvirt_that_nobody_listens_for():
    units = [unit for unit in LIBVIRT if run("systemctl", "is-active", unit, check=False) == "active"]
    sockets = [unit for unit in units if unit.endswith(".socket")]
    assert sockets, "libvirtd.socket is what the lab host has"
    run("systemctl", "stop", *LIBVIRT)
    try:
        told = call("host_info", {"gather": ["engines"]})
        facts = told["host"]["engines"]["libvirt"]
        assert (facts["installed"], facts["reachable"]) == (True, False)
        assert "systemctl enable --now libvirtd.socket" in lacking(told, "engines")["libvirt"]["remedy"]
    finally:
        run("systemctl", "start", *sockets)
    assert call("host_info", {"gather": ["engines"]})["host"]["engines"]["libvirt"]["reachable"] is True


def test_lxc_nspawn_and_qemu(seen, host):
    engines = host["engines"]
    assert engines["lxc"]["version"] == run("lxc-start", "--version")
    assert engines["nspawn"]["version"] == run("systemd-nspawn", "--version").split()[1]
    qemu = re.search(r"version ([\d.]+)", run(f"qemu-system-{run('uname', '-m')}", "--version"))
    assert qemu is not None
    assert engines["qemu"]["version"] == qemu.group(1)
    assert not {"lxc", "nspawn", "qemu"} & set(lacking(seen, "engines"))
    assert engines["nspawn"]["reachable"] is True
    assert engines["lxc"]["reachable"] is engines["qemu"]["reachable"] is None


@pytest.mark.parametrize(("engine", "program"), [("podman", "podman"), ("incus", "incusd")])
def test_engines_that_may_be_there(seen, host, engine, program):
    path = shutil.which(program) or shutil.which(f"/usr/libexec/incus/{program}")
    assert host["engines"][engine]["installed"] is (path is not None)
    if path is None:
        assert lacking(seen, "engines")[engine]["reason"].startswith("it is not installed")
    else:
        assert (engine in lacking(seen, "engines")) is not host["engines"][engine]["reachable"]
