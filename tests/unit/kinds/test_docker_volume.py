# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_volume, read and planned from documents as a daemon (26.1) says them."""

from __future__ import annotations

import pytest

from ansible_collections.strata.virt.plugins.module_utils.core.errors import StrataError
from ansible_collections.strata.virt.plugins.module_utils.core.plan import ABSENT, Effect
from ansible_collections.strata.virt.plugins.module_utils.engines.docker import OWNER
from ansible_collections.strata.virt.plugins.module_utils.kinds.docker_volume import DockerVolume

TMPFS = {"type": "tmpfs", "device": "tmpfs", "o": "size=64m"}


def volume(name: str = "pgdata", **more) -> dict:
    return {
        "CreatedAt": "2026-11-25T21:43:21Z",
        "Driver": "local",
        "Labels": None,
        "Mountpoint": f"/var/lib/docker/volumes/{name}/_data",
        "Name": name,
        "Options": None,
        "Scope": "local",
        **more,
    }


def user(name: str, source: str = "pgdata", sort: str = "volume", owner: str | None = None) -> dict:
    mount = {"Type": sort, "Name": source, "Source": "", "Destination": "/data", "Driver": "local", "RW": True}
    labels = {} if owner is None else {OWNER: owner}
    return {"Id": "f" * 64, "Names": [f"/{name}"], "Labels": labels, "State": "exited", "Mounts": [mount]}


class Daemon:
    """Keeps volumes as the real one does, and refuses drivers that it doesn't have."""

    def __init__(self, *volumes: dict, containers: tuple = ()) -> None:
        self.kept = {one["Name"]: one for one in volumes}
        self.users = list(containers)
        self.told: list[tuple[str, str]] = []

    def volumes(self):
        return list(self.kept.values())

    def containers(self):
        return self.users

    def create_volume(self, body):
        self.told.append(("create", body["Name"]))
        if body["Driver"] != "local":
            raise StrataError(f"Docker refused: plugin {body['Driver']!r} not found")
        self.kept[body["Name"]] = volume(body["Name"], Labels=body["Labels"], Options=body["DriverOpts"])

    def remove_volume(self, name):
        self.told.append(("remove", name))
        del self.kept[name]


def declared(owner: str = "", applied: dict | None = None, **options) -> DockerVolume:
    return DockerVolume({"name": "pgdata", **options}, owner=owner, applied=applied)


def read(daemon: Daemon, name: str = "pgdata"):
    return DockerVolume.read_many(daemon, [name]).get(name, ABSENT)


def run(daemon: Daemon, resource: DockerVolume):
    """Plan and apply; what is left to do afterwards is nothing."""
    plan = resource.plan(read(daemon))
    for step in plan.steps:
        resource.perform(daemon, step, plan)
    assert not resource.settled().plan(read(daemon))
    return plan


def test_what_the_daemon_leaves_out_is_read_as_empty():
    state = read(Daemon(volume(), containers=(user("db"),)))
    assert state.config == {"driver": "local", "driver_options": {}, "labels": {}}
    assert state.facts == {"mountpoint": "/var/lib/docker/volumes/pgdata/_data", "containers": {"db": None}}
    assert state.owner is None


def test_mounts_that_only_share_the_name_are_no_use():
    strangers = (user("bind", sort="bind"), user("other", source="pgdata2"))
    assert read(Daemon(volume(), containers=strangers)).facts["containers"] == {}


def test_volumes_without_a_name_are_told_only_by_it():
    nameless = "0123456789abcdef" * 4
    daemon = Daemon(volume(), volume(nameless))
    assert set(DockerVolume.read_many(daemon, None)) == {"pgdata"}
    assert set(DockerVolume.read_many(daemon, [nameless, "gone"])) == {nameless}


def test_made_with_its_owner_and_unchanged_after():
    daemon = Daemon()
    plan = run(daemon, declared(owner="site", labels={"tier": "back"}, driver_options=TMPFS))
    assert plan.steps == ("create",)
    assert daemon.kept["pgdata"]["Labels"] == {OWNER: "site", "tier": "back"}
    assert daemon.kept["pgdata"]["Options"] == TMPFS
    assert read(daemon).owner == "site"


