# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_compose, looked at through Docker's own API, and held against Docker Compose by hand."""

from __future__ import annotations

import json
import shutil
import urllib.parse
from pathlib import Path

import pytest

from tests.lab import docker_api
from tests.lab.convergence import Case, Convergence
from tests.lab.docker_containers import make_images
from tests.lab.driver import Failed, call, run

PROJECT = "com.docker.compose.project"
FOLDER = Path("/srv/strata-shop")
KEPT = Path("/var/lib/strata/compose")


@pytest.fixture(scope="module", autouse=True)
def _images():
    make_images()


def listed(sort: str, project: str) -> list[dict]:
    asked = urllib.parse.quote(json.dumps({"label": [f"{PROJECT}={project}"]}))
    path = {"containers": f"/containers/json?all=1&filters={asked}"}.get(sort, f"/{sort}?filters={asked}")
    found = docker_api.ask(path)
    return (found["Volumes"] or []) if sort == "volumes" else found


def ids(project: str) -> dict[str, str]:
    return {one["Names"][0].removeprefix(f"/{project}-"): one["Id"] for one in listed("containers", project)}


def look(project: str) -> dict | None:
    """What was set for the containers of a project, by the rest of their names."""
    found = {}
    for name, container in ids(project).items():
        document = docker_api.ask(f"/containers/{container}/json")
        host, config = document["HostConfig"], document["Config"]
        found[name] = {
            "Status": document["State"]["Status"],
            "Image": config["Image"],
            "Env": sorted(one for one in config["Env"] or () if one.startswith("LEVEL")),
            **{key: host[key] for key in ("ReadonlyRootfs", "CapDrop", "Memory", "NanoCpus", "SecurityOpt")},
            "Mounts": sorted(one["Destination"] for one in document["Mounts"]),
            "Networks": sorted(one.removeprefix(project) for one in document["NetworkSettings"]["Networks"]),
        }
    networks = sorted(one["Name"].removeprefix(project) for one in listed("networks", project))
    return {"containers": found, "networks": networks} if found or networks else None


WEB = {
    "image": "web:1.0",
    "environment": {"LEVEL": "info"},
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "tmpfs": ["/tmp"],
    "deploy": {"resources": {"limits": {"cpus": "1.5", "memory": "64m"}}},
    "volumes": ["store:/data"],
    "restart": "unless-stopped",
}
HARDENED = {
    "Status": "running",
    "Image": "web:1.0",
    "Env": ["LEVEL=info"],
    "ReadonlyRootfs": True,
    "CapDrop": ["ALL"],
    "Memory": 64 << 20,
    "NanoCpus": 1_500_000_000,
    "SecurityOpt": ["no-new-privileges:true"],
    "Mounts": ["/data", "/tmp"],
    "Networks": ["_default"],
}


def definition(level: str, **services: dict) -> dict:
    web = {**WEB, "environment": {"LEVEL": level}}
    return {"services": {"web": web, "cache": {"image": "web:1.0"}, **services}, "volumes": {"store": {}}}


def at(name: str, action: str, method: str = "POST"):
    return lambda project: docker_api.ask(f"/containers/{project}-{name}{action}", method)


def by_hand(*words: str):
    """Compose, as somebody on the host calls it."""

    def drift(project: str) -> None:
        (kept,) = KEPT.glob(f"*/{project}.json")
        run("docker-compose", "--project-name", project, "--file", str(kept), *words)

    return drift


def orphan(project: str) -> None:
    labels = {PROJECT: project, "com.docker.compose.service": "gone", "com.docker.compose.oneoff": "False"}
    docker_api.ask(f"/containers/create?name={project}-gone-1", "POST", Image="web:1.0", Labels=labels)


def nothing_but_volumes(project: str) -> None:
    for container in ids(project).values():
        docker_api.ask(f"/containers/{container}?force=1", "DELETE")
    docker_api.ask(f"/networks/{project}_default", "DELETE")


class TestDockerCompose(Convergence):
    case = Case(
        kind="docker_compose",
        identity="project_name",
        info="docker_compose_info",
        a={"definition": definition("info"), "remove_orphans": True},
        b={"definition": definition("debug"), "scale": {"cache": 2}, "remove_orphans": True},
        look=look,
        seen_a={"networks": ["_default"]},
        seen_b={"networks": ["_default"]},
        drifts={
            "stopped": at("web-1", "/stop?t=0"),
            "paused": at("web-1", "/pause"),
            "removed": at("web-1", "?force=1", "DELETE"),
            "scaled": by_hand("up", "--detach", "--scale", "cache=2"),
            "an orphan": orphan,
            "all but the volumes": nothing_but_volumes,
        },
        touches=(
            "core.files.write",
            "engines.compose.Compose.bring",
            "engines.docker.Docker.stop",
            "engines.docker.Docker.remove",
        ),
        same_process=lambda project: ids(project)["cache-1"],
        bad=(
            ("definition", {"services": {"web": {"image": "web:1.0", "ports": "no list"}}}),
            ("definition", {"services": {"web": {"image": "strata-nowhere:1"}}}),
            ("services", ["nowhere"]),
            ("scale", {"web": "many"}),
            ("pull", "perhaps"),
            ("files", ["/srv/compose.yaml"]),
            ("nonsense", "1"),
        ),
        bad_names=("", "a/../b", "..", "-x", "x y", "Big"),
    )

    @property
    def name(self) -> str:
        return self.case.name

    def sees(self, expected: dict, name: str | None = None) -> None:
        level = "debug" if expected is self.case.seen_b else "info"
        seen = look(name or self.name)
        assert seen is not None
        wanted = {"web-1": {**HARDENED, "Env": [f"LEVEL={level}"]}}
        caches = {"cache-1", "cache-2"} if level == "debug" else {"cache-1"}
        assert seen["containers"].keys() == {"web-1", *caches}
        assert seen["containers"]["web-1"] == wanted["web-1"]
        assert {seen["containers"][one]["Status"] for one in caches} == {"running"}
        assert seen["networks"] == ["_default"]
