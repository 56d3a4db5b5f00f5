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
from tests.lab.convergence import Case, Harness
from tests.lab.docker_containers import make_images
from tests.lab.driver import Failed, Killed, call, run

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


# A place on a network is half of what a container costs under emulation.
CACHE = {"image": "web:1.0", "network_mode": "none"}


def definition(level: str) -> dict:
    web = {**WEB, "environment": {"LEVEL": level}}
    return {"services": {"web": web, "cache": CACHE}, "volumes": {"store": {}}}


def by_hand(project: str, *words: str) -> None:
    """Compose, as somebody on the host calls it."""
    (kept,) = KEPT.glob(f"*/{project}.json")
    run("docker-compose", "--project-name", project, "--file", str(kept), *words)


def another(name: str, service: str, project: str, **labels: str) -> None:
    """A container that looks like one of a service."""
    told = {PROJECT: project, "com.docker.compose.service": service, "com.docker.compose.oneoff": "False", **labels}
    docker_api.ask(f"/containers/create?name={name}", "POST", Image="web:1.0", Labels=told)


class TestDockerCompose(Harness):
    """What Convergence asks of every kind, in as few projects as can be: each costs ten seconds under emulation."""

    case = Case(
        kind="docker_compose",
        identity="project_name",
        info="docker_compose_info",
        a={"definition": definition("info"), "remove_orphans": True},
        b={"definition": definition("debug"), "scale": {"cache": 2}, "remove_orphans": True},
        look=look,
        seen_a={"web-1": "info", "cache-1": ""},
        seen_b={"web-1": "debug", "cache-1": "", "cache-2": ""},
        touches=(
            "core.files.write",
            "engines.compose.Compose.bring",
            "engines.docker.Docker.stop",
            "engines.docker.Docker.remove",
            "engines.docker.Docker.remove_network",
        ),
    )

    @property
    def name(self) -> str:
        return self.case.name

    def sees(self, expected: dict, name: str | None = None) -> None:
        seen = look(name or self.name)
        assert seen is not None
        assert seen["containers"].keys() == expected.keys()
        assert seen["containers"]["web-1"] == {**HARDENED, "Env": [f"LEVEL={expected['web-1']}"]}
        assert {one["Status"] for one in seen["containers"].values()} == {"running"}
        assert seen["networks"] == ["_default"]

    def killed_until_done(self, spec: dict) -> int:
        """Run the module again and again, killed after the first touch of the host each time."""
        for times in range(20):
            try:
                self.apply(spec, touches=self.case.touches, die_at=1)
            except Killed:
                continue
            return times
        raise AssertionError("it never came to an end")

    def test_it_becomes_and_stays_what_is_declared(self):
        assert self.foretold(self.case.a)["changed"]
        self.sees(self.case.seen_a)
        self.unchanged(self.case.a)
        (told,) = call(self.case.info, {"name": [self.name]})["resources"]
        exported = {"name": "strata-other", "resources": [{self.case.kind: told["options"]}]}
        assert call("stack", exported)["changed"] is False

        docker_api.ask(f"/containers/{self.name}-web-1/stop?t=0", "POST")
        old = ids(self.name)["cache-1"]
        labels = docker_api.container(f"{self.name}-cache-1")["Config"]["Labels"]
        cut_short = {**labels, "com.docker.compose.replace": old}  # left by a Compose that was killed while it replaced
        another(f"{old[:12]}_{self.name}-cache-1", "cache", self.name, **cut_short)
        another(f"{self.name}-gone-1", "gone", self.name)
        seen = {one["field"]: (one["before"], one["after"]) for one in self.foretold(self.case.a)["changes"]}
        assert seen == {
            "containers[web]": ("1 stopped", "1 running"),
            "containers[cache]": ("1 running, 1 stopped", "1 running"),
            "orphans": ([f"{self.name}-gone-1"], []),
        }
        self.sees(self.case.seen_a)
        assert ids(self.name)["cache-1"] == old

        docker_api.ask(f"/containers/{self.name}-web-1/pause", "POST")
        fields = {one["field"] for one in self.apply(self.case.b, check=True)["changes"]}
        assert fields == {"containers[web]", "containers[cache]", "config[web.environment.LEVEL]"}
        assert self.killed_until_done(self.case.b) == 2, "what is kept, and what Compose does"
        self.sees(self.case.seen_b)
        self.unchanged(self.case.b)
        assert ids(self.name)["cache-1"] == old, "it was made anew for a change of another service"

        for container in ids(self.name).values():
            docker_api.ask(f"/containers/{container}?force=1", "DELETE")
        docker_api.ask(f"/networks/{self.name}_default", "DELETE")
        assert self.foretold(self.case.b)["changed"]
        self.sees(self.case.seen_b)
        assert self.killed_until_done({"state": "absent"}) > 2
        assert (look(self.name), len(listed("volumes", self.name))) == (None, 1)
        self.unchanged({"state": "absent"})

    def test_a_stack_owns_what_it_made(self):
        self.stack(self.case.a)
        entry = {self.case.kind: self.case.options(self.name, self.case.b)}
        with pytest.raises(Failed, match="belongs to the stack"):
            call("stack", {"name": "strata-other", "resources": [entry]})
        self.sees(self.case.seen_a)
        self.stack(self.case.b)
        assert self.stack(self.case.b)["changed"] is False
        grown = look(self.name)
        another_name = self.case.another(self.name, "2")
        fresh = {**self.case.b, "definition": {**definition("debug"), "networks": {"default": {"internal": True}}}}
        self.stack(fresh, another_name)
        assert look(self.name) is None, "prune left the old one"
        assert look(another_name) == grown
        with pytest.raises(Failed, match=r"networks.default: is there already.*Remove it first"):
            self.apply(self.case.b, another_name, check=True)
        self.stack(None)
        assert look(another_name) is None
        for project in (self.name, another_name):
            self.apply({"state": "absent", "remove_volumes": True}, project)

    def test_bad_input_is_refused(self):
        for name in ("", "a/../b", "..", "-x", "x y", "Big"):
            with pytest.raises(Failed, match="project_name"):
                call(self.case.kind, {**self.case.a, "project_name": name})
        for option, value in (
            ("definition", {"services": {"web": {"image": "web:1.0", "ports": "no list"}}}),
            ("services", ["nowhere"]),
            ("scale", {"web": "many"}),
            ("pull", "perhaps"),
            ("files", ["/srv/compose.yaml"]),
            ("nonsense", "1"),
        ):
            with pytest.raises(Failed, match=option):
                self.apply({**self.case.a, option: value})
        assert look(self.name) is None


