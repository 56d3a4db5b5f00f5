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
            "Mounts": sorted({*(one["Destination"] for one in document["Mounts"]), *(host.get("Tmpfs") or ())}),
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


COMPOSE = """
services:
  db:
    image: "web:1.0"
    environment: {TITLE: "${TITLE}"}
    env_file: [db.env]
    volumes: ["store:/data"]
    healthcheck: {test: [CMD, /bin/busybox, "true"], interval: 1s}
  migrate:
    image: "web:1.0"
    command: [/bin/busybox, "true"]
    depends_on: {db: {condition: service_healthy}}
  web:
    build: .
    depends_on: {migrate: {condition: service_completed_successfully}}
  side: {image: "strata-side:1", network_mode: "service:web", command: [/bin/busybox, sleep, "9999"]}
  tool: {image: "web:1.0", profiles: [tools]}
volumes: {store: {}}
"""
SHOP = "strata-shop"
ALL = {"db-1", "migrate-1", "web-1", "side-1"}


@pytest.fixture
def shop():
    """A project of files: what is built, what is waited for, what ends, what shares, and what only a profile enables."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    (FOLDER / "compose.yaml").write_text(COMPOSE)
    (FOLDER / ".env").write_text("TITLE=a $ sign\n")
    (FOLDER / "db.env").write_text("LEVEL=info\n")
    (FOLDER / "Dockerfile").write_text("FROM web:1.0\nCOPY page /page\n")
    (FOLDER / "page").write_text("hello\n")
    run("docker", "tag", "web:1.0", "strata-side:1")
    yield
    call("docker_compose", {"project_name": SHOP, "state": "absent", "remove_volumes": True, "remove_images": "local"})
    shutil.rmtree(FOLDER)


def foretold(**options) -> dict:
    before = ids(SHOP)
    spec = {"project_src": str(FOLDER), **options}
    forecast = call("docker_compose", spec, check=True)
    assert ids(SHOP) == before, "check mode touched the host"
    done = call("docker_compose", spec)
    assert (forecast["changed"], forecast["changes"]) == (done["changed"], done["changes"])
    calm = {"state": "started"} if spec.get("state") == "restarted" else {}
    assert call("docker_compose", {**spec, **calm}, check=True)["changes"] == []
    return {one["field"]: (one["before"], one["after"]) for one in done["changes"]}


def anew(before: dict[str, str]) -> set[str]:
    return {name for name, container in ids(SHOP).items() if before.get(name) != container}


@pytest.mark.usefixtures("shop")
def test_a_project_of_files():
    made = foretold(wait=True, wait_timeout=100)
    assert made["config[db.environment.TITLE]"] == (None, "a $ sign")
    assert ids(SHOP).keys() == ALL
    assert {one["Health"] for one in call("docker_compose", {"project_src": str(FOLDER)})["containers"]} == {"", "healthy"}
    first = ids(SHOP)
    hand = ("docker-compose", "--project-directory", str(FOLDER), "--file", str(FOLDER / "compose.yaml"), "up", "--detach")
    run(*hand)
    assert anew(first) == set(), "Compose by hand makes something anew that was declared"

    docker_api.ask(f"/containers/{SHOP}-web-1?force=1", "DELETE")
    run(*hand)
    assert foretold() == {}, "what was made by hand is as it is declared"

    (FOLDER / "db.env").write_text("LEVEL=debug\n")
    before = ids(SHOP)
    assert foretold(recreate="never") == {}
    assert foretold() == {"config[db.environment.LEVEL]": ("info", "debug")}
    assert "db-1" in anew(before)

    run("docker", "tag", "web:2.0", "strata-side:1")
    before = ids(SHOP)
    assert set(foretold()) == {"image[side]"}
    assert anew(before) == {"side-1"}

    assert "image[web]" in foretold(build="always")
    before = ids(SHOP)
    assert foretold(build="always") == {}
    (FOLDER / "page").write_text("news\n")
    assert foretold() == {}
    assert set(foretold(build="always")) == {"image[web]", "config[side]"}
    assert anew(before) == {"web-1", "side-1"}
    assert run("docker", "exec", f"{SHOP}-web-1", "/bin/busybox", "cat", "/page") == "news"

    before = ids(SHOP)
    assert set(foretold(profiles=["tools"])) == {"config[tool.image]", "containers[tool]"}
    assert anew(before) == {"tool-1"}
    started = {one: docker_api.container(f"{SHOP}-{one}")["State"]["StartedAt"] for one in ("db-1", "tool-1")}
    assert set(foretold(state="restarted", services=["db"])) == {"restart"}
    now = {one: docker_api.container(f"{SHOP}-{one}")["State"]["StartedAt"] for one in ("db-1", "tool-1")}
    assert {one for one in now if now[one] != started[one]} == {"db-1"}

    assert foretold(state="stopped", profiles=["tools"])["state"] == ("running", "stopped")
    assert {one["State"] for one in listed("containers", SHOP)} == {"exited"}
    (FOLDER / "Dockerfile").write_text("FROM web:1.0\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo no way; exit 3\"]\n")
    with pytest.raises(Failed, match=r"(?s)docker_compose/strata-shop: .*no way"):
        call("docker_compose", {"project_src": str(FOLDER), "build": "always"})

    gone = call("docker_compose", {"project_name": SHOP, "state": "absent", "remove_images": "local"}, check=True)
    assert [one["before"] for one in gone["changes"] if one["field"] == "kept_images"] == [[f"{SHOP}-web"]]
    call("docker_compose", {"project_name": SHOP, "state": "absent", "remove_images": "local"})
    assert (ids(SHOP), listed("networks", SHOP), len(listed("volumes", SHOP))) == ({}, [], 1)
    assert docker_api.ask(f"/images/{SHOP}-web/json") is None
    assert call("docker_compose", {"project_name": SHOP, "state": "absent"})["changed"] is False
    left = call("docker_compose", {"project_name": SHOP, "state": "absent", "remove_volumes": True})
    assert (left["changed"], listed("volumes", SHOP)) == (True, [])
