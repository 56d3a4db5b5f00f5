# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_image, looked at through Podman's own API, an archive's own manifest and a registry's own HTTP."""

from __future__ import annotations

import json
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab import podman_api
from tests.lab.contexts import context
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run
from tests.lab.registry import DEPLOY_AND_CI, Registry

CONTEXTS = Path("/var/tmp/strata-podman-image")
REGISTRY, REFUSING = "127.0.0.1:5021", "127.0.0.1:5022"


@pytest.fixture(scope="module", autouse=True)
def _surroundings():
    context(CONTEXTS / "a", "a\n", "ARG MARK=none", "ENV MARK=$MARK", recipe="Containerfile")
    context(CONTEXTS / "b", "b\n")
    with podman_api.service():
        yield
    shutil.rmtree(CONTEXTS)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with Registry(tmp_path_factory.mktemp("registry"), REGISTRY) as started:
        yield started


def inspect(name: str) -> dict | None:
    return podman_api.ask(f"/images/{name}/json")


def look(name: str) -> dict | None:
    found = inspect(f"localhost/{name}")
    if found is None:
        return None
    labels = {key: value for key, value in found["Labels"].items() if not key.startswith(("strata.", "io.buildah."))}
    marks = [value for value in found["Config"].get("Env") or () if value.startswith("MARK=")]
    return {"Labels": labels, "Marks": marks, "Layers": len(found["RootFS"]["Layers"])}


def dangling() -> list[str]:
    found = podman_api.ask("/images/json?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D")
    return sorted(image["Id"] for image in found or ())


def untagged(name: str) -> None:
    podman_api.ask(f"/images/localhost/{name}?force=true", "DELETE")


def built_upon(name: str) -> None:
    """Somebody puts a layer upon it, under the same name: the labels are inherited."""
    folder = Path(context(CONTEXTS / "upon", "upon\n"))
    (folder / "Dockerfile").write_text(f"FROM localhost/{name}\nCOPY said /upon\n")
    run("podman", "build", "--quiet", "--format", "docker", "--tag", f"localhost/{name}", str(folder))


A = {"path": str(CONTEXTS / "a"), "args": {"MARK": "one"}, "labels": {"tier": "back"}}
B = {"path": str(CONTEXTS / "b"), "labels": {"tier": "front"}}


