# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""workload_info, held against each engine's own tools, and against /proc and control groups themselves."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

import pytest

from tests.integration.targets.workload_info.conftest import BY_HAND, LIMITS, OWNER, TOP, USER
from tests.lab import docker_api, podman_api
from tests.lab.driver import call, run

pytestmark = pytest.mark.machine  # control groups of version 2, AppArmor, and Podman, which runs nothing without them

OURS = {
    ("docker", "strata-seen-hard"),
    ("podman", "strata-seen-pod"),
    ("podman", "strata-seen-mine"),
    ("nspawn", "strata-seen"),
    ("lxc", "strata-seen"),
    ("qemu", "strata-seen"),
    ("chroot", str(TOP / "jail")),
    ("namespace", "strata-seen"),
    ("cgroup", "strata-seen"),
}
HELD = ("strata-seen-hard", "strata-seen-pod", "strata-seen-mine", "nspawn/strata-seen", "lxc/strata-seen")
# linux/capability.h, as far as Docker leaves them to a container.
USUAL = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}


@pytest.fixture(scope="module")
def seen(running):
    """What it tells, by engine and name."""
    told = call("workload_info", {}, check=True)
    assert (told["changed"], told["missing"]) == (False, [])
    keys = [(one["engine"], one["name"]) for one in told["workloads"]]
    assert len(keys) == len(set(keys))
    return dict(zip(keys, told["workloads"]))


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _colon, value in (line.partition(":") for line in lines)}


def test_everything_is_found_and_is_whose_it_is(seen):
    by_hand = {("docker", name) for name in BY_HAND} | {("libvirt", "strata-seen-vm")}
    assert {key for key, one in seen.items() if one["owner"] == OWNER} == OURS
    assert {key for key, one in seen.items() if "strata-seen" in key[1]} == OURS | by_hand
    assert all(seen[key]["owner"] is None for key in by_hand)


def test_first_processes_are_those_that_the_engines_tell(seen, running):
    podman = {"strata-seen-pod": podman_api.SOCKET, "strata-seen-mine": running["socket"]}
    told = {
        **{("docker", name): docker_api.container(name)["State"]["Pid"] for name in ("strata-seen-hard", *BY_HAND)},
        **{("podman", name): podman_api.container(name, at)["State"]["Pid"] for name, at in podman.items()},
        ("nspawn", "strata-seen"): run("machinectl", "show", "--property=Leader", "--value", "strata-seen"),
        ("lxc", "strata-seen"): run("lxc-info", "--no-humanize", "--pid", "--name", "strata-seen"),
        ("libvirt", "strata-seen-vm"): Path("/run/libvirt/qemu/strata-seen-vm.pid").read_text(),
        ("qemu", "strata-seen"): Path("/var/lib/strata/qemu/strata-seen/qemu.pid").read_text(),
        ("chroot", str(TOP / "jail")): running["jail"],
        ("namespace", "strata-seen"): running["entered"],
    }
    assert {key: seen[key]["pid"] for key in told} == {key: int(pid) for key, pid in told.items()}
    ids = {name: docker_api.container(name)["Id"] for name in BY_HAND}
    assert {name: seen["docker", name]["id"] for name in BY_HAND} == ids


def test_rights_are_those_of_proc(seen):
    for one in seen.values():
        if one["pid"] is None:
            continue
        now = status(one["pid"])
        sets = {"bounding": "CapBnd", "permitted": "CapPrm", "effective": "CapEff", "ambient": "CapAmb"}
        for name, key in sets.items():
            assert len(one["capabilities"][name]) == bin(int(now[key], 16)).count("1"), (one["name"], name)
        assert one["user"]["uid"] == int(now["Uid"].split()[1])
        assert one["confinement"]["no_new_privileges"] == (now["NoNewPrivs"] == "1")
        mode = {"0": "off", "1": "strict", "2": "filter"}[now["Seccomp"]]
        assert one["confinement"]["seccomp"] == {"mode": mode, "filters": int(now["Seccomp_filters"])}
        label = Path(f"/proc/{one['pid']}/attr/current").read_text().strip("\0\n")
        assert one["confinement"]["lsm"]["label"] == label
        for kind, namespace in one["namespaces"].items():
            ids = [os.stat(f"/proc/{pid}/ns/{kind}").st_ino for pid in (one["pid"], 1)]
            assert namespace == {"id": ids[0], "host": ids[0] == ids[1]}
    header = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD"
    assert int(status(seen["docker", "strata-seen-plain"]["pid"])["CapBnd"], 16) == sum(1 << bit for bit in USUAL)
    assert seen["docker", "strata-seen-plain"]["capabilities"]["bounding"] == [
        *header.split(),
        "AUDIT_WRITE",
        "SETFCAP",
    ]
    assert seen["docker", "strata-seen-open"]["capabilities"]["all"] is True


