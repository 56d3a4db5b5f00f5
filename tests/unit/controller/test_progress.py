# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of modules that take long, with a host that answers from a script."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase

from ansible_collections.strata.virt.plugins.action.qemu_image import ActionModule as QemuImage
from ansible_collections.strata.virt.plugins.plugin_utils import progress
from ansible_collections.strata.virt.plugins.plugin_utils.progress import LongAction

BEGUN = json.dumps({"started": 1, "finished": 0, "ansible_job_id": "j1.2"})
DONE = json.dumps({"changed": True, "diff": {}})


class Host:
    """A host, and what the file of a background job and the line of its module say, look after look."""

    def __init__(self, *looks: tuple[str, str]) -> None:
        self.looks = list(looks)
        self.commands: list[str] = []
        self.modules: list[tuple] = []


def action(host: Host, cls=LongAction, **task) -> LongAction:
    made = cls.__new__(cls)
    made._task = SimpleNamespace(async_val=0, check_mode=False, environment=None, args={})
    vars(made._task).update(task)

    def shell(words):
        host.commands.append(words)
        if words.startswith("rm"):
            return {"stdout": ""}
        job, line = host.looks.pop(0)
        return {"stdout": f"{job}\n{progress._MARK}\n{line}\n"}

    def module(name=None, args=None, *, task_vars=None, wrap_async=False):
        host.modules.append((name, wrap_async, made._task.async_val, made._task.environment))
        if name == "ansible.legacy.async_status":
            return {"changed": True, "ansible_job_id": "j1.2", "finished": True, "started": True}
        if wrap_async:
            return {"ansible_job_id": "j1.2", "results_file": "/root/.ansible_async/j1.2", "started": 1}
        return {"changed": True, "plain": True}

    made._low_level_execute_command = shell
    made._execute_module = module
    made._remote_expand_user = lambda path: path.replace("~", "/root")
    made.get_shell_option = lambda option, default=None: default
    return made


@pytest.fixture
def shown(monkeypatch):
    lines: list[str] = []
    clock = [100.0]

    def sleep(seconds):
        clock[0] += seconds

    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(progress.display, "display", lines.append)
    monkeypatch.setattr(progress, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0]))
    return lines


def test_lines_are_shown_once_and_not_too_often(shown):
    looks = [("", ""), (BEGUN, "")] + [(BEGUN, line) for line in "aaabcccccccccc"] + [(DONE, "d")]
    looks[0] = (BEGUN, "")
    host = Host(*looks)
    result = action(host).run(task_vars={"inventory_hostname": "web"})
    assert result == {"changed": True}
    assert shown == ["[web] a", "[web] c"], "b came and went within the pause"


def test_what_the_job_left_is_taken_away(shown):
    host = Host((DONE, ""))
    made = action(host, environment=[{"LANG": "C"}])
    made.run(task_vars={})
    (_name, wrapped, limit, environment) = host.modules[0]
    assert (wrapped, limit) == (True, progress.LONGEST)
    assert environment[0] == {"LANG": "C"}
    line = environment[1][progress.VARIABLE]
    assert line.startswith("/root/.ansible_async/strata-")
    assert host.commands[-1] == f"rm -f /root/.ansible_async/j1.2 {line}"
    assert (made._task.async_val, made._task.environment) == (0, [{"LANG": "C"}])


@pytest.mark.parametrize("task", [{"check_mode": True}, {"async_val": 60}])
def test_check_mode_and_async_tasks_run_as_ever(shown, task):
    host = Host()
    action(host, **task).run(task_vars={})
    assert host.modules == [(None, task.get("async_val", 0), task.get("async_val", 0), None)]
    assert host.commands == []


def test_a_job_that_did_not_begin_is_the_result(shown, monkeypatch):
    made = action(Host())
    made._execute_module = lambda **_options: {"failed": True, "msg": "no interpreter"}
    assert made.run(task_vars={}) == {"failed": True, "msg": "no interpreter"}


def test_a_job_that_is_gone_is_left_to_async_status(shown):
    host = Host((BEGUN, "a"), ("", ""))
    action(host).run(task_vars={})
    assert host.modules[-1][0] == "ansible.legacy.async_status"


@pytest.mark.parametrize(("args", "watched"), [({}, False), ({"convert_from": "/disk"}, True)])
def test_of_images_only_copies_take_long(shown, args, watched):
    host = Host((DONE, ""))
    action(host, QemuImage, args=args).run(task_vars={})
    assert bool(host.commands) is watched
