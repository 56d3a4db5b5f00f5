# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user logs in to registries with, where Podman looks for it (containers-auth.json(5)).

Podman's own commands write the file, as the user whose it is: root writes nothing in somebody else's home. They drop
words of an entry that they don't know, so that whose an entry is stands in a file beside it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ..core import command, files
from ..core.errors import StrataError
from . import podman_service
from .docker_credentials import HOST, Login, decoded, helped

USUAL = "~/.config/containers/auth.json"
"""Stays over a reboot, which the file that ``podman login`` writes of itself doesn't."""

_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_PATH = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")


def registry(value: Any) -> str:
    """What a registry, or a part of one, is called in the file, from the address that a user gives.

    Raises:
        ValueError: It is none.
    """
    text = str(value).strip().rstrip("/")
    host, _slash, path = (text.partition("://")[2] or text).partition("/")
    host, path = ("docker.io" if host in _HUB else host), ("" if path in ("v1", "v2") else path)
    if not HOST.fullmatch(host) or (path and not _PATH.fullmatch(path)):
        raise ValueError("is no registry: write its host and port, such as registry.example.org:5000")
    return f"{host}/{path}" if path else host


@dataclass(frozen=True)
class Trust:
    """How a registry shows that it is the one.

    Attributes:
        tls_verify: Whether it must have a certificate that is good; None: as Podman's configuration says.
        cert_dir: The folder of certificates for it; None: Podman's own.
    """

    tls_verify: bool | None = None
    cert_dir: str | None = None

    @property
    def arguments(self) -> list[str]:
        verify = [] if self.tls_verify is None else [f"--tls-verify={str(self.tls_verify).lower()}"]
        return [*verify, *([] if self.cert_dir is None else [f"--cert-dir={self.cert_dir}"])]


class Credentials:
    """One file of credentials.

    Args:
        user: Whose it is; None: that of whoever runs this.
        path: The file; ``~`` is the user's home.

    Raises:
        StrataError: Podman is missing, or that user's files are not to be had.
    """

    def __init__(self, user: str | None, path: str) -> None:
        self._podman = command.need("podman", "podman")
        self._user = podman_service.account(user)
        if self._user.uid:
            podman_service.need_runtime(self._user)
        self.path = f"{self._user.home}{path[1:]}" if path.startswith("~/") else path

    # What there is.

    def names(self) -> list[str]:
        """The registries that the file knows."""
        return sorted({_named(key) for key in self._load().get("auths", {})})

    def read(self, name: str) -> Login | None:
        """What a registry is logged in to with; None where nothing is."""
        config = self._load()
        entries = {_named(key): entry for key, entry in config.get("auths", {}).items()}
        helper = str((config.get("credHelpers") or {}).get(name) or "")
        kept = self._ask(helper, name) if helper else decoded(entries.get(name) or {})
        return None if kept is None else Login(*kept, helper, self._owners().get(name))

    def _load(self) -> dict[str, Any]:
        try:
            found = json.loads(self._text(self.path) or "{}")
        except ValueError as error:
            hint = "Mend it, or move it away and log in again"
            raise StrataError(f"{self.path} is no JSON: {error}", hint=hint) from None
        if not isinstance(found, dict) or not isinstance(found.get("auths", {}), dict):
            raise StrataError(f"{self.path} is no file of credentials", hint="Name another authfile")
        return found

    def _text(self, path: str) -> str | None:
        if self._user.uid == os.geteuid():
            return files.read(path)
        done = podman_service.run_as(self._user, ["cat", "--", path])
        if done.returncode and "No such file" not in done.stderr:
            raise StrataError(command.failure(done))
        return None if done.returncode else done.stdout

    def _ask(self, helper: str, name: str) -> tuple[str, str] | None:
        program = command.need(f"docker-credential-{helper}", f"that has docker-credential-{helper}")
        return helped(program, name, podman_service.run_as(self._user, [program, "get"], timeout=60, stdin=name))

    # What is done to it.

    def verify(self, name: str, username: str, password: str, trust: Trust) -> None:
        """Show credentials to a registry, and keep them nowhere.

        Raises:
            StrataError: It refuses them, or isn't there.
        """
        nowhere = f"{podman_service.own_folder(self._user)}/strata-login-{secrets.token_hex(8)}.json"
        try:
            self._login(name, username, password, trust, nowhere)
        finally:
            files.remove(nowhere)

    def store(self, name: str, username: str, password: str, owner: str | None, trust: Trust) -> None:
        """Keep credentials, in the place that the file says."""
        with self._turn():
            self._note(name, owner)
            self._login(name, username, password, trust, self.path)

    def erase(self, name: str) -> None:
        """Forget credentials; none is fine."""
        with self._turn():
            done = podman_service.run_as(self._user, [self._podman, "logout", f"--authfile={self.path}", name])
            if done.returncode and "not logged in" not in done.stderr.lower():
                raise StrataError(command.failure(done))
            self._note(name, None)

    def _turn(self) -> AbstractContextManager[None]:
        """Each writes the whole file, and the whole note, and Podman locks neither. The home is there before both."""
        return files.turn(self._user.home)

    def _login(self, name: str, username: str, password: str, trust: Trust, path: str) -> None:
        asked = ["login", f"--authfile={path}", f"--username={username}", "--password-stdin", *trust.arguments, name]
        done = podman_service.run_as(self._user, [self._podman, *asked], stdin=password)
        if done.returncode:
            raise StrataError(command.failure(done))

    # Whose it is.

    def _owners(self) -> Mapping[str, str]:
        try:
            found = json.loads(self._text(self._beside) or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def _beside(self) -> str:
        return f"{self.path}.strata"

    def _note(self, name: str, owner: str | None) -> None:
        had = self._owners()
        noted = {key: value for key, value in {**had, name: owner}.items() if value is not None}
        if noted != had:
            self._write(json.dumps(noted, sort_keys=True) + "\n")

    def _write(self, text: str) -> None:
        if self._user.uid == os.geteuid():
            files.write(self._beside, text, 0o600)
            return
        fresh = f"{self._beside}.next"
        for argv, stdin in (
            (["mkdir", "--parents", "--mode=0700", "--", os.path.dirname(self._beside)], None),
            (["dd", f"of={fresh}", "conv=fsync", "status=none"], text),
            (["mv", "--force", "--no-target-directory", "--", fresh, self._beside], None),
        ):
            done = podman_service.run_as(self._user, argv, stdin=stdin)
            if done.returncode:
                raise StrataError(command.failure(done))


def _named(key: str) -> str:
    try:
        return registry(key)
    except ValueError:
        return key
