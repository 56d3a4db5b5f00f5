# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardening checklist: each check met and unmet, what mends it, exceptions, and when the task fails."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.strata.virt.plugins.module_utils.acts import isolation_audit
from ansible_collections.strata.virt.plugins.module_utils.core import audit, hardening
from ansible_collections.strata.virt.plugins.module_utils.core.field import decode
from ansible_collections.strata.virt.plugins.module_utils.kinds import docker_container, lxc_container, nspawn_container
from ansible_collections.strata.virt.plugins.module_utils.troubles import isolation_checks as checks

ALL = ["CHOWN", "NET_RAW", "SYS_ADMIN", "SYS_MODULE"]
WHOLE = [[0, 0, 4294967295]]
HARD = {
    "engine": "docker",
    "name": "web",
    "id": "4f1d5e",
    "owner": "demo",
    "pid": 4711,
    "cgroup": "/system.slice/docker-4f1d5e.scope",
    "user": {"uid": 65534, "uid_inside": 65534, "uid_map": WHOLE},
    "namespaces": {
        **{kind: {"id": 2, "host": False} for kind in ("pid", "net", "ipc", "uts", "mnt", "cgroup")},
        "user": {"id": 1, "host": True},
    },
    "capabilities": {"bounding": [], "permitted": [], "all": False},
    "confinement": {
        "no_new_privileges": True,
        "seccomp": {"mode": "filter", "filters": 1},
        "lsm": {
            "module": "apparmor",
            "label": "docker-default (enforce)",
            "profile": "docker-default",
            "mode": "enforce",
        },
    },
    "mounts": {
        "root": {"read_only": True, "type": "overlay", "source": "overlay"},
        "sensitive": [],
        "kernel": {"proc_sys_read_only": True, "sys_read_only": True, "masked": ["/proc/kcore"], "writable": []},
    },
    "devices": [],
    "limits": {"held_to": {"memory": "64M", "cpus": 0.5, "pids_limit": 32}},
}
FREE = {"module": "apparmor", "label": "unconfined", "profile": "unconfined", "mode": "unconfined"}
SOCKET = {
    "path": "/docker.sock",
    "source": "/run/docker.sock",
    "read_only": True,
    "why": "/run/docker.sock holds /run/docker.sock, by which anything can be started on the host",
}
IN_USER_NAMESPACE = {
    "user.uid": 100000,
    "user.uid_inside": 0,
    "user.uid_map": [[0, 100000, 65536]],
    "namespaces.user": {"id": 3, "host": False},
}


def but(**changes) -> dict:
    """The hardened container but for some facts, by their path."""
    facts = copy.deepcopy(HARD)
    for path, value in changes.items():
        *above, last = path.split(".")
        place = facts
        for part in above:
            place = place[part]
        place[last] = value
    return facts


def judged(facts: dict, **options) -> dict:
    spec = {field.name: field.given for field in isolation_audit.FIELDS if field.given is not None}
    return isolation_audit.judged([facts], {**spec, **decode(isolation_audit.FIELDS, options)})


def unmet(facts: dict, **options) -> list[str]:
    return [one["check"] for one in judged(facts, **options)["findings"]]


def test_what_is_hardened_passes():
    told = judged(HARD, fail_on="unchecked")
    assert (told["passed"], told["findings"], told["unchecked"]) == (True, [], [])
    (one,) = told["workloads"]
    assert [row["check"] for row in one["checks"]] == [measure.name for measure in checks.MEASURES]
    assert all(row["met"] and row["remedy"] is None for row in one["checks"])
    assert "failed" not in told


@pytest.mark.parametrize(
    ("changes", "wrong", "found"),
    [
        ({"namespaces.net": {"id": 1, "host": True}}, "host_namespaces", "the kinds net"),
        ({"devices": [{"path": "/dev/sda"}]}, "devices", "/dev/sda"),
        ({"mounts.sensitive": [SOCKET]}, "mounts", "At /docker.sock: /run/docker.sock holds"),
        ({"confinement.seccomp": {"mode": "off", "filters": 0}}, "seccomp", "not filtered"),
        ({"confinement.lsm": FREE}, "lsm", "it is unconfined"),
        ({"mounts.kernel.sys_read_only": False}, "kernel_settings", "/sys"),
        ({"mounts.kernel.writable": ["/sys/kernel/debug"]}, "kernel_settings", "/sys/kernel/debug"),
        ({"capabilities.bounding": ["CHOWN"]}, "default_capabilities", "CHOWN"),
        ({"confinement.no_new_privileges": False}, "no_new_privileges", "not set"),
        ({"mounts.root.read_only": False}, "read_only_root", "for writing"),
        ({"user.uid_inside": 0, "user.uid": 0}, "user", "root of the host"),
        ({"limits.held_to.memory": "max"}, "memory", "Nothing limits"),
        ({"limits.held_to.cpus": "max"}, "cpus", "cpu time"),
        ({"limits.held_to.pids_limit": "max"}, "pids_limit", "number of processes"),
    ],
)
def test_each_check_sees_what_it_is_there_for(changes, wrong, found):
    (one,) = judged(but(**changes))["findings"]
    assert one["check"] == wrong
    assert found in one["found"]
    assert one["why"].endswith(".")
    assert one["module"] == "strata.virt.docker_container"
    assert one["options"]


