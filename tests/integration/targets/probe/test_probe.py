# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""probe: a web server in a container, asked from outside and inside, before it is there, while it is, and after."""

from __future__ import annotations

import pytest

from tests.lab import docker_api
from tests.lab.docker_containers import make_images
from tests.lab.driver import Failed, call, run

NAME, NETNS, SHELLLESS = "strata-probe", "strata-probe", "strata-probe-shell"
BUSYBOX = "/bin/busybox"
GET = ("busybox", "wget", "-q", "-O", "-")
SERVE = "sleep 2; mkdir /page; echo up >/page/health; exec /bin/busybox httpd -f -p 8095 -h /page"


@pytest.fixture(scope="module", autouse=True)
def _container():
    make_images()
    docker_api.remove(NAME)
    docker_api.remove(SHELLLESS)
    run("docker", "run", "--detach", "--name", NAME, "--network", "host", "busybox:latest", "sh", "-c", SERVE)
    run("docker", "run", "--detach", "--name", SHELLLESS, "--network", "none", "web:1.0", BUSYBOX, "sleep", "999")
    run("ip", "netns", "add", NETNS)
    yield
    docker_api.remove(NAME)
    docker_api.remove(SHELLLESS)
    run("ip", "netns", "del", NETNS)


def probe(*probes: dict, **options) -> dict:
    return call("probe", {"probes": list(probes)}, **options)


def refusal(*probes: dict) -> str:
    with pytest.raises(Failed) as caught:
        probe(*({**one, "retries": 0} for one in probes))
    return str(caught.value)


def inside(*argv: str, engine: str = "docker", guest: str = NAME, **options) -> dict:
    return {"command": {"engine": engine, "guest": guest, "argv": list(argv), **options}}


WEB = {"name": "web", "http": {"url": "http://127.0.0.1:8095/health", "body": "^up\n$"}}


def test_it_waits_until_the_server_is_there():
    told = probe({**WEB, "delay": "1s"}, {"tcp": {"port": 8095}, "delay": "1s"})["probes"]
    assert [one["name"] for one in told] == ["web", "127.0.0.1:8095"]
    assert told[0]["tries"] > 1
    assert run(*GET, "http://127.0.0.1:8095/health") == "up"


def test_a_program_runs_in_the_guest():
    probe(inside(BUSYBOX, "cat", "/page/health", stdout="^up$"))
    probe(inside(BUSYBOX, "sh", "-c", "id -u", user="1000", stdout="^1000$"))
    # The way to the server is the host's, which a network namespace doesn't have.
    probe(inside("ip", "-brief", "link", engine="netns", guest=NETNS, stdout=r"^lo +DOWN.*\n$"))
    words = refusal(inside(*GET, "http://127.0.0.1:8095/health", engine="netns", guest=NETNS))
    assert f"in netns {NETNS}: left with status 1: " in words


def test_what_hangs_is_killed_and_everything_wrong_is_told():
    hangs = {"command": {"argv": ["sleep", "4711"]}, "timeout": "1s"}
    missing = {"http": {"url": "http://127.0.0.1:8095/nowhere"}}
    hung, answered, nobody = refusal(hangs, missing, {"tcp": {"port": 8095}}, inside("true", guest="nobody")).split(
        "; "
    )
    assert hung == "sleep 4711: did not finish within 1 seconds"
    assert answered == "http://127.0.0.1:8095/nowhere: answered with status 404, and not 200"
    assert nobody.startswith("true in docker nobody: it can't be entered: ")
    assert "No such container: nobody" in nobody
    assert '"/bin/sh": stat /bin/sh: no such file' in refusal(inside("true", guest=SHELLLESS))
    assert run("pgrep", "--full", "sleep 4711", check=False) == ""


def test_check_mode_touches_nothing():
    assert probe(inside(BUSYBOX, "touch", "/page/touched"), check=True)["probes"] == []
    assert run("docker", "exec", NAME, BUSYBOX, "ls", "/page") == "health"


def test_a_guest_that_stopped():
    run("docker", "kill", NAME)
    words = refusal(inside("true"), WEB)
    assert "it can't be entered: " in words
    assert "is not running" in words
    assert "web: [Errno 111] Connection refused" in words
