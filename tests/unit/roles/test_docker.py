# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""roles/docker/files/look.py: what it would write, what it refuses, and what it takes to bring it in."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest

LOOK = Path(__file__).resolve().parents[3] / "roles" / "docker" / "files" / "look.py"
spec = importlib.util.spec_from_file_location("docker_look", LOOK)
docker_look = importlib.util.module_from_spec(spec)
spec.loader.exec_module(docker_look)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host whose daemon started at 1000, and takes everything."""

    class Daemon:
        there, active, read_at, told, says = True, True, 1000.0, {}, ""
        differing = docker_look.Daemon.differing

        def __init__(self):
            self.info = self.told

        def refusal(self, content):
            json.loads(content)
            return self.says

    monkeypatch.setattr(docker_look, "Daemon", Daemon)
    monkeypatch.setattr(docker_look, "ROOT", str(tmp_path / "docker"))
    monkeypatch.setattr(docker_look, "strangers", lambda users: ([], []))
    return Daemon


@pytest.fixture
def look(tmp_path, host):
    file = tmp_path / "daemon.json"

    def asked(old=None, at=900, **more):
        if old is not None:
            file.write_text(json.dumps(old))
            os.utime(file, (at, at))
        wanted = {"file": str(file), "settings": {}, "config": {}, "users": [], "hide": False, "restart": "if_needed"}
        return docker_look.look({**wanted, **more})

    return asked


def test_where_nothing_is_declared_nothing_is_written(look):
    seen = look()
    assert (seen["write"], seen["action"], seen["refused"]) == (False, "", [])
    seen = look({"debug": True}, settings={"mtu": None})
    assert (seen["write"], seen["action"]) == (False, "")


def test_what_is_there_stays_and_null_takes_away(look):
    seen = look({"a": 1, "mtu": 1, "gone": 2}, settings={"mtu": 1450, "dns": None}, config={"gone": None, "b": 3})
    assert json.loads(seen["content"]) == {"a": 1, "mtu": 1450, "b": 3}
    assert (seen["write"], seen["action"], seen["keys"]) == (True, "restarted", ["b", "gone", "mtu"])


@pytest.mark.parametrize(
    ("old", "settings", "action"),
    [
        ({}, {"live-restore": True}, "reloaded"),
        ({"runtimes": {}}, {"runtimes": {"x": {"path": "/x"}}, "registry-mirrors": []}, "reloaded"),
        ({}, {"live-restore": True, "log-driver": "local"}, "restarted"),
        ({"mtu": 1}, {"mtu": 1}, ""),
    ],
)
def test_it_costs_no_more_than_it_has_to(look, old, settings, action):
    assert look(old, settings=settings)["action"] == action


def test_a_file_that_the_daemon_has_not_read_yet_is_brought_in(look):
    assert look({"mtu": 1}, at=1001)["action"] == "restarted"


def test_what_it_runs_without_is_brought_in(look, host):
    host.told = {"LoggingDriver": "json-file", "LiveRestoreEnabled": False}
    assert look({"log-driver": "local"})["action"] == "restarted"
    assert look({"log-driver": "json-file", "live-restore": True})["action"] == "reloaded"
    host.active = False
    assert look({})["action"] == "restarted"
    host.there = False
    seen = look({}, settings={"mtu": 1})
    assert (seen["write"], seen["action"]) == (True, "")


def test_a_restart_can_be_forbidden(look):
    seen = look({}, settings={"mtu": 1}, restart="never")
    assert (seen["write"], seen["action"], seen["waits"]) == (True, "", True)
    assert look({}, settings={"debug": True}, restart="never")["action"] == "reloaded"


def test_what_would_be_hidden_is_named(look, tmp_path):
    for folder in ("image/overlay2/imagedb/content/sha256/abc", "containers/one", "volumes/two"):
        (tmp_path / "docker" / folder).mkdir(parents=True)
    assert look({}, settings={"storage-driver": "overlay2"})["refused"] == []
    (told,) = look({}, settings={"storage-driver": "vfs"})["refused"]
    assert told.startswith("storage-driver: Docker would not see 1 images of overlay2")
    (told,) = look({}, settings={"data-root": "/srv/docker"})["refused"]
    assert "data-root: Docker would not see 1 containers, 1 images of overlay2, 1 volumes" in told
    (told,) = look({}, settings={"userns-remap": "default"})["refused"]
    assert told.startswith("userns-remap: ")
    assert look({}, settings={"userns-remap": "default"}, hide=True)["refused"] == []
    assert look({}, settings={"data-root": f"{tmp_path}/docker/"})["refused"] == []


def test_what_cannot_be_read_or_is_refused_is_told(look, host, tmp_path):
    host.says = "conflict"
    assert look({}, settings={"mtu": 1})["refused"] == ["dockerd refuses it: conflict"]
    assert look({"mtu": 1}, settings={"mtu": 1})["refused"] == []
    (tmp_path / "daemon.json").write_text("[1]")
    assert "can't be read: it is no object" in look()["refused"][0]
