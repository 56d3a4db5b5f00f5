# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_login, looked at through the file of Docker's command line, which logs in and out, pushes and pulls."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run
from tests.lab.registry import DEPLOY_AND_CI, Registry

FOLDER = Path("/var/tmp/strata-login")
PORT = 5018


@pytest.fixture(scope="module", autouse=True)
def registry():
    """One of the test's own, on every address of the loopback: there the daemon needs no TLS."""
    shutil.rmtree(FOLDER, ignore_errors=True)  # of a run that was cut short
    FOLDER.mkdir()
    with Registry(FOLDER, f":{PORT}", DEPLOY_AND_CI) as found:
        yield found
    shutil.rmtree(FOLDER)


def docker(*argv: str, **how) -> str:
    return run("docker", "--config", str(FOLDER), *argv, **how)


def look(name: str) -> dict | None:
    file = FOLDER / "config.json"
    entry = json.loads(file.read_text()).get("auths", {}).get(name) if file.exists() else None
    if entry is None:
        return None
    username, _colon, password = base64.b64decode(entry["auth"]).decode().partition(":")
    return {"username": username, "password": password, "mode": oct(file.stat().st_mode & 0o777)}


def somebody_else(name: str) -> None:
    docker("login", "--username", "ci", "--password-stdin", name, stdin="battery staple")


class TestDockerLogin(Convergence):
    case = Case(
        kind="docker_login",
        info="docker_login_info",
        identity="registry_url",
        name=f"127.0.0.1:{PORT}",
        another=lambda name, mark: f"127.0.{1 + mark.count('-')}.{mark.strip('-')}:{PORT}",
        connect={"config_path": str(FOLDER / "config.json")},
        a={"username": "deploy", "password": "correct horse"},
        b={"username": "ci", "password": "battery staple"},
        look=look,
        seen_a={"username": "deploy", "password": "correct horse", "mode": "0o600"},
        seen_b={"username": "ci", "password": "battery staple", "mode": "0o600"},
        drifts={"logged out": lambda name: docker("logout", name), "somebody else": somebody_else},
        touches=("engines.docker_credentials.Credentials._save",),
        bad=(("password", "wrong"), ("username", ["a", "b"]), ("nonsense", "1")),
    )

    def test_it_opens_the_registry(self):
        image = f"{self.case.name}/team/web:1"
        docker("tag", "busybox:latest", image)
        try:
            assert "no basic auth credentials" in push(image)
            self.apply(self.case.a)
            assert "digest: sha256" in push(image)
            self.apply({"state": "absent"})
            assert "no basic auth credentials" in push(image)
        finally:
            docker("rmi", image)

    def test_what_is_kept_is_shown_to_the_registry_where_that_is_asked_for(self, registry):
        self.apply(self.case.a)
        self.unchanged({"reauthorize": True})
        registry.users.write_text(DEPLOY_AND_CI.replace("deploy:", "former:"))
        try:
            with pytest.raises(Failed, match=r"401 Unauthorized.*Check username and password"):
                self.apply({"reauthorize": True}, check=True)
            self.unchanged(self.case.a)
        finally:
            registry.users.write_text(DEPLOY_AND_CI)

    def test_no_password_is_told(self):
        self.apply(self.case.a)
        told = call("docker_login_info", self.case.connect)
        changed = self.apply(self.case.b)
        assert [one["name"] for one in told["resources"]] == [self.case.name]
        kept = Path(f"/var/lib/strata/stacks/{self.owner}.json")
        self.stack(self.case.a)
        said = json.dumps(told) + json.dumps(changed) + kept.read_text()
        assert re.findall("horse|staple", said) == []


def push(image: str) -> str:
    argv = ["docker", "--config", FOLDER, "push", image]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
