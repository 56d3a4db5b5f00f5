# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only BuildKit has, with the image looked at through Docker's own command line and its archive."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from tests.lab.contexts import context
from tests.lab.convergence import Case, Harness
from tests.lab.docker_images import CONTEXTS, inspect, look
from tests.lab.driver import Failed, call, run
from tests.lab.registry import Registry

TOKEN = "s3cr3t-of-the-build"
REGISTRY = "127.0.0.1:5023"
PLUGIN = Path("/usr/libexec/docker/cli-plugins/docker-buildx")
OWN_PLUGIN = Path("~/.docker/cli-plugins/docker-buildx").expanduser()
STORE = Path("/var/tmp/strata-another")
ANOTHER = "unix:///run/strata-another.sock"
READ = "RUN --mount=type=secret,id={id} " + json.dumps(["/bin/busybox", "sh", "-c", "wc -c </run/secrets/{id} >/{id}"])


@pytest.fixture(scope="module", autouse=True)
def _contexts():
    context(CONTEXTS / "plain", "x\n")
    yield
    shutil.rmtree(CONTEXTS)


@contextlib.contextmanager
def without_buildx():
    hidden = PLUGIN.rename(PLUGIN.with_suffix(".hidden"))
    try:
        yield
    finally:
        hidden.rename(PLUGIN)


@pytest.fixture
def overheard(tmp_path):
    """What buildx was told in its arguments and its environment."""
    heard = tmp_path / "heard"
    OWN_PLUGIN.parent.mkdir(parents=True, exist_ok=True)
    words = f'{{ echo "$@"; env; }} >>{shlex.quote(str(heard))}\nexec {PLUGIN} "$@"\n'
    OWN_PLUGIN.write_text(f"#!/bin/sh\n{words}")
    OWN_PLUGIN.chmod(0o755)
    yield heard
    OWN_PLUGIN.unlink()


