# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""apparmor_profile, looked at by aa-status, by the kernel's own files, and by processes under the profile."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

FOLDER = Path("/etc/apparmor.d")
KERNEL = Path("/sys/kernel/security/apparmor")
DATA = Path("/srv/apparmor-test")


def own(name: str) -> dict:
    """Profiles in the kernel have names of their own, which no two files can share."""
    return {"content": A.replace("NAME", name)}


A = f"""\
# made by a test
profile NAME {{
  /usr/bin/busybox mrix,
  {DATA}/open r,
  profile inner {{
    /usr/bin/busybox mr,
  }}
}}
"""
B = A.replace(f"  {DATA}/open r,\n", f"  {DATA}/** rw,\n").replace("inner", "deeper")


def modes() -> dict[str, str]:
    return json.loads(run("aa-status", "--json"))["profiles"]


def loads() -> list[str]:
    """The kernel gives each profile that it loads another number."""
    return sorted(os.listdir(KERNEL / "policy" / "profiles"))


def look(name: str) -> dict | None:
    loaded = {one: mode for one, mode in modes().items() if one == name or one.startswith(f"{name}//")}
    file = FOLDER / name
    if not file.exists() and not loaded:
        return None
    return {
        "loaded": {one.replace(name, "NAME"): mode for one, mode in loaded.items()},
        "text": file.read_text().replace(name, "NAME") if file.exists() else None,
        "links": [folder for folder in ("disable", "force-complain") if (FOLDER / folder / name).is_symlink()],
    }


def parser(text: str, *options: str):
    def drift(name: str) -> None:
        run("apparmor_parser", "--replace", "--skip-cache", *options, stdin=text.replace("NAME", name))

    return drift


@pytest.fixture(autouse=True, scope="module")
def data():
    DATA.mkdir()
    for name in ("open", "closed"):
        (DATA / name).write_text(f"{name}\n")
    yield
    for path in DATA.iterdir():
        path.unlink()
    DATA.rmdir()


