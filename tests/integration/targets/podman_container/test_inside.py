# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_container_exec and podman_container_copy, of one container that is looked into by hand."""

from __future__ import annotations

import pytest

from tests.lab import podman_api
from tests.lab.driver import Failed, call, run

NAME, STOPPED = "strata-inside", "strata-inside-stopped"
BUSYBOX = "/bin/busybox"


@pytest.fixture(scope="module", autouse=True)
def _container():
    for name in (NAME, STOPPED):
        podman_api.remove(name)
    run("podman", "run", "--detach", "--network=none", "--name", NAME, "localhost/web:1.0")
    yield
    podman_api.remove(NAME)


def inside(*argv: str) -> str:
    return run("podman", "exec", NAME, BUSYBOX, *argv)


def execute(*argv: str, check: bool = False, **options) -> dict:
    return call("podman_container_exec", {"container": NAME, "argv": [BUSYBOX, *argv], **options}, check=check)


def test_a_program_runs_as_it_was_told():
    script = 'pwd; id -u; echo "$LEVEL"; echo oops >&2; exit 3'
    said = execute("sh", "-c", script, chdir="/srv", user="1000", env={"LEVEL": "a b"})
    assert (said["rc"], said["stdout"], said["stderr"]) == (3, "/srv\n1000\na b", "oops")
    big = "x" * (1 << 20)  # more than any buffer on the way holds, in both directions at once
    said = execute("cat", stdin=big, stdin_add_newline=False)
    assert (said["rc"], said["stdout"] == big) == (0, True)
    assert execute("mkdir", "/made", check=True)["rc"] is None
    assert [execute("mkdir", "/made", creates="/made")["changed"] for _turn in range(2)] == [True, False]
    with pytest.raises(Failed, match="there is no such container"):
        call("podman_container_exec", {"container": "strata-nowhere", "command": "true"})


def copied(**options) -> dict[str, tuple]:
    """Copy, having asked before what would happen; what differed, by field."""
    spec = {"container": NAME, **options}
    forecast = call("podman_container_copy", spec, check=True)
    done = call("podman_container_copy", spec)
    assert (forecast["changes"], forecast["diff"]) == (done["changes"], done["diff"])
    assert call("podman_container_copy", spec)["changed"] is False
    return {one["field"]: (one["before"], one["after"]) for one in done["changes"]}


def test_a_file_is_put_there_as_it_was_told():
    spec = {"container_path": "/srv/greeting", "content": "hello\n", "mode": "0640", "owner_id": 7, "group_id": 8}
    assert set(copied(**spec)) == {"state", "bytes", "sort", "mode", "owner_id", "group_id"}
    assert inside("stat", "-c", "%a %u %g %s", "/srv/greeting") == "640 7 8 6"
    inside("sh", "-c", "echo by hand >/srv/greeting")
    assert copied(**spec)["bytes"] == ("by hand\n", "hello\n")
    assert inside("cat", "/srv/greeting") == "hello"


def test_whose_a_file_is_is_told_and_kept_running_or_not():
    run("podman", "create", "--network=none", "--name", STOPPED, "localhost/web:1.0")
    try:
        for container in (NAME, STOPPED):
            spec = {"container": container, "container_path": "/srv/owned", "content": "1\n", "mode": "0644"}
            copied(**spec, owner_id=7, group_id=8)
            assert copied(**spec, owner_id=9) == {"owner_id": (7, 9)}
            assert set(copied(**{**spec, "content": "2\n"})) == {"bytes"}
        run("podman", "start", STOPPED)
        for container in (NAME, STOPPED):
            assert run("podman", "exec", container, BUSYBOX, "stat", "-c", "%u %g", "/srv/owned") == "9 8"
    finally:
        podman_api.remove(STOPPED)
