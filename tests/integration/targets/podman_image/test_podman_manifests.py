# Copyright: strata.virt contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman_image for several platforms: lists of images (manifests), looked at through Podman's own API and skopeo."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.lab import podman_api
from tests.lab.convergence import Case, Convergence
from tests.lab.driver import Failed, call, run
from tests.lab.registry import Registry

CONTEXTS = Path("/var/tmp/strata-podman-manifests")
REGISTRY = "127.0.0.1:5025"
TWO = ["linux/amd64", "linux/arm64"]
THEIRS = "strata-theirs"


def context(folder: Path, said: str) -> str:
    """A folder with one file, for any processor."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "said").write_text(said)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY said /said\n")
    return str(folder)


@pytest.fixture(scope="module", autouse=True)
def _surroundings():
    context(CONTEXTS / "a", "a\n")
    context(CONTEXTS / "b", "b\n")
    with podman_api.service():
        before = set(images())
        yield
        run("podman", "image", "prune", "--force", "--filter", f"label={THEIRS}")
        left = [one for one in images().values() if one["Id"] not in before]
        assert left == [], "something was left behind"
    shutil.rmtree(CONTEXTS)


def images() -> dict[str, dict]:
    return {one["Id"]: one for one in podman_api.ask("/images/json")}


def listed(name: str) -> dict | None:
    """What has a name, list or image."""
    return next((one for one in images().values() if f"localhost/{name}" in (one["RepoTags"] or ())), None)


def inside(name: str) -> dict[str, dict]:
    """The images of a list by their platforms, none of them missing and none for another processor than it says."""
    here = {one["Digest"]: one for one in images().values()}
    found = {}
    for entry in podman_api.ask(f"/manifests/{name}/json")["manifests"]:
        system, machine = entry["platform"]["os"], entry["platform"]["architecture"]
        found[f"{system}/{machine}"] = one = here[entry["digest"]]
        assert (one["Os"], one["Arch"]) == (system, machine)
    return found


def look(name: str) -> dict | None:
    found = listed(name)
    if found is None:
        return None
    try:
        made_of = inside(name) if found["IsManifestList"] else {"": found}
    except (AssertionError, KeyError) as wrong:
        return {"Wrong": str(wrong)}
    return {
        "Platforms": sorted(made_of),
        "Tiers": sorted({str(one["Labels"].get("tier")) for one in made_of.values()}),
        "Tags": found["RepoTags"] == [f"localhost/{name}"],
    }


def digest(name: str) -> str:
    return podman_api.ask(f"/manifests/{name}/json")["manifests"][0]["digest"]


def another_added(name: str) -> None:
    path = context(CONTEXTS / "more", "more\n")
    options = ("--platform", "linux/s390x", "--label", THEIRS, "--manifest", f"localhost/{name}")
    run("podman", "build", "--quiet", *options, path)


def its_images_pruned(name: str) -> None:
    run("podman", "rmi", *(one["Id"] for one in inside(name).values()))


A = {"path": str(CONTEXTS / "a"), "platform": TWO, "labels": {"tier": "back"}}
ONE = {"path": str(CONTEXTS / "b"), "platform": ["linux/arm64"], "labels": {"tier": "front"}}


class TestPodmanManifests(Convergence):
    case = Case(
        kind="podman_image",
        info="podman_image_info",
        name="strata-list:1",
        another=lambda name, mark: f"strata-list{mark}:1",
        a={"build": A},
        b={"build": ONE},
        look=look,
        seen_a={"Platforms": TWO, "Tiers": ["back"], "Tags": True},
        seen_b={"Platforms": [""], "Tiers": ["front"], "Tags": True},
        drifts={
            "its name taken away": lambda name: run("podman", "manifest", "rm", f"localhost/{name}"),
            "an image taken out of it": lambda name: run("podman", "manifest", "remove", name, digest(name)),
            "an image of another platform added": another_added,
            "its images pruned": its_images_pruned,
            "an image said to be for another processor": lambda name: run(
                "podman", "manifest", "annotate", "--arch", "s390x", name, digest(name)
            ),
        },
        touches=(
            "engines.podman.Podman._follow",
            "engines.podman_images.PodmanImages.tag",
            "engines.podman_images.PodmanImages.remove_list",
            "engines.podman_images.PodmanImages.sweep",
        ),
        bad=(("archive_path", "/var/tmp/strata-list.tar"),),
        bad_names=("",),
    )

    @property
    def name(self) -> str:
        return self.case.name

    def test_a_manifest_is_built_again_when_its_context_or_its_platforms_change_and_only_then(self):
        folder = Path(context(CONTEXTS / "changing", "one\n"))
        build = {"path": str(folder), "platform": TWO, "labels": {"tier": "x"}}
        before = set(images())
        self.apply({"build": build})
        self.unchanged({"build": build})
        first = {one["Id"] for one in inside(self.name).values()}
        (folder / "said").write_text("two\n")
        assert [one["field"] for one in self.foretold({"build": build})["changes"]] == ["context"]
        assert not first & {one["Id"] for one in inside(self.name).values()}
        more = {**build, "platform": ["linux/arm", "linux/arm64/v8"]}
        (change,) = [one for one in self.foretold({"build": more})["changes"] if one["field"] == "platforms"]
        assert (change["before"], change["after"]) == (TWO, ["linux/arm/v7", "linux/arm64/v8"])
        assert sorted(inside(self.name)) == ["linux/arm", "linux/arm64"]
        self.unchanged({"build": more})
        one = {**build, "platform": None}
        assert self.foretold({"build": one})["changed"]
        assert listed(self.name)["Arch"] == podman_api.ask("/info")["host"]["arch"]
        self.unchanged({"build": one})
        assert self.foretold({"build": build})["changed"]
        self.unchanged({"build": build})
        assert len(set(images()) - before) == 3, "what was replaced was left"
        self.apply({"state": "absent"})
        assert set(images()) == before

    def test_info_tells_the_platforms_of_a_manifest(self):
        self.apply(self.case.a)
        (told,) = call("podman_image_info", {"name": [self.name]})["resources"]
        assert told["facts"]["platforms"] == {key: one["Id"] for key, one in inside(self.name).items()}
        assert told["facts"]["id"] == listed(self.name)["Id"]

    def test_of_a_manifest_nothing_goes_that_others_use(self):
        further = "strata-list-more:1"
        self.apply({**self.case.a, "repository": [further]})
        made_of = inside(self.name)
        assert listed(self.name)["RepoTags"] == listed(further)["RepoTags"]
        self.apply({"state": "absent"})
        assert (listed(self.name), inside(further)) == (None, made_of)
        # Built again, the one that has another name stays whole.
        self.apply(self.case.a)
        assert inside(further) == made_of
        kept, foreign = made_of["linux/amd64"]["Id"], made_of["linux/arm64"]["Id"]
        run("podman", "manifest", "create", "strata-theirs:1", f"containers-storage:{foreign}")
        run("podman", "create", "--name", "strata-user", kept, "/bin/busybox", "true")
        try:
            with pytest.raises(Failed, match="is in use by strata-user"):
                self.apply({"state": "absent"}, further)
            assert self.apply({"state": "absent", "force_absent": True}, further)["changed"]
            assert listed(further) is None
            assert {kept, foreign} <= set(images())
            assert podman_api.container("strata-user") is not None
        finally:
            run("podman", "rm", "--force", "strata-user")
        self.apply({"state": "absent"}, "strata-theirs:1")
        assert foreign not in images()
        run("podman", "rmi", kept)
        assert self.apply({"state": "absent"})["changed"]

    def test_a_manifest_is_pushed_as_a_whole(self, tmp_path):
        there = f"{REGISTRY}/team/list:1"
        spec = {**self.case.a, "tls_verify": False, "repository": [there], "push": True}

        def published() -> dict[str, str]:
            """The ID of the image for each processor that the registry has."""
            ask = ("skopeo", "inspect", "--raw", "--tls-verify=false")
            index = json.loads(run(*ask, f"docker://{there}"))
            return {
                one["platform"]["architecture"]: json.loads(
                    run(*ask, f"docker://{REGISTRY}/team/list@{one['digest']}")
                )["config"]["digest"].partition(":")[2]
                for one in index["manifests"]
            }

        with Registry(tmp_path, REGISTRY):
            assert self.foretold(spec)["changed"]
            first = published()
            assert first == {key.partition("/")[2]: one["Id"] for key, one in inside(self.name).items()}
            self.unchanged(spec)
            other = {**spec, "build": {**A, "format": "oci", "platform": ["linux/amd64", "linux/s390x"]}}
            assert self.foretold(other)["changed"]
            assert sorted(published()) == ["amd64", "s390x"]
            self.unchanged(other)
            # One image takes the place of the list in the registry, and the other way round.
            self.apply({**spec, "build": ONE})
            self.unchanged({**spec, "build": ONE})
            self.apply(spec)
            assert sorted(published()) == ["amd64", "arm64"]
            self.apply({"state": "absent"}, there)
        self.apply({**self.case.a, "repository": []})
        with pytest.raises(Failed, match="connection refused"):
            self.apply(spec)
        self.apply({"state": "absent"}, there)

    def test_what_one_manifest_cant_have_is_refused(self):
        for more, said in (
            ({"cache_to": ["localhost/cache"]}, r"build\.cache_to.*can't go with several of build\.platform"),
            ({"cache_from": ["localhost/cache"]}, r"build\.cache_from.*can't go with several of build\.platform"),
            ({"platform": ["linux", "linux/arm64"]}, r"build\.platform.*doesn't name its processor"),
        ):
            with pytest.raises(Failed, match=said):
                self.apply({"build": {**A, **more}}, check=True)
        self.apply(self.case.a)
        with pytest.raises(Failed, match=r"archive_path.*this is a list of images"):
            self.apply({"source": "local", "archive_path": "/var/tmp/strata-list.tar"})

    def test_a_manifest_whose_build_fails_leaves_the_one_that_was_there(self):
        self.apply(self.case.a)
        before = look(self.name), inside(self.name)
        path = Path(context(CONTEXTS / "wrong", "x\n"))
        (path / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /x\n")
        (path / "amd64").write_text("x")
        with pytest.raises(Failed, match=r'Building strata-list:1 failed: .*"/arm64": no such file'):
            self.apply({"build": {**A, "path": str(path)}})
        assert (look(self.name), inside(self.name)) == before
        (path / "arm64").write_text("y")
        self.apply({"build": {**A, "path": str(path)}})
        self.apply({"state": "absent"})
