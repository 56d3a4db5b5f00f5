# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_quadlet: what options come to in a file, and what a file and its service come to."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.resource import read_one
from ansible_collections.strata.virt.plugins.module_utils.engines import quadlet
from ansible_collections.strata.virt.plugins.module_utils.kinds.podman_quadlet import PodmanQuadlet


class Quadlets:
    """Files and services, as the real ones are."""

    def __init__(self, lingers: bool = True, refuses: str = "") -> None:
        self.user = SimpleNamespace(uid=1000, lingers=lingers)
        self.files: dict[tuple[str, str], str] = {}
        self.shown: dict[str, dict] = {}
        self.starters: dict[str, str] = {}
        self.since, self.refuses = 10.0, refuses

    def names(self):
        found: dict[str, list[str]] = {}
        for name, sort in self.files:
            found.setdefault(name, []).append(sort)
        return found

    def path(self, name, sort):
        return f"/etc/containers/systemd/users/1000/{name}.{sort}"

    def text(self, name, sort):
        return self.files.get((name, sort))

    def written(self, _name, _sort):
        return self.since

    def show(self, units):
        return {unit: self.shown.get(unit, {"ActiveState": "inactive"}) for unit in units}

    def check(self, _name, _sort, _text):
        if self.refuses:
            raise StrataError(self.refuses)

    def starter(self, container):
        return self.starters.get(container)

    def write(self, name, sort, text):
        self.files[name, sort] = text

    def runs(self, unit: str, since: float = 20) -> None:
        self.shown[unit] = {
            "ActiveState": "active",
            "MainPID": "7",
            "InactiveExitTimestampMonotonic": str(int(since * 1_000_000)),
        }


def declared(**options) -> PodmanQuadlet:
    return PodmanQuadlet({"name": "web", **options})


def lines(**options) -> dict:
    return declared(**options)._lines()


def plan(engine, resource):
    return resource.plan(read_one(resource, engine))


def has(resource: PodmanQuadlet, since: float = 20, **more) -> Quadlets:
    """Those of a host on which it runs as declared."""
    engine = Quadlets(**more)
    resource.create(engine, plan(engine, resource))
    engine.runs(quadlet.service(resource.called, resource.sort), since)
    return engine


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("image", "localhost/web:1.0", {"Image": ("localhost/web:1.0",)}),
        ("command", ["sh", "-c", "echo $A 'b c'"], {"Exec": ("sh -c \"echo $$A 'b c'\"",)}),
        ("entrypoint", ["/bin/sh", "-c"], {"Entrypoint": ('["/bin/sh", "-c"]',)}),
        ("env", {"A": "b c", "D": "e"}, {"Environment": ('"A=b c"', "D=e")}),
        ("published_ports", ["127.0.0.1:8080:80", "53:53/udp"], {"PublishPort": ("127.0.0.1:8080:80", "53:53/udp")}),
        ("volumes", ["/srv/www:/srv/www:ro,Z"], {"Volume": ("/srv/www:/srv/www:Z,ro",)}),
        ("networks", [{"name": "back.network", "aliases": ["db"]}], {"Network": ("back.network:alias=db",)}),
        ("network_mode", "host", {"Network": ("host",)}),
        ("read_only", True, {"ReadOnly": ("true",), "ReadOnlyTmpfs": ("false",)}),
        ("cap_drop", ["ALL"], {"DropCapability": ("ALL",)}),
        (
            "security_opts",
            ["no-new-privileges", "label=disable"],
            {"NoNewPrivileges": ("true",), "PodmanArgs": ("--security-opt=label=disable",)},
        ),
        ("userns_mode", "keep-id", {"UserNS": ("keep-id",)}),
        ("memory", "64M", {"PodmanArgs": ("--memory=67108864",)}),
        ("cpus", 0.5, {"PodmanArgs": ("--cpus=0.5",)}),
        ("pids_limit", "max", {"PidsLimit": ("-1",)}),
        ("ulimits", ["nofile:1024:2048"], {"Ulimit": ("nofile=1024:2048",)}),
        ("etc_hosts", {"db": "192.0.2.7"}, {"AddHost": ("db:192.0.2.7",)}),
        ("sysctls", {"net.ipv4.ip_forward": "1"}, {"Sysctl": ("net.ipv4.ip_forward=1",)}),
        ("init", True, {"RunInit": ("true",)}),
        ("pod", "shop", {"Pod": ("shop.pod",)}),
        (
            "healthcheck",
            {"test": ["CMD", "true"], "interval": "1m30s", "timeout": "500ms", "retries": 2},
            {
                "HealthCmd": ('["CMD", "true"]',),
                "HealthInterval": ("90s",),
                "HealthTimeout": ("500ms",),
                "HealthRetries": ("2",),
                "Notify": ("healthy",),
            },
        ),
    ],
)
def test_an_option_by_its_key(option, value, expected):
    written = lines(container={option: value})
    assert written.pop("Install.WantedBy") == ("default.target",)
    assert written.pop("Container.ContainerName") == ("web",)
    assert written == {f"Container.{key}": texts for key, texts in expected.items()}


def test_settings_come_in_the_place_of_what_options_say():
    said = {"Container": {"ContainerName": None, "Label": ["a=b", "c=d"]}, "Service": {"Restart": "always"}}
    written = lines(container={"image": "x"}, enabled=False, settings=said)
    assert written == {
        "Container.Image": ("x",),
        "Container.Label": ("a=b", "c=d"),
        "Service.Restart": ("always",),
    }


