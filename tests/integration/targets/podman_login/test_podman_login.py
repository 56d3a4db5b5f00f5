# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_login, looked at through the files that Podman reads, and through what it and skopeo may do with them."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.accounts import account
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run
from tests.lab.registry import DEPLOY_AND_CI, Registry

FOLDER = Path("/var/tmp/strata-podman-login")
PORT = 5022
AUTHFILE = FOLDER / "auth.json"
USER = "strata-login"


@pytest.fixture(scope="module", autouse=True)
def registry():
    shutil.rmtree(FOLDER, ignore_errors=True)  # of a run that was cut short
    FOLDER.mkdir()
    with Registry(FOLDER, f":{PORT}", DEPLOY_AND_CI) as found:
        yield found
    shutil.rmtree(FOLDER)


def look(name: str) -> dict | None:
    entry = json.loads(AUTHFILE.read_text()).get("auths", {}).get(name) if AUTHFILE.exists() else None
    if entry is None:
        return None
    username, _colon, password = base64.b64decode(entry["auth"]).decode().partition(":")
    return {"username": username, "password": password, "mode": oct(AUTHFILE.stat().st_mode & 0o777)}


def somebody_else(name: str) -> None:
    argv = ["login", f"--authfile={AUTHFILE}", "--tls-verify=false", "--username=ci", "--password-stdin", name]
    run("podman", *argv, stdin="battery staple")


def lists(*authfile: str) -> bool:
    """Whether the registry tells what it has, with what skopeo finds."""
    argv = ["skopeo", "list-tags", *authfile, "--tls-verify=false", f"docker://127.0.0.1:{PORT}/team/web"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stderr
    assert "authentication required" in said or "repository name not known" in said, said
    return "authentication required" not in said


class TestPodmanLogin(Convergence):
    case = Case(
        kind="podman_login",
        info="podman_login_info",
        identity="registry_url",
        name=f"127.0.0.1:{PORT}",
        another=lambda name, mark: f"127.0.{1 + mark.count('-')}.{mark.strip('-')}:{PORT}",
        connect={"authfile": str(AUTHFILE)},
        a={"username": "deploy", "password": "correct horse", "tls_verify": False},
        b={"username": "ci", "password": "battery staple", "tls_verify": False},
        look=look,
        seen_a={"username": "deploy", "password": "correct horse", "mode": "0o600"},
        seen_b={"username": "ci", "password": "battery staple", "mode": "0o600"},
        drifts={
            "logged out": lambda name: run("podman", "logout", f"--authfile={AUTHFILE}", name),
            "somebody else": somebody_else,
        },
        touches=tuple(f"engines.podman_credentials.Credentials.{verb}" for verb in ("store", "erase")),
        bad=(("password", "wrong"), ("username", ["a", "b"]), ("nonsense", "1")),
    )

    def test_it_opens_the_registry(self):
        assert not lists(f"--authfile={AUTHFILE}")
        self.apply(self.case.a)
        assert lists(f"--authfile={AUTHFILE}")
        self.apply({"state": "absent"})
        assert not lists(f"--authfile={AUTHFILE}")

    def test_what_is_kept_is_shown_to_the_registry_where_that_is_asked_for(self, registry):
        self.apply(self.case.a)
        asked = {"reauthorize": True, "tls_verify": False}
        self.unchanged(asked)
        registry.users.write_text(DEPLOY_AND_CI.replace("deploy:", "former:"))
        try:
            with pytest.raises(Failed, match="invalid username/password"):
                self.apply(asked, check=True)
            self.unchanged(self.case.a)
        finally:
            registry.users.write_text(DEPLOY_AND_CI)
        assert list(Path("/run/strata/podman").glob("strata-login*")) == []

    def test_no_password_is_told(self):
        self.apply(self.case.a)
        told = call("podman_login_info", self.case.connect)
        changed = self.apply(self.case.b)
        assert [one["name"] for one in told["resources"]] == [self.case.name]
        kept = Path(f"/var/lib/strata/stacks/{self.owner}.json")
        self.stack(self.case.a)
        said = json.dumps(told) + json.dumps(changed) + kept.read_text()
        assert re.findall("horse|staple", said) == []


def test_a_plain_user_who_is_not_logged_in():
    spec = {"registry_url": f"127.0.0.1:{PORT}", "user_scope": USER}
    given = {**spec, "username": "deploy", "password": "correct horse", "tls_verify": False}
    with account(USER) as number:
        kept = Path(f"/home/{USER}/.config/containers/auth.json")
        assert call("podman_login", given, check=True)["changed"]
        assert not kept.exists()
        assert call("podman_login", given)["changed"]
        assert (kept.stat().st_uid, kept.stat().st_mode & 0o777) == (number, 0o600)
        for check in (True, False):
            assert call("podman_login", given, check=check)["changes"] == []
        (told,) = call("podman_login_info", {"user_scope": USER})["resources"]
        assert (told["owner"], told["options"]["username"]) == ("", "deploy")
        gone = {**spec, "state": "absent"}
        assert [call("podman_login", gone)["changed"] for _turn in range(2)] == [True, False]
        assert "127.0.0.1" not in kept.read_text()