COMPOSE = """
services:
  db:
    image: "web:1.0"
    network_mode: none
    environment: {TITLE: "${TITLE}"}
    env_file: [db.env]
    volumes: ["store:/data"]
    healthcheck: {test: [CMD, /bin/busybox, "true"], interval: 5s}
  migrate:
    image: "web:1.0"
    network_mode: none
    command: [/bin/busybox, "true"]
    depends_on: {db: {condition: service_healthy}}
  web:
    build: .
    depends_on: {migrate: {condition: service_completed_successfully}}
  side: {image: "strata-side:1", network_mode: "service:web", command: [/bin/busybox, sleep, "9999"]}
  tool: {image: "web:1.0", network_mode: none, profiles: [tools]}
volumes: {store: {}}
"""
SHOP = "strata-shop"
ALL = {"db-1", "migrate-1", "web-1", "side-1"}


@pytest.fixture
def shop():
    """A project of files: what is built, waited for, ends, shares, and what only a profile enables."""
    shutil.rmtree(FOLDER, ignore_errors=True)  # of a run that was cut short
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
    return {one["field"]: (one["before"], one["after"]) for one in done["changes"]}


def image(name: str) -> str:
    return docker_api.ask(f"/images/{name}/json")["Id"]


def anew(before: dict[str, str]) -> set[str]:
    return {name for name, container in ids(SHOP).items() if before.get(name) != container}


