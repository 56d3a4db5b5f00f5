# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""seccomp_profile: what a declaration comes to, in each of the forms, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.virt.plugins.module_utils.core import files
from ansible_collections.strata.virt.plugins.module_utils.core.converge import carry_out, verify
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import seccomp, seccomp_files
from ansible_collections.strata.virt.plugins.module_utils.engines.seccomp import Argument, Profile, Rule
from ansible_collections.strata.virt.plugins.module_utils.kinds import seccomp_profile
from ansible_collections.strata.virt.plugins.module_utils.kinds.seccomp_profile import SeccompProfile

FIXTURES = Path(__file__).parents[1] / "fixtures" / "seccomp_profile"
GROUPS = seccomp.parse_groups((FIXTURES / "groups.txt").read_text())


class Library:
    """Stands for libseccomp: knows a few calls."""

    known = frozenset(["add_key", "clone", "keyctl", "mkdir", "personality", "ptrace", "read", "socket", "write"])

    @classmethod
    def seccomp_syscall_resolve_name(cls, name: bytes) -> int:
        return 1 if name.decode() in cls.known else -1


@pytest.fixture(autouse=True)
def host(monkeypatch):
    """A host of one architecture and kernel, with the groups and the profile that were recorded."""
    monkeypatch.setattr(seccomp, "_library", Library)
    monkeypatch.setattr(seccomp_profile, "CONTAINERS", str(FIXTURES / "containers.json"))
    monkeypatch.setattr(seccomp.command, "find", lambda program: program)
    made = seccomp.Host()
    made._groups, made.architecture, made.machine, made.kernel = GROUPS, "x86_64", "amd64", (6, 12)
    monkeypatch.setattr(seccomp, "Host", lambda: made)
    return made


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "profiles" / "web.json")


def apply(path, owner="", **options):
    resource = SeccompProfile({"path": path, **options}, owner=owner)
    engine = SeccompProfile.open(resource.spec)
    plan = resource.plan(read_one(resource, engine))
    carry_out(resource, engine, plan)
    verify(resource, engine, read_one(resource, engine))
    return plan


def read(path):
    return seccomp_files.read(Path(path).read_text(), "x86_64")[1].printed()