def test_who_is_root_of_what(seen):
    uid = pwd.getpwnam(USER).pw_uid
    (first,) = [line.split(":")[1] for line in Path("/etc/subuid").read_text().splitlines() if line.startswith(USER)]
    mine = seen["podman", "strata-seen-mine"]["user"]
    assert mine["uid_inside"] == 65534
    assert int(first) <= mine["uid"] < int(first) + 65536
    assert [0, uid, 1] in mine["uid_map"]
    machine = seen["lxc", "strata-seen"]["user"]
    assert (machine["uid_inside"], machine["uid_map"][0][1]) == (0, machine["uid"])
    assert seen["docker", "strata-seen-hard"]["user"]["uid"] == 65534


def test_what_leads_out_is_seen(seen):
    told = {
        name: {row["path"]: row["source"] for row in seen["docker", name]["mounts"]["sensitive"]} for name in BY_HAND
    }
    assert told["strata-seen-plain"] == {}
    assert told["strata-seen-socket"] == {"/docker.sock": "/run/docker.sock"}
    assert told["strata-seen-open"]["/host"] == "/"
    assert any(row["path"] == "/dev/vda" for row in seen["docker", "strata-seen-open"]["devices"])
    assert seen["docker", "strata-seen-plain"]["devices"] == []
    kernel = seen["docker", "strata-seen-open"]["mounts"]["kernel"]
    assert (kernel["proc_sys_read_only"], kernel["sys_read_only"], kernel["masked"]) == (False, False, [])
    kernel = seen["docker", "strata-seen-plain"]["mounts"]["kernel"]
    assert (kernel["proc_sys_read_only"], kernel["sys_read_only"]) == (True, True)
    assert "/proc/kcore" in kernel["masked"]
    assert all(
        seen["docker", name]["mounts"]["root"]["read_only"] == (name.endswith("hard"))
        for name in (*BY_HAND, "strata-seen-hard")
    )


def test_limits_and_usage_are_those_of_the_group(seen):
    held = [one for key, one in seen.items() if key[1] in HELD or "/".join(key) in HELD]
    assert len(held) == len(HELD)
    for one in held:
        group = Path(f"/sys/fs/cgroup{one['cgroup']}")
        assert {name: one["limits"]["held_to"][name] for name in LIMITS} == LIMITS, one["name"]
        assert one["usage"]["processes"] == one["processes"] or one["engine"] == "nspawn"
        assert one["usage"]["pids"]["current"] >= one["processes"]
        assert 0 < one["usage"]["memory"]["current_bytes"] <= 64 << 20
        assert (group / "memory.max").exists()
        assert one["cgroup_shared"] is False
    cgroup = seen["cgroup", "strata-seen"]
    assert (cgroup["limits"]["memory"], cgroup["pid"]) == ("32M", None)
    assert Path(f"/sys/fs/cgroup{cgroup['cgroup']}/memory.max").read_text().strip() == str(32 << 20)
    plain = seen["docker", "strata-seen-plain"]["limits"]
    assert (plain["memory"], plain["cpus"]) == ("max", "max")


def test_only_what_is_asked_for():
    told = call("workload_info", {"engines": ["docker"], "names": ["strata-seen-p*", "nobody"], "facts": ["user"]})
    assert [one["name"] for one in told["workloads"]] == ["strata-seen-plain"]
    assert told["missing"] == ["nobody"]
    assert "user" in told["workloads"][0]
    assert not {"limits", "mounts", "usage"} & set(told["workloads"][0])
    told = call("workload_info", {"owner": OWNER, "engines": ["podman", "cgroup"], "facts": []})
    assert {one["name"] for one in told["workloads"]} == {"strata-seen", "strata-seen-pod", "strata-seen-mine"}


def test_no_daemon_is_started_and_no_program():
    """As strace sees it; names of containers of a Docker that is down come from its files."""
    assert (
        re.search(r"podman\.service", run("systemctl", "list-units", "--state=active", "--plain", "podman.service"))
        is None
    )
