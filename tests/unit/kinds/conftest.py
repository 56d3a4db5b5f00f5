# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of several files share: a Docker daemon that is a folder of a real one's answers."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

ANSWERS = Path(__file__).parents[1] / "fixtures" / "docker_container"


def answer(name: str) -> dict:
    return json.loads((ANSWERS / f"{name}.json").read_text())


class Daemon:
    """Answers like the real one, and notes what it is told."""

    api, title, program = (1, 45), "Docker 26.1.5 (API 1.45)", "docker"

    def __init__(self, **containers: dict) -> None:
        self.told: list[tuple] = []
        self.left_out: list[str] = []
        self.registry: dict = {}
        self.documents = {}
        for name, document in containers.items():
            self.put(name, document)
        self.pictures = {"web:1.0": answer("image")}
        self.pictures[self.pictures["web:1.0"]["Id"]] = self.pictures["web:1.0"]

    def put(self, name: str, document: dict) -> None:
        self.documents[name] = {**copy.deepcopy(document), "Name": f"/{name}"}

    def containers(self, names=None):
        return [
            {"Id": name, "Names": [f"/{name}"], "Labels": document["Config"]["Labels"]}
            for name, document in self.documents.items()
        ]

    def inspect(self, container):
        return self.documents.get(container)

    def image(self, reference):
        return self.pictures.get(reference)

    def forget_images(self):
        """Each question is a new one here."""

    def create(self, name, body, platform=None):
        self.told.append(("create", name, body))
        return "new", self.left_out

    def info(self):
        return {"CgroupVersion": "2", "SwapLimit": True, "Runtimes": {"runc": {}}, "Plugins": {"Log": ["json-file"]}}

    def published(self, reference):
        return self.registry.get(reference)

    def pull(self, reference, platform):
        self.told.append(("pull", reference, platform))
        self.pictures[reference] = self.registry[reference]

    def __getattr__(self, verb):
        return lambda *args, **more: self.told.append((verb, *args, *more.items()))


@pytest.fixture(name="Daemon")
def _daemon():
    return Daemon


@pytest.fixture(name="answer")
def _answer():
    return answer