def test_a_base_and_what_is_taken_off(path):
    assert apply(path, base="docker-default", deny=["keyctl", "ptrace"])
    document = json.loads(Path(path).read_text())
    allowed = {name for entry in document["syscalls"] if entry["action"] == "SCMP_ACT_ALLOW" for name in entry["names"]}
    (refused,) = [entry for entry in document["syscalls"] if "keyctl" in entry["names"]]
    assert not allowed & {"keyctl", "ptrace"}
    assert {"read", "write"} < allowed
    assert refused == {
        "names": ["kexec_load", "keyctl", "ptrace", "swapon"],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": 1,
    }
    assert (document["defaultAction"], document["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 38)
    assert document["architectures"] == ["SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"]
    assert not apply(path, base="docker-default", deny=["keyctl", "ptrace"])


def test_conditions_of_the_base_stay_where_the_engine_knows_them(path):
    apply(path, base="docker-default")
    assert read(path)["bpf"] == "EPERM excludes CAP_SYS_ADMIN; allow includes CAP_SYS_ADMIN"
    assert read(path)["clone"] == "allow if (arg0 & 0x7e020000) == 0x0 excludes CAP_SYS_ADMIN,s390x"
    assert read(path)["process_vm_readv"] == "allow includes linux-4.8"


def test_and_are_decided_for_this_host_where_it_does_not(path):
    path = path.replace(".json", ".seccomp")
    apply(path, base="docker-default")
    lines = Path(path).read_text().splitlines()
    assert lines[:3] == ["2", "allowlist errno 38", "[all]"]
    assert {line for line in lines if line.startswith(("bpf", "setns", "process_vm", "arch_", "s390", "clone"))} == {
        "bpf errno 1",
        "setns errno 1",  # allowed here, and refused there: refused
        "process_vm_readv allow",
        "arch_prctl allow",
        "clone allow [0,0x0,SCMP_CMP_MASKED_EQ,0x7e020000]",
    }
    assert [line for line in lines if line.startswith("socket")] == [
        "socket errno 22 [0,0x10,SCMP_CMP_EQ] [2,0x9,SCMP_CMP_EQ]",
        "socket allow [2,0x9,SCMP_CMP_NE]",
    ]
    assert not apply(path, base="docker-default")


def test_a_drop_in(path):
    path = path.replace(".json", ".conf")
    options = {"base": "systemd-service", "deny": ["@aio", "add_key"], "allow": ["mkdir"], "architectures": ["aarch64"]}
    apply(path, **options)
    assert Path(path).read_text() == (
        "[Service]\nSystemCallFilter=\nSystemCallFilter=keyctl mkdir read request_key riscv_hwprobe write\n"
        "SystemCallErrorNumber=EPERM\nSystemCallArchitectures=arm64\n"
    )
    assert not apply(path, **options)
    apply(path, **options, default_action="kill_process")
    assert "SystemCallErrorNumber=kill\n" in Path(path).read_text()
    apply(path, base="docker-default", allow=["personality", "socket", "clone"])
    text = Path(path).read_text()
    assert "SystemCallFilter=arch_prctl clone keyctl mount personality process_vm_readv ptrace read socket" in text
    assert "SystemCallErrorNumber=ENOSYS\n" in text  # for those, too, that the base refuses by EPERM
    assert "SystemCallArchitectures" not in text


def test_names_are_nearer_than_groups(path):
    apply(path, base="empty", allow=["@keyring", "ptrace"], deny=["@debug", "keyctl"])
    assert read(path) == {"add_key": "allow", "ptrace": "allow", "request_key": "allow"}


def test_rules_replace_what_the_base_says(path):
    rules = [
        {"names": ["socket"], "args": ["arg0 == 1", "arg1==0x2"]},
        {"names": ["socket"], "args": ["arg0 == 2"], "includes": ["cap_net_admin"]},
        {"names": ["read", "write"], "action": "EACCES", "excludes": ["linux-4.8", "amd64"]},
    ]
    apply(path, base="docker-default", rules=rules)
    assert read(path)["socket"] == "allow if arg0 == 0x1 and arg1 == 0x2; allow if arg0 == 0x2 includes CAP_NET_ADMIN"
    assert read(path)["write"] == "EACCES excludes amd64,linux-4.8"
    assert not apply(path, base="docker-default", rules=rules)


@pytest.mark.parametrize("suffix", [".json", ".seccomp", ".conf"])
def test_what_is_there_can_be_exported(path, suffix, monkeypatch):
    path = path.replace(".json", suffix)
    apply(path, base="docker-default", allow=["personality", "socket", "clone"] if suffix == ".conf" else ["mkdir"])
    state = SeccompProfile.read_many(seccomp.Host(), [path])[path]
    exported = SeccompProfile.export(path, state)
    assert not apply(**exported)
    text = Path(path).read_text()
    Path(path).unlink()
    monkeypatch.setattr(Library, "known", frozenset(state.config["syscalls"]))
    assert apply(**exported)
    assert Path(path).read_text() == text


def test_the_same_meaning_in_other_words_is_the_same(path):
    apply(path, base="empty", allow=["read", "write"], default_action="EPERM")
    by_hand = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {"name": "write", "action": "SCMP_ACT_ALLOW", "args": []},
            {"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "comment": "theirs"},
        ],
    }
    Path(path).write_text(json.dumps(by_hand))
    assert not apply(path, base="empty", allow=["read", "write"], default_action="1")


def test_a_path_can_be_a_base(path, tmp_path):
    apply(str(tmp_path / "common.seccomp"), base="empty", allow=["read", "write"])
    apply(path, base=str(tmp_path / "common.seccomp"), deny=["write"], default_action="ENOSYS")
    assert read(path) == {"read": "allow"}


def test_changes_are_told_call_by_call(path):
    apply(path, base="docker-default")
    plan = apply(path, base="docker-default", deny=["keyctl"], allow=["mkdir"])
    assert [(change.name, change.before, change.after) for change in plan.changes] == [
        ("syscalls[keyctl]", "allow", "EPERM"),
        ("syscalls[mkdir]", None, "allow"),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "base: must be given"),
        ({"base": "docker"}, "base: is none of docker-default"),
        ({"base": "/nonexistent.json"}, "base: is not there"),
        ({"base": __file__}, "base: is no seccomp profile: it is no JSON, no LXC policy, and has no SystemCallFilter="),
        ({"base": "empty", "allow": ["raed"]}, r"allow: no library .* \(got 'raed'\). Did you mean read\?"),
        ({"base": "docker-default", "deny": ["wriet"]}, r"deny: .* Did you mean write\?"),
        ({"base": "empty", "allow": ["@nosuch"]}, "allow: systemd of this host has no group @nosuch; it has @aio"),
        ({"base": "empty", "allow": ["read"], "deny": ["read"]}, "deny: is named in allow, too"),
        ({"base": "empty", "deny": ["read"], "rules": [{"names": ["read"]}]}, "rules: is named in deny, too"),
        ({"base": "empty", "default_action": "refuse"}, "default_action: is neither one of allow, kill_process"),
        ({"base": "empty", "architectures": ["amd64"]}, "architectures: has 'amd64': architectures are x86_64"),
        ({"base": "empty", "rules": [{"names": ["read"], "args": ["arg6 == 1"]}]}, "rules.args: has 'arg6 == 1'"),
        ({"base": "empty", "rules": [{"names": ["read"], "args": ["(arg0 & 1) > 1"]}]}, "only be compared by =="),
        ({"base": "empty", "rules": [{"names": ["read"], "args": ["arg0 == 0x1ffffffffffffffff"]}]}, "64 bits"),
        ({"base": "empty", "rules": [{"names": ["read"], "args": ["arg0 > 1", "arg0 < 9"]}]}, "an argument twice"),
        ({"base": "empty", "rules": [{"names": ["read"], "includes": ["SYS_ADMIN"]}]}, "rules.includes: has"),
        ({"base": "empty", "rules": [{"names": ["raed"]}]}, "rules: no library of this host"),
        ({"base": "empty", "format": "lxc", "rules": [{"names": ["read"], "includes": ["amd64"]}]}, "no includes"),
        ({"base": "empty", "format": "lxc", "architectures": ["x86"]}, "architectures: LXC filters all"),
        ({"base": "empty", "format": "lxc", "default_action": "log"}, "LXC has no action log"),
        ({"base": "empty", "format": "systemd", "default_action": "trap"}, "systemd can't trap calls"),
        (
            {"base": "docker-default", "format": "systemd"},
            "conditions on arguments, as there are for clone",
        ),
        (
            {"base": "empty", "format": "systemd", "rules": [{"names": ["read"], "action": "log"}]},
            "systemd refuses all calls alike",
        ),
    ],
)
def test_what_can_not_be_is_refused(path, options, words):
    with pytest.raises(StrataError, match=words):
        apply(path, **options)
    assert not Path(path).exists()


