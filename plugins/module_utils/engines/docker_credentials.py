# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user logs in to registries with, where ``docker login`` keeps it: a file, or a program that has a keyring.

The file is that of the command line (docs.docker.com, "docker login": "Credential stores", "Credential helpers").
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ..core import command, files
from ..core.errors import StrataError

HUB = "https://index.docker.io/v1/"
"""What Docker's own registry is called in the file."""

HOST = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?")
_OWNER = "strata.owner"  # in an entry of the file, where Docker passes over words that it doesn't know
_NONE = "credentials not found in native keychain"  # docker-credential-helpers: credentials/error.go


def registry(value: Any) -> str:
    """What a registry is called in the file, from the address that a user gives.

    Raises:
        ValueError: It is none.
    """
    text = str(value).strip()
    name = text.partition("://")[2] or text
    host, _slash, path = name.partition("/")
    if host in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        return HUB
    if not HOST.fullmatch(host) or path.strip("/") not in ("", "v1", "v2"):
        raise ValueError("is no registry: write its host and port, such as registry.example.org:5000")
    return host


@dataclass(frozen=True)
class Login:
    """One registry's credentials.

    Attributes:
        username: None where a helper keeps none any more.
        password: The password, or a token in its place.
        helper: The program that keeps them; empty: the file.
        owner: Who made the entry, where that was noted.
    """

    username: str | None
    password: str | None
    helper: str
    owner: str | None


class Credentials:
    """One file of credentials.

    Args:
        path: The file; ``~`` is the home of whoever runs the module.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.expanduser(path)

    def _load(self) -> dict[str, Any]:
        text = files.read(self.path)
        try:
            found = json.loads(text or "{}")
        except ValueError as error:
            raise StrataError(
                f"{self.path} is no JSON: {error}", hint="Mend it, or move it away and log in again"
            ) from None
        if not isinstance(found, dict) or not isinstance(found.get("auths", {}), dict):
            raise StrataError(f"{self.path} is no file of Docker's command line", hint="Name another config_path")
        return found

    def _turn(self) -> AbstractContextManager[None]:
        """Each writes the whole file."""
        folder = os.path.dirname(self.path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return files.turn(folder)

    def _save(self, config: Mapping[str, Any]) -> None:
        files.write(self.path, json.dumps(config, indent="\t") + "\n", 0o600)

    @staticmethod
    def _helper(config: Mapping[str, Any], name: str) -> str:
        kept = config.get("credHelpers") or {}
        return str(next((kept[key] for key in kept if _same(key, name)), config.get("credsStore") or ""))

    def names(self) -> list[str]:
        """The registries that the file knows."""
        return sorted({_named(key) for key in self._load().get("auths", {})})

    def read(self, name: str) -> Login | None:
        """What a registry is logged in to with; None where nothing is."""
        config = self._load()
        helper = self._helper(config, name)
        entry = _entry(config, name)
        kept = _ask(helper, name) if helper else decoded(entry or {})
        if kept is None:
            return None
        return Login(*kept, helper, (entry or {}).get(_OWNER))

    def store(self, name: str, username: str, password: str, owner: str | None) -> None:
        """Keep credentials, in the place that the file says."""
        noted = {} if owner is None else {_OWNER: owner}
        with self._turn():
            config = self._load()
            helper = self._helper(config, name)
            if helper:
                _tell(helper, "store", json.dumps({"ServerURL": name, "Username": username, "Secret": password}))
                kept: dict[str, str] = {}
            else:
                kept = {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}
            self._save({**config, "auths": {**_without(config, name), name: {**kept, **noted}}})

    def erase(self, name: str) -> None:
        """Forget credentials; none is fine."""
        with self._turn():
            config = self._load()
            helper = self._helper(config, name)
            if helper and _ask(helper, name) is not None:
                _tell(helper, "erase", name)
            kept = _without(config, name)
            if kept != config.get("auths", {}):
                self._save({**config, "auths": kept})


def _without(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The entries of all registries but one."""
    return {key: entry for key, entry in config.get("auths", {}).items() if not _same(key, name)}


def _named(key: str) -> str:
    try:
        return registry(key)
    except ValueError:
        return key


def _same(key: str, name: str) -> bool:
    return key == name or _named(key) == name


def _entry(config: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """A registry's entry, however its address is spelled there."""
    auths = config.get("auths", {})
    found = next((auths[key] for key in (name, *auths) if key in auths and _same(key, name)), None)
    return found if isinstance(found, dict) else None


def decoded(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """The user and the password, or token, of an entry; None where it has none."""
    if entry.get("username") or entry.get("auth"):
        try:
            said = base64.b64decode(entry.get("auth") or "", validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        username, _colon, password = said.partition(":")
        # A token that a registry gave in exchange stands beside the name of the user (config.json: identitytoken).
        return entry.get("username") or username, entry.get("identitytoken") or entry.get("password") or password
    return None


def _ask(helper: str, name: str) -> tuple[str, str] | None:
    program = _program(helper)
    return helped(program, name, command.run([program, "get"], stdin=name, timeout=60, check=False))


def helped(program: str, name: str, done: subprocess.CompletedProcess[str]) -> tuple[str, str] | None:
    """The user and the password that a credential helper told of a registry; None where it keeps none.

    Raises:
        StrataError: It failed.
    """
    if done.returncode:
        if _NONE in done.stdout + done.stderr:
            return None
        raise StrataError(f"{program} can't be asked for {name}: {(done.stdout or done.stderr).strip()}")
    said = json.loads(done.stdout)
    return str(said["Username"]), str(said["Secret"])


def _tell(helper: str, verb: str, text: str) -> None:
    program = _program(helper)
    done = command.run([program, verb], stdin=text, timeout=60, check=False)
    if done.returncode:
        raise StrataError(f"{program} {verb} failed: {(done.stdout or done.stderr).strip()}")


def _program(helper: str) -> str:
    name = f"docker-credential-{helper}"
    if command.find(name) is None:
        raise StrataError(
            f"the program {name} is not installed on this host, and config.json keeps credentials there",
            hint="Install it, or take credsStore and credHelpers out of config.json",
        )
    return name