@pytest.mark.usefixtures("shop")
def test_a_project_of_files():
    made = foretold(wait=True, wait_timeout=100)
    assert made["config[db.environment.TITLE]"] == (None, "a $ sign")
    assert ids(SHOP).keys() == ALL
    told = call("docker_compose", {"project_src": str(FOLDER)})
    assert (told["changed"], {one["Health"] for one in told["containers"]}) == (False, {"", "healthy"})
    before = ids(SHOP)
    docker_api.ask(f"/containers/{SHOP}-web-1?force=1", "DELETE")
    file = FOLDER / "compose.yaml"
    run("docker-compose", "--project-directory", str(FOLDER), "--file", str(file), "up", "--detach")
    assert anew(before) == {"web-1", "side-1"}, "Compose by hand makes something else anew than what is missing"
    assert foretold() == {}, "what was made by hand isn't as it is declared"

    (FOLDER / "db.env").write_text("LEVEL=debug\n")
    run("docker", "tag", "web:2.0", "strata-side:1")
    before = ids(SHOP)
    assert foretold(recreate="never") == {}
    assert foretold(profiles=["tools"]) == {
        "config[db.environment.LEVEL]": ("info", "debug"),
        "image[side]": (image("web:1.0"), image("web:2.0")),
        "config[tool.image]": (None, "web:1.0"),
        "config[tool.network_mode]": (None, "none"),
        "containers[tool]": ("none", "1 running"),
        "config[migrate]": ("made", "made again with db"),
        "config[web]": ("made", "made again with migrate"),
        "config[side]": ("made", "made again with web"),
    }
    assert anew(before) == {*ALL, "tool-1"}

    (FOLDER / "page").write_text("news\n")
    assert foretold() == {}
    before = ids(SHOP)
    assert set(foretold(build="always")) == {"image[web]", "config[side]"}
    assert anew(before) == {"web-1", "side-1"}
    assert run("docker", "exec", f"{SHOP}-web-1", "/bin/busybox", "cat", "/page") == "news"
    assert foretold(build="always") == {}
    started = {one: docker_api.container(f"{SHOP}-{one}")["State"]["StartedAt"] for one in ("db-1", "tool-1")}
    assert set(foretold(state="restarted", services=["db"])) == {"restart"}
    now = {one: docker_api.container(f"{SHOP}-{one}")["State"]["StartedAt"] for one in ("db-1", "tool-1")}
    assert {one for one in now if now[one] != started[one]} == {"db-1"}

    assert foretold(state="stopped", profiles=["tools"])["state"] == ("running", "stopped")
    assert {one["State"] for one in listed("containers", SHOP)} == {"exited"}
    fails = json.dumps(["/bin/busybox", "sh", "-c", "echo no way; exit 3"])
    (FOLDER / "Dockerfile").write_text(f"FROM web:1.0\nRUN {fails}\n")
    with pytest.raises(Failed, match=r"(?s)docker_compose/strata-shop: .*no way"):
        call("docker_compose", {"project_src": str(FOLDER), "build": "always"})

    gone = call("docker_compose", {"project_name": SHOP, "state": "absent", "remove_images": "local"}, check=True)
    assert [one["before"] for one in gone["changes"] if one["field"] == "kept_images"] == [[f"{SHOP}-web:latest"]]
    call("docker_compose", {"project_name": SHOP, "state": "absent", "remove_images": "local"})
    assert (ids(SHOP), listed("networks", SHOP), len(listed("volumes", SHOP))) == ({}, [], 1)
    assert docker_api.ask(f"/images/{SHOP}-web/json") is None
    assert call("docker_compose", {"project_name": SHOP, "state": "absent"})["changed"] is False
    left = call("docker_compose", {"project_name": SHOP, "state": "absent", "remove_volumes": True})
    assert (left["changed"], listed("volumes", SHOP)) == (True, [])
