# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry of images of the tests' own, on the loopback, without TLS."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path


class Registry:
    """A registry, for as long as the context lasts.

    Args:
        folder: Where it keeps what it is given.
        address: Where it listens.
        users: Who may do anything, in lines as htpasswd(1) writes them with bcrypt; empty: everybody.
    """

    def __init__(self, folder: Path, address: str, users: str = "") -> None:
        self.address, self.users = address, folder / "users"
        self.users.write_text(users)
        self._folder = folder
        self._server: subprocess.Popen | None = None

    def __enter__(self) -> Registry:
        config, log = self._folder / "config.yml", self._folder / "log"
        store = f"{{filesystem: {{rootdirectory: {self._folder}/data}}}}"
        guard = f"auth: {{htpasswd: {{realm: strata, path: {self.users}}}}}\n" if self.users.read_text() else ""
        config.write_text(f"version: 0.1\nstorage: {store}\n{guard}http: {{addr: '{self.address}'}}\n")
        with open(log, "w") as said:
            self._server = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=said, stderr=said)
        end = time.monotonic() + 60
        while self.digest("nothing", "1") == "no answer":
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.terminate()
        self._server.wait()

    @property
    def _reached(self) -> str:
        return f"127.0.0.1{self.address}" if self.address.startswith(":") else self.address

    def digest(self, repository: str, tag: str, login: str = "") -> str | None:
        """The digest of what it has under a tag; None where it has nothing, or nothing to tell who asks.

        Args:
            repository: As in the image's reference.
            tag: Likewise.
            login: Who asks, as ``user:password``.
        """
        asked = urllib.request.Request(f"http://{self._reached}/v2/{repository}/manifests/{tag}", method="HEAD")
        asked.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
        if login:
            asked.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.headers["Docker-Content-Digest"]
        except urllib.error.HTTPError:
            return None
        except OSError:
            return "no answer"

    def tags(self, repository: str) -> list[str]:
        """What it has in a repository."""
        with urllib.request.urlopen(f"http://{self._reached}/v2/{repository}/tags/list", timeout=30) as answer:
            return sorted(json.load(answer)["tags"] or ())


DEPLOY_AND_CI = """\
deploy:$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2
ci:$2b$05$abcdefghijklmnopqrstuumjewjQVmxxbBHy234HdGTOAqOuVnhhy
"""
"""Two users: ``correct horse`` and ``battery staple``, by bcrypt."""
