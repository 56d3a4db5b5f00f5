# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_compose, looked at through Podman's own API: the course of a project, root's and a plain user's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.lab import podman_api
from tests.lab.accounts import account
from tests.lab.driver import Failed, call, run
from tests.lab.podman_containers import make_images

NAME, USER = "strata-till", "strata-compose"
CONTEXT = Path("/srv/strata-till")
CACHE = {"image": "localhost/web:1.0", "network_mode": "none"}


def definition(level: str) -> dict:
    web = {
        "build": str(CONTEXT),
        "environment": {"LEVEL": level},
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": ["/tmp"],
        "deploy": {"resources": {"limits": {"cpus": "0.5", "memory": "64m"}}},
        "volumes": ["store:/data"],
    }
    return {"services": {"web": web, "cache": CACHE}, "volumes": {"store": {}}}


@pytest.fixture(autouse=True)
def at():
    shutil.rmtree(CONTEXT, ignore_errors=True)  # of a run that was cut short
    CONTEXT.mkdir()
    (CONTEXT / "Dockerfile").write_text("FROM localhost/web:1.0\nCOPY note /srv/www/note\n")
    (CONTEXT / "note").write_text("one\n")
    with podman_api.service() as socket:
        make_images(socket, ("web:1.0",))
        yield socket
        call(
            "podman_compose",
            {"project_name": NAME, "state": "absent", "remove_volumes": True, "remove_images": "local"},
        )
    shutil.rmtree(CONTEXT)


def running(socket: str = podman_api.SOCKET) -> dict[str, bool]:
    names = podman_api.names(NAME, socket)
    return {name.removeprefix(f"{NAME}-"): podman_api.container(name, socket)["State"]["Running"] for name in names}


def foretold(**options) -> list:
    """Apply, having asked before what would happen; then nothing is left to do."""
    spec = {"project_name": NAME, **options}
    before = running()
    forecast = call("podman_compose", spec, check=True)
    assert running() == before, "check mode touched the host"
    done = call("podman_compose", spec)
    assert forecast["changes"] == done["changes"]
    assert call("podman_compose", spec)["changes"] == []
    return [one["field"] for one in done["changes"]]


def test_a_project_from_nothing_to_nothing():
    """Made and not started, so that it goes where Podman runs nothing, too; what runs is the plain user's, below."""
    spec = {"definition": definition("info"), "state": "stopped"}
    assert "state" in foretold(**spec)
    assert running() == {"web-1": False, "cache-1": False}
    web = podman_api.container(f"{NAME}-web-1")
    host = web["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["ReadonlyRootfs"]) == (64 << 20, 500_000_000, True)
    assert (web["EffectiveCaps"] or [], "LEVEL=info" in web["Config"]["Env"]) == ([], True)
    run("podman", "cp", f"{NAME}-web-1:/srv/www/note", str(CONTEXT / "copied"))
    assert (CONTEXT / "copied").read_text() == "one\n"

    podman_api.remove(f"{NAME}-cache-1")
    before = podman_api.container(f"{NAME}-web-1")["Id"]
    assert {field.partition(".")[0] for field in foretold(**spec)} == {"config[cache", "containers[cache]"}
    assert podman_api.container(f"{NAME}-web-1")["Id"] == before, "what didn't change was made anew"
    spec = {"definition": definition("debug"), "scale": {"cache": 2}, "state": "stopped"}
    assert set(foretold(**spec)) == {"config[web.environment.LEVEL]", "containers[cache]"}
    assert running() == {"web-1": False, "cache-1": False, "cache-2": False}
    (told,) = (one for one in call("podman_compose_info", {})["resources"] if one["name"] == NAME)
    assert (told["owner"], told["status"]) == ("", "stopped")

    foretold(state="absent", remove_volumes=True, remove_images="local")
    assert (running(), podman_api.ask(f"/volumes/{NAME}_store/json")) == ({}, None)
    assert podman_api.ask(f"/images/{NAME}-web/json") is None


def test_what_podman_refuses_is_told():
    broken = {"services": {"web": {"image": "localhost/web:1.0", "command": ["/nowhere"], "network_mode": "none"}}}
    with pytest.raises(Failed, match="/nowhere"):
        call("podman_compose", {"project_name": NAME, "definition": broken})
    with pytest.raises(Failed, match="user_scope: there is no such user"):
        call("podman_compose", {"project_name": NAME, "definition": broken, "user_scope": "nobody-there"})


@pytest.mark.machine  # the network of a plain user takes the host's routes, and a container of the lab's image has none
def test_of_a_plain_user_who_is_not_logged_in():
    with account(USER) as uid:
        run("systemctl", "start", f"user@{uid}.service")
        with podman_api.service(USER) as socket:
            make_images(socket, ("web:1.0",))
            spec = {"project_name": NAME, "user_scope": USER, "definition": {"services": {"cache": CACHE}}}
            assert call("podman_compose", spec)["changed"]
            assert call("podman_compose", spec)["changes"] == []
            assert (running(socket), running()) == ({"cache-1": True}, {})
            pid = podman_api.container(f"{NAME}-cache-1", socket)["State"]["Pid"]
            assert Path(f"/proc/{pid}").stat().st_uid >= 1000
            assert [call("podman_compose", {**spec, "state": "absent"})["changed"] for _turn in range(2)] == [
                True,
                False,
            ]