@pytest.mark.parametrize("sort", ["volume", "network", "image", "build", "pod", "kube"])
def test_other_sorts_by_their_own_keys(sort):
    section = quadlet.SORTS[sort][0]
    resource = declared(**{sort: {"Label": "a=b"}})
    assert (resource.name, resource.sort) == (f"web.{sort}", sort)
    assert resource._lines()[f"{section}.Label"] == ("a=b",)
    assert ("Install.WantedBy" in resource._lines()) is (sort in ("pod", "kube"))


def test_a_file_says_again_what_was_written():
    content = {"Container.Image": ("x",), "Container.Exec": ("date +%s",), "Service.Environment": ("A=1", "B=2")}
    text = quadlet.render(content, "site")
    assert "Exec=date +%%s" in text
    assert quadlet.read(text) == (content, "site")
    assert quadlet.read(quadlet.render(content, "")) == (content, "")
    assert quadlet.read("[Container]\nImage=x\n") == ({"Container.Image": ("x",)}, None)


def test_as_declared_is_unchanged_and_exported():
    resource = declared(container={"image": "x", "memory": "64M"}, settings={"Service": {"Restart": "always"}})
    engine = has(resource)
    assert not plan(engine, resource)
    state = read_one(resource, engine)
    assert (state.status, state.facts["pid"], state.facts["service"]) == ("running", 7, "web.service")
    exported = PodmanQuadlet.export("web.container", state)
    assert not plan(engine, PodmanQuadlet(exported))
    assert not plan(engine, PodmanQuadlet({**exported, "name": "web.container"}))


def test_a_change_is_stored_and_needs_a_restart_that_has_to_be_allowed():
    resource = declared(container={"image": "x"})
    engine = has(resource)
    newer = declared(container={"image": "y"}, restart="if_needed")
    assert plan(engine, newer).steps == ("configure", "restart")
    held = plan(engine, declared(container={"image": "y"}))
    assert (held.steps, held.restart_required) == (("configure",), ["content[Container.Image]"])
    assert "content[Container.Image]" in {change.name for change in held.changes}


def test_what_runs_from_an_older_file_is_told():
    resource = declared(container={"image": "x"})
    engine = has(resource, since=5)
    assert plan(engine, resource).restart_required == ["outdated"]
    assert plan(engine, declared(container={"image": "x"}, restart="if_needed")).steps == ("restart",)


def test_what_somebody_added_is_taken_out():
    resource = declared(container={"image": "x"})
    engine = has(resource)
    place = ("web", "container")
    engine.files[place] = engine.files[place].replace("[Container]\n", "[Container]\nEnvironment=BY=hand\n")
    (change, *_more) = plan(engine, resource).changes
    assert (change.name, change.before, change.after) == ("content[Container.Environment]", ("BY=hand",), None)


def test_somebody_elses_file_and_what_the_generator_refuses():
    engine = Quadlets()
    engine.files["web", "container"] = "[Container]\nImage=x\n"
    with pytest.raises(StrataError, match=r"web\.container was written by somebody else"):
        plan(engine, declared(container={"image": "x"}))
    with pytest.raises(StrataError, match="unsupported key"):
        plan(Quadlets(refuses="unsupported key"), declared(container={"image": "x"}))


def test_a_plain_users_goes_on_without_a_session():
    resource = declared(container={"image": "x"})
    assert plan(Quadlets(lingers=False), resource).steps == ("outlive", "create", "start")
    assert plan(Quadlets(lingers=False), declared(container={"image": "x"}, linger=False)).steps == ("create", "start")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "container: is needed, or another sort"),
        ({"container": {"image": "x"}, "volume": {"Label": "a"}}, "volume: can't go with container"),
        ({"container": {"image": "x"}, "sort": "pod"}, "container: can't go with sort: pod"),
        ({"container": {"memory": "12X"}}, "container.memory: is no size"),
        ({"pod": {"a b": "c"}}, "is no section and key"),
        ({"settings": {"X-Strata": {"Owner": "me"}}}, "is no section and key"),
        ({"settings": {"Service": {"ExecStartPre": "a\\"}}}, "backslash at its end"),
        ({"settings": {"Service": "x"}}, "are sections with their keys"),
    ],
)
def test_what_can_not_be_is_refused(options, said):
    with pytest.raises(StrataError, match=said):
        declared(**options)


@pytest.mark.parametrize(
    ("starter", "refused"), [(None, False), ("web.service", False), ("", True), ("other.service", True)]
)
@pytest.mark.parametrize("state", ["started", "stopped", "present"])
def test_a_container_of_another_maker_is_not_replaced(starter, refused, state):
    engine = Quadlets()
    if starter is not None:
        engine.starters["web"] = starter
    resource = declared(container={"image": "a"}, state=state)
    if refused:
        with pytest.raises(StrataError, match=r"a container web that web\.service hasn't started"):
            plan(engine, resource)
    else:
        assert plan(engine, resource).changes


def test_the_name_that_counts_is_the_containers_own():
    engine = Quadlets()
    engine.starters["site"] = ""
    settings = {"Container": {"ContainerName": "site"}}
    with pytest.raises(StrataError, match="a container site"):
        plan(engine, declared(container={"image": "a"}, settings=settings))
