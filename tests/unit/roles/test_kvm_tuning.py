# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""roles/kvm_tuning/files/look.py, on a tree of files that stands for a host."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

LOOK = Path(__file__).resolve().parents[3] / "roles" / "kvm_tuning" / "files" / "look.py"
spec = importlib.util.spec_from_file_location("kvm_tuning_look", LOOK)
kvm_look = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kvm_look)

THP = "/sys/kernel/mm/transparent_hugepage/enabled"
GOVERNOR = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor"
HOST = {
    THP: "[always] madvise never",
    "/sys/kernel/mm/ksm/run": "0",
    "/proc/sys/vm/swappiness": "60",
    "/proc/cmdline": "root=/dev/vda isolcpus=managed_irq,domain,2-3 nohz_full=2,3",
    "/sys/module/kvm_intel/parameters/nested": "N",
    GOVERNOR.format(0): "schedutil",
    GOVERNOR.format(1): "performance",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors": "performance schedutil",
}


@pytest.fixture
def put(tmp_path, monkeypatch):
    monkeypatch.setattr(kvm_look, "ROOT", str(tmp_path))

    def write(path, content):
        place = tmp_path / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content + "\n")

    for path, content in HOST.items():
        write(path, content)
    return write


def look(**more):
    files = {name: f"/etc/{name}" for name in ("tmpfiles", "sysctl", "modprobe")}
    nothing = {"values": {}, "governor": "", "sysctls": {}, "nested": None, "isolated": ""}
    return kvm_look.look({"files": files, **nothing, **more})


@pytest.mark.usefixtures("put")
def test_where_nothing_is_declared_there_is_nothing_to_do():
    assert look(values={THP: None}) == {"refused": [], "files": [], "values": [], "sysctls": [], "told": []}


def test_what_differs_is_set_and_kept(put):
    wanted = {
        "values": {THP: "madvise", "/sys/kernel/mm/ksm/run": 0},
        "governor": "performance",
        "sysctls": {"vm.swappiness": 10},
        "nested": False,
    }
    seen = look(**wanted)
    assert (seen["values"], seen["sysctls"]) == ([THP, GOVERNOR.format(0)], ["vm.swappiness"])
    contents = {file["path"]: file["content"] for file in seen["files"]}
    assert contents["/etc/tmpfiles"].splitlines()[1:] == [
        f"w {THP} - - - - madvise",
        "w /sys/kernel/mm/ksm/run - - - - 0",
        f"w {GOVERNOR.format('*')} - - - - performance",
    ]
    assert "vm.swappiness = 10\n" in contents["/etc/sysctl"]
    assert "options kvm_intel nested=0\n" in contents["/etc/modprobe"]
    for path, content in contents.items():
        put(path, content.rstrip("\n"))
    put(THP, "always [madvise] never")
    put(GOVERNOR.format(0), "performance")
    put("/proc/sys/vm/swappiness", "10")
    assert look(**wanted) == {"refused": [], "files": [], "values": [], "sysctls": [], "told": []}


@pytest.mark.usefixtures("put")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"values": {"/sys/kernel/mm/none": 1}}, "no /sys/kernel/mm/none"),
        ({"sysctls": {"vm.nonsense": 1}}, "no vm.nonsense"),
        ({"governor": "userspace"}, "no userspace; they have performance, schedutil"),
    ],
)
def test_what_the_host_does_not_have_is_refused(options, words):
    assert words in look(**options)["refused"][0]


@pytest.mark.usefixtures("put")
def test_what_waits_for_a_boot_is_told():
    (told,) = look(isolated="2-3")["told"]
    assert "have rcu_nocbs=2-3 among" in told
    (told,) = look(isolated="1,3")["told"]
    assert "isolcpus=managed_irq,domain,1,3 nohz_full=1,3 rcu_nocbs=1,3" in told
    (told,) = look(nested=True)["told"]
    assert told.startswith("kvm_intel was loaded otherwise")
