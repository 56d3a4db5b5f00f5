# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lxc_container as a plain user runs it, who has no session: only a systemd that lingers."""

from __future__ import annotations

import pwd
import time
from pathlib import Path

import pytest

from tests.lab.accounts import account
from tests.lab.driver import Failed, call_as, run

USER = NAME = "strata-plain"
USERNET = Path("/etc/lxc/lxc-usernet")
SPEC = {
    "name": NAME,
    "template": "busybox",
    "unprivileged": True,
    "memory": "64M",
    "pids_limit": 64,
    "apparmor_profile": "unconfined",
    "networks": [{"type": "veth", "link": "lxcbr0"}],
}


@pytest.fixture(scope="module")
def home():
    before = USERNET.read_text() if USERNET.exists() else ""
    with account(USER) as number:
        folder = Path(pwd.getpwnam(USER).pw_dir)
        USERNET.write_text(f"{before}{USER} veth lxcbr0 2\n")
        run("chmod", "a+x", str(folder))
        run("loginctl", "enable-linger", USER)
        end = time.monotonic() + 60
        while not Path(f"/run/user/{number}/bus").exists():
            assert time.monotonic() < end, "the user's systemd doesn't come up"
            time.sleep(0.2)
        yield folder
        USERNET.write_text(before)


def apply(spec: dict, **how) -> dict:
    return call_as(USER, "lxc_container", spec, **how)


def foretold(spec: dict) -> dict:
    forecast, done = apply(spec, check=True), apply(spec)
    assert (forecast["changes"], forecast["diff"]) == (done["changes"], done["diff"])
    assert apply(spec)["changes"] == []
    return done


def pid(home: Path) -> int:
    session = f"XDG_RUNTIME_DIR=/run/user/{pwd.getpwnam(USER).pw_uid}"
    asking = ("lxc-info", "-n", NAME, "-P", str(home / ".local/share/lxc"), "-pH")
    return int(run("runuser", "-u", USER, "--", "env", session, *asking))


def group(number: int) -> Path:
    return Path("/sys/fs/cgroup" + Path(f"/proc/{number}/cgroup").read_text().strip().removeprefix("0::"))


def test_a_plain_user_has_containers_of_its_own(home):
    foretold(SPEC)
    first = pid(home)
    (mapped,) = Path(f"/proc/{first}/uid_map").read_text().splitlines()
    (ranged,) = [line for line in Path("/etc/subuid").read_text().splitlines() if line.startswith(f"{USER}:")]
    assert mapped.split() == ["0", ranged.split(":")[1], "65536"]
    assert f"user@{pwd.getpwnam(USER).pw_uid}.service" in str(group(first))
    assert (group(first) / "memory.max").read_text().strip() == str(64 << 20)
    assert (group(first) / "pids.max").read_text().strip() == "64"

    changed = foretold({**SPEC, "memory": "96M"})
    assert changed["restart_required"] == []
    assert pid(home) == first
    assert (group(first) / "memory.max").read_text().strip() == str(96 << 20)

    apply({**SPEC, "state": "stopped"})
    assert not Path(f"/proc/{first}").exists()
    foretold({"name": NAME, "state": "absent"})
    assert not (home / ".local/share/lxc" / NAME).exists()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({**SPEC, "unprivileged": False}, "unprivileged: must be true for who is not root"),
        ({**SPEC, "autostart": True}, "autostart: lxc.service starts root's alone"),
    ],
)
def test_what_a_plain_user_cannot_have_is_refused(home, spec, words):
    with pytest.raises(Failed, match=words):
        apply(spec)
    assert not (home / ".local/share/lxc" / NAME).exists()