def under(profile: str, *argv: str) -> str:
    done = subprocess.run(
        ["aa-exec", "--profile", profile, "--", "/usr/bin/busybox", *argv], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


class TestApparmorProfile(Convergence):
    case = Case(
        kind="apparmor_profile",
        info="apparmor_profile_info",
        a={"mode": "complain"},
        b={"mode": "enforce"},
        look=look,
        own=own,
        seen_a={
            "text": A,
            "loaded": {"NAME": "complain", "NAME//inner": "complain"},
            "links": ["force-complain"],
        },
        seen_b={"text": A, "loaded": {"NAME": "enforce", "NAME//inner": "enforce"}, "links": []},
        drifts={
            "another text": lambda name: (FOLDER / name).write_text(B.replace("NAME", name)),
            "another policy loaded": parser(B, "--Complain"),
            "enforced by hand": parser(A),
            "unloaded": (KERNEL / ".remove").write_text,
            "a profile within unloaded": lambda name: (KERNEL / ".remove").write_text(f"{name}//inner"),
            "kept from loading at boot": lambda name: (FOLDER / "disable" / name).symlink_to(FOLDER / name),
            "the file removed": lambda name: (FOLDER / name).unlink(),
        },
        touches=(
            "engines.apparmor.link",
            "engines.apparmor.unlink",
            "engines.apparmor.load",
            "engines.apparmor.unload",
            "core.files.write",
            "core.files.remove",
        ),
        bad=(("content", "profile {"), ("content", " "), ("src", "/nonexistent"), ("mode", "kill")),
        bad_names=("", "a/../b", "..", "-x", "x y", "abstractions"),
    )

    def test_a_process_under_it_is_refused_what_it_says(self):
        name = self.case.name
        self.apply({"mode": "enforce"})
        assert under(name, "cat", f"{DATA}/open") == "open\n"
        assert "Permission denied" in under(name, "cat", f"{DATA}/closed")
        self.foretold({"content": B.replace("NAME", name)})
        assert under(name, "cat", f"{DATA}/closed") == "closed\n"
        assert look(name)["loaded"] == {"NAME": "enforce", "NAME//deeper": "enforce"}, "the old one within stayed"
        self.foretold({"mode": "complain"})
        assert under(name, "cat", f"{DATA}/closed") == "closed\n"

    def test_a_process_goes_on_under_the_new_rules(self):
        name = self.case.name
        self.apply({"mode": "enforce"})
        script = f"read word; exec /usr/bin/busybox cat {DATA}/closed"
        argv = ["aa-exec", "--profile", name, "--", "/usr/bin/busybox", "sh", "-c", script]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            self.apply({"content": B.replace("NAME", name)})
            assert process.poll() is None
            assert process.communicate("go\n")[0] == "closed\n"

    def test_what_does_not_parse_touches_nothing(self):
        self.apply({"mode": "enforce"})
        before = look(self.case.name), loads()
        broken = A.replace("NAME", self.case.name).replace("mrix,", "mrix")
        for check in (True, False):
            with pytest.raises(Failed, match=r"content: the profile doesn't parse: at line 4: missing an end of line"):
                self.apply({"content": broken}, check=check)
        assert (look(self.case.name), loads()) == before

    def test_an_unchanged_run_starts_no_program_and_loads_nothing(self):
        self.apply(self.case.a)
        loaded = loads()
        before = os.stat(FOLDER / self.case.name)
        parser_program = Path("/usr/sbin/apparmor_parser")
        parser_program.rename("/usr/sbin/apparmor_parser.away")
        try:
            self.unchanged(self.case.a)
        finally:
            Path("/usr/sbin/apparmor_parser.away").rename(parser_program)
        after = os.stat(FOLDER / self.case.name)
        assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)
        assert loads() == loaded

    def test_what_boot_loads_is_what_was_loaded(self):
        """By the program that apparmor.service has, into a kernel that has forgotten it."""
        self.apply(self.case.a)
        (KERNEL / ".remove").write_text(self.case.name)
        run("apparmor_parser", "--replace", "--write-cache", "--", str(FOLDER / self.case.name))
        self.unchanged(self.case.a)

    def test_disabled_stays_out_at_boot(self):
        self.apply(self.case.a)
        self.foretold({**self.case.a, "state": "disabled"})
        self.sees({"text": A, "loaded": {}, "links": ["disable", "force-complain"]})
        self.unchanged({**self.case.a, "state": "disabled"})
        run("apparmor_parser", "--replace", "--", str(FOLDER / self.case.name))
        self.sees({"loaded": {}})
        self.foretold(self.case.a)
        self.sees(self.case.seen_a)

    def test_what_aa_complain_does_is_seen(self):
        enforced = {"mode": "enforce"}
        self.apply(enforced)
        run("aa-complain", str(FOLDER / self.case.name))
        assert self.foretold(enforced)["changed"]
        self.sees(self.case.seen_b)

    def test_a_mode_that_is_no_longer_declared_goes_back(self):
        self.stack(self.case.a)
        self.stack({})
        self.sees(self.case.seen_b)

    def test_a_distributions_own_profile(self):
        name = "lsb_release"
        text = (FOLDER / name).read_text()
        call("apparmor_profile", {"name": name, "mode": "enforce"})  # an example of the documentation has another
        Path(f"/var/lib/strata/apparmor/{name}.json").unlink(missing_ok=True)
        assert call("apparmor_profile", {"name": name, "mode": "enforce"})["changed"] is False
        try:
            call("apparmor_profile", {"name": name, "mode": "complain"})
            assert modes()[name] == "complain"
            with pytest.raises(Failed, match="was not made by this collection"):
                call("apparmor_profile", {"name": name, "state": "absent"})
        finally:
            call("apparmor_profile", {"name": name, "mode": "enforce"})
            Path(f"/var/lib/strata/apparmor/{name}.json").unlink()
        assert modes()[name] == "enforce"
        assert (FOLDER / name).read_text() == text

    def test_what_others_have_loaded_stays(self):
        with pytest.raises(Failed, match="has the profile docker-default, which is loaded"):
            self.apply({"content": "profile docker-default {\n}\n"})
        assert look(self.case.name) is None
        assert modes()["docker-default"] == "enforce"

    def test_a_container_runs_under_it(self):
        name = self.case.name
        rules = "file,\n  network,\n  capability,\n  signal,\n  deny /etc/passwd r,"
        self.apply({"mode": "enforce", "content": f"profile {name} flags=(attach_disconnected) {{\n  {rules}\n}}\n"})
        options = ("--rm", "--network=none", f"--security-opt=apparmor={name}", "busybox:latest")
        done = subprocess.run(
            ["docker", "run", *options, "sh", "-c", "cat /proc/self/attr/current /etc/group /etc/passwd"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"{name} (enforce)" in done.stdout
        assert "root" in done.stdout
        assert "can't open '/etc/passwd': Permission denied" in done.stderr