class TestPodmanImage(Convergence):
    case = Case(
        kind="podman_image",
        info="podman_image_info",
        name="strata-test:1",
        another=lambda name, mark: f"strata-test{mark}:1",
        a={"build": A},
        b={"build": B},
        look=look,
        seen_a={"Labels": {"tier": "back"}, "Marks": ["MARK=one"]},
        seen_b={"Labels": {"tier": "front"}, "Marks": []},
        drifts={"its name taken away": untagged, "built upon under the same name": built_upon},
        touches=("engines.podman_images.PodmanImages.build", "engines.podman_images.PodmanImages.sweep"),
        bad=(("source", "thin air"), ("tag", "a b"), ("load_path", "/nowhere"), ("nonsense", "1")),
        bad_names=("", "a/../b", "..", "-x", "x y", "Web"),
    )

    @property
    def name(self) -> str:
        return self.case.name

    def test_built_again_when_what_is_in_its_context_changes_and_only_then(self):
        folder = Path(context(CONTEXTS / "changing", "one\n"))
        (folder / ".containerignore").write_text("ignored\n")
        spec = {"build": {"path": str(folder)}}
        before = dangling()
        self.apply(spec)
        image = inspect(self.name)["Id"]
        (folder / "ignored").write_text("x")
        self.unchanged(spec)
        (folder / "said").write_text("two\n")
        assert [change["field"] for change in self.foretold(spec)["changes"]] == ["context"]
        self.unchanged(spec)
        assert inspect(self.name)["Id"] != image
        assert dangling() == before, "what it replaced was left"

    @pytest.mark.machine  # Buildah raises its limit of files, which a container's root may not
    def test_a_build_runs_with_its_options_and_one_that_fails_says_its_last_lines(self):
        kept = 'RUN ["/bin/busybox", "cp", "/etc/hosts", "/hosts"]'
        check = 'HEALTHCHECK CMD ["/bin/busybox", "true"]'
        path = context(CONTEXTS / "options", "x\n", kept, check, "FROM scratch AS unwanted", "COPY nothing /nothing")
        build = {"path": path, "target": "built", "network": "host", "etc_hosts": {"db": "192.0.2.7"}}
        self.apply({"build": build})
        image = inspect(self.name)
        assert image["Healthcheck"]["Test"] == ["CMD", "/bin/busybox", "true"]
        run("podman", "create", "--name", "strata-look", f"localhost/{self.name}", "x")
        try:
            run("podman", "cp", "strata-look:/hosts", str(CONTEXTS / "hosts"))
        finally:
            run("podman", "rm", "strata-look")
        assert ["192.0.2.7", "db"] in [line.split() for line in (CONTEXTS / "hosts").read_text().splitlines()]
        told = 'RUN --mount=type=secret,id=token ["/bin/busybox", "sha256sum", "/run/secrets/token"]'
        path = context(
            CONTEXTS / "secret", "x\n", told, 'RUN ["/bin/busybox", "test", "!", "-e", "/run/secrets/token"]'
        )
        secrets = [{"id": "token", "type": "value", "value": "s3cr3t"}]
        self.apply({"build": {"path": path, "network": "none", "secrets": secrets}})
        image = inspect(self.name)
        wrong = context(CONTEXTS / "wrong", "x\n", 'RUN ["/bin/busybox", "cat", "/not/there"]')
        with pytest.raises(Failed, match=r"Building strata-test:1 failed: .*can't open '/not/there'"):
            self.apply({"build": {"path": wrong, "network": "none"}})
        assert inspect(self.name)["Id"] == image["Id"]

    def test_tags_and_archives(self, tmp_path):
        archive = tmp_path / "image.tar"
        spec = {**self.case.a, "repository": ["strata-test-more:2"], "archive_path": str(archive)}
        assert self.foretold(spec)["changed"]
        self.unchanged(spec)
        image = inspect(self.name)["Id"]
        assert inspect("strata-test-more:2")["Id"] == image
        with tarfile.open(archive) as tar:
            (entry,) = json.load(tar.extractfile("manifest.json"))
        assert (entry["RepoTags"], image in entry["Config"]) == ([f"localhost/{self.name}"], True)
        archive.unlink()
        assert self.foretold(spec)["changed"]
        assert archive.exists()
        self.apply({"state": "absent"})
        assert (inspect(self.name), inspect("strata-test-more:2")["Id"]) == (None, image)
        self.apply({"state": "absent"}, "strata-test-more:2")
        assert inspect(image) is None
        loaded = {"load_path": str(archive)}
        assert self.foretold(loaded)["changed"]
        self.unchanged(loaded)
        assert inspect(self.name)["Id"] == image

    def test_pushed_and_pulled(self, registry):
        there = f"{REGISTRY}/team/web:1"
        lax = {"tls_verify": False}
        with pytest.raises(Failed, match="manifest unknown"):
            self.apply(lax, there)
        spec = {**self.case.a, **lax, "repository": [there], "push": True}
        assert self.foretold(spec)["changed"]
        digest = registry.digest("team/web", "1")
        assert digest is not None
        self.unchanged(spec)
        assert self.foretold({**spec, "build": B})["changed"]
        newer = registry.digest("team/web", "1")
        assert newer not in (None, digest)
        for name in (there, f"localhost/{self.name}"):
            podman_api.ask(f"/images/{name}", "DELETE")
        assert self.apply(lax, there)["changed"]
        again = {**lax, "force_source": True}
        assert self.apply(again, there)["changed"] is False
        assert any(one.endswith(newer) for one in inspect(there)["RepoDigests"])
        self.apply(self.case.a)
        podman_api.ask(f"/images/{self.name}/tag?repo={REGISTRY}/team/web&tag=1", "POST")
        assert self.apply(lax, there)["changed"] is False
        assert self.apply(again, there)["changed"], "the registry has another one"
        assert inspect(there)["Labels"]["tier"] == "front"

    def test_a_disk_that_is_full_and_a_registry_that_refuses(self, tmp_path):
        place = tmp_path / "full"
        place.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place))
        try:
            with pytest.raises(Failed, match=r"archive_path: could not be written: No space left on device"):
                self.apply({**self.case.a, "archive_path": str(place / "image.tar")})
            assert list(place.iterdir()) == []
        finally:
            run("umount", str(place))
        lax, there = {"tls_verify": False}, f"{REFUSING}/team/web:1"
        tried = (({**self.case.a, **lax, "repository": [there], "push": True}, self.name), (lax, f"{there}.1"))
        with Registry(tmp_path, REFUSING, DEPLOY_AND_CI):
            for spec, name in tried:
                with pytest.raises(Failed, match=r"authentication required|unauthorized"):
                    self.apply(spec, name)
        for spec, name in tried:
            with pytest.raises(Failed, match="connection refused"):
                self.apply(spec, name)
        self.apply({"state": "absent"}, there)

    def test_pushed_and_pulled_by_who_is_logged_in(self, tmp_path):
        lax, there = {"tls_verify": False}, f"{REFUSING}/team/web:1"
        pushed = {**self.case.a, **lax, "repository": [there], "push": True}
        login = {"registry": REFUSING, "username": "deploy", "password": "correct horse", **lax}
        with Registry(tmp_path, REFUSING, DEPLOY_AND_CI) as registry:
            call("podman_login", login)
            try:
                self.foretold(pushed)
                self.unchanged(pushed)
                assert registry.digest("team/web", "1") is None
                assert registry.digest("team/web", "1", "deploy:correct horse")
                image = inspect(f"localhost/{self.name}")["Id"]
                for name in (there, self.name):
                    self.apply({"state": "absent"}, name)
                assert self.apply(lax, there)["changed"]
                assert inspect(there)["Id"] == image
            finally:
                call("podman_login", {"registry": REFUSING, "state": "absent"})
            with pytest.raises(Failed, match=r"authentication required|unauthorized"):
                self.apply({**lax, "force_source": True}, there)
        self.apply({"state": "absent"}, there)

    def test_two_builds_at_the_same_time(self):
        path = context(CONTEXTS / "twice", "x\n")
        before = dangling()
        with ThreadPoolExecutor() as pool:
            runs = [pool.submit(self.apply, {"build": {"path": path}}) for _turn in range(2)]
        assert sorted(one.result()["changed"] for one in runs) == [False, True], "the second finds it built"
        self.unchanged({"build": {"path": path}})
        assert dangling() == before

    def test_a_cache_in_a_registry(self, registry):
        """A step that is done again makes an image of another time, and so of another ID."""
        cache = f"{REGISTRY}/team/cache"
        build = {"path": context(CONTEXTS / "cached", "cached\n"), "cache_to": [cache], "cache_from": [cache]}
        layers = {}
        for turn, more in enumerate((build, build, {**build, "cache_from": [], "cache_to": []})):
            self.apply({"build": more, "tls_verify": False})
            layers[turn] = inspect(self.name)["History"][:-1]
            kept = run("podman", "images", "--quiet", "--filter", f"reference={cache}").split()
            run("podman", "rmi", f"localhost/{self.name}", *kept)
            run("podman", "image", "prune", "--force", "--build-cache")
        assert registry.tags("team/cache")
        assert layers[0] == layers[1] != layers[2]

    def test_one_that_a_container_was_made_from_is_refused(self):
        self.apply(self.case.a)
        image = inspect(self.name)["Id"]
        run("podman", "create", "--name", "strata-user", f"localhost/{self.name}", "/bin/busybox", "true")
        try:
            for check in (True, False):
                with pytest.raises(Failed, match="is in use by strata-user"):
                    self.apply({"state": "absent"}, check=check)
            assert inspect(self.name) is not None
            assert self.apply({"state": "absent", "force_absent": True})["changed"]
            assert (inspect(self.name), inspect(image)["Id"]) == (None, image)
            assert podman_api.container("strata-user") is not None, "the container went with it"
        finally:
            run("podman", "rm", "--force", "strata-user")
            podman_api.ask(f"/images/{image}", "DELETE")
