# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_compose, planned from what Compose 2.26.1 and a daemon said of a project of four services."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core import command
from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import Effect
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import compose, compose_project
from ansible_collections.strata.virt.plugins.module_utils.engines.compose import Compose, Source
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_compose import DockerCompose

FIXTURES = Path(__file__).parents[1] / "fixtures" / "docker_compose"


def recorded(name: str):
    return json.loads((FIXTURES / f"{name}.json").read_text())


class Engine:
    """Answers as they were recorded, and notes what it is told."""

    def __init__(self) -> None:
        self.model = recorded("model")
        self.listed = recorded("containers")
        self.known = recorded("hashes")
        self.nets, self.vols = recorded("networks"), recorded("volumes")
        self.pictures = recorded("images")
        self.registry: dict = {}
        self.processes: list[str] = []
        self.told: list[tuple] = []
        self.release = (2, 26, 1)
        self.realm = ""

    def of(self, service: str) -> dict:
        (found,) = [one for one in self.listed if one["Labels"]["com.docker.compose.service"] == service]
        return found

    def render(self, project, source):
        self.processes.append("config")
        return copy.deepcopy(self.model)

    def hashes(self, project, source, model, profiles):
        self.processes.append("hash")
        shared = model["services"].get("side", {}).get("network_mode", "")
        disabled = {"tool": "t1"} if "*" in profiles else {}
        return {**disabled, **self.known["resolved" if shared.startswith("container:") else "plain"]}

    def version(self):
        self.processes.append("version")
        return self.release

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

    def last_words(self, container):
        return "no way"

    def __getattr__(self, verb):
        return lambda *args, **more: self.told.append((verb, *args, *more.values()))


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Where projects are kept, and a project of files."""
    monkeypatch.setattr(compose_project, "place", lambda: str(tmp_path / "kept"))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/compose.yaml").write_text("services: {}\n")
    return tmp_path


def keep(folder: Path, engine: Engine, model: dict | None = None) -> None:
    """What is there was made by a task, of that."""
    path = folder / "kept/-/shop.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(model or engine.model))
    for one in engine.listed:
        one["Labels"]["com.docker.compose.project.config_files"] = str(path)


def drawn(engine, folder, owner="", **options):
    given = {} if {"definition", "project_name"} & options.keys() else {"project_src": str(folder / "shop")}
    defaults = {"state": "present", "pull": "policy", "build": "policy", "recreate": "auto"}
    resource = DockerCompose({**defaults, **given, **options}, owner=owner)
    return resource, resource.plan(read_one(resource, engine))


def found(engine, folder, **options) -> dict:
    return {one.name: (one.before, one.after) for one in drawn(engine, folder, **options)[1].changes}


def test_what_is_as_declared_costs_a_fixed_number_of_processes(engine, folder):
    _resource, plan = drawn(engine, folder, remove_orphans=True, wait=True)
    assert (plan.changes, plan.steps) == ((), ())
    assert engine.processes == ["config", "hash", "hash"], "the second asks for what shares a namespace"
    del engine.model["services"]["side"], engine.known["plain"]["side"]
    engine.listed = [one for one in engine.listed if "side" not in one["Names"][0]]
    engine.processes = []
    assert found(engine, folder) == {}
    assert engine.processes == ["config", "hash"]


def test_a_project_is_created_leaf_by_leaf(engine, folder):
    engine.listed, engine.nets, engine.vols = [], [], []
    _resource, plan = drawn(engine, folder)
    told = {one.name: one.after for one in plan.changes}
    assert told["config[db.environment.PASSWORD]"] == "x$y"
    assert (told["containers[db]"], told["state"]) == ("1 running", "running")
    assert (told["networks[shop_default]"], told["volumes[shop_store]"]) == ("present", "present")
    assert "config[tool.image]" not in told
    assert (plan.steps, engine.told) == (("up",), [])


@pytest.mark.parametrize(
    ("service", "state", "status", "change"),
    [
        ("db", "exited", "Exited (137) 2 seconds ago", ("1 stopped", "1 running")),
        ("db", "paused", "Up 2 minutes (Paused)", ("1 paused", "1 running")),
        ("db", "restarting", "Restarting (1) 2 seconds ago", ("1 restarting", "1 running")),
        ("web", "exited", "Exited (0) 2 seconds ago", ("1 stopped", "1 running")),
        ("migrate", "exited", "Exited (3) 2 seconds ago", ("1 stopped", "1 running")),
    ],
)
def test_a_container_that_does_not_run_is_seen(engine, folder, service, state, status, change):
    engine.of(service).update(State=state, Status=status)
    assert found(engine, folder)[f"containers[{service}]"] == change


def test_what_ended_well_is_no_failure_right_after(engine, folder):
    engine.of("web").update(State="exited", Status="Exited (0) 2 seconds ago")
    resource, plan = drawn(engine, folder)
    assert (bool(plan), bool(resource.settled().plan(plan.state))) == (True, False)
    engine.of("web").update(Status="Exited (3) 2 seconds ago")
    resource, plan = drawn(engine, folder)
    assert resource.settled().plan(plan.state)
    assert resource.explain(engine, plan.state).endswith("shop-web-1 said no way")


def test_a_change_is_told_leaf_by_leaf_and_what_follows_it(engine, folder):
    keep(folder, engine)
    engine.model["services"]["db"]["environment"]["LEVEL"] = "debug"
    for hashes in engine.known.values():
        hashes["db"] = "new"
    follow = {
        "config[migrate]": ("made", "made again with db"),
        "config[side]": ("made", "made again with web"),
        "config[web]": ("made", "made again with migrate"),
    }
    assert found(engine, folder) == {"config[db.environment.LEVEL]": ("info", "debug"), **follow}
    engine.release = (2, 35, 0)
    assert found(engine, folder) == {"config[db.environment.LEVEL]": ("info", "debug")}
    _resource, plan = drawn(engine, folder, recreate="never")
    assert (plan.changes, plan.restart_required) == ((), ["config[db.environment.LEVEL]"])
    (folder / "kept/-/shop.json").unlink()
    assert found(engine, folder)["config[db]"][1] == "hash new"


def test_another_image_behind_the_tag_is_seen(engine, folder):
    old = engine.pictures["web:1.0"]["Id"]
    engine.release = (2, 35, 0)
    engine.pictures["web:1.0"] = {**engine.pictures["web:1.0"], "Id": "sha256:new"}
    assert found(engine, folder)["image[db]"] == (old, "sha256:new")


def test_a_registry_is_asked_where_that_is_the_policy(engine, folder):
    engine.release = (2, 35, 0)
    engine.pictures["web:1.0"]["RepoDigests"] = ["web@sha256:here"]
    engine.registry["web:1.0"] = "sha256:here"
    assert found(engine, folder, pull="always") == {}
    engine.registry["web:1.0"] = "sha256:newer"
    assert found(engine, folder, pull="always")["image[db]"][1] == "pulled"
    engine.registry.clear()
    with pytest.raises(StrataError, match=r"services.db.image: is in no registry"):
        found(engine, folder, pull="always")
    engine.pictures.pop("web:1.0")
    with pytest.raises(StrataError, match="is not on this host"):
        found(engine, folder, pull="never")
    assert found(engine, folder, owner="lab"), "in a stack, another resource may make it before"


def test_what_is_built_is_built_again_for_its_content_alone(engine, folder):
    engine.release = (2, 35, 0)
    engine.model["services"]["web"]["build"]["context"] = str(folder / "shop")
    (folder / "shop/Dockerfile").write_text("FROM web:1.0\n")
    _resource, plan = drawn(engine, folder, build="always")
    wanted = plan.state.document.wanted
    assert (wanted.builds, wanted.want["image"]["web"]) == (True, "built")
    labels = wanted.model["services"]["web"]["build"]["labels"]
    engine.pictures["shop-web:latest"]["Config"]["Labels"] = labels
    assert found(engine, folder, build="always") == {}
    (folder / "shop/page").write_text("news\n")
    assert set(found(engine, folder, build="always")) == {"image[web]", "config[side]"}
    assert found(engine, folder) == {}
    engine.pictures.pop("shop-web:latest")
    with pytest.raises(StrataError, match="Let it be built"):
        found(engine, folder, build="never")


def test_number_health_orphans_networks_and_volumes(engine, folder):
    engine.of("db")["Status"] = "Up 2 minutes (unhealthy)"
    orphan = copy.deepcopy(engine.of("db"))
    orphan["Labels"]["com.docker.compose.service"], orphan["Names"] = "gone", ["/shop-gone-1"]
    once = copy.deepcopy(engine.of("db"))
    once["Labels"]["com.docker.compose.oneoff"] = "True"
    engine.listed += [orphan, once]
    engine.nets, engine.vols = [], []
    resource, plan = drawn(engine, folder, scale={"web": 3}, wait=True, remove_orphans=True)
    assert {one.name: (one.before, one.after) for one in plan.changes} == {
        "containers[web]": ("1 running", "3 running"),
        "health[db]": ("unhealthy", "healthy"),
        "networks[shop_default]": (None, "present"),
        "volumes[shop_store]": (None, "present"),
        "orphans": (["shop-gone-1"], []),
    }
    assert plan.steps == ("tidy", "up")
    resource.tidy(engine, plan)
    assert [one[0] for one in engine.told] == ["stop", "remove"]


def test_what_is_named_is_declared_with_what_it_needs(engine, folder):
    assert drawn(engine, folder, services=["web"])[1].state.document.wanted.services == {"web", "migrate", "db"}
    assert drawn(engine, folder, services=["web"], dependencies=False)[1].state.document.wanted.services == {"web"}
    tool = copy.deepcopy(engine.of("db"))
    tool["Labels"].update({"com.docker.compose.service": "tool", "com.docker.compose.config-hash": "t1"})
    engine.listed.append({**tool, "Names": ["/shop-tool-1"]})
    assert found(engine, folder, services=["tool"]) == {}, "naming it enables it, without its profile"
    for option, value in (("services", ["nowhere"]), ("scale", {"nowhere": 1})):
        with pytest.raises(StrataError, match="has no service nowhere"):
            drawn(engine, folder, **{option: value})


def test_words_that_compose_is_given(engine, folder):
    resource, plan = drawn(
        engine,
        folder,
        env_files=["prod.env"],
        profiles=["tools"],
        services=["db"],
        dependencies=False,
        scale={"db": 2},
        recreate="always",
        renew_anon_volumes=True,
        pull="missing",
        timeout=3,
        wait=True,
        wait_timeout=60,
    )
    resource.up(engine, plan)
    ((verb, name, source, profiles, words),) = engine.told
    kept = folder / "kept/-/shop.json"
    place = str(folder / "shop")
    assert (verb, name, profiles) == ("bring", "shop", ("tools",))
    assert source == Source(place, (str(kept),), (f"{place}/prod.env",))
    assert words == [
        *("up", "--detach", "--force-recreate", "--renew-anon-volumes", "--no-deps", "--wait", "--pull=missing"),
        *("--timeout=3", "--wait-timeout=60", "--scale=db=2", "db"),
    ]
    assert (json.loads(kept.read_text()), kept.stat().st_mode & 0o777) == (engine.model, 0o600)


def test_stopped_and_restarted(engine, folder):
    _resource, plan = drawn(engine, folder, state="restarted")
    assert ([one.field for one in plan.changes], plan.steps) == (["restart"], ("restart",))
    assert not _resource.settled().plan(plan.state)
    resource, plan = drawn(engine, folder, state="stopped", timeout=5)
    assert plan.steps == ("stop",)
    resource.stop(engine, plan)
    assert engine.told[-1][-1] == ["stop", "--timeout=5", "db", "migrate", "side", "web"]
    for one in engine.listed:
        one.update(State="exited", Status="Exited (0) 1 second ago")
    assert found(engine, folder, state="stopped") == {}
    resource, plan = drawn(engine, folder, state="stopped", scale={"web": 2})
    assert ([one.name for one in plan.changes], plan.steps) == (["containers[web]"], ("up",))
    resource.up(engine, plan)
    assert engine.told[-1][-1] == ["up", "--detach", "--no-start", "--scale=web=2"]


def test_absent_takes_all_of_it_and_nothing_else(engine, folder):
    keep(folder, engine)
    engine.listed.append({**copy.deepcopy(engine.of("db")), "Labels": {}, "Names": ["/other"], "Id": "other"})
    whole = {"remove_volumes": True, "remove_images": "all"}
    resource, plan = drawn(engine, folder, project_name="shop", state="absent", **whole)
    assert [(one.field, one.before, one.effect) for one in plan.changes] == [
        ("state", "running", Effect.REMOVE),
        ("kept_volumes", ["shop_store"], Effect.REMOVE),
        ("kept_images", ["shop-web:latest"], Effect.REMOVE),
    ], "another container is made from web:1.0"
    engine.processes = []
    resource.remove(engine, plan)
    order = {one["Id"]: one["Labels"].get("com.docker.compose.service") for one in engine.listed}
    removed = [order[one[1]] for one in engine.told if one[0] == "remove"]
    assert removed == ["side", "web", "migrate", "db"]
    assert [one for one in engine.told if one[0].startswith("remove_")] == [
        ("remove_network", "shop_default"),
        ("remove_volume", "shop_store"),
        ("remove_image", "shop-web:latest", False),
    ]
    assert (engine.processes, (folder / "kept/-/shop.json").exists()) == ([], False)
    engine.listed, engine.nets = [], []
    assert found(engine, folder, project_name="shop", state="absent") == {}
    assert set(found(engine, folder, project_name="shop", state="absent", remove_volumes=True)) == {"kept_volumes"}


def test_what_a_killed_compose_left_is_put_right(engine, folder):
    old = engine.of("db")["Id"]
    new = copy.deepcopy(engine.of("db"))
    new.update(Id="f" * 64, Names=[f"/{old[:12]}_shop-db-1"], State="created", Status="Created")
    new["Labels"]["com.docker.compose.replace"] = old
    engine.listed.append(new)
    resource, plan = drawn(engine, folder)
    assert [one.name for one in plan.changes] == ["containers[db]"]
    resource.up(engine, plan)
    assert engine.told[0] == ("remove", new["Id"])
    engine.listed = [one for one in engine.listed if one["Id"] != old]
    engine.told = []
    resource, plan = drawn(engine, folder)
    resource.up(engine, plan)
    assert engine.told[0] == ("rename", new["Id"], "shop-db-1")


def test_a_network_that_compose_leaves_is_refused(engine, folder):
    before = copy.deepcopy(engine.model)
    keep(folder, engine, before)
    engine.model["networks"]["default"]["internal"] = True
    with pytest.raises(StrataError, match=r"networks.default: is there already.*Remove it first"):
        found(engine, folder)
    engine.nets[-1]["Labels"]["com.docker.compose.config-hash"] = "old"
    assert found(engine, folder) == {"networks[shop_default]": ("as it was declared", "present")}


def test_what_is_external_is_there_or_made_before(engine, folder):
    engine.model["networks"]["default"] = {"name": "front", "external": True}
    with pytest.raises(StrataError, match="there is no network front"):
        found(engine, folder)
    definition = {
        "services": {"web": {"image": "web"}, "job": {"build": "."}},
        "networks": {"default": {"name": "front", "external": True}, "own": None},
        "volumes": {"data": {"external": True}},
    }
    resource = DockerCompose({"project_name": "shop", "definition": definition, "state": "present"}, owner="lab")
    assert sorted(resource.needs()) == [
        ("docker_image", "shop-job:latest"),
        ("docker_image", "web:latest"),
        ("docker_network", "front"),
        ("docker_volume", "data"),
    ]
    resource.promised = frozenset(resource.needs())
    assert read_one(resource, engine).status == "running"


def test_what_volumes_from_names_is_told_by_what_is_kept(engine, folder):
    engine.release = (2, 35, 0)
    keep(folder, engine)
    engine.model["services"]["web"]["volumes_from"] = ["db"]
    engine.known["plain"]["web"] = engine.known["resolved"]["web"] = "what no file can say"
    told = found(engine, folder)
    assert told == {"config[web.volumes_from]": (None, ["db"])}
    (folder / "kept/-/shop.json").write_text(json.dumps(engine.model))
    assert found(engine, folder) == {}


def test_a_name_is_given_or_found(folder):
    def named(**options):
        return DockerCompose({"state": "present", **options}).name

    shop = folder / "shop"
    assert named(project_src=str(shop)) == "shop"
    (folder / "My.Shop").mkdir()
    assert named(project_src=str(folder / "My.Shop")) == "myshop"
    (shop / "compose.override.yaml").write_text('# on top\nname: "spring-1"  # of 2026\n')
    assert named(project_src=str(shop)) == "spring-1"
    assert named(project_src=str(shop), files=["compose.yaml"]) == "shop"
    assert named(project_src=str(shop), project_name="x") == "x"
    assert named(definition={"name": "inline", "services": {}}) == "inline"
    assert DockerCompose.key({"project_src": str(shop)}) == "docker_compose/spring-1"
    for options in ({}, {"definition": {"services": {}}}, {"project_name": "No Name"}):
        with pytest.raises(StrataError, match="project_name"):
            named(**options)


def test_a_project_that_calls_itself_otherwise_is_refused(engine, folder):
    engine.model["name"] = "other"
    with pytest.raises(StrataError, match="calls itself other"):
        found(engine, folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"definition": {}, "files": ["x"], "project_src": "/srv"}, "files: can't go with definition"),
        ({"files": ["x"], "project_name": "x"}, "project_src: is needed"),
        ({"scale": {"web": -1}, "project_name": "x"}, "scale: says -1 of web"),
    ],
)
def test_options_that_do_not_go_together(options, words):
    with pytest.raises(StrataError, match=words):
        DockerCompose({"state": "present", **options})


def test_files_that_are_not_there(engine, folder):
    (folder / "empty").mkdir()
    for options, words in (
        ({"project_name": "nowhere"}, "project_src: or definition is needed"),
        ({"project_name": "shop", "project_src": str(folder / "none")}, "is no folder of this host"),
        ({"project_name": "shop", "project_src": str(folder / "empty")}, "has no compose.yaml"),
    ):
        with pytest.raises(StrataError, match=words):
            drawn(engine, folder, **options)
    (folder / "shop/.env").write_text("A=1\nCOMPOSE_FILE=a.yaml:b.yaml\n")
    with pytest.raises(StrataError, match=r"COMPOSE_FILE in .*/.env names others"):
        drawn(engine, folder)
    assert drawn(engine, folder, files=["compose.yaml"])


def test_who_owns_it_is_told_by_its_containers(engine, folder):
    read = DockerCompose.read_many
    keep(folder, engine)
    assert read(engine, ["shop"])["shop"].owner == ""
    (folder / "kept/-/shop.json").unlink()
    for one in engine.listed:
        one["Labels"]["com.docker.compose.project.config_files"] = compose_project.kept_at("", "lab", "shop")
    assert (read(engine, ["shop"])["shop"].owner, DockerCompose.owned(engine, "lab")) == ("lab", ["shop"])
    engine.of("db")["Labels"]["com.docker.compose.project.config_files"] = "/srv/shop/compose.yaml"
    assert read(engine, ["shop"])["shop"].owner is None
    engine.listed = []
    assert read(engine, ["shop"])["shop"].owner is None
    kept = Path(compose_project.kept_at("", "lab", "shop"))
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")
    assert (read(engine, None)["shop"].owner, DockerCompose.owned(engine, "lab")) == ("lab", ["shop"])


def test_an_export_declares_what_is_there(engine, folder):
    keep(folder, engine)
    state = DockerCompose.read_many(engine, None)["shop"]
    assert DockerCompose.export("shop", state) == {
        "project_name": "shop",
        "definition": engine.model,
        "state": "present",
    }
    for one in engine.listed:
        one["Labels"]["com.docker.compose.project.config_files"] = "/srv/shop/a.yaml,/srv/shop/b.yaml"
    state = DockerCompose.read_many(engine, None)["shop"]
    assert DockerCompose.export("shop", state) == {
        "project_name": "shop",
        "project_src": "/srv/shop",
        "files": ["/srv/shop/a.yaml", "/srv/shop/b.yaml"],
        "state": "present",
    }


# The engine.


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Compose as a script that writes down how it is called."""
    path = tmp_path / "docker-compose"
    path.write_text(
        '#!/bin/sh\necho "$DOCKER_HOST $*" >>"$0.called"\ncat >"$0.stdin"\n'
        'case "$*" in *--hash*) echo "db abc";; *--short*) echo 2.26.1-4;; *up*) echo no way >&2; exit 3;;\n'
        '*) echo "{\\"name\\": \\"shop\\"}";; esac\n'
    )
    path.chmod(0o755)
    monkeypatch.setattr(compose.docker_plugins, "_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(Compose, "__init__", lambda self: setattr(self, "url", "unix:///run/docker.sock"))
    monkeypatch.setattr(Compose, "forget_images", lambda self: None)
    return path


def called(program: Path) -> list[str]:
    return Path(f"{program}.called").read_text().splitlines()


def test_how_compose_is_called(program):
    spoken = Compose()
    files = Source("/srv/shop", ("/srv/shop/compose.yaml",), ("/srv/prod.env",))
    assert spoken.render(None, files) == {"name": "shop"}
    assert spoken.render("shop", Source("/srv", text="{}")) == {"name": "shop"}
    assert Path(f"{program}.stdin").read_text() == "{}"
    assert spoken.hashes("shop", files, {"services": {}}, ["tools"]) == {"db": "abc"}
    assert json.loads(Path(f"{program}.stdin").read_text()) == {"services": {}}
    assert spoken.version() == (2, 26, 1)
    with pytest.raises(StrataError, match="docker-compose failed with status 3: no way"):
        spoken.bring("shop", files, ["tools"], ["up", "--detach"])
    host = "unix:///run/docker.sock"
    named = "--project-directory=/srv/shop --file=/srv/shop/compose.yaml --env-file=/srv/prod.env"
    assert called(program) == [
        f"{host} {named} --profile=* config --format=json",
        f"{host} --project-name=shop --project-directory=/srv --file=- --profile=* config --format=json",
        f"{host} --project-name=shop {named.replace('/srv/shop/compose.yaml', '-')} --profile=tools config --hash=*",
        f"{host} version --short",
        f"{host} --ansi=never --progress=plain --project-name=shop {named} --profile=tools up --detach",
    ]


def test_a_host_without_compose_is_told_so(monkeypatch):
    monkeypatch.setattr(compose.docker_plugins, "_FOLDERS", ())
    monkeypatch.setattr(command, "find", lambda program: None)
    with pytest.raises(StrataError, match=r"Docker Compose is not installed.*docker-compose-plugin"):
        Compose._program()
