# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_compose, planned from what Compose and the daemon say, recorded with Compose 2.26.1 and Docker 26.1."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import Effect
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import compose, compose_project
from ansible_collections.strata.virt.plugins.module_utils.engines.compose import Compose, Source
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_compose import DockerCompose

FIXTURES = Path(__file__).parents[1] / "fixtures" / "docker_compose"
WEB = "sha256:web"


def recorded(name: str):
    return json.loads((FIXTURES / f"{name}.json").read_text())


class Engine:
    """A daemon with one project of three services: db, web upon it, and sidecar in web's network namespace."""

    def __init__(self) -> None:
        self.model = recorded("model")
        self.listed = recorded("containers")
        self.known = recorded("hashes")
        self.nets, self.vols = recorded("networks"), recorded("volumes")
        self.pictures = recorded("images")
        self.registry: dict = {}
        self.asked: list = []
        self.told: list = []

    def render(self, project, source):
        self.asked.append("config")
        return copy.deepcopy(self.model)

    def hashes(self, project, source, model, profiles):
        self.asked.append("hash")
        joined = str(model["services"].get("sidecar", {}).get("network_mode"))
        return dict(self.known["resolved" if joined.startswith("container:") else "plain"])

    def containers(self):
        return self.listed

    def networks(self):
        return self.nets

    def volumes(self):
        return self.vols

    def image(self, reference):
        return self.pictures.get(reference)

    def published(self, reference):
        return self.registry.get(reference)

    def __getattr__(self, verb):
        return lambda *args, **more: self.told.append((verb, *args, *more.values()))
