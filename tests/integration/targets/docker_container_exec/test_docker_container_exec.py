# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_container_exec, docker_container_copy and docker_host_info, of one container that is looked into by hand."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest

from tests.lab import docker_api
from tests.lab.docker_containers import make_images
from tests.lab.driver import Failed, call, run

NAME = "strata-inside"
BUSYBOX = "/bin/busybox"


@pytest.fixture(scope="module", autouse=True)
def _container():
    make_images()
    docker_api.remove(NAME)
    docker_api.ask(f"/containers/create?name={NAME}", "POST", Image="web:1.0", Labels={"strata-test": "inside"})
    docker_api.ask(f"/containers/{NAME}/start", "POST")
    yield
    docker_api.remove(NAME)


def inside(*argv: str) -> str:
    return run("docker", "exec", NAME, BUSYBOX, *argv)


def execute(*argv: str, check: bool = False, **options) -> dict:
    return call("docker_container_exec", {"container": NAME, "argv": [BUSYBOX, *argv], **options}, check=check)


def copied(**options) -> dict[str, tuple]:
    """Copy, having asked before what would happen; what differed, by field."""
    spec = {"container": NAME, **options}
    forecast = call("docker_container_copy", spec, check=True)
    done = call("docker_container_copy", spec)
    assert (forecast["changes"], forecast["diff"]) == (done["changes"], done["diff"])
    return {one["field"]: (one["before"], one["after"]) for one in done["changes"]}


def test_a_program_runs_as_it_was_told():
    script = 'pwd; id -u; echo "$LEVEL"; echo oops >&2; exit 3'
    said = execute("sh", "-c", script, chdir="/srv", user="1000", env={"LEVEL": "a b"})
    assert (said["rc"], said["stdout"], said["stderr"]) == (3, "/srv\n1000\na b", "oops")
    big = "x" * (3 << 20)  # more than any buffer on the way holds, in both directions at once
    said = execute("cat", stdin=big, stdin_add_newline=False)
    assert (said["rc"], said["stdout"]) == (0, big)
    assert execute("wc", "-c", stdin="four")["stdout"].split() == ["5"]
    assert execute("tty", tty=True)["stdout"].startswith("/dev/")
    line = call("docker_container_exec", {"container": NAME, "command": f"{BUSYBOX} printf '%s|' 'a b' '$HOME' ';'"})
    assert line["stdout"] == "a b|$HOME|;|"


def test_it_runs_only_where_something_is_to_be_done():
    made = {"creates": "/srv/made"}
    assert execute("touch", "/srv/made", check=True, **made)["changed"] is True
    assert run("docker", "exec", NAME, BUSYBOX, "ls", "/srv") == "www"
    assert execute("touch", "/srv/made", **made)["changed"] is True
    assert inside("ls", "/srv").split() == ["made", "www"]
    for check in (True, False):
        assert execute("touch", "/srv/other", check=check, **made)["changed"] is False
    assert inside("ls", "/srv").split() == ["made", "www"]
    assert execute("rm", "/srv/made", removes="/srv/made")["changed"] is True
    assert execute("rm", "/srv/made", removes="/srv/made")["changed"] is False
    left = execute("sh", "-c", "sleep 0.2; echo done > /srv/late", detach=True)
    running = docker_api.ask(f"/exec/{left['exec_id']}/json")
    assert (running["ProcessConfig"]["entrypoint"], "rc" in left) == (BUSYBOX, False)


def test_a_file_is_as_it_is_declared(tmp_path):
    spec = {"container_path": "/srv/www/page", "content": "hello\n", "mode": "0640"}
    assert copied(**spec)["bytes"] == (None, "hello\n")
    assert inside("stat", "-c", "%a %u %g %F", "/srv/www/page") == "640 0 0 regular file"
    assert (inside("cat", "/srv/www/page"), copied(**spec)) == ("hello", {})
    inside("sh", "-c", "echo other > /srv/www/page; chown 7:8 /srv/www/page")
    assert copied(**spec) == {"bytes": ("other\n", "hello\n")}
    assert inside("stat", "-c", "%a %u %g", "/srv/www/page") == "640 7 8"
    assert copied(**spec, owner_id=1, group_id=2) == {"owner_id": (7, 1), "group_id": (8, 2)}
    assert copied(**{**spec, "mode": "4755"}) == {"mode": ("0640", "4755")}
    assert inside("stat", "-c", "%a %u %g", "/srv/www/page") == "4755 1 2"
    inside("touch", "-d", "2001-01-01 00:00:00", "/srv/www/page")
    assert copied(**{**spec, "mode": "4755"}) == {}, "the time of a file says nothing"
    assert copied(**{**spec, "mode": "4755", "force": True}) == {"force": (None, True)}
    assert copied(**{**spec, "content": "news", "force": False}) == {}

    data = bytes(range(256)) * 9000
    (tmp_path / "data").write_bytes(data)
    (tmp_path / "data").chmod(0o604)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    binary = {"container_path": "/srv/data", "path": str(tmp_path / "link")}
    assert str(len(data)) in copied(**binary)["bytes"][1]
    assert base64.b64decode(inside("base64", "/srv/data")) == data
    assert (inside("stat", "-c", "%a", "/srv/data"), copied(**binary)) == ("604", {})
    (tmp_path / "data").write_bytes(data[:-1] + b"!")
    assert set(copied(**binary)) == {"bytes"}
    coded = {"content": base64.b64encode(data).decode(), "content_is_b64": True, "mode": "0604"}
    assert set(copied(container_path="/srv/data", **coded)) == {"bytes"}
    alias = {"container_path": "/srv/alias", "path": str(tmp_path / "link"), "local_follow": False}
    assert set(copied(**alias)) == {"state", "sort", "bytes"}
    assert inside("readlink", "/srv/alias") == str(tmp_path / "data")