def test_a_host_without_the_base_says_which_package_has_it(path, monkeypatch):
    monkeypatch.setattr(seccomp_profile, "CONTAINERS", "/nonexistent")
    with pytest.raises(StrataError, match=r"base: this host has no /nonexistent.*golang-github-containers-common"):
        apply(path, base="docker-default")


def test_a_base_that_the_same_stack_makes_is_refused(path, host):
    resource = SeccompProfile({"path": path, "base": "/etc/base.json"})
    resource.promised = frozenset({("path", "/etc/base.json")})
    with pytest.raises(StrataError, match="base: is made by the same stack"):
        read_one(resource, host)


@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_is_no_profile_stays(path, tmp_path, state):
    Path(path).parent.mkdir()
    Path(path).write_text("127.0.0.1 localhost\n")
    for there in (path, str(tmp_path)):
        with pytest.raises(StrataError, match="path: something else is there, which is no seccomp profile"):
            apply(there, state=state, **({"base": "empty"} if state == "present" else {}))
    assert Path(path).read_text() == "127.0.0.1 localhost\n"


def test_what_was_made_here_and_is_broken_is_made_anew(path, monkeypatch):
    apply(path, owner="web", base="empty", allow=["read"])
    Path(path).write_text("{")
    monkeypatch.setattr(files, "owner", lambda path: "web")
    plan = apply(path, owner="web", base="empty", allow=["read"])
    assert plan.steps == ("update",)
    assert read(path) == {"read": "allow"}


def test_absent_twice(path):
    apply(path, base="empty", allow=["read"])
    assert apply(path, state="absent")
    assert not Path(path).exists()
    assert not apply(path, state="absent")


def test_groups_hold_groups(host):
    assert GROUPS["@keyring"] == ("add_key", "keyctl", "request_key")
    assert host.group("@system-service") == {*GROUPS["@aio"], *GROUPS["@keyring"], "read", "riscv_hwprobe", "write"}
    assert "arc_gettls" not in {word for words in GROUPS.values() for word in words}


ARGUMENTS = st.builds(
    Argument,
    st.integers(0, 5),
    st.sampled_from(["==", "!=", "<=", ">=", "<", ">"]),
    st.integers(0, 2**64 - 1),
) | st.builds(Argument, st.integers(0, 5), st.just("=="), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
ACTIONS = st.sampled_from(["allow", "EACCES", "ENOSYS", "kill_thread", "trap", "133"])
CONDITIONS = st.sets(st.sampled_from(["CAP_SYS_ADMIN", "amd64", "linux-4.8"])).map(tuple)
RULES = st.builds(Rule, ACTIONS, st.sets(ARGUMENTS, max_size=2).map(tuple), CONDITIONS, CONDITIONS)
PROFILES = st.builds(
    Profile,
    st.sampled_from(["EPERM", "kill_process"]),
    st.dictionaries(st.sampled_from(["read", "write", "_llseek"]), st.lists(RULES, min_size=1, max_size=3).map(tuple)),
    st.sampled_from([(), ("x86", "x86_64")]),
)


@given(RULES)
def test_rules_are_printed_and_read(rule):
    assert str(Rule.parse(str(rule))) == str(rule)


@given(PROFILES)
def test_json_says_all(profile):
    read = seccomp_files.read_json(seccomp_files.write_json(profile.normal()), "x86_64")
    assert (read.default, read.architectures, read.printed()) == (
        profile.default,
        profile.architectures,
        profile.normal().printed(),
    )


@given(PROFILES)
def test_lxc_says_all_but_conditions(profile):
    settled = Profile("EPERM", profile.settled("amd64", (6, 12)).rules).normal()
    read = seccomp_files.read_lxc(seccomp_files.write_lxc(settled), "x86_64")
    assert (read.default, read.printed()) == ("EPERM", settled.printed())
