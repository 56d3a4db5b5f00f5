# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""isolation_audit, of what is hardened by this collection and of what is opened by hand."""

from __future__ import annotations

import pytest

from tests.integration.targets.workload_info.conftest import TOP
from tests.lab.driver import Failed, call, run

pytestmark = pytest.mark.machine  # control groups of version 2, AppArmor, and Podman, which runs nothing without them

UNHARDENED = [
    "default_capabilities",
    "no_new_privileges",
    "read_only_root",
    "user",
    "memory",
    "cpus",  # and not processes: systemd limits those of every scope by itself
]


@pytest.fixture(scope="module")
def unmet(running):
    """What isn't met of each, by engine and name."""
    told = call("isolation_audit", {"names": ["strata-seen*", str(TOP / "*")]}, check=True)
    assert (told["changed"], told["passed"], told["unchecked"]) == (False, False, [])
    by = {
        (one["engine"], one["name"]): [row["check"] for row in one["checks"] if not row["met"]]
        for one in told["workloads"]
    }
    assert all(one["remedy"] and one["why"] for one in told["findings"])
    return by


@pytest.mark.parametrize(
    ("engine", "name", "wrong"),
    [
        ("docker", "strata-seen-hard", []),
        ("podman", "strata-seen-pod", []),
        ("podman", "strata-seen-mine", ["lsm"]),  # only root can put a process under a profile of AppArmor
        ("nspawn", "strata-seen", []),
        ("lxc", "strata-seen", []),
        ("docker", "strata-seen-plain", UNHARDENED),
        (
            "docker",
            "strata-seen-open",
            [
                *("privileged", "devices", "mounts", "capabilities", "seccomp", "lsm", "kernel_settings"),
                *UNHARDENED,
            ],
        ),
        ("docker", "strata-seen-socket", ["host_namespaces", "mounts", *UNHARDENED]),
        ("libvirt", "strata-seen-vm", []),
    ],
)
def test_exactly_what_is_wrong_is_found(unmet, engine, name, wrong):
    assert unmet[engine, name] == wrong


def test_a_jail_has_a_root_of_its_own_and_no_more(unmet):
    wrong = unmet["chroot", str(TOP / "jail")]
    assert {"host_namespaces", "capabilities", "seccomp", "lsm", "kernel_settings", *UNHARDENED[:4]} <= set(wrong)
    assert not {"devices", "mounts"} & set(wrong)


def test_a_gate(running):
    hardened = {"engines": ["docker"], "names": ["strata-seen-hard"], "fail_on": "unchecked"}
    assert call("isolation_audit", hardened)["passed"] is True
    plain = {"engines": ["docker"], "names": ["strata-seen-plain"], "fail_on": "unmet"}
    assert call("isolation_audit", {**plain, "profile": "baseline"})["passed"] is True
    with pytest.raises(Failed, match="docker strata-seen-plain: no_new_privileges: no_new_privs is not set"):
        call("isolation_audit", plain)
    excepted = [{"name": "strata-seen-p*", "checks": UNHARDENED, "reason": "It is a test."}]
    told = call("isolation_audit", {**plain, "exceptions": excepted})
    assert (told["passed"], [one["check"] for one in told["excepted"]]) == (True, UNHARDENED)
    with pytest.raises(Failed, match="nothing of the name strata-gone runs here"):
        call("isolation_audit", {"names": ["strata-gone"]})


def test_drift_by_hand_is_seen(running):
    """A limit that is lifted in the control group, and nowhere else."""
    asked = {"engines": ["docker"], "names": ["strata-seen-hard"]}
    number = run("docker", "inspect", "--format={{.Id}}", "strata-seen-hard")
    group = f"/sys/fs/cgroup/system.slice/docker-{number}.scope/memory.max"
    try:
        run("sh", "-c", 'echo max >"$0"', group)
        (finding,) = call("isolation_audit", asked)["findings"]
        assert (finding["check"], finding["module"]) == ("memory", "strata.virt.docker_container")
        assert finding["options"] == ["memory"]
    finally:
        run("sh", "-c", f'echo {64 << 20} >"$0"', group)
    assert call("isolation_audit", asked)["passed"] is True
