# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to Docker Compose, and to the daemon about what Compose made there. It takes no decisions.

What Compose would do is never read from what it prints: it renders a project and tells the hashes of its services, and
the labels of containers tell what they were made from.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core import command, progress
from . import docker_plugins
from .docker_images import DockerImages

Model = Mapping[str, Any]
"""A project as ``docker compose config --format json`` renders it."""

_TOLD = ("Pulling", "Pulled", "Building", "Built", "Creating", "Starting", "Recreate", "Waiting", "Healthy", "#")


@dataclass(frozen=True)
class Source:
    """What a project is rendered from.

    Attributes:
        folder: What relative paths are relative to.
        files: The files, the later ones on top.
        env_files: Where variables come from; empty: ``.env`` in the folder.
        text: A project in place of files.
    """

    folder: str
    files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    text: str | None = None

    def arguments(self) -> list[str]:
        files = ("-",) if self.text is not None else self.files
        return [
            f"--project-directory={self.folder}",
            *(f"--file={path}" for path in files),
            *(f"--env-file={path}" for path in self.env_files),
        ]


class Compose(DockerImages):
    """One daemon, and the program that makes projects of containers on it."""

    @property
    def realm(self) -> str:
        """What tells its projects from those of other engines, where they are kept."""
        return ""

    def render(self, project: str | None, source: Source) -> Model:
        """The whole project, with the services of all profiles.

        Args:
            project: Its name; None: it names itself.
            source: What it is made from.

        Raises:
            StrataError: It is no project that Compose takes.
        """
        named = [f"--project-name={project}"] if project else []
        argv = [*named, *source.arguments(), "--profile=*", "config", "--format=json"]
        model: Model = json.loads(self._run(argv, source.text))
        return model

    def hashes(self, project: str, source: Source, model: Model, profiles: Iterable[str]) -> dict[str, str]:
        """The services that some profiles enable, and what the label HASH of their containers is to be."""
        rendered = Source(source.folder, (), source.env_files, json.dumps(model))
        enabled = [f"--profile={profile}" for profile in profiles]
        argv = [f"--project-name={project}", *rendered.arguments(), *enabled, "config", "--hash=*"]
        lines = self._run(argv, rendered.text).splitlines()
        return dict(line.split() for line in lines if len(line.split()) == 2)

    def bring(self, project: str, source: Source, profiles: Iterable[str], words: Sequence[str]) -> None:
        """Have Compose do something with a project, and say meanwhile what it does.

        Args:
            words: The command and its arguments, as ``("up", "--detach")``.

        Raises:
            StrataError: It failed; the message ends with its last lines.
        """
        enabled = [f"--profile={profile}" for profile in profiles]
        shown = ["--ansi=never", "--progress=plain"]
        argv = [self._program(), *shown, f"--project-name={project}", *source.arguments(), *enabled, *words]
        progress.say(f"Compose: {words[0]} {project}")
        try:
            progress.run(argv, _told, env=self._environment)
        finally:
            self.forget_images()
            self._started = time.monotonic()

    def version(self) -> tuple[int, ...]:
        """Which Compose it is, as ``(2, 26, 1)``. A process: ask only where something is to be done."""
        said = re.search(r"(\d+)\.(\d+)\.(\d+)", self._run(["version", "--short"], None))
        return tuple(map(int, said.groups())) if said else ()

    def _run(self, argv: Sequence[str], stdin: str | None) -> str:
        return command.run([self._program(), *argv], stdin=stdin, env=self._environment).stdout

    @property
    def _environment(self) -> dict[str, str]:
        # What is declared decides, not what somebody has in the environment; orphans are taken away by name.
        return {
            "DOCKER_HOST": self.url,
            "DOCKER_CONTEXT": "",
            "COMPOSE_REMOVE_ORPHANS": "false",
            "COMPOSE_IGNORE_ORPHANS": "true",
        }

    @staticmethod
    def _program() -> str:
        return docker_plugins.need("docker-compose", "Docker Compose", "docker-compose-plugin", "docker-compose")


def _told(line: str) -> str | None:
    return line if any(word in line for word in _TOLD) else None
