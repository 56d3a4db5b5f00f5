# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building by BuildKit, the newer one of the two builders that are part of a Docker daemon. It takes no decisions.

It wants a client that serves it the context and the secrets while it builds: that is the plugin buildx. Its builder
``default`` is the daemon's own BuildKit, which needs neither a container nor a registry.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from ..core import progress
from ..core.errors import StrataError
from . import docker_plugins
from .docker import Document
from .docker_images import DockerImages, failed

NETWORKS = ("default", "none", "host")
"""What a step may have of the network: BuildKit knows nothing of the daemon's networks (buildx: build/opt.go)."""

_HOW = (  # of the configuration of an image; what it hasn't, one version of the daemon leaves out, and another one not
    *("Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "OnBuild", "Shell", "StopSignal", "User", "Volumes"),
    "WorkingDir",
)
UNKNOWN = "?"

_CONTAINERD = "io.containerd.snapshotter.v1"

# The options of a build, in the words of the daemon's own API, and what they are called here (docker-buildx-build(1)).
_WORDS = {
    "dockerfile": "--file",
    "target": "--target",
    "networkmode": "--network",
    "platform": "--platform",
    "shmsize": "--shm-size",
    "cachefrom": "--cache-from",
    "cacheto": "--cache-to",
    "extrahosts": "--add-host",
    "ssh": "--ssh",
    "buildargs": "--build-arg",
    "labels": "--label",
    "nocache": "--no-cache",
    "pull": "--pull",
}

_LINE = re.compile(r"#\d+ (?P<said>\S.*)")
_QUIET = re.compile(r"DONE |CACHED$|ERROR: |transferring |building with |sha256:\S+ done")
_RULE = "------"
_TIME = re.compile(r"\d+\.\d+ ")


class BuildKit(DockerImages):
    """One daemon, asked about images, with both of its builders."""

    @property
    def has_buildx(self) -> bool:
        """Whether the plugin is there, without which only the older builder can be used."""
        return docker_plugins.find("docker-buildx") is not None

    @staticmethod
    def buildx() -> str:
        """The path of the plugin.

        Raises:
            StrataError: It isn't installed.
        """
        return docker_plugins.need("docker-buildx", "Docker's plugin buildx", "docker-buildx-plugin", "docker-buildx")

    @property
    def stores_in_containerd(self) -> bool:
        """Whether containerd stores its images: only so one name can stand for images of several platforms."""
        return any(_CONTAINERD in row for row in self.info().get("DriverStatus") or ())

    def shape(self, image: str) -> str:
        """What an image is apart from its labels: how many layers it has, and a digest of how it is run.

        What is built upon it changes one of both.

        Args:
            image: Its ID.

        Returns:
            UNKNOWN where containerd has unpacked nothing of it, because it is another platform's: then the daemon
            itself can't look at it.
        """
        try:
            found = self.image(image) or {}
        except StrataError as error:
            if "does not exist" not in error.message:
                raise
            return UNKNOWN
        config = found.get("Config") or {}
        how = {key: config[key] for key in _HOW if config.get(key)}
        digest = hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()
        return f"{len(found.get('RootFS', {}).get('Layers') or ())}-{digest[:16]}"

    def build_kit(
        self,
        what: str,
        context: IO[bytes],
        options: Document,
        secrets: Mapping[str, bytes],
        output: Mapping[str, str] | None = None,
    ) -> str:
        """Have BuildKit build a context, and return the ID of the image, which has no name.

        Args:
            what: What is built, for messages.
            context: A tar; it is read from its beginning.
            options: In the words of ``POST /build``, with ``cacheto`` and ``ssh`` besides.
            secrets: What steps may read, by the names that they know it by.
            output: Where else than among the daemon's images the result goes: ``type`` and ``dest``.

        Returns:
            "" with an output.
        """
        context.seek(0)
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, _in_memory(secrets) as handles:
            told = os.path.join(folder, "told")
            given = [f"--secret=id={name},src=/proc/self/fd/{handle}" for name, handle in handles.items()]
            out = [] if output is None else [f"--output={_csv(output)}"]
            command = ["build", "--builder=default", "--progress=plain", f"--metadata-file={told}", *given, *out]
            self._run([*command, *arguments(options), "-"], what, context, list(handles.values()))
            if output is not None:
                return ""
            with open(told, encoding="utf-8") as file:
                return str(json.load(file)["containerimage.digest"])

    def _run(self, argv: Sequence[str], what: str, context: IO[bytes], handles: Sequence[int]) -> None:
        said: list[str] = []

        def listen(line: str) -> str | None:
            said.append(line)
            told = _LINE.match(line)
            return f"{what}: {told['said']}" if told and not _QUIET.match(told["said"]) else None

        progress.say(what)
        # What is declared decides, not somebody's environment; and what a build is proved by differs each time.
        env = {"DOCKER_HOST": self.url, "DOCKER_CONTEXT": "", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        try:
            progress.run([self.buildx(), *argv], listen, env=env, handles=handles, stdin=context)
        except StrataError:
            raise failed(what, *_why(said)) from None


def arguments(options: Document) -> list[str]:
    """The options of a build, as arguments."""
    made = []
    for word, value in options.items():
        option = _WORDS[word]
        if isinstance(value, Mapping):
            made += [f"{option}={key}={item}" for key, item in value.items()]
        elif isinstance(value, (list, tuple)):
            made += [f"{option}={item}" for item in value]
        elif value is True:
            made.append(option)
        elif value:
            made.append(f"{option}={value}")
    return made


def _csv(words: Mapping[str, str]) -> str:
    """Fields of one line of CSV."""
    return ",".join('"{}={}"'.format(key, value.replace('"', '""')) for key, value in words.items())


@contextlib.contextmanager
def _in_memory(secrets: Mapping[str, bytes]) -> Iterator[dict[str, int]]:
    """Files that a program inherits, and that are on no disk and in nobody's list of processes."""
    handles: dict[str, int] = {}
    try:
        for name, content in secrets.items():
            handles[name] = os.memfd_create("secret")
            with open(handles[name], "wb", closefd=False) as file:
                file.write(content)
        yield handles
    finally:
        for handle in handles.values():
            os.close(handle)


def _why(said: Sequence[str]) -> tuple[str, list[str]]:
    """What buildx says why it failed, and the last words of the step that did.

    It repeats them between two rules, below the name of the step, and each of them comes with the seconds.
    """
    errors = [line.partition("ERROR: ")[2] for line in said if line.startswith("ERROR: ")]
    rules = [place for place, line in enumerate(said) if line == _RULE]
    words = said[rules[0] + 1 : rules[1]] if len(rules) > 1 else []
    spoken = [_TIME.sub("", line) if _TIME.match(line) else line.strip("> ").rstrip(":") for line in words]
    wrong = errors[-1] if errors else said[-1] if said else "buildx said nothing"
    return wrong.replace("failed to build: ", "").replace("failed to solve: ", ""), [line for line in spoken if line]