def test_a_privileged_container():
    facts = but(
        **{
            "capabilities": {"bounding": ALL, "permitted": ALL, "all": True},
            "confinement.seccomp": {"mode": "off", "filters": 0},
            "confinement.lsm": FREE,
            "mounts.kernel.proc_sys_read_only": False,
        }
    )
    assert unmet(facts, profile="baseline") == ["privileged", "capabilities", "seccomp", "lsm", "kernel_settings"]
    assert "default_capabilities" in unmet(facts)


def test_capabilities_lead_nowhere_from_a_user_namespace():
    facts = but(**{"capabilities.bounding": ALL, **IN_USER_NAMESPACE, "mounts.kernel.sys_read_only": False})
    assert unmet(facts, profile="baseline") == []
    # One that maps root to root is none that holds anything.
    facts["user"]["uid_map"] = WHOLE
    assert unmet(facts, profile="baseline") == ["capabilities", "kernel_settings"]


def test_capabilities_that_are_allowed():
    assert unmet(but(**{"capabilities.bounding": ["NET_BIND_SERVICE"]})) == []
    facts = but(**{"capabilities.bounding": ["CHOWN"]})
    assert unmet(facts, capabilities=["CAP_CHOWN"]) == []


def test_a_whole_system_keeps_what_namespaces_bound():
    usual = {"engine": "nspawn", "capabilities.bounding": ["CHOWN", "SYS_ADMIN"], "user.uid_inside": 0}
    assert "capabilities" not in unmet(but(**usual))
    assert "capabilities" in unmet(but(**{**usual, "capabilities.bounding": ["SYS_MODULE"]}))
    assert "lsm" not in [row["check"] for row in judged(but(**usual))["workloads"][0]["checks"]]


def test_a_virtual_machine_is_the_process_of_qemu():
    facts = {**but(**{"confinement.lsm": FREE}), "engine": "libvirt"}
    (one,) = judged(facts)["workloads"]
    assert [row["check"] for row in one["checks"]] == ["capabilities", "seccomp", "lsm", "user"]
    (finding,) = judged(facts)["findings"]
    assert "/etc/libvirt/qemu.conf" in finding["remedy"]


def test_what_could_not_be_seen_is_no_pass():
    facts = {**HARD, "limits": None}
    told = judged(facts, fail_on="unmet")
    assert (told["passed"], told["findings"]) == (False, [])
    assert [one["check"] for one in told["unchecked"]] == ["memory", "cpus", "pids_limit"]
    assert "failed" not in told
    assert judged(facts, fail_on="unchecked")["failed"] is True
    no_lsm = but(**{"confinement.lsm": {**FREE, "module": None, "label": None}})
    assert [one["check"] for one in judged(no_lsm)["unchecked"]] == ["lsm"]


def test_exceptions_are_told_of_and_must_be_of_use():
    facts = but(**{"limits.held_to.memory": "max", "mounts.root.read_only": False})
    fits = {"name": "w*", "checks": ["memory"], "reason": "It is a cache."}
    told = judged(facts, exceptions=[fits, {"name": "other"}, {"name": "web", "engine": "lxc"}], fail_on="unmet")
    assert [one["check"] for one in told["findings"]] == ["read_only_root"]
    assert [one["check"] for one in told["excepted"]] == ["memory"]
    assert [one["name"] for one in told["unused_exceptions"]] == ["other", "web"]
    assert told["failed"] is True
    assert "docker web: read_only_root: Its root (overlay) is mounted for writing." in told["msg"]
    whole = judged(facts, exceptions=[{"name": "web"}], fail_on="unchecked")
    assert (whole["passed"], whole.get("failed")) == (True, None)


@pytest.mark.parametrize("engine", checks.ENGINES)
@pytest.mark.parametrize("measure", checks.MEASURES, ids=lambda measure: measure.name)
def test_there_is_a_remedy_for_each_check_of_each_engine(engine, measure):
    if engine not in measure.engines:
        return
    told = checks.remedy({**HARD, "engine": engine}, measure.name)
    assert told["remedy"].endswith(".")
    kinds = {
        "docker_container": docker_container.DockerContainer,
        "lxc_container": lxc_container.LxcContainer,
        "nspawn_container": nspawn_container.NspawnContainer,
    }
    kind = kinds.get((told["module"] or "").rpartition(".")[2])
    if kind is not None:
        assert told["options"], "the profile has no option for what is measured"
        assert set(told["options"]) <= {field.name for field in kind.fields}


def test_every_rule_of_the_profiles_is_measured():
    # What a program can write to where its root is read-only isn't a matter of isolation.
    assert {rule.aspect for rule in hardening.RULES} - {measure.aspect for measure in checks.MEASURES} == {"scratch"}


def test_facts_that_are_missing_are_told_by_name():
    (row,) = audit.held(checks.MEASURES[:1], "baseline", {**HARD, "user": None, "allowed": []})
    assert row["found"] == "Its user could not be read."
