# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_login, over the file of Docker's command line (26.1), and over a credential helper that is a file, too."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines.docker_credentials import HUB, Credentials
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_login import DockerLogin

REGISTRY = "registry.example.org:5000"
KEPT = {
    "auths": {
        REGISTRY: {"auth": "ZGVwbG95OmNvcnJlY3QgaG9yc2U="},  # deploy:correct horse
        "https://old.example.org/v1/": {"auth": "b2xkOm9sZA==", "email": "old@example.org"},
        HUB: {"auth": "aHViOg==", "identitytoken": "t0ken"},
    },
    "HttpHeaders": {"X": "1"},
}
# What a helper is: docker-credential-helpers, credentials/credentials.go.
HELPER = """#!/bin/sh
kept=$0.kept
cat >/dev/null
case $1 in
get) cat "$kept" 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
store) echo '{"ServerURL": "x", "Username": "deploy", "Secret": "correct horse"}' >"$kept" ;;
erase) rm "$kept" ;;
esac
"""


class Desk(Credentials):
    """Asks no registry, but remembers what would have been asked."""

    def __init__(self, path) -> None:
        super().__init__(str(path))
        self.asked: list[tuple[str, str, str]] = []

    def verify(self, name, username, password):
        self.asked.append((name, username, password))
        if password == "wrong":
            raise StrataError("Docker refused: 401 Unauthorized")


@pytest.fixture
def desk(tmp_path):
    path = tmp_path / "docker" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(KEPT))
    return Desk(path)


def plan(desk, owner="", **options):
    resource = DockerLogin({"registry_url": REGISTRY, **options}, owner=owner)
    return resource, resource.plan(read_one(resource, desk))


def apply(desk, **options) -> None:
    resource, made = plan(desk, **options)
    for step in made.steps:
        resource.perform(desk, step, made)
    assert plan(desk, **options)[1].steps == ()


def file(desk) -> dict:
    return json.loads(open(desk.path, encoding="utf-8").read())


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("registry.example.org:5000", REGISTRY),
        ("https://registry.example.org:5000/v2/", REGISTRY),
        ("docker.io", HUB),
        ("https://index.docker.io/v1/", HUB),
        ("[fd00::1]:5000", "[fd00::1]:5000"),
    ],
)
def test_one_name_for_each_spelling(given, name):
    assert DockerLogin({"registry_url": given}).name == name


@pytest.mark.parametrize("given", ["", "x y", "..", "a/../b", "-x", "https://"])
def test_what_is_no_registry_is_refused(given):
    with pytest.raises(StrataError, match="registry_url: is no registry"):
        DockerLogin({"registry_url": given})


def test_all_spellings_of_the_file_are_read(desk):
    found = DockerLogin.read_many(desk, None)
    assert {name: state.config for name, state in found.items()} == {
        REGISTRY: {"username": "deploy", "password": "correct horse"},
        "old.example.org": {"username": "old", "password": "old"},
        HUB: {"username": "hub", "password": "t0ken"},
    }
    assert DockerLogin.export(REGISTRY, found[REGISTRY]) == {
        "registry_url": REGISTRY,
        "username": "deploy",
        "state": "present",
    }


def test_what_is_as_declared_asks_no_registry(desk):
    assert plan(desk, username="deploy", password="correct horse")[1].steps == ()
    assert plan(desk, username="deploy")[1].steps == ()
    assert desk.asked == []
    assert plan(desk, reauthorize=True)[1].steps == ()
    assert desk.asked == [(REGISTRY, "deploy", "correct horse")]


def test_a_new_password_is_stored_once_the_registry_takes_it(desk):
    with pytest.raises(StrataError, match="401"):
        plan(desk, username="deploy", password="wrong")
    _resource, made = plan(desk, username="deploy", password="battery staple")
    assert [(change.field, change.secret) for change in made.changes] == [("password", True)]
    assert "battery" not in json.dumps(made.diff("x"))
    apply(desk, username="deploy", password="battery staple")
    assert desk.asked[-1] == (REGISTRY, "deploy", "battery staple")
    assert os.stat(desk.path).st_mode & 0o777 == 0o600
    kept = file(desk)
    assert (kept["HttpHeaders"], set(kept["auths"])) == (KEPT["HttpHeaders"], set(KEPT["auths"]))


def test_other_spellings_are_replaced(desk):
    apply(desk, registry_url="old.example.org", username="new", password="new")
    assert set(file(desk)["auths"]) == {REGISTRY, HUB, "old.example.org"}
    apply(desk, registry_url="old.example.org", state="absent")
    assert set(file(desk)["auths"]) == {REGISTRY, HUB}


def test_the_owner_is_noted_in_the_entry(desk):
    resource, made = plan(desk, owner="shop", registry_url="new.example.org", username="a", password="b")
    resource.create(desk, made)
    assert read_one(resource, desk).owner == "shop"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"password": "x"}, "username: is needed with password"),
        ({"registry_url": "new.example.org"}, "username: is needed to log in"),
        ({"username": "other"}, "password: is needed to log in"),
    ],
)
def test_what_is_missing_is_said(desk, options, words):
    with pytest.raises(StrataError, match=words):
        plan(desk, **options)


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": []}'])
def test_a_file_that_is_none_of_dockers_is_left_alone(desk, text):
    with open(desk.path, "w", encoding="utf-8") as broken:
        broken.write(text)
    with pytest.raises(StrataError, match="is no"):
        plan(desk, username="a", password="b")


@pytest.mark.parametrize("choice", [{"credsStore": "sample"}, {"credHelpers": {REGISTRY: "sample"}}])
def test_a_helper_keeps_what_the_file_says_it_keeps(desk, tmp_path, monkeypatch, choice):
    helper = tmp_path / "bin" / "docker-credential-sample"
    helper.parent.mkdir()
    helper.write_text(HELPER)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    with open(desk.path, "w", encoding="utf-8") as config:
        json.dump(choice, config)
    apply(desk, username="deploy", password="correct horse")
    assert file(desk) == {**choice, "auths": {REGISTRY: {"strata.owner": ""}}}
    apply(desk, state="absent")
    assert not helper.with_name("docker-credential-sample.kept").exists()


def test_a_helper_that_is_missing_is_named(desk):
    with open(desk.path, "w", encoding="utf-8") as config:
        json.dump({"credsStore": "nowhere"}, config)
    with pytest.raises(StrataError, match="docker-credential-nowhere is not installed"):
        plan(desk, username="a", password="b")
