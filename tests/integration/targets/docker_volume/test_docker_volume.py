# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_volume, looked at through Docker's own API and the host's files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.lab import docker_api
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run

IMAGE = "strata-volume:1"


@pytest.fixture(scope="module", autouse=True)
def _image(tmp_path_factory):
    """An image of busybox alone, without building."""
    tree = tmp_path_factory.mktemp("tree")
    (tree / "bin").mkdir()
    shutil.copy(shutil.which("busybox"), tree / "bin/busybox")
    archive = shutil.make_archive(str(tmp_path_factory.mktemp("tar") / "tree"), "tar", tree)
    run("docker", "import", archive, IMAGE)


def look(name: str) -> dict | None:
    found = docker_api.volume(name)
    if found is None:
        return None
    labels = {key: value for key, value in (found["Labels"] or {}).items() if not key.startswith("strata.")}
    return {"Driver": found["Driver"], "Options": found["Options"] or {}, "Labels": labels}


def again(*argv: str):
    """Somebody else makes it anew, by hand."""

    def drift(name: str) -> None:
        docker_api.ask(f"/volumes/{name}", "DELETE")
        run("docker", "volume", "create", *argv, name)

    return drift


def precious(name: str) -> Path:
    return Path(docker_api.volume(name)["Mountpoint"]) / "precious"


TMPFS = {"type": "tmpfs", "device": "tmpfs", "o": "size=64m"}
ANEW = {"recreate": "if_needed"}


class TestDockerVolume(Convergence):
    case = Case(
        kind="docker_volume",
        info="docker_volume_info",
        a={"driver_options": TMPFS, "labels": {"tier": "back"}, **ANEW, "keep": False},
        b={"labels": {"tier": "front"}, **ANEW, "keep": False},
        look=look,
        seen_a={"Driver": "local", "Options": TMPFS, "Labels": {"tier": "back"}},
        seen_b={"Driver": "local", "Labels": {"tier": "front"}},
        drifts={
            "removed": lambda name: docker_api.ask(f"/volumes/{name}", "DELETE"),
            "made anew, without options": again("--label", "tier=back"),
            "made anew, with other labels": again(
                *(word for key, value in TMPFS.items() for word in ("--opt", f"{key}={value}")), "--label", "tier=x"
            ),
        },
        touches=("engines.docker.Docker.create_volume", "engines.docker.Docker.remove_volume"),
        bad=(("driver", "strata-nowhere"), ("recreate", "perhaps"), ("nonsense", "1")),
        bad_names=("", "a/../b", "..", "-x", "x y", "x"),
    )

    @property
    def name(self) -> str:
        return self.case.name

    @pytest.fixture
    def container(self):
        def start(name: str, *argv: str) -> None:
            run("docker", "create", "--name", name, *argv, IMAGE, "/bin/busybox", "true")

        yield start
        docker_api.remove("strata-user")

    def test_what_is_in_it_is_never_lost_unless_it_was_said(self):
        self.apply({"labels": {"tier": "back"}})
        precious(self.name).write_text("data\n")
        told = self.foretold({"labels": {"tier": "front"}, "driver_options": TMPFS})
        assert (told["changed"], len(told["restart_required"])) == (False, 4)
        assert (precious(self.name).read_text(), look(self.name)["Labels"]) == ("data\n", {"tier": "back"})
        assert self.foretold({"labels": {"tier": "front"}, **ANEW})["changed"]
        assert not precious(self.name).exists()
        self.sees({"Labels": {"tier": "front"}})
        precious(self.name).write_text("data\n")
        self.unchanged({"labels": {"tier": "front"}, **ANEW})
        assert self.foretold({"recreate": "always"})["changed"]
        assert not precious(self.name).exists()

    def test_one_that_is_in_use_is_refused(self, container):
        self.apply({})
        container("strata-user", "--volume", f"{self.name}:/data")
        for spec in ({"state": "absent"}, {"labels": {"x": "y"}, **ANEW}, {"recreate": "always"}):
            for check in (True, False):
                with pytest.raises(Failed, match=r"is in use by strata-user.*Remove them first"):
                    self.apply(spec, check=check)
        assert look(self.name) is not None

    def test_a_stack_keeps_a_volume_unless_it_was_said(self):
        self.stack({})
        precious(self.name).write_text("data\n")
        gone = self.stack(None)
        assert (gone["changed"], precious(self.name).read_text()) == (False, "data\n")
        self.stack({"keep": False})
        assert self.stack(None)["changed"]
        assert look(self.name) is None

    def test_a_stack_that_lost_its_record_keeps_it(self):
        self.stack({"keep": False})
        self._forget()
        assert self.stack(None)["changed"] is False
        assert look(self.name) is not None

    def test_a_stack_makes_it_before_the_container_and_takes_it_away_after(self):
        container = {"name": "strata-user", "image": IMAGE, "state": "present", "command": ["/bin/busybox", "true"]}
        entries = [
            {"docker_container": {**container, "volumes": [f"{self.name}:/data"]}},
            {"docker_volume": {"name": self.name, "labels": {"tier": "back"}, "keep": False}},
        ]
        stack = {"name": self.owner, "prune": True, "resources": entries}
        assert call("stack", stack)["changed"]
        self.sees({"Labels": {"tier": "back"}})
        assert call("stack", stack)["changed"] is False
        (told,) = call("docker_volume_info", {"name": [self.name]})["resources"]
        assert told["facts"]["containers"] == {"strata-user": self.owner}
        self.stack(None)
        assert look(self.name) is None

    def test_volumes_without_a_name_are_not_told(self, container):
        container("strata-user", "--volume", "/data")
        (mount,) = docker_api.container("strata-user")["Mounts"]
        self.apply({})
        told = {one["name"] for one in call("docker_volume_info", {})["resources"]}
        assert (mount["Name"] in told, self.name in told) == (False, True)
        run("docker", "rm", "--volumes", "strata-user")
