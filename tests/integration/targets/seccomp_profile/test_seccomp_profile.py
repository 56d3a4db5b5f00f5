# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""seccomp_profile: the files, and what engines make of them. A process that is refused a call says so itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

TOP = Path("/etc/strata-test-seccomp")
TEMPLATE = str(Path(__file__).parents[1] / "lxc_container" / "template")
NO_FOLDERS = {"deny": ["mkdir", "mkdirat"]}
REFUSED = "Operation not permitted"


def look(path: str) -> dict | None:
    """The actions for each call, as the JSON has them."""
    if not Path(path).exists():
        return None
    try:
        document = json.loads(Path(path).read_text())
    except ValueError:
        return {"no JSON": Path(path).read_text()}
    seen: dict = {"default": (document["defaultAction"], document.get("defaultErrnoRet"))}
    for entry in document["syscalls"]:
        for name in entry["names"]:
            seen.setdefault(name, []).append(entry["action"])
    return seen


def edit(old: str, new: str):
    def drift(path: str) -> None:
        text = Path(path).read_text()
        assert old in text
        Path(path).write_text(text.replace(old, new, 1))

    return drift


@pytest.fixture(autouse=True, scope="module")
def folder():
    TOP.mkdir()
    yield
    shutil.rmtree(TOP)


ALLOW, ERRNO = ["SCMP_ACT_ALLOW"], ["SCMP_ACT_ERRNO"]


class TestSeccompProfile(Convergence):
    case = Case(
        kind="seccomp_profile",
        info="seccomp_profile_info",
        identity="path",
        name=str(TOP / "web.json"),
        a={"base": "docker-default", "deny": ["keyctl", "add_key", "ptrace"]},
        b={
            "base": "empty",
            "default_action": "EACCES",
            "allow": ["read", "@keyring"],
            "rules": [{"names": ["socket"]}],
        },
        look=look,
        seen_a={"default": ("SCMP_ACT_ERRNO", 38), "keyctl": ERRNO, "ptrace": ERRNO, "read": ALLOW, "write": ALLOW},
        seen_b={"default": ("SCMP_ACT_ERRNO", 13), "keyctl": ALLOW, "ptrace": None, "read": ALLOW, "write": None},
        drifts={
            "a call is allowed": edit('"keyctl",', ""),
            "another default": edit('"defaultErrnoRet": 38', '"defaultErrnoRet": 1'),
            "everything is allowed": edit('"defaultAction": "SCMP_ACT_ERRNO"', '"defaultAction": "SCMP_ACT_ALLOW"'),
            "no JSON any more": edit("{", ""),
            "edited by sed": lambda path: run("sed", "-i", 's/"ptrace"/"read"/', path),
            "removed": lambda path: Path(path).unlink(),
        },
        touches=("core.files.write", "core.files.remove"),
        bad=(("allow", ["nosuchcall"]), ("deny", ["@nosuch"]), ("base", "nosuch"), ("format", "xml"), ("rules", [{}])),
        bad_names=("", "a/b", "/etc/../x"),
    )

    def test_what_is_no_profile_stays(self):
        for state in ("present", "absent"):
            with pytest.raises(Failed, match="something else is there, which is no seccomp profile"):
                call("seccomp_profile", {"path": "/etc/hosts", **self.case.a, "state": state})
        assert "localhost" in Path("/etc/hosts").read_text()

    def test_an_unchanged_run_writes_nothing(self):
        self.apply(self.case.a)
        before = os.stat(self.case.name)
        self.unchanged(self.case.a)
        after = os.stat(self.case.name)
        assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)


def make(path: Path, **options) -> str:
    call("seccomp_profile", {"path": str(path), **options})
    return str(path)


