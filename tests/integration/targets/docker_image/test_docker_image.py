# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker_image, looked at through Docker's own command line, an archive's own manifest and a registry's own HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.contexts import context
from tests.lab.convergence import Case, Convergence
from tests.lab.docker_images import CONTEXTS, inspect, look
from tests.lab.driver import Failed, call, run
from tests.lab.registry import DEPLOY_AND_CI, Registry

REGISTRY, REFUSING = "127.0.0.1:5017", "127.0.0.1:5018"


@pytest.fixture(scope="module", autouse=True)
def _contexts():
    context(CONTEXTS / "a", "a\n", "ARG MARK=none", "ENV MARK=$MARK")
    context(CONTEXTS / "b", "b\n")
    yield
    shutil.rmtree(CONTEXTS)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with Registry(tmp_path_factory.mktemp("registry"), REGISTRY) as started:
        yield started


def runs(*argv: str) -> bool:
    """Whether there is such a process. No program is run to see: a module that is forked meanwhile keeps its pipes."""
    wanted = b"".join(word.encode() + b"\0" for word in argv)
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if place.read_bytes() == wanted:
                return True
    return False


def dangling() -> list[str]:
    return sorted(run("docker", "images", "--quiet", "--filter", "dangling=true").split())


def built_upon(name: str) -> None:
    """Somebody puts a layer upon it, under the same name: the labels are inherited."""
    made = run("docker", "create", name, "/bin/busybox", "true")
    run("docker", "cp", "/etc/hostname", f"{made}:/hostname")
    run("docker", "commit", made, name)
    run("docker", "rm", made)


def another_tagged(name: str) -> None:
    made = run("docker", "create", name, "/bin/busybox", "true")
    run("docker", "commit", "--change", "LABEL strata.image.name=other:1", made, name)
    run("docker", "rm", made)


A = {"path": str(CONTEXTS / "a"), "args": {"MARK": "one"}, "labels": {"tier": "back"}}
B = {"path": str(CONTEXTS / "b"), "labels": {"tier": "front"}}


class Built(Convergence):
    """Whoever builds it."""

    builder: str

    @property
    def name(self) -> str:
        return self.case.name

    def test_options_of_a_build_reach_the_builder(self):
        kept = 'RUN ["/bin/busybox", "cp", "/etc/hosts", "/hosts"]'
        path = context(CONTEXTS / "options", "x\n", kept, "FROM scratch AS unwanted", "COPY nothing /nothing")
        build = {
            "path": path,
            "builder": self.builder,
            "target": "built",
            "network": "none",
            "etc_hosts": {"db": "192.0.2.7", "six": "2001:db8::7"},
        }
        self.apply({"build": build})
        hosts = run("docker", "run", "--rm", "--network=none", self.name, "/bin/busybox", "cat", "/hosts")
        rows = [line.split() for line in hosts.splitlines()]
        assert (["192.0.2.7", "db"] in rows, ["2001:db8::7", "six"] in rows) == (True, True)

    def test_a_build_that_fails_says_its_last_lines_and_leaves_what_was_there(self):
        self.apply(self.case.a)
        image = inspect(self.name)["Id"]
        wrong = context(CONTEXTS / "wrong", "x\n", 'RUN ["/bin/busybox", "cat", "/not/there"]')
        with pytest.raises(Failed, match=r"Building strata-test:1 failed: .*can't open '/not/there'"):
            self.apply({"build": {"path": wrong, "network": "none", "builder": self.builder}})
        assert inspect(self.name)["Id"] == image


