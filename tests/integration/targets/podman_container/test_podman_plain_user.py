# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_container of a plain user without a login session: by root for that user, and by that user."""

from __future__ import annotations

import contextlib
import time
import urllib.request
from pathlib import Path

import pytest

from tests.lab import podman_api
from tests.lab.accounts import account
from tests.lab.driver import Failed, call, call_as, run
from tests.lab.podman_containers import look, make_images

USER = "strata-pods"
EXAMPLE = {
    "name": "web",
    "image": "localhost/web:1.0",
    "user_scope": USER,
    "userns_mode": "keep-id",
    "published_ports": ["8091:8080"],
    "read_only": True,
    "cap_drop": ["ALL"],
    "volumes": ["/srv/www:/srv/www:ro,Z"],
}


@pytest.fixture(scope="module")
def uid():
    """A user who isn't logged in, with an image in their storage."""
    with account(USER) as number:
        run("systemctl", "start", f"user@{number}.service")
        with podman_api.service(USER) as at:
            make_images(at, ("web:1.0",))
        run("systemctl", "stop", f"user@{number}.service")
        yield number


def served() -> str:
    for _try in range(50):
        with contextlib.suppress(OSError), urllib.request.urlopen("http://127.0.0.1:8091/", timeout=5) as page:
            return page.read().decode()
        time.sleep(0.2)
    raise AssertionError("nothing is served")


@pytest.mark.machine  # the network of a plain user takes the host's routes, and a container of the lab's image has none
def test_the_example_runs_as_written(uid):
    linger, runtime = Path(f"/var/lib/systemd/linger/{USER}"), Path(f"/run/user/{uid}")
    forecast = call_as("root", "podman_container", EXAMPLE, check=True)  # in a process of its own, which has an end
    assert not linger.exists(), "check mode touched the host"
    end = time.monotonic() + 20
    while runtime.exists():  # systemd takes it down in its own time
        assert time.monotonic() < end, "check mode left a session"
        time.sleep(0.2)
    done = call("podman_container", EXAMPLE)
    assert forecast["changes"] == done["changes"]
    assert linger.exists()
    assert served() == "hello\n"
    for check in (True, False):
        assert call("podman_container", EXAMPLE, check=check)["changes"] == []
    pid = done["resource"]["facts"]["pid"] or call("podman_container", EXAMPLE)["resource"]["facts"]["pid"]
    status = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split()[0] == str(uid)
    assert status["CapBnd"].strip() == f"{0:016x}"
    own = {key: value for key, value in EXAMPLE.items() if key != "user_scope"}
    assert call_as(USER, "podman_container", own)["changes"] == []
    limited = call_as(USER, "podman_container", {**own, "memory": "64M", "pids_limit": 64})
    assert {change["effect"] for change in limited["changes"]} == {"live"}
    place = Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::").removesuffix("/container")
    group = Path(f"/sys/fs/cgroup{place}")
    assert ((group / "memory.max").read_text().strip(), (group / "pids.max").read_text().strip()) == (
        str(64 << 20),
        "64",
    )
    with podman_api.service(USER) as at:
        assert look("web", at)["ReadonlyRootfs"] is True
    (told,) = call("podman_container_info", {"user_scope": USER})["resources"]
    assert (told["name"], told["options"]["userns_mode"]) == ("web", "keep-id")
    assert call("podman_container", {**told["options"], "user_scope": USER})["changes"] == []
    assert call("podman_container", {**EXAMPLE, "env": {"A": "1"}})["changed"]
    assert served() == "hello\n"
    gone = {"name": "web", "user_scope": USER, "state": "absent"}
    assert call("podman_container", gone)["changed"]
    assert call("podman_container", gone)["changed"] is False


def test_what_stands_in_the_way_is_told(uid):
    subuid = Path("/etc/subuid")
    before = subuid.read_text()
    try:
        subuid.write_text("".join(line for line in before.splitlines(True) if not line.startswith(f"{USER}:")))
        with pytest.raises(Failed, match=rf"{USER} has no range of subordinate IDs.*usermod --add-subuids"):
            call("podman_container", EXAMPLE)
    finally:
        subuid.write_text(before)
    with pytest.raises(Failed, match="user_scope: there is no such user"):
        call("podman_container", {**EXAMPLE, "user_scope": "nobody-there"})
    with pytest.raises(Failed, match="only root can act for another user"):
        call_as("nobody", "podman_container", EXAMPLE)
