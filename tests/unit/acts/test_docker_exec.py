# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_container_exec: what the daemon is told, and what is said of what it answers."""

from __future__ import annotations

import pytest

from ansible_collections.strata.virt.plugins.module_utils.acts import docker_exec
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.field import decode
from ansible_collections.strata.virt.plugins.module_utils.engines.container_files import Ran


class Daemon:
    """One container, that has /made and nothing else."""

    state = {"Running": True, "Paused": False}
    told: tuple | None = None

    def __init__(self, _url):
        Daemon.told = None

    def inspect(self, container):
        return {"State": self.state} if container == "web" else None

    def look(self, _container, path):
        return {"name": "made"} if path == "/made" else None

    def execute(self, *told):
        Daemon.told = told
        return Ran("e1", 3, b"out\r\n\n", b"oops\xff\n")


@pytest.fixture(autouse=True)
def _daemon(monkeypatch):
    monkeypatch.setattr(docker_exec, "DockerInside", Daemon)
    monkeypatch.setattr(Daemon, "state", {"Running": True, "Paused": False})


def run(check=False, **options):
    given = {field.name: field.given for field in docker_exec.FIELDS if field.given is not None}
    spec = decode(docker_exec.FIELDS, {**given, "container": "web", **options})
    return docker_exec.run(spec, check)


def test_what_the_daemon_is_told():
    run(command="sh -c 'a b'", user="1:2", chdir="/srv", env={"A": "x=y"}, stdin="in", tty=True)
    assert Daemon.told == (
        "web",
        {
            "Cmd": ["sh", "-c", "a b"],
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": True,
            "Detach": False,
            "Env": ["A=x=y"],
            "User": "1:2",
            "WorkingDir": "/srv",
        },
        b"in\n",
    )
    run(argv=["true"], detach=True)
    assert (Daemon.told[1]["AttachStdout"], Daemon.told[1]["Detach"], Daemon.told[2]) == (False, True, None)
    run(argv=["cat"], stdin="in", stdin_add_newline=False)
    assert Daemon.told[2] == b"in"


def test_what_is_said_of_it():
    assert run(argv=["x"]) == {"changed": True, "rc": 3, "stdout": "out", "stderr": "oops\ufffd", "exec_id": "e1"}
    assert run(argv=["x"], strip_empty_ends=False)["stdout"] == "out\r\n\n"
    assert run(argv=["x"], detach=True) == {"changed": True, "exec_id": "e1"}


@pytest.mark.parametrize("check", [True, False])
def test_it_has_something_to_do_or_not(check):
    assert run(check, argv=["x"], creates="/made")["changed"] is False
    assert run(check, argv=["x"], removes="/other")["changed"] is False
    assert Daemon.told is None
    assert run(check, argv=["x"], creates="/other", removes="/made")["changed"] is True
    assert (Daemon.told is None) is check


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "argv: is needed"),
        ({"argv": ["a"], "command": "a"}, "not both"),
        ({"argv": []}, "names no program"),
        ({"command": "a 'b"}, "can't be split"),
        ({"argv": ["a"], "stdin": "b", "detach": True}, "can't go with detach"),
        ({"argv": ["a"], "container": "other"}, "no such container"),
        ({"argv": ["a"], "creates": "made"}, "creates: must be an absolute path"),
    ],
)
def test_bad_input_is_refused(options, words):
    with pytest.raises(StrataError, match=words):
        run(**options)


def test_a_container_that_does_not_run_is_refused(monkeypatch):
    for state in ({"Running": False}, {"Running": True, "Paused": True}):
        monkeypatch.setattr(Daemon, "state", state)
        with pytest.raises(StrataError, match="container: does not run"):
            run(True, argv=["a"])
