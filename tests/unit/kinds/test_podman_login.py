# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_login, over a file as Podman (5.4) keeps it, and a program in the place of Podman that writes it so."""

from __future__ import annotations

import json
import os
import pwd
import sys

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import podman_service
from ansible_collections.strata.virt.plugins.module_utils.engines.podman_credentials import Credentials, registry
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_login import PodmanLogin

REGISTRY = "registry.example.org:5000"
KEPT = {
    "auths": {
        REGISTRY: {"auth": "ZGVwbG95OmNvcnJlY3QgaG9yc2U="},  # deploy:correct horse
        "https://index.docker.io/v1/": {"auth": "b2xkOm9sZA=="},
        "quay.io/team": {"auth": "YTpi"},
    },
}
# Writes as podman login and podman logout do: words that it doesn't know are gone then (containers-auth.json(5)).
PODMAN = """#!{python}
import base64, json, os, sys
options = dict(word[2:].partition("=")[::2] for word in sys.argv[2:-1])
path, name = options["authfile"], sys.argv[-1]
kept = json.load(open(path))["auths"] if os.path.exists(path) else {{}}
kept = {{key: {{"auth": entry["auth"]}} for key, entry in kept.items()}}
if sys.argv[1] == "login":
    password = sys.stdin.read()
    if password == "wrong":
        sys.exit('Error: logging into "%s": invalid username/password' % name)
    kept[name] = {{"auth": base64.b64encode(f"{{options['username']}}:{{password}}".encode()).decode()}}
    with open(os.path.join(os.path.dirname(sys.argv[0]), "asked"), "a") as asked:
        asked.write(" ".join(sys.argv[1:]) + "\\n")
elif kept.pop(name, None) is None:
    sys.exit("Error: not logged into " + name)
os.makedirs(os.path.dirname(path), exist_ok=True)
json.dump({{"auths": kept}}, open(path, "w"))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A home of a user who may run the program."""
    program = tmp_path / "podman"
    program.write_text(PODMAN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    entry = pwd.getpwuid(os.geteuid())
    me = podman_service.Account(entry.pw_name, entry.pw_uid, entry.pw_gid, str(tmp_path))
    monkeypatch.setattr(podman_service, "account", lambda _user: me)
    monkeypatch.setattr(podman_service, "need_runtime", lambda _user: None)
    monkeypatch.setattr(podman_service, "own_folder", lambda _user: str(tmp_path))
    monkeypatch.setattr(podman_service, "_become", lambda _user: [])
    kept = tmp_path / ".config" / "containers" / "auth.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps(KEPT))
    return tmp_path


@pytest.fixture
def desk(folder):
    return Credentials(None, "~/.config/containers/auth.json")


def plan(desk, owner="", **options):
    resource = PodmanLogin({"registry_url": REGISTRY, **options}, owner=owner)
    return resource, resource.plan(read_one(resource, desk))


def apply(desk, owner="", **options) -> None:
    resource, made = plan(desk, owner, **options)
    for step in made.steps:
        resource.perform(desk, step, made)
    assert plan(desk, owner, **options)[1].steps == ()


def auths(desk) -> dict:
    with open(desk.path, encoding="utf-8") as file:
        return json.load(file)["auths"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("registry.example.org:5000", REGISTRY),
        ("https://registry.example.org:5000/v2/", REGISTRY),
        ("index.docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("quay.io/team", "quay.io/team"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_a_registry_has_one_name(given, name):
    assert registry(given) == name


@pytest.mark.parametrize("given", ["", "a b", "-x", "registry.example.org/Team", "registry.example.org/../x"])
def test_what_is_no_registry_is_refused(given):
    with pytest.raises(ValueError, match="is no registry"):
        registry(given)


def test_what_is_kept_is_compared_and_asks_nobody(desk, folder):
    for options in (
        {"username": "deploy", "password": "correct horse"},
        {"username": "deploy"},
        {"registry_url": "docker.io", "username": "old", "password": "old"},
        {"registry_url": "elsewhere.example.org", "state": "absent"},
    ):
        assert not plan(desk, **options)[1]
    assert not (folder / "asked").exists()


def test_new_credentials_are_shown_first_and_kept_where_podman_looks(desk, folder):
    before = auths(desk)
    made = plan(desk, username="ci", password="staple", tls_verify=False, cert_dir="/etc/certs")[1]
    assert [(change.name, change.effect.value) for change in made.changes] == [
        ("username", "live"),
        ("password", "live"),
    ]
    assert auths(desk) == before
    (asked,) = (folder / "asked").read_text().splitlines()
    assert asked.endswith(f"--username=ci --password-stdin --tls-verify=false --cert-dir=/etc/certs {REGISTRY}")
    assert desk.path not in asked
    assert list(folder.glob("strata-login*")) == []
    apply(desk, username="ci", password="staple")
    found = desk.read(REGISTRY)
    assert (found.username, found.password) == ("ci", "staple")
    assert set(auths(desk)) == set(KEPT["auths"])


def test_what_the_registry_refuses_is_not_foretold(desk):
    with pytest.raises(StrataError, match=r"podman failed with status 1: .*invalid username/password"):
        plan(desk, username="ci", password="wrong")


def test_whose_an_entry_is_outlives_what_podman_forgets(desk):
    apply(desk, "site", registry_url="new.example.org", username="a", password="b")
    apply(desk, username="ci", password="staple")
    states = PodmanLogin.read_many(desk, None)
    assert {name: state.owner for name, state in states.items()} == {
        "new.example.org": "site",
        REGISTRY: None,
        "docker.io": None,
        "quay.io/team": None,
    }
    apply(desk, "site", registry_url="new.example.org", state="absent")
    assert desk.read("new.example.org") is None
    with open(f"{desk.path}.strata", encoding="utf-8") as note:
        assert json.load(note) == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"password": "x"}, "username: is needed with password"),
        ({"username": "new"}, "password: is needed to log in"),
    ],
)
def test_half_of_it_is_not_enough(desk, options, said):
    with pytest.raises(StrataError) as refused:
        plan(desk, **options)
    assert said in f"{refused.value.option}: {refused.value.message}"


@pytest.mark.parametrize(("text", "said"), [("{", "is no JSON"), ("[]", "is no file of credentials")])
def test_a_file_that_is_something_else_is_left_alone(desk, text, said):
    with open(desk.path, "w", encoding="utf-8") as file:
        file.write(text)
    with pytest.raises(StrataError, match=said):
        plan(desk, username="a", password="b")


def test_a_helper_is_asked(desk, folder):
    helper = folder / "docker-credential-vault"
    helper.write_text('#!/bin/sh\ncat >/dev/null\necho \'{"Username": "v", "Secret": "s"}\'\n')
    helper.chmod(0o755)
    with open(desk.path, "w", encoding="utf-8") as file:
        json.dump({"auths": {}, "credHelpers": {REGISTRY: "vault"}}, file)
    assert not plan(desk, username="v", password="s")[1]
    assert desk.read(REGISTRY).helper == "vault"