class TestDockerImage(Built):
    builder = "buildkit"
    case = Case(
        kind="docker_image",
        info="docker_image_info",
        name="strata-test:1",
        another=lambda name, mark: f"strata-test{mark}:1",
        a={"build": A},
        b={"build": B},
        look=look,
        seen_a={"Labels": {"tier": "back"}, "Marks": ["MARK=one"], "Layers": 2},
        seen_b={"Labels": {"tier": "front"}, "Marks": [], "Layers": 2},
        drifts={
            "its name taken away": lambda name: run("docker", "rmi", name),
            "built upon under the same name": built_upon,
            "another image under its name": another_tagged,
        },
        touches=(
            "engines.buildkit.BuildKit.build_kit",
            "engines.docker_images.DockerImages.tag",
            "engines.docker_images.DockerImages.sweep",
        ),
        bad=(("source", "thin air"), ("tag", "a b"), ("load_path", "/nowhere"), ("nonsense", "1")),
        bad_names=("", "a/../b", "..", "-x", "x y", "Web"),
    )

    def test_built_again_when_what_is_in_its_context_changes_and_only_then(self):
        folder = Path(context(CONTEXTS / "changing", "one\n"))
        (folder / ".dockerignore").write_text("ignored\n")
        spec = {"build": {"path": str(folder)}}
        before = dangling()
        self.apply(spec)
        image = inspect(self.name)["Id"]
        (folder / "ignored").write_text("x")
        os.utime(folder / "said", (1, 1))
        self.unchanged(spec)
        (folder / "said").write_text("two\n")
        assert [change["field"] for change in self.foretold(spec)["changes"]] == ["context"]
        self.unchanged(spec)
        assert inspect(self.name)["Id"] != image
        assert (
            run("docker", "run", "--rm", "--network=none", self.name, "/bin/busybox", "cat", "/context/said") == "two"
        )
        assert dangling() == before, "what it replaced was left"
        (folder / "said").chmod(0o600)
        assert self.foretold(spec)["changed"]

    def test_tags_and_archives(self, tmp_path):
        archive = tmp_path / "image.tar"
        spec = {**self.case.a, "repository": ["strata-test-more:2"], "archive_path": str(archive)}
        assert self.foretold(spec)["changed"]
        self.unchanged(spec)
        image = inspect(self.name)["Id"]
        assert inspect("strata-test-more:2")["Id"] == image
        with tarfile.open(archive) as tar:
            (entry,) = json.load(tar.extractfile("manifest.json"))
        assert (entry["RepoTags"], image.split(":")[1] in entry["Config"]) == ([self.name], True)
        run("docker", "rmi", "strata-test-more:2")
        archive.unlink()
        assert self.foretold(spec)["changed"]
        assert (inspect("strata-test-more:2")["Id"], archive.exists()) == (image, True)

        self.apply({"state": "absent"})
        assert (inspect(self.name), inspect("strata-test-more:2")["Id"]) == (None, image)
        self.apply({"state": "absent"}, "strata-test-more:2")
        assert inspect(image) is None

        loaded = {"load_path": str(archive)}
        assert self.foretold(loaded)["changed"]
        self.unchanged(loaded)
        assert inspect(self.name)["Id"] == image
        archive.write_text("nonsense")
        with pytest.raises(Failed, match="load_path: is no archive"):
            self.apply(loaded, check=True)

    def test_pushed_and_pulled(self, registry):
        there = f"{REGISTRY}/team/web:1"
        with pytest.raises(Failed, match="manifest unknown"):
            self.apply({}, there)
        spec = {**self.case.a, "repository": [there], "push": True}
        assert self.foretold(spec)["changed"]
        digest = registry.digest("team/web", "1")
        assert digest is not None
        self.unchanged(spec)
        assert self.foretold({**spec, "build": B})["changed"]
        newer = registry.digest("team/web", "1")
        assert newer not in (None, digest)

        run("docker", "rmi", there, self.name)
        assert self.apply({}, there)["changed"]
        assert self.apply({"force_source": True}, there)["changed"] is False
        (pulled,) = inspect(there)["RepoDigests"]
        assert pulled.endswith(newer)
        self.apply(spec)
        run("docker", "rmi", there)
        run("docker", "tag", self.name, there)
        run("docker", "rmi", self.name)
        self.apply({**self.case.b, "repository": [f"{REGISTRY}/team/other:1"], "push": True})
        run("docker", "tag", self.name, there)
        assert self.apply({}, there)["changed"] is False
        assert self.apply({"force_source": True}, there, check=True)["changed"]
        assert self.apply({"force_source": True}, there)["changed"]
        assert inspect(there)["Config"]["Labels"]["tier"] == "back"
        self.apply({"state": "absent"}, f"{REGISTRY}/team/other:1")

    def test_a_disk_that_is_full(self, tmp_path):
        self.apply(self.case.a)
        place = tmp_path / "full"
        place.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place))
        try:
            (place / "image.tar").write_text("of yesterday")
            with pytest.raises(Failed, match=r"archive_path: could not be written: No space left on device"):
                self.apply({**self.case.a, "archive_path": str(place / "image.tar")})
            left = {path.name: path.read_text() for path in place.iterdir()}
            assert left == {"image.tar": "of yesterday"}
        finally:
            run("umount", str(place))
        with pytest.raises(Failed, match=r"archive_path: could not be written: No such file or directory"):
            self.apply({**self.case.a, "archive_path": "/nowhere/image.tar"})

    def test_a_registry_that_refuses(self, tmp_path):
        there = f"{REFUSING}/team/web:1"
        pushed = {**self.case.a, "repository": [there], "push": True}
        tried = ((pushed, self.name), ({}, f"{REFUSING}/team/other:1"))
        with Registry(tmp_path, REFUSING, DEPLOY_AND_CI):
            for spec, name in tried:
                with pytest.raises(Failed, match="no basic auth credentials"):
                    self.apply(spec, name)
        for spec, name in tried:
            with pytest.raises(Failed, match="connection refused"):
                self.apply(spec, name)
        assert self.apply({**self.case.a, "repository": [there]})["changed"] is False, "what could be done is done"
        self.apply({"state": "absent"}, there)

    def test_pushed_and_pulled_by_who_is_logged_in(self, tmp_path):
        there = f"{REFUSING}/team/web:1"
        pushed = {**self.case.a, "repository": [there], "push": True}
        login = {"registry_url": REFUSING, "username": "deploy", "password": "correct horse"}
        with Registry(tmp_path, REFUSING, DEPLOY_AND_CI) as registry:
            call("docker_login", login)
            try:
                self.foretold(pushed)
                self.unchanged(pushed)
                assert registry.digest("team/web", "1") is None
                assert registry.digest("team/web", "1", "deploy:correct horse")
                image = inspect(self.name)["Id"]
                for name in (there, self.name):
                    self.apply({"state": "absent"}, name)
                assert self.apply({}, there)["changed"]
                assert inspect(there)["Id"] == image
            finally:
                call("docker_login", {"registry_url": REFUSING, "state": "absent"})
            with pytest.raises(Failed, match="no basic auth credentials"):
                self.apply({"force_source": True}, there)
        self.apply({"state": "absent"}, there)

    def test_two_builds_at_the_same_time(self):
        path = context(CONTEXTS / "twice", "x\n")
        before = dangling()
        with ThreadPoolExecutor() as pool:
            runs = [pool.submit(self.apply, {"build": {"path": path}}) for _turn in range(2)]
        assert sorted(one.result()["changed"] for one in runs) == [False, True]
        self.unchanged({"build": {"path": path}})
        assert dangling() == before

    def test_the_engine_is_restarted_while_it_builds(self):
        self.apply(self.case.a)
        image = inspect(self.name)["Id"]
        path = context(CONTEXTS / "long", "x\n", 'RUN ["/bin/busybox", "sleep", "3"]')
        spec = {"build": {"path": path, "network": "none", "nocache": True}}
        with ThreadPoolExecutor() as pool:
            building = pool.submit(self.apply, spec)
            while not runs("/bin/busybox", "sleep", "3"):
                assert not building.done(), building.result()
                time.sleep(0.05)
            run("systemctl", "restart", "docker")
            with pytest.raises(Failed, match=r"Building strata-test:1 failed"):
                building.result()
        assert inspect(self.name)["Id"] == image
        assert self.foretold(spec)["changed"]
        self.unchanged(spec)

    def test_one_that_a_container_was_made_from_is_refused(self):
        self.apply(self.case.a)
        run("docker", "create", "--name", "strata-user", self.name, "/bin/busybox", "true")
        try:
            for check in (True, False):
                with pytest.raises(Failed, match="is in use by strata-user"):
                    self.apply({"state": "absent"}, check=check)
            assert inspect(self.name) is not None
        finally:
            run("docker", "rm", "--force", "strata-user")


class TestTheOlderBuilder(Built):
    builder = "classic"
    case = replace(
        TestDockerImage.case,
        a={"build": {**A, "builder": "classic"}},
        b={"build": {**B, "builder": "classic"}},
        touches=("engines.docker_images.DockerImages.build", "engines.docker_images.DockerImages.sweep"),
    )

    def test_what_the_other_one_made_is_left(self):
        self.apply({"build": A})
        self.unchanged(self.case.a)
        assert self.foretold(self.case.b)["changed"]
        self.unchanged({"build": B})