@contextlib.contextmanager
def another_daemon(features: dict, room: str | None = None):
    """A second daemon.

    Args:
        features: What it is to do otherwise.
        room: The size of the disk that it has for itself.
    """
    data = STORE / "data"
    data.mkdir(parents=True)
    if room is not None:
        run("mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(data))
    (STORE / "daemon.json").write_text(json.dumps({"features": features}))
    places = ("--config-file=daemon.json", f"--data-root={data}", "--exec-root=/run/strata-another", "--pidfile=pid")
    apart = ("--containerd-namespace=strata", "--containerd-plugins-namespace=strata-plugins", "--bridge=none")
    quiet = ("--containerd=/run/containerd/containerd.sock", "--iptables=false", "--ip6tables=false")
    with open(STORE / "log", "w") as log:
        argv = ["dockerd", f"--host={ANOTHER}", *places, *apart, *quiet]
        server = subprocess.Popen(argv, cwd=STORE, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 60
        while subprocess.run(["docker", "--host", ANOTHER, "info"], capture_output=True, check=False).returncode:
            assert server.poll() is None, (STORE / "log").read_text()
            assert time.monotonic() < end, (STORE / "log").read_text()
            time.sleep(0.2)
        yield
    finally:
        server.terminate()
        server.wait()
        if room is not None:
            run("umount", str(data))
        shutil.rmtree(STORE)


class TestBuildKit(Harness):
    case = Case(
        kind="docker_image",
        info="docker_image_info",
        name="strata-test:1",
        another=lambda name, mark: f"strata-test{mark}:1",
        a={"build": {"path": str(CONTEXTS / "plain")}},
        b={},
        look=look,
        seen_a={},
        seen_b={},
        drifts={},
        touches=(),
    )

    @property
    def name(self) -> str:
        return self.case.name

    def test_secrets_are_read_and_left_nowhere(self, overheard, tmp_path, monkeypatch):
        (tmp_path / "key").write_text(TOKEN * 10)
        monkeypatch.setenv("OF_THE_MODULE", TOKEN * 2)
        reads = [READ.replace("{id}", name) for name in ("token", "key", "word")]
        made = ["COPY --link <<END /greeting", "hello", "END"]
        build = {
            "path": context(CONTEXTS / "secret", "x\n", *reads, *made),
            "network": "none",
            "secrets": [
                {"id": "token", "type": "value", "value": TOKEN},
                {"id": "key", "type": "file", "src": str(tmp_path / "key")},
                {"id": "word", "type": "env", "env": "OF_THE_MODULE"},
            ],
        }
        done = self.foretold({"build": build})
        assert TOKEN not in json.dumps(done)
        self.unchanged({"build": build})
        self.unchanged({"build": {**build, "secrets": [{**build["secrets"][0], "value": "another"}]}})
        told = run("docker", "run", "--rm", "--network=none", self.name, "/bin/busybox", "cat", "/token", "/key")
        assert told.split() == [str(len(TOKEN)), str(len(TOKEN) * 10)]
        told = run("docker", "run", "--rm", "--network=none", self.name, "/bin/busybox", "cat", "/word", "/greeting")
        assert told.split() == [str(len(TOKEN) * 2), "hello"]
        run("docker", "save", "--output", str(tmp_path / "saved.tar"), self.name)
        assert b"strata.image.name" in (tmp_path / "saved.tar").read_bytes()
        assert TOKEN.encode() not in (tmp_path / "saved.tar").read_bytes(), "a layer or the history has it"
        assert "--secret=id=token" in overheard.read_text()
        lines = [line for line in overheard.read_text().splitlines() if not line.startswith("OF_THE_MODULE=")]
        assert TOKEN not in "\n".join(lines)
        with pytest.raises(Failed, match=r"build\.secrets: is to come from /nowhere, which can't be read"):
            self.apply(
                {"build": {**build, "target": "built", "secrets": [{"id": "a", "type": "file", "src": "/nowhere"}]}}
            )

    def test_built_upon_under_the_same_name_by_hand(self, tmp_path):
        self.apply(self.case.a)
        (tmp_path / "Dockerfile").write_text(f"FROM {self.name}\nENV THEIRS=1\n")
        run(str(PLUGIN), "build", "--tag", self.name, str(tmp_path))
        assert inspect(self.name)["Config"]["Labels"]["strata.image.name"] == self.name
        assert [change["field"] for change in self.foretold(self.case.a)["changes"]] == ["context"]
        assert "THEIRS=1" not in inspect(self.name)["Config"]["Env"]

    def test_what_is_ignored_is_said_beside_the_dockerfile_first(self):
        folder = Path(context(CONTEXTS / "ignoring", "x\n"))
        (folder / ".dockerignore").write_text("said\n")
        (folder / "Dockerfile.dockerignore").write_text("unsaid\n")
        (folder / "unsaid").write_text("x\n")
        spec = {"build": {"path": str(folder)}}
        self.apply(spec)
        listed = run("docker", "run", "--rm", "--network=none", self.name, "/bin/busybox", "ls", "/context")
        assert ("said" in listed.split(), "unsaid" in listed.split()) == (True, False)
        (folder / "unsaid").write_text("y\n")
        self.unchanged(spec)

    def test_keys_and_outputs(self, tmp_path):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key"))
        step = ["/bin/busybox", "sh", "-c", "test -S $SSH_AUTH_SOCK"]
        archive, folder = tmp_path / "its, files.tar", tmp_path / "files"
        build = {
            "path": context(CONTEXTS / "outputs", "one\n", "RUN --mount=type=ssh " + json.dumps(step)),
            "network": "none",
            "shm_size": "32M",
            "ssh": [f"default={tmp_path}/key"],
            "outputs": [{"type": "tar", "dest": str(archive)}, {"type": "local", "dest": str(folder)}],
        }
        assert self.foretold({"build": build})["changed"]
        self.unchanged({"build": build})
        with tarfile.open(archive) as tar:
            assert tar.extractfile("context/said").read() == b"one\n"
        assert (folder / "context" / "said").read_text() == "one\n"
        for meddle in (archive.unlink, lambda: archive.write_text("nonsense")):
            meddle()
            assert [change["field"] for change in self.foretold({"build": build})["changes"]] == ["outputs"]
            assert tarfile.is_tarfile(archive)
        (CONTEXTS / "outputs" / "said").write_text("two\n")
        assert self.foretold({"build": build})["changed"]
        self.unchanged({"build": build})
        with tarfile.open(archive) as tar:
            assert tar.extractfile("context/said").read() == b"two\n"
        assert (folder / "context" / "said").read_text() == "two\n"
        for worse, said in (
            (
                {"outputs": [{"type": "tar", "dest": "/nowhere/x.tar"}]},
                "build.outputs: is in a folder that isn't there",
            ),
            ({"outputs": [{"type": "oci", "dest": "/tmp/x.tar"}]}, "build.outputs: is to be of type oci, which takes"),
            ({"platform": ["linux/amd64", "linux/arm64"]}, "build.platform: are several, which takes a daemon"),
        ):
            with pytest.raises(Failed, match=said):
                self.apply({"build": {**build, **worse}}, check=True)

    def test_a_cache_in_a_registry(self, tmp_path):
        """A step that makes something else each time tells whether it was run again."""
        there = f"{REGISTRY}/team/cached:1"
        step = ["/bin/busybox", "cp", "/proc/sys/kernel/random/uuid", "/made"]
        build = {"path": context(CONTEXTS / "cached", "x\n", "RUN " + json.dumps(step)), "network": "none"}
        pushed = {"build": {**build, "cache_to": ["type=inline"]}, "repository": [there], "push": True}

        def made() -> str:
            return run("docker", "run", "--rm", "--network=none", self.name, "/bin/busybox", "cat", "/made")

        def forgotten() -> None:
            run("docker", "builder", "prune", "--all", "--force")
            run("docker", "rmi", self.name, there)

        with Registry(tmp_path, REGISTRY):
            self.apply(pushed)
            first = made()
            forgotten()
            self.apply({"build": {**build, "cache_from": [there]}, "repository": [there]})
            assert made() == first
            forgotten()
            self.apply({"build": build})
            assert made() != first

    def test_a_host_without_buildx(self):
        path = context(CONTEXTS / "without", "x\n")
        with without_buildx():
            with pytest.raises(Failed, match=r"build\.secrets: needs Docker's plugin buildx.*package docker-buildx"):
                self.apply(
                    {"build": {"path": path, "secrets": [{"id": "a", "type": "value", "value": TOKEN}]}}, check=True
                )
            with pytest.raises(Failed, match=r"build\.builder: needs Docker's plugin buildx"):
                self.apply({"build": {"path": path, "builder": "buildkit"}}, check=True)
            self.apply({"build": {"path": path}})
            context(CONTEXTS / "without", "x\n", 'RUN --mount=type=tmpfs,target=/tmp ["/bin/busybox", "ls", "/tmp"]')
            with pytest.raises(Failed, match=r"requires BuildKit.*Install docker-buildx-plugin"):
                self.apply({"build": {"path": path}})
        self.apply({"build": {"path": path, "network": "none"}})

    def test_one_name_for_several_platforms(self, tmp_path):
        with another_daemon({"containerd-snapshotter": True}):
            self._several_platforms(tmp_path)

    def _several_platforms(self, tmp_path):
        def docker(*argv: str) -> str:
            return run("docker", "--host", ANOTHER, *argv)

        archive = tmp_path / "image.tar"
        build = {
            "path": context(CONTEXTS / "platforms", "x\n"),
            "platform": "linux/arm64,linux/amd64",
            "outputs": [{"type": "oci", "dest": str(archive)}],
        }
        spec = {"name": self.name, "docker_host": ANOTHER, "build": build}
        assert call("docker_image", spec, check=True)["changed"]
        assert call("docker_image", spec)["changed"]
        assert call("docker_image", spec)["changes"] == []
        with tarfile.open(archive) as tar:
            (index,) = json.load(tar.extractfile("index.json"))["manifests"]
            listed = json.load(tar.extractfile("blobs/sha256/" + index["digest"].partition(":")[2]))["manifests"]
        assert {one["platform"]["architecture"] for one in listed} == {"amd64", "arm64"}
        image = json.loads(docker("image", "inspect", self.name))[0]["Id"]
        (CONTEXTS / "platforms" / "said").write_text("y\n")
        assert [one["field"] for one in call("docker_image", spec)["changes"]] == ["context"]
        assert call("docker_image", spec)["changes"] == []
        assert json.loads(docker("image", "inspect", self.name))[0]["Id"] != image
        assert docker("images", "--all", "--quiet").split() == [docker("images", "--quiet", self.name)]
        foreign = {**spec, "build": {"path": build["path"], "platform": ["linux/arm64"]}}
        assert call("docker_image", foreign)["changed"]
        assert call("docker_image", foreign)["changes"] == []
        assert call("docker_image", {**spec, "build": None, "state": "absent"})["changed"]
        assert docker("images", "--all", "--quiet") == ""
        docker("builder", "prune", "--all", "--force")  # it is not below STORE

    def test_a_disk_that_is_full(self):
        path = context(CONTEXTS / "big", "x\n")
        with open(CONTEXTS / "big" / "more", "wb") as file:
            file.write(os.urandom(10 << 20))
        with another_daemon({}, room="12m"):
            for builder in ("buildkit", "classic"):
                with pytest.raises(Failed, match=r"no space left on device.*docker_prune"):
                    self.apply({"docker_host": ANOTHER, "build": {"path": path, "builder": builder}})