def test_a_link_in_the_container_never_leads_out_of_it():
    victim = Path("/srv/strata-victim")
    victim.write_text("of the host\n")
    spec = {"content": "inside\n", "mode": "0600"}
    inside("sh", "-c", f"ln -s {victim} /srv/followed; ln -s /srv /dir; ln -s ../../../srv/replaced /srv/www/up")
    assert set(copied(container_path="/srv/followed", follow=True, **spec)) == {"state", "bytes", "sort", "mode"}
    assert (victim.read_text(), inside("cat", str(victim))) == ("of the host\n", "inside")
    assert copied(container_path="/dir/through", **spec)["bytes"] == (None, "inside\n")
    assert inside("cat", "/srv/through") == "inside"
    assert copied(container_path="/srv/www/up", **spec)["sort"] == ("link", "file")
    assert inside("ls", "/srv/www") == "page\nup"
    victim.unlink()


def test_what_a_daemon_says_of_itself():
    ours = {"containers": True, "containers_filters": {"label": "strata-test=inside"}}
    told = call("docker_host_info", {**ours, "images": True})
    assert "web:1.0" in [tag for one in told["images"] for tag in one["RepoTags"] or ()]
    assert [one["Names"] for one in told["containers"]] == [[f"/{NAME}"]]
    assert set(told["containers"][0]) == {"Id", "Image", "Command", "Created", "Status", "Ports", "Names"}
    by_hand = json.loads(run("docker", "info", "--format", "{{json .}}"))
    assert (told["host_info"]["ID"], told["host_info"]["Name"]) == (by_hand["ID"], by_hand["Name"])
    docker_api.ask(f"/containers/{NAME}/stop?t=0", "POST")
    end = time.monotonic() + 30
    while NAME in str(docker_api.ask("/containers/json")):  # the daemon's list of what runs follows in its own time
        assert time.monotonic() < end
        time.sleep(0.1)
    for whole, count in ((False, 0), (True, 1)):
        spec = {"containers": True, "containers_all": whole, "containers_filters": {"name": [NAME]}}
        assert len(call("docker_host_info", spec)["containers"]) == count
    bridges = {"networks": True, "networks_filters": {"driver": "bridge"}}
    more = call("docker_host_info", {**bridges, "volumes": True, "disk_usage": True})
    hand = set(run("docker", "network", "ls", "--filter", "driver=bridge", "--format", "{{.Name}}").split())
    assert {one["Name"] for one in more["networks"]} == hand
    assert more["disk_usage"] == {"LayersSize": docker_api.ask("/system/df")["LayersSize"]}


def test_bad_input_is_refused_and_a_stopped_container_takes_files():
    for options, words in (
        ({"container": "strata-nowhere"}, "there is no such container"),
        ({}, "does not run"),
        ({"command": "true"}, "not both"),
        ({"argv": []}, "names no program"),
    ):
        with pytest.raises(Failed, match=words):
            execute(**{"argv": ["true"], **options}) if "argv" in options else execute("true", **options)
    page = {"container_path": "/srv/www/page", "content": "x", "mode": "0644"}
    for options, words in (
        ({"container": "strata-nowhere"}, "there is no such container"),
        ({"container_path": "/nowhere/page"}, "its folder is not in the container"),
        ({"container_path": "/srv/www"}, "is a folder"),
        ({"container_path": "page"}, "container_path"),
        ({"mode": "rw"}, "mode"),
        ({"path": "/srv/page"}, "not both"),
    ):
        with pytest.raises(Failed, match=words):
            copied(**{**page, **options})
    assert set(copied(**page)) == {"bytes", "mode"}
    docker_api.ask(f"/containers/{NAME}/start", "POST")
    assert inside("cat", "/srv/www/page") == "x"