def outcome(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout + done.stderr if done.returncode else "done"


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_container_is_refused(engine):
    profile = make(TOP / f"{engine}.json", base="docker-default", **NO_FOLDERS)
    options = ("--rm", "--network=none", f"--security-opt=seccomp={profile}")
    said = outcome(engine, "run", *options, "busybox:latest", "sh", "-c", "echo it runs; mkdir /tmp/x")
    assert "it runs" in said
    assert REFUSED in said


def test_a_condition_on_an_argument_holds():
    """busybox makes named pipes and devices by the same call: the mode decides, and S_IFMT is 0170000 (inode(7))."""
    rules = [{"names": ["mknod"], "args": ["(arg1 & 0xf000) == 0x1000"]}]
    rules.append({"names": ["mknodat"], "args": ["(arg2 & 0xf000) == 0x1000"]})
    profile = make(TOP / "pipes.json", base="docker-default", rules=rules, default_action="EPERM")
    script = "mkdir /tmp/x && echo folder; mkfifo /tmp/pipe && echo pipe; mknod /tmp/null c 1 3 || echo no device"
    options = ("--rm", "--network=none", f"--security-opt=seccomp={profile}")
    done = run("docker", "run", *options, "busybox:latest", "sh", "-c", script)
    assert done.splitlines() == ["folder", "pipe", "no device"]


def test_a_docker_container_that_carries_a_profile_is_renewed_with_it():
    """Docker keeps the JSON itself, not where it came from."""
    name = "strata-test-seccomp"
    profile = TOP / "carried.json"

    def container(**more):
        options = {
            "image": "busybox:latest",
            "command": ["sleep", "99999"],
            "security_opts": [f"seccomp={profile.read_text()}"],
        }
        return call("docker_container", {"name": name, **options}, **more)

    try:
        make(profile, base="docker-default")
        assert container()["changed"]
        assert container()["changed"] is False
        make(profile, base="docker-default", **NO_FOLDERS)
        assert [change["field"] for change in container(check=True)["changes"]] == ["security_opts"]
        container()
        assert REFUSED in outcome("docker", "exec", name, "mkdir", "/tmp/x")
        assert container()["changed"] is False
    finally:
        run("docker", "rm", "--force", name)


def test_an_lxc_container_is_refused():
    name = "strata-test-seccomp"
    profile = make(TOP / "box.seccomp", base="docker-default", **NO_FOLDERS)
    try:
        call("lxc_container", {"name": name, "template": TEMPLATE, "config": {"lxc.seccomp.profile": profile}})
        pid = run("lxc-info", "-n", name, "-pH")
        assert "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()
        assert "root" in run("lxc-attach", "-n", name, "--", "cat", "/etc/passwd")
        assert REFUSED in outcome("lxc-attach", "-n", name, "--", "mkdir", "/tmp/x")
    finally:
        call("lxc_container", {"name": name, "state": "absent"})


def test_a_service_is_refused():
    """Two units whose drop-ins differ in what they deny; one has a second, of another base."""
    units, made = Path("/run/systemd/system"), Path("/run/strata-test-seccomp")
    made.mkdir()
    names = {"strata-test-may": {}, "strata-test-maynot": NO_FOLDERS}
    unit = "[Service]\nType=oneshot\nExecStart=/usr/bin/busybox mkdir {0}/{1}\nStandardError=file:{0}/{1}.err\n"
    try:
        for name, more in names.items():
            (units / f"{name}.service").write_text(unit.format(made, name))
            make(units / f"{name}.service.d/50-seccomp.conf", base="systemd-service", **more)
        calls = ["personality", "socket"]
        make(units / "strata-test-may.service.d/60-seccomp.conf", base="docker-default", allow=calls)
        run("systemctl", "daemon-reload")
        for name in names:
            run("systemctl", "start", f"{name}.service", check=False)
        assert (made / "strata-test-may").is_dir()
        assert not (made / "strata-test-maynot").exists()
        assert REFUSED in (made / "strata-test-maynot.err").read_text()
        shown = run("systemctl", "show", "--property=SystemCallFilter,SystemCallErrorNumber", "strata-test-may.service")
        words = set(shown.replace("\n", " ").replace("=", " ").split())
        assert {"socket", "clone", "SystemCallErrorNumber", "38"} <= words  # ENOSYS, of the later drop-in
        assert not {"kexec_load", "bpf"} & words
    finally:
        for name in names:
            (units / f"{name}.service").unlink()
            shutil.rmtree(units / f"{name}.service.d")
            run("systemctl", "reset-failed", f"{name}.service", check=False)
        shutil.rmtree(made)
        run("systemctl", "daemon-reload")