def test_content_is_never_lost_by_default():
    daemon = Daemon(volume(Labels={"tier": "back"}))
    plan = declared(labels={"tier": "front"}, driver_options=TMPFS).plan(read(daemon))
    assert (bool(plan), plan.steps) == (False, ())
    assert plan.restart_required == [
        "driver_options[device]",
        "driver_options[o]",
        "driver_options[type]",
        "labels[tier]",
    ]


@pytest.mark.parametrize("policy", ["if_needed", "always"])
def test_made_anew_if_it_was_said(policy):
    daemon = Daemon(volume(Labels={OWNER: "", "theirs": "1", "tier": "back"}))
    plan = run(daemon, declared(labels={"tier": "front"}, recreate=policy))
    assert [change.effect for change in plan.changes] == [Effect.RECREATE]
    assert daemon.told == [("remove", "pgdata"), ("create", "pgdata")]
    assert daemon.kept["pgdata"]["Labels"] == {OWNER: "", "theirs": "1", "tier": "front"}


def test_always_makes_it_anew_even_if_nothing_changed():
    daemon = Daemon(volume())
    assert not declared(recreate="if_needed").plan(read(daemon))
    assert run(daemon, declared(recreate="always")).steps == ("recreate",)


def test_the_old_one_is_back_if_the_new_one_is_refused():
    daemon = Daemon(volume(Labels={"tier": "back"}, Options=TMPFS))
    resource = declared(driver="nowhere", recreate="if_needed")
    plan = resource.plan(read(daemon))
    with pytest.raises(StrataError, match="plugin 'nowhere' not found"):
        resource.recreate(daemon, plan)
    assert (daemon.kept["pgdata"]["Labels"], daemon.kept["pgdata"]["Options"]) == ({"tier": "back"}, TMPFS)


@pytest.mark.parametrize(
    "options",
    [{"state": "absent"}, {"recreate": "always"}, {"recreate": "if_needed", "labels": {"x": "y"}}],
)
def test_one_in_use_is_refused_with_its_users(options):
    daemon = Daemon(volume(), containers=(user("web"), user("db")))
    with pytest.raises(StrataError, match=r"is in use by db, web"):
        declared(**options).plan(read(daemon))


def test_containers_of_the_same_stack_go_first_and_are_looked_at_again():
    daemon = Daemon(volume(Labels={OWNER: "site"}), containers=(user("db", owner="site"),))
    resource = declared(owner="site", state="absent")
    plan = resource.plan(read(daemon))
    assert plan.steps == ("remove",)
    with pytest.raises(StrataError, match="is in use by db"):
        resource.remove(daemon, plan)
    assert (daemon.told, list(daemon.kept)) == ([], ["pgdata"])
    daemon.users = []
    resource.remove(daemon, plan)
    assert not daemon.kept


@pytest.mark.parametrize(
    ("applied", "goes"), [(None, False), ({"keep": True}, False), ({}, False), ({"keep": False}, True)]
)
def test_a_stack_prunes_only_what_was_said_not_to_keep(applied, goes):
    resource = declared(owner="site", applied=applied, state="absent")
    assert resource.prunable(read(Daemon(volume(Labels={OWNER: "site"})))) is goes


@pytest.mark.parametrize("name", ["", "x", "a/b", "..", "-x"])
def test_bad_names_are_refused(name):
    with pytest.raises(StrataError, match="name"):
        DockerVolume({"name": name})


def test_an_export_declares_what_is_there():
    daemon = Daemon(volume(Labels={OWNER: "site", "tier": "back"}, Options=TMPFS))
    options = DockerVolume.export("pgdata", read(daemon))
    assert options == {
        "name": "pgdata",
        "driver": "local",
        "driver_options": TMPFS,
        "labels": {"tier": "back"},
        "state": "present",
    }
    assert not DockerVolume({**options, "recreate": "if_needed"}).plan(read(daemon))
