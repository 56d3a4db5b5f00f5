# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""roles/host/files/users.py: what users lack, and who isn't there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

USERS = Path(__file__).resolve().parents[3] / "roles" / "host" / "files" / "users.py"
spec = importlib.util.spec_from_file_location("host_users", USERS)
host_users = importlib.util.module_from_spec(spec)
spec.loader.exec_module(host_users)


def look(users, **defaults):
    return host_users.look({"users": users, "defaults": defaults, "variable": "podman_users"})


@pytest.fixture
def there(monkeypatch):
    """A host on which everybody is, nobody in a group, and nobody lingers; files as they are given."""
    files = {}
    monkeypatch.setattr(
        host_users.pwd, "getpwnam", lambda name: SimpleNamespace(pw_name=name, pw_uid=1001, pw_gid=1001)
    )
    monkeypatch.setattr(host_users, "text", files.get)
    monkeypatch.setattr(host_users.os.path, "exists", lambda path: False)
    return files


@pytest.mark.parametrize(
    ("user", "subuid", "commands"),
    [
        ({"subids": "auto"}, "a:100000:65536", []),
        ({"subids": "auto"}, "1001:100000:65536", []),
        ({}, None, []),
        ({"subids": "auto", "linger": True}, "a:100000:65536", [["loginctl", "enable-linger", "a"]]),
        (
            {"subids": "auto"},
            "root:1879048192:16777216\nx:100000:65536\ny:200000:1000",
            [["usermod", flag, "201000-266535", "a"] for flag in ("--add-subuids", "--add-subgids")],
        ),
        (
            {"subids": "300000:1000"},
            "a:100000:65536",
            [["usermod", flag, "300000-300999", "a"] for flag in ("--add-subuids", "--add-subgids")],
        ),
    ],
)
def test_users_get_what_they_lack(there, user, subuid, commands):
    there.update({"/etc/subuid": subuid, "/etc/subgid": subuid})
    assert look([{"name": "a", **user}]) == {"refused": [], "commands": commands}


@pytest.mark.usefixtures("there")
def test_two_users_get_ranges_of_their_own():
    commands = look(["a", "b"], subids="auto")["commands"]
    assert {(argv[3], argv[2]) for argv in commands} == {("a", "100000-165535"), ("b", "165536-231071")}


@pytest.mark.usefixtures("there")
def test_what_a_user_says_goes_before_what_all_get(monkeypatch):
    commands = look([{"name": "a", "linger": False}, {"name": "b"}], linger=True)["commands"]
    assert commands == [["loginctl", "enable-linger", "b"]]
    monkeypatch.setattr(host_users.os.path, "exists", lambda path: True)
    assert look([{"name": "a", "linger": False}])["commands"] == [["loginctl", "disable-linger", "a"]]


@pytest.mark.usefixtures("there")
def test_groups_are_joined_and_never_left(monkeypatch):
    groups = {"in": SimpleNamespace(gr_mem=["a"], gr_gid=5), "own": SimpleNamespace(gr_mem=[], gr_gid=1001)}
    groups["out"] = SimpleNamespace(gr_mem=["x"], gr_gid=6)
    monkeypatch.setattr(host_users.grp, "getgrnam", groups.__getitem__)
    assert look(["a"], groups=["in", "own"])["commands"] == []
    # One that isn't there yet is made by its package, by then.
    assert look(["a"], groups=["in", "out", "new"])["commands"] == [["usermod", "--append", "--groups", "out,new", "a"]]


def test_who_is_not_there_is_told():
    seen = look(["nobody-there-at-all"], subids="auto")
    assert seen == {"refused": ["podman_users: there is no user nobody-there-at-all"], "commands": []}
